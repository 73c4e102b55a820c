"""Bodies as they were before they were compressed, under a hard limit of bytes."""

import contextlib
from collections.abc import Iterator
from itertools import islice

import zstandard

from collector.log.bases import Bases
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.parts import PARTS_TYPE, Parts, apart, payloads_in, shared_dictionary
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Envelope, encode_envelope

WINDOW_BYTES = 8 << 20
PIECE_BYTES = 256
"""Of a frame, at a time: the shortest block is four bytes, and becomes at most 128 KiB."""


REPORT = payload_type(EntryKind.REPORT)


class Decoder:
    """One decompressor serves all that need no dictionary: to make one costs more than to use it."""

    def __init__(self, bases: Bases | None = None, most_reports: int = 0) -> None:
        """`bases`: of reports in parts, at most so many in one body. Without, none are taken."""
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._bases, self._most_reports = bases, most_reports

    def decoded(self, body: bytes, encoding: str | None, most_bytes: int) -> bytes:
        """What a body with this Content-Encoding says, in at most so many bytes. Raises Problem."""
        if encoding in (None, "", "identity"):
            return body
        if encoding == "zstd":
            return _decompressed(body, self._decompressor, most_bytes)
        if encoding == PARTS_TYPE and self._bases is not None:
            return self._joined(body, self._bases, most_bytes)
        raise Problem(
            "malformed", f"Content-Encoding {str(encoding)[:64]!r} is not taken, only zstd"
        )

    def is_large(self, body: bytes, encoding: str | None, few_bytes: int) -> bool:
        """Whether it takes a while to decode, because there may be more than so many bytes in it."""
        if encoding not in ("zstd", PARTS_TYPE):
            return len(body) > few_bytes
        try:
            frame = apart(body).frame if encoding == PARTS_TYPE else body
            return not 0 <= zstandard.frame_content_size(frame) <= few_bytes
        except (zstandard.ZstdError, ValueError):
            return False

    def first_line(self, beginning: bytes, encoding: str | None, most_bytes: int) -> bytes | None:
        """The first line of a body of which no more than the beginning is here; None where there is none yet.

        Of more than so many bytes none is made.
        """
        if encoding == PARTS_TYPE and self._bases is not None:
            return self._first_part(beginning, self._bases, most_bytes)
        if encoding != "zstd":
            return _line(beginning[:most_bytes])
        return _line(_beginning(beginning, self._decompressor, b"\n", most_bytes))

    def _joined(self, body: bytes, bases: Bases, most_bytes: int) -> bytes:
        """The lines of reports that came in parts. Raises Problem."""
        parts, base = _apart(body, bases)
        if len(parts.signatures) > self._most_reports:
            raise Problem("too_large", f"over {self._most_reports} reports in one request")
        text = _decompressed(parts.frame, _with_dictionary(base), most_bytes)
        try:
            payloads = [*islice(payloads_in(text, base), len(parts.signatures) + 1)]
        except ValueError as error:
            raise Problem("malformed", f"not reports in parts: {error}") from error
        if len(payloads) != len(parts.signatures):
            raise Problem("malformed", "not reports in parts: as many signatures as reports")
        if sum(map(len, payloads)) > most_bytes:
            raise _too_large(most_bytes)
        lines = b"".join(
            _line_of(parts, number, payload) for number, payload in enumerate(payloads)
        )
        if len(lines) > most_bytes:
            raise _too_large(most_bytes)
        return lines

    def _first_part(self, beginning: bytes, bases: Bases, most_bytes: int) -> bytes | None:
        try:
            parts, base = _apart(beginning, bases)
            text = _beginning(parts.frame, _with_dictionary(base), None, most_bytes)
            return _line_of(parts, 0, next(payloads_in(text, base)))[:-1]
        except (Problem, ValueError, StopIteration):
            return None


def _apart(body: bytes, bases: Bases) -> tuple[Parts, bytes]:
    """And the base. Raises Problem."""
    try:
        parts = apart(body)
    except ValueError as error:
        raise Problem("malformed", f"not reports in parts: {error}") from error
    base = bases.find(parts.key_id, parts.base) if parts.base else b""
    if base is None:
        raise Problem("unknown_base", "what these reports were compressed against is not kept")
    return parts, base


def _with_dictionary(base: bytes) -> zstandard.ZstdDecompressor:
    content = zstandard.ZstdCompressionDict(
        shared_dictionary() + base, dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
    return zstandard.ZstdDecompressor(dict_data=content, max_window_size=WINDOW_BYTES)


def _line_of(parts: Parts, number: int, payload: bytes) -> bytes:
    envelope = Envelope(REPORT, payload, parts.key_id, parts.signatures[number])
    return encode_envelope(envelope) + b"\n"


def _beginning(
    data: bytes, decompressor: zstandard.ZstdDecompressor, until: bytes | None, most_bytes: int
) -> bytes:
    """What a frame that is still coming becomes, up to so many bytes, or to some beyond `until`."""
    found = bytearray()
    with contextlib.suppress(zstandard.ZstdError):
        for piece in _pieces(data, decompressor.decompressobj()):
            found += piece
            if len(found) > most_bytes or (until is not None and until in piece):
                break
    return bytes(found[:most_bytes])


def _decompressed(body: bytes, decompressor: zstandard.ZstdDecompressor, most_bytes: int) -> bytes:
    """One whole zstd frame and nothing behind it; never much more than the limit is held, whatever it claims."""
    try:
        claimed = zstandard.frame_content_size(body)
        if claimed > most_bytes:
            raise _too_large(most_bytes)
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
            raise _too_large(most_bytes)
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


def _too_large(most_bytes: int) -> Problem:
    return Problem("too_large", f"over {most_bytes} bytes when decompressed")
