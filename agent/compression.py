"""The one door to Zstandard: the standard library's module, or its backport where Python has none yet."""

import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3


def compress(data: bytes) -> bytes:
    """One frame, which tells its size."""
    return zstd.compress(data, LEVEL)


def expand(frame: bytes) -> bytes:
    """What was compressed. Only for what this agent wrote: the size is not bounded."""
    return zstd.decompress(frame)
