"""What every page stands in: its language, its zone, its headers, and how a template is rendered."""

import asyncio
import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    pass_context,
)
from jinja2.runtime import Context
from markupsafe import Markup

from collector.api.access import GATE
from collector.api.routes import Handler
from collector.api.sessions import CSRF_FIELD
from collector.documents.alike import GPUS_NAMED, alike
from collector.documents.spelling import local, percent, span
from collector.documents.words import LANGUAGES, Language
from collector.storage.store import StoreInfo
from collector.web.glance import reason
from collector.web.page_words import finding_name, name, say
from collector.web.refusals import reason_in
from weighbridge.catalogue.spoken import spoken
from weighbridge.contract.scalars import read_instant_us
from weighbridge.wire.problems import PROBLEM_TYPE

HERE = Path(__file__).parent
MARKS = {"met": "✓", "ok": "✓", "up": "✓", "breached": "✕", "unknown": "?"}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
KINDS = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
LOGIN = "/login"
LANGUAGE_COOKIE = "weighbridge-lang"
KEPT_HEADERS = frozenset({"Allow", "Retry-After", "WWW-Authenticate"})
YEAR_S = 366 * 86_400
UTC_NAME = "UTC"
UNAUTHORIZED = 401


def language_of(request: web.Request) -> Language:
    """What the reader asked for: in the address, before, or by the browser's settings; else English."""
    asked = (
        request.query.get("lang"),
        request.cookies.get(LANGUAGE_COOKIE),
        *(part.strip()[:2] for part in request.headers.get("Accept-Language", "").split(",")),
    )
    return next((one for tag in asked for one in LANGUAGES if one == tag), "en")


def segment(text: str) -> str:
    """A name as one segment of a path, whatever is in it."""
    return quote(text, safe="")


def tera(rate: int) -> str:
    """A rate a second in units of 10^12."""
    return f"{rate / 10**12:.6g}"


@pass_context
def _time(context: Context, instant_us: int) -> Markup:
    """An instant in the page's zone, with UTC beside where that is another."""
    utc, zone = local(instant_us, UTC_NAME), context["zone"]
    iso = f"{utc.replace(' ', 'T')}Z"
    if zone == UTC_NAME:
        return Markup('<time datetime="{}">{}</time>').format(iso, utc)
    shown = Markup('<time datetime="{}" title="{} UTC">{}</time>')
    return shown.format(iso, utc, local(instant_us, zone))


@pass_context
def _both_times(context: Context, instant_us: int) -> Markup:
    """What somebody has to keep, such as a deadline: in the page's zone, and in UTC."""
    shown = _time(context, instant_us)
    if context["zone"] == UTC_NAME:
        return shown + Markup(" UTC")
    return shown + Markup(" {} ({} UTC)").format(context["zone"], local(instant_us, UTC_NAME))


@pass_context
def _say(context: Context, key: str, *values: object) -> Markup:
    """The words of a key; what is filled in is escaped, unless it is markup already."""
    return Markup(say(key, context["language"])).format(*values)  # noqa: S704 - the table's words are ours


@pass_context
def _name(context: Context, kind: str, code: str) -> str:
    return name(kind, code, context["language"])


@pass_context
def _said(context: Context, said: dict[str, str]) -> str:
    """What the table of findings says, in the page's language."""
    return said[context["language"]]


@pass_context
def _called(context: Context, code: str) -> str:
    return finding_name(code, context["language"])


@pass_context
def _csrf(context: Context) -> Markup:
    """What every form carries that a login sends: nobody else's page knows it."""
    who = context["who"]
    if who is None or who.session is None:
        return Markup("")
    hidden = Markup('<input type="hidden" name="{}" value="{}">')
    return hidden.format(CSRF_FIELD, who.session.csrf)


@pass_context
def _span(context: Context, duration_us: int) -> str:
    """How long something lasts, in the page's language."""
    return span(duration_us, context["language"])


@pass_context
def _reason(context: Context, code: str) -> str:
    """Why there is no value, in the page's language."""
    return reason(code, context["language"])


@pass_context
def _refusal(context: Context, detail: str) -> str:
    """Why something is refused, in the page's language."""
    return reason_in(detail, context["language"])


