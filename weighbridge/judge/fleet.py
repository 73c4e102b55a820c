"""The whole fold: log entries in order -> rows and findings, over all nodes and contracts.

Live judgement, a rebuilt ledger and a replay are this one class, fed with the same entries.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from weighbridge.challenge import record
from weighbridge.challenge.record import (
    ChallengeOutcome,
    Commitment,
    payload_kind,
    read_commitment,
    read_outcome,
)
from weighbridge.challenge.telemetry import Telemetry, read_telemetry
from weighbridge.judge import challenge_findings, clock_steps
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.chains import follow_chain
from weighbridge.judge.clock_steps import ClockStep
from weighbridge.judge.log_findings import LogCredit
from weighbridge.judge.node import (
    Change,
    contracts,
    judge_refusal,
    judge_release,
    judge_replacement,
    judge_report,
    judge_tick,
)
from weighbridge.judge.node_state import ChainEnd, NodeState
from weighbridge.judge.registry import Registry
from weighbridge.judge.slot_history import names
from weighbridge.judge.snapshot import dump, restore
from weighbridge.log.entries import (
    Assignment,
    ClockChecked,
    ContractAdded,
    Contradiction,
    Entry,
    EntryKind,
    EventNotice,
    KeyChanged,
    Notice,
    Refused,
    Tick,
)
from weighbridge.wire.report import Report, decode, digest, read
from weighbridge.wire.signing import key_id

STALL_US = 5_000_000
"""Ticks further apart than this are the collector's own silence: no node is blamed for it."""

NEVER_US = 2**62
"""No such stall: the clock of a simulation moves in steps of any size."""

REGISTRY_US = 1_000_000
"""The registry looks for what is absent at most so often."""

REMEMBERED = frozenset({EntryKind.CONTRACT, EntryKind.ASSIGNMENT, EntryKind.KEY})
"""Entries that a fold from a snapshot must be told again with `remember`."""


@dataclass(slots=True)
class TickWatch:
    """The newest tick, since when ticks came without a stall, when the registry looked last, and the step of the
    collector's clock that has not ended."""

    now_us: int = 0
    awake_us: int = 0
    looked_us: int = 0
    step: ClockStep | None = None


WATCH, REGISTRY, CREDIT, NODE = "watch", "registry", "credit", "node/"
REPLACED = "gpu_replaced"
"""The event that announces the device that its details call `new`."""


def _name(node: str, side: str) -> str:
    return node if side == "provider" else f"{node}@{side}"


