"""Signed heads of the log: C2SP checkpoints (c2sp.org/tlog-checkpoint), notes that others can cosign."""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from weighbridge.wire.signing import SignatureError, Signer, verify_bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The log at one size: a C2SP checkpoint (c2sp.org/tlog-checkpoint) signed by the collector."""

    origin: str
    size: int
    root: bytes
    note: str


_ED25519 = b"\x01"
_NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<root>[A-Za-z0-9+/]{43}=)\n)"
    r"\n\u2014 (?P<name>[^ \n+]+) (?P<signature>[A-Za-z0-9+/]+={0,2})\n"
)


def _note_key_hash(name: str, public_key: bytes) -> bytes:
    """The first four bytes that c2sp.org/signed-note prescribes for an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def sign_head(origin: str, size: int, root: bytes, signer: Signer) -> Head:
    """A checkpoint whose key name is the log's origin."""
    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    signature = _note_key_hash(origin, signer.public_key) + signer.sign_bytes(text.encode())
    return Head(origin, size, root, f"{text}\n\u2014 {origin} {b64encode(signature).decode()}\n")


def read_head(note: str) -> Head:
    """Parse a checkpoint; verifies no signature. Raises SignatureError."""
    match = _match(note)
    return Head(match["origin"], int(match["size"]), b64decode(match["root"]), note)


def _match(note: str) -> re.Match[str]:
    match = _NOTE.fullmatch(note)
    if match is None:
        raise SignatureError("not a checkpoint with one signature")
    return match


def open_head(note: str, public_key: bytes) -> Head:
    """Parse and verify a checkpoint. Raises SignatureError."""
    match = _match(note)
    raw = b64decode(match["signature"])
    if raw[:4] != _note_key_hash(match["name"], public_key):
        raise SignatureError("the checkpoint is signed by another key")
    verify_bytes(match["text"].encode(), raw[4:], public_key)
    return read_head(note)


def head_hash(note: str) -> str:
    """What a report's `seen` holds: the hexadecimal SHA-256 of the checkpoint's signed text."""
    return hashlib.sha256(note.partition("\n\n")[0].encode() + b"\n").hexdigest()
