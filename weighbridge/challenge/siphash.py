"""SipHash (Aumasson and Bernstein, 2012) of many messages of whole 64-bit words at once, with numpy."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from weighbridge.challenge.links import window_key

UInt64 = npt.NDArray[np.uint64]
Bytes = bytes | npt.NDArray[np.uint8]
_BATCH_ROWS = 512
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)


def siphash(keys: UInt64, messages: UInt64, rounds: int = 1, last_rounds: int = 3) -> UInt64:
    """One 64-bit hash for each row of words under its row of two key words. 1 and 3 rounds are SipHash-1-3."""
    count, words = messages.shape
    state = [np.uint64(start) ^ keys[:, place % 2] for place, start in enumerate(_INITIAL)]
    ended = np.full(count, 8 * words % 256 << 56, dtype=np.uint64)
    for word in (*np.ascontiguousarray(messages.T), ended):
        state[3] ^= word
        _mix(state, rounds)
        state[0] ^= word
    state[2] ^= np.uint64(0xFF)
    _mix(state, last_rounds)
    a, b, c, d = state
    a ^= b
    a ^= c
    a ^= d
    return a


def _mix(state: list[UInt64], rounds: int) -> None:
    a, b, c, d = state
    for _ in range(rounds):
        a += b
        c += d
        b = _rotated(b, 13) ^ a
        d = _rotated(d, 16) ^ c
        a = _rotated(a, 32)
        c += b
        a += d
        b = _rotated(b, 17) ^ c
        d = _rotated(d, 21) ^ a
        c = _rotated(c, 32)
    state[:] = [a, b, c, d]


def _rotated(words: UInt64, by: int) -> UInt64:
    return (words << np.uint64(by)) | (words >> np.uint64(64 - by))


def window_digests(keys: Sequence[bytes], rows: Sequence[Bytes], links: int) -> list[bytes]:
    """Per row of low bytes: the digests of its windows, 8 bytes each, under the key of the round that made it."""
    found: list[bytes] = []
    for start in range(0, len(rows), _BATCH_ROWS):
        part = slice(start, start + _BATCH_ROWS)
        found += _batch_of_digests(keys[part], rows[part], links)
    return found


def _batch_of_digests(keys: Sequence[bytes], rows: Sequence[Bytes], links: int) -> list[bytes]:
    halves = np.frombuffer(b"".join(map(window_key, keys)), dtype="<u8").reshape(-1, 2)
    words = np.stack([np.frombuffer(row, dtype="<u8") for row in rows])
    windows = words.reshape(len(rows) * links, -1)
    digests = siphash(np.repeat(halves, links, axis=0), windows).astype("<u8")
    return [one.tobytes() for one in digests.reshape(len(rows), links)]
