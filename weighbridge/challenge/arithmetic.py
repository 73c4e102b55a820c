"""The integers of the challenge on a CPU, with numpy. Everything is exact; B is streamed and never whole in memory.

Entries of A, B and C are integers. Products run in float32 BLAS, where every partial sum is an integer below 2^24
(`profiles.py` has the bound), so no order of summation rounds.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from weighbridge.challenge.keystream import keystream
from weighbridge.challenge.links import Row, source_rows, window_maps
from weighbridge.challenge.policy import BLOCK_ROWS
from weighbridge.challenge.profiles import F16, Profile

STREAM_ROWS = 512
"""Rows of B in memory at once: 64 MB as float32 at the largest size."""
BATCH_BYTES = 40_000_000
"""Of each of the two float32 arrays that hold a batch of product rows."""
PRIME = (1 << 31) - 1
_VECTOR_ROWS = 128

Float32 = npt.NDArray[np.float32]
Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
UInt64 = npt.NDArray[np.uint64]
UInt8 = npt.NDArray[np.uint8]

_NIBBLES = np.arange(256, dtype=np.uint8)
_NIBBLE_PAIRS = np.stack([(_NIBBLES & 15 ^ 8), (_NIBBLES >> 4 ^ 8)], axis=1).astype(
    np.float32
) - np.float32(8)
_PAIR_TABLE = np.ascontiguousarray(_NIBBLE_PAIRS).view(np.uint64).ravel()
"""Both signed nibbles of a byte as two float32 in one 64-bit word."""


def widen_a(profile: Profile, data: bytes) -> Float32:
    """Keystream bytes as entries of A, in order."""
    if profile is F16:
        words = np.frombuffer(data, dtype="<u2")
        magnitude = (words & 0x7FF).astype(np.float32)
        return np.where(words & 0x8000, -magnitude, magnitude)
    return np.frombuffer(data, dtype=np.int8).astype(np.float32)


def widen_b(profile: Profile, data: bytes) -> Float32:
    """Keystream bytes as entries of B, in order."""
    if profile is F16:
        return _PAIR_TABLE[np.frombuffer(data, dtype=np.uint8)].view(np.float32)
    return np.frombuffer(data, dtype=np.int8).astype(np.float32)


def with_low(profile: Profile, data: bytes, low: bytes) -> bytes:
    """Keystream bytes of entries of A, the low 8 bits of each xor a byte. No bytes: as they are."""
    if low == b"":
        return data
    entries = np.frombuffer(data, dtype="<u2" if profile is F16 else np.uint8)
    return (entries ^ np.frombuffer(low, dtype=np.uint8)).tobytes()


def low_bytes(rows: Int32) -> UInt8:
    """The low 8 bits of each entry of product rows: what rows of the next round take."""
    return rows.astype(np.uint8)


def taken(before: UInt8, key: bytes, links: int, rows: Sequence[int]) -> UInt8:
    """The low bytes that rows of the round under this key take of all those of the round before."""
    size = len(before)
    maps, width = window_maps(key, size, links), size // links
    sources = np.array([source_rows(maps, size, row) for row in rows])
    windows = before.reshape(size, links, width)
    found: UInt8 = windows[sources, np.arange(links)].reshape(len(rows), size)
    return found


def rows_of_a(
    profile: Profile, size: int, rows: Sequence[Row], first_column: int, columns: int
) -> Float32:
    """A slab of columns of some rows of A: shape (len(rows), columns). Columns in steps of 128."""
    row_bytes = profile.a_row_bytes(size)
    start, length = profile.a_row_bytes(first_column), profile.a_row_bytes(columns)
    window = slice(first_column, first_column + columns)
    parts = (
        with_low(profile, keystream(row.key, row.at * row_bytes + start, length), row.low[window])
        for row in rows
    )
    return widen_a(profile, b"".join(parts)).reshape(len(rows), columns)


def rows_of_b(profile: Profile, size: int, key: bytes, first_row: int, rows: int) -> Float32:
    """Consecutive rows of B: shape (rows, size)."""
    row_bytes = profile.b_row_bytes(size)
    data = keystream(key, first_row * row_bytes, rows * row_bytes)
    return widen_b(profile, data).reshape(rows, size)


def product_rows(
    profile: Profile, size: int, key_of_b: bytes, rows: Sequence[Row]
) -> Iterator[Int32]:
    """Each row of its A·B, in order: shape (size,). Memory stays bounded whatever the number of rows."""
    batch = max(1, BATCH_BYTES // (4 * size))
    for start in range(0, len(rows), batch):
        yield from _batch_of_products(profile, size, key_of_b, rows[start : start + batch])


def _batch_of_products(
    profile: Profile, size: int, key_of_b: bytes, rows: Sequence[Row]
) -> Iterator[Int32]:
    total = np.zeros((len(rows), size), dtype=np.float32)
    part = np.empty_like(total)
    for first in range(0, size, STREAM_ROWS):
        count = min(STREAM_ROWS, size - first)
        left = rows_of_a(profile, size, rows, first, count)
        np.matmul(left, rows_of_b(profile, size, key_of_b, first, count), out=part)
        total += part
    for row in total:
        yield row.astype(np.int32)


def mix64(words: UInt64) -> UInt64:
    """A bijection of 64-bit words, linear over neither the integers nor the bits (in place)."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def column_keys(key: bytes, size: int) -> UInt64:
    """The 64-bit key of each column under a digest key."""
    return np.frombuffer(keystream(key, 0, 8 * size), dtype="<u8")


