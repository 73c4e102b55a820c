"""Bodies of requests, each read within a size and a time, and all together within a number of bytes."""

import asyncio
import contextlib
from collections.abc import Iterator

from aiohttp import web

from collector.log.commits import overloaded
from weighbridge.wire.problems import Problem


class NoRoom(Problem):
    """Overloaded by what others send, whatever this one's sender does."""


class Bodies:
    """What is held of all bodies that are being read at this moment counts against one budget."""

    def __init__(self, most_bytes: int, budget_bytes: int, seconds: float) -> None:
        self._most_bytes = most_bytes
        self._budget_bytes = budget_bytes
        self._seconds = seconds
        self._held_bytes = 0

    async def read(
        self, request: web.Request, most_bytes: int | None = None, seconds: float | None = None
    ) -> bytes:
        """The whole body, by the bounds of its route where it has its own.

        Raises Problem: too_large, or overloaded where it is slow or too much is being read.
        """
        most_bytes = self._most_bytes if most_bytes is None else most_bytes
        seconds = self._seconds if seconds is None else seconds
        _require_at_most(most_bytes, request.content_length or 0)
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while chunk := await request.content.readany():
                    chunks.append(chunk)
                    size += len(chunk)
                    self._held_bytes += len(chunk)
                    _require_at_most(most_bytes, size)
                    self._require_room()
        except TimeoutError as error:
            raise overloaded(f"the body did not come within {seconds:g} s") from error
        finally:
            self._held_bytes -= size
        return b"".join(chunks)

    @contextlib.contextmanager
    def held(self, body: bytes) -> Iterator[None]:
        """A body that was read still counts until it has been dealt with."""
        self._held_bytes += len(body)
        try:
            yield
        finally:
            self._held_bytes -= len(body)

    def _require_room(self) -> None:
        if self._held_bytes > self._budget_bytes:
            later = overloaded("too many bodies are being read")
            raise NoRoom(later.code, later.detail, retry_after_seconds=later.retry_after_seconds)


def _require_at_most(most_bytes: int, size: int) -> None:
    if size > most_bytes:
        raise Problem("too_large", f"the body is over {most_bytes} bytes")


BODIES = web.AppKey("bodies", Bodies)


async def read_body(request: web.Request, most_bytes: int | None = None) -> bytes:
    """The body of a request under the application's bounds, or within fewer bytes. Raises Problem as `read` does."""
    return await request.app[BODIES].read(request, most_bytes)
