"""Reports that leave the store: a segment is written anew, with a row in place of each that names its leaf hash.

Tree, heads and index stay as they are, and are made again from such rows as from the reports. A segment is replaced
whole, so that a process that is killed leaves the old one or the new one. The segment that grows is left alone: others
may append to it meanwhile, and read all of them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from collector.storage.packed_segments import BlockCache, is_packed, pack_in_place
from collector.storage.segments import (
    HEADER,
    MAGIC,
    first_of,
    opened_rows,
    row_header,
    storage_error,
    whatever_rows,
)
from collector.storage.store import CorruptStore, Substitute
from weighbridge.log.entries import EntryKind, entry
from weighbridge.log.merkle import leaf_hash
from weighbridge.process.files import sync_directory


def let_go(
    directory: Path,
    hashed: Callable[[int], bytes],
    substitute: Substitute,
    replacing: Callable[[], AbstractContextManager[object]],
) -> int:
    """Of the log whose segments are in `directory`; return how many reports left. `hashed` is the tree's word for an
    entry; each segment is read and replaced within `replacing`.

    Raises CorruptStore at a row that is damaged, or not the one that the tree has, and StoreFull or StorageError where
    the system refuses, with that segment as it was.
    """
    count = 0
    for path in sorted(directory.glob("*.seg"))[:-1]:
        with replacing():
            count += _replace(path, hashed, substitute)
    return count


def _replace(path: Path, hashed: Callable[[int], bytes], substitute: Substitute) -> int:
    new = path.with_name(path.name + ".new")
    try:
        left = _write(path, new, hashed, substitute)
        if left:
            if is_packed(path):
                pack_in_place(opened_rows(new, first_of(path), BlockCache()), new)
            new.replace(path)
            sync_directory(path.parent)
    except OSError as error:
        raise storage_error("write", new, error) from error
    finally:
        new.unlink(missing_ok=True)
    return left


def _write(path: Path, new: Path, hashed: Callable[[int], bytes], substitute: Substitute) -> int:
    first, left = first_of(path), 0
    with new.open("wb") as file:
        file.write(HEADER.pack(MAGIC, first))
        for index, leaf in _rows(path, first):
            row = _in_place(index, leaf, hashed, substitute)
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


def _in_place(
    index: int, leaf: bytes, hashed: Callable[[int], bytes], substitute: Substitute
) -> bytes:
    one = entry(index, leaf)
    if one.kind is not EntryKind.REPORT:
        return leaf
    hashes_to = leaf_hash(leaf)
    if hashes_to != hashed(index):
        raise CorruptStore(f"entry {index} is not the one that the tree has")
    row = substitute(one, hashes_to.hex())
    return leaf if row is None else row
