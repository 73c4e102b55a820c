"""The evidence log: its entries, its Merkle tree (RFC 6962, RFC 9162 section 2.1), its signed heads, its receipts.

Everything that judgement depends on is an entry of one log, in one order. An entry's leaf is the bytes of its DSSE
envelope. Time enters only as a `Tick`: a commit begins with one, and an entry was received at the tick before it.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from weighbridge.log.signing import Envelope, SignatureError, Signer, open_envelope, verify_bytes
from weighbridge.wire.report import Count, Hash, Model, Name, Part, Text


class EntryKind(StrEnum):
    """The payload type, less its prefix `application/vnd.weighbridge.` and suffix `+json`."""

    REPORT = "report"
    TICK = "tick"
    CONTRACT = "contract"
    INVITE = "invite"
    KEY = "key"
    CLAIM = "claim"
    REFUSAL = "refusal"
    CHALLENGE = "challenge"
    PROOF = "proof"
    PARTY = "party"
    NOTICE = "notice"
    STATEMENT = "statement"


class Tick(Part, frozen=True):
    """The collector's own clock: each second and each commit. A gap between ticks is the collector's own silence."""

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
    resource: Name | None = None
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
    """A contract claims a node's devices (all of them where `devices` is null) for one of its resources.

    `resource` may be null where the contract has only one. A later claim of the same contract and node replaces it;
    one of no devices releases the node.
    """

    contract: Name
    node: Name
    devices: list[Name] | None
    resource: Name | None = None

    @property
    def releases(self) -> bool:
        return self.devices == []


class PartyKey(Model):
    """A key begins or ceases to speak for a party of a contract, from this entry's index on."""

    action: Literal["enrolled", "revoked"]
    contract: Name
    party: Name
    public_key: Hash


class MaintenanceNotice(Model):
    """Work announced for [from_us, until_us). `units`: nodes or units of a statement; empty: all."""

    kind: Literal["maintenance"]
    id: Name
    from_us: Count
    until_us: Count
    units: list[Name]


class CauseNotice(Model):
    """Why `unit` (a node or a slot, empty: all) was not up in [from_us, until_us): a code of the contract."""

    kind: Literal["cause"]
    code: Name
    from_us: Count
    until_us: Count
    unit: Text


class EventNotice(Model):
    """Something that happened to `unit` (empty: the whole) at an instant, or lasted from `since_us` until then."""

    kind: Literal["event"]
    event: Name
    at_us: Count
    since_us: Count | None
    unit: Text
    details: dict[Name, Text]


class ClaimNotice(Model):
    """The credits of a period are claimed. `unit` and `objective` null: all of them."""

    kind: Literal["claim"]
    period: Name
    unit: Name | None
    objective: Name | None


class Notice(Model):
    """What a party of a contract says. Received at the tick before its entry.

    Signed by a key of the party, `attested_for` is null; else the collector signs that somebody who was known to it
    said so, and `attested_for` is who.
    """

    contract: Name
    party: Name
    said: Annotated[
        MaintenanceNotice | CauseNotice | EventNotice | ClaimNotice, Field(discriminator="kind")
    ]
    attested_for: Text | None


class Issued(Model):
    """A statement was handed out: later ones say what they say otherwise. `digest` is the SHA-256 of its JSON.

    `judge` and `tables`: of the rows that it was made from; "unnamed" where they left no name. `lowest` and `highest`:
    what it said is owed; null: open.
    """

    contract: Name
    period: Name
    as_of_us: Count
    engine: Name
    judge: str = "unnamed"
    tables: str = "unnamed"
    lowest: Text | None = None
    highest: Text | None = None
    digest: Hash


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


class Refused(Model):
    """A validly signed report that ingest refused: `code` as on the wire, `payload_hash` of what was signed.

    `node` is the key's. `chain`, `stream` and `seq` are null where the payload cannot be read.
    """

    code: Name
    key_id: Hash
    node: Name
    chain: Name | None
    stream: Name | None
    seq: Count | None
    payload_hash: Hash
    detail: Text


