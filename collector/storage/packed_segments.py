"""Segments that grow no more, packed: the text of their leaves in Zstandard, their signatures beside it.

Base64 hides a payload from Zstandard, and nothing makes a signature shorter. So a leaf rests as its parts, or as it
came where it is no envelope in its one spelling. Rows of one key lie together, in blocks of bounded size, since nothing
is as like a report as the one before it; of that one's hash, which each report names, nothing is kept. The dictionary
is some of the segment's own payloads, and rests in it: to read a segment takes no other file.

A packed segment is a header (magic and first index), the dictionary, blocks, a directory that says in which block and
at which place each row is, and a trailer. Trailer and directory are checked when it is opened, a block when it is read.
It takes the place of the plain one whole, so that a process that is killed leaves the one or the other.
"""

import os
import struct
import weakref
import zlib
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Protocol

import zstandard

from collector.storage.store import CorruptStore
from weighbridge.process.files import sync_directory, write_all
from weighbridge.wire.parts import with_hash, without_hash
from weighbridge.wire.signing import Envelope, SignatureError, encode_envelope, open_envelope

MAGIC = b"WBSEG\x00\x00\x02"
HEADER = struct.Struct("<8sQ")
TRAILER = struct.Struct("<QIIII")
"""Rows, blocks, bytes of the dictionary and of the directory; the CRC-32 of header, dictionary, directory and these."""
BLOCK = struct.Struct("<II")
"""Rows, and bytes of the text's frame; the frame and the signatures follow."""

BLOCK_BYTES = 256 << 10
"""Of leaves, from which on a block takes no further one."""
MOST_BYTES = 128 << 20
"""Beyond what any block holds, one of a single row that is as large as any included."""
WORTH_BYTES = 1 << 20
"""A smaller segment is left as it is."""
DICTIONARY_BYTES = 112 << 10
SAMPLES = 64
"""Payloads that are looked at for the dictionary."""
COMMON = b"application/vnd.weighbridge.report+json"
CACHE_BYTES = 32 << 20
"""Of blocks that are kept as they were unpacked: those of a whole segment, so that it is read through at the cost of
one reading."""
KEY = slice(-165, -101)
"""Where an envelope's leaf names its key."""

SETTINGS = zstandard.ZstdCompressionParameters.from_level(
    5,
    window_log=20,
    chain_log=19,
    hash_log=19,
    search_log=4,
    min_match=7,
    strategy=zstandard.STRATEGY_LAZY2,
)
"""Matches of less than seven bytes are digits that are alike by chance: to name them takes more than it saves."""

Parts = Envelope | bytes
"""A leaf as it rests: what its envelope says, or the leaf itself."""


class Rows(Protocol):
    """The rows of one segment, however they rest."""

    @property
    def first(self) -> int: ...

    @property
    def count(self) -> int: ...

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """Rows [start, stop) of this segment, each checked. Raises CorruptStore."""
        ...


def _parts(leaf: bytes) -> Parts:
    try:
        return open_envelope(leaf)
    except SignatureError:
        return leaf


def _leaf(parts: Parts) -> bytes:
    return parts if isinstance(parts, bytes) else encode_envelope(parts)


def _packed(rows: Sequence[Parts], compressor: zstandard.ZstdCompressor) -> bytes:
    """A block. Its text is four numbers of each row, then of each row its payload's type, its key and its payload."""
    numbers: list[tuple[int, ...]] = []
    texts: list[bytes] = []
    signatures: list[bytes] = []
    before = b""
    for row in rows:
        one = row if isinstance(row, Envelope) else Envelope("", row, "", b"")
        text, cut = without_hash(one.payload, before)
        numbers.append((len(one.payload_type), len(one.key_id), len(text), cut))
        texts += (one.payload_type.encode(), one.key_id.encode(), text)
        signatures.append(one.signature)
        before = one.payload
    columns = [struct.pack(f"<{len(rows)}I", *column) for column in zip(*numbers, strict=True)]
    frame = compressor.compress(b"".join(columns + texts))
    return b"".join([BLOCK.pack(len(rows), len(frame)), frame, *signatures])


def _unpacked(block: bytes, decompressor: zstandard.ZstdDecompressor) -> list[Parts]:
    """Raises ValueError, struct.error or ZstdError where it is no block."""
    count, length = BLOCK.unpack_from(block)
    at, signed = BLOCK.size + length, 0
    text = _decompressed(block[BLOCK.size : at], decompressor)
    numbers = struct.unpack_from(f"<{4 * count}I", text)
    found: list[Parts] = []
    begins, before = 16 * count, b""
    for row in range(count):
        kind, key, size, cut = numbers[row::count]
        named, keyed = begins + kind, begins + kind + key
        payload = with_hash(text[keyed : keyed + size], cut, before)
        if key:
            signature = block[at + signed : at + signed + 64]
            who = text[named:keyed].decode()
            found.append(Envelope(text[begins:named].decode(), payload, who, signature))
            signed += 64
        else:
            found.append(payload)
        begins, before = keyed + size, payload
    if (begins, at + signed) != (len(text), len(block)):
        raise ValueError("it is not as long as its rows")
    return found


