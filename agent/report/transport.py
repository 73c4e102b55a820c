"""How the agent reaches its collector: HTTPS with a pinned CA, or plain HTTP where nobody else can listen.

`unix:/path/to/socket` names a Unix socket. HTTPS_PROXY and NO_PROXY are honoured; plain HTTP never has a proxy.
"""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from weighbridge.wire.parts import PARTS_HEADER, PARTS_TYPE
from weighbridge.wire.receipts import KEPT_HEADER, REPORTS_PATH, REPORTS_TYPE

TIMEOUT_S = 30
_LARGEST_ANSWER = 4 << 20


class TransportError(Exception):
    """The URL is not one to send evidence to. The message names it."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back, whatever the status. `retry_after_s` is the collector's wish, `parts` what PARTS_HEADER says."""

    status: int
    body: bytes
    retry_after_s: int | None
    parts: str | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch as it travels, as envelopes in zstd or in parts. `newest`: its last payload."""

    body: bytes
    in_parts: bool = False
    newest: bytes = b""


def check_url(url: str) -> None:
    """Raises TransportError unless reports sent there cannot be read or changed on the way."""
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path:
        return
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname):
        return
    raise TransportError(f"{url}: only https, http to a loopback address, or unix:/path")


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class Transport:
    """One connection pool to one collector. `ca` is the only certificate authority trusted where it is given."""

    def __init__(self, url: str, trust: ssl.SSLContext | bool = True) -> None:
        check_url(url)
        parts = urlsplit(url)
        connector: aiohttp.BaseConnector
        if parts.scheme == "unix":
            connector, self._base = aiohttp.UnixConnector(parts.path), "http://localhost"
        else:
            connector, self._base = aiohttp.TCPConnector(ssl=trust, limit=2), url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            trust_env=parts.scheme == "https",
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post_reports(self, batch: Packed, kept: Sequence[int] = ()) -> HttpAnswer:
        """Reports, as they were packed; `kept` asks for proofs from those sizes on.

        Raises OSError when no answer comes.
        """
        headers = {"Content-Type": REPORTS_TYPE, "Content-Encoding": "zstd"}
        if batch.in_parts:
            headers = {"Content-Type": PARTS_TYPE}
        if kept:
            headers[KEPT_HEADER] = ",".join(map(str, kept))
        return await self.request("POST", REPORTS_PATH, batch.body, headers)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> HttpAnswer:
        """Raises OSError when no whole answer comes within the time limit. Follows no redirect."""
        limit = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(
                method,
                self._base + path,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=limit,
            ) as response:
                answer = await response.content.read(_LARGEST_ANSWER)
                while chunk := await response.content.read(_LARGEST_ANSWER - len(answer)):
                    answer += chunk
                return HttpAnswer(
                    response.status,
                    answer,
                    _seconds(response.headers.get("Retry-After")),
                    response.headers.get(PARTS_HEADER),
                )
        except aiohttp.ClientError as error:
            raise OSError(f"{method} {path}: {error}") from error
        except TimeoutError as error:
            raise OSError(f"{method} {path}: no answer within {timeout_s:.0f} s") from error

    async def close(self) -> None:
        """Close the pool."""
        await self._session.close()


def pinned(ca: Path) -> ssl.SSLContext:
    """Trust in one certificate authority and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=ca)
    return context


def unverified() -> ssl.SSLContext:
    """Trust in nobody asked for: only to fetch a certificate whose hash is already known."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _seconds(retry_after: str | None) -> int | None:
    return int(retry_after) if retry_after is not None and retry_after.isdecimal() else None
