"""Enrolment: an agent shows the secret of an invite and proves that it holds a key; the key then speaks for the node.

One use: the first key to use an invite owns it. The same key with the same secret gets the same answer again.
"""

from collector.log.commits import CommitBatch
from collector.log.keys import KeyRing
from weighbridge.log.entries import Assignment, EntryKind, InviteIssued, KeyChanged
from weighbridge.wire import signing
from weighbridge.wire.enrolment import ENROL_BYTES, EnrolRequest, secret_hash
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import NotCanonical, WireError, read

ANOTHER = "ask the collector's keeper for another (`weighbridge invite`)"
"""What helps whoever has an invite that is worth nothing."""


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
    try:
        request.verify()
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

    def enter(self, batch: CommitBatch) -> str:
        invite = self._ring.invite(secret_hash(self._request.secret))
        if invite is None or invite.issued.node != self._request.node:
            raise Problem("invite_unknown", f"no such invite for this node: {ANOTHER}")
        if invite.used_by not in (None, self._key_id):
            raise Problem("invite_used", f"the invite was used by another key: {ANOTHER}")
        known = self._ring.key(self._key_id)
        if known is not None and known.revoked_index is not None:
            raise Problem("revoked_key", f"key {self._key_id} is revoked; make a new one")
        if known is not None and known.node != self._request.node:
            raise Problem("wrong_node", f"the key speaks for {known.node}")
        if invite.used_by is None:
            self._enrol(invite.issued, batch)
        return self._key_id

    def _enrol(self, issued: InviteIssued, batch: CommitBatch) -> None:
        if issued.expires_us <= batch.tick_us:
            raise Problem("invite_expired", f"the invite has expired: {ANOTHER}")
        for former in list(self._ring.speaking(issued.node, issued.side)):
            if former.key_id != self._key_id:
                revocation = former.revocation(f"replaced by {self._key_id}")
                batch.add_record(EntryKind.KEY, revocation)
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
        if issued.side == "witness":
            return
        assignment = Assignment(
            contract=issued.contract,
            node=issued.node,
            devices=issued.devices,
            resource=issued.resource,
        )
        batch.add_record(EntryKind.ASSIGNMENT, assignment)
