"""Processes that read a log ahead of its replay and check signatures: the part that needs no order.

A worker is asked for a slice and answers with its entries, each with whether its signature verifies under the key that
it names. Whether that key may sign it then is for who asks, and so is everything else that may be wrong: what a worker
cannot read or verify, it leaves to be read or verified again. Slices come back in order. A worker ends when the pipe
to who asks is closed, and that is closed however that one ends.
"""

import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.storage import StorageError
from collector.storage.frozen import FrozenLog
from weighbridge.evidence import Entry
from weighbridge.signing import Envelope, SignatureError, verify

AHEAD = 2
"""Slices that each worker is asked for: one that it works on, one that waits."""

KEYS_TOLD = 256
"""Keys that go with one question: what fits into a pipe whose other end is not read just then."""


@dataclass(frozen=True, slots=True)
class Checked:
    """An entry, and whether its signature is known to verify under the key that it names."""

    entry: Entry
    verified: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """Entries [first, last), and keys by name that were not told before."""

    first: int
    last: int
    keys: Mapping[str, bytes]


class Worker:
    """One process and the pipe to it."""

    def __init__(self, segments: Path) -> None:
        # Spawned, so that it holds no end of another's pipe, and nothing of a database.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, segments), daemon=True)
        self._process.start()
        theirs.close()
        self._told = 0

    def ask(self, first: int, last: int, keys: Mapping[str, bytes]) -> None:
        """Raises StorageError, as `answer` does, where the process is gone."""
        new = dict(islice(keys.items(), self._told, self._told + KEYS_TOLD))
        self._told += len(new)
        with _alive():
            self._pipe.send(Question(first, last, new))

    def answer(self) -> Sequence[Checked] | None:
        """What was asked for first, or null where it cannot be read."""
        with _alive():
            answered: Sequence[Checked] | None = self._pipe.recv()
        return answered

    def close(self) -> None:
        """At once: it has nothing to lose."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError) as error:
        raise StorageError("a process that checks signatures has ended") from error


class Checkers:
    """So many workers on the segments of one log."""

    def __init__(self, segments: Path, workers: int) -> None:
        self._workers = [Worker(segments) for _ in range(workers)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.close()

    def read(
        self, slices: Iterator[tuple[int, int]], keys: Mapping[str, bytes], log: FrozenLog
    ) -> Iterator[Sequence[Checked]]:
        """Each slice in turn. `keys` may grow at its end meanwhile. Raises CorruptStore, StorageError."""
        asked: deque[tuple[Worker, int, int]] = deque()
        free = deque(self._workers * AHEAD)
        while True:
            for worker, (first, last) in zip(list(free), slices, strict=False):
                worker.ask(first, last, keys)
                asked.append((free.popleft(), first, last))
            if not asked:
                return
            worker, first, last = asked.popleft()
            answered = worker.answer()
            free.append(worker)
            if answered is None:
                answered = [Checked(one) for one in log.read(first, last - first)]
            yield answered


def work(pipe: Connection, segments: Path) -> None:
    """Answer until nobody asks any more. An interrupt from the keyboard is for who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log, keys = FrozenLog(segments), dict[str, bytes]()
    with suppress(EOFError, OSError):
        while True:
            question: Question = pipe.recv()
            keys.update(question.keys)
            pipe.send(_checked(log, question.first, question.last, keys))


def _checked(
    log: FrozenLog, first: int, last: int, keys: Mapping[str, bytes]
) -> list[Checked] | None:
    try:
        entries = list(log.read(first, last - first))
    except StorageError:
        return None
    return [Checked(entry, _verifies(entry.envelope, keys)) for entry in entries]


def _verifies(envelope: Envelope, keys: Mapping[str, bytes]) -> bool:
    key = keys.get(envelope.key_id)
    if key is None:
        return False
    try:
        verify(envelope, key)
    except SignatureError:
        return False
    return True
