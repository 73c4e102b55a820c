"""Backups: the log up to a head, proven by that head before a byte of it is written; and the way back.

AT/manifest.json   what the last backup that was finished holds: its size, root and signed head, null until one was
AT/evidence/       segments; in a directory tree and head too, as a store has them
AT/keys/
AT/config.toml
AT/lock            in a directory: held while a backup or a restore is under way

Both directions copy by appends of whole rows: a process that is killed leaves whole ones, and the next one goes on
behind them.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from collector.storage.embedded import EmbeddedLog, describe_store, read_info
from collector.storage.handed_out import newest_head
from collector.storage.locations import Copy, Directory, Location
from collector.storage.store import CorruptStore, StorageError, StoreInfo
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.entries import stored_hash
from weighbridge.log.merkle import Frontier
from weighbridge.log.succession import open_by_any
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


BACKED_UP = "backed-up"
"""In a store: to where a backup of it was last finished; written then."""


def back_up(
    directory: Path, config_file: Path, target: Location, log_keys: Sequence[bytes]
) -> Copied:
    """Bring the backup in `target` up to the newest head of the store in `directory`, which a collector may have open.

    `log_keys`: one of them signed that head.

    Raises CorruptStore where the store does not hold that head, or what the backup holds of it already.
    """
    head = newest_head(directory / "evidence" / "head")
    if head is None:
        raise StorageError(f"{directory}: no head was handed out yet: nothing to back up")
    _require_signed(head, log_keys, str(directory))
    info, source = read_info(directory), Directory(directory)
    held = _held(target, info)
    with target.opened(None if held is None else held.head, directory / "evidence" / "tree") as log:
        if held is None:
            _write_manifest(target, Manifest(info, None))
        new = _copy_log(source, log, head)
        _copy_keys(source, target)
        target.write("config.toml", config_file.read_bytes())
        _write_manifest(target, Manifest(info, head))
    source.write(BACKED_UP, f"{target}\n".encode())
    return Copied(head, new)


def backed_up_s(directory: Path) -> float:
    """When a backup of the store was last finished, by the file system; 0: never."""
    try:
        return (directory / BACKED_UP).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _require_signed(head: Head, log_keys: Sequence[bytes], location: str) -> None:
    try:
        open_by_any(head.note, log_keys)
    except SignatureError as error:
        raise CorruptStore(f"{location}: the newest head: {error}") from error


def _held(target: Location, info: StoreInfo) -> Manifest | None:
    """What `target` holds of this log, None where none was begun. Raises StorageError where it holds something else."""
    if target.read("store.json") is not None:
        raise StorageError(f"{target} holds a store; a backup has a directory of its own")
    written = target.read(MANIFEST)
    if written is None:
        return None
    held = _parse_manifest(written, target)
    if held.info != info:
        raise StorageError(f"{target} is a backup of another log, {held.info.origin}")
    return held


def _copy_log(source: Location, target: Copy, head: Head) -> int:
    """Bring `target` up to `head`, which the log in `source` holds; return how many entries were new.

    Nothing is written unless what `target` holds and what `source` adds come to the head's root. Raises CorruptStore.
    """
    location = source.at("evidence")
    if target.size > head.size:
        raise StorageError(
            f"{target.size} entries are there already, and {location} is older: its newest head is over {head.size}"
        )
    start = target.size
    proven = Frontier(start, target.node)
    for leaf in source.leaves(start, head.size - start):
        proven.append(stored_hash(leaf))
    if (proven.size, proven.root()) != (head.size, head.root):
        raise CorruptStore(
            f"{location}: the entries do not come to the root of the head over {head.size}, or go on another log than"
            " the one that is there. Nothing was copied; `weighbridge scrub` says what is damaged"
        )
    for batch in _batches(source.leaves(start, head.size - start)):
        target.append(batch)
    if target.root() != head.root:
        raise CorruptStore(f"{location}: changed while it was read; begin again in another place")
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


def _copy_keys(source: Location, target: Location) -> None:
    """Each readable by its owner alone, whole under its name."""
    for name in source.names("keys"):
        target.write(f"keys/{name}", read_file(source, f"keys/{name}"))


def read_file(location: Location, name: str) -> bytes:
    """A file that each backup has. Raises StorageError."""
    data = location.read(name)
    if data is None:
        raise StorageError(f"{location.at(name)}: missing: {location} holds no whole backup")
    return data


def _write_manifest(target: Location, manifest: Manifest) -> None:
    head = manifest.head
    said = {
        "version": VERSION,
        "origin": manifest.info.origin,
        "size": None if head is None else head.size,
        "root": None if head is None else head.root.hex(),
        "head": None if head is None else head.note,
    }
    target.write(MANIFEST, json.dumps(said, indent=1, sort_keys=True).encode())


def _parse_manifest(data: bytes, location: Location) -> Manifest:
    """Verifies no signature. Raises StorageError."""
    path = location.at(MANIFEST)
    try:
        said = json.loads(data)
        if said["version"] != VERSION:
            raise StorageError(f"{path}: version {said['version']}; this program knows {VERSION}")
        note = said["head"]
        head = None if note is None else read_head(note)
        return Manifest(StoreInfo(str(said["origin"])), head)
    except (ValueError, TypeError, KeyError) as error:
        raise CorruptStore(f"{path}: not the manifest of a backup") from error


def finished(source: Location) -> tuple[StoreInfo, Head]:
    """What the last backup there that was finished is of, and up to where. Raises StorageError where none was."""
    manifest = _parse_manifest(read_file(source, MANIFEST), source)
    if manifest.head is None:
        raise StorageError(f"{source} holds no whole backup: none was ever finished there")
    return manifest.info, manifest.head


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore under way: `log` holds at least what the backup does, up to `head`."""

    info: StoreInfo
    log: EmbeddedLog
    head: Head


@contextmanager
def restored(source: Location, directory: Path, log_keys: Sequence[bytes]) -> Iterator[Restore]:
    """Bring back into `directory` what the backup in `source` holds, each entry and the root proven.

    `directory` is empty, or a restore of this backup was broken off there: then its log may be ahead by what was
    entered last. It becomes a store when the block ends, and not before. Raises StorageError.
    """
    info, head = finished(source)
    _require_signed(head, log_keys, str(source))
    _require_empty(directory)
    target = Directory(directory)
    with target.opened(None, directory / "evidence" / "tree") as log:
        if log.size <= head.size:
            _copy_log(source, log, head)
        _copy_keys(source, target)
        yield Restore(info, log, head)
        target.write("config.toml", read_file(source, "config.toml"))
        describe_store(directory, info)


def _require_empty(directory: Path) -> None:
    if (directory / "store.json").exists():
        raise StorageError(f"{directory} holds a store already")
    names = {path.name.removesuffix(".new") for path in directory.glob("*")}
    if names - BEGUN:
        raise StorageError(f"{directory} is not empty, and no restore was begun there")
