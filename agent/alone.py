"""One agent a directory: what it holds is locked by its process, whose number stands in the lock's file."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "agent.pid"


class AnotherAgentError(Exception):
    """Another process holds the directory. The message names it."""


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Hold a directory until the end, or until this process ends, however it does.

    Raises AnotherAgentError where another process holds it, OSError where no file can be made in it.
    """
    directory.mkdir(mode=0o750, parents=True, exist_ok=True)
    file = os.open(directory / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(file, 20).decode(errors="replace").strip() or "unknown"
            raise AnotherAgentError(f"{directory}: another agent runs (pid {holder})") from error
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        os.close(file)
