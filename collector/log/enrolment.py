"""Enrolment: an agent shows the secret of an invite and proves that it holds a key; the key then speaks for the node.

One use: the first key to use an invite owns it. The same key with the same secret gets the same answer again.
"""

import hashlib

from collector.log.commits import Batch
from collector.log.keys import KeyRing
from collector.problems import Problem
from weighbridge.log import signing
from weighbridge.log.entries import Claim, EntryKind, InviteIssued, KeyChanged
from weighbridge.wire.report import Hash, Model, Name, NotCanonical, Text, WireError, read

ENROL_BYTES = 16 << 10


class EnrolRequest(Model):
    """What an agent sends. `signature` is over `enrolment_message`, by the key that it enrols."""

    secret: Text
    node: Name
    public_key: Hash
    signature: Text


def secret_hash(secret: str) -> str:
    """What the log holds of an invite's secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def enrolment_message(secret: str, node: str, public_key: bytes) -> bytes:
    """The bytes that the agent signs: the public key is its 32 raw bytes."""
    return b"\n".join([b"weighbridge-enroll", secret.encode(), node.encode(), public_key])


def parse_request(body: bytes) -> EnrolRequest:
    """A request whose signature is good. Raises Problem."""
    if len(body) > ENROL_BYTES:
        raise Problem("too_large", f"the request is over {ENROL_BYTES} bytes")
    try:
        request = read(EnrolRequest, body)
    except NotCanonical as error:
        raise Problem("not_canonical", str(error)) from error
    except WireError as error:
        raise Problem("malformed", str(error)) from error
    public_key = bytes.fromhex(request.public_key)
    message = enrolment_message(request.secret, request.node, public_key)
    try:
        signing.verify_bytes(message, bytes.fromhex(request.signature), public_key)
    except ValueError as error:
        raise Problem("bad_signature", "the key did not sign this request") from error
    return request


class Enrolment:
    """The plan that enters a key. Its outcome is the key's id."""

    closes = True

    def __init__(self, request: EnrolRequest, ring: KeyRing) -> None:
        self.size_bytes = ENROL_BYTES
        self._request = request
        self._ring = ring
        self._key_id = signing.key_id(bytes.fromhex(request.public_key))

    def enter(self, batch: Batch) -> str:
        invite = self._ring.invite(secret_hash(self._request.secret))
        if invite is None or invite.issued.node != self._request.node:
            raise Problem("invite_unknown", "no such invite for this node")
        if invite.used_by not in (None, self._key_id):
            raise Problem("invite_used", "the invite was used by another key")
        known = self._ring.key(self._key_id)
        if known is not None and known.revoked_index is not None:
            raise Problem("revoked_key", f"key {self._key_id} is revoked; make a new one")
        if known is not None and known.node != self._request.node:
            raise Problem("wrong_node", f"the key speaks for {known.node}")
        if invite.used_by is None:
            self._enrol(invite.issued, batch)
        return self._key_id

    def _enrol(self, issued: InviteIssued, batch: Batch) -> None:
        if issued.expires_us <= batch.tick_us:
            raise Problem("invite_expired", "the invite has expired")
        for former in list(self._ring.speaking(issued.node, issued.side)):
            if former.key_id != self._key_id:
                reason = f"replaced by {self._key_id}"
                batch.add_record(
                    EntryKind.KEY,
                    KeyChanged(
                        action="revoked",
                        key_id=former.key_id,
                        public_key=former.public_key.hex(),
                        node=issued.node,
                        side=issued.side,
                        secret_hash=None,
                        reason=reason,
                    ),
                )
        batch.add_record(
            EntryKind.KEY,
            KeyChanged(
                action="enrolled",
                key_id=self._key_id,
                public_key=self._request.public_key,
                node=issued.node,
                side=issued.side,
                secret_hash=issued.secret_hash,
                reason="invited",
            ),
        )
        claim = Claim(
            contract=issued.contract,
            node=issued.node,
            devices=issued.devices,
            resource=issued.resource,
        )
        batch.add_record(EntryKind.CLAIM, claim)
