"""The spool: a report is durable here before it is sent, and stays until it is acknowledged and its
room is needed.

One preallocated file, so that a full disk cannot silence it. Two superblocks (written in turn) say
which chain is current and what is acknowledged; behind them lies a ring of frames, each starting on
a sector. A frame is valid if its checksum is, so the ring explains itself: whatever is valid is
held, in the order of `ordinal`, and a torn write is no frame.

Nothing is handed out before the disk has confirmed it. What it did not confirm is taken back, its number and its
place are free again, and nobody has seen it. A process that has just started cannot know what the one before it was
told, so it writes the newest frames once more.

Sealed reports cannot be renumbered. When the chain is broken (unacknowledged reports had to be
dropped, or the collector knows another history), `restart_chain` mints a new chain and seals what
is still held again into it, in order and under the same numbers; the first one declares what is
missing before it.
"""

import mmap
import os
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

from agent.compression import compress, expand
from agent.report.spool_format import (
    FRAME,
    FRAME_MAGIC,
    NO_CHAIN,
    RING_OFFSET,
    SECTOR,
    SUPER_OFFSETS,
    Frame,
    Superblock,
    create,
    lock_file,
    parse_frame,
    read_super,
    with_checksum,
)
from weighbridge.process.files import sync_directory, write_all
from weighbridge.wire.report import Gap

SMALLEST = 64 * 1024
SYNCED_TOGETHER = 32
"""At most so many frames are written between two confirmations of the disk."""


class SpoolError(Exception):
    """The spool cannot do what was asked. The message says why, and what would help."""


class ReportTooLargeError(SpoolError):
    """No spool of this size can hold the report."""


@dataclass(frozen=True, slots=True)
class SpoolSlot:
    """The place of the next report: what its `chain`, `seq`, `prev` and `gaps` have to say."""

    chain: str
    seq: int
    prev: str | None
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Held:
    """A report in the spool: its number and the exact envelope."""

    seq: int
    envelope: bytes


Reseal = Callable[[bytes, Callable[[str | None], SpoolSlot]], tuple[SpoolSlot, bytes, str]]
"""(old envelope, old `prev` -> new slot) -> (the slot, the new envelope, its payload hash)."""


