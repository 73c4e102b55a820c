"""Folds logs for `benchmarks.judging`, by the `weighbridge` that it finds first.

A line of standard input names a file of leaves and how many more of them to fold; the answer is the CPU time of that,
in nanoseconds, what the leaves say having been read before.
"""

import gc
import struct
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import weighbridge
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import Entry, EntryKind, entry
from weighbridge.wire.report import decode

TOGETHER = 4
"""Entries that are read before they are folded: so few that they are in the caches, as where it is done in turn."""


def leaves(file: Path) -> Iterator[bytes]:
    content, place = file.read_bytes(), 0
    while place < len(content):
        (length,) = struct.unpack_from("<I", content, place)
        yield content[place + 4 : place + 4 + length]
        place += 4 + length


class Log:
    """A log that is being folded."""

    def __init__(self, file: Path) -> None:
        self._leaves = enumerate(leaves(file))
        self._fold = FleetFold()

    def go_on(self, count: int) -> int:
        """Folds so many; returns nanoseconds of CPU."""
        entries = [entry(index, leaf) for index, leaf in islice(self._leaves, count)]
        return sum(
            self._some(entries[first : first + TOGETHER])
            for first in range(0, len(entries), TOGETHER)
        )

    def _some(self, entries: list[Entry]) -> int:
        read = [
            decode(one.envelope.payload) if one.kind is EntryKind.REPORT else None
            for one in entries
        ]
        before = time.process_time_ns()
        for one, report in zip(entries, read, strict=True):
            self._fold.fold(one, report)
        return time.process_time_ns() - before


def main() -> None:
    gc.disable()
    logs: dict[str, Log] = {}
    print(Path(weighbridge.__file__).parent.parent, flush=True)
    for line in sys.stdin:
        file, count = line.split("\t")
        log = logs.get(file) or logs.setdefault(file, Log(Path(file)))
        print(log.go_on(int(count)), flush=True)


if __name__ == "__main__":
    main()
