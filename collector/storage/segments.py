"""Append-only segment files: the one place where evidence bytes rest.

A segment is `<first index, 16 digits>.seg`: 16 bytes of header (magic and first index), then rows. A
row is the length of its leaf, the CRC-32 of length and leaf (both u32, little-endian), and the leaf. Only the
last segment grows; the others may be packed (`collector.storage.packed_segments`).

A row is acknowledged only after `fdatasync`, and the directory is synced when a file is made. After a
crash the last segment may end in a torn row: no one was told of it, and it is cut. A row that is damaged
and has good rows behind it is no torn tail: nothing is cut, and the segments do not open.
"""

import contextlib
import errno
import logging
import mmap
import os
import re
import struct
import weakref
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

from collector.storage.packed_segments import (
    MAGIC as PACKED,
)
from collector.storage.packed_segments import (
    BlockCache,
    PackedSegment,
    opened_packed,
    pack_in_place,
    packed_leaves,
    worth_packing,
)
from collector.storage.store import CorruptStore, StorageError, StoreFull
from weighbridge.process.files import write_all, write_new_file

logger = logging.getLogger("weighbridge.storage")

MAGIC = b"WBSEG\x00\x00\x01"
HEADER = struct.Struct("<8sQ")
ROW = struct.Struct("<II")
READ_BYTES = 1 << 20
NAME = re.compile(r"[0-9]{16}")
BEGINS = b'{"payload":"'
"""How every envelope begins, and so every leaf."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def storage_error(action: str, path: Path, error: OSError) -> StorageError:
    """The error to raise when the operating system refuses; StoreFull where it refuses for want of room."""
    kind = StoreFull if error.errno in NO_ROOM else StorageError
    return kind(f"{action} {path}: {error.strerror}")


def row_header(leaf: bytes) -> bytes:
    """The CRC covers the length too, so that zeros, which a crash may leave, are no row."""
    length = len(leaf)
    return ROW.pack(length, zlib.crc32(leaf, zlib.crc32(length.to_bytes(4, "little"))))


def rows_of(leaves: Iterable[bytes]) -> bytes:
    return b"".join(part for leaf in leaves for part in (row_header(leaf), leaf))


def leaves_in(data: bytes, first: int, place: str) -> Iterator[bytes]:
    """Those of a whole segment, each checked. `place` is how errors name it. Raises CorruptStore."""
    if data.startswith(PACKED):
        yield from packed_leaves(data, first, place)
        return
    if data[: HEADER.size] != HEADER.pack(MAGIC, first):
        raise CorruptStore(f"{place}: offset 0: not the header of this segment")
    offset = HEADER.size
    while offset < len(data):
        leaf = _row_at(data, offset)
        if leaf is None:
            raise CorruptStore(f"{place}: offset {offset}: row does not match its CRC")
        yield leaf
        offset += ROW.size + len(leaf)


class SegmentFile:
    """One file, opened. `offsets` lists where each row starts, and where the next one would; `rest`: bytes behind that.

    `torn`: the file may hold more than its rows, for the system refused to cut it.
    """

    def __init__(self, path: Path, first: int, writable: bool) -> None:
        self.path = path
        self.first = first
        self.descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        weakref.finalize(self, os.close, self.descriptor)
        self.offsets = array("Q", [HEADER.size])
        self.rest = 0
        self.torn = False

    @property
    def count(self) -> int:
        return len(self.offsets) - 1

    @property
    def end(self) -> int:
        return self.offsets[-1]

    def scan(self) -> int:
        """Find the rows; return the file's size, which is `end` unless the tail is not a whole row."""
        size = os.fstat(self.descriptor).st_size
        if size < HEADER.size:
            return size
        with mmap.mmap(self.descriptor, size, access=mmap.ACCESS_READ) as data:
            self._check_header(data[: HEADER.size])
            offset = HEADER.size
            while offset + ROW.size <= size:
                length, _ = ROW.unpack_from(data, offset)
                offset += ROW.size + length
                if offset > size:
                    break
                self.offsets.append(offset)
        self.rest = size - self.end
        return size

    def _check_header(self, header: bytes) -> None:
        if header != HEADER.pack(MAGIC, self.first):
            raise CorruptStore(f"{self.path}: offset 0: not the header of this segment")

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """Rows [start, stop) of this file, each checked. Raises CorruptStore."""
        while start < stop:
            upto = start + 1
            while upto < stop and self.offsets[upto + 1] - self.offsets[start] <= READ_BYTES:
                upto += 1
            base = self.offsets[start]
            data = os.pread(self.descriptor, self.offsets[upto] - base, base)
            for row in range(start, upto):
                yield self._checked(data, row, base)
            start = upto

    def _checked(self, data: bytes, row: int, base: int) -> bytes:
        offset = self.offsets[row] - base
        leaf = data[offset + ROW.size : self.offsets[row + 1] - base]
        header = data[offset : offset + ROW.size]
        if header != row_header(leaf):
            raise CorruptStore(
                f"{self.path}: offset {self.offsets[row]}: row does not match its CRC"
            )
        return leaf

    def sound_rows(self) -> int:
        """How many rows from the first on match their CRC."""
        sound = 0
        try:
            for _ in self.leaves(0, self.count):
                sound += 1
        except CorruptStore:
            return sound
        return sound

    def good_behind(self, row: int) -> int:
        """How many rows behind this one, which is not sound, match their CRC, wherever they begin."""
        size = os.fstat(self.descriptor).st_size
        if self.offsets[row] >= size:
            return 0
        with mmap.mmap(self.descriptor, size, access=mmap.ACCESS_READ) as data:
            return sum(1 for _ in _rows_from(data, self.offsets[row] + ROW.size + 1))

    def truncate(self, count: int) -> None:
        """Keep the first `count` rows. Raises OSError where the file keeps more, and then is `torn`."""
        del self.offsets[count + 1 :]
        self.torn = True
        os.ftruncate(self.descriptor, self.end)
        self.torn = False


