"""Signatures of checkpoints: the log's own, and cosignatures (c2sp.org/tlog-cosignature) by Ed25519 and by ML-DSA-44.

A cosignature with a time says that, as of that second, this was the largest consistent tree that its signer had seen of
the log. One by ML-DSA-44 names its signer and covers no extension lines.
"""

import struct
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.note import (
    KeyKind,
    NoteKey,
    SignatureLine,
    is_key_name,
    read_note,
    split_key,
)
from weighbridge.wire.signing import SignatureError, Signer, verify_bytes

LABEL = b"subtree/v1\n\0"
LATEST_S = 2**63 - 1
MOST_NAME_BYTES = 255
SEED_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who signed a head, and when; `time_s` is null where the signature states no time."""

    key: NoteKey
    time_s: int | None


def cosigned_message(
    name: str, time_s: int, origin: str, start: int, end: int, root: bytes
) -> bytes:
    """What ML-DSA-44 signs of leaves [start, end). Raises SignatureError for a name that its length does not fit."""
    cosigner, log = name.encode(), origin.encode()
    if not (1 <= len(cosigner) <= MOST_NAME_BYTES and 1 <= len(log) <= MOST_NAME_BYTES):
        raise SignatureError("a name of a cosigner or log has 1 to 255 bytes")
    return b"".join(
        (
            LABEL,
            bytes([len(cosigner)]) + cosigner,
            struct.pack(">Q", time_s),
            bytes([len(log)]) + log,
            struct.pack(">QQ", start, end) + root,
        )
    )


def _message(key: NoteKey, time_s: int, head: Head) -> bytes:
    """What a key of this kind signs of a head. Raises SignatureError where it cannot."""
    match key.kind:
        case KeyKind.ED25519:
            return head.text.encode()
        case KeyKind.COSIGNER_ED25519:
            return f"cosignature/v1\ntime {time_s}\n{head.text}".encode()
        case KeyKind.COSIGNER_ML_DSA_44:
            if head.extended:
                raise SignatureError("ML-DSA-44 covers no extension lines, and there are some")
            return cosigned_message(key.name, time_s, head.origin, 0, head.size, head.root)


class Cosigner:
    """A private key under a name, of any kind that signs heads."""

    def __init__(self, name: str, kind: KeyKind, seed: bytes) -> None:
        """`seed` has 32 bytes. Raises SignatureError for a name that no key may have."""
        if not is_key_name(name) or len(name.encode()) > MOST_NAME_BYTES:
            raise SignatureError(f"{name!r} is no name of a key: no spaces, no plus, 255 bytes")
        if len(seed) != SEED_BYTES:
            raise SignatureError(f"a private key of {len(seed)} bytes")
        self._seed = seed
        self._sign, public_key = _signing(kind, seed)
        self.key = NoteKey(name, kind, public_key)

    def line(self, head: Head, time_s: int) -> SignatureLine:
        """The line that signs a head; a time of 0 states none. The plain Ed25519 signature of a log has no time."""
        signature = self._sign(_message(self.key, time_s, head))
        if self.key.kind is not KeyKind.ED25519:
            signature = struct.pack(">Q", time_s) + signature
        return SignatureLine(self.key.name, self.key.key_id, signature)

    @property
    def secret(self) -> str:
        """The private key as one line, in the form of golang.org/x/mod/sumdb/note."""
        key = b64encode(bytes([self.key.kind]) + self._seed).decode()
        return f"{_PRIVATE}{self.key.name}+{self.key.key_id.hex()}+{key}"


def _signing(kind: KeyKind, seed: bytes) -> tuple[Callable[[bytes], bytes], bytes]:
    if kind is KeyKind.COSIGNER_ML_DSA_44:
        private = MLDSA44PrivateKey.from_seed_bytes(seed)
        return private.sign, private.public_key().public_bytes_raw()
    signer = Signer(seed)
    return signer.sign_bytes, signer.public_key


def read_secret(text: str) -> Cosigner:
    """The private key in a line. Raises SignatureError."""
    name, _, rest = text.strip().removeprefix(_PRIVATE).partition("+")
    key_id, _, secret = rest.partition("+")
    if not text.startswith(_PRIVATE) or not secret:
        raise SignatureError("not a private key: PRIVATE+KEY+NAME+ID+KEY")
    cosigner = Cosigner(name, *split_key(secret))
    if cosigner.key.key_id.hex() != key_id:
        raise SignatureError(f"the id of {name} is not that of its key")
    return cosigner


def signatures(note: str, keys: Iterable[NoteKey]) -> list[Signed]:
    """Which of these keys signed the head in a note, each once, with the latest time that it states.

    Lines of other keys are passed over. Raises SignatureError where a line of one of these keys does not verify.
    """
    head, lines = read_head(note), read_note(note)
    found = []
    for key in keys:
        times = [_verified(head, key, line) for line in lines.of(key)]
        if times:
            found.append(Signed(key, max((t for t in times if t is not None), default=None)))
    return found


def _verified(head: Head, key: NoteKey, line: SignatureLine) -> int | None:
    """When the line was signed. Raises SignatureError unless this key signed this head."""
    if key.kind is KeyKind.ED25519:
        verify_bytes(_message(key, 0, head), line.signature, key.public_key)
        return None
    if len(line.signature) < 8:
        raise SignatureError("a cosignature begins with its time")
    (time_s,) = struct.unpack(">Q", line.signature[:8])
    if time_s > LATEST_S:
        raise SignatureError("the time of a cosignature is below 2^63")
    _verify(key, _message(key, time_s, head), line.signature[8:])
    return time_s or None


def _verify(key: NoteKey, message: bytes, signature: bytes) -> None:
    if key.kind is KeyKind.COSIGNER_ED25519:
        verify_bytes(message, signature, key.public_key)
        return
    try:
        MLDSA44PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("the signature does not verify") from error
