"""States of the folds as a ledger keeps them: compressed, but for those that are short."""

from collections.abc import Generator

import zstandard

LEAST_BYTES = 1024
PIECE_BYTES = 1 << 20
LEVEL = 1
"""Beyond it the bytes get fewer by a few hundredths, and take half as long again."""


class Packer:
    """One compressor serves all: to make one costs more than to use it."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)

    def pack(self, state: bytes) -> bytes:
        return state if len(state) < LEAST_BYTES else self._compressor.compress(state)

    def packing(self, state: bytes) -> Generator[None, None, bytes]:
        """The same in steps of some milliseconds, of one that may be large."""
        if len(state) <= PIECE_BYTES:
            return self.pack(state)
        packing, parts = self._compressor.compressobj(size=len(state)), []
        for start in range(0, len(state), PIECE_BYTES):
            parts.append(packing.compress(state[start : start + PIECE_BYTES]))
            yield
        return b"".join((*parts, packing.flush()))


def unpack(kept: bytes) -> bytes:
    """What was packed. Raises ValueError."""
    if not kept.startswith(zstandard.FRAME_HEADER):
        return kept
    try:
        return zstandard.decompress(kept)
    except zstandard.ZstdError as error:
        raise ValueError(f"a state that cannot be unpacked: {error}") from error
