"""A collector as those reach it who ask: by the control socket of its store, or at its URL with a token.

It rests on the standard library alone, and on what of it starts fast: most commands do little else.
"""

import http.client
import ipaddress
import json
import os
import socket
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from collector.stated import StatedError
from weighbridge.wire.visible import visible

SECONDS = 60.0
"""How long a command waits for a sign of its answer."""

Body = Mapping[str, Any] | bytes | None
NO_ROUTE = frozenset({HTTPStatus.NOT_FOUND.phrase, HTTPStatus.METHOD_NOT_ALLOWED.phrase})
"""What a collector says of a path that it does not have; of a thing that is not there it says which."""


class CollectorError(StatedError):
    """The collector refused, or its answer is none. The message is the problem's detail, or says what to do."""


class UnreachableError(CollectorError):
    """No collector answers there now."""


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, address: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._address = address

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._address)


def exchanged(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Body = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Status and body of one answer. A body that is no bytes goes as JSON. Raises OSError, HTTPException."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if isinstance(body, Mapping) else {}
    try:
        connection.request(method, path, content, {**kind, **(headers or {})})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def answer_of(status: int, data: bytes) -> Any:
    """The JSON of an answer. Raises CollectorError for a refusal, and for what no collector says."""
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise CollectorError(
            f"what answers is no collector (status {status}): another server, or a proxy"
        ) from error
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return answer
    detail = visible(str(answer.get("detail", answer) if isinstance(answer, dict) else answer))
    if detail in NO_ROUTE:
        detail = "the collector does not know this command: it is older than this program"
    raise CollectorError(detail)


@dataclass(frozen=True)
class RemoteCollector:
    """At `https://…`, at `http://` on loopback, or at `unix:PATH`. `ca`, where it is given, is the only CA trusted."""

    url: str
    token: str | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        """Raises CollectorError for a URL over which others could read what is asked."""
        parts = self._parts
        try:
            parts.port  # noqa: B018
        except ValueError as error:
            raise CollectorError(f"{self.url}: {error}") from error
        private = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts))
        if not (parts.hostname and private) and not (parts.scheme == "unix" and parts.path):
            raise CollectorError(
                f"{self.url}: only https, http to a loopback address, or unix:PATH"
            )

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            raise CollectorError(f"{self.ca}: no certificate as PEM") from error

    def ask(self, method: str, path: str, body: Body = None, seconds: float = SECONDS) -> Any:
        """Its JSON answer. Raises CollectorError."""
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        base = "" if self._parts.scheme == "unix" else self._parts.path.rstrip("/")
        try:
            connection = self._connection(seconds)
            status, data = exchanged(connection, method, base + path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"{self.url}: {self._why(error, seconds)}") from error
        try:
            return answer_of(status, data)
        except CollectorError as error:
            raise CollectorError(f"{self.url}: {self._refusal(status, error)}") from error

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        parts, host = self._parts, self._parts.hostname or ""
        if parts.scheme == "unix":
            return SocketConnection(parts.path, seconds)
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port, timeout=seconds)
        proxy = _proxy_to(host)
        if proxy is None:
            return http.client.HTTPSConnection(
                host, parts.port, timeout=seconds, context=self._trust
            )
        tunnel = http.client.HTTPSConnection(
            proxy.hostname or "", proxy.port or 80, timeout=seconds, context=self._trust
        )
        tunnel.set_tunnel(host, parts.port or 443, _proxy_headers(proxy))
        return tunnel

    def _why(self, error: Exception, seconds: float) -> str:
        """Why nothing came back, and what to do about it."""
        if isinstance(error, ssl.SSLCertVerificationError):
            said = f"its certificate is not trusted: {error.verify_message}"
            named = "name its own CA (its keys/ca.pem) with --ca or WEIGHBRIDGE_CA"
            return f"{said}; {named if self.ca is None else f'trusted is {self.ca} alone'}"
        if isinstance(error, ssl.SSLError):
            return f"no TLS is spoken there: {error.reason or error}"
        if isinstance(error, TimeoutError):
            return f"no answer within {seconds:.0f} s"
        if isinstance(error, socket.gaierror):
            return f"its name is not known: {error.strerror}"
        if isinstance(error, OSError):
            return f"it cannot be reached: {error.strerror or error}"
        return f"what answers is no collector: {str(error) or type(error).__name__}"

    def _refusal(self, status: int, error: CollectorError) -> str:
        if status == HTTPStatus.UNAUTHORIZED and self.token is None:
            return "it asks for a token: name its file with --token-file or WEIGHBRIDGE_TOKEN_FILE"
        if status == HTTPStatus.UNAUTHORIZED:
            return f"it refuses the token: {error}"
        if status == HTTPStatus.FORBIDDEN:
            return f"the token does not reach this: {error}"
        return str(error)


def _is_loopback(parts: SplitResult) -> bool:
    try:
        return (
            parts.hostname == "localhost" or ipaddress.ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        return False


def _proxy_to(host: str) -> SplitResult | None:
    """The proxy that HTTPS_PROXY names, unless NO_PROXY excepts the host."""
    named = os.environ.get("https_proxy") or os.environ.get("HTTPS_PROXY")
    if not named:
        return None
    from urllib.request import proxy_bypass

    return None if proxy_bypass(host) else urlsplit(named if "://" in named else f"//{named}")


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    shown = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(shown.encode()).decode()}"}
