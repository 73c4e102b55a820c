"""Heads of the log: C2SP checkpoints (c2sp.org/tlog-checkpoint), notes that the log signs and that others cosign."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from weighbridge.log.note import KeyKind, NoteKey, SignatureLine, read_note
from weighbridge.wire.report import MAX_INTEGER, SeenHead
from weighbridge.wire.signing import SignatureError, Signer, verify_bytes

SIMULATED = "weighbridge-simulation/"
"""How the name of a log begins whose clock is logical: each head that it signs says so."""


def is_simulated(origin: str) -> bool:
    """Whether a log of this name is a simulation, and no evidence of anything."""
    return origin.startswith(SIMULATED)


@dataclass(frozen=True, slots=True)
class Head:
    """A log at one size. `note` is the checkpoint with all of its signatures."""

    origin: str
    size: int
    root: bytes
    note: str

    @property
    def text(self) -> str:
        """What is signed."""
        return self.note.partition("\n\n")[0] + "\n"

    @property
    def extended(self) -> bool:
        """Whether the text says more than origin, size and root."""
        return self.text.count("\n") > 3


_TEXT = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n([^\n]+\n)*"
)


def sign_head(origin: str, size: int, root: bytes, *signers: Signer) -> Head:
    """A checkpoint whose key name is the log's origin, with a line of each signer."""
    text = f"{origin}\n{size}\n{b64encode(root).decode()}\n"
    lines = [
        SignatureLine(origin, log_key(origin, one.public_key).key_id, one.sign_bytes(text.encode()))
        for one in signers
    ]
    return Head(origin, size, root, f"{text}\n{''.join(map(str, lines))}")


def log_key(origin: str, public_key: bytes) -> NoteKey:
    """A log's key as others' programs know it."""
    return NoteKey(origin, KeyKind.ED25519, public_key)


def read_head(note: str) -> Head:
    """Parse a checkpoint and verify nothing. Raises SignatureError."""
    try:
        match = _TEXT.fullmatch(read_note(note).text)
    except SignatureError as error:
        raise SignatureError(f"not a checkpoint: {error}") from error
    if match is None:
        raise SignatureError("not a checkpoint: origin, size and root")
    return Head(match["origin"], int(match["size"]), b64decode(match["root"]), note)


def open_head(note: str, public_key: bytes) -> Head:
    """Parse a checkpoint, and verify the log's own signature among those on it. Raises SignatureError."""
    head = read_head(note)
    if head.size > MAX_INTEGER:
        raise SignatureError(f"no log of this protocol has {head.size} entries")
    lines = read_note(note).of(log_key(head.origin, public_key))
    if not lines:
        raise SignatureError("the checkpoint is signed by another key")
    for line in lines:
        verify_bytes(head.text.encode(), line.signature, public_key)
    return head


def seen_head(note: str) -> SeenHead:
    """What a report's `seen` holds of a checkpoint. Raises SignatureError for what is none."""
    head = read_head(note)
    return SeenHead(root=head.root.hex(), size=head.size)
