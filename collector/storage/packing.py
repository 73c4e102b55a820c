"""The thread that packs segments once they grow no more, beside the one that appends and all that read."""

import logging
from collections.abc import Callable
from threading import Event, Thread

from collector.storage.store import StorageError

logger = logging.getLogger("weighbridge.storage")

AT_ONCE = 2
"""Segments that are packed for each one that is begun: where more were left plain, they become fewer."""


class _Stopped(Exception):
    """The store is being closed."""


class Packing:
    """`pack_next` packs one segment, and says whether there was one. What it cannot pack stays as it is."""

    def __init__(self, pack_next: Callable[[Callable[[], None]], bool]) -> None:
        self._pack_next = pack_next
        self._wanted, self._stopping = Event(), False
        self._thread: Thread | None = None

    def wake(self) -> None:
        """A segment was begun."""
        self._wanted.set()
        if self._thread is None:
            self._thread = Thread(target=self._run, name="pack", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """What is not packed yet is left for the next time."""
        self._stopping = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            self._wanted.wait()
            self._wanted.clear()
            for _ in range(AT_ONCE):
                self._pack_one()

    def _pack_one(self) -> None:
        try:
            self._pack_next(self._go_on)
        except _Stopped:
            pass
        except (StorageError, OSError, ValueError) as error:
            logger.warning("a segment is not packed: %s", error)

    def _go_on(self) -> None:
        if self._stopping:
            raise _Stopped