def _decompressed(frame: bytes, decompressor: zstandard.ZstdDecompressor) -> bytes:
    """Of a frame that says how large it is, and is not larger than any. Raises ValueError, ZstdError."""
    if not 0 < zstandard.frame_content_size(frame) <= MOST_BYTES:
        raise ValueError("it does not say its size, or is larger than any")
    return decompressor.decompress(frame, allow_extra_data=False)


def _as_dictionary(content: bytes) -> zstandard.ZstdCompressionDict:
    return zstandard.ZstdCompressionDict(content, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def pack(rows: Rows, path: Path, before_block: Callable[[], None]) -> None:
    """A packed segment of these rows at `path`, durable when it returns.

    Each block is unpacked again, and compared. What `before_block` raises breaks it off. Raises CorruptStore where a
    row is damaged, and OSError.
    """
    keys, sizes = array("Q"), array("Q")
    names: dict[bytes, int] = {}
    for leaf in rows.leaves(0, rows.count):
        keys.append(names.setdefault(leaf[KEY], len(names)))
        sizes.append(len(leaf))
    order = sorted(range(rows.count), key=keys.__getitem__)
    with path.open("wb") as file:
        writer = _Writer(file.fileno(), rows, _dictionary(rows, sizes))
        writer.write(_cut(order, sizes), before_block)
        os.fsync(file.fileno())


def _cut(order: Iterable[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Rows by block."""
    block: list[int] = []
    held = 0
    for row in order:
        block.append(row)
        held += sizes[row]
        if held >= BLOCK_BYTES:
            yield block
            block, held = [], 0
    if block:
        yield block


def _dictionary(rows: Rows, sizes: Sequence[int]) -> bytes:
    """Payloads from all over the segment, at even distances in bytes: large ones are met more often."""
    ends = [*accumulate(sizes)]
    wanted = {bisect_right(ends, ends[-1] * sample // SAMPLES) for sample in range(SAMPLES)}
    content, left = [COMMON], DICTIONARY_BYTES
    for row in sorted(wanted):
        parts = _parts(_row(rows, row))
        payload = parts.payload if isinstance(parts, Envelope) else b""
        if len(payload) <= left:
            content.append(payload)
            left -= len(payload)
    return b"".join(content)


def _row(rows: Rows, row: int) -> bytes:
    (leaf,) = rows.leaves(row, row + 1)
    return leaf


def is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def worth_packing(path: Path) -> bool:
    return path.stat().st_size >= WORTH_BYTES and not is_packed(path)


def pack_in_place(rows: Rows, path: Path, before_block: Callable[[], None] = lambda: None) -> None:
    """As `pack`, of what lies at `path`, in its place."""
    new = path.with_name(path.name + ".new")
    try:
        pack(rows, new, before_block)
        new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_directory(path.parent)


def opened_packed(path: Path, first: int, cache: "BlockCache") -> "PackedSegment":
    """Raises CorruptStore."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with ExitStack() as undo:
        undo.callback(os.close, descriptor)
        size = os.fstat(descriptor).st_size
        read = partial(_read_file, descriptor)
        segment = PackedSegment(str(path), first, size, read, cache)
        weakref.finalize(segment, undo.pop_all().close)
    return segment


def _read_file(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def packed_leaves(data: bytes, first: int, place: str) -> Iterator[bytes]:
    """Those of a whole packed segment in memory. Raises CorruptStore."""

    def read(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    segment = PackedSegment(place, first, len(data), read, BlockCache())
    yield from segment.leaves(0, segment.count)


class _Writer:
    """Writes a packed segment into an empty file."""

    def __init__(self, descriptor: int, rows: Rows, dictionary: bytes) -> None:
        self._descriptor, self._end, self._rows = descriptor, 0, rows
        shared = _as_dictionary(dictionary)
        self._compressor = zstandard.ZstdCompressor(compression_params=SETTINGS, dict_data=shared)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=shared)
        self._dictionary = zstandard.compress(dictionary)
        self._lengths, self._checksums = array("I"), array("I")

    def write(self, blocks: Iterable[list[int]], before_block: Callable[[], None]) -> None:
        header = HEADER.pack(MAGIC, self._rows.first)
        self._append(header + self._dictionary)
        places = array("I", bytes(8 * self._rows.count))
        for number, block in enumerate(blocks):
            before_block()
            self._write_block(block)
            for place, row in enumerate(block):
                places[row], places[self._rows.count + row] = number, place
        columns = (self._lengths, self._checksums, places)
        directory = zstandard.compress(b"".join(_little(column) for column in columns))
        said = (self._rows.count, len(self._lengths), len(self._dictionary), len(directory))
        checksum = _checksum(header, self._dictionary, directory, said)
        self._append(directory + TRAILER.pack(*said, checksum))

    def _write_block(self, numbers: Sequence[int]) -> None:
        leaves = [_row(self._rows, row) for row in numbers]
        block = _packed([_parts(leaf) for leaf in leaves], self._compressor)
        if [_leaf(parts) for parts in _unpacked(block, self._decompressor)] != leaves:
            raise ValueError(f"rows {numbers[0]} and on do not come back as they were")
        self._lengths.append(len(block))
        self._checksums.append(zlib.crc32(block))
        self._append(block)

    def _append(self, data: bytes) -> None:
        write_all(self._descriptor, data, self._end)
        self._end += len(data)


def _checksum(header: bytes, dictionary: bytes, directory: bytes, said: tuple[int, ...]) -> int:
    return zlib.crc32(b"".join([header, dictionary, directory, TRAILER.pack(*said, 0)]))


def _little(column: "array[int]") -> bytes:
    return struct.pack(f"<{len(column)}I", *column)


class BlockCache:
    """Blocks as they were unpacked, the latest used, up to about CACHE_BYTES. For any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: OrderedDict[tuple[object, int], tuple[Sequence[Parts], int]] = OrderedDict()
        self._bytes = 0

    def block(self, file: "PackedSegment", number: int) -> Sequence[Parts]:
        """Raises CorruptStore."""
        with self._lock:
            place = (file.token, number)
            found = self._held.get(place)
            if found is None:
                found = self._held[place] = file.unpack(number)
                self._bytes += found[1]
            self._held.move_to_end(place)
            while self._bytes > CACHE_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1][1]
        return found[0]

    def clear(self) -> None:
        with self._lock:
            self._held.clear()
            self._bytes = 0


class PackedSegment:
    """One packed segment: `Rows`. Blocks are read through a cache that several may share."""

    rest = 0
    """Bytes behind its rows."""

    def __init__(
        self,
        place: str,
        first: int,
        size: int,
        read: Callable[[int, int], bytes],
        cache: BlockCache,
    ) -> None:
        """`read` gives so many bytes from an offset on; `place` is how errors name it. Raises CorruptStore."""
        self.path, self.first, self.end = place, first, size
        self._read_at, self._cache = read, cache
        self.token = object()
        """What a cache knows its blocks by: one that held the segment would keep its file open."""
        try:
            self._open()
        except (ValueError, struct.error, zstandard.ZstdError) as error:
            raise CorruptStore(f"{place}: offset 0: not a packed segment: {error}") from error

    def _open(self) -> None:
        header = HEADER.pack(MAGIC, self.first)
        if self._read(0, HEADER.size) != header:
            raise ValueError("not the header of this one")
        trailer = self._read(self.end - TRAILER.size, TRAILER.size)
        *said, checksum = TRAILER.unpack(trailer)
        self.count, blocks, head, tail = said
        dictionary = self._read(HEADER.size, head)
        begins = self.end - TRAILER.size - tail
        directory = self._read(begins, tail)
        if _checksum(header, dictionary, directory, tuple(said)) != checksum:
            raise ValueError("trailer and directory do not match their CRC")
        plain = zstandard.ZstdDecompressor()
        content = _decompressed(dictionary, plain)
        self._decompressor = zstandard.ZstdDecompressor(dict_data=_as_dictionary(content))
        numbers = _decompressed(directory, plain)
        column = array("I", struct.unpack(f"<{2 * (blocks + self.count)}I", numbers))
        self._checksums = column[blocks : 2 * blocks]
        self._blocks = column[2 * blocks : 2 * blocks + self.count]
        self._places = column[2 * blocks + self.count :]
        self._offsets = array("Q", accumulate(column[:blocks], initial=HEADER.size + head))
        if self._offsets[-1] != begins:
            raise ValueError("its blocks do not fill it")

    def _read(self, offset: int, size: int) -> bytes:
        """Raises ValueError where there is not so much."""
        if not 0 <= offset <= self.end - size:
            raise ValueError("it is cut off")
        return self._read_at(offset, size)

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """Rows [start, stop) of this file, each checked. Raises CorruptStore."""
        for row in range(start, stop):
            yield _leaf(self._cache.block(self, self._blocks[row])[self._places[row]])

    def whatever_leaves(self) -> Iterator[tuple[int, bytes | None]]:
        """Each row's, with the offset of its block; None where that is damaged."""
        for row, number in enumerate(self._blocks):
            try:
                (leaf,) = self.leaves(row, row + 1)
            except CorruptStore:
                yield self._offsets[number], None
            else:
                yield self._offsets[number], leaf

    def unpack(self, number: int) -> tuple[Sequence[Parts], int]:
        """A block, and how many bytes it holds. For one thread at a time. Raises CorruptStore."""
        offset, following = self._offsets[number : number + 2]
        try:
            block = self._read(offset, following - offset)
            if zlib.crc32(block) != self._checksums[number]:
                raise ValueError("it does not match its CRC")
            found = _unpacked(block, self._decompressor)
        except (ValueError, struct.error, zstandard.ZstdError) as error:
            raise CorruptStore(f"{self.path}: offset {offset}: block {number}: {error}") from error
        return found, sum(len(one if isinstance(one, bytes) else one.payload) for one in found)
