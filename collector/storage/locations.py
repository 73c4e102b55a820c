"""Where a backup lies: a directory, here, or a bucket, in `collector.storage.bucket`."""

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from collector.storage.embedded import SEGMENT_BYTES, EmbeddedLog, lock_store
from collector.storage.frozen import FrozenLog
from collector.storage.handed_out import create_head_file, newest_head
from collector.storage.store import CorruptStore
from weighbridge.log.checkpoint import Head
from weighbridge.process.files import sync_directory, write_file


class Copy(Protocol):
    """The log in a place, opened to be brought up to a head."""

    @property
    def size(self) -> int: ...

    def node(self, level: int, index: int) -> bytes:
        """The hash of one of the complete subtrees that make up what is there."""

    def root(self) -> bytes: ...

    def append(self, leaves: Sequence[bytes]) -> int:
        """Durable when it returns; of a process that is killed in it whole rows are left."""

    def hand_out(self, head: Head) -> None:
        """What is there is what this head covers."""


class Location(Protocol):
    """Files by names such as `keys/log.key`, and a log.

    Errors are StorageErrors that name the place and the file; a directory's are OSErrors that do.
    """

    def __str__(self) -> str: ...

    def at(self, name: str) -> str:
        """How a file of it is called elsewhere."""

    def read(self, name: str) -> bytes | None:
        """None where there is no such file."""

    def write(self, name: str, data: bytes) -> None:
        """In place of what was there; a process that is killed leaves the old file or the new one, whole."""

    def names(self, folder: str) -> list[str]:
        """Of the files in a folder, without it."""

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        """At most so many leaves of the log, each checked. Raises CorruptStore."""

    def opened(self, held: Head | None, tree: Path) -> AbstractContextManager[Copy]:
        """The log in it, of which `held` was proven last; `tree` is the tree of the store that is copied."""


class Directory:
    """A `Location`: a directory that only one process writes at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def at(self, name: str) -> str:
        return str(self._path / name)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._path / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        path = self._path / name
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_file(path, data)

    def names(self, folder: str) -> list[str]:
        files = sorted((self._path / folder).iterdir())
        return [file.name for file in files if file.is_file() and not file.name.endswith(".new")]

    def leaves(self, start: int, limit: int) -> Iterator[bytes]:
        return FrozenLog(self._path / "evidence" / "segments").leaves(start, limit)

    @contextmanager
    def opened(self, held: Head | None, tree: Path) -> Iterator[EmbeddedLog]:  # noqa: ARG002 - it has a tree itself
        """Raises StorageError, StoreInUse."""
        _create_log(self._path)
        with opened_log(self._path) as log:
            yield log


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
def opened_log(directory: Path) -> Iterator[EmbeddedLog]:
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
