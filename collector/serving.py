"""How routes are served: the control socket and the public address, by doors of their own, and refusals as problems."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Middleware

from collector import control
from collector.api.access import GATE, Gate
from collector.api.bodies import BODIES, Bodies
from collector.api.doors import DOORS, HEAD_SECONDS, Door, Doors, HttpLog, attended
from collector.api.routes import Handler, Route
from collector.api.sessions import Sessions
from collector.background import beside
from collector.config import CollectorConfig
from collector.documents.handover_process import HandoverError
from collector.judging.settler import SettlingError
from collector.storage.store import StorageError
from collector.tls import ServerCertificate
from weighbridge.settlement.invariants import BrokenInvariantError
from weighbridge.wire.problems import PROBLEM_TYPE, Problem

logger = logging.getLogger("weighbridge.http")

DRAIN_SECONDS = 3.0
"""Twice: for handlers, and for those that did not end by themselves."""

GUARDS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
NOTHING_LOADED = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Of a document in one file, whose styles are its own."""

STATED = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}


@dataclass(frozen=True, slots=True)
class Served:
    """What is served, and what bounds those who ask."""

    routes: Sequence[Route]
    bodies: Bodies
    doors: Doors


def public_url(config: CollectorConfig) -> str:
    """How agents reach the collector, unless the configuration says otherwise: the address that it listens on.

    Raises Problem: conflict, where that is no address for others.
    """
    if config.url is not None:
        return config.url.rstrip("/")
    listen = config.listen
    if listen.host is None or listen.port in (None, 0) or listen.wildcard:
        reason = "url: say how agents reach this collector; its listen address does not"
        raise Problem("conflict", reason)
    return listen_url(config, listen.port or 0)


def listen_url(config: CollectorConfig, port: int) -> str:
    """The URL of a port on the listen address."""
    host = config.listen.host or ""
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if config.tls else 'http'}://{host}:{port}"


@asynccontextmanager
async def controlled(config: CollectorConfig, served: Served) -> AsyncIterator[None]:
    """The control socket in the store's directory: the file system guards it."""
    gate = Gate({}, open_on_loopback=False, control=True)
    async with _runner(served, gate) as runner:
        listener = control.listen(config.directory)
        await web.SockSite(runner, listener).start()
        try:
            yield
        finally:
            (config.directory / control.NAME).unlink(missing_ok=True)


def public_gate(config: CollectorConfig, sessions: Sessions) -> Gate:
    """Who may read what at the public address."""
    proxies = config.trusted_proxies
    return Gate(config.tokens, config.open_on_loopback, proxies, sessions=sessions)


@asynccontextmanager
async def published(
    config: CollectorConfig,
    served: Served,
    gate: Gate,
    certificate: ServerCertificate | None,
    *outer: Middleware,
) -> AsyncIterator[str]:
    """The public address. Yields its URL. `outer`: what wraps the refusals."""
    async with (
        _runner(served, gate, *outer) as runner,
        _listening(config, runner, served.doors, certificate) as url,
    ):
        yield url


@asynccontextmanager
async def _listening(
    config: CollectorConfig,
    runner: web.AppRunner,
    doors: Doors,
    certificate: ServerCertificate | None,
) -> AsyncIterator[str]:
    """Every connection comes through a door of its own. Yields where they come to."""

    loop, listen, http = asyncio.get_running_loop(), config.listen, cast(web.Server, runner.server)

    def door() -> Door:
        return Door(http(), doors)

    if listen.path is not None:
        listen.path.unlink(missing_ok=True)
        server = await loop.create_unix_server(door, listen.path)
        listen.path.chmod(0o660)
        url = f"unix:{listen.path}"
    else:
        server = await loop.create_server(door, listen.host, listen.port, **_tls(certificate))
        url = listen_url(config, server.sockets[0].getsockname()[1])
    try:
        yield url
    finally:
        server.close()


def _tls(certificate: ServerCertificate | None) -> dict[str, Any]:
    if certificate is None:
        return {}
    return {"ssl": certificate.context, "ssl_handshake_timeout": HEAD_SECONDS}


@asynccontextmanager
async def certified(
    config: CollectorConfig, now: Callable[[], datetime]
) -> AsyncIterator[ServerCertificate | None]:
    """The certificate of a collector that speaks TLS by itself, kept fresh."""
    if not config.tls:
        yield None
        return
    names = certified_names(config)
    certificate = ServerCertificate(config.keys, names, now)
    async with beside(certificate.watch(), "the certificate is not renewed any more"):
        yield certificate


def certified_names(config: CollectorConfig) -> list[str]:
    """The names that agents may call the collector by."""
    names = [config.listen.host] if config.listen.host is not None else []
    host = urlsplit(config.url).hostname if config.url is not None else None
    return names if host is None else [*names, host]


@asynccontextmanager
async def _runner(served: Served, gate: Gate, *outer: Middleware) -> AsyncIterator[web.AppRunner]:
    application = web.Application(middlewares=[attended, *outer, problems])
    application.on_response_prepare.append(guarded)
    application[DOORS] = served.doors
    application[GATE] = gate
    application[BODIES] = served.bodies
    for route in served.routes:
        application.router.add_route(route.method, route.path, gate.guard(route))
    # A body is evidence: it is taken apart by ingest, under its limits, and by nothing before it.
    runner = web.AppRunner(
        application,
        access_log=None,
        auto_decompress=False,
        shutdown_timeout=DRAIN_SECONDS,
        logger=HttpLog(served.doors),
    )
    await runner.setup()
    try:
        yield runner
    finally:
        await runner.cleanup()


async def guarded(request: web.Request, answer: web.StreamResponse) -> None:
    """What a browser may do with an answer that does not say so itself: show it as what it is, run and load nothing of
    it, and keep none."""
    del request
    for name, value in GUARDS.items():
        answer.headers.setdefault(name, value)
    if answer.content_type == "text/html":
        answer.headers.setdefault("Content-Security-Policy", NOTHING_LOADED)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal as a problem document."""
    try:
        return await handler(request)
    except Problem as problem:
        return _answered(problem)
    except (BrokenInvariantError, StorageError) as error:
        return _answered(Problem("internal", str(error)))
    except (HandoverError, SettlingError) as error:
        return _answered(Problem("overloaded", str(error)))
    except web.HTTPException as error:
        if error.status not in STATED:
            raise
        response = _answered(Problem(STATED[error.status], error.reason))
        with contextlib.suppress(KeyError):
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except (ConnectionError, HttpProcessingError):
        raise
    except Exception:
        logger.exception("a request failed: %s %s", request.method, request.path)
        if request.writer.output_size:
            raise
        return _answered(
            Problem("internal", "it failed; the log of the collector's process says why")
        )


def _answered(problem: Problem) -> web.Response:
    response = web.json_response(
        problem.document(), status=problem.status, content_type=PROBLEM_TYPE
    )
    if problem.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(problem.retry_after_seconds)
    return response
