"""Logins of people: kept in memory, so a restart ends them all; a browser holds a name for one, in a cookie.

What a login changes it changes by a form (or a header) that carries what only our pages know.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from aiohttp import web

from collector.api.access import GATE, SAFE_METHODS, Bearer, Session
from collector.api.forms import form
from weighbridge.wire.problems import Problem

LIFE_SECONDS = 12 * 3600.0
IDLE_SECONDS = 3600.0
MOST_SESSIONS = 10_000
MOST_OF_ONE = 20
"""What one person may have at a time: of more, the one that was used longest ago ends."""
KEY_BYTES = 32
COOKIE = "weighbridge-session"
CSRF_FIELD, CSRF_HEADER = "csrf", "X-CSRF-Token"


@dataclass(slots=True)
class _Kept:
    session: Session
    begun: float
    used: float


class Sessions:
    """Every login that lasts. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        """The one that was used longest ago is first."""

    def begin(self, bearer: Bearer, hint: str | None = None) -> Session:
        """A new login; `hint` as in Session."""
        self._make_room(bearer)
        now = self._clock()
        key, csrf = (secrets.token_urlsafe(KEY_BYTES) for _ in range(2))
        session = Session(key, csrf, bearer, hint)
        self._kept[key] = _Kept(session, now, now)
        return session

    def of(self, request: web.Request) -> Session | None:
        """The login that a request's cookie names, while it lasts."""
        kept = self._kept.get(request.cookies.get(cookie_name(request), ""))
        if kept is None:
            return None
        if self._ended(kept):
            self.end(kept.session)
            return None
        kept.used = self._clock()
        self._kept.move_to_end(kept.session.key)
        return kept.session

    def end(self, session: Session) -> None:
        """It was a login."""
        self._kept.pop(session.key, None)

    async def require_meant(self, request: web.Request, session: Session) -> None:
        """Raises Problem: forbidden where a request that may change something does not carry what our pages know."""
        if request.method in SAFE_METHODS:
            return
        shown = request.headers.get(CSRF_HEADER)
        if shown is None:
            shown = (await form(request)).get(CSRF_FIELD, "")
        if not compare_digest(shown.encode(errors="replace"), session.csrf.encode()):
            raise Problem("forbidden", "this form is not one of this login: open its page again")

    def _ended(self, kept: _Kept) -> bool:
        now = self._clock()
        return now - kept.begun >= LIFE_SECONDS or now - kept.used >= IDLE_SECONDS

    def _make_room(self, bearer: Bearer) -> None:
        """For one more: ended ones go, then what its person has beyond their number, then the oldest of all."""
        for kept in [kept for kept in self._kept.values() if self._ended(kept)]:
            self.end(kept.session)
        own = [kept for kept in self._kept.values() if kept.session.bearer == bearer]
        for kept in own[: max(len(own) - MOST_OF_ONE + 1, 0)]:
            self.end(kept.session)
        while len(self._kept) >= MOST_SESSIONS:
            self._kept.popitem(last=False)


def cookie_name(request: web.Request, name: str = COOKIE) -> str:
    """By TLS one that no other host's page and no plain answer can have set."""
    return f"__Host-{name}" if request.app[GATE].secure(request) else name


def hand_out(request: web.Request, answer: web.StreamResponse, session: Session | None) -> None:
    """The browser holds this login's name from now on, or none any more."""
    keep_cookie(request, answer, COOKIE, None if session is None else session.key)


def keep_cookie(
    request: web.Request, answer: web.StreamResponse, name: str, value: str | None
) -> None:
    """The browser keeps it until it is closed, for us alone, out of reach of scripts; or no more."""
    answer.set_cookie(
        cookie_name(request, name),
        value or "",
        max_age=0 if value is None else None,
        path="/",
        httponly=True,
        samesite="Lax",
        secure=request.app[GATE].secure(request),
    )
