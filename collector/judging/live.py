"""What has been judged of the log, live: pages, metrics, statements and challenges read it in memory."""

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from collector.judging.current_figures import Current, Figures
from weighbridge.contract import Contract, Resource
from weighbridge.judge import reach_lines
from weighbridge.judge.assignments import AssignmentError, Assignments, in_force
from weighbridge.judge.counts import Counts, counting
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding, Row, Use
from weighbridge.judge.node_state import AwaitedTelemetry, NodeState
from weighbridge.judge.track import open_rows, reached
from weighbridge.log.entries import Assignment, ContractAdded, JudgedBy, Reached
from weighbridge.settlement.judge_versions import Judges
from weighbridge.steps import drained

FindingKey = tuple[str, str, str, str, int]


@dataclass(slots=True)
class Judgement:
    """What has been judged so far; `LedgerWriter` alone changes it. `open`: findings by contract, node and key. `rows`,
    `findings`, `uses`: those that the ledger does not have yet, oldest first. `noted`: when something of an instant was
    last found, by contract, node and code.
    """

    folds: FleetFold
    figures: Current
    judges: Judges
    open: dict[str, dict[str, dict[FindingKey, Finding]]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    noted: dict[tuple[str, str, str], int] = field(default_factory=dict)

    @property
    def now_us(self) -> int:
        """The newest tick."""
        return self.folds.watch.now_us


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

    def observers(self, node: str) -> Sequence[NodeState]:
        """The states of a node, one for each side whose agent has spoken of it, the provider's first."""
        ...

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        """The devices that are assigned to a contract, by node; None: all of the node's GPUs."""
        ...

    def findings(self, contract: str | None = None, node: str | None = None) -> Sequence[Finding]:
        """Open findings, of one contract or of all, and of one node or of all."""
        ...

    def unwritten(self, contract: str) -> Sequence[Finding]:
        """Findings, opened or closed, that the ledger does not have yet, oldest first."""
        ...

    def noted(self) -> Mapping[tuple[str, str, str], int]:
        """When something of an instant was last found, by contract, node and code; since the start."""
        ...

    def counts(self, contract: str) -> Counts: ...

    def counting(self, contract: str) -> Generator[None, None, Counts]:
        """The same in small steps, each of the instant at which it is taken."""
        ...

    def figures(self, contract: str) -> Figures:
        """Of its objectives in their periods under way."""
        ...

    def figured_us(self, contract: str) -> int:
        """The tick as of which its figures are; 0 while there are none."""
        ...

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        """The end of the ledger that is not written yet."""
        ...


class WorkedFleet(Fleet, Protocol):
    """A fleet that says beforehand what figures cost."""

    def reading(self, contract: str) -> Callable[[], None] | None:
        """What reads the rows of a contract, in any thread, where there are many that are not at hand."""
        ...

    def take_over(self, contract: str) -> None:
        """They were read: they are at hand now."""
        ...

    def weight(self, contract: str) -> int:
        """How many rows the figures of a contract are made from."""
        ...

    def prepared(self, contract: str) -> Callable[[], Figures]:
        """What works them out, in any thread, as they are now."""
        ...


@dataclass(frozen=True, slots=True)
class InForce(Mapping[str, Contract]):
    """The version of every contract that is in force at an instant: looked for when it is asked for."""

    assignments: Assignments
    now_us: int

    def __getitem__(self, contract: str) -> Contract:
        versions = self.assignments.versions(contract)
        if not versions:
            raise KeyError(contract)
        return in_force(versions, self.now_us).contract

    def __iter__(self) -> Iterator[str]:
        return iter(self.assignments.names())

    def __len__(self) -> int:
        return len(self.assignments.names())


@dataclass(frozen=True, slots=True)
class Assigned(Mapping[str, frozenset[str] | None]):
    """The devices of each node that is assigned to a contract, told when they are asked for."""

    nodes: Mapping[str, Assignment]

    def __getitem__(self, node: str) -> frozenset[str] | None:
        devices = self.nodes[node].devices
        return None if devices is None else frozenset(devices)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self.nodes))

    def __len__(self) -> int:
        return len(self.nodes)


