"""The one door to Zstandard: the standard library's module, or its backport where Python has none yet."""

import sys
from collections.abc import Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3


def compress(data: bytes) -> bytes:
    """One frame, which tells its size."""
    return zstd.compress(data, LEVEL)


CLOSELY: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: 5,
    zstd.CompressionParameter.window_log: 18,
    zstd.CompressionParameter.chain_log: 16,
    zstd.CompressionParameter.hash_log: 16,
    zstd.CompressionParameter.min_match: 7,
    zstd.CompressionParameter.strategy: int(zstd.Strategy.lazy2),
}
"""Matches of less than seven bytes are digits that are alike by chance: to name them takes more than it saves."""


def compress_against(data: bytes, content: bytes) -> bytes:
    """One frame, which tells its size, for whoever has `content`."""
    return zstd.compress(data, options=CLOSELY, zstd_dict=zstd.ZstdDict(content, is_raw=True))


def expand(frame: bytes) -> bytes:
    """What was compressed. Only for what this agent wrote: the size is not bounded."""
    return zstd.decompress(frame)
