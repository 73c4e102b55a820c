"""What a witness is told to watch: `NODE=tcp://HOST:PORT`, `tls://HOST:PORT`, `icmp://HOST`, each of the first two also
`?proxy=HOST:PORT`, a way through an HTTP proxy."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, parse_qs, urlsplit

from weighbridge.wire.misfit import NAME

MOST_TARGETS = 256
LONGEST_NAME = 128
_NAME = re.compile(NAME + r"\Z")

Scheme = Literal["tcp", "tls", "icmp"]


class TargetError(ValueError):
    """This is no target. The message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way to one node. `port` is 0 for icmp."""

    node: str
    scheme: Scheme
    host: str
    port: int
    proxy: tuple[str, int] | None = None

    @property
    def address(self) -> str:
        """As a report tells it."""
        place = f"{self.scheme}://{self.host}" + (f":{self.port}" if self.port else "")
        return place if self.proxy is None else f"{place}/via/{self.proxy[0]}:{self.proxy[1]}"

    @property
    def name(self) -> str:
        """Its name among a witness's devices."""
        return f"{self.node}/{self.address}"


def read_targets(texts: Sequence[str]) -> tuple[Target, ...]:
    """Raises TargetError."""
    targets = tuple(map(read_target, texts))
    if len(targets) > MOST_TARGETS:
        raise TargetError(f"{len(targets)} targets; {MOST_TARGETS} are the most")
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise TargetError(f"{name} is named twice")
    return targets


def read_target(text: str) -> Target:
    """Raises TargetError."""
    node, _, url = text.partition("=")
    try:
        return _target(node, urlsplit(url))
    except ValueError as error:
        raise TargetError(f"{text}: {error}; write NODE=tcp://HOST:PORT") from error


def _target(node: str, parts: SplitResult) -> Target:
    proxies = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    if parts.path or parts.fragment or parts.username or proxies.keys() - {"proxy"}:
        raise ValueError("more than a host and a port")
    host, port = parts.hostname or "", parts.port or 0
    proxy = _proxy(proxies["proxy"]) if proxies else None
    match parts.scheme:
        case "tcp" | "tls" if port:
            target = Target(node, parts.scheme, host, port, proxy)
        case "icmp" if not port and proxy is None:
            target = Target(node, parts.scheme, host, 0)
        case _:
            raise ValueError("a scheme with what belongs to it: tcp and tls a port, icmp none")
    if not host or not _NAME.match(target.name) or len(target.name) > LONGEST_NAME:
        raise ValueError(f"names of letters, digits and . _ : / -, {LONGEST_NAME} in all")
    return target


def _proxy(given: list[str]) -> tuple[str, int]:
    parts = urlsplit(f"//{given[0]}")
    if len(given) != 1 or not parts.hostname or not parts.port:
        raise ValueError("a proxy is HOST:PORT")
    return parts.hostname, parts.port
