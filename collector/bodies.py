"""Bodies of requests, read within a time, and all together within a number of bytes."""

import asyncio

from aiohttp import web

from collector.commits import overloaded
from collector.ingest import Limits
from collector.problems import Problem


class Bodies:
    """What is held of all bodies that are being read at this moment counts against one budget."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held_bytes = 0

    async def read(self, request: web.Request) -> bytes:
        """The whole body. Raises Problem: too_large, or overloaded where it is slow or too much is being read."""
        seconds = self._limits.reading_seconds
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while chunk := await request.content.readany():
                    chunks.append(chunk)
                    size += len(chunk)
                    self._held_bytes += len(chunk)
                    self._check(size)
        except TimeoutError as error:
            raise overloaded(f"the body did not come within {seconds} s") from error
        finally:
            self._held_bytes -= size
        return b"".join(chunks)

    def _check(self, size: int) -> None:
        limits = self._limits
        if size > limits.body_bytes:
            raise Problem("too_large", f"the body is over {limits.body_bytes} bytes")
        if self._held_bytes > limits.reading_bytes:
            raise overloaded("too many bodies are being read")
