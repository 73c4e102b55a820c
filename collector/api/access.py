"""Who may do what. Agents sign; everyone else shows a token, whose hash the configuration holds, or has logged in.

Closed by default: without a token or a login nothing is read, but over the control socket, or on loopback where the
configuration opens it. A request that was forwarded is never local, whoever connected; one that a page of another site
makes a browser send is refused, whoever asks; and what a login changes, it changes by a form of ours.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from aiohttp import web

from collector.api import routes
from collector.api.doors import known
from collector.api.patience import Patience
from collector.api.routes import Viewer
from weighbridge.wire.problems import Problem

FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
VIEWER = web.RequestKey("viewer", Viewer)


def viewer(request: web.Request) -> Viewer:
    """What who asks may see, for a handler that the gate guards."""
    return request[VIEWER]


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    OPS = "ops"
    PROVIDER = "provider"
    LESSEE = "lessee"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role; a party's (provider or lessee) is for one contract, and names the party there."""

    role: Role
    party: str | None = None
    contract: str | None = None

    def __str__(self) -> str:
        return self.role if self.party is None else f"{self.role}:{self.party}/{self.contract}"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Somebody who is known, by what was granted to them. `person`: what they are called, where anybody said so."""

    grants: frozenset[Grant]
    person: str = ""

    @classmethod
    def of(cls, *grants: Grant, person: str = "") -> "Bearer":
        return cls(frozenset(grants), person)

    @property
    def roles(self) -> frozenset[Role]:
        return frozenset(grant.role for grant in self.grants)

    @property
    def name(self) -> str:
        """Under which what they hold is counted."""
        return " ".join([self.person, *sorted(map(str, self.grants))]).strip()

    @property
    def viewer(self) -> Viewer:
        """Which contracts they see."""
        if self.roles & {Role.ADMIN, Role.AUDITOR}:
            return Viewer()
        return Viewer(frozenset(one.contract for one in self.grants if one.contract is not None))

    def parties(self, contract: str) -> tuple[str, ...]:
        """In whose name they speak in a contract; an administrator may speak in anybody's."""
        return tuple(sorted(one.party or "" for one in self.grants if one.contract == contract))

    def speaks_as(self, contract: str, party: str) -> Role | None:
        """The role by which they say something in a party's name, or None where they may not."""
        if Role.ADMIN in self.roles:
            return Role.ADMIN
        seats = (one for one in self.grants if (one.contract, one.party) == (contract, party))
        return next((seat.role for seat in seats), None)


def parse_role(text: str) -> Grant:
    """`admin`, `auditor`, `ops`, `provider:PARTY/CONTRACT` or `lessee:PARTY/CONTRACT`. Raises ValueError."""
    name, _, scope = text.partition(":")
    role = Role(name)
    party, _, contract = scope.partition("/")
    if role not in (Role.PROVIDER, Role.LESSEE):
        if scope:
            raise ValueError(f"role {name} has no party")
        return Grant(role)
    if not party or not contract:
        raise ValueError(f"role {name} is written {name}:PARTY/CONTRACT")
    return Grant(role, party, contract)


def granted(roles: Sequence[str], person: str = "") -> Bearer:
    """Somebody with these roles, each as `parse_role` takes it. Raises ValueError."""
    if not roles:
        raise ValueError("no role is named")
    return Bearer.of(*map(parse_role, roles), person=person)


@dataclass(frozen=True, slots=True)
class Session:
    """A login. `key` is the cookie's value; `csrf` is what each form carries that this login sends.

    `hint`: the ID token that names the session at the provider by which it began; None: it began by a token.
    """

    key: str
    csrf: str
    bearer: Bearer
    hint: str | None = None


class SessionKeeper(Protocol):
    """Keeps logins: `collector.api.sessions.Sessions`."""

    def of(self, request: web.Request) -> Session | None:
        """The login that a request's cookie names, while it lasts."""

    async def require_meant(self, request: web.Request, session: Session) -> None:
        """Raises Problem where a form is not one of ours for this login."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and by which login where it is one."""

    bearer: Bearer
    session: Session | None = None

    @property
    def shown(self) -> str:
        """What they are called: by name, or as the party that they are."""
        parties = {grant.party for grant in self.bearer.grants if grant.party is not None}
        return self.bearer.person or ", ".join(sorted(parties))

    @property
    def roles(self) -> list[Role]:
        return sorted(self.bearer.roles)


ADMITTED: Mapping[routes.Access, frozenset[Role]] = {
    routes.Access.OPEN: frozenset(Role),
    routes.Access.KNOWN: frozenset(Role),
    routes.Access.READ: frozenset({Role.ADMIN, Role.AUDITOR, Role.PROVIDER, Role.LESSEE}),
    routes.Access.METRICS: frozenset({Role.ADMIN, Role.AUDITOR, Role.OPS}),
    routes.Access.SPEAK: frozenset({Role.ADMIN, Role.PROVIDER, Role.LESSEE}),
    routes.Access.ADMIN: frozenset({Role.ADMIN}),
}
"""Which roles each kind of route admits."""

