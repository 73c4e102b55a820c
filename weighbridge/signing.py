"""Ed25519 signatures over exact bytes, in DSSE envelopes (github.com/secure-systems-lab/dsse, v1.0).

The envelope has one spelling, `{"payload":…,"payloadType":…,"signatures":[{"keyid":…,"sig":…}]}` without white space, so
that its bytes can be a leaf of the evidence log.
"""

from dataclasses import dataclass


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

    def __init__(self, private_key: bytes) -> None: ...

    @property
    def public_key(self) -> bytes: ...

    @property
    def key_id(self) -> str: ...

    def sign_bytes(self, message: bytes) -> bytes: ...

    def seal(self, payload_type: str, payload: bytes) -> bytes:
        """The signed envelope's bytes."""
        ...


def generate_private_key() -> bytes:
    """A new raw private key (32 bytes) from the operating system's randomness."""
    ...


def key_id(public_key: bytes) -> str: ...


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes: ...


def open_envelope(data: bytes) -> Envelope:
    """Parse without verifying, only far enough to learn the key. Raises SignatureError."""
    ...


def verify(envelope: Envelope, public_key: bytes) -> None:
    """Raises SignatureError unless this key signed this payload under this type."""
    ...
