"""Backups: the log up to a head, proven by that head before a byte of it is written; and the way back.

TARGET/manifest.json   what the last backup that was finished holds: its size, root and signed head, null until one was
TARGET/evidence/       segments, tree and head, as a store has them
TARGET/keys/
TARGET/config.toml
TARGET/lock            held while a backup or a restore is under way

Both directions copy by the collector's own appends: a process that is killed leaves whole rows, and the next one goes
on behind them.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.storage.embedded import (
    SEGMENT_BYTES,
    EmbeddedLog,
    describe_store,
    lock_store,
    read_info,
)
from collector.storage.frozen import FrozenLog
from collector.storage.handed_out import create_head_file, newest_head
from collector.storage.store import CorruptStore, StorageError, StoreInfo
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import Frontier
from weighbridge.log.succession import open_by_any
from weighbridge.process.files import sync_directory, write_file
from weighbridge.wire.signing import SignatureError

VERSION = 1
MANIFEST = "manifest.json"
BATCH_BYTES = 8 << 20
BEGUN = frozenset({"evidence", "keys", "config.toml", "lock", "store.json"})
"""What a restore that was broken off leaves."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A log was brought up to `head`; `new` entries of it were written for that."""

    head: Head
    new: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup holds. `head` is None where none was ever finished."""

    info: StoreInfo
    head: Head | None


def back_up(directory: Path, config_file: Path, target: Path, log_keys: Sequence[bytes]) -> Copied:
    """Bring the backup in `target` up to the newest head of the store in `directory`, which a collector may have open.

    `log_keys`: one of them signed that head.

    Raises CorruptStore where the store does not hold that head, or what the backup holds of it already.
    """
    head = newest_head(directory / "evidence" / "head")
    if head is None:
        raise StorageError(f"{directory}: no head was handed out yet: nothing to back up")
    _require_signed(head, log_keys, directory)
    info = read_info(directory)
    _begin(target, info)
    with _opened_log(target) as log:
        new = _copy_log(directory / "evidence", log, head)
        _copy_keys(directory / "keys", target / "keys")
        write_file(target / "config.toml", config_file.read_bytes())
        _write_manifest(target, Manifest(info, head))
    return Copied(head, new)


def _require_signed(head: Head, log_keys: Sequence[bytes], place: Path) -> None:
    try:
        open_by_any(head.note, log_keys)
    except SignatureError as error:
        raise CorruptStore(f"{place}: the newest head: {error}") from error


def _begin(target: Path, info: StoreInfo) -> None:
    """A backup of this log is in `target`, were it an empty one."""
    if (target / "store.json").exists():
        raise StorageError(f"{target} holds a store; a backup has a directory of its own")
    if (target / MANIFEST).exists():
        held = read_manifest(target).info
        if held != info:
            raise StorageError(f"{target} is a backup of another log, {held.origin}")
    _create_log(target)
    if not (target / MANIFEST).exists():
        _write_manifest(target, Manifest(info, None))


def _create_log(directory: Path) -> None:
    """An empty log, unless there is one; of one that a crash broke off in the making, the rest.

    A head file that holds no whole head says nothing here: the backup's head proves the entries.
    """
    evidence, head = directory / "evidence", directory / "evidence" / "head"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    (evidence / "segments").mkdir(parents=True, exist_ok=True)
    try:
        newest_head(head)
    except CorruptStore:
        head.unlink(missing_ok=True)
        create_head_file(head)
    for made in (evidence, directory, directory.parent):
        sync_directory(made)


@contextmanager
def _opened_log(directory: Path) -> Iterator[EmbeddedLog]:
    """The log alone, for this process. Raises StorageError, StoreInUse."""
    lock = lock_store(directory)
    try:
        log = EmbeddedLog(directory / "evidence", SEGMENT_BYTES, lock)
    except BaseException:
        os.close(lock)
        raise
    try:
        yield log
    finally:
        log.close()


def _copy_log(source: Path, target: EmbeddedLog, head: Head) -> int:
    """Bring `target` up to `head`, which the log in the directory `source` holds; return how many entries were new.

    Nothing is written unless what `target` holds and what `source` adds come to the head's root. Raises CorruptStore.
    """
    if target.size > head.size:
        raise StorageError(
            f"{target.size} entries are there already, and {source} is older: its newest head is over {head.size}"
        )
    log, start = FrozenLog(source / "segments"), target.size
    proven = Frontier(start, target.node)
    for leaf in log.leaves(start, head.size - start):
        proven.append(stored_hash(leaf))
    if (proven.size, proven.root()) != (head.size, head.root):
        raise CorruptStore(
            f"{source}: the entries do not come to the root of the head over {head.size}, or go on another log than"
            " the one that is there. Nothing was copied; `weighbridge scrub` says what is damaged"
        )
    for batch in _batches(log.leaves(start, head.size - start)):
        target.append(batch)
    target.hand_out(head)
    return head.size - start


def _batches(leaves: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for leaf in leaves:
        batch.append(leaf)
        size += len(leaf)
        if size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _copy_keys(source: Path, target: Path) -> None:
    """Each readable by its owner alone, whole under its name."""
    target.mkdir(mode=0o700, exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.is_file() and not file.name.endswith(".new"):
            write_file(target / file.name, file.read_bytes())


def _write_manifest(target: Path, manifest: Manifest) -> None:
    head = manifest.head
    said = {
        "version": VERSION,
        "origin": manifest.info.origin,
        "size": None if head is None else head.size,
        "root": None if head is None else head.root.hex(),
        "head": None if head is None else head.note,
    }
    write_file(target / MANIFEST, json.dumps(said, indent=1, sort_keys=True).encode())


def read_manifest(target: Path) -> Manifest:
    """Verifies no signature. Raises StorageError."""
    path = target / MANIFEST
    try:
        said = json.loads(path.read_bytes())
        if said["version"] != VERSION:
            raise StorageError(f"{path}: version {said['version']}; this program knows {VERSION}")
        note = said["head"]
        head = None if note is None else read_head(note)
        return Manifest(StoreInfo(str(said["origin"])), head)
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}: {target} holds no backup") from error
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptStore(f"{path}: not the manifest of a backup") from error


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore under way: `log` holds at least what the backup does, up to `head`."""

    info: StoreInfo
    log: EmbeddedLog
    head: Head


@contextmanager
def restored(target: Path, directory: Path, log_keys: Sequence[bytes]) -> Iterator[Restore]:
    """Bring back into `directory` what the backup in `target` holds, each entry and the root proven.

    `directory` is empty, or a restore of this backup was broken off there: then its log may be ahead by what was
    entered last. It becomes a store when the block ends, and not before. Raises StorageError.
    """
    manifest = read_manifest(target)
    if manifest.head is None:
        raise StorageError(f"{target}: no backup was ever finished there")
    _require_signed(manifest.head, log_keys, target)
    _require_empty(directory)
    _create_log(directory)
    with _opened_log(directory) as log:
        if log.size <= manifest.head.size:
            _copy_log(target / "evidence", log, manifest.head)
        yield Restore(manifest.info, log, manifest.head)
        _copy_keys(target / "keys", directory / "keys")
        write_file(directory / "config.toml", (target / "config.toml").read_bytes())
        describe_store(directory, manifest.info)


def _require_empty(directory: Path) -> None:
    if (directory / "store.json").exists():
        raise StorageError(f"{directory} holds a store already")
    names = {path.name.removesuffix(".new") for path in directory.glob("*")}
    if names - BEGUN:
        raise StorageError(f"{directory} is not empty, and no restore was begun there")
