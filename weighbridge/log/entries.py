"""The evidence log's entries, and the receipts for them.

Everything that judgement depends on is an entry of one log, in one order. An entry's leaf is the bytes of its DSSE
envelope. Time enters only as a `Tick`: a commit begins with one, and an entry was received at the tick before it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from weighbridge.log.merkle import leaf_hash
from weighbridge.log.note import MOST_BYTES
from weighbridge.wire.report import Count, Hash, Model, Name, Text, WirePart, read
from weighbridge.wire.signing import Envelope, open_envelope

MOST_STAMP = 32 << 10
"""Characters of a timestamp."""


class EntryKind(StrEnum):
    """The payload type, less its prefix `application/vnd.weighbridge.` and suffix `+json`."""

    REPORT = "report"
    TICK = "tick"
    CONTRACT = "contract"
    INVITE = "invite"
    KEY = "key"
    ASSIGNMENT = "claim"  # stored as it was first called
    REFUSAL = "refusal"
    CHALLENGE = "challenge"
    PROOF = "proof"
    PARTY = "party"
    NOTICE = "notice"
    STATEMENT = "statement"
    COSIGNED = "cosigned"
    CONTRADICTION = "contradiction"
    CLOCK = "clock"
    RESTORED = "restored"
    REMOVED = "removed"
    TIMESTAMP = "timestamp"
    SUCCESSION = "succession"
    ATTESTATION = "attestation"
    ATTESTED = "attested"
    TELEMETRY = "telemetry"


class Tick(WirePart, frozen=True):
    """The collector's own clock: each second and each commit. A gap between ticks is the collector's own silence."""

    wall_us: Count


ClockReason = Literal["", "corrected", "synchronized", "confirmed", "rebooted"]


class ClockChecked(Model):
    """The collector's system clock was stepped, or is followed again.

    From `stepped` on, ticks go on by CLOCK_BOOTTIME from the last instant at which the system's clock was trusted.
    `tick_us` is what that comes to, `wall_us` what the system's clock says. From `followed` on, they are the system's
    again; `reason` is why: it came back (`corrected`), it stayed `synchronized`, an operator `confirmed` it, or the
    machine was started anew (`rebooted`). `wrong_us`: by how much the ticks in between were ahead of it.
    """

    action: Literal["stepped", "followed"]
    reason: ClockReason
    synchronized: bool | None
    tick_us: Count
    wall_us: Count
    wrong_us: int


KeySide = Literal["provider", "lessee", "witness"]
"""Whose agent a key belongs to. A witness speaks for no node, but says of others whether it reaches them."""


class ContractAdded(Model):
    """A contract or its amendment: the file's exact text, judged from `from_us` on.

    Or, with a reason in `withdrawn`, the word that all versions were added by mistake: the newest text once more, and
    there is no such contract from then on. The name is free again.
    """

    contract: Name
    version: Count
    text: str
    from_us: Count
    withdrawn: Text | None = None

    @model_serializer(mode="wrap")
    def _spelled(self, spell: SerializerFunctionWrapHandler) -> dict[str, object]:
        """What is not withdrawn says nothing of it, as before there was that word."""
        spelled: dict[str, object] = spell(self)
        return {
            name: said for name, said in spelled.items() if name != "withdrawn" or said is not None
        }


class InviteIssued(Model):
    """One use until `expires_us`. The log holds the hash of the secret, never the secret."""

    secret_hash: Hash
    contract: Name
    node: Name
    side: KeySide
    devices: list[Name] | None
    resource: Name | None = None
    expires_us: Count


class KeyChanged(Model):
    """A key begins or ceases to speak for a node, from this entry's index on.

    `from_us`: of one that is revoked, since when its word does not count, though it was let in; null: all of it does.
    """

    action: Literal["enrolled", "revoked"]
    key_id: Hash
    public_key: Hash
    node: Name
    side: KeySide
    secret_hash: Hash | None
    reason: Text
    from_us: Count | None = None


class Assignment(Model):
    """A node's devices (all of them where `devices` is null) are assigned to a contract, for one of its resources.

    `resource` may be null where the contract has only one. A later one of the same contract and node replaces it;
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


class Reached(Model):
    """Up to when the samples of a chain of a node were judged, and the entry that brought the last of them."""

    node: Name
    chain: Text
    until_us: Count
    entry: Count


@dataclass(frozen=True, slots=True)
class VersionSince:
    """A version by which was judged, and from which instant on; null: the first one."""

    version: str
    since: str | None = None


@dataclass(frozen=True, slots=True)
class JudgedBy:
    """Who judged what is settled: the versions of the judge, and the digests of the tables that it read.

    Each in the order in which they judged; one that goes on is not repeated. None: whoever asked did not say.
    """

    judge: tuple[VersionSince, ...] = ()
    tables: tuple[VersionSince, ...] = ()


class Issued(Model):
    """A statement was handed out: later ones say what they say otherwise. `digest` is the SHA-256 of its JSON.

    `reached`: of a period under way or just over, how far the chains had come whose last rows were not written down by
    then. They were, later, and with this it is known how much of them was known.

    `zone_data`, `calendars`: by what days were cut and counted; empty: it did not say.

    `judged`: by whom the rows that it was made from. `lowest` and `highest`: what it said is owed; null: open.
    """

    contract: Name
    period: Name
    as_of_us: Count
    engine: Name
    judged: JudgedBy = JudgedBy()
    lowest: Text | None = None
    highest: Text | None = None
    digest: Hash
    reached: tuple[Reached, ...] = ()
    zone_data: Text = ""
    calendars: Text = ""


