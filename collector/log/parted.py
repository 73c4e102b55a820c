"""Reports in parts, as the leaves that they are in the log, under the limits of those that come as envelopes."""

from itertools import islice

import zstandard

from collector.log.bases import Bases
from collector.log.decoding import (
    WINDOW_BYTES,
    beginning_of,
    decompressed,
    is_large_frame,
    too_large,
)
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.parts import Parts, apart, payloads_in, shared_dictionary
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Envelope, encode_envelope

REPORT = payload_type(EntryKind.REPORT)


class OpenedLeaf(bytes):
    """A leaf that was made of its envelope, which nobody needs to take out of it again."""

    envelope: Envelope


def _leaf(parts: Parts, number: int, payload: bytes) -> OpenedLeaf:
    envelope = Envelope(REPORT, payload, parts.key_id, parts.signatures[number])
    leaf = OpenedLeaf(encode_envelope(envelope))
    leaf.envelope = envelope
    return leaf


class PartsReader:
    """Knows what reports may be compressed against. For any thread."""

    def __init__(self, bases: Bases) -> None:
        self._bases = bases

    def leaves(self, body: bytes, most_reports: int, most_bytes: int) -> list[OpenedLeaf]:
        """At most so many, of so many bytes together. Raises Problem."""
        parts, base = self._apart(body)
        count = len(parts.signatures)
        if count > most_reports:
            raise Problem("too_large", f"over {most_reports} reports in one request")
        text = decompressed(parts.frame, _decompressor(base), most_bytes)
        try:
            payloads = [*islice(payloads_in(text, base), count + 1)]
        except ValueError as error:
            raise _malformed(error) from error
        if len(payloads) != count:
            raise _malformed("not as many signatures as reports")
        leaves = [_leaf(parts, number, payload) for number, payload in enumerate(payloads)]
        if sum(map(len, leaves)) + count > most_bytes:
            raise too_large(most_bytes)
        return leaves

    def first(self, beginning: bytes, most_bytes: int) -> bytes | None:
        """Of a body of which no more than the beginning is here; None where there is none yet."""
        try:
            parts, base = self._apart(beginning)
            text = beginning_of(parts.frame, _decompressor(base), most_bytes, None)
            return _leaf(parts, 0, next(payloads_in(text, base)))
        except (Problem, ValueError, StopIteration):
            return None

    def is_large(self, body: bytes, few_bytes: int) -> bool:
        """Whether there may be more than so many bytes in it."""
        try:
            return is_large_frame(apart(body).frame, few_bytes)
        except ValueError:
            return False

    def _apart(self, body: bytes) -> tuple[Parts, bytes]:
        """And the base. Raises Problem."""
        try:
            parts = apart(body)
        except ValueError as error:
            raise _malformed(error) from error
        base = self._bases.find(parts.key_id, parts.base) if parts.base else b""
        if base is None:
            raise Problem("unknown_base", "what these reports were compressed against is not kept")
        return parts, base


def _decompressor(base: bytes) -> zstandard.ZstdDecompressor:
    content = zstandard.ZstdCompressionDict(
        shared_dictionary() + base, dict_type=zstandard.DICT_TYPE_RAWCONTENT
    )
    return zstandard.ZstdDecompressor(dict_data=content, max_window_size=WINDOW_BYTES)


def _malformed(why: object) -> Problem:
    return Problem("malformed", f"not reports in parts: {why}")