@dataclass(slots=True)
class FleetFold:
    """`states` are by observer: the node's name for its provider's agent, `name@lessee` for the lessee's own."""

    stall_us: int = STALL_US
    assignments: Assignments = field(default_factory=Assignments)
    states: dict[str, NodeState] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    watch: TickWatch = field(default_factory=TickWatch)
    credit: LogCredit = field(default_factory=LogCredit)
    _sides: dict[str, str] = field(default_factory=dict)
    _deadlines: list[tuple[int, str]] = field(default_factory=list)
    _waiting: set[str] = field(default_factory=set)
    _touched: set[str] = field(default_factory=set)

    def fold(self, entry: Entry, report: Report | None = None) -> list[Change]:
        """Judge one entry; `report` is the decoded payload where the caller has it already."""
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.TICK:
                return self._tick(read(Tick, payload).wall_us)
            case EntryKind.REPORT:
                return self._report(decode(payload) if report is None else report, entry)
            case EntryKind.REFUSAL:
                return self._refusal(read(Refused, payload))
            case EntryKind.CHALLENGE:
                return self._challenged(payload)
            case EntryKind.CONTRADICTION:
                self.credit.see(read(Contradiction, payload), self.watch.now_us)
                return self._doubted()
            case EntryKind.CLOCK:
                return self._clock(read(ClockChecked, payload))
            case EntryKind.PROOF:
                return self._proven(read_outcome(payload))
            case EntryKind.ASSIGNMENT:
                self.remember(entry)
                return self._assigned(read(Assignment, payload))
            case EntryKind.NOTICE:
                self._told(read(Notice, payload))
                return []
            case _:
                self.remember(entry)
                return []

    def remember(self, entry: Entry) -> None:
        """Take in a contract, assignment or key, received at the newest tick; entries of other kinds change nothing."""
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.CONTRACT:
                self.assignments.add(read(ContractAdded, payload))
            case EntryKind.ASSIGNMENT:
                self.assignments.assign(read(Assignment, payload), self.watch.now_us)
            case EntryKind.KEY:
                change = read(KeyChanged, payload)
                self._sides[change.key_id] = change.side
            case _:
                pass

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        """One state per node: its provider's observer, or else its lessee's."""
        lessees = {state.node: state for state in self.states.values() if state.side == "lessee"}
        return lessees | {
            state.node: state for state in self.states.values() if state.side != "lessee"
        }

    def observers(self, node: str) -> list[NodeState]:
        """The states of a node, one for each side whose agent has spoken of it."""
        names = (node, f"{node}@lessee")
        return [self.states[name] for name in names if name in self.states]

    def snapshots(self) -> dict[str, bytes]:
        """What changed since the last call, by name, to go on from with `restore`."""
        changed = {NODE + name: dump(self.states[name]) for name in sorted(self._touched)}
        self._touched.clear()
        whole = {REGISTRY: self.registry, WATCH: self.watch, CREDIT: self.credit}
        return changed | {name: dump(held) for name, held in whole.items()}

    def touch(self, names: Iterable[str]) -> None:
        """These snapshots were not kept: give them again."""
        self._touched |= {name.removeprefix(NODE) for name in names if name.startswith(NODE)}

    def restore(self, snapshots: Mapping[str, bytes], remembered: Iterable[Entry]) -> None:
        """Go on from snapshots; `remembered` are the REMEMBERED entries folded before them, in order, each after the
        tick at which it was received."""
        for entry in remembered:
            if entry.kind is EntryKind.TICK:
                self.watch.now_us = max(
                    self.watch.now_us, read(Tick, entry.envelope.payload).wall_us
                )
            self.remember(entry)
        for name, data in snapshots.items():
            if name.startswith(NODE):
                self.states[name.removeprefix(NODE)] = restore(data, NodeState)
        if REGISTRY in snapshots:
            self.registry = restore(snapshots[REGISTRY], Registry)
        if WATCH in snapshots:
            self.watch = restore(snapshots[WATCH], TickWatch)
        if CREDIT in snapshots:
            self.credit = restore(snapshots[CREDIT], LogCredit)
        for name, state in self.states.items():
            self._expect(name, state)

    def _tick(self, now_us: int) -> list[Change]:
        watch = self.watch
        if now_us - watch.now_us > self.stall_us:
            watch.awake_us = now_us
        watch.now_us = max(watch.now_us, now_us)
        changes = list(self._overdue())
        if now_us - watch.looked_us >= REGISTRY_US:
            watch.looked_us = now_us
            changes += self.registry.tick(self.assignments, now_us)
            changes += self._doubted()
        return changes

    def _doubted(self) -> list[Change]:
        """What speaks against the log itself is for every contract, those that come later too."""
        contracts = self.assignments.contracts(self.watch.now_us) if self.credit.doubts else ()
        return list(self.credit.findings(sorted(contracts)))

    def _overdue(self) -> Iterator[Change]:
        now_us = self.watch.now_us
        while self._deadlines and self._deadlines[0][0] <= now_us:
            _, name = heapq.heappop(self._deadlines)
            state = self.states[name]
            self._waiting.discard(name)
            if self._deadline_us(state) > now_us:
                self._expect(name, state)
            else:
                self._touched.add(name)
                yield from judge_tick(state, self.assignments.promises(state.node), now_us)

    def _report(self, report: Report, entry: Entry) -> list[Change]:
        name, state = self._observer(entry.envelope.key_id, report.node)
        promises = self.assignments.promises(state.node)
        end = ChainEnd(entry.envelope.key_id, report.seq, digest(entry.envelope.payload))
        holes = follow_chain(state, contracts(promises), report, end, self.watch.now_us)
        changes: list[Change] = list(holes)
        if self.watch.step is not None:
            changes += clock_steps.mark(self.watch.step, contracts(promises))
        changes += judge_report(state, promises, report, self.watch.now_us, entry.index)
        challenge_findings.heard(state, entry.index, len(entry.envelope.payload))
        self._expect(name, state)
        self._touched.add(name)
        seen = self.registry.see(state, self.assignments, self.watch.now_us, entry.index)
        return changes + seen

    def _clock(self, checked: ClockChecked) -> list[Change]:
        now_us, step = self.watch.now_us, self.watch.step
        if checked.action == "stepped":
            self.watch.step = step or clock_steps.step_of(checked, now_us)
            return []
        self.watch.step = None
        return [] if step is None else list(clock_steps.end(step, checked, now_us))

    def _refusal(self, refused: Refused) -> list[Change]:
        _, state = self._observer(refused.key_id, refused.node)
        promises = self.assignments.promises(state.node)
        return judge_refusal(state, promises, refused, self.watch.now_us)

    def _assigned(self, assignment: Assignment) -> list[Change]:
        """A node that is released was weighed up to its last sample, and no finding stays open for it."""
        changes: list[Change] = []
        for state in self.observers(assignment.node) if assignment.releases else ():
            self._touched.add(_name(state.node, state.side))
            changes += judge_release(state, assignment.contract, self.watch.now_us)
        return changes

    def _told(self, notice: Notice) -> None:
        """A device that was announced is no stranger from the next sample on."""
        said = notice.said
        if not (isinstance(said, EventNotice) and said.event == REPLACED and "new" in said.details):
            return
        for node in self.assignments.nodes(notice.contract):
            if names(said.unit, node):
                for state in self.observers(node):
                    if judge_replacement(state, notice.contract, said.details["new"]):
                        self._touched.add(_name(node, state.side))

    def _challenged(self, payload: bytes) -> list[Change]:
        """What lies between a commitment and its outcome is for whoever checks it."""
        match payload_kind(payload):
            case record.COMMITMENT:
                return self._begun(read_commitment(payload))
            case record.TELEMETRY:
                return self._linked(read_telemetry(payload))
            case _:
                return []

    def _begun(self, begun: Commitment) -> list[Change]:
        name, state = self._observer(key_id(begun.agent_key), begun.node)
        self._touched.add(name)
        challenge_findings.begin_exchange(state, begun)
        return []

    def _proven(self, ended: ChallengeOutcome) -> list[Change]:
        name, state = self._observer(key_id(ended.agent_key), ended.node)
        self._touched.add(name)
        return list(challenge_findings.end_exchange(state, ended, self.watch.now_us))

    def _linked(self, linked: Telemetry) -> list[Change]:
        name, state = self._observer(key_id(linked.agent_key), linked.node)
        self._touched.add(name)
        return list(challenge_findings.see_telemetry(state, linked, self.watch.now_us))

    def exchanges(self) -> list[str]:
        """The commitments of challenges that have begun and not ended, as text."""
        return [text for state in self.states.values() for text in state.exchanges.values()]

    def _observer(self, key: str, node: str) -> tuple[str, NodeState]:
        side = self._sides.get(key, "provider")
        name = _name(node, side)
        if name not in self.states:
            self.states[name] = NodeState(node, side)
        return name, self.states[name]

    def _deadline_us(self, state: NodeState) -> int:
        """When the node falls silent, unless it is heard before; the collector's own stall is not the node's."""
        return max(state.last_received_us or 0, self.watch.awake_us) + state.patience_us

    def _expect(self, name: str, state: NodeState) -> None:
        if name not in self._waiting and not state.silent and state.last_received_us is not None:
            heapq.heappush(self._deadlines, (self._deadline_us(state), name))
            self._waiting.add(name)