class LiveFleet:
    """The `Fleet` of a judgement, and what statements, handovers and challenges read of it."""

    def __init__(self, judgement: Judgement) -> None:
        self._judged = judgement
        self._folds = judgement.folds

    @property
    def now_us(self) -> int:
        return self._judged.now_us

    def resource(self, contract: str, node: str) -> Resource:
        """The line item that a node is assigned to."""
        assignments = self._folds.assignments
        return assignments.resource(contract, assignments.nodes(contract)[node].resource)

    def resources(self, contract: str) -> Iterator[tuple[str, Resource]]:
        """The nodes of a contract whose line items are known, with these."""
        assignments = self._folds.assignments
        for node, assignment in list(assignments.nodes(contract).items()):
            with contextlib.suppress(AssignmentError):
                yield node, assignments.resource(contract, assignment.resource)

    def exchanges(self) -> Sequence[str]:
        """The commitments of challenges that have begun and not ended, as text."""
        return self._folds.exchanges()

    def unended(self) -> Sequence[tuple[str, str]]:
        """The newest commitment and outcome of each series of which another attempt is due, as text."""
        return self._folds.unended()

    def unlinked(self) -> Iterator[tuple[NodeState, str, AwaitedTelemetry]]:
        """Exchanges that have ended and whose telemetry is awaited, by name."""
        for state in self._folds.states.values():
            for challenge, unlinked in state.unlinked.items():
                if unlinked.outcome:
                    yield state, challenge, unlinked

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return InForce(self._folds.assignments, self.now_us)

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        return self._folds.nodes

    def observers(self, node: str) -> Sequence[NodeState]:
        return self._folds.observers(node)

    def check_contract(self, added: ContractAdded) -> None:
        """Whether this entry may be appended now. Raises ContractError or AssignmentError."""
        self._folds.assignments.check_addition(added, self.now_us)

    def withdrawal(self, contract: str, reason: str) -> ContractAdded:
        """The entry that withdraws a contract now. Raises AssignmentError."""
        return self._folds.assignments.withdrawal(contract, reason, self.now_us)

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return Assigned(self._folds.assignments.nodes(contract))

    def findings(self, contract: str | None = None, node: str | None = None) -> Sequence[Finding]:
        every = self._judged.open
        by_node = every.values() if contract is None else [every.get(contract, {})]
        found = (
            one
            for nodes in by_node
            for one in (nodes.values() if node is None else [nodes.get(node, {})])
        )
        return [finding for some in found for finding in some.values()]

    def unwritten(self, contract: str) -> Sequence[Finding]:
        return [finding for finding in self._judged.findings if finding.contract == contract]

    def noted(self) -> Mapping[tuple[str, str, str], int]:
        return self._judged.noted

    def unwritten_rows(self, contract: str) -> list[Row]:
        """Rows that the ledger does not have yet."""
        return [row for row in self._judged.rows if row.contract == contract]

    def unwritten_uses(self, contract: str) -> list[Use]:
        """Sums of use that the ledger does not have yet."""
        return [use for use in self._judged.uses if use.contract == contract]

    def reached(self, nodes: Iterable[str], as_of_us: int) -> tuple[Reached, ...]:
        """How far the chains of these nodes had come; nothing where that can not be told any more."""
        named = list(nodes)
        states = (state for node in named for state in self._folds.observers(node))
        lines = self._folds.reach.lines(named)
        told = (one for line in lines for one in reach_lines.come(line, as_of_us))
        return (*reached(states, as_of_us), *dict.fromkeys(told))

    def judged(self, since_us: int, as_of_us: int) -> JudgedBy:
        """Who made the rows that were written down in this time."""
        return self._judged.judges.of(since_us, as_of_us)

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        written = [row for row in self.unwritten_rows(contract) if node in (None, row.node)]
        return [*written, *self._growing(contract, node)]

    def _growing(self, contract: str, node: str | None = None) -> list[Row]:
        """Rows of intervals that have not ended, by what is known now."""
        folds, now_us = self._folds, self.now_us
        nodes = [one for one in folds.assignments.nodes(contract) if node in (None, one)]
        states = (state for assigned in nodes for state in folds.observers(assigned))
        found = [row for state in states for row in open_rows(state, now_us)]
        found += (
            row for line in folds.reach.lines(nodes) for row in reach_lines.open_rows(line, now_us)
        )
        return [row for row in found if row.contract == contract]

    def counts(self, contract: str) -> Counts:
        return drained(self.counting(contract))

    def counting(self, contract: str) -> Generator[None, None, Counts]:
        assigned = map(self._folds.observers, list(self._folds.assignments.nodes(contract)))
        version, now_us = self.contracts[contract], self.now_us
        return counting(version, assigned, self.findings(contract), now_us)

    def figures(self, contract: str) -> Figures:
        return self.prepared(contract)()

    def figured_us(self, _contract: str) -> int:
        return self.now_us

    def reading(self, contract: str) -> Callable[[], None] | None:
        return self._judged.figures.reading(self.contracts[contract], self.now_us)

    def take_over(self, contract: str) -> None:
        self._judged.figures.take_over(contract)

    def weight(self, contract: str) -> int:
        return self._judged.figures.weight(self.contracts[contract], self.now_us)

    def prepared(self, contract: str) -> Callable[[], Figures]:
        version, growing = self.contracts[contract], self._growing(contract)
        return self._judged.figures.prepared(version, growing, self.now_us)