def row_digest(row: Int32, keys: UInt64) -> int:
    """Sum over the entries, mod 2^64, of mix64(entry's 32-bit image xor its column's key)."""
    mixed = mix64(row.view(np.uint32).astype(np.uint64) ^ keys)
    return int(mixed.sum(dtype=np.uint64))


def low_halves(rows: Sequence[Int32]) -> bytes:
    """What the memory phase keeps of rows: the low 16 bits of each entry, little-endian."""
    return b"".join(row.astype("<u2").tobytes() for row in rows)


def block_keys(key: bytes, size: int) -> UInt64:
    """The word keys of a memory pass, the same for every block (8 rows of 16-bit entries)."""
    return np.frombuffer(keystream(key, 0, 2 * size * BLOCK_ROWS), dtype="<u8")


def block_digests(blocks: bytes | memoryview, keys: UInt64) -> UInt64:
    """Per block: the sum, mod 2^64, of v xor (v >> 32), v = (word xor key) · odd constant."""
    words = np.frombuffer(blocks, dtype="<u8").reshape(-1, len(keys)) ^ keys
    words *= np.uint64(0x9E3779B97F4A7C15)
    words ^= words >> np.uint64(32)
    digests: UInt64 = words.sum(axis=1, dtype=np.uint64)
    return digests


def vector(key: bytes, size: int) -> Int64:
    """The Freivalds vector: uniform modulo 2^31 - 1, held around zero."""
    accepted: list[npt.NDArray[Any]] = []
    found, offset = 0, 0
    while found < size:
        words = np.frombuffer(keystream(key, offset, 4 * size), dtype="<u4") & np.uint32(PRIME)
        kept = words[words < PRIME]
        accepted.append(kept)
        found, offset = found + len(kept), offset + 4 * size
    return centred(np.concatenate(accepted)[:size].astype(np.int64))


def centred(values: Int64) -> Int64:
    """Residues modulo 2^31 - 1 in the range from -(2^30 - 1) to 2^30 - 1."""
    residues = values % PRIME
    return np.where(residues > PRIME // 2, residues - PRIME, residues)


def b_times_vector(profile: Profile, size: int, key_of_b: bytes, right: Int64) -> Int64:
    """B·r modulo 2^31 - 1. float64 is exact: |b| <= 2^7, |r| < 2^30, n <= 2^15, so sums stay below 2^52."""
    wide = right.astype(np.float64)
    parts = [
        rows_of_b(profile, size, key_of_b, first, min(_VECTOR_ROWS, size - first)) @ wide
        for first in range(0, size, _VECTOR_ROWS)
    ]
    return centred(np.concatenate(parts).astype(np.int64))


def a_times_vector(profile: Profile, size: int, row: Row, right: Int64) -> int:
    """A row of A times x modulo 2^31 - 1. int64 is exact: 2^11 · 2^30 · 2^15 = 2^56."""
    left = rows_of_a(profile, size, [row], 0, size)[0].astype(np.int64)
    return int(left @ right) % PRIME


def c_times_vector(row: Int32, right: Int64) -> int:
    """A claimed row times r modulo 2^31 - 1, split at 16 bits: 2^16 · 2^30 · 2^15 = 2^61."""
    high, low = (row >> 16).astype(np.int64), (row & 0xFFFF).astype(np.int64)
    return (int(high @ right) * 65536 + int(low @ right)) % PRIME
