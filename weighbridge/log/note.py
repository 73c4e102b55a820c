"""Signed notes (c2sp.org/signed-note) and the keys that sign them, as others' programs write both.

A line of a key that is not known says nothing, and is passed over. A line that has a known key's name and id, and does
not verify, spoils the whole note.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from weighbridge.wire.signing import SignatureError, from_base64

MOST_LINES = 64
MOST_BYTES = 512 << 10
"""What a note may hold. Sixty-four post-quantum signatures are 210 KiB."""

_NAME = r"[^\s+]+"
_LINE = re.compile(rf"\u2014 (?P<name>{_NAME}) (?P<signature>[A-Za-z0-9+/]+={{0,2}})")
_VKEY = re.compile(rf"(?P<name>{_NAME})\+(?P<id>[0-9a-f]{{8}})\+(?P<key>[A-Za-z0-9+/]+={{0,2}})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class KeyKind(IntEnum):
    """The signature types of signed-note that are used here."""

    ED25519 = 0x01
    COSIGNER_ED25519 = 0x04
    COSIGNER_ML_DSA_44 = 0x06


KEY_BYTES = {KeyKind.ED25519: 32, KeyKind.COSIGNER_ED25519: 32, KeyKind.COSIGNER_ML_DSA_44: 1312}


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A public key under a name. As text it is a vkey."""

    name: str
    kind: KeyKind
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a line names this key."""
        said = self.name.encode() + b"\n" + bytes([self.kind]) + self.public_key
        return hashlib.sha256(said).digest()[:4]

    def __str__(self) -> str:
        key = b64encode(bytes([self.kind]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature of a note, whatever it is of."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"\u2014 {self.name} {b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """`text` is what is signed; it ends with a line feed."""

    text: str
    lines: Sequence[SignatureLine]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.lines))}"

    def of(self, key: NoteKey) -> list[SignatureLine]:
        """The lines that name this key."""
        return [line for line in self.lines if (line.name, line.key_id) == (key.name, key.key_id)]

    def signed_by(self, lines: Iterable[SignatureLine]) -> "Note":
        """The same text with more lines; of a key that signed it already the new one stands."""
        new = {(line.name, line.key_id): line for line in lines}
        kept = [line for line in self.lines if (line.name, line.key_id) not in new]
        return Note(self.text, (*kept, *new.values()))


def is_key_name(name: str) -> bool:
    """Whether a key may have this name."""
    return re.fullmatch(_NAME, name) is not None and _CONTROL.search(name) is None


def read_vkey(text: str) -> NoteKey:
    """Raises SignatureError for anything but a vkey of a known kind, under its own id."""
    match = _VKEY.fullmatch(text)
    if match is None:
        raise SignatureError("not a verifier key: NAME+ID+KEY")
    kind, public_key = split_key(match["key"])
    if len(public_key) != KEY_BYTES[kind]:
        raise SignatureError(f"a public key of {len(public_key)} bytes")
    key = NoteKey(match["name"], kind, public_key)
    if key.key_id.hex() != match["id"]:
        raise SignatureError(f"the id of {match['name']} is not that of its key")
    return key


def split_key(text: str) -> tuple[KeyKind, bytes]:
    """The kind in a key's first byte, and the rest. Raises SignatureError."""
    raw = from_base64(text.encode())
    try:
        return KeyKind(raw[0]), raw[1:]
    except (ValueError, IndexError) as error:
        raise SignatureError("a key of a kind that is not known here") from error


def read_lines(text: str) -> tuple[SignatureLine, ...]:
    """Signature lines alone, each ended by a line feed, such as a witness answers. Raises SignatureError."""
    if not text.endswith("\n") or len(text) > MOST_BYTES or text.count("\n") > MOST_LINES:
        raise SignatureError("not lines of signatures")
    return tuple(map(_line, text[:-1].split("\n")))


def _line(text: str) -> SignatureLine:
    match = _LINE.fullmatch(text)
    raw = b"" if match is None else from_base64(match["signature"].encode())
    if match is None or len(raw) < 5:
        raise SignatureError("not a line of a signature")
    return SignatureLine(match["name"], raw[:4], raw[4:])


def read_note(note: str) -> Note:
    """Verifies nothing. Raises SignatureError for anything but a note with at least one line."""
    if len(note) > MOST_BYTES or _CONTROL.search(note) is not None:
        raise SignatureError("not a note: too long, or with control characters")
    text, empty, lines = note.rpartition("\n\n")
    if not empty or not text:
        raise SignatureError("not a note: no text, or no signatures")
    return Note(text + "\n", read_lines(lines))
