"""Feeds the folds from the log, live and after a restart by the same path, and keeps what they say.

Everything live is held in memory and read by pages and metrics through `Fleet`. Rows and findings go to the ledger in
batches, each in one transaction with the folds' states and the log index that they have come to: after a crash the
entries since then are folded again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.judging.current_figures import Current, Figures
from collector.judging.statements import load_book
from collector.log.commits import CommittedEntry
from collector.storage.index import received
from collector.storage.store import Store
from weighbridge.contract import Contract, Resource
from weighbridge.judge.counts import Counts, counts
from weighbridge.judge.fleet import NEVER_US, REMEMBERED, STALL_US, FleetFold
from weighbridge.judge.ledger import Finding, Row, Use
from weighbridge.judge.node_state import AwaitedTelemetry, NodeState
from weighbridge.judge.track import open_rows, reached
from weighbridge.log.entries import ContractAdded, Entry, Reached
from weighbridge.notices.book import KINDS as BOOKED
from weighbridge.settlement.judge_versions import Judges, current
from weighbridge.settlement.judge_versions import dump as dump_judges
from weighbridge.settlement.judge_versions import restore as restore_judge_versions
from weighbridge.settlement.statement import Judged
from weighbridge.wire.report import Report

SLICE = 512
JUDGES = "judges"
"""The snapshot that names who wrote the ledger."""


class Fleet(Protocol):
    """The live state of all contracts and nodes, for reading."""

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

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        """The devices that are assigned to a contract, by node; None: all of the node's GPUs."""
        ...

    def findings(self, contract: str | None = None) -> Sequence[Finding]:
        """Open findings, of one contract or of all."""
        ...

    def unwritten(self, contract: str) -> Sequence[Finding]:
        """Findings, opened or closed, that the ledger does not have yet, oldest first."""
        ...

    def counts(self, contract: str) -> Counts: ...

    def figures(self, contract: str) -> Figures:
        """Of its objectives in their periods under way."""
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
    uses: Sequence[Use] = ()


NO_BATCH = Batch((), (), 0, {})


