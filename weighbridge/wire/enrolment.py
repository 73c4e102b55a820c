"""Invites, and how an agent enrols by one: it shows the secret and proves that it holds the key that shall speak."""

import binascii
import hashlib
from base64 import b64decode, urlsafe_b64encode

from pydantic import ValidationError

from weighbridge.wire.report import Hash, Model, Name, Text, WireError, encode
from weighbridge.wire.signing import Signer, verify_bytes

INVITE_PREFIX = "weighbridge-invite:1:"
ENROL_PATH = "/v1/enroll"
AUTHORITY_PATH = "/v1/ca"
NEXT_AUTHORITY_PATH = "/v1/ca/next"
ENROL_BYTES = 16 << 10
"""The longest request that is read."""


class Invite(Model):
    """What an invite says. `ca` is the SHA-256 of the CA certificate in DER, null where public trust is enough."""

    url: Text
    ca: Hash | None
    secret: Text
    node: Name
    log_key: Hash

    def line(self) -> str:
        """As it is handed over."""
        return INVITE_PREFIX + urlsafe_b64encode(encode(self)).decode().rstrip("=")


def parse_invite(line: str) -> Invite:
    """Raises WireError for anything but an invite of version 1."""
    text = line.strip()
    if not text.startswith(INVITE_PREFIX):
        raise WireError(
            f"not an invite: it does not begin with {INVITE_PREFIX}; `weighbridge invite`, on the collector, prints one"
        )
    encoded = text.removeprefix(INVITE_PREFIX)
    try:
        data = b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        return Invite.model_validate_json(data)
    except (binascii.Error, ValidationError, ValueError) as error:
        raise WireError("not an invite: it is damaged, copy the whole line") from error


def secret_hash(secret: str) -> str:
    """What the log holds of an invite's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


class EnrolRequest(Model):
    """What an agent sends. `signature` is by the key that it enrols, over secret, node and the key's 32 raw bytes."""

    secret: Text
    node: Name
    public_key: Hash
    signature: Text

    def verify(self) -> None:
        """Raises ValueError unless the key signed this request."""
        public_key = bytes.fromhex(self.public_key)
        message = _message(self.secret, self.node, public_key)
        verify_bytes(message, bytes.fromhex(self.signature), public_key)


def enrol_request(invite: Invite, signer: Signer) -> bytes:
    """What `POST /v1/enroll` takes."""
    message = _message(invite.secret, invite.node, signer.public_key)
    return encode(
        EnrolRequest(
            secret=invite.secret,
            node=invite.node,
            public_key=signer.public_key.hex(),
            signature=signer.sign_bytes(message).hex(),
        )
    )


def _message(secret: str, node: str, public_key: bytes) -> bytes:
    return b"\n".join([b"weighbridge-enroll", secret.encode(), node.encode(), public_key])


class Enrolled(Model):
    """The collector's answer."""

    node: Name
    key_id: Hash
    origin: Text
    log_key: Hash
