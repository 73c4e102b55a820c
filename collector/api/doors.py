"""The connections of a listener: how long each may take to say what it wants, and to take what it asked for.

A connection stands between the network and aiohttp, which bounds the parts of a request's head but not the time that
it takes, nor how long an answer may lie unread.
"""

import asyncio
import logging
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from collector.api.room import Guest, Room, site

HEAD_SECONDS = 10.0
IDLE_SECONDS = 75.0
"""For a request's head from its first byte on, and for that byte after an answer."""
UNREAD_SECONDS = 20.0
LEAST_READ_BYTES = 64 << 10
"""Within which time so much of an answer must be taken, as long as more than that is left."""
UNREAD_BYTES = 32 << 20
"""What may wait for all readers together."""
MOST_CONNECTIONS = 16384
OWN_FILES = 128
CONNECTION_BYTES = 12 << 10
"""What an open connection holds, beside the head of a request that is still coming."""
SWEEP_SECONDS = 1.0
SAID_EVERY_SECONDS = 60.0


def most_connections() -> int:
    """As many as this process may have files open, besides its own."""
    return max(min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES), 1)


class Doors:
    """All connections. `counts` says how many were closed for what: malformed, slow, unread, crowded."""

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self.counts: Counter[str] = Counter()
        self.clock = clock
        self.connections = Room(most * CONNECTION_BYTES)
        self.unread = Room(UNREAD_BYTES)
        self._open: dict[Any, Door] = {}

    def entered(self, door: "Door") -> None:
        self._open[door.transport] = door

    def left(self, door: "Door") -> None:
        self._open.pop(door.transport, None)

    def of(self, request: web.Request) -> "Door | None":
        """The connection of a request; None on the control socket."""
        return self._open.get(request.transport)

    def sweep(self) -> None:
        """Closes what has taken too long."""
        for door in list(self._open.values()):
            reason = door.overdue()
            if reason is not None:
                door.end(reason)

    async def watch(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def close(self) -> None:
        """Nobody who does not read is waited for any longer."""
        self.unread.clear()


class Door(asyncio.Protocol):
    """One connection. Everything goes on to `inner`, which speaks HTTP."""

    def __init__(self, inner: asyncio.Protocol, doors: Doors) -> None:
        self.transport: asyncio.Transport | None = None
        self._inner = inner
        self._doors = doors
        self._since = doors.clock()
        self._asking = True
        self._busy = False
        self._read_since: float | None = None
        self._unread_bytes = 0
        self._place = Guest("", lambda: self.end("crowded"))
        self._answer = Guest("", lambda: self.end("unread"))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        address = site(peer[0]) if isinstance(peer, tuple) else "unix"
        self._place.holder = self._answer.holder = address
        self._doors.entered(self)
        self._inner.connection_made(transport)
        self._doors.connections.take(self._place, CONNECTION_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._doors.left(self)
        self._doors.connections.leave(self._place)
        self._doors.unread.leave(self._answer)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._ask(len(data))
        self._inner.data_received(data)

    def _ask(self, size: int) -> None:
        """More of the head of a request."""
        if not self._asking:
            self._asking, self._since = True, self._doors.clock()
        if self._place.size:
            self._doors.connections.take(self._place, size)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def begin(self) -> None:
        """The head of a request is here."""
        self._busy, self._asking = True, False
        if self._place.size:
            self._doors.connections.take(self._place, CONNECTION_BYTES - self._place.size)

    def answered(self) -> None:
        """The request was dealt with, though its answer may still be on its way."""
        self._busy, self._since = False, self._doors.clock()

    def know(self, key: str) -> None:
        """A known key, or whoever holds a token, speaks here."""
        self._doors.connections.know(self._place, key)
        self._doors.unread.know(self._answer, key)

    def pause_writing(self) -> None:
        self._inner.pause_writing()
        self._unread_bytes, self._read_since = self._waiting(), self._doors.clock()
        self._doors.unread.take(self._answer, self._unread_bytes)

    def resume_writing(self) -> None:
        self._read_since = None
        self._doors.unread.leave(self._answer)
        self._inner.resume_writing()

    def overdue(self) -> str | None:
        """Why this connection has taken too long, or None."""
        now = self._doors.clock()
        if self._read_since is not None:
            return "unread" if self._unread(now) else None
        patience = HEAD_SECONDS if self._asking else IDLE_SECONDS
        return "slow" if not self._busy and now - self._since > patience else None

    def _unread(self, now: float) -> bool:
        waiting = self._waiting()
        if self._unread_bytes - waiting >= LEAST_READ_BYTES:
            self._unread_bytes, self._read_since = waiting, now
        return self._read_since is not None and now - self._read_since > UNREAD_SECONDS

    def _waiting(self) -> int:
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    def end(self, reason: str) -> None:
        """Closes the connection as it is."""
        if self.transport is not None and not self.transport.is_closing():
            self._doors.counts[reason] += 1
            self.transport.abort()


DOORS = web.AppKey("doors", Doors)


def known(request: web.Request, key: str) -> None:
    """A request has shown a known key, or a token: its connection is not a stranger's any more."""
    doors = request.app.get(DOORS)
    door = None if doors is None else doors.of(request)
    if door is not None:
        door.know(key)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def attended(request: web.Request, handler: Handler) -> web.StreamResponse:
    """While a request is dealt with its connection is not idle."""
    door = request.app[DOORS].of(request)
    if door is None:
        return await handler(request)
    door.begin()
    try:
        return await handler(request)
    finally:
        door.answered()


class HttpLog(logging.Logger):
    """What aiohttp has to say. What is no HTTP is counted, and said in one line a minute, without a traceback.

    Of an answer whose taker is gone nothing is said: where the doors closed the connection they counted it.
    """

    def __init__(self, doors: Doors) -> None:
        super().__init__("weighbridge.http")
        self.parent = logging.getLogger("weighbridge")
        self._doors = doors
        self._said: float | None = None

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self._malformed(args)
            return
        if isinstance(exc_info, ConnectionError):
            return
        super().exception(msg, *args, exc_info=exc_info, **kwargs)

    def debug(self, msg: object, *args: object, exc_info: Any = None, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self._malformed(args)
            return
        super().debug(msg, *args, exc_info=exc_info, **kwargs)

    def _malformed(self, args: tuple[object, ...]) -> None:
        self._doors.counts["malformed"] += 1
        now = self._doors.clock()
        if self._said is None or now - self._said > SAID_EVERY_SECONDS:
            self._said = now
            count = self._doors.counts["malformed"]
            self.warning(
                "no HTTP from %s; %d such requests so far", args[0] if args else "?", count
            )
