"""The shape of a route: what the application serves, guards, and describes at `/v1/openapi.json`."""

import contextlib
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from aiohttp import web

from weighbridge.wire.problems import PROBLEM_TYPE, Problem

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_LIMIT = 1000
PATTERN = re.compile(r":[^}]*\}")
"""What a parameter of a path must look like; the description names the parameter alone."""


class Access(StrEnum):
    """Who may call. Within READ a viewer sees only the contracts that are theirs; SPEAK is for who says something in a
    party's name; KNOWN for whoever is known at all."""

    OPEN = "open"
    KNOWN = "known"
    READ = "read"
    METRICS = "metrics"
    SPEAK = "speak"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who asks. `contracts` are those that they may see; None: all."""

    contracts: frozenset[str] | None = None

    def sees(self, contract: str) -> bool:
        return self.contracts is None or contract in self.contracts


@dataclass(frozen=True, slots=True)
class Route:
    """One path and method. `query` are the names of its parameters, `answer` the media type of its success."""

    method: str
    path: str
    handler: Handler
    access: Access
    summary: str
    query: Sequence[str] = ()
    answer: str = "application/json"


def described(routes: Sequence[Route], version: str) -> tuple[Route, ...]:
    """The same routes and one more, `/v1/openapi.json`, which describes them all."""

    async def describe(request: web.Request) -> web.Response:
        del request
        return web.json_response(document)

    itself = Route("GET", "/v1/openapi.json", describe, Access.OPEN, "This description.")
    document = openapi((*routes, itself), version)
    return (*routes, itself)


def openapi(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 description of routes."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(PATTERN.sub("}", route.path), {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Weighbridge collector", "version": version},
        "paths": paths,
    }


def _operation(route: Route) -> dict[str, Any]:
    path = PATTERN.sub("}", route.path)
    named = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    parameters = [_parameter(name, "path") for name in named]
    parameters += [_parameter(name, "query") for name in route.query]
    return {
        "summary": route.summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done.", "content": {route.answer: {}}},
            "default": {
                "description": "Refused: RFC 9457 problem details.",
                "content": {PROBLEM_TYPE: {}},
            },
        },
        "x-access": route.access.value,
    }


def _parameter(name: str, place: str) -> dict[str, Any]:
    numeric = name in {"limit", "start_us", "end_us"}
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": {"type": "integer" if numeric else "string"},
    }


def whole_number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    """A query parameter within [least, most]. Raises Problem."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise Problem("malformed", f"{name} must be a whole number from {least} to {most}")
    return int(text)


@dataclass(frozen=True, slots=True)
class ListPage:
    """Part of a list that is sorted by a key. `after` is the key to go on from; None: that was all."""

    items: Sequence[Any]
    after: str | None


Key = tuple[str | int, ...]


def page(request: web.Request, keys: Sequence[str], default: int = 100) -> ListPage:
    """The keys after the query's `after`, at most its `limit`. `keys` are sorted. Raises Problem."""
    return _page(request, keys, request.query.get("after"), str, default)


def page_of(request: web.Request, keys: Sequence[Key], default: int = 100) -> ListPage:
    """The same of keys of several parts, all of one form. In `after` they are a JSON array. Raises Problem."""
    text = request.query.get("after")
    after = None if text is None or not keys else _key(text, keys[0])
    return _page(request, keys, after, json.dumps, default)


def _page(
    request: web.Request, keys: Sequence[Any], after: Any, spell: Callable[[Any], str], default: int
) -> ListPage:
    limit = whole_number(request, "limit", default, 1, MAX_LIMIT)
    rest = keys if after is None else [key for key in keys if key > after]
    chosen = rest[:limit]
    return ListPage(chosen, spell(chosen[-1]) if len(rest) > limit else None)


def _key(text: str, like: Key) -> Key:
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(text):
            case [*parts] if list(map(type, parts)) == list(map(type, like)):
                return tuple(parts)
    raise Problem("malformed", "after is not what a page before gave")
