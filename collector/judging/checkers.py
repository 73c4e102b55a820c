"""Processes that check the signatures of a log ahead of its replay: the part that needs no order.

A worker is asked for a slice and answers of each entry whether its signature verifies under the key that it names.
Whether that key may sign it then is for who asks, who reads the entry too; what a worker cannot read or verify is
verified again there. Answers come in the order of the slices. A worker ends when the pipe to who asks is closed, and
that is closed however that one ends. Bytes go through the pipe, not objects: where `Connection.send` of an object fails
it leaves a BytesIO whose buffer is exported, and to collect that is an error in Python 3.13.
"""

import signal
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

import msgspec

from collector.storage.store import EvidenceLog, StorageError
from collector.storage.stores import read_log
from weighbridge.wire.signing import Envelope, SignatureError, verify

AHEAD = 2
"""Slices that each worker is asked for: one that it works on, one that waits."""

KEYS_TOLD = 256
"""Keys that go with one question: what fits into a pipe whose other end is not read just then."""


Slice = tuple[int, int]
"""Entries [first, last)."""


@dataclass(frozen=True, slots=True)
class SliceToCheck:
    """A slice to check, and the keys that this worker does not have yet, by name."""

    piece: Slice
    keys: Mapping[str, bytes]


class Worker:
    """One process and the pipe to it."""

    def __init__(self, place: str) -> None:
        # Spawned, so that it holds no end of another's pipe, and nothing of a database.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, place), daemon=True)
        self._process.start()
        theirs.close()
        self._told = 0

    def ask(self, piece: Slice, keys: Mapping[str, bytes]) -> None:
        """Raises StorageError, as `answer` does, where the process is gone."""
        new = dict(islice(keys.items(), self._told, self._told + KEYS_TOLD))
        self._told += len(new)
        with _alive():
            self._pipe.send_bytes(msgspec.msgpack.encode(SliceToCheck(piece, new)))

    def answer(self) -> Sequence[bool]:
        """The answer to the question that was asked first."""
        with _alive():
            return msgspec.msgpack.decode(self._pipe.recv_bytes(), type=list[bool])

    def close(self) -> None:
        """Ends the process at once; it keeps nothing."""
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
    """So many workers on the log of one store."""

    def __init__(self, place: str, workers: int) -> None:
        self._workers = [Worker(place) for _ in range(workers)]

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

    def check(
        self, slices: Iterable[Slice], keys: Mapping[str, bytes]
    ) -> Iterator[tuple[Slice, Sequence[bool]]]:
        """Each slice in turn, and which of its signatures verify. `keys` may grow at its end. Raises StorageError."""
        asked: deque[tuple[Worker, Slice]] = deque()
        free, waiting = deque(self._workers * AHEAD), iter(slices)
        while True:
            for worker, piece in zip(list(free), waiting, strict=False):
                worker.ask(piece, keys)
                asked.append((free.popleft(), piece))
            if not asked:
                return
            worker, piece = asked.popleft()
            answered = worker.answer()
            free.append(worker)
            yield piece, answered


def work(pipe: Connection, place: str) -> None:
    """Answer until nobody asks any more. An interrupt from the keyboard is for who asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log, keys = read_log(place), dict[str, bytes]()
    with suppress(EOFError, OSError):
        while True:
            question = msgspec.msgpack.decode(pipe.recv_bytes(), type=SliceToCheck)
            keys.update(question.keys)
            pipe.send_bytes(msgspec.msgpack.encode(_verified(log, question.piece, keys)))


def _verified(log: EvidenceLog, piece: Slice, keys: Mapping[str, bytes]) -> list[bool]:
    first, last = piece
    try:
        return [_verifies(entry.envelope, keys) for entry in log.read(first, last - first)]
    except StorageError:
        return [False] * (last - first)


def _verifies(envelope: Envelope, keys: Mapping[str, bytes]) -> bool:
    key = keys.get(envelope.key_id)
    if key is None:
        return False
    try:
        verify(envelope, key)
    except SignatureError:
        return False
    return True
