"""The newest head that was handed out, in a file beside the segments: what the log must still hold when it is opened.

Two slots of a block each, written in place. A slot is the length of the note, the CRC-32 of length and note (both u32,
little-endian), and the note; a slot of zeros was never written. Between two syncs one slot is written again and again,
and the other holds what was synced last, so that a crash in the middle of a write leaves one whole.

A head is written after its rows are durable and before anybody is told of it, so the file is never ahead of the log.
Only each `SYNC_EVERY`-th write is synced: a process that is killed loses none, and a power cut may leave an older head,
which still names a beginning of the same log.
"""

import contextlib
import os
from pathlib import Path

from collector.storage.segments import ROW, row_header, storage_error
from collector.storage.store import CorruptStore
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.process.files import write_all, write_new_file
from weighbridge.wire.signing import SignatureError

SLOT_BYTES = 4096
SLOTS = 2
SYNC_EVERY = 16
RESTORE = "restore it from a backup (`weighbridge restore`, with the heads that agents and witnesses hold as --head)"
MEND = f"{RESTORE}; `weighbridge scrub --sign` makes a head of what the segments hold, and others may hold a newer one"


def create_head_file(path: Path) -> None:
    """Preallocated, of a log that nobody has seen yet. Raises FileExistsError."""
    write_new_file(path, bytes(SLOTS * SLOT_BYTES))


def newest_head(path: Path) -> Head | None:
    """The newest head in the file at `path`, which a collector may be writing; None where none was handed out yet.

    Raises CorruptStore where it is missing or holds no whole head.
    """
    return _newest(path)[0]


def _newest(path: Path) -> tuple[Head | None, int]:
    """The newest head, and the slot that it is in."""
    try:
        data = path.read_bytes()
    except OSError as error:
        lost = "nothing says how long the log was that was handed out"
        raise CorruptStore(f"{path}: {error.strerror}: {lost}; {MEND}") from error
    slots = [data[start : start + SLOT_BYTES] for start in range(0, len(data), SLOT_BYTES)]
    heads = {number: head for number, slot in enumerate(slots) if (head := _head(slot))}
    if not heads and (any(data) or len(slots) != SLOTS):
        raise CorruptStore(f"{path}: holds no whole head; {MEND}")
    newest = max(heads, key=lambda number: heads[number].size, default=1)
    return heads.get(newest), newest


def replace_head(path: Path, head: Head) -> None:
    """In place of whatever lies there, durable when it returns."""
    path.unlink(missing_ok=True)
    create_head_file(path)
    file = HeadFile(path)
    file.write(head)
    file.close()


class HeadFile:
    """The file, opened. `newest` is the newest head that it holds, None where none was handed out yet."""

    def __init__(self, path: Path) -> None:
        """Raises CorruptStore where it is missing or holds no whole head."""
        self._path = path
        self.newest, newest = _newest(path)
        self._slot = 1 - newest
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        self._unsynced = SYNC_EVERY - 1

    def write(self, head: Head) -> None:
        """This head is handed out next. Raises StorageError, and then the one before is the newest still."""
        try:
            self._put(head.note)
            self._unsynced += 1
            if self._unsynced >= SYNC_EVERY:
                self._sync()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._put("" if self.newest is None else self.newest.note)
            raise storage_error("write to", self._path, error) from error
        self.newest = head

    def _put(self, note: str) -> None:
        data = note.encode()
        write_all(self._descriptor, row_header(data) + data, self._slot * SLOT_BYTES)

    def _sync(self) -> None:
        os.fdatasync(self._descriptor)
        self._unsynced, self._slot = 0, 1 - self._slot

    def close(self) -> None:
        """The newest head is durable."""
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)


def _head(slot: bytes) -> Head | None:
    """The head in a slot, if it is whole."""
    if len(slot) < ROW.size:
        return None
    length, _ = ROW.unpack_from(slot)
    note = slot[ROW.size : ROW.size + length]
    if not length or row_header(note) != slot[: ROW.size]:
        return None
    try:
        return read_head(note.decode())
    except (SignatureError, UnicodeDecodeError):
        return None
