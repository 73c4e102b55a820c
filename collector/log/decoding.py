"""Bodies as they were before they were compressed, under a hard limit of bytes."""

import contextlib
from collections.abc import Iterator

import zstandard

from weighbridge.wire.problems import Problem

WINDOW_BYTES = 8 << 20
PIECE_BYTES = 256
"""Of a frame, at a time: the shortest block is four bytes, and becomes at most 128 KiB."""


class Decoder:
    """One decompressor serves all: to make one costs more than to use it."""

    def __init__(self) -> None:
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)

    def decoded(self, body: bytes, encoding: str | None, most_bytes: int) -> bytes:
        """What a body with this Content-Encoding says, in at most so many bytes. Raises Problem."""
        if encoding in (None, "", "identity"):
            return body
        if encoding == "zstd":
            return decompressed(body, self._decompressor, most_bytes)
        raise Problem(
            "malformed", f"Content-Encoding {str(encoding)[:64]!r} is not taken, only zstd"
        )

    def is_large(self, body: bytes, encoding: str | None, few_bytes: int) -> bool:
        """Whether it takes a while to decode, because there may be more than so many bytes in it."""
        return is_large_frame(body, few_bytes) if encoding == "zstd" else len(body) > few_bytes

    def first_line(self, beginning: bytes, encoding: str | None, most_bytes: int) -> bytes | None:
        """The first line of a body of which no more than the beginning is here; None where there is none yet.

        Of more than so many bytes none is made.
        """
        if encoding != "zstd":
            return _line(beginning[:most_bytes])
        return _line(beginning_of(beginning, self._decompressor, most_bytes, b"\n"))


def is_large_frame(frame: bytes, few_bytes: int) -> bool:
    """Whether there may be more than so many bytes in it."""
    try:
        return not 0 <= zstandard.frame_content_size(frame) <= few_bytes
    except zstandard.ZstdError:
        return False


def beginning_of(
    data: bytes, decompressor: zstandard.ZstdDecompressor, most_bytes: int, until: bytes | None
) -> bytes:
    """What a frame that is still coming becomes, up to so many bytes, or to some beyond `until`."""
    found = bytearray()
    with contextlib.suppress(zstandard.ZstdError):
        for piece in _pieces(data, decompressor.decompressobj()):
            found += piece
            if len(found) > most_bytes or (until is not None and until in piece):
                break
    return bytes(found[:most_bytes])


def decompressed(body: bytes, decompressor: zstandard.ZstdDecompressor, most_bytes: int) -> bytes:
    """One whole zstd frame and nothing behind it; never much more than the limit is held, whatever it claims."""
    try:
        claimed = zstandard.frame_content_size(body)
        if claimed > most_bytes:
            raise too_large(most_bytes)
        if claimed > 0:
            return decompressor.decompress(body, allow_extra_data=False)
        return _unsized(body, decompressor, most_bytes)
    except zstandard.ZstdError as error:
        raise Problem("malformed", f"not a zstd frame: {error}") from error


def _unsized(body: bytes, decompressor: zstandard.ZstdDecompressor, most_bytes: int) -> bytes:
    """A frame that names no size, in pieces that are small enough to be bounded. Raises Problem, ZstdError."""
    frame = decompressor.decompressobj()
    data = bytearray()
    taken = 0
    for piece in _pieces(body, frame):
        data += piece
        taken += PIECE_BYTES
        if len(data) > most_bytes:
            raise too_large(most_bytes)
    if not frame.eof:
        raise Problem("malformed", "the zstd frame is cut off")
    if frame.unused_data or taken < len(body):
        raise Problem("malformed", "there is more behind the zstd frame")
    return bytes(data)


def _pieces(body: bytes, frame: "zstandard.ZstdDecompressionObj") -> Iterator[bytes]:
    """What a frame becomes, piece by piece, up to its end. Raises ZstdError."""
    for at in range(0, len(body), PIECE_BYTES):
        if frame.eof:
            return
        yield frame.decompress(body[at : at + PIECE_BYTES])


def _line(data: bytes | bytearray) -> bytes | None:
    line, ended, _ = data.partition(b"\n")
    return bytes(line) if ended else None


def too_large(most_bytes: int) -> Problem:
    return Problem("too_large", f"over {most_bytes} bytes when decompressed")
