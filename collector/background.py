"""Work that goes on beside the requests while a collector serves the public."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def _complain(task: "asyncio.Task[None]", lost: str) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("%s", lost, exc_info=task.exception())


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], lost: str) -> AsyncIterator[None]:
    """`work` is ended with the block. If it fails before, the log says what is `lost`, and the rest goes on."""

    task = asyncio.create_task(work)
    task.add_done_callback(lambda ended: _complain(ended, lost))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class UnderWay:
    """Pieces of work that end by themselves, or all together. Where one fails, the log says what is `lost`."""

    def __init__(self, lost: str) -> None:
        self._lost = lost
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """It goes on beside whatever else does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def ended(self) -> None:
        """Waits for all that is under way."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def aclose(self) -> None:
        """Ends all that is under way."""
        for task in list(self._tasks):
            task.cancel()
        await self.ended()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        _complain(task, self._lost)
