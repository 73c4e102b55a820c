"""Who may read what. Agents sign; everyone else shows a bearer token, of which the configuration holds the hash.

Closed by default: without a token nothing is read, but over the control socket, or on loopback where the configuration
opens it. A request that was forwarded is never local, whoever connected; one that a page of another site makes a
browser send is refused, whoever asks.
"""

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from collector.api import routes
from collector.api.doors import known
from collector.api.routes import Viewer
from weighbridge.wire.problems import Problem

FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
VIEWER = web.RequestKey("viewer", Viewer)


def viewer(request: web.Request) -> Viewer:
    """Who asks, for a handler that the gate guards."""
    return request[VIEWER]


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    OPS = "ops"
    PROVIDER = "provider"
    LESSEE = "lessee"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whoever holds a token. A party (provider or lessee) reads the contract that its token names, and nothing else."""

    role: Role
    party: str | None = None
    contract: str | None = None

    @property
    def name(self) -> str:
        """Under which what it holds is counted."""
        return f"{self.role} {self.party}/{self.contract}"

    @property
    def viewer(self) -> Viewer:
        """Which contracts the bearer of the token sees."""
        if self.role in (Role.ADMIN, Role.AUDITOR):
            return Viewer()
        return Viewer(frozenset() if self.contract is None else frozenset({self.contract}))


def parse_role(text: str) -> Bearer:
    """`admin`, `auditor`, `ops`, `provider:PARTY/CONTRACT` or `lessee:PARTY/CONTRACT`. Raises ValueError."""
    name, _, scope = text.partition(":")
    role = Role(name)
    party, _, contract = scope.partition("/")
    if role not in (Role.PROVIDER, Role.LESSEE):
        if scope:
            raise ValueError(f"role {name} has no party")
        return Bearer(role)
    if not party or not contract:
        raise ValueError(f"role {name} is written {name}:PARTY/CONTRACT")
    return Bearer(role, party, contract)


ADMITTED: Mapping[routes.Access, frozenset[Role]] = {
    routes.Access.OPEN: frozenset(Role),
    routes.Access.READ: frozenset({Role.ADMIN, Role.AUDITOR, Role.PROVIDER, Role.LESSEE}),
    routes.Access.METRICS: frozenset({Role.ADMIN, Role.AUDITOR, Role.OPS}),
    routes.Access.ADMIN: frozenset({Role.ADMIN}),
}
"""Which roles each kind of route admits."""

LOCAL = Bearer(Role.AUDITOR)
"""Whoever is on this machine, where the configuration opens it: reads all and changes nothing."""

CONTROL = Bearer(Role.ADMIN)
"""Whoever may open the control socket, which the file system guards."""


def token_hash(token: str) -> str:
    """What the configuration holds of a token. A header's bytes need not be UTF-8."""
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()


class Gate:
    """Finds out who asks. `tokens` maps hashes of tokens to their bearers; `control` admits everyone as admin."""

    def __init__(
        self,
        tokens: Mapping[str, Bearer],
        open_on_loopback: bool,
        trusted_proxies: Sequence[str] = (),
        control: bool = False,
    ) -> None:
        self._tokens = tokens
        self._open_on_loopback = open_on_loopback
        self._proxies = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]
        self.control = control

    def bearer(self, request: web.Request) -> Bearer:
        """The bearer of the request's token. Raises Problem: unauthorized."""
        if self.control:
            return CONTROL
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            bearer = self._tokens.get(token_hash(token.strip()))
            if bearer is None:
                raise Problem("unauthorized", "the token is not known")
            return bearer
        if self._open_on_loopback and is_local(request):
            return LOCAL
        raise Problem("unauthorized", "show a token: Authorization: Bearer TOKEN")

    def guard(self, route: routes.Route) -> routes.Handler:
        """The route's handler, which runs only for those whom the route admits."""
        if route.access is routes.Access.OPEN:
            return route.handler
        admitted = ADMITTED[route.access]

        async def handler(request: web.Request) -> web.StreamResponse:
            require_own_site(request)
            bearer = self.bearer(request)
            if bearer.role not in admitted:
                raise Problem("forbidden", f"not for role {bearer.role}")
            request[VIEWER] = bearer.viewer
            known(request, bearer.name)
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
