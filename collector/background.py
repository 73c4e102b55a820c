"""Work that goes on beside the requests while a collector serves the public."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], lost: str) -> AsyncIterator[None]:
    """`work` is ended with the block. If it fails before, the log says what is `lost`, and the rest goes on."""

    def complain(task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            logger.error("%s", lost, exc_info=task.exception())

    task = asyncio.create_task(work)
    task.add_done_callback(complain)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