class Spool:
    """The reports of one node. Every method may be called from any thread.

    `size_bytes` is the size of the file. An existing file of another size is copied into one of the new size.
    Raises SpoolError when another process holds the file, OSError when the disk refuses.
    """

    def __init__(
        self,
        path: Path,
        size_bytes: int,
        mint: Callable[[int], bytes] = secrets.token_bytes,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self._path, self._mint, self._sync = path, mint, sync
        self._lock = threading.RLock()
        self.dropped = 0
        """Reports dropped before they were acknowledged, since this object was made."""
        self._file, self._super = -1, Superblock(0, NO_CHAIN, 0, NO_CHAIN, 0, 0)
        self._chain, self._acknowledged = self._super.chain, 0
        self._frames: deque[Frame] = deque()
        self._current: dict[int, Frame] = {}
        self._left_out: set[int] = set()
        self._next_seq, self._last_hash = 0, cast("str | None", None)
        self._ordinal, self._head, self._ring_sectors = 0, 0, 0
        self.pending_count = 0
        """Reports that wait for an acknowledgement."""
        self._open(_ring_bytes(size_bytes))
        self._count()

    def turn(self) -> AbstractContextManager[object]:
        """While it is held, no other thread changes the spool: from `next_slot` to its `append`."""
        return self._lock

    def next_slot(self) -> SpoolSlot:
        """Where the next report goes. Stays the same until `append` or `restart_chain`."""
        with self._lock:
            return self._next_slot()

    def append(self, slot: SpoolSlot, envelope: bytes, payload_hash: str) -> None:
        """Make a report durable. Drops the oldest reports where there is no other room.

        After an OSError the report is not in the spool, and its slot is still the next one.
        """
        with self._lock:
            if slot != self._next_slot():
                raise SpoolError(f"report {slot.seq} of chain {slot.chain} is not the next one")
            with self._durably():
                self._write_frame(slot, envelope, payload_hash)
            self._count()

    def pending(self, most: int, most_bytes: int) -> list[Held]:
        """The oldest unacknowledged reports, in order: at least one if there is any, else within both limits."""
        with self._lock:
            batch: list[Held] = []
            size = 0
            for frame in list(islice(self._unacknowledged(), most)):
                envelope = self._read(frame)
                if envelope is None:
                    self._leave_out(frame.seq)
                    continue
                size += len(envelope)
                if batch and size > most_bytes:
                    break
                batch.append(Held(frame.seq, envelope))
            return batch

    def newest(self) -> bytes | None:
        """The last report of the current chain, sent or not; None where there is none."""
        with self._lock:
            frame = self._current.get(self._next_seq - 1)
            return None if frame is None else self._read(frame)

    def acknowledge(self, chain: str, seq: int) -> None:
        """The collector has every report of `chain` up to `seq`. Another chain than the current one changes nothing."""
        with self._lock:
            if chain == self._chain.hex() and seq >= self._acknowledged:
                self._acknowledged = seq + 1
                self._write_super()
                self._count()

    def rewind(self, seq: int, prev: str | None) -> bool:
        """Send again from `seq`, whose `prev` the collector expects. False if that report is no longer held."""
        with self._lock:
            if seq != self._next_seq and seq not in self._current:
                return False
            before = self._current.get(seq - 1)
            if before is not None and before.payload_hash.hex() != prev:
                return False
            self._acknowledged = seq
            self._write_super()
            self._count()
            return True

    def restart_chain(self, reseal: Reseal, lost_from: int | None = None) -> None:
        """Begin a new chain with what is unacknowledged. Finishes an interrupted restart first.

        `lost_from`: the collector no longer has the current chain's reports from that one on, though it acknowledged
        them: those that are still held go too.
        The oldest part of a full spool stays behind: its room goes to new reports, so that the first report of the
        new chain, which alone declares the gap, is not dropped before it is sent.
        """
        with self._lock:
            self._carry_over(reseal)
            if lost_from is not None:
                self._acknowledged = min(self._acknowledged, lost_from)
            self._begin_chain(self._chain, self._carry_from())
            self._carry_over(reseal)
            self._count()

    def _carry_from(self) -> int:
        room = self._ring_sectors * 7 // 8
        start = self._next_seq
        for frame in reversed(list(self._unacknowledged())):
            room -= frame.sectors
            if room < 0:
                self.dropped += start - next(self._unacknowledged()).seq
                break
            start = frame.seq
        return start

    def finish_restart(self, reseal: Reseal) -> None:
        """Complete a `restart_chain` that a crash interrupted; needed before the first `append`."""
        with self._lock:
            self._carry_over(reseal)
            self._count()

    def leave_out(self, chain: str, seq: int) -> None:
        """Never send a report that no collector will take. What follows it declares the gap, in a new chain."""
        with self._lock:
            if chain == self._chain.hex() and seq in self._current:
                self._leave_out(seq)

    @property
    def current_chain(self) -> str:
        """The chain of the next report. Waits for nobody, as the counts do."""
        return self._chain.hex()

    @property
    def held_count(self) -> int:
        """Frames in the ring, acknowledged or not."""
        return len(self._frames)

    def close(self) -> None:
        os.close(self._file)

    def _open(self, ring_bytes: int) -> None:
        if read_super(self._path) is None:
            create(self._path, Superblock(0, self._mint(16), 0, NO_CHAIN, 0, ring_bytes))
        try:
            self._load(self._path)
            if self._super.ring_bytes != ring_bytes:
                self._resize(ring_bytes)
        except (OSError, SpoolError):
            if self._file >= 0:
                os.close(self._file)
            raise

    def _load(self, path: Path) -> None:
        try:
            self._file = lock_file(path)
        except BlockingIOError:
            raise SpoolError(f"{path} is in use by another agent") from None
        found = read_super(path)
        if found is None:
            raise SpoolError(f"{path}: no superblock")
        self._super = found
        self._ring_sectors = found.ring_bytes // SECTOR
        self._chain, self._acknowledged = found.chain, found.acknowledged
        self._frames = deque(sorted(self._scan(), key=lambda frame: frame.ordinal))
        self._index()
        self._confirm()
        if self._acknowledged > self._next_seq:
            self._begin_chain(NO_CHAIN, 0)

    def _index(self) -> None:
        """Derive from the frames: what is current, what comes next, where it will be written."""
        self._current = {frame.seq: frame for frame in self._frames if frame.chain == self._chain}
        newest = max(self._current, default=None)
        self._next_seq = 0 if newest is None else newest + 1
        self._last_hash = None if newest is None else self._current[newest].payload_hash.hex()
        self._ordinal, self._head = 0, 0
        if self._frames:
            last = self._frames[-1]
            self._ordinal = last.ordinal + 1
            self._head = (last.sector + last.sectors) % self._ring_sectors

    def _confirm(self) -> None:
        """A frame that the disk failed to take may still stand in the kernel's memory, and read as if it were safe."""
        for frame in list(self._frames)[-SYNCED_TOGETHER:]:
            self._pwrite(frame.sector, self._pread(frame.sector, frame.length))
        self._sync(self._file)

    def _resize(self, ring_bytes: int) -> None:
        """Copy what is held into a file of another size; the newest where not all of it fits."""
        kept = [(frame, self._pread(frame.sector, frame.length)) for frame in self._frames]
        old_file = self._file
        new = self._path.with_name(self._path.name + ".resized")
        create(new, replace(self._super, ring_bytes=ring_bytes))
        self._load(new)
        for frame, data in kept:
            self._place(frame.chain, frame.seq, frame.payload_hash, data[FRAME.size :])
        os.fsync(self._file)
        new.replace(self._path)
        sync_directory(self._path.parent)
        os.close(old_file)

    def _next_slot(self) -> SpoolSlot:
        if self._stranded():
            raise SpoolError("an interrupted restart of the chain has to be finished first")
        return SpoolSlot(self._chain.hex(), self._next_seq, self._last_hash)

    def _leave_out(self, seq: int) -> None:
        self._left_out.add(self._current.pop(seq).ordinal)
        self.dropped += 1
        self._count()

    def _count(self) -> None:
        first = next(self._unacknowledged(), None)
        self.pending_count = 0 if first is None else self._next_seq - first.seq

    def _unacknowledged(self) -> Iterator[Frame]:
        start = self._acknowledged
        if start < self._next_seq and start not in self._current:
            start = min((seq for seq in self._current if seq > start), default=self._next_seq)
        for seq in range(start, self._next_seq):
            if seq in self._current:
                yield self._current[seq]

    def _stranded(self) -> list[Frame]:
        """Frames of the chain before, not yet sealed into the current one."""
        start = max(self._super.carry_from, self._next_seq)
        chain = self._super.carry_chain
        if chain == NO_CHAIN:
            return []
        return [
            frame
            for frame in self._frames
            if frame.chain == chain and frame.seq >= start and frame.ordinal not in self._left_out
        ]

    def _begin_chain(self, carry_chain: bytes, carry_from: int) -> None:
        self._chain, self._acknowledged = self._mint(16), 0
        self._index()
        self._write_super(carry_chain, carry_from)
        self._sync(self._file)

    def _carry_over(self, reseal: Reseal) -> None:
        """A frame is read into memory before its own room may be taken for the next."""
        stranded = self._stranded()
        for start in range(0, len(stranded), SYNCED_TOGETHER):
            batch = stranded[start : start + SYNCED_TOGETHER]
            held = [(frame.seq, self._read(frame)) for frame in batch if self._holds(frame)]
            with self._durably():
                for seq, envelope in held:
                    if envelope is not None:
                        self._write_frame(*reseal(envelope, partial(self._slot_after, seq)))
        if self._super.carry_chain != NO_CHAIN:
            self._write_super(NO_CHAIN, 0)
            self._sync(self._file)

    def _slot_after(self, seq: int, old_prev: str | None) -> SpoolSlot:
        """Where report `seq` of the chain before goes, and the gap it declares where its predecessor is not held."""
        chain = self._chain.hex()
        if seq == self._next_seq or old_prev is None:
            return SpoolSlot(chain, seq, self._last_hash)
        gap = Gap(
            first_seq=self._next_seq,
            last_seq=seq - 1,
            last_hash=old_prev,
            reason="not in the spool",
        )
        return SpoolSlot(chain, seq, old_prev, (gap,))

    def _holds(self, frame: Frame) -> bool:
        return bool(self._frames) and frame.ordinal >= self._frames[0].ordinal

    @contextmanager
    def _durably(self) -> Iterator[None]:
        """What is written meanwhile is on the disk afterwards, or is taken back and the failure raised.

        What was dropped to make room for it stays dropped: its bytes may be overwritten.
        """
        ordinal, head, seq, last_hash = self._ordinal, self._head, self._next_seq, self._last_hash
        try:
            yield
            self._sync(self._file)
        except BaseException:
            while self._frames and self._frames[-1].ordinal >= ordinal:
                frame = self._frames.pop()
                if self._current.get(frame.seq) is frame:
                    del self._current[frame.seq]
            self._ordinal, self._head, self._next_seq, self._last_hash = (
                ordinal,
                head,
                seq,
                last_hash,
            )
            self._count()
            raise

    def _write_frame(self, slot: SpoolSlot, envelope: bytes, payload_hash: str) -> None:
        body = compress(envelope)
        self._place(bytes.fromhex(slot.chain), slot.seq, bytes.fromhex(payload_hash), body)

    def _place(self, chain: bytes, seq: int, payload_hash: bytes, body: bytes) -> None:
        length = FRAME.size + len(body)
        head = FRAME.pack(
            FRAME_MAGIC, 0, length, self._ordinal, seq, chain, payload_hash
        )  # fmt: skip
        frame = Frame(self._ordinal, chain, seq, payload_hash, self._head, length)
        self._make_room(frame.sectors)
        self._pwrite(frame.sector, with_checksum(head + body))
        self._frames.append(frame)
        if chain == self._chain:
            self._current[seq] = frame
            self._next_seq, self._last_hash = seq + 1, payload_hash.hex()
        self._ordinal += 1
        self._head = (self._head + frame.sectors) % self._ring_sectors

    def _make_room(self, sectors: int) -> None:
        if sectors > self._ring_sectors:
            raise ReportTooLargeError(
                f"a report of {sectors * SECTOR} bytes does not fit; enlarge the spool"
            )
        while self._free_sectors() < sectors:
            self._drop_oldest()

    def _free_sectors(self) -> int:
        if not self._frames:
            return self._ring_sectors
        return (self._frames[0].sector - self._head) % self._ring_sectors

    def _drop_oldest(self) -> None:
        frame = self._frames.popleft()
        if self._current.get(frame.seq) is frame:
            del self._current[frame.seq]
            self.dropped += frame.seq >= self._acknowledged

    def _read(self, frame: Frame) -> bytes | None:
        """The envelope; None where the disk no longer holds what was written."""
        record = self._pread(frame.sector, frame.length)
        if with_checksum(record) != record:
            return None
        return expand(record[FRAME.size :])

    def _scan(self) -> list[Frame]:
        """Every valid frame, by sector."""
        frames = []
        length = self._ring_sectors * SECTOR
        with mmap.mmap(self._file, length, access=mmap.ACCESS_READ, offset=RING_OFFSET) as ring:
            start = ring.find(FRAME_MAGIC)
            while start >= 0:
                frame = parse_frame(ring, start) if start % SECTOR == 0 else None
                if frame is not None:
                    frames.append(frame)
                start = ring.find(FRAME_MAGIC, start + 1)
        return frames

    def _pread(self, sector: int, length: int) -> bytes:
        start = sector * SECTOR
        first = min(length, self._ring_sectors * SECTOR - start)
        data = os.pread(self._file, first, RING_OFFSET + start)
        return data if first == length else data + os.pread(self._file, length - first, RING_OFFSET)

    def _pwrite(self, sector: int, data: bytes) -> None:
        start = sector * SECTOR
        first = min(len(data), self._ring_sectors * SECTOR - start)
        write_all(self._file, data[:first], RING_OFFSET + start)
        write_all(self._file, data[first:], RING_OFFSET)

    def _write_super(self, carry_chain: bytes | None = None, carry_from: int = 0) -> None:
        """Without waiting for the disk: the next append waits for both, and a lost one only repeats what is known."""
        old = self._super
        if carry_chain is None:
            carry_chain, carry_from = old.carry_chain, old.carry_from
        self._super = Superblock(
            old.generation + 1,
            self._chain,
            self._acknowledged,
            carry_chain,
            carry_from,
            old.ring_bytes,
        )
        write_all(self._file, self._super.pack(), SUPER_OFFSETS[self._super.generation % 2])


def _ring_bytes(size_bytes: int) -> int:
    if size_bytes < SMALLEST:
        raise SpoolError(f"a spool of {size_bytes} bytes is too small; the least is {SMALLEST}")
    return (size_bytes - RING_OFFSET) // SECTOR * SECTOR
