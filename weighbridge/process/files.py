"""Files that only their owner reads, on the disk under their names when a function returns."""

import os
from pathlib import Path


def write_file(path: Path, data: bytes) -> None:
    """In place of whatever was there; after a crash it is the old file or the new one, whole."""
    new = path.with_name(path.name + ".new")
    _write(new, data, os.O_TRUNC)
    new.replace(path)
    sync_directory(path.parent)


def write_new_file(path: Path, data: bytes) -> None:
    """Raises FileExistsError rather than replace one."""
    _write(path, data, os.O_EXCL)
    sync_directory(path.parent)


def _write(path: Path, data: bytes, flag: int) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | flag, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(file)


def write_all(file: int, data: bytes, offset: int) -> None:
    """Every byte at `offset`, however little the kernel takes at a time, or OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
