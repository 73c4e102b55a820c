"""Who may speak for which node: a fold over the log's contract, invite, key and assignment entries, held in memory.

A key begins and ceases to speak at a log index. At most one key speaks for a side of a node: enrolling another one
revokes the first. A revoked key never speaks again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from collector.storage.store import EntryIndex, EvidenceLog
from weighbridge.contract import loaded
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Entry,
    EntryKind,
    InviteIssued,
    KeyChanged,
    KeySide,
)
from weighbridge.wire.report import read

KINDS = frozenset({EntryKind.CONTRACT, EntryKind.INVITE, EntryKind.KEY, EntryKind.ASSIGNMENT})


@dataclass(frozen=True, slots=True)
class NodeKey:
    """A key and the node that it speaks for. `revoked_index` is the entry that ended it, null while it speaks.

    `void_us`: since when its word does not count, though it was let in; null: all of it does.
    """

    key_id: str
    public_key: bytes
    node: str
    side: KeySide
    invite: InviteIssued | None
    enrolled_index: int
    revoked_index: int | None = None
    reason: str = ""
    void_us: int | None = None

    def revocation(self, reason: str, from_us: int | None = None) -> KeyChanged:
        """What ends it once it is in the log. `from_us`: what it said since then does not count."""
        return KeyChanged(
            action="revoked",
            key_id=self.key_id,
            public_key=self.public_key.hex(),
            node=self.node,
            side=self.side,
            secret_hash=None,
            reason=reason,
            from_us=from_us,
        )


def _revoked(key: NodeKey, index: int, change: KeyChanged) -> NodeKey:
    """The first word ends it; a later one says at most that it was in other hands earlier."""
    if key.revoked_index is None:
        return replace(key, revoked_index=index, reason=change.reason, void_us=change.from_us)
    said = [us for us in (key.void_us, change.from_us) if us is not None]
    return replace(key, void_us=min(said, default=None))


@dataclass(frozen=True, slots=True)
class InviteUse:
    """An invite and the key that used it, null while it is unused."""

    issued: InviteIssued
    used_by: str | None = None


class KeyRing:
    """Every key, invite and assignment that the log knows, and the places of each contract's line items, by name."""

    def __init__(self) -> None:
        self._keys: dict[str, NodeKey] = {}
        self._invites: dict[str, InviteUse] = {}
        self._assignments: list[Assignment] = []
        self.contracts: dict[str, dict[str, int]] = {}

    def fold(self, entry: Entry) -> None:
        """Take in one entry; those of other kinds change nothing."""
        match entry.kind:
            case EntryKind.CONTRACT:
                added = read(ContractAdded, entry.envelope.payload)
                items = loaded(added.text).resources
                self.contracts[added.contract] = {item.id: item.places for item in items}
                if added.withdrawn is not None:
                    del self.contracts[added.contract]
            case EntryKind.INVITE:
                issued = read(InviteIssued, entry.envelope.payload)
                self._invites[issued.secret_hash] = InviteUse(issued)
            case EntryKind.KEY:
                self._change(entry.index, read(KeyChanged, entry.envelope.payload))
            case EntryKind.ASSIGNMENT:
                self._assignments.append(read(Assignment, entry.envelope.payload))
            case _:
                pass

    def _change(self, index: int, change: KeyChanged) -> None:
        if change.action == "revoked":
            key = self._keys.get(change.key_id)
            if key is not None:
                self._keys[change.key_id] = _revoked(key, index, change)
            return
        invite = self._invites.get(change.secret_hash) if change.secret_hash is not None else None
        if invite is not None:
            self._invites[invite.issued.secret_hash] = replace(invite, used_by=change.key_id)
        issued = invite.issued if invite is not None else None
        public_key = bytes.fromhex(change.public_key)
        key = NodeKey(change.key_id, public_key, change.node, change.side, issued, index)
        self._keys.setdefault(change.key_id, key)

    def key(self, key_id: str) -> NodeKey | None:
        return self._keys.get(key_id)

    def __iter__(self) -> Iterator[NodeKey]:
        """Every key ever enrolled, in that order."""
        return iter(list(self._keys.values()))

    def speaking(self, node: str, side: str) -> Iterator[NodeKey]:
        """Keys that speak for this side of a node now."""
        for key in self._keys.values():
            if key.node == node and key.side == side and key.revoked_index is None:
                yield key

    def invite(self, secret_hash: str) -> InviteUse | None:
        return self._invites.get(secret_hash)

    def assignments(self) -> Sequence[Assignment]:
        """Every assignment, in log order."""
        return list(self._assignments)

    def assigned(self, contract: str) -> dict[str, Assignment]:
        """What is assigned to a contract now, by node."""
        held: dict[str, Assignment] = {}
        for assignment in self._assignments:
            if assignment.contract == contract and assignment.releases:
                held.pop(assignment.node, None)
            elif assignment.contract == contract:
                held[assignment.node] = assignment
        return held


def load_keys(log: EvidenceLog, index: EntryIndex) -> KeyRing:
    """The ring as of the log's end."""
    ring = KeyRing()
    for position in index.of_kinds(KINDS):
        for entry in log.read(position, 1):
            ring.fold(entry)
    return ring
