"""The tree file: every complete subtree's hash, 32 bytes each, in the order `Frontier.append` returns them.

It is derived from the segments. It is synced only before a segment is begun, so after a crash the part
that belongs to the last segment is made again from the rows.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from collector.storage.segments import storage_error
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import Frontier, stored_position
from weighbridge.process.files import write_all

HASH_BYTES = 32
NEVER_WRITTEN = bytes(HASH_BYTES)


def stored_hashes(size: int) -> int:
    """How many hashes a log of `size` leaves has."""
    return 2 * size - size.bit_count()


def frontier_at(path: Path, size: int) -> Frontier:
    """Of the first `size` leaves, from a tree file that another process may be appending to; it is not proven."""
    with path.open("rb") as file:

        def node(level: int, index: int) -> bytes:
            return os.pread(file.fileno(), HASH_BYTES, stored_position(level, index) * HASH_BYTES)

        return Frontier(size, node)


class TreeFile:
    """Hashes on disk and the frontier in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._frontier = Frontier()

    def holds(self, index: int) -> bool:
        """Whether a leaf was written here: rows go to the segments first, and are durable by then."""
        stored = self._read(stored_position(0, index))
        return len(stored) == HASH_BYTES and stored != NEVER_WRITTEN

    def keep(self, size: int) -> int:
        """Keep what belongs to the first `size` leaves; return how many leaves the file really holds."""
        held = size if self._length() >= stored_hashes(size) * HASH_BYTES else 0
        os.ftruncate(self._descriptor, stored_hashes(held) * HASH_BYTES)
        self._frontier = Frontier(held, self.node)
        return held

    def _length(self) -> int:
        return os.fstat(self._descriptor).st_size

    @property
    def size(self) -> int:
        return self._frontier.size

    def append(self, leaves: Iterable[bytes]) -> None:
        """Add leaves (not hashes). Raises StoreFull or StorageError, having added none."""
        size = self._frontier.size
        hashes = []
        for leaf in leaves:
            hashes += [subtree for _, _, subtree in self._frontier.append(stored_hash(leaf))]
        try:
            write_all(self._descriptor, b"".join(hashes), stored_hashes(size) * HASH_BYTES)
        except OSError as error:
            self._frontier = Frontier(size, self.node)
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, stored_hashes(size) * HASH_BYTES)
            raise storage_error("append to", self._path, error) from error

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree."""
        stored = self._read(stored_position(level, index))
        if len(stored) != HASH_BYTES:
            raise ValueError(f"no complete subtree at level {level}, index {index}")
        return stored

    def _read(self, position: int) -> bytes:
        return os.pread(self._descriptor, HASH_BYTES, position * HASH_BYTES)

    def root(self) -> bytes:
        return self._frontier.root()

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
