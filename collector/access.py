"""Who may read what. Agents sign; everyone else shows a bearer token, of which the configuration holds the hash.

Closed by default: without a token nothing is read, but on loopback where the configuration opens it. A request that
was forwarded is never local, whoever connected.
"""

import hashlib
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

from collector.problems import Problem

FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Role(StrEnum):
    """What a token is for."""

    ADMIN = "admin"
    AUDITOR = "auditor"
    OPS = "ops"
    PROVIDER = "provider"
    LESSEE = "lessee"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Someone who reads. A party (provider or lessee) reads the contracts that its token names, and nothing else."""

    role: Role
    party: str | None = None
    contract: str | None = None

    def reads_all(self) -> bool:
        return self.role in (Role.ADMIN, Role.AUDITOR)

    def reads_contract(self, contract: str) -> bool:
        return self.reads_all() or (self.contract is not None and self.contract == contract)


def parse_role(text: str) -> Viewer:
    """`admin`, `auditor`, `ops`, `provider:PARTY/CONTRACT` or `lessee:PARTY/CONTRACT`. Raises ValueError."""
    name, _, scope = text.partition(":")
    role = Role(name)
    party, _, contract = scope.partition("/")
    if role not in (Role.PROVIDER, Role.LESSEE):
        if scope:
            raise ValueError(f"role {name} has no party")
        return Viewer(role)
    if not party or not contract:
        raise ValueError(f"role {name} is written {name}:PARTY/CONTRACT")
    return Viewer(role, party, contract)


def token_hash(token: str) -> str:
    """What the configuration holds of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Access:
    """Finds out who asks. `tokens` maps hashes of tokens to viewers."""

    def __init__(
        self,
        tokens: Mapping[str, Viewer],
        open_on_loopback: bool,
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        self._tokens = tokens
        self._open_on_loopback = open_on_loopback
        self._proxies = [ipaddress.ip_network(proxy) for proxy in trusted_proxies]

    def viewer(self, request: web.Request) -> Viewer:
        """Who asks. Raises Problem: unauthorized."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            viewer = self._tokens.get(token_hash(token.strip()))
            if viewer is None:
                raise Problem("unauthorized", "the token is not known")
            return viewer
        if self._open_on_loopback and is_local(request):
            return Viewer(Role.ADMIN)
        raise Problem("unauthorized", "show a token: Authorization: Bearer TOKEN")

    def require(self, request: web.Request, roles: Collection[Role]) -> Viewer:
        """Who asks, if they have one of these roles. Raises Problem: unauthorized, forbidden."""
        viewer = self.viewer(request)
        if viewer.role not in roles:
            raise Problem("forbidden", f"not for role {viewer.role}")
        return viewer

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
