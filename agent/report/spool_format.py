"""How the spool lies on the disk: two superblocks and frames, how they are checked, and how the file comes to be.

A superblock says which chain is current, what of it is acknowledged, and from where a restart carries what over. A
frame is a sector-aligned header and a compressed report. Both begin with a magic of 8 bytes and a checksum of 4.
"""

import fcntl
import mmap
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from weighbridge.process.files import sync_directory, write_all

SECTOR = 512

_SUPERBLOCK = struct.Struct("<8sIIQ16sQ16sQQ")
_SUPER_MAGIC = b"WBSPOOL1"
SUPER_OFFSETS = (0, 4096)
RING_OFFSET = 8192
FRAME = struct.Struct("<8sIIQQ16s32s")
FRAME_MAGIC = b"WBFRAME1"
_CHECKED_FROM = 12
NO_CHAIN = bytes(16)


@dataclass(frozen=True, slots=True)
class Frame:
    """A report in the ring. `ordinal` counts all that were ever written; it takes `length` bytes from `sector` on."""

    ordinal: int
    chain: bytes
    seq: int
    payload_hash: bytes
    sector: int
    length: int

    @property
    def sectors(self) -> int:
        """How many sectors the frame takes."""
        return sectors_of(self.length)


@dataclass(frozen=True, slots=True)
class Superblock:
    """A superblock. Reports below `acknowledged` are; `carry_chain` from `carry_from` on is being sealed anew."""

    generation: int
    chain: bytes
    acknowledged: int
    carry_chain: bytes
    carry_from: int
    ring_bytes: int

    def pack(self) -> bytes:
        """The superblock as it is written."""
        body = _SUPERBLOCK.pack(
            _SUPER_MAGIC, 0, 1, self.generation, self.chain, self.acknowledged,
            self.carry_chain, self.carry_from, self.ring_bytes,
        )  # fmt: skip
        return with_checksum(body)


def sectors_of(length: int) -> int:
    """How many sectors so many bytes take."""
    return -(-length // SECTOR)


def with_checksum(record: bytes) -> bytes:
    """A record with its checksum (over what follows it) in place."""
    checksum = struct.pack("<I", zlib.crc32(record[_CHECKED_FROM:]))
    return record[:8] + checksum + record[_CHECKED_FROM:]


def parse_frame(ring: mmap.mmap, start: int) -> Frame | None:
    """The frame whose magic stands at `start`, if it is whole."""
    if start + FRAME.size > len(ring):
        return None
    _, checksum, length, ordinal, seq, chain, payload_hash = FRAME.unpack_from(ring, start)
    if not FRAME.size <= length <= len(ring):
        return None
    record = ring[start : start + length]
    record += ring[: length - len(record)]
    if zlib.crc32(record[_CHECKED_FROM:]) != checksum:
        return None
    return Frame(ordinal, chain, seq, payload_hash, start // SECTOR, length)


def read_super(path: Path) -> Superblock | None:
    """The newer valid superblock of a whole file; None where there is no spool."""
    try:
        with path.open("rb") as file:
            start = file.read(RING_OFFSET)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return None
    slots = (_parse_super(start[offset : offset + _SUPERBLOCK.size]) for offset in SUPER_OFFSETS)
    found = [slot for slot in slots if slot is not None and size >= RING_OFFSET + slot.ring_bytes]
    return max(found, key=lambda slot: slot.generation, default=None)


def _parse_super(record: bytes) -> Superblock | None:
    if len(record) != _SUPERBLOCK.size or with_checksum(record) != record:
        return None
    magic, _, version, *fields = _SUPERBLOCK.unpack(record)
    if magic != _SUPER_MAGIC or version != 1:
        return None
    return Superblock(*fields)


def create(path: Path, first: Superblock) -> None:
    """A whole spool appears under its name or none does. Its room is taken now."""
    new = path.with_name(path.name + ".new")
    file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, RING_OFFSET + first.ring_bytes)
        write_all(file, first.pack(), SUPER_OFFSETS[0])
        os.fsync(file)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    finally:
        os.close(file)
    sync_directory(path.parent)


def lock_file(path: Path) -> int:
    """An open file that is ours alone. Raises BlockingIOError while another process holds it."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise
    return file
