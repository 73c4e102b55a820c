"""Logging in, by a token or by what a provider of OpenID Connect says, and out again."""

import logging
import re
from urllib.parse import urlencode

from aiohttp import web

from collector.api.access import ADMITTED, GATE, Bearer, client, require_own_site
from collector.api.forms import form
from collector.api.guesses import Guesses
from collector.api.openid import (
    ANSWER_PATH,
    LOGIN_PATH,
    Provider,
    ProviderSilentError,
    RefusedLoginError,
)
from collector.api.room import site
from collector.api.routes import Access, Route
from collector.api.sessions import Sessions, cookie_name, hand_out, keep_cookie
from collector.web.refusals import reason_in
from collector.web.shell import LOGIN, Shell, in_other_language, language_of
from weighbridge.wire.problems import Problem

OWN = re.compile(r"/(?!/)[!-\[\]-~]{0,1000}")
HTML = "text/html"
WAY_COOKIE = "weighbridge-login"
SILENT = 503

log = logging.getLogger("weighbridge")


def own_path(text: str) -> str:
    """Where to go after a login: an address of ours, or the first page. A browser reads `//` as another host."""
    return text if OWN.fullmatch(text) else "/"


class LoginPage:
    """The handlers over the logins of one collector. Without a `provider` people log in by token alone."""

    def __init__(
        self, shell: Shell, sessions: Sessions, guesses: Guesses, provider: Provider | None = None
    ) -> None:
        self._shell = shell
        self._sessions = sessions
        self._guesses = guesses
        self._provider = provider

    def routes(self) -> tuple[Route, ...]:
        """Everything that logins need."""
        asked, answered = ("next", "lang"), ("code", "state", "iss", "error", "lang")
        open_, known = Access.OPEN, Access.KNOWN
        return (
            Route("GET", LOGIN, self.page, open_, "Where people log in.", asked, HTML),
            Route("POST", LOGIN, self.enter, open_, "Log in by a token.", (), HTML),
            Route("GET", LOGIN_PATH, self.go, open_, "To the provider's login.", asked, HTML),
            Route("GET", ANSWER_PATH, self.back, open_, "Back from that login.", answered, HTML),
            Route("POST", "/logout", self.leave, known, "End this login.", (), HTML),
        )

    async def page(self, request: web.Request) -> web.Response:
        return await self._asking(request, _goal(request))

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """A token that is known begins a login; of wrong ones each address has so many."""
        require_own_site(request)
        sent = await form(request)
        goal = own_path(sent.get("next", "/"))
        if self._wait_seconds(request):
            return await self._waiting(request, goal)
        token = sent.get("token", "").strip()
        bearer = request.app[GATE].bearer_of(token)
        if bearer is None:
            if token:
                self._guesses.wrong(_address(request))
            return await self._asking(request, goal, 401, "token_unknown")
        return self._begun(request, bearer, goal)

    async def go(self, request: web.Request) -> web.StreamResponse:
        """To the provider, and with a cookie for the way back."""
        goal, provider = _goal(request), self._required()
        try:
            there, way = await provider.begin(goal)
        except ProviderSilentError as error:
            return await self._silent(request, goal, error)
        answer = _sent_to(there)
        keep_cookie(request, answer, WAY_COOKIE, way)
        return answer

    async def back(self, request: web.Request) -> web.StreamResponse:
        """What the provider says of them decides. Codes that it does not take are guesses, as wrong tokens are; what
        answers no login of this browser costs nobody anything: a page of another site can make a browser send that."""
        require_own_site(request)
        provider, cookie = self._required(), request.cookies.get(cookie_name(request, WAY_COOKIE))
        try:
            way = provider.answered(request.query, cookie or "")
        except RefusedLoginError as error:
            return await self._refused(request, error)
        if self._wait_seconds(request):
            return await self._waiting(request, way.goal)
        self._guesses.wrong(_address(request))
        try:
            arrival = await provider.finish(way, request.query.get("code", ""))
        except ProviderSilentError as error:
            self._guesses.right(_address(request))
            return await self._silent(request, way.goal, error)
        except RefusedLoginError as error:
            return await self._refused(request, error)
        self._guesses.right(_address(request))
        answer = self._begun(request, *arrival)
        keep_cookie(request, answer, WAY_COOKIE, None)
        return answer

    async def leave(self, request: web.Request) -> web.StreamResponse:
        """The login of this browser is over; one that a provider began is on its way to end there too."""
        session = self._sessions.of(request)
        self._end(request)
        hint = None if session is None else session.hint
        there = None if hint is None else await self._required().ending(hint)
        answer = _sent_to(LOGIN) if there is None else await self._leading(request, there)
        hand_out(request, answer, None)
        return answer

    async def _leading(self, request: web.Request, there: str) -> web.Response:
        """A page and no redirect: a browser lets no form of ours end elsewhere."""
        elsewhere, provider = LOGIN + in_other_language(request), self._required().label
        answer = await self._shell.page(
            request, "left.html", elsewhere=elsewhere, there=there, provider=provider
        )
        answer.headers["Refresh"] = f"0; url={there}"
        return answer

    def _required(self) -> Provider:
        if self._provider is None:
            raise Problem("not_found", "no provider is configured: log in by token")
        return self._provider

    def _begun(
        self, request: web.Request, bearer: Bearer, goal: str, hint: str | None = None
    ) -> web.StreamResponse:
        """A login of its own each time: a name that somebody else may know is never taken over."""
        self._end(request)
        reads = bearer.roles & ADMITTED[Access.READ]
        answer = _sent_to(goal if reads or goal != "/" else LOGIN)
        hand_out(request, answer, self._sessions.begin(bearer, hint))
        return answer

    def _end(self, request: web.Request) -> None:
        session = self._sessions.of(request)
        if session is not None:
            self._sessions.end(session)

    def _wait_seconds(self, request: web.Request) -> int:
        return self._guesses.wait_seconds(_address(request))

    async def _waiting(self, request: web.Request, goal: str) -> web.Response:
        seconds = str(self._wait_seconds(request))
        answer = await self._asking(request, goal, 429, "try_later", seconds)
        answer.headers["Retry-After"] = seconds
        return answer

    async def _refused(self, request: web.Request, error: Exception) -> web.Response:
        log.warning("no login from %s: %s", client(request), error)
        reason = reason_in(str(error), language_of(request))
        return await self._asking(request, "/", 403, "provider_refused", reason)

    async def _silent(self, request: web.Request, goal: str, error: Exception) -> web.Response:
        log.warning("no login by the provider: %s", error)
        return await self._asking(request, goal, SILENT, "provider_silent", self._required().label)

    async def _asking(
        self, request: web.Request, goal: str, status: int = 200, *told: str
    ) -> web.Response:
        """The page, with what is to be told by a key of its words and their values."""
        provided = None if self._provider is None else self._provider.label
        asked = f"{LOGIN_PATH}?{urlencode({'next': goal})}"
        return await self._shell.page(
            request,
            "login.html",
            status=status,
            elsewhere=in_other_language(request, next=goal),
            goal=goal,
            told=told,
            provided=provided,
            asked=asked,
        )


def _goal(request: web.Request) -> str:
    return own_path(request.query.get("next", "/"))


def _address(request: web.Request) -> str:
    return site(client(request))


def _sent_to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
