"""What a row of a round takes of the round before, so that no part of a round can do without the whole of the last.

The columns are cut into `links` windows of equal width. In each, row i of A is its keystream with the low 8 bits of
every entry xor the low byte of C, of the round before, in the same column of row p(i). p is a permutation of its own in
each window, drawn from the key of the round that takes: unknown until the round before has been committed.
"""

from collections.abc import Sequence
from math import gcd
from typing import NamedTuple

from weighbridge.challenge.hashing import fields_hash
from weighbridge.challenge.keystream import drawn

WINDOW_BYTES = 8
"""A window's digest: SipHash-1-3, under a key of the round's own, of the low bytes of one row in one window."""


class Row(NamedTuple):
    """A row of some A: the key of its round, its index, and the low bytes that it takes; none in an unlinked round."""

    key: bytes
    at: int
    low: bytes = b""


def window_key(key: bytes) -> bytes:
    """The SipHash key of a round's window digests."""
    return fields_hash("W", key)[:16]


def window_maps(key: bytes, size: int, links: int) -> tuple[tuple[int, int], ...]:
    """Per window (a, c) of p(i) = a i + c mod n, with a coprime to n, uniform over all such."""
    numbers = drawn(fields_hash("links", key), size)
    return tuple(
        (next(a for a in numbers if gcd(a, size) == 1), next(numbers)) for _ in range(links)
    )


def source_rows(maps: Sequence[tuple[int, int]], size: int, row: int) -> tuple[int, ...]:
    """The rows of the round before of which a row takes its windows."""
    return tuple((a * row + c) % size for a, c in maps)
