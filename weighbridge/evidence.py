"""The evidence log: its entries, its Merkle tree (RFC 6962, RFC 9162 section 2.1), its signed heads, its receipts.

Everything that judgement depends on is an entry of one log, in one order. An entry's leaf is the bytes of its DSSE
envelope. Time enters only as a `Tick`: a commit begins with one, and an entry was received at the tick before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from weighbridge.signing import Envelope, Signer
from weighbridge.wire import Count, Hash, Model, Name, Text


class EntryKind(StrEnum):
    """The payload type, less its prefix `application/vnd.weighbridge.` and suffix `+json`."""

    REPORT = "report"
    TICK = "tick"
    CONTRACT = "contract"
    INVITE = "invite"
    KEY = "key"
    CLAIM = "claim"


class Tick(Model):
    """The collector's own clock. `stalled_us` is how long the collector itself could not commit before this tick."""

    wall_us: Count


class ContractAdded(Model):
    """A contract or its amendment: the file's exact text, judged from `from_us` on."""

    contract: Name
    version: Count
    text: str
    from_us: Count


class InviteIssued(Model):
    """One use until `expires_us`. The log holds the hash of the secret, never the secret."""

    secret_hash: Hash
    contract: Name
    node: Name
    side: Literal["provider", "lessee"]
    devices: list[Name] | None
    expires_us: Count


class KeyChanged(Model):
    """A key begins or ceases to speak for a node, from this entry's index on."""

    action: Literal["enrolled", "revoked"]
    key_id: Hash
    public_key: Hash
    node: Name
    side: Literal["provider", "lessee"]
    secret_hash: Hash | None
    reason: Text


class Claim(Model):
    """A contract claims a node's devices (all of them where `devices` is null), from this entry on."""

    contract: Name
    node: Name
    devices: list[Name] | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log. `index` counts from 0."""

    index: int
    kind: EntryKind
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Head:
    """The log at one size: a C2SP checkpoint (c2sp.org/tlog-checkpoint) signed by the collector."""

    origin: str
    size: int
    root: bytes
    note: str


class Receipt(Model):
    """The collector's answer to one report: where it lies, since when, and the signed head that covers it."""

    index: Count
    leaf_hash: Hash
    received_us: Count
    head: str


EMPTY_ROOT: bytes
Node = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""


def payload_type(kind: EntryKind) -> str: ...


def leaf_hash(leaf: bytes) -> bytes: ...


def node_hash(left: bytes, right: bytes) -> bytes: ...


class Frontier:
    """The complete subtrees that make up a log of `size` leaves: enough to append and to know the root."""

    size: int

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return every subtree (level, index, hash) that it completes, the leaf first."""
        ...

    def root(self) -> bytes: ...


def stored_position(level: int, index: int) -> int:
    """Where a complete subtree's hash lies in a file that lists hashes in the order `Frontier.append` returns them."""
    ...


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.3.1. Raises ValueError unless 0 <= index < size."""
    ...


def consistency_proof(old_size: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.4.1. Raises ValueError unless 0 < old_size <= size."""
    ...


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool: ...


def verify_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool: ...


def sign_head(origin: str, size: int, root: bytes, signer: Signer) -> Head: ...


def open_head(note: str, public_key: bytes) -> Head:
    """Parse and verify a checkpoint. Raises SignatureError."""
    ...


def head_hash(head: Head) -> str:
    """What a report's `seen` holds: the hexadecimal SHA-256 of the note's signed text."""
    ...
