"""The log's segments, only read: beside a collector that appends to them, or on a copy."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from collector.storage.handed_out import newest_head
from collector.storage.packed_segments import BlockCache, PackedSegment
from collector.storage.reading import entries
from collector.storage.segments import SegmentFile, first_of, opened_rows
from collector.storage.store import CorruptStore, StorageError, Substitute
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import Entry, stored_hash
from weighbridge.log.merkle import Frontier, Node


class FrozenLog:
    """`EvidenceLog` as it was when it was opened. Its hashes are worked out from the leaves."""

    def __init__(self, directory: Path) -> None:
        """The directory of the segments. Raises StorageError."""
        self._directory = directory
        self._firsts = sorted(first_of(path) for path in directory.glob("*.seg"))
        self._opened = lru_cache(maxsize=4)(self._open)
        self._cache = BlockCache()
        last = self._opened(self._firsts[-1]) if self._firsts else None
        self._size = 0 if last is None else last.first + last.count

    def _open(self, first: int) -> SegmentFile | PackedSegment:
        return opened_rows(self._directory / f"{first:016d}.seg", first, self._cache)

    @property
    def size(self) -> int:
        return self._size

    def append(self, leaves: Sequence[bytes]) -> int:
        raise StorageError(f"{self._directory} is only read; {len(leaves)} leaves are not kept")

    @property
    def handed_out(self) -> Head | None:
        return newest_head(self._directory.parent / "head")

    def hand_out(self, head: Head) -> None:
        raise StorageError(f"{self._directory} is only read; the head over {head.size} is not kept")

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        stop = min(start + limit, self._size)
        for index, first in enumerate(self._firsts):
            following = self._firsts[index + 1] if index + 1 < len(self._firsts) else self._size
            upto = min(following, stop)
            if first <= start < upto:
                yield from self._whole(first, following).leaves(start - first, upto - first)
                start = upto

    def _whole(self, first: int, following: int) -> SegmentFile | PackedSegment:
        segment = self._opened(first)
        if first + segment.count < following:
            rows = f"{segment.count} whole rows instead of {following - first}"
            raise CorruptStore(f"{segment.path}: offset {segment.end}: {rows}")
        return segment

    def read(self, start: int, limit: int) -> Iterator[Entry]:
        return entries(self.leaves(start, limit), start)

    def node(self, level: int, index: int) -> bytes:
        return self._root(index << level, 1 << level)

    def proven(self) -> Node:
        return self.node

    @property
    def damage(self) -> str | None:
        return None

    def root(self) -> bytes:
        return self._root(0, self._size)

    def _root(self, start: int, count: int) -> bytes:
        frontier = Frontier()
        for leaf in self.leaves(start, count):
            frontier.append(stored_hash(leaf))
        return frontier.root()

    def let_go(self, substitute: Substitute) -> int:  # noqa: ARG002
        raise StorageError(f"{self._directory} is only read; nothing leaves it")

    def close(self) -> None:
        self._opened.cache_clear()
        self._cache.clear()
