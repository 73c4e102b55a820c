"""Bodies of requests, each read within a size and a time, and all together within a number of bytes."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from aiohttp import web

from collector.api.access import VIEWER, client
from collector.api.doors import known
from collector.api.room import Guest, Room, site
from collector.log.commits import overloaded
from weighbridge.wire.problems import Problem

Prove = Callable[[bytes], str | None]
"""The known key that the beginning of a body shows, or None."""


class NoRoom(Problem):
    """Overloaded by what others send, whatever this one's sender does."""


class _Coming:
    """A body that is still coming from an address, or from a key once it is known."""

    def __init__(
        self, request: web.Request, room: Room, seconds: float, stranger_seconds: float
    ) -> None:
        self.data = bytearray()
        self.crowded_out = False
        self._room = room
        self._request = request
        self._guest = Guest(site(client(request)), self._give_way)
        self._since = asyncio.get_running_loop().time()
        self._seconds = seconds
        self._looked_at = 0
        self.limit = asyncio.timeout_at(self._since + min(seconds, stranger_seconds))

    def take(self, chunk: bytes) -> None:
        """One more piece. Raises NoRoom where this body has to give way."""
        self.data += chunk
        self._room.take(self._guest, len(chunk))
        self.require_room()

    def require_room(self) -> None:
        if self.crowded_out:
            later = overloaded("too many bodies are being read")
            raise NoRoom(later.code, later.detail, retry_after_seconds=later.retry_after_seconds)

    def look(self, prove: Prove) -> None:
        """Whether it shows a known key by now: asked whenever it has doubled, while it shows none."""
        if self._guest.known or len(self.data) < 2 * self._looked_at:
            return
        self._looked_at = len(self.data)
        key = prove(bytes(self.data))
        if key is not None:
            self.known(key)

    def known(self, key: str) -> None:
        """It is this key's, which has more time."""
        self._wait_until(self._since + self._seconds)
        self._room.know(self._guest, key)
        known(self._request, key)

    def leave(self) -> None:
        self._room.leave(self._guest)

    def _give_way(self) -> None:
        self.crowded_out = True
        self.data.clear()
        self._wait_until(self._since)

    def _wait_until(self, when: float) -> None:
        if not self.limit.expired():
            self.limit.reschedule(when)


class Bodies:
    """What is held of all bodies that are being read at this moment counts against one budget.

    A body has `seconds` to come once its sender is known, and until then no more than `stranger_seconds`.
    """

    def __init__(
        self, most_bytes: int, budget_bytes: int, seconds: float, stranger_seconds: float
    ) -> None:
        self._most_bytes = most_bytes
        self._room = Room(budget_bytes)
        self._seconds = seconds
        self._stranger_seconds = stranger_seconds

    async def read(
        self,
        request: web.Request,
        most_bytes: int | None = None,
        seconds: float | None = None,
        key: str | None = None,
        prove: Prove | None = None,
    ) -> bytes:
        """The whole body, by the bounds of its route where it has its own. `key`: who is known to send it.

        Raises Problem: too_large, malformed, or overloaded where it is slow or too much is being read.
        """
        most_bytes = self._most_bytes if most_bytes is None else most_bytes
        seconds = self._seconds if seconds is None else seconds
        _require_at_most(most_bytes, request.content_length or 0)
        coming = _Coming(request, self._room, seconds, self._stranger_seconds)
        try:
            async with coming.limit:
                if key is not None:
                    coming.known(key)
                await _read(request, coming, most_bytes, prove)
        except TimeoutError as error:
            coming.require_room()
            raise overloaded("the body did not come in time") from error
        except web.RequestPayloadError as error:
            raise Problem("malformed", "the body is not what its headers say") from error
        finally:
            coming.leave()
        return bytes(coming.data)

    def close(self) -> None:
        """What is still coming is waited for no longer."""
        self._room.clear()

    @contextlib.contextmanager
    def held(self, body: bytes) -> Iterator[None]:
        """A body that was read still counts until it has been dealt with."""
        self._room.pin(len(body))
        try:
            yield
        finally:
            self._room.pin(-len(body))


async def _read(
    request: web.Request, coming: _Coming, most_bytes: int, prove: Prove | None
) -> None:
    while chunk := await request.content.readany():
        coming.require_room()
        _require_at_most(most_bytes, len(coming.data) + len(chunk))
        coming.take(chunk)
        if prove is not None and not request.content.at_eof():
            coming.look(prove)
    coming.require_room()


def _require_at_most(most_bytes: int, size: int) -> None:
    if size > most_bytes:
        raise Problem("too_large", f"the body is over {most_bytes} bytes")


BODIES = web.AppKey("bodies", Bodies)


async def read_body(
    request: web.Request, most_bytes: int | None = None, prove: Prove | None = None
) -> bytes:
    """The body of a request under the application's bounds, or within fewer bytes. Raises Problem as `read` does.

    Whoever passed the gate is known; of others, `prove` finds out.
    """
    key = f"bearer at {client(request)}" if VIEWER in request else None
    return await request.app[BODIES].read(request, most_bytes, key=key, prove=prove)
