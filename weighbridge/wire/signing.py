"""Ed25519 signatures over exact bytes, in DSSE envelopes (github.com/secure-systems-lab/dsse, v1.0).

The envelope has one spelling, `{"payload":…,"payloadType":…,"signatures":[{"keyid":…,"sig":…}]}` without white space,
so that its bytes can be a leaf of the evidence log.
"""

import binascii
import hashlib
import re
from base64 import b64encode
from binascii import a2b_base64
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


class SignatureError(ValueError):
    """Not an envelope, or not signed by this key. The message says which."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """Exact bytes and who signed them."""

    payload_type: str
    payload: bytes
    key_id: str
    signature: bytes


class Signer:
    """A private key. `key_id` is the hexadecimal SHA-256 of the raw public key (32 bytes)."""

    def __init__(self, private_key: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(private_key)
        self.public_key = self._key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign_bytes(self, message: bytes) -> bytes:
        """The raw signature (64 bytes)."""
        return self._key.sign(message)

    def seal(self, payload_type: str, payload: bytes) -> bytes:
        """The signed envelope's bytes."""
        signature = self.sign_bytes(pre_authentication_encoding(payload_type, payload))
        return encode_envelope(Envelope(payload_type, payload, self.key_id, signature))


def generate_private_key() -> bytes:
    """A new raw private key (32 bytes) from the operating system's randomness."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def key_id(public_key: bytes) -> str:
    """The name of a key: the hexadecimal SHA-256 of its 32 raw bytes."""
    return hashlib.sha256(public_key).hexdigest()


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that DSSE signs: type and payload, each with its length."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def encode_envelope(envelope: Envelope) -> bytes:
    """The envelope's one spelling."""
    return b'{"payload":"%s","payloadType":"%s","signatures":[{"keyid":"%s","sig":"%s"}]}' % (
        b64encode(envelope.payload),
        envelope.payload_type.encode(),
        envelope.key_id.encode(),
        b64encode(envelope.signature),
    )


_BEGINNING = b'{"payload":"'
_REST = re.compile(
    rb'","payloadType":"([a-z0-9./+-]{1,128})",'
    rb'"signatures":\[\{"keyid":"([0-9a-f]{64})","sig":"([A-Za-z0-9+/]{86}==)"\}\]\}'
)


def open_envelope(data: bytes) -> Envelope:
    """Parse without verifying, only far enough to learn the key. Raises SignatureError."""
    end = data.find(b'"', len(_BEGINNING))
    rest = _REST.fullmatch(data, end) if end > 0 and data.startswith(_BEGINNING) else None
    if rest is None:
        raise SignatureError("not an envelope in its one spelling")
    kind, keyid, signature = rest.groups()
    payload = from_base64(data[len(_BEGINNING) : end])
    return Envelope(kind.decode(), payload, keyid.decode(), from_base64(signature))


def from_base64(text: bytes) -> bytes:
    """The bytes of which `text` is the one spelling. Raises SignatureError.

    Strictly read, only the bits that its last characters have to spare could be spelled otherwise.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise SignatureError(f"not base64: {error}") from error
    if text[-4:] != b64encode(data[-(len(data) % 3 or 3) :]):
        raise SignatureError("base64 is not in its one spelling")
    return data


def verify(envelope: Envelope, public_key: bytes) -> None:
    """Raises SignatureError unless this key signed this payload under this type."""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    verify_bytes(message, envelope.signature, public_key)


_SMALL_ORDER = frozenset(
    bytes.fromhex(y)
    for y in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
"""The points of order 1, 2, 4 and 8, without the sign of x; two of them in both spellings (RFC 8032, section 5.1.3).

One signature under such a key fits many messages, and nobody needs a private key to make it. OpenSSL takes them.
"""


def has_small_order(public_key: bytes) -> bool:
    """Whether anybody can sign under this key."""
    return public_key[:31] + bytes(byte & 0x7F for byte in public_key[31:]) in _SMALL_ORDER


def verify_bytes(message: bytes, signature: bytes, public_key: bytes) -> None:
    """Raises SignatureError unless `public_key` (32 raw bytes) signed `message`."""
    if has_small_order(public_key):
        raise SignatureError("anybody can sign under a key of small order")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise SignatureError("the signature does not verify") from error