WAITING = frozenset({routes.Access.READ, routes.Access.SPEAK})
"""Kinds of routes whose answers take a while: of these one caller is answered so many at a time."""

LOCAL = Bearer.of(Grant(Role.AUDITOR))
"""Whoever is on this machine, where the configuration opens it: reads all and changes nothing."""

CONTROL = Bearer.of(Grant(Role.ADMIN))
"""Whoever may open the control socket, which the file system guards."""


def token_hash(token: str) -> str:
    """What the configuration holds of a token. A header's bytes need not be UTF-8."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Gate:
    """Finds out who asks. `tokens` maps hashes of tokens to their bearers; `control` admits everyone as admin.

    Where there are no `sessions` nobody logs in.
    """

    def __init__(
        self,
        tokens: Mapping[str, Bearer],
        open_on_loopback: bool,
        trusted_proxies: Sequence[str] = (),
        control: bool = False,
        sessions: SessionKeeper | None = None,
    ) -> None:
        self._tokens = tokens
        self._open_on_loopback = open_on_loopback
        self._proxies = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]
        self.control = control
        self._sessions = sessions
        self._patience = Patience()

    def bearer_of(self, token: str) -> Bearer | None:
        """Whose token this is."""
        return self._tokens.get(token_hash(token))

    def caller(self, request: web.Request) -> Caller:
        """Who asks: by the token of the request, by a login, or as somebody here. Raises Problem: unauthorized."""
        if self.control:
            return Caller(CONTROL)
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            bearer = self.bearer_of(token.strip())
            if bearer is None:
                raise Problem("unauthorized", "the token is not known")
            return Caller(bearer)
        session = None if self._sessions is None else self._sessions.of(request)
        if session is not None:
            return Caller(session.bearer, session)
        if self._open_on_loopback and is_local(request):
            return Caller(LOCAL)
        raise Problem("unauthorized", "log in, or show a token: Authorization: Bearer TOKEN")

    def who(self, request: web.Request) -> Caller | None:
        """The same, or None where nobody is known."""
        try:
            return self.caller(request)
        except Problem:
            return None

    async def admitted(self, request: web.Request, roles: frozenset[Role]) -> Bearer:
        """Who asks, of these roles, and means it. Raises Problem: unauthorized, forbidden."""
        require_own_site(request)
        caller = self.caller(request)
        bearer = caller.bearer
        if not bearer.roles & roles:
            raise Problem("forbidden", f"not for role {', '.join(sorted(bearer.roles))}")
        request[VIEWER] = bearer.viewer
        known(request, bearer.name)
        if self._sessions is not None and caller.session is not None:
            await self._sessions.require_meant(request, caller.session)
        return bearer

    def guard(self, route: routes.Route) -> routes.Handler:
        """The route's handler, which runs only for those whom the route admits."""
        if route.access is routes.Access.OPEN:
            return route.handler
        roles = ADMITTED[route.access]
        waits = route.access in WAITING and not self.control

        async def handler(request: web.Request) -> web.StreamResponse:
            bearer = await self.admitted(request, roles)
            if not waits:
                return await route.handler(request)
            async with self._patience.turn(bearer.name):
                return await route.handler(request)

        return handler

    def client(self, request: web.Request) -> str:
        """The address that a request came from: the last one that a trusted proxy vouches for."""
        peer = request.remote or "unix"
        forwarded = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",")]
        for hop in reversed([hop for hop in forwarded if hop]):
            if not self._trusts(peer):
                break
            peer = hop
        return peer

    def secure(self, request: web.Request) -> bool:
        """Whether the request came by TLS, to here or to a trusted proxy."""
        said = request.headers.get("X-Forwarded-Proto", "").rpartition(",")[2].strip()
        return request.secure or (said == "https" and self._trusts(request.remote or "unix"))

    def _trusts(self, peer: str) -> bool:
        if peer == "unix":
            return bool(self._proxies)
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(address in proxy for proxy in self._proxies)


GATE = web.AppKey("gate", Gate)


def client(request: web.Request) -> str:
    """Where a request came from, for messages: the last address that a trusted proxy vouches for."""
    return request.app[GATE].client(request)


SAFE_METHODS = frozenset({"GET", "HEAD"})


def require_own_site(request: web.Request) -> None:
    """A browser may come here from elsewhere to look at a page, and for nothing else. Raises Problem: forbidden."""
    headers = request.headers
    site, looking = headers.get("Sec-Fetch-Site", "none"), headers.get("Sec-Fetch-Mode")
    foreign = site not in ("none", "same-origin")
    origin = headers.get("Origin")
    if origin is not None and request.method not in SAFE_METHODS:
        foreign = foreign or origin.partition("://")[2] != headers.get("Host", "")
    if foreign and not (request.method in SAFE_METHODS and looking == "navigate"):
        raise Problem("forbidden", "a page of another site asks")


def is_local(request: web.Request) -> bool:
    """From this machine itself: neither forwarded, nor a browser led here by a foreign name."""
    if any(header in request.headers for header in FORWARDING_HEADERS):
        return False
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    if not isinstance(peer, tuple):
        return False
    host = request.headers.get("Host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    return ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback and name in LOCAL_NAMES
