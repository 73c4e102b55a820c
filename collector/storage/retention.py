"""Reports that leave the store: a segment is written anew, with a row in place of each that names its leaf hash.

Tree, heads and index stay as they are, and are made again from such rows as from the reports. A segment is replaced
whole, so that a process that is killed leaves the old one or the new one. The segment that grows is left alone.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from collector.storage.packed_segments import BlockCache, is_packed, pack_in_place
from collector.storage.segments import (
    HEADER,
    MAGIC,
    first_of,
    opened_rows,
    row_header,
    whatever_rows,
)
from collector.storage.store import CorruptStore, EvidenceLog
from weighbridge.log.entries import Entry, EntryKind, entry
from weighbridge.log.merkle import leaf_hash
from weighbridge.process.files import sync_directory

Substitute = Callable[[Entry, str], bytes | None]
"""(a report's entry, its leaf hash) -> the row in its place; None: it stays."""


def let_go(directory: Path, log: EvidenceLog, substitute: Substitute) -> int:
    """Of the log whose segments are in `directory`; return how many reports left. Nobody else may have it open.

    Raises CorruptStore at a row that is damaged, or not the one that the tree has, with that segment as it was.
    """
    count = 0
    for path in sorted(directory.glob("*.seg"))[:-1]:
        new = path.with_name(path.name + ".new")
        left = _write(path, new, log, substitute)
        if left:
            if is_packed(path):
                pack_in_place(opened_rows(new, first_of(path), BlockCache()), new)
            new.replace(path)
            sync_directory(directory)
        else:
            new.unlink()
        count += left
    return count


def _write(path: Path, new: Path, log: EvidenceLog, substitute: Substitute) -> int:
    first, left = first_of(path), 0
    with new.open("wb") as file:
        file.write(HEADER.pack(MAGIC, first))
        for index, leaf in _rows(path, first):
            row = _in_place(index, leaf, log, substitute)
            left += row is not leaf
            file.write(row_header(row) + row)
        file.flush()
        os.fsync(file.fileno())
    new.chmod(path.stat().st_mode & 0o777)
    return left


def _rows(path: Path, first: int) -> Iterator[tuple[int, bytes]]:
    for index, (offset, leaf) in enumerate(whatever_rows(path, first), first):
        if leaf is None:
            raise CorruptStore(f"{path}: offset {offset}: entry {index} is damaged")
        yield index, leaf


def _in_place(index: int, leaf: bytes, log: EvidenceLog, substitute: Substitute) -> bytes:
    one = entry(index, leaf)
    if one.kind is not EntryKind.REPORT:
        return leaf
    hashed = leaf_hash(leaf)
    if hashed != log.node(0, index):
        raise CorruptStore(f"entry {index} is not the one that the tree has")
    row = substitute(one, hashed.hex())
    return leaf if row is None else row