class CosignedHead(Model):
    """A head of this log with the cosignatures that witnesses gave it: a C2SP checkpoint."""

    note: Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]


class StampedHead(Model):
    """A head of this log, and an authority's answer to a request for an RFC 3161 timestamp of its text.

    `answer`: the DER of the TimeStampResp, as base64; it holds the authority's certificates.
    """

    note: Annotated[str, Field(min_length=1, max_length=MOST_BYTES)]
    answer: Annotated[
        str, Field(min_length=1, max_length=MOST_STAMP, pattern=r"^[A-Za-z0-9+/]+={0,2}$")
    ]


class Contradiction(Model):
    """An agent names a head with which this log does not agree. `ours` is the log's own root at this size; null where
    the log is shorter. `proven`: the head that the agent holds has this log's signature."""

    key_id: Hash
    node: Name
    size: Count
    root: Hash
    ours: Hash | None
    proven: bool


class Restored(Model):
    """The store was restored from a backup of the first `size` entries, whose root was `root`.

    `lost` is the newest head of the log before that was brought to the restore, over more entries than those: what lies
    between is lost, and whoever holds that head sees a log that shrank. Null: nobody brought one.
    """

    size: Count
    root: Hash
    lost: Annotated[str, Field(min_length=1, max_length=MOST_BYTES)] | None


class Removed(Model):
    """A report stood here and has left the store, by the contracts' own terms.

    `leaf_hash` is the report's, and what the tree holds still. The rest is what its chain needs to be whole.
    """

    leaf_hash: Hash
    key_id: Hash
    node: Name
    chain: Name
    stream: Name
    seq: Count
    payload_hash: Hash


class Succession(Model):
    """The log is signed by `public_key` from the entry behind this one, which is at `index`, on.

    `previous`, the key until then, signs the entry, and heads beside the new one until `until_us`. `proof`: the new
    key's signature (hexadecimal) of the rest, so that nobody announces a key that is not his.
    """

    index: Count
    previous: Hash
    public_key: Hash
    until_us: Count
    proof: Text


MOST_EVIDENCE = 16 << 10
"""Characters of a report as base64, and of a certificate chain: what NVML can give has 8192 and 5120 bytes."""

BASE64 = r"^[A-Za-z0-9+/]*={0,2}$"


class AttestationAsked(Model):
    """The collector asks a GPU to attest itself to `nonce`, drawn for this once, by `until_us` on its own clock.

    `valid_s`: how long an attestation counts; `required`: whether the contract demands one.
    """

    step: Literal["asked"] = "asked"
    id: Name
    contract: Name
    node: Name
    key_id: Hash
    device: Name
    nonce: Hash
    until_us: Count
    valid_s: Count
    required: bool


class AttestationAnswered(Model):
    """What the driver gave for the nonce: the GPU's report and its certificate chain (PEM); or why there is none.

    `architecture` is NVML's number of the chip's.
    """

    step: Literal["answered"] = "answered"
    id: Name
    contract: Name
    node: Name
    device: Name
    architecture: Count
    report: Annotated[str, Field(max_length=MOST_EVIDENCE, pattern=BASE64)]
    chain: Annotated[str, Field(max_length=MOST_EVIDENCE)]
    reason: Text


class Attested(Model):
    """How it ended. `reason`: why it is not met; `chip`: the SHA-256 of the chip's own identity key.

    `online`: revocation and reference measurements were looked up; else nobody asked for them. `verifier`: the name and
    version of the program that verified; `claims`: what it said of the chip.
    """

    id: Name
    contract: Name
    node: Name
    key_id: Hash
    device: Name
    verdict: Literal["met", "refused", "not_assessed"]
    reason: Text
    chip: Hash | None
    online: bool
    verifier: Text
    claims: dict[Name, Text]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the log. `index` counts from 0."""

    index: int
    kind: EntryKind
    envelope: Envelope


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


_PREFIX, _SUFFIX = "application/vnd.weighbridge.", "+json"


def payload_type(kind: EntryKind) -> str:
    """The DSSE payload type of an entry's kind."""
    return f"{_PREFIX}{kind}{_SUFFIX}"


_REMOVED = f'","payloadType":"{payload_type(EntryKind.REMOVED)}",'.encode()


def stored_hash(leaf: bytes) -> bytes:
    """The leaf hash of the entry that a row of the store stands for: of the row, or of the report that it stands for.

    Raises SignatureError or WireError where that is not told.
    """
    if _REMOVED not in leaf:
        return leaf_hash(leaf)
    return bytes.fromhex(read(Removed, open_envelope(leaf).payload).leaf_hash)


def entry(index: int, leaf: bytes) -> Entry:
    """The entry in a leaf's bytes. Raises SignatureError or ValueError; verifies no signature."""
    envelope = open_envelope(leaf)
    kind = envelope.payload_type.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return Entry(index, EntryKind(kind), envelope)
