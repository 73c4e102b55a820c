"""What waits to be sent, on the disk: a file for each request, in the order in which they were made."""

import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock

from weighbridge.catalogue.metrics import Metric
from weighbridge.process.files import write_file

NAME = re.compile("[0-9]{20}")


class Queue:
    """Requests in a directory, at most `most_bytes` of them: then the oldest are dropped, and counted.

    What was put is durable when `put` returns, and there until it is done with. One process uses it at a time:
    one of its threads puts, and another takes.
    `waiting` and `requests` are the metrics by which it is told of.
    """

    def __init__(self, directory: Path, most_bytes: int, waiting: Metric, requests: Metric) -> None:
        self._directory, self._most_bytes = directory, most_bytes
        self._told = waiting, requests
        directory.mkdir(mode=0o700, exist_ok=True)
        for broken in directory.glob("*.new"):
            broken.unlink()
        files = sorted(path for path in directory.iterdir() if NAME.fullmatch(path.name))
        self._waiting = deque((path, path.stat().st_size) for path in files)
        self._next = int(files[-1].name) + 1 if files else 0
        self.bytes = sum(size for _, size in self._waiting)
        self.counts: Counter[str] = Counter()
        self._changing = Lock()

    def put(self, body: bytes) -> None:
        """At the end."""
        path = self._directory / f"{self._next:020}"
        write_file(path, body)
        with self._changing:
            self._next += 1
            self._waiting.append((path, len(body)))
            self.bytes += len(body)
            while self.bytes > self._most_bytes and len(self._waiting) > 1:
                self._drop("dropped")

    def oldest(self) -> tuple[Path, bytes] | None:
        """What is to be sent next; None: nothing waits. One whose file is gone waits no more."""
        with self._changing:
            while self._waiting:
                path, _ = self._waiting[0]
                try:
                    return path, path.read_bytes()
                except FileNotFoundError:
                    self._drop("lost")
        return None

    def done(self, path: Path, result: str) -> None:
        """It needs no sending any more: it was sent, or refused. Dropped meanwhile for want of room, it was counted."""
        with self._changing:
            if self._waiting and self._waiting[0][0] == path:
                self._drop(result)

    def _drop(self, result: str) -> None:
        path, size = self._waiting.popleft()
        self.bytes -= size
        self.counts[result] += 1
        path.unlink(missing_ok=True)

    def samples(self) -> Iterator[tuple[Metric, Sequence[str], int | float]]:
        """For `/metrics`."""
        waiting, requests = self._told
        yield waiting, (), self.bytes
        for result, count in sorted(self.counts.items()):
            yield requests, (result,), count
