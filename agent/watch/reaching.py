"""One attempt to reach a target: what came back, and after how long.

Only what the far side did or did not do says something of it. Where this machine has no way out, knows no such name, or
may not ask, the answer is the reason why nothing can be said.
"""

import asyncio
import errno
import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from agent.watch.targets import Target
from weighbridge.wire.report import Reason

PROXY_HEAD_BYTES = 16 << 10
TOKEN_BYTES = 16
OWN_FAULTS = frozenset({errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EMFILE})
"""Failures of this machine's own network."""

ECHOES = {socket.AF_INET: (1, 8, 0), socket.AF_INET6: (58, 128, 129)}
"""By family: the protocol, the type of an echo request, and that of its reply (RFC 792, RFC 4443)."""


NO_ANSWER, ANSWERED, REFUSED = 0, 1, 2
"""What came of it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whether the target was reached, and how long each step took; a reason where there is nothing to say."""

    reached: int | Reason
    connect_us: int | Reason = Reason.NOT_SUPPORTED
    handshake_us: int | Reason = Reason.NOT_SUPPORTED


class UnsaidError(Exception):
    """Nothing can be said of the target."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


Clock = Callable[[], int]


async def attempt(target: Target, clock_us: Clock, within_s: float) -> Attempt:
    """Try once. It returns within the time given, and raises nothing."""
    trying = _echo if target.scheme == "icmp" else _connect
    try:
        async with asyncio.timeout(within_s):
            return await trying(target, clock_us)
    except UnsaidError as unsaid:
        return Attempt(unsaid.reason)
    except TimeoutError:
        return Attempt(NO_ANSWER)
    except ConnectionRefusedError:
        return Attempt(REFUSED)
    except socket.gaierror:
        return Attempt(Reason.NOT_FOUND)
    except PermissionError:
        return Attempt(Reason.NO_PERMISSION)
    except (OSError, EOFError) as error:
        own = isinstance(error, OSError) and error.errno in OWN_FAULTS
        return Attempt(Reason.NOT_READY if own else NO_ANSWER)


async def _connect(target: Target, clock_us: Clock) -> Attempt:
    began_us = clock_us()
    writer = await _way(target)
    try:
        connect_us = clock_us() - began_us
        if target.scheme == "tcp":
            return Attempt(ANSWERED, connect_us)
        began_us = clock_us()
        await writer.start_tls(_any_certificate(), server_hostname=target.host)
        return Attempt(ANSWERED, connect_us, clock_us() - began_us)
    finally:
        writer.transport.abort()


async def _way(target: Target) -> asyncio.StreamWriter:
    """A connection to the target, straight or through its proxy."""
    if target.proxy is None:
        return (await asyncio.open_connection(target.host, target.port))[1]
    try:
        reader, writer = await asyncio.open_connection(*target.proxy, limit=PROXY_HEAD_BYTES)
    except OSError as error:
        raise UnsaidError(Reason.NOT_READY) from error
    try:
        await _ask_proxy(target, reader, writer)
    except BaseException:
        writer.transport.abort()
        raise
    return writer


async def _ask_proxy(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """CONNECT (RFC 9110, 9.3.6). A proxy that does not let this machine through says nothing of the target."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    place = f"{host}:{target.port}"
    writer.write(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise UnsaidError(Reason.CORRUPTED) from error
    status = head.split(b" ", 2)[1:2]
    match status[0][:1] if status else b"":
        case b"2":
            return
        case b"5":
            raise ConnectionAbortedError
        case _:
            raise UnsaidError(Reason.NO_PERMISSION)


def _any_certificate() -> ssl.SSLContext:
    """Who answers is not asked here, only whether a handshake comes to its end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def _echo(target: Target, clock_us: Clock) -> Attempt:
    """An ICMP echo over a socket that needs no privilege where `net.ipv4.ping_group_range` allows it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(target.host, None, type=socket.SOCK_DGRAM)
    family, address = found[0][0], found[0][4]
    protocol, request, reply = ECHOES[socket.AddressFamily(family)]
    token, began_us = secrets.token_bytes(TOKEN_BYTES), clock_us()
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as pinging:
        pinging.setblocking(False)
        pinging.connect(address)
        await loop.sock_sendall(pinging, bytes([request, 0, 0, 0, 0, 0, 0, 1]) + token)
        while True:
            answer = await loop.sock_recv(pinging, 1 << 10)
            if answer[:1] == bytes([reply]) and answer[8:] == token:
                return Attempt(ANSWERED, clock_us() - began_us)