def _rows_from(data: mmap.mmap, offset: int) -> Iterator[int]:
    """Where rows begin that match their CRC: found by how leaves begin, whatever lies between them."""
    while (begins := data.find(BEGINS, offset)) >= 0:
        leaf = _row_at(data, begins - ROW.size)
        if leaf is not None:
            yield begins - ROW.size
        offset = begins + (len(BEGINS) if leaf is None else len(leaf))


def _row_at(data: mmap.mmap | bytes, offset: int) -> bytes | None:
    """The leaf of the row at this offset, if it is whole and matches its CRC."""
    begins = offset + ROW.size
    if begins > len(data):
        return None
    length, _ = ROW.unpack_from(data, offset)
    leaf = data[begins : begins + length]
    return leaf if len(leaf) == length and row_header(leaf) == data[offset:begins] else None


def opened_rows(path: Path, first: int, cache: BlockCache) -> SegmentFile | PackedSegment:
    """A segment to be read, packed or not. What follows its last whole row is left alone. Raises CorruptStore."""
    segment = SegmentFile(path, first, writable=False)
    # Of what was opened: at its path a packed one may have come by now.
    if os.pread(segment.descriptor, len(PACKED), 0) == PACKED:
        return opened_packed(path, first, cache)
    segment.scan()
    return segment


def whatever_rows(path: Path, first: int) -> Iterator[tuple[int, bytes | None]]:
    """Every row of a segment, in order, with its offset; None for one that is damaged.

    Behind a row whose length is damaged, it goes on with the next one that is good. Raises CorruptStore.
    """
    with path.open("rb") as file:
        header = file.read(HEADER.size)
        if header.startswith(PACKED):
            yield from opened_packed(path, first, BlockCache()).whatever_leaves()
            return
        if header != HEADER.pack(MAGIC, first):
            raise CorruptStore(f"{path}: offset 0: not the header of this segment")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            offset = HEADER.size
            while offset < len(data):
                leaf = _row_at(data, offset)
                yield offset, leaf
                whole = ROW.size + len(leaf) if leaf is not None else 0
                offset = offset + whole if whole else _behind(data, offset)


def _behind(data: mmap.mmap, offset: int) -> int:
    """Where the row begins that follows a damaged one: where that says it ends, or else the next one that is good."""
    if offset + ROW.size <= len(data):
        length, _ = ROW.unpack_from(data, offset)
        following: int = offset + ROW.size + length
        if following == len(data) or _row_at(data, following) is not None:
            return following
    return next(_rows_from(data, offset + ROW.size + 1), len(data))


def first_of(path: Path) -> int:
    """The index that a segment's name says. Raises CorruptStore."""
    if NAME.fullmatch(path.stem) is None:
        raise CorruptStore(f"{path}: not the name of a segment")
    return int(path.stem)


def _require_torn(segment: SegmentFile, sound: int, durable: Callable[[int], bool]) -> None:
    """Raises CorruptStore unless what follows the sound rows may be an append that a crash broke off."""
    index, behind = segment.first + sound, segment.good_behind(sound)
    known = durable(index)
    if not known and behind == 0:
        return
    row = f"row {index} was acknowledged and is damaged" if known else f"row {index} is damaged"
    rest = f"; {behind} good rows lie behind it" if behind else ""
    raise CorruptStore(
        f"{segment.path}: offset {segment.offsets[sound]}: {row}{rest}. Nothing was cut: restore the"
        " segment from a backup (`weighbridge scrub` says what else is damaged)"
    )