def environment() -> Environment:
    """Templates in which everything is escaped, and a name that is not there is an error."""
    made = Environment(
        loader=ChoiceLoader(
            [FileSystemLoader(HERE / "templates"), PackageLoader("collector.documents")]
        ),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "span": _span, "segment": segment, "tera": tera}
    made.filters |= {"time": _time, "both_times": _both_times, "said": _said, "reason": _reason}
    made.filters |= {"called": _called, "alike": alike}
    made.filters |= {"refusal": _refusal, "instant": read_instant_us}
    made.globals |= {"marks": MARKS, "spoken": spoken, "say": _say, "name": _name, "csrf": _csrf}
    made.globals["gpus_named"] = GPUS_NAMED
    return made


class Shell:
    """Renders pages of one store. `now_us`: the instant that they are of."""

    def __init__(self, info: StoreInfo, now_us: Callable[[], int]) -> None:
        self._info = info
        self._now_us = now_us
        self._environment = environment()
        files = {one.name: one.read_bytes() for one in sorted((HERE / "static").iterdir())}
        self._files = files
        self._environment.globals["asset"] = {
            one: f"/static/{one}?{sha256(content).hexdigest()[:12]}"
            for one, content in files.items()
        }

    @property
    def simulation(self) -> bool:
        """Whether what is shown never happened."""
        return self._info.simulation

    async def page(
        self,
        request: web.Request,
        template: str,
        *,
        zone: str = UTC_NAME,
        status: int = 200,
        resent: Mapping[str, str] | None = None,
        **context: Any,
    ) -> web.Response:
        """Rendered in a thread: a node may have a thousand devices. What it is given must not change any more.

        `resent`: of a page that answers a form, the fields that show it again, in the other language; nothing that
        changes anything.
        """
        language = language_of(request)
        text = await asyncio.to_thread(
            self._rendered,
            template,
            origin=self._info.origin,
            simulation=self._info.simulation,
            now_us=self._now_us(),
            language=language,
            zone=zone,
            who=request.app[GATE].who(request),
            resent=resent,
            **{"elsewhere": in_other_language(request)} | context,
        )
        answer = web.Response(text=text, status=status, content_type="text/html", headers=HEADERS)
        if request.query.get("lang") == language:
            answer.set_cookie(LANGUAGE_COOKIE, language, max_age=YEAR_S, path="/", samesite="Lax")
        return answer

    def _rendered(self, template: str, **context: Any) -> str:
        """The first page of each template compiles it, which takes longer than the loop may be held."""
        return self._environment.get_template(template).render(**context)

    @web.middleware
    async def refusals(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A refusal as a page, where a person asks: with what is wrong, and a way back, or to the login."""
        answer = await handler(request)
        if answer.content_type != PROBLEM_TYPE or not _is_person(request):
            return answer
        if answer.status == UNAUTHORIZED and _may_log_in(request):
            back = urlencode({"next": request.path_qs})
            return web.Response(status=303, headers=HEADERS | {"Location": f"{LOGIN}?{back}"})
        problem = json.loads(cast(web.Response, answer).text or "")
        page = await self.page(request, "error.html", status=answer.status, problem=problem)
        for header in KEPT_HEADERS & set(answer.headers):
            page.headers[header] = answer.headers[header]
        return page

    async def static(self, request: web.Request) -> web.Response:
        """A file that pages name: its address changes with its content."""
        file = request.match_info["file"]
        if file not in self._files:
            raise web.HTTPNotFound
        headers = {
            "Content-Type": f"{KINDS[Path(file).suffix]}; charset=utf-8",
            "Cache-Control": "max-age=86400",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=self._files[file], headers=headers)


def _is_person(request: web.Request) -> bool:
    """Whether a browser shows the answer: what is under /v1 is for programs, whoever asks."""
    return "text/html" in request.headers.get("Accept", "") and not request.path.startswith("/v1/")


def _may_log_in(request: web.Request) -> bool:
    """Whether a login would show what was asked for: a form would have to be filled in anew, a token be another."""
    return request.method == "GET" and "Authorization" not in request.headers


def in_other_language(request: web.Request, **asked: str) -> str:
    """The address of the same page in the language that it is not in; `asked`: what its address lacks."""
    other: Language = "en" if language_of(request) == "zh" else "zh"
    return "?" + str(request.rel_url.update_query({**asked, "lang": other}).query_string)
