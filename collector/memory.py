"""How the process gets memory from the system: large pieces by themselves, so that they go back as they are freed.

A report that is read is many times its bytes, and each thread that reads one would keep a heap of its own, as large as
the most that it ever held.
"""

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""

LARGE_BYTES = 128 << 10
OPTIONS = ((ARENA_MAX, 1), (MMAP_THRESHOLD, LARGE_BYTES), (TRIM_THRESHOLD, LARGE_BYTES))


def give_back_early() -> None:
    """Where the C library is one that can be told so (glibc): call it before threads are started."""
    with suppress(AttributeError):
        tell = ctypes.CDLL(None).mallopt
        for option, value in OPTIONS:
            tell(option, value)