class Segments:
    """All segments of one directory, in order. One thread appends; any thread reads."""

    def __init__(
        self,
        directory: Path,
        segment_bytes: int,
        durable: Callable[[int], bool],
        before_new: Callable[[], None],
    ) -> None:
        """Open and repair.

        `durable(index)` says that a row is known to have been durable, so that its loss is corruption
        and no torn tail. `before_new` runs before a segment is begun.
        """
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._before_new = before_new
        self.after_new: Callable[[], None] = lambda: None
        """Runs once a segment is begun: the one before it grows no more."""
        self._cache = BlockCache()
        self._seen = -1
        self._replacing = Lock()
        if not directory.is_dir():
            raise CorruptStore(f"{directory} is missing")
        self._firsts = sorted(first_of(path) for path in directory.glob("*.seg"))
        self._sealed = lru_cache(maxsize=8)(self._open_sealed)
        self._live = self._open_last(durable)
        self.size = self._live.first + self._live.count if self._live is not None else 0

    def _path(self, first: int) -> Path:
        return self._directory / f"{first:016d}.seg"

    def _open_last(self, durable: Callable[[int], bool]) -> SegmentFile | None:
        if not self._firsts:
            return None
        segment = SegmentFile(self._path(self._firsts[-1]), self._firsts[-1], writable=True)
        size = segment.scan()
        if size < HEADER.size:
            return self._drop_unbegun(segment, durable)
        sound = segment.sound_rows()
        _require_torn(segment, sound, durable)
        if segment.offsets[sound] < size:
            lost = size - segment.offsets[sound]
            logger.warning("%s: cut a torn tail of %d bytes", segment.path, lost)
            segment.truncate(sound)
            os.fdatasync(segment.descriptor)
        return segment

    def _drop_unbegun(
        self, segment: SegmentFile, durable: Callable[[int], bool]
    ) -> SegmentFile | None:
        """A crash came between making the file and writing its header."""
        if durable(segment.first):
            raise CorruptStore(f"{segment.path}: offset 0: the header is missing")
        logger.warning("%s: removed, it was never begun", segment.path)
        segment.path.unlink()
        self._firsts.pop()
        return self._open_last(durable)

    def _open_sealed(self, first: int) -> SegmentFile | PackedSegment:
        segment = opened_rows(self._path(first), first, self._cache)
        following = self._firsts[bisect_right(self._firsts, first)]
        if first + segment.count != following or segment.rest:
            rows = following - first
            place = f"{segment.path}: offset {segment.end}"
            raise CorruptStore(f"{place}: {segment.count} whole rows instead of {rows}")
        return segment

    def pack_next(self, before_block: Callable[[], None]) -> bool:
        """Pack the oldest one that gains by it; False where there is none. For one thread at a time, beside the others.

        Raises CorruptStore or OSError, with the segment as it was, and what `before_block` raises.
        """
        for first in self._firsts[bisect_right(self._firsts, self._seen) : -1]:
            self._seen = first
            with self.replacing():
                if worth_packing(self._path(first)):
                    pack_in_place(self._sealed(first), self._path(first), before_block)
                    return True
        return False

    @contextlib.contextmanager
    def replacing(self) -> Iterator[None]:
        """Within it one thread alone puts another file in the place of a segment, and after it each is opened anew."""
        with self._replacing:
            yield
            self._sealed.cache_clear()
            self._cache.clear()

    @property
    def last_first(self) -> int:
        """Index of the first row of the segment that grows."""
        return self._firsts[-1] if self._firsts else 0

    def append(self, leaves: Sequence[bytes]) -> None:
        """Durable when it returns. Raises StoreFull or StorageError, having kept nothing."""
        segment = self._live
        if segment is None or segment.end >= self._segment_bytes:
            segment = self._begin(self.size)
        rows = rows_of(leaves)
        try:
            if segment.torn:
                segment.truncate(segment.count)
            write_all(segment.descriptor, rows, segment.end)
            os.fdatasync(segment.descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                segment.truncate(segment.count)
            raise storage_error("append to", segment.path, error) from error
        end = segment.end
        for leaf in leaves:
            end += ROW.size + len(leaf)
            segment.offsets.append(end)
        self.size += len(leaves)

    def _begin(self, first: int) -> SegmentFile:
        """A new segment, durable by name and header before any row is written into it."""
        path = self._path(first)
        try:
            self._before_new()
            write_new_file(path, HEADER.pack(MAGIC, first))
            self._live = SegmentFile(path, first, writable=True)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise storage_error("begin", path, error) from error
        self._firsts.append(first)
        self.after_new()
        return self._live

    def take_back(self, count: int) -> None:
        """Forget the last `count` rows, which nobody was told of. They are of the last append."""
        if self._live is not None:
            with contextlib.suppress(OSError):
                self._live.truncate(self._live.count - count)
            self.size -= count

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        """At most `limit` leaves from `start` on. Raises CorruptStore."""
        stop = min(start + limit, self.size)
        while start < stop:
            segment = self._holding(start)
            upto = min(stop, segment.first + segment.count)
            yield from segment.leaves(start - segment.first, upto - segment.first)
            start = upto

    def _holding(self, index: int) -> SegmentFile | PackedSegment:
        live = self._live
        if live is not None and index >= live.first:
            return live
        return self._sealed(self._firsts[bisect_right(self._firsts, index) - 1])

    def close(self) -> None:
        self._live = None
        self._sealed.cache_clear()
        self._cache.clear()
