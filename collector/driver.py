"""Feeds the folds from the log, live and after a restart by the same path, and keeps what they say.

Everything live is held in memory and read by pages and metrics through `Fleet`. Rows and findings go to the ledger in
batches, each in one transaction with the folds' states and the log index that they have come to: after a crash the
entries since then are folded again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from collector.commits import Committed
from collector.standing import Standing, Unit, availability, measures, seconds, units_of
from collector.storage import Store
from weighbridge.checks import Severity, Verdict
from weighbridge.contract import Contract, Resource
from weighbridge.contract.condition import JOINED
from weighbridge.evidence import ContractAdded, Entry, EntryKind
from weighbridge.fleet import NEVER_US, REMEMBERED, STALL_US, FleetFold
from weighbridge.judge import open_rows
from weighbridge.ledger import Finding, Row, Span, State
from weighbridge.node import NodeState, Segment
from weighbridge.tables import sku_by_pci
from weighbridge.view import View
from weighbridge.wire import Report

SLICE = 512


@dataclass(frozen=True, slots=True)
class Counts:
    """GPUs of one contract. Each is part of the one before, but in_use, which is part of reporting."""

    contracted: int
    reporting: int
    healthy: int
    in_use: int


class Fleet(Protocol):
    """What is known now. For reading only."""

    @property
    def now_us(self) -> int:
        """The newest tick."""
        ...

    @property
    def contracts(self) -> Mapping[str, Contract]:
        """The version in force of every contract."""
        ...

    @property
    def nodes(self) -> Mapping[str, NodeState]: ...

    def claims(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        """The devices that a contract claims, by node; None: all of the node's GPUs."""
        ...

    def findings(self, contract: str | None = None) -> Sequence[Finding]:
        """Those that are open."""
        ...

    def unwritten(self, contract: str) -> Sequence[Finding]:
        """Findings, opened or closed, that the ledger does not have yet, oldest first."""
        ...

    def counts(self, contract: str) -> Counts: ...

    def seconds(self, contract: str) -> Mapping[str, Mapping[str, int]]:
        """Of the current period so far, by objective and by met, breached, unknown and excluded."""
        ...

    def availability(self, contract: str) -> Mapping[str, tuple[Fraction, Fraction]]:
        """(low, high) of the current period so far, by objective: the unit that stands worst."""
        ...

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        """The end of the ledger that is not written yet."""
        ...


