"""Logging in by a token, and out again."""

import re
from typing import Any

from aiohttp import web

from collector.api.access import ADMITTED, GATE, Bearer, client, require_own_site
from collector.api.forms import form
from collector.api.guesses import Guesses
from collector.api.room import site
from collector.api.routes import Access, Route
from collector.api.sessions import Sessions, hand_out
from collector.web.shell import LOGIN, Shell

OWN = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,2000}")
HTML = "text/html"


def own_path(text: str) -> str:
    """Where to go after a login: an address of ours, or the first page. A browser reads `//` as another host."""
    return text if OWN.fullmatch(text) else "/"


class LoginPage:
    """The handlers over the logins of one collector."""

    def __init__(self, shell: Shell, sessions: Sessions, guesses: Guesses) -> None:
        self._shell = shell
        self._sessions = sessions
        self._guesses = guesses

    def routes(self) -> tuple[Route, ...]:
        """Everything that logins need."""
        asked = ("next", "lang")
        known = Access.KNOWN
        return (
            Route("GET", LOGIN, self.page, Access.OPEN, "Where people log in.", asked, HTML),
            Route("POST", LOGIN, self.enter, Access.OPEN, "Log in by a token.", (), HTML),
            Route("POST", "/logout", self.leave, known, "End this login.", (), HTML),
        )

    async def page(self, request: web.Request) -> web.Response:
        return await self._asking(request, own_path(request.query.get("next", "/")))

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """A token that is known begins a login; of wrong ones each address has so many."""
        require_own_site(request)
        sent = await form(request)
        goal, address = own_path(sent.get("next", "/")), site(client(request))
        wait = self._guesses.wait_seconds(address)
        if wait:
            answer = await self._asking(request, goal, status=429, wait_seconds=wait)
            answer.headers["Retry-After"] = str(wait)
            return answer
        token = sent.get("token", "").strip()
        bearer = request.app[GATE].bearer_of(token)
        if bearer is None:
            if token:
                self._guesses.wrong(address)
            return await self._asking(request, goal, status=401, unknown=True)
        return self._begun(request, bearer, goal)

    async def leave(self, request: web.Request) -> web.StreamResponse:
        """The login of this browser is over."""
        self._end(request)
        answer = _sent_to(LOGIN)
        hand_out(request, answer, None)
        return answer

    def _begun(self, request: web.Request, bearer: Bearer, goal: str) -> web.StreamResponse:
        """A login of its own each time: a name that somebody else may know is never taken over."""
        self._end(request)
        reads = bearer.roles & ADMITTED[Access.READ]
        answer = _sent_to(goal if reads or goal != "/" else LOGIN)
        hand_out(request, answer, self._sessions.begin(bearer))
        return answer

    def _end(self, request: web.Request) -> None:
        session = self._sessions.of(request)
        if session is not None:
            self._sessions.end(session)

    async def _asking(
        self, request: web.Request, goal: str, *, status: int = 200, **said: Any
    ) -> web.Response:
        told: dict[str, Any] = {"goal": goal, "unknown": False, "wait_seconds": 0}
        return await self._shell.page(request, "login.html", status=status, **told | said)


def _sent_to(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