EMPTY_ROOT = hashlib.sha256(b"").digest()
Node = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""

_PREFIX, _SUFFIX = "application/vnd.weighbridge.", "+json"


def payload_type(kind: EntryKind) -> str:
    """The DSSE payload type of an entry's kind."""
    return f"{_PREFIX}{kind}{_SUFFIX}"


def entry(index: int, leaf: bytes) -> Entry:
    """The entry in a leaf's bytes. Raises SignatureError or ValueError; verifies no signature."""
    envelope = open_envelope(leaf)
    kind = envelope.payload_type.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return Entry(index, EntryKind(kind), envelope)


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 9162 2.1.1: the hash of a leaf's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 2.1.1: the hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The complete subtrees that make up a log of `size` leaves: enough to append and to know the root."""

    def __init__(self, size: int = 0, node: Node | None = None) -> None:
        """Of an existing log of `size` leaves, whose subtree hashes `node` knows."""
        self.size = size
        spans = _complete_subtrees(0, size)
        self._peaks = [node(level, index) for level, index in spans] if node is not None else []

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return every subtree (level, index, hash) that it completes, the leaf first."""
        completed = [(0, self.size, leaf)]
        level, index, subtree = 0, self.size, leaf
        while index & 1:
            level, index, subtree = level + 1, index >> 1, node_hash(self._peaks.pop(), subtree)
            completed.append((level, index, subtree))
        self._peaks.append(subtree)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """The Merkle tree hash of the log so far."""
        return _join(self._peaks) if self._peaks else EMPTY_ROOT


def _complete_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """[start, end) as complete subtrees (level, index) from left to right; start must be aligned to end - start."""
    spans = []
    while start < end:
        level = min(
            (end - start).bit_length() - 1, (start & -start).bit_length() - 1 if start else 64
        )
        spans.append((level, start >> level))
        start += 1 << level
    return spans


def _join(subtrees: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that shrink from left to right."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def stored_position(level: int, index: int) -> int:
    """Where a complete subtree's hash lies in a file that lists hashes in the order `Frontier.append` returns them."""
    last_leaf = ((index + 1) << level) - 1
    # Before the hashes that leaf n completes lie n leaves and the n - popcount(n) inner nodes over them.
    return 2 * last_leaf - last_leaf.bit_count() + level


def _subtree(start: int, end: int, node: Node) -> bytes:
    return _join([node(level, index) for level, index in _complete_subtrees(start, end)])


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.3.1. Raises ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in a log of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.4.1. Raises ValueError unless 0 < old_size <= size."""
    if not 0 < old_size <= size:
        raise ValueError(f"no proof leads from size {old_size} to size {size}")
    path = []
    start, end = 0, size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    if start > 0:
        path.append(_subtree(start, end, node))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162 2.1.3.2. `leaf` is the leaf's hash."""
    if not 0 <= index < size:
        return False
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 2.1.4.2."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    return bool(path) and _consistent(old_size, size, old_root, root, path)


def _consistent(
    old_size: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]
) -> bool:
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_computed = computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_computed = node_hash(sibling, old_computed)
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_computed == old_root and computed == root


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


def open_head(note: str, public_key: bytes) -> Head:
    """Parse and verify a checkpoint. Raises SignatureError."""
    match = _NOTE.fullmatch(note)
    if match is None:
        raise SignatureError("not a checkpoint with one signature")
    raw = b64decode(match["signature"])
    if raw[:4] != _note_key_hash(match["name"], public_key):
        raise SignatureError("the checkpoint is signed by another key")
    verify_bytes(match["text"].encode(), raw[4:], public_key)
    return Head(match["origin"], int(match["size"]), b64decode(match["root"]), note)


def head_hash(note: str) -> str:
    """What a report's `seen` holds: the hexadecimal SHA-256 of the checkpoint's signed text."""
    return hashlib.sha256(note.partition("\n\n")[0].encode() + b"\n").hexdigest()