FindingKey = tuple[str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction of the ledger holds."""

    rows: Sequence[Row]
    findings: Sequence[Finding]
    folded: int
    snapshots: Mapping[str, bytes]


NO_BATCH = Batch((), (), 0, {})


class Driver:
    """The one writer of the ledger, and the Fleet. `follow` must be given every commit, in log order."""

    def __init__(self, store: Store) -> None:
        """Of an open store: restores the folds, but folds nothing yet."""
        self._store = store
        self._fold = FleetFold(stall_us=NEVER_US if store.info.simulation else STALL_US)
        self._rows: list[Row] = []
        self._found: list[Finding] = []
        self._open: dict[str, dict[FindingKey, Finding]] = {}
        self._standing = Standing(self._written)
        self._asked: dict[str, tuple[int, dict[Unit, list[Span]]]] = {}
        self._writing = NO_BATCH
        self.folded = store.ledger.folded()
        self._restore()

    def _restore(self) -> None:
        places = self._store.index.of_kinds(REMEMBERED)
        remembered = [_at(self._store, place) for place in places if place < self.folded]
        self._fold.restore(self._store.ledger.snapshots(), remembered)
        page = self._store.ledger.findings(open_only=True)
        while page.findings:
            for finding in page.findings:
                self._keep(finding)
            if page.after is None:
                break
            page = self._store.ledger.findings(open_only=True, after=page.after)

    def catch_up(self, limit: int = SLICE) -> bool:
        """Fold at most `limit` entries that the log holds and the folds have not seen; whether there were any."""
        entries = list(self._store.log.read(self.folded, limit))
        self.fold(entries)
        return bool(entries)

    def fold(self, entries: Iterable[Entry]) -> None:
        """Fold entries that follow those folded before."""
        for entry in entries:
            self.fold_one(entry, None)

    def follow(self, committed: Sequence[Committed]) -> None:
        """Fold a commit."""
        for one in committed:
            self.fold_one(one.entry, one.report)

    def fold_one(self, entry: Entry, report: Report | None) -> None:
        """Fold one entry; `report` is what it says where the caller has read it already."""
        if entry.index != self.folded:
            raise ValueError(f"entry {entry.index} follows where {self.folded} was due")
        changes = self._fold.fold(entry, report)
        self.folded += 1
        if entry.kind is EntryKind.CONTRACT:
            self._asked.clear()
        rows = [change for change in changes if isinstance(change, Row)]
        self._rows += rows
        self._standing.write(rows)
        for change in changes:
            if isinstance(change, Finding):
                self._note(change)

    def _note(self, finding: Finding) -> None:
        self._found.append(finding)
        self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        found = self._open.setdefault(finding.contract, {})
        if finding.until_us is None:
            found[_place(finding)] = finding
        else:
            found.pop(_place(finding), None)

    def take(self) -> Batch:
        """What the ledger does not have yet. Write it, then say how it went with `written`."""
        self._writing = Batch(self._rows, self._found, self.folded, self._fold.snapshots())
        self._rows, self._found = [], []
        return self._writing

    def written(self, *, kept: bool) -> None:
        """Whether the ledger took the batch; if not, all of it is due again."""
        batch, self._writing = self._writing, NO_BATCH
        if not kept:
            self._rows = [*batch.rows, *self._rows]
            self._found = [*batch.findings, *self._found]
            self._fold.touch(batch.snapshots)

    def _written(self, contract: str, start_us: int, end_us: int) -> Sequence[Row]:
        """The ledger's rows and those that wait to be written."""
        due = [
            row
            for row in (*self._writing.rows, *self._rows)
            if row.contract == contract and row.start_us < end_us and row.end_us > start_us
        ]
        return [*self._store.ledger.rows(contract, start_us, end_us), *due]

    @property
    def now_us(self) -> int:
        return self._fold.watch.now_us

    @property
    def awake_us(self) -> int:
        """Since when the collector's ticks came without a stall."""
        return self._fold.watch.awake_us

    def resource(self, contract: str, node: str) -> Resource:
        """The line item that a contract claims a node for."""
        claims = self._fold.claims
        return claims.resource(contract, claims.nodes(contract)[node].resource)

    def exchanges(self) -> Sequence[str]:
        """The commitments of challenges that have begun and not ended, as text."""
        return self._fold.exchanges()

    @property
    def contracts(self) -> Mapping[str, Contract]:
        versions = self._fold.claims.contracts(self.now_us)
        return {name: version.contract for name, version in versions.items()}

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        return self._fold.nodes

    def check_contract(self, added: ContractAdded) -> None:
        """Whether this entry may be appended now. Raises ContractError or ClaimError."""
        self._fold.claims.check_addition(added, self.now_us)

    def claims(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return {
            node: None if claim.devices is None else frozenset(claim.devices)
            for node, claim in self._fold.claims.nodes(contract).items()
        }

    def findings(self, contract: str | None = None) -> Sequence[Finding]:
        if contract is not None:
            return list(self._open.get(contract, {}).values())
        return [finding for found in self._open.values() for finding in found.values()]

    def unwritten(self, contract: str) -> Sequence[Finding]:
        due = (*self._writing.findings, *self._found)
        return [finding for finding in due if finding.contract == contract]

    def unwritten_rows(self, contract: str) -> list[Row]:
        """Rows that the ledger does not have yet."""
        due = (*self._writing.rows, *self._rows)
        return [row for row in due if row.contract == contract]

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        written = [row for row in self.unwritten_rows(contract) if node in (None, row.node)]
        return [*written, *self._live(contract, node)]

    def _live(self, contract: str, node: str | None = None) -> list[Row]:
        """Segments that still grow."""
        return [
            row
            for claimed in self._fold.claims.nodes(contract)
            if node in (None, claimed)
            for state in self._fold.observers(claimed)
            for row in open_rows(state, self.now_us)
            if row.contract == contract
        ]

    def counts(self, contract: str) -> Counts:
        version = self.contracts[contract]
        broken = {
            (finding.node, finding.device)
            for finding in self.findings(contract)
            if finding.severity is Severity.ERROR and finding.verdict is Verdict.BREACHED
        }
        nodes = self.nodes
        seen = [
            place
            for name in self._fold.claims.nodes(contract)
            if name in nodes
            for place in self._present(contract, nodes[name])
        ]
        healthy = [
            (state, device)
            for state, device in seen
            if not {(state.node, device), (state.node, ""), ("", "")} & broken
        ]
        working = [1 for state, device in seen if in_use(state.view, device)]
        contracted = sum(resource.nodes * resource.per_node for resource in version.resources)
        return Counts(contracted, len(seen), len(healthy), len(working))

    def _present(self, contract: str, state: NodeState) -> Iterator[tuple[NodeState, str]]:
        """The devices in the contract's slots of a node that were sampled within max_gap and answered."""
        chain = state.newest
        track = None if chain is None else chain.tracks.get(contract)
        if track is None or state.last_sample_us is None or state.silent:
            return
        if self.now_us - state.last_sample_us > state.patience_us:
            return
        for device, segment in zip(track.slots, track.segments, strict=True):
            if device and segment.state is not State.UNKNOWN and UNSEEN.isdisjoint(causes(segment)):
                yield state, device

    def seconds(self, contract: str) -> Mapping[str, Mapping[str, int]]:
        version, lines = self.contracts[contract], self._timelines(contract)
        return {
            promised.id: seconds(version, promised, units_of(promised, lines), self.now_us)
            for promised in version.availability
        }

    def availability(self, contract: str) -> Mapping[str, tuple[Fraction, Fraction]]:
        version, lines = self.contracts[contract], self._timelines(contract)
        return {
            promised.id: availability(
                measures(version, promised, units_of(promised, lines), self.now_us)
            )
            for promised in version.availability
        }

    def _timelines(self, contract: str) -> dict[Unit, list[Span]]:
        """Every contracted slot up to now; asked for at most once for each tick."""
        asked = self._asked.get(contract)
        if asked is not None and asked[0] == self.now_us:
            return asked[1]
        version = self.contracts[contract]
        lines = self._standing.timelines(
            version, self._units(version), self._live(contract), self.now_us
        )
        self._asked[contract] = (self.now_us, lines)
        return lines

    def _units(self, version: Contract) -> list[Unit]:
        """Every slot of the nodes claimed first, up to the contract's places; of nodes that nobody claimed under names
        that no node can have."""
        claims = self._fold.claims.nodes(version.contract_id)
        only = version.resources[0].id if len(version.resources) == 1 else ""
        units: list[Unit] = []
        for resource in version.resources:
            names = [n for n, claim in claims.items() if (claim.resource or only) == resource.id]
            unclaimed = range(len(names) + 1, resource.nodes + 1)
            names += [f"({resource.id} {place})" for place in unclaimed]
            slots = range(resource.per_node)
            units += [(name, slot) for name in names[: resource.places] for slot in slots]
        return units


def causes(segment: Segment) -> list[str]:
    """Each cause of a segment's state."""
    return segment.cause.split(JOINED)


UNSEEN = frozenset({"gpu_missing", "gpu_lost"})
"""Causes of a device that is known and does not answer."""


def in_use(view: View, device: str) -> bool:
    """Power above the card's idle band, or a process that holds memory; a card without a band needs the process."""
    if any(process.device == device for process in view.processes or ()):
        return True
    power = view.value(device, "power_draw_milliwatts")
    board, subsystem = (view.value(device, name) for name in ("pci_device_id", "pci_subsystem_id"))
    card = None if not isinstance(board, str) else sku_by_pci(board, _text(subsystem))
    band = None if card is None else card.idle_power_milliwatts
    return band is not None and isinstance(power, int) and power > band.high


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _place(finding: Finding) -> FindingKey:
    return finding.contract, finding.node, finding.device, finding.code, finding.since_us


def _at(store: Store, index: int) -> Entry:
    return next(iter(store.log.read(index, 1)))
