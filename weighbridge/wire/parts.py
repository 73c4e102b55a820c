"""Reports in parts: their payloads in one Zstandard frame, their signatures beside it, and nothing in base64.

Base64 hides a payload from Zstandard, and nothing makes a signature shorter. The frame is made with a dictionary that
both programs have, and behind it a payload of the same key, if the collector says that it keeps one as base: nothing is
as like a report as the one before it. Which bytes are signed and rest in the log is the same as in `REPORTS_TYPE`.

A body is a head (the dictionary's name, the key's id, the base's name, zeros for none, and how many reports), the
signatures, and the frame. In it, of each report: the length of its payload as it travels, one more than where in that
the hash of the payload before it was taken out (0: nowhere), and it. Before the first one the base is taken to be.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from weighbridge.wire.signing import Envelope

PARTS_TYPE = "application/vnd.weighbridge.reports-in-parts"
PARTS_HEADER = "Weighbridge-Parts"
"""Of an answer to reports, in hexadecimal: the name of the dictionary that the collector has, and behind a blank that
of the base that it keeps of the key, if any."""

HEAD = struct.Struct("<8s32s8sH")
ROW = struct.Struct("<II")
SIGNATURE_BYTES = 64
NAME_BYTES = 8
NO_BASE = bytes(NAME_BYTES)
HASH_CHARACTERS = 64


def name_of(content: bytes) -> bytes:
    """Of a dictionary, or of a base."""
    return sha256(content).digest()[:NAME_BYTES]


@cache
def shared_dictionary() -> bytes:
    """Payloads as agents write them, all numbers and names made up."""
    return files("weighbridge").joinpath("data", "reports.dictionary").read_bytes()


@cache
def dictionary_name() -> bytes:
    return name_of(shared_dictionary())


def offer(base: bytes) -> str:
    """What PARTS_HEADER says; `base` is its name, empty where none is kept."""
    return f"{dictionary_name().hex()} {base.hex()}".rstrip()


def offered(said: str | None) -> bytes | None:
    """The name of the base that is kept, empty where none is; None where reports cannot be sent in parts."""
    dictionary, _, base = (said or "").partition(" ")
    try:
        return bytes.fromhex(base) if dictionary == dictionary_name().hex() else None
    except ValueError:
        return None


def without_hash(payload: bytes, before: bytes) -> tuple[bytes, int]:
    """A payload without the hash of the one before it, and one more than where that stood; 0: nowhere."""
    at = payload.find(_hash(before)) if before else -1
    return (payload[:at] + payload[at + HASH_CHARACTERS :], at + 1) if at >= 0 else (payload, 0)


def with_hash(text: bytes, cut: int, before: bytes) -> bytes:
    """The payload of which `without_hash` made this."""
    return text[: cut - 1] + _hash(before) + text[cut - 1 :] if cut else text


def _hash(payload: bytes) -> bytes:
    return sha256(payload).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class Parts:
    """A body, apart."""

    key_id: str
    base: bytes
    """Its name, empty where none is used."""
    signatures: Sequence[bytes]
    frame: bytes

    def joined(self) -> bytes:
        head = HEAD.pack(
            dictionary_name(),
            bytes.fromhex(self.key_id),
            self.base or NO_BASE,
            len(self.signatures),
        )
        return b"".join([head, *self.signatures, self.frame])


def apart(body: bytes) -> Parts:
    """Raises ValueError where it is none, or was made with another dictionary. The frame may be cut off."""
    if len(body) < HEAD.size:
        raise ValueError("it is shorter than its head")
    dictionary, key, base, count = HEAD.unpack_from(body)
    if dictionary != dictionary_name():
        raise ValueError("it is made with another dictionary")
    frame = HEAD.size + count * SIGNATURE_BYTES
    if not count or len(body) <= frame:
        raise ValueError("it has no report, or fewer signatures than it says")
    starts = range(HEAD.size, frame, SIGNATURE_BYTES)
    signatures = [body[start : start + SIGNATURE_BYTES] for start in starts]
    return Parts(key.hex(), b"" if base == NO_BASE else base, signatures, body[frame:])


def texts_of(envelopes: Sequence[Envelope], base: bytes) -> bytes:
    """What the frame is made of."""
    found: list[bytes] = []
    before = base
    for envelope in envelopes:
        text, cut = without_hash(envelope.payload, before)
        found += (ROW.pack(len(text), cut), text)
        before = envelope.payload
    return b"".join(found)


def payloads_in(text: bytes, base: bytes) -> Iterator[bytes]:
    """Each as far as it is whole; then ValueError unless the text ends there."""
    at, before = 0, base
    while at < len(text):
        if len(text) < at + ROW.size:
            raise ValueError("the text is cut off")
        length, cut = ROW.unpack_from(text, at)
        begins, at = at + ROW.size, at + ROW.size + length
        if len(text) < at or cut > length + 1:
            raise ValueError("the text is cut off")
        before = with_hash(text[begins:at], cut, before)
        yield before
