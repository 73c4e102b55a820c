"""How much one caller may ask at a time: whoever asks more waits for answers of their own, and nobody else does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from weighbridge.wire.problems import Problem

AT_ONCE, MOST_WAITING = 4, 64
RETRY_SECONDS = 5


@dataclass(slots=True)
class _Line:
    """The questions of one caller: those that are answered, and those that wait."""

    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    asked: int = 0


class Patience:
    """Of all callers, each by its name."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    @asynccontextmanager
    async def turn(self, caller: str) -> AsyncIterator[None]:
        """A question is answered within; before that it waits for its turn. Raises Problem: overloaded."""
        line = self._lines.setdefault(caller, _Line())
        if line.asked >= AT_ONCE + MOST_WAITING:
            detail = "so much was asked in your name that is not answered yet"
            raise Problem("overloaded", detail, retry_after_seconds=RETRY_SECONDS)
        line.asked += 1
        try:
            async with line.places:
                yield
        finally:
            line.asked -= 1
            if not line.asked:
                del self._lines[caller]