class Driver:
    """The one writer of the ledger, and the Fleet. `follow` must be given every commit, in log order."""

    def __init__(self, store: Store) -> None:
        """Of an open store: restores the folds, but folds nothing yet."""
        self._store = store
        self._fold = FleetFold(stall_us=NEVER_US if store.info.simulation else STALL_US)
        self._rows: list[Row] = []
        self._found: list[Finding] = []
        self._uses: list[Use] = []
        self._open: dict[str, dict[FindingKey, Finding]] = {}
        self.folded = store.ledger.folded()
        self._book = load_book(store.log, store.index, self.folded)
        self._current = Current(self._book, self._written)
        self._asked: dict[str, tuple[int, Figures]] = {}
        self._writing = NO_BATCH
        self._restore()

    def _restore(self) -> None:
        indexes = self._store.index.of_kinds(REMEMBERED)
        remembered = [
            entry
            for index in indexes
            if index < self.folded
            for entry in received(self._store.log, index)
        ]
        snapshots = self._store.ledger.snapshots()
        self._fold.restore(snapshots, remembered)
        self._judge_versions = (
            restore_judge_versions(snapshots[JUDGES]) if JUDGES in snapshots else Judges()
        )
        self._judge_versions.take_over(self.now_us, current(self.now_us))
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

    def follow(self, committed: Sequence[CommittedEntry]) -> None:
        """Folds the entries of a commit."""
        for one in committed:
            self.fold_one(one.entry, one.report)

    def fold_one(self, entry: Entry, report: Report | None) -> None:
        """Fold one entry; `report` is what it says where the caller has read it already."""
        if entry.index != self.folded:
            raise ValueError(f"entry {entry.index} follows where {self.folded} was due")
        changes = self._fold.fold(entry, report)
        self.folded += 1
        if entry.kind in BOOKED:
            self._book.fold(entry, self.now_us)
            self._asked.clear()
        rows = [change for change in changes if isinstance(change, Row)]
        self._rows += rows
        self._uses += [change for change in changes if isinstance(change, Use)]
        self._current.write(rows)
        for change in changes:
            if isinstance(change, Finding):
                self._note(change)

    def _note(self, finding: Finding) -> None:
        self._found.append(finding)
        self._keep(finding)

    def _keep(self, finding: Finding) -> None:
        found = self._open.setdefault(finding.contract, {})
        if finding.until_us is None:
            found[_key(finding)] = finding
        else:
            found.pop(_key(finding), None)

    def take(self) -> Batch:
        """What the ledger does not have yet. Write it, then say how it went with `written`."""
        snapshots = {**self._fold.snapshots(), JUDGES: dump_judges(self._judge_versions)}
        self._writing = Batch(self._rows, self._found, self.folded, snapshots, self._uses)
        self._rows, self._found, self._uses = [], [], []
        return self._writing

    def written(self, *, kept: bool) -> None:
        """The ledger took the batch, or did not: then all of it is due again."""
        batch, self._writing = self._writing, NO_BATCH
        if not kept:
            self._rows = [*batch.rows, *self._rows]
            self._found = [*batch.findings, *self._found]
            self._uses = [*batch.uses, *self._uses]
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
        """The line item that a node is assigned to."""
        assignments = self._fold.assignments
        return assignments.resource(contract, assignments.nodes(contract)[node].resource)

    def exchanges(self) -> Sequence[str]:
        """The commitments of challenges that have begun and not ended, as text."""
        return self._fold.exchanges()

    def unlinked(self) -> Iterator[tuple[NodeState, str, AwaitedTelemetry]]:
        """Exchanges that have ended and whose telemetry is awaited, by name."""
        for state in self._fold.states.values():
            for challenge, unlinked in state.unlinked.items():
                if unlinked.outcome:
                    yield state, challenge, unlinked

    @property
    def contracts(self) -> Mapping[str, Contract]:
        versions = self._fold.assignments.contracts(self.now_us)
        return {name: version.contract for name, version in versions.items()}

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        return self._fold.nodes

    def check_contract(self, added: ContractAdded) -> None:
        """Whether this entry may be appended now. Raises ContractError or AssignmentError."""
        self._fold.assignments.check_addition(added, self.now_us)

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return {
            node: None if assignment.devices is None else frozenset(assignment.devices)
            for node, assignment in self._fold.assignments.nodes(contract).items()
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

    def unwritten_uses(self, contract: str) -> list[Use]:
        """Sums of use that the ledger does not have yet."""
        due = (*self._writing.uses, *self._uses)
        return [use for use in due if use.contract == contract]

    def reached(self, nodes: Iterable[str], as_of_us: int) -> tuple[Reached, ...]:
        """How far the chains of these nodes had come; nothing where that can not be told any more."""
        states = (state for node in nodes for state in self._fold.observers(node))
        return reached(states, as_of_us)

    def judged(self, since_us: int, as_of_us: int) -> Judged:
        """Who made the rows that were written down in this time."""
        return self._judge_versions.of(since_us, as_of_us)

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        written = [row for row in self.unwritten_rows(contract) if node in (None, row.node)]
        return [*written, *self._live(contract, node)]

    def _live(self, contract: str, node: str | None = None) -> list[Row]:
        """Rows of intervals that have not ended, by what is known now."""
        return [
            row
            for assigned in self._fold.assignments.nodes(contract)
            if node in (None, assigned)
            for state in self._fold.observers(assigned)
            for row in open_rows(state, self.now_us)
            if row.contract == contract
        ]

    def counts(self, contract: str) -> Counts:
        nodes = self.nodes
        assigned = (nodes[name] for name in self._fold.assignments.nodes(contract) if name in nodes)
        return counts(self.contracts[contract], assigned, self.findings(contract), self.now_us)

    def figures(self, contract: str) -> Figures:
        """Worked out at most once for each tick."""
        asked = self._asked.get(contract)
        if asked is None or asked[0] != self.now_us:
            version, growing = self.contracts[contract], self._live(contract)
            found = self._current.figures(version, growing, self.now_us)
            asked = self._asked[contract] = (self.now_us, found)
        return asked[1]


def _key(finding: Finding) -> FindingKey:
    return finding.contract, finding.node, finding.device, finding.code, finding.since_us
