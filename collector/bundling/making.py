"""A bundle written: the second reading of a log, folded as whoever verifies will, with little held in memory.

May run beside the collector.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO

from collector.bundling.pieces import Pieces, Thinned
from collector.bundling.readable import VERSIONS, contested_rows, instructions, made_by, told_by
from collector.bundling.selection import NAMED, Selection, withheld
from collector.bundling.survey import Progress, Surveyed, leaves
from collector.judging.held_rows import HeldRows
from collector.judging.resettling import Resettling
from collector.log.keys import KeyRing
from collector.log.own_keys import OwnKeys
from collector.storage.store import EvidenceLog, StoreInfo
from weighbridge.bundle.archive import ArchiveWriter
from weighbridge.bundle.description import (
    CONTESTED,
    DESCRIPTION,
    STATEMENT,
    Description,
    StatementTold,
    checkpoint_name,
    proof_name,
    standing_of,
    timestamp_names,
)
from weighbridge.bundle.extraction import Extraction, seal
from weighbridge.bundle.paths import Paths
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.fleet import NEVER_US, STALL_US
from weighbridge.judge.ledger import Row
from weighbridge.log.checkpoint import log_key
from weighbridge.log.entries import Entry, EntryKind, entry, stored_hash
from weighbridge.log.tlog_proof import LogProof, write_proof
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import encode

PROVEN = NAMED | {EntryKind.KEY}
"""Kinds of which every entry has a proof file of its own, besides the entries that outages name."""


@dataclass(frozen=True, slots=True)
class Extracting:
    """Who takes a bundle from the log, and how. `command`: the line that does."""

    at_us: int
    by: str
    machine: str
    command: str
    program: str


@dataclass(slots=True)
class BundleMaker:
    """Of what was surveyed: `make` writes the bundle of `statement`, and returns the one that its entries give."""

    info: StoreInfo
    own: OwnKeys
    known: Surveyed
    statement: Statement
    contested: Sequence[Row]
    _settling: Resettling = field(init=False)
    _ring: KeyRing = field(default_factory=KeyRing)
    _selection: Selection = field(init=False)
    _named: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        contract, reach = self.statement.contract, self.known.reach
        rows = HeldRows(contract, reach.since_us, reach.instants)
        self._settling = Resettling(self.info, rows, self.contested)
        sight = self.known.survey.sight(self.known.as_of_s * MICROSECONDS)
        nodes = {key.key_id: key.node for key in sight.ring}
        self._selection = Selection(contract, nodes, sight.seen())
        self._named = frozenset(_evidence(self.statement))

    def make(
        self, log: EvidenceLog, file: IO[bytes], by: Extracting, progress: Progress
    ) -> Statement:
        """Raises StorageError, StatementError."""
        archive = ArchiveWriter(file, self.known.as_of_s)
        told = self._description()
        archive.add(DESCRIPTION, encode(told) + b"\n")
        archive.add(STATEMENT, self.statement.json().encode())
        archive.add(VERSIONS, made_by(told, self.statement.time_zone))
        archive.add(CONTESTED, contested_rows(self.contested))
        _add_all(archive, instructions(told))
        paths = self._write_log(log, archive, progress)
        _add_all(archive, told_by(told.contract, self._settling.book, self._ring))
        self._write_proofs(archive, paths)
        record = Extraction(
            at_us=by.at_us,
            by=by.by,
            machine=by.machine,
            command=by.command,
            program=by.program,
            log_size=self.known.size,
            statement=self.statement.digest,
            manifest=archive.seal(),
        )
        archive.close(seal(record, self.own.signer))
        return self._settling.statement(self.statement.period, self.known.as_of_s)

    def _description(self) -> Description:
        known, statement = self.known, self.statement
        return Description(
            contract=statement.contract,
            period=statement.period,
            as_of=statement.as_of,
            statement=self._told(),
            origin=self.info.origin,
            log_key=str(log_key(self.info.origin, self.own.keys.first)),
            size=known.size,
            sizes=sorted({*known.heads, known.size}),
            nodes=sorted(self._selection.seen),
            withheld=withheld(self._selection.seen),
            since_us=known.reach.since_us,
            instants=list(known.reach.instants),
        )

    def _told(self) -> StatementTold:
        digest = self.statement.digest
        index, issued = self.known.issued or (None, None)
        issued_digest = None if issued is None else issued.digest
        return StatementTold(
            standing=standing_of(digest, issued_digest),
            digest=digest,
            issued_digest=issued_digest,
            entry=index,
        )

    def _write_log(self, log: EvidenceLog, archive: ArchiveWriter, progress: Progress) -> Paths:
        pieces, paths = Pieces(archive), Paths(self.known.size)
        thinned = Thinned(pieces, NEVER_US if self.info.simulation else STALL_US)
        for index, leaf in leaves(log, self.known.size, progress):
            hashed = stored_hash(leaf)
            if index in self.known.heads:
                thinned.cut()
            if not self._take(thinned, paths, entry(index, leaf), leaf):
                thinned.leave_out(hashed)
            paths.append(hashed)
        thinned.cut()
        pieces.flush()
        return paths

    @property
    def _issued(self) -> int | None:
        return None if self.known.issued is None else self.known.issued[0]

    @property
    def _ended(self) -> bool:
        """The evidence ends with the first tick after the instant."""
        return self._settling.now_us > self.known.as_of_s * MICROSECONDS

    def _take(self, thinned: Thinned, paths: Paths, one: Entry, leaf: bytes) -> bool:
        """Whether the entry was taken. Behind the evidence stand the digest of the statement that was made of it,
        and the keys that the log has announced since, one of which signs the bundle."""
        if self._ended and one.index != self._issued and one.kind is not EntryKind.SUCCESSION:
            return False
        if one.kind is EntryKind.TICK:
            decides = bool(self._settling.fold(one))
            thinned.tick(leaf, self._settling.now_us, decides or self._ended)
            return True
        if not self._selection.keeps(one, self._settling.now_us):
            return False
        self._settling.fold(one)
        self._ring.fold(one)
        thinned.keep(leaf)
        if one.kind in PROVEN or one.index in self._named:
            paths.choose()
        return True

    def _write_proofs(self, archive: ArchiveWriter, paths: Paths) -> None:
        now_us = self.known.survey.settling.now_us
        signed = self.own.sign_head(self.info.origin, paths.size, paths.root, now_us)
        heads = {paths.size: signed, **self.known.heads}
        for size in sorted(heads):
            archive.add(checkpoint_name(size), heads[size].note.encode())
        for size, stamp in sorted(self.known.stamps.items()):
            text, answer = timestamp_names(size)
            archive.add(text, stamp.note.encode())
            archive.add(answer, b64decode(stamp.answer))
        head = heads[paths.size]
        for index in paths.chosen:
            proof = write_proof(LogProof(index, paths.proof(index), head.note))
            archive.add(proof_name(index), proof.encode())


def _add_all(archive: ArchiveWriter, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        archive.add(name, data)


def _evidence(statement: Statement) -> set[int]:
    """The entries that outages are known from."""
    outages = (outage for part in statement.parts for line in part.units for outage in line.outages)
    return {index for outage in outages for index in outage.entries or ()}
