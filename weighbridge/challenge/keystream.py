"""The pseudo-random generator: ChaCha20 keystream (RFC 8439, nonce 0, block counter from 0).

One key per matrix or purpose. Any part that starts at a multiple of 64 bytes can be made alone. The counter has
32 bits; the largest matrix (n = 32768, two bytes an entry) takes 2^25 blocks.
"""

from collections.abc import Iterator
from itertools import islice

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

BLOCK_BYTES = 64
_WORD = 1 << 64


def keystream(key: bytes, offset_bytes: int, length_bytes: int) -> bytes:
    """`length_bytes` of the stream from `offset_bytes` (a multiple of 64) on."""
    block, remainder = divmod(offset_bytes, BLOCK_BYTES)
    if remainder != 0:
        raise ValueError("a keystream is read from a block's start")
    counter_and_nonce = block.to_bytes(4, "little") + bytes(12)
    cipher = Cipher(algorithms.ChaCha20(key, counter_and_nonce), mode=None)
    return cipher.encryptor().update(bytes(length_bytes))


def _words(key: bytes) -> Iterator[int]:
    offset = 0
    while True:
        block = keystream(key, offset, BLOCK_BYTES)
        for start in range(0, BLOCK_BYTES, 8):
            yield int.from_bytes(block[start : start + 8], "little")
        offset += BLOCK_BYTES


def drawn(key: bytes, below: int) -> Iterator[int]:
    """Independent indices without end, exactly uniform over range(below): 64-bit words with rejection."""
    accepted = _WORD - _WORD % below
    return (word % below for word in _words(key) if word < accepted)


def draw_indices(key: bytes, count: int, below: int) -> tuple[int, ...]:
    """The first `count` of them."""
    return tuple(islice(drawn(key, below), count))
