"""A bundle verified, offline, from the file alone: hashes, signatures, chains, proofs, and the statement settled anew.

What is wrong is told, and what cannot be known; nothing is passed over in silence.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import zstandard

from collector.bundling.challenged import Challenged
from collector.bundling.readable import (
    MAKERS,
    VERSIONS,
    instructions,
    read_contested,
    told_by,
    zone_used,
)
from collector.bundling.selection import Sight
from collector.judging.held_rows import HeldRows, UnnamedInstantError
from collector.judging.resettling import Resettling, reach_of
from collector.judging.signers import Signers
from collector.judging.statements import StatementError, instant
from collector.log.timestamps import NoOpensslError, TimestampError, when
from collector.storage.store import StorageError, StoreInfo
from weighbridge.bundle.archive import EXTRACTION, ArchiveError, ArchiveReader
from weighbridge.bundle.description import (
    CHECKPOINTS,
    CONTESTED,
    DESCRIPTION,
    LOG,
    PROOFS,
    STATEMENT,
    TIMESTAMPS,
    Description,
    StatementTold,
    Withheld,
    checkpoint_name,
    log_name,
    proof_name,
    standing_of,
    timestamp_names,
)
from weighbridge.bundle.extraction import open_extraction
from weighbridge.bundle.pruned import PrunedError, PrunedReader
from weighbridge.codes import Note
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import ZONE_DATA
from weighbridge.judge.ledger import Finding as Hole
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import EntryKind, Issued, entry
from weighbridge.log.merkle import leaf_hash
from weighbridge.log.note import read_vkey
from weighbridge.log.policy import Policy, read_policy, signed_by
from weighbridge.log.tlog_proof import ProofError, check_proof, read_proof
from weighbridge.notices.book import FOREVER_US
from weighbridge.settlement.invariants import BrokenInvariantError
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.statement import Statement, changes, otherwise, versions, versions_of
from weighbridge.verdict import Verdict, worst
from weighbridge.wire.report import Report, WireError, read
from weighbridge.wire.signing import SignatureError, key_id

MOST_LINE_BYTES = 160 << 20
CHUNK_BYTES = 1 << 20
UNREADABLE = (ValueError, LookupError, TypeError, ArithmeticError, RecursionError)
"""What reading raises of entries that no collector would have let in, though somebody signed them."""

NEVER_HEARD_US = -1
"""Before all times of receipt."""

MOST_SAID = 20
"""Of one kind, so many things that are wrong are told, and how many there are."""


KNOWN = frozenset({STATEMENT, VERSIONS, CONTESTED})
"""Members that are looked at otherwise."""

STANDINGS = {
    "draft": "a draft: none was issued",
    "issued": "the one that was issued, as the log has its digest",
    "issued_otherwise": "as the evidence is now: the one that was issued said otherwise",
}


class BundleError(ValueError):
    """The file is no bundle that can be verified any further. The message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `about` names it, `said` what was found."""

    about: str
    verdict: Verdict
    said: str


@dataclass(slots=True)
class Verification:
    """What was found, in order. `differences`: where the statement is not the one that the entries give."""

    findings: list[Finding] = field(default_factory=list)
    differences: Sequence[Note] = ()
    versions: Sequence[Note] = ()
    statement: Statement | None = None

    @property
    def verdict(self) -> Verdict:
        return worst((one.verdict for one in self.findings), empty=Verdict.UNKNOWN)

    def met(self, about: str, said: str) -> None:
        self.findings.append(Finding(about, Verdict.MET, said))

    def wrong(self, about: str, said: str) -> None:
        self.findings.append(Finding(about, Verdict.BREACHED, said))

    def unknown(self, about: str, said: str) -> None:
        self.findings.append(Finding(about, Verdict.UNKNOWN, said))


def verify_bundle(
    file: IO[bytes], policy: Policy | None = None, authority: Path | None = None
) -> Verification:
    """Everything that can be said of a bundle. Reads it once, from the beginning to the end.

    `policy`: whose signatures make a head good enough; by default what the contract asks (`evidence.cosigned_by`), else
    the log's own does, under the key that the bundle names. `authority`: the certificates of who put
    timestamps on heads, as PEM.
    """
    done = Verification()
    try:
        _Verifier(done, policy, authority).run(ArchiveReader(file))
    except (ArchiveError, BundleError, PrunedError) as error:
        done.wrong("archive", str(error))
    return done


class _Verifier:
    """One bundle. `_leaves`: the leaf hashes of entries that may have a proof file."""

    def __init__(self, done: Verification, policy: Policy | None, authority: Path | None) -> None:
        self._done = done
        self._authority = authority
        self._stamps: dict[str, bytes] = {}
        self._policy = policy
        self._accepted = 0
        self._last = 0
        self._description: Description | None = None
        self._members: dict[str, bytes] = {}
        self._tree = PrunedReader()
        self._roots: dict[int, bytes] = {}
        self._leaves: dict[int, bytes] = {}
        self._named: set[int] = set()
        self._issued: dict[int, Issued] = {}
        self._heard: dict[tuple[str, str, str], int] = {}
        self._holes: list[tuple[Hole, bool]] = []
        self._untrue: set[str] = set()
        self._reports = 0
        self._stopped = False

    def run(self, archive: ArchiveReader) -> None:
        members = archive.members()
        name, data = next(members, ("", b""))
        if name != DESCRIPTION:
            raise BundleError(f"the first member is not {DESCRIPTION}")
        self._describe(data)
        for name, data in members:
            if name.startswith(LOG):
                self._read_piece(name, data)
            elif name.startswith(PROOFS):
                self._check_proof(name, data)
            elif name.startswith(CHECKPOINTS):
                self._check_head(name, data)
            elif name.startswith(TIMESTAMPS):
                self._stamps[name] = data
            else:
                self._members[name] = data
                if name == CONTESTED:
                    self._lay(data)
                self._named |= _named(data) if name == STATEMENT else set()
        self._done.met("archive", "every member is what the list of members says")
        self._check_extraction(archive.manifest_hash)
        self._check_log()
        self._check_nodes()
        self._check_policy()
        self._check_timestamps()
        self._check_contested()
        self._check_challenges()
        self._check_attestations()
        self._check_readable()
        self._check_zone()
        self._settle()

    def _describe(self, data: bytes) -> None:
        try:
            said = read(Description, data.removesuffix(b"\n"))
            key = read_vkey(said.log_key)
            as_of_s = instant(said.as_of)
        except (WireError, SignatureError, StatementError) as error:
            raise BundleError(f"{DESCRIPTION}: {error}") from error
        self._description, self._as_of_s = said, as_of_s
        self._by_log = signed_by(key)
        self._sizes = set(said.sizes)
        info = StoreInfo(said.origin)
        self._signers = Signers(key.public_key)
        self._challenged = Challenged()
        self._sight = Sight(said.contract)
        rows = HeldRows(said.contract, said.since_us, said.instants)
        self._settling = Resettling(info, rows)

    @property
    def _told(self) -> Description:
        if self._description is None:
            raise BundleError("nothing is described")
        return self._description

    def _lay(self, data: bytes) -> None:
        """Contested time that the collector tells, under the entries that follow."""
        told = self._told
        try:
            rows = read_contested(data, told.contract)
        except ValueError as error:
            raise BundleError(f"{CONTESTED}: {error}") from error
        self._settling = Resettling(self._settling.info, self._settling.ledger, rows)

    def _read_piece(self, name: str, data: bytes) -> None:
        if name != log_name(self._tree.size):
            raise BundleError(f"{name}: the log goes on with entry {self._tree.size}")
        for line in _lines(name, data):
            kept = self._tree.take(line)
            if self._tree.size in self._sizes:
                self._roots[self._tree.size] = self._tree.root
            if kept is not None and not self._stopped:
                self._read_entry(*kept)

    def _read_entry(self, index: int, leaf: bytes) -> None:
        """Its signature, by a key that might sign it there; then it is judged."""
        try:
            one = entry(index, leaf)
            report = self._signers.check(one, verified=False)
            self._settling.fold(one, report)
            self._challenged.take(one, self._signers.log_keys)
            self._sight.fold(one, self._settling.now_us)
        except (StorageError, *UNREADABLE) as error:
            self._stopped = True
            self._done.wrong("entries", f"entry {index} cannot be judged: {error}")
            return
        if one.kind is EntryKind.STATEMENT:
            self._issued[index] = read(Issued, one.envelope.payload)
        if index in self._named or one.kind not in (EntryKind.REPORT, EntryKind.TICK):
            self._leaves[index] = leaf_hash(leaf)
        if report is not None:
            self._reports += 1
            self._hear(one.envelope.key_id, report)
        if one.kind is not EntryKind.SUCCESSION:
            self._last = index

    def _hear(self, key_id: str, report: Report) -> None:
        """Whether a hole before it is one that withheld time may have made: between it and the chain's last report."""
        now_us, chain = self._settling.now_us, (key_id, report.chain, report.stream)
        last_us = self._heard.get(chain, NEVER_HEARD_US)
        self._heard[chain] = now_us
        withheld = [one for one in self._told.withheld if one.node == report.node]
        if any(one.from_us <= now_us < one.until_us for one in withheld):
            self._untrue.add(report.node)
        excused = any(last_us < one.from_us and one.until_us <= now_us for one in withheld)
        self._holes += ((hole, excused) for hole in self._settling.holes[len(self._holes) :])

    def _check_head(self, name: str, data: bytes) -> None:
        try:
            head = self._signers.log_keys.open_head(data.decode())
        except (SignatureError, UnicodeDecodeError) as error:
            self._done.wrong("checkpoints", f"{name}: {error}")
            return
        known = self._roots.get(head.size)
        if (name, head.origin) != (checkpoint_name(head.size), self._told.origin):
            self._done.wrong("checkpoints", f"{name} is the head of another log or size")
        elif known != head.root:
            self._done.wrong("checkpoints", f"{name}: the entries give another root")
        else:
            self._sizes.discard(head.size)
            self._witness(name, head)

    def _witness(self, name: str, head: Head) -> None:
        policy = self._asked
        try:
            accepted = policy is not None and self._knowing(policy).accepts(head.note)
        except SignatureError as error:
            self._done.wrong("policy", f"{name}: {error}")
            return
        self._accepted = max(self._accepted, head.size) if accepted else self._accepted

    def _knowing(self, policy: Policy) -> Policy:
        """Whoever names a key of this log means those too that it announced."""
        return policy.following(self._signers.log_keys.leaves)

    @property
    def _asked(self) -> Policy | None:
        """Whoever verifies may ask for more or others than the contract does."""
        versions = self._settling.book.versions(self._told.contract, FOREVER_US)
        if self._policy is not None or not versions:
            return self._policy
        text = versions[-1].contract.evidence.cosigned_by
        return None if text is None else read_policy(text)

    def _check_proof(self, name: str, data: bytes) -> None:
        try:
            proof = read_proof(data.decode())
            leaf = self._leaves.get(proof.index)
            if leaf is None or name != proof_name(proof.index):
                raise ProofError("of no entry of this bundle")
            head = check_proof(proof, leaf, self._knowing(self._by_log))
        except (ProofError, UnicodeDecodeError) as error:
            self._done.wrong("proofs", f"{name}: {error}")
            return
        if self._roots.get(head.size) != head.root:
            self._done.wrong("proofs", f"{name}: of no head of this bundle")

    def _check_extraction(self, manifest: str) -> None:
        try:
            record = open_extraction(
                self._members.pop(EXTRACTION, b""), self._signers.log_keys.newest
            )
        except (SignatureError, WireError) as error:
            self._done.wrong("extraction", str(error))
            return
        told = self._told.statement
        if (record.manifest, record.statement) != (manifest, told.digest):
            self._done.wrong("extraction", "the record is of other members or another statement")
            return
        self._done.met("extraction", f"by {record.by}: {record.command}")

    def _check_log(self) -> None:
        told = self._told
        if self._tree.size != told.size:
            self._done.wrong("log", f"{self._tree.size} entries, not {told.size}")
        elif self._sizes:
            self._done.wrong("log", f"no head of the sizes {sorted(self._sizes)}")
        else:
            followed = "".join(
                f", from entry {one.index + 1} on {key_id(bytes.fromhex(one.public_key))[:16]}"
                for one in self._signers.log_keys.successions
            )
            self._done.met("log", f"the head of {told.size} entries by {told.log_key}{followed}")
        for hole, excused in sorted(self._holes, key=lambda one: one[1])[:MOST_SAID]:
            say = self._done.unknown if excused else self._done.wrong
            say("chains", f"{hole.node}: {hole.observed}")
        if not self._holes and not self._stopped:
            self._done.met("chains", f"{self._reports} reports, none missing between them")

    def _check_nodes(self) -> None:
        """Those that the entries assign. Time that they leave to another contract may be withheld: that is not told."""
        told, nodes = self._told, sorted(self._sight.seen())
        say = self._done.met if told.nodes == nodes else self._done.wrong
        say("nodes", f"by the entries: {', '.join(nodes) or 'none'}")
        judged = [(self._against(one), one) for one in told.withheld]
        for against, one in sorted(judged, key=lambda pair: not pair[0])[:MOST_SAID]:
            start, end = (instant_text(us // MICROSECONDS) for us in (one.from_us, one.until_us))
            said = against or "whether another contract held it is no part of the bundle"
            say = self._done.wrong if against else self._done.unknown
            say("withheld", f"{one.node}, received {start} to {end}: {said}")

    def _against(self, one: Withheld) -> str:
        """What speaks against its being another's; empty: nothing."""
        if not self._sight.may_lack(one):
            return "the entries leave no such time to another contract"
        return "reports of then are here" if one.node in self._untrue else ""

    def _check_challenges(self) -> None:
        """Each that ended in the bundle gives the result that the log has, recomputed."""
        challenged = self._challenged
        for said in challenged.wrong[:MOST_SAID]:
            self._done.wrong("challenges", said)
        if challenged.undone:
            said = f"{challenged.undone} not recomputed: that needs numpy (weighbridge[challenge])"
            self._done.unknown("challenges", said)
        counted = ", ".join(f"{count} {name}" for name, count in sorted(challenged.ended.items()))
        if not challenged.wrong and not challenged.undone:
            self._done.met("challenges", f"as logged, recomputed: {counted or 'none'}")

    def _check_attestations(self) -> None:
        """What the collector calls attested was asked, and answered in time with the nonce."""
        for one in self._settling.unfounded[:MOST_SAID]:
            self._done.wrong("attestations", f"{one.node}, {one.device}: {one.observed}")

    def _check_contested(self) -> None:
        for row in self._settling.told[:MOST_SAID]:
            start, end = (
                instant_text(edge_us // MICROSECONDS) for edge_us in (row.start_us, row.end_us)
            )
            said = f"{row.device} on {row.node}, {start} to {end}: the other place is no part of the bundle"
            self._done.unknown("contested", said)

    def _check_readable(self) -> None:
        """What people read in the bundle is what its entries say, and nothing else is in it."""
        made = told_by(self._told.contract, self._settling.book, self._signers.ring)
        pages = instructions(self._told)
        wrong, other = self._unlike(made), self._unlike(pages)
        for name in wrong:
            self._done.wrong("files", f"{name}: not what the entries say")
        say = self._done.wrong if self._of_this_version else self._done.unknown
        for name in other:
            say("files", f"{name}: not what this version writes")
        for name in sorted(self._members.keys() - made.keys() - pages.keys() - KNOWN):
            self._done.unknown("files", f"{name}: not known to this version")
        if not wrong and not other:
            self._done.met("files", "contracts, notices and keys are what the entries say")

    def _unlike(self, made: Mapping[str, bytes]) -> list[str]:
        """Which of these files the bundle lacks or has otherwise."""
        return [name for name in sorted(made) if self._members.get(name) != made[name]]

    @property
    def _of_this_version(self) -> bool:
        """Whether the bundle says that it was made by what verifies it."""
        try:
            said = json.loads(self._members.get(VERSIONS, b""))
            return all(said[name] == version for name, version in MAKERS.items())
        except UNREADABLE:
            return False

    def _check_zone(self) -> None:
        """Days are cut here as they were there."""
        try:
            said = json.loads(self._members.get(VERSIONS, b""))
            there, used = said["zone_data"], said["zone_offsets"]
            here = zone_used(self._told, said["zone"])
        except UNREADABLE as error:
            self._done.wrong("versions", f"{VERSIONS}: {error}")
            return
        if here == used:
            self._done.met("versions", f"made by {said['program']}, zone data {there}")
        else:
            data = f"{there} there, {ZONE_DATA} here"
            self._done.unknown("versions", f"{said['zone']} has other offsets in the data {data}")

    def _check_policy(self) -> None:
        """Up to which entry the heads reach that the policy accepts. What a contract asks for is no breach alone."""
        say = self._done.unknown if self._policy is None else self._done.wrong
        if self._asked is None:
            self._done.met("policy", "none asked: compare the log's key with the one you know")
        elif self._accepted == 0:
            say("policy", "it accepts none of the heads")
        elif self._accepted <= self._last:
            reached = f"accepted heads reach entry {self._accepted - 1} of {self._last}"
            self._done.unknown("policy", reached)
        else:
            self._done.met("policy", f"a head of {self._accepted} entries is accepted")

    def _check_timestamps(self) -> None:
        """Which heads an authority says to have seen, and when."""
        if self._authority is None or not self._stamps:
            said = "none" if not self._stamps else "not looked at: name their authority"
            self._done.met("timestamps", said)
            return
        for size in sorted(self._roots):
            texts = [self._stamps.pop(name, None) for name in timestamp_names(size)]
            if None not in texts:
                self._check_timestamp(size, *filter(None, texts))
        for name in sorted(self._stamps):
            self._done.wrong("timestamps", f"{name}: of no head of this bundle")

    def _check_timestamp(self, size: int, text: bytes, answer: bytes) -> None:
        try:
            head = self._signers.log_keys.open_head(text.decode())
            at_s = when(head.note, answer, self._authority or Path())
        except NoOpensslError as error:
            self._done.unknown("timestamps", str(error))
        except (SignatureError, UnicodeDecodeError, TimestampError) as error:
            self._done.wrong("timestamps", f"of {size} entries: {error}")
        else:
            if head.root == self._roots[size]:
                said = f"{size} entries were there at {instant_text(at_s)}"
                self._done.met("timestamps", said)
            else:
                self._done.wrong("timestamps", f"of {size} entries: the entries give another root")

    def _settle(self) -> None:
        """The statement by the entries, compared with the one in the bundle."""
        shown = self._members.get(STATEMENT)
        if shown is None or self._stopped:
            self._done.wrong("statement", "cannot be settled from this bundle")
            return
        told = self._told.statement
        if hashlib.sha256(shown).hexdigest() != told.digest:
            self._done.wrong("statement", f"{STATEMENT} has another digest than {told.digest}")
        self._check_standing(told)
        try:
            asked = self._settling.ask(self._told.period, self._as_of_s)
            again = asked.statement(self._settling)
            reach = reach_of(asked)
        except (StatementError, UnnamedInstantError, BrokenInvariantError) as error:
            self._done.wrong("statement", str(error))
            return
        if reach.since_us < self._told.since_us or not set(reach.instants) <= set(
            self._told.instants
        ):
            self._done.wrong("statement", "it looks back further than the bundle says")
        self._compare(shown, again)

    def _check_standing(self, told: StatementTold) -> None:
        """Whether it is the one that was issued, by the entry that has the digest of that."""
        entry = max((at for at, one in self._issued.items() if self._is_of_this(one)), default=None)
        digest = None if entry is None else self._issued[entry].digest
        standing = standing_of(told.digest, digest)
        if (told.standing, told.issued_digest, told.entry) == (standing, digest, entry):
            self._done.met("statement", STANDINGS[standing])
        else:
            self._done.wrong("statement", f"said to be {told.standing}: the entries say {standing}")

    def _is_of_this(self, issued: Issued) -> bool:
        told = self._told
        asked = (told.contract, told.period, self._as_of_s * MICROSECONDS)
        return (issued.contract, issued.period, issued.as_of_us) == asked

    def _compare(self, shown: bytes, again: Statement) -> None:
        done = self._done
        done.statement = again
        if again.json().encode() == shown:
            done.met("statement", f"equal to the byte: {again.digest}")
            return
        try:
            known = json.loads(shown)
            done.versions = list(otherwise(versions_of(known), versions(again)))
            done.differences = list(changes(known, asdict(again)))
        except (*UNREADABLE, AttributeError) as error:
            done.wrong("statement", f"not a statement: {error}")
            return
        if done.versions:
            done.unknown("statement", "made by another version than settles it here")
        elif self._held_back:
            nodes = ", ".join(sorted(self._held_back))
            said = f"the entries say otherwise, and what {nodes} told another contract is not here"
            done.unknown("statement", said)
        else:
            done.wrong("statement", "the entries say otherwise")

    @property
    def _held_back(self) -> set[str]:
        """Nodes of which a chain goes on from a time in which another contract held the node."""
        return {hole.node for hole, excused in self._holes if excused}


def _named(statement: bytes) -> set[int]:
    """The entries that a statement's outages are known from."""
    found: set[int] = set()

    def see(said: dict[str, Any]) -> dict[str, Any]:
        found.update(one for one in said.get("entries") or () if isinstance(one, int))
        return said

    with suppress(ValueError, TypeError, RecursionError):
        json.loads(statement, object_hook=see)
    return found


def _lines(name: str, data: bytes) -> Iterator[bytes]:
    """The lines of a piece, with no more than one of them in memory."""
    rest = b""
    try:
        with zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True) as reader:
            while chunk := reader.read(CHUNK_BYTES):
                *whole, rest = (rest + chunk).split(b"\n")
                yield from whole
                if len(rest) > MOST_LINE_BYTES:
                    raise BundleError(f"{name}: a line of more than {MOST_LINE_BYTES} bytes")
    except zstandard.ZstdError as error:
        raise BundleError(f"{name}: {error}") from error
    if rest:
        raise BundleError(f"{name}: its last line is cut off")
