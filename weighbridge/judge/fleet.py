"""The whole fold: log entries in order -> rows and findings, over all nodes and contracts.

Live judgement, a rebuilt ledger and a replay are this one class, fed with the same entries.
"""

import heapq
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from weighbridge.challenge import record
from weighbridge.challenge.record import (
    ChallengeOutcome,
    Commitment,
    payload_kind,
    read_commitment,
    read_outcome,
)
from weighbridge.challenge.telemetry import Telemetry, read_telemetry
from weighbridge.judge import (
    attestation_findings,
    between_sides,
    challenge_findings,
    clock_steps,
    quarantine,
    reachability,
    revoked_key,
    shared_key,
)
from weighbridge.judge.asked_by import AskedBy, asked_by
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.attestation_findings import Chips
from weighbridge.judge.chains import follow_chain, pass_over
from weighbridge.judge.checks import Promise
from weighbridge.judge.clock_steps import ClockStep
from weighbridge.judge.failures import TICK, Failures, subject
from weighbridge.judge.log_findings import AGAINST_THE_LOG, LogCredit
from weighbridge.judge.node import (
    JUDGE,
    Change,
    contracts,
    judge_refusal,
    judge_release,
    judge_replacement,
    judge_report,
    judge_tick,
    under,
)
from weighbridge.judge.node_state import ChainEnd, NodeState, Receipt
from weighbridge.judge.reachability import Reachability
from weighbridge.judge.registry import Registry
from weighbridge.judge.slot_history import names
from weighbridge.judge.snapshot import Key, dump, dumping, restore
from weighbridge.judge.telling import Pack, Telling, as_it_is
from weighbridge.log.entries import (
    Assignment,
    AttestationAnswered,
    AttestationAsked,
    Attested,
    ClockChecked,
    ContractAdded,
    Entry,
    EntryKind,
    EventNotice,
    KeyChanged,
    Notice,
    Refused,
    Removed,
    Tick,
)
from weighbridge.steps import drained
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


OF_GPUS = frozenset(
    {
        EntryKind.CHALLENGE,
        EntryKind.PROOF,
        EntryKind.TELEMETRY,
        EntryKind.ATTESTATION,
        EntryKind.ATTESTED,
    }
)
"""Entries of what GPUs prove by themselves."""

Folding = Generator[None, None, list[Change]]
"""An entry that is being folded: it gives way between steps, and returns what the entry changes."""


@dataclass(slots=True)
class TickWatch:
    """The newest tick, since when ticks came without a stall, the last tick before that, when the registry looked last,
    and the step of the collector's clock that has not ended. `failed`: what the judge failed at that is of no
    observer."""

    now_us: int = 0
    awake_us: int = 0
    asleep_us: int = 0
    looked_us: int = 0
    step: ClockStep | None = None
    failed: Failures = field(default_factory=lambda: Failures(JUDGE))


WATCH, REGISTRY, CREDIT, REACH, NODE = "watch", "registry", "credit", "reach", "node/"
CHIPS = "chips"
WHOLE = frozenset({WATCH, REGISTRY, CREDIT, REACH, CHIPS})
"""The snapshots that are given on every call; those of nodes are given when they changed."""
WITNESS = "witness"
"""The side of a key that speaks for no node: what it says is whether others are reached."""
REPLACED = "gpu_replaced"
"""The event that announces the device that its details call `new`."""


@dataclass(slots=True)
class FleetFold:
    """`states` are by observer: the node's name for its provider's agent, `name@lessee` for the lessee's own, and
    `name@witness` for a witness.

    What fails in judging an observer is caught there (`weighbridge.judge.quarantine`), what is of none is skipped
    (`weighbridge.judge.failures`). `only`: the one observer whose
    reports are judged; None: all.
    """

    stall_us: int = STALL_US
    only: str | None = None
    assignments: Assignments = field(default_factory=Assignments)
    states: dict[str, NodeState] = field(default_factory=dict)
    registry: Registry = field(default_factory=Registry)
    watch: TickWatch = field(default_factory=TickWatch)
    credit: LogCredit = field(default_factory=LogCredit)
    reach: Reachability = field(default_factory=Reachability)
    chips: Chips = field(default_factory=Chips)
    _nodes: dict[str, NodeState] = field(default_factory=dict)
    _speakers: dict[str, tuple[str, str]] = field(default_factory=dict)
    _deadlines: list[tuple[int, str]] = field(default_factory=list)
    _waiting: set[str] = field(default_factory=set)
    _telling: Telling = field(default_factory=Telling)
    _silent: set[str] = field(default_factory=set)

    def fold(self, entry: Entry, report: Report | None = None) -> list[Change]:
        """Judge one entry; `report` is the decoded payload where the caller has it already."""
        return drained(self.folding(entry, report))

    def folding(self, entry: Entry, report: Report | None = None) -> Folding:
        """The same in small steps; between them nothing else may be folded, and no snapshots begun."""
        try:
            if entry.kind is EntryKind.REPORT:
                return (yield from self._reported(entry, report))
            return self._told(entry)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            self.watch.failed.note(subject(entry), entry.index, error, self.watch.now_us)
            return list(self.watch.failed.take())

    def _told(self, entry: Entry) -> list[Change]:
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.TICK:
                return self._tick(read(Tick, payload).wall_us, entry.index)
            case EntryKind.REFUSAL:
                refused = read(Refused, payload)
                return self._judged(refused.key_id, refused.node, entry, self._refusal(refused))
            case EntryKind.CONTRADICTION | EntryKind.RESTORED:
                self.credit.see(read(AGAINST_THE_LOG[entry.kind], payload), self.watch.now_us)
                return self._doubted()
            case EntryKind.CLOCK:
                return self._clock(read(ClockChecked, payload))
            case EntryKind.ASSIGNMENT:
                self.remember(entry)
                return self._assigned(read(Assignment, payload), entry.index)
            case EntryKind.NOTICE:
                self._announced(read(Notice, payload))
                return []
            case EntryKind.KEY:
                self.remember(entry)
                return self._rekeyed(read(KeyChanged, payload), entry.index)
            case kind if kind in OF_GPUS:
                return self._shown(entry)
            case _:
                self.remember(entry)
                return []

    def _shown(self, entry: Entry) -> list[Change]:
        """What GPUs were asked to show, what they showed, and what was concluded from it."""
        payload = entry.envelope.payload
        match entry.kind:
            case EntryKind.PROOF:
                ended = read_outcome(payload)
                return self._judged(key_id(ended.agent_key), ended.node, entry, self._proven(ended))
            case EntryKind.ATTESTATION:
                return self._attesting(payload, entry)
            case EntryKind.ATTESTED:
                done = read(Attested, payload)
                return self._judged(done.key_id, done.node, entry, self._attested(done))
            case _:
                return self._challenged(payload, entry)

    def _judged(self, key: str, node: str, entry: Entry, judging: Iterator[Change]) -> list[Change]:
        """What an entry says of an observer, if it is judged."""
        name, state = self._observer(key, node)
        caught = self._caught(name, entry.index, judging)
        return [] if state.quarantine is not None else drained(caught)

    def _caught(self, name: str, index: int, judging: Iterator[Change | None]) -> Folding:
        """What is judged of an observer; where that fails first, it is in quarantine from this entry on."""
        state = self.states[name]
        self._touch(name)
        changes: list[Change] = []
        try:
            for change in judging:
                if change is None:
                    yield
                else:
                    changes.append(quarantine.storable(change))
            changes += self._between_sides(state.node, changes, index)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001
            if state.quarantine is None:
                now_us, promises = self.watch.now_us, self._promises(state)
                changes += quarantine.begin(state, promises, index, now_us, error)
                self._expect(name, state)
        return changes

    def _between_sides(self, node: str, changes: Sequence[Change], index: int) -> list[Change]:
        """What follows from these changes of one side's judgement for what both sides say of the node."""
        provider, lessee = self.states.get(node), self.states.get(_named(node, "lessee"))
        if provider is None or lessee is None:
            return []
        self._touch(_named(node, "lessee"))
        between_sides.keep(lessee, changes)
        promises, now_us = self._promises(lessee), self.watch.now_us
        return list(between_sides.compare(provider, lessee, promises, now_us, index))

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
                self._speakers[change.key_id] = (change.node, change.side)
            case EntryKind.REMOVED:
                self._pass_over(read(Removed, payload))
            case _:
                pass

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        """One state per node: its provider's observer, or else its lessee's."""
        return MappingProxyType(self._nodes)

    def _hold(self, name: str, state: NodeState) -> NodeState:
        """The observer is in this state from now on."""
        self.states[name] = state
        if state.side == "provider" or (state.side == "lessee" and state.node not in self.states):
            self._nodes[state.node] = state
        return state

    def observers(self, node: str) -> list[NodeState]:
        """The states of a node, one for each side whose agent has spoken of it."""
        names = (node, f"{node}@lessee")
        return [self.states[name] for name in names if name in self.states]

    def snapshots(self) -> dict[str, bytes]:
        """What changed since the last call, by name, to go on from with `restore`."""
        return drained(self.beginning()) | drained(self.telling())

    def beginning(self, pack: Pack = as_it_is) -> Generator[None, None, dict[str, bytes]]:
        """In small steps, between which nothing may be folded: those of what is of no observer. `telling` has the rest,
        as it is now, each packed."""
        self._telling.begin(pack)
        told = {REGISTRY: (yield from dumping(self.registry))}
        whole = {
            WATCH: self.watch,
            CREDIT: self.credit,
            REACH: self.reach,
            CHIPS: self.chips,
        }
        return told | {name: dump(held) for name, held in whole.items()}

    def telling(self) -> Generator[None, None, dict[str, bytes]]:
        """Those of observers that had changed, as they were when it began; between the steps anything may be folded."""
        told = yield from self._telling.rest(self.states)
        return {NODE + name: state for name, state in told.items()}

    def touch(self, names: Iterable[str]) -> None:
        """These snapshots were not kept: give them again."""
        self._telling.again(name.removeprefix(NODE) for name in names if name.startswith(NODE))

    def _touch(self, name: str) -> None:
        """An observer is about to change."""
        self._telling.touch(name, self.states)

    def restore(self, snapshots: Mapping[str, bytes], remembered: Iterable[Entry]) -> None:
        """Go on from snapshots; `remembered` are the REMEMBERED entries folded before them, in order, each after the
        tick at which it was received. Raises SnapshotError."""
        missed = list(self._missed(remembered))
        for name, data in snapshots.items():
            if name.startswith(NODE):
                self._hold(name.removeprefix(NODE), restore(data, NodeState))
        if REGISTRY in snapshots:
            self.registry = restore(snapshots[REGISTRY], Registry)
        if WATCH in snapshots:
            self.watch = restore(snapshots[WATCH], TickWatch)
        if CREDIT in snapshots:
            self.credit = restore(snapshots[CREDIT], LogCredit)
        if REACH in snapshots:
            self.reach = restore(snapshots[REACH], Reachability)
        if CHIPS in snapshots:
            self.chips = restore(snapshots[CHIPS], Chips)
        self._silent = {name for name, state in self.states.items() if state.silent}
        self.watch.failed.judged_by(JUDGE, self.watch.now_us)
        for entry, error in missed:
            self.watch.failed.note(subject(entry), entry.index, error, self.watch.now_us)
        for name, state in self.states.items():
            self._expect(name, state)

    def _missed(self, remembered: Iterable[Entry]) -> Iterator[tuple[Entry, Exception]]:
        """Remembers all that it can; what it cannot, and why."""
        for entry in remembered:
            if entry.kind is EntryKind.TICK:
                now_us = read(Tick, entry.envelope.payload).wall_us
                self.watch.now_us = max(self.watch.now_us, now_us)
            try:
                self.remember(entry)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001
                yield entry, error

    def outdated(self) -> list[str]:
        """The observers in quarantine that another judge failed at."""
        return [
            name
            for name, state in self.states.items()
            if state.quarantine is not None and state.quarantine.judge != JUDGE
        ]

    def anew(self, name: str) -> "FleetFold":
        """The fold that judges an outdated observer again: give it all entries, from the first on."""
        return FleetFold(self.stall_us, name)

    def take_over(self, name: str, alone: "FleetFold", judged: Iterable[Change]) -> list[Change]:
        """Go on with an observer as `alone` has it, which was given all that was folded here, and said `judged`."""
        self._touch(name)
        before = self.states[name]
        laid = list(quarantine.lay(before, self._promises(before), self.watch.now_us))
        after = alone.states.get(name) or NodeState(before.node, before.side)
        self._hold(name, after)
        self._silent -= {name}
        self._silent |= {name} if after.silent else set()
        self._expect(name, after)
        return [*laid, *quarantine.taken_up(before, after, judged, self.watch.now_us)]

    def _tick(self, now_us: int, index: int) -> list[Change]:
        watch = self.watch
        if now_us - watch.now_us > self.stall_us:
            watch.asleep_us, watch.awake_us = watch.now_us or now_us, now_us
        watch.now_us = max(watch.now_us, now_us)
        changes = list(self._overdue(index))
        if now_us - watch.looked_us >= REGISTRY_US:
            watch.looked_us = now_us
            changes += self._looked(index)
            changes += self._witnessed(index)
            changes += self.reach.quieted(now_us)
            changes += self._doubted()
        return changes

    def _looked(self, index: int) -> Iterator[Change]:
        """What the registry misses, contract by contract: where that fails, all others go on."""
        failed, now_us = self.watch.failed, self.watch.now_us
        failed.judged_by(JUDGE, now_us)
        contracts = self.assignments.contracts(now_us)
        yield from self.registry.forgotten(contracts, now_us)
        for name, version in contracts.items():
            try:
                yield from list(self.registry.absences(name, version, self.assignments, now_us))
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001
                failed.note(Key((name, TICK)), index, error, now_us)
        yield from self.registry.quieted(now_us)
        yield from failed.take()

    def _doubted(self) -> list[Change]:
        """What speaks against the log itself is for every contract, those that come later too."""
        contracts = self.assignments.contracts(self.watch.now_us) if self.credit.doubts else ()
        return list(self.credit.findings(sorted(contracts)))

    def _witnessed(self, index: int) -> Iterator[Change]:
        """What witnesses say now of those who are silent."""
        for name in sorted(self._silent):
            state = self.states[name]
            promises = self._promises(state)
            watched = any(promise.witnesses for promise in promises) or state.cuts
            if watched and state.quarantine is None:
                now_us = self.watch.now_us
                looking = reachability.look(state, promises, self.reach, now_us, index)
                yield from drained(self._caught(name, index, looking))

    def _overdue(self, index: int) -> Iterator[Change]:
        now_us = self.watch.now_us
        while self._deadlines and self._deadlines[0][0] <= now_us:
            _, name = heapq.heappop(self._deadlines)
            state = self.states[name]
            self._waiting.discard(name)
            if self._deadline_us(state) > now_us:
                self._expect(name, state)
            else:
                yield from drained(self._caught(name, index, self._passed(name, state)))

    def _passed(self, name: str, state: NodeState) -> Iterator[Change]:
        """So much time passed that the observer is silent; or, where it is not judged, that this is written down."""
        promises = self._promises(state)
        if state.quarantine is None:
            yield from judge_tick(state, promises, self.watch.now_us)
            self._silent.add(name)
        else:
            yield from quarantine.lay(state, promises, self.watch.now_us)
            self._expect(name, state)

    def _reported(self, entry: Entry, report: Report | None) -> Folding:
        key = entry.envelope.key_id
        node, side = self._speakers.get(key, ("", "provider"))
        if not node:
            report = decode(entry.envelope.payload) if report is None else report
            node = report.node
        if self.only not in (None, _named(node, side)):
            return []
        name, state = self._observer(key, node)
        if state.quarantine is None:
            judging = self._report(state, entry, report)
            return (yield from self._caught(name, entry.index, judging))
        self._touch(name)
        state.last_received_us = self.watch.now_us
        self.registry.hear(node, self._promises(state))
        return []

    def _report(
        self, state: NodeState, entry: Entry, told: Report | None
    ) -> Iterator[Change | None]:
        report = decode(entry.envelope.payload) if told is None else told
        promises = self._promises(state)
        end = ChainEnd(entry.envelope.key_id, report.seq, digest(entry.envelope.payload))
        yield from follow_chain(state, contracts(promises), report, end, self.watch.now_us)
        watch, now_us = self.watch, self.watch.now_us
        receipt = Receipt(now_us, entry.index, watch.asleep_us, watch.awake_us)
        if state.side == WITNESS:
            promised = self.assignments.promises
            yield from self.reach.hear(state.node, end.key_id, report, receipt, promised)
            return
        if watch.step is not None:
            yield from clock_steps.mark(watch.step, contracts(promises))
        yield from judge_report(state, promises, report, receipt)
        self._silent.discard(_named(state.node, state.side))
        key = entry.envelope.key_id
        heard = shared_key.Heard(report, key, now_us, entry.index, under(promises, now_us))
        yield from shared_key.hear(state, heard)
        challenge_findings.heard(state, entry.index, len(entry.envelope.payload))
        self._expect(_named(state.node, state.side), state)
        yield from self.registry.see(state, self.assignments, self.watch.now_us, entry.index)

    def _clock(self, checked: ClockChecked) -> list[Change]:
        now_us, step = self.watch.now_us, self.watch.step
        if checked.action == "stepped":
            self.watch.step = step or clock_steps.step_of(checked, now_us)
            return []
        self.watch.step = None
        return [] if step is None else list(clock_steps.end(step, checked, now_us))

    def _rekeyed(self, change: KeyChanged, entry: int) -> list[Change]:
        """A key that is revoked ends the doubt about who speaks with it, and what it said may count no more."""
        name = _named(change.node, change.side)
        state = self.states.get(name)
        if state is None or change.action != "revoked":
            return []
        now_us = self.watch.now_us
        held = contracts(self.assignments.promises(state.node))
        revoked = shared_key.revoke(state, change.key_id, now_us, entry)
        voided = revoked_key.void(state, held, change, now_us, entry)
        silenced = self.reach.revoke(change, now_us, entry)
        return drained(self._caught(name, entry, itertools.chain(revoked, voided, silenced)))

    def _refusal(self, refused: Refused) -> Iterator[Change]:
        _, state = self._observer(refused.key_id, refused.node)
        promises = self._promises(state)
        yield from judge_refusal(state, promises, refused, self.watch.now_us)

    def _assigned(self, assignment: Assignment, index: int) -> list[Change]:
        """A node that is released was weighed up to its last sample, and no finding stays open for it."""
        changes: list[Change] = []
        for state in self.observers(assignment.node) if assignment.releases else ():
            released = self._released(state, assignment.contract)
            changes += drained(self._caught(_named(state.node, state.side), index, released))
        return changes

    def _released(self, state: NodeState, contract: str) -> Iterator[Change]:
        yield from quarantine.release(state, contract, self.watch.now_us)
        yield from judge_release(state, contract, self.watch.now_us)

    def _announced(self, notice: Notice) -> None:
        """A device that was announced is no stranger from the next sample on."""
        said = notice.said
        if not (isinstance(said, EventNotice) and said.event == REPLACED and "new" in said.details):
            return
        for node in self.assignments.nodes(notice.contract):
            if names(said.unit, node):
                for state in self.observers(node):
                    self._touch(_named(node, state.side))
                    judge_replacement(state, notice.contract, said.details["new"])

    def _challenged(self, payload: bytes, entry: Entry) -> list[Change]:
        """What lies between a commitment and its outcome is for whoever checks it."""
        match payload_kind(payload):
            case record.COMMITMENT:
                begun = read_commitment(payload)
                return self._judged(key_id(begun.agent_key), begun.node, entry, self._begun(begun))
            case record.TELEMETRY:
                linked = read_telemetry(payload)
                told = self._linked(linked)
                return self._judged(key_id(linked.agent_key), linked.node, entry, told)
            case _:
                return []

    def _lessee(self, node: str) -> NodeState | None:
        """What the lessee's agent shows of a node, which changes with what is folded now."""
        name = _named(node, "lessee")
        if name in self.states:
            self._touch(name)
        return self.states.get(name)

    def _begun(self, begun: Commitment) -> Iterator[Change]:
        _, state = self._observer(key_id(begun.agent_key), begun.node)
        challenge_findings.begin_exchange(state, self._lessee(begun.node), begun)
        yield from ()

    def _proven(self, ended: ChallengeOutcome) -> Iterator[Change]:
        _, state = self._observer(key_id(ended.agent_key), ended.node)
        lessee, asked = self._lessee(ended.node), self._asked_by(state, ended)
        yield from challenge_findings.end_exchange(state, lessee, ended, self.watch.now_us, asked)
        if asked.counts:
            self.registry.prove(state)

    def _asked_by(self, state: NodeState, ended: ChallengeOutcome) -> AskedBy:
        """By what a series was asked for, in the version under which it was committed to."""
        now_us, awaited = self.watch.now_us, state.unlinked.get(ended.challenge)
        began_us = ended.began_us if awaited is None else awaited.start.begun_us
        named = (ended.contract, ended.node)
        now = self.assignments.leased(*named, now_us)
        return asked_by(self.assignments.leased(*named, began_us or now_us), now or (), ended)

    def _linked(self, linked: Telemetry) -> Iterator[Change]:
        _, state = self._observer(key_id(linked.agent_key), linked.node)
        lessee, awaited = self._lessee(linked.node), state.unlinked.get(linked.challenge)
        if awaited is not None and awaited.outcome:
            asked = self._asked_by(state, read_outcome(awaited.outcome.encode()))
            yield from challenge_findings.see_telemetry(state, linked, self.watch.now_us, asked)
        challenge_findings.forget_telemetry(state, lessee, linked.challenge)

    def _attesting(self, payload: bytes, entry: Entry) -> list[Change]:
        """A question, by the collector, or an answer, by the agent that was asked."""
        key = entry.envelope.key_id
        if key in self._speakers:
            told = read(AttestationAnswered, payload)
            return self._judged(key, told.node, entry, self._answered(told, key))
        asked = read(AttestationAsked, payload)
        return self._judged(asked.key_id, asked.node, entry, self._asked(asked))

    def _asked(self, asked: AttestationAsked) -> Iterator[Change]:
        _, state = self._observer(asked.key_id, asked.node)
        attestation_findings.ask(state, asked)
        yield from ()

    def _answered(self, told: AttestationAnswered, key: str) -> Iterator[Change]:
        _, state = self._observer(key, told.node)
        attestation_findings.answer(state, told, key, self.watch.now_us)
        yield from ()

    def _attested(self, ended: Attested) -> Iterator[Change]:
        name, _ = self._observer(ended.key_id, ended.node)
        known = self.chips.bearers.get(ended.chip or "")
        if known is not None:
            self._touch(known.observer)
        now_us = self.watch.now_us
        yield from attestation_findings.conclude(self.states, name, self.chips, ended, now_us)

    def exchanges(self) -> list[str]:
        """The commitments of challenges that have begun and not ended, as text."""
        return [text for state in self.states.values() for text in state.exchanges.values()]

    def unended(self) -> list[tuple[str, str]]:
        """The newest commitment and outcome of each series of which another attempt is due, as text."""
        return [
            (series.begun, series.ended)
            for state in self.states.values()
            for series in state.unended.values()
        ]

    def _pass_over(self, left: Removed) -> None:
        """A report that has left the store tells nothing, but that its chain was whole there."""
        name, state = self._observer(left.key_id, left.node)
        end = ChainEnd(left.key_id, left.seq, left.payload_hash)
        self._touch(name)
        pass_over(state, f"{left.chain}/{left.stream}", end)

    def _promises(self, state: NodeState) -> Sequence[Promise]:
        """What is promised of an observer's node; nothing of a witness."""
        return () if state.side == WITNESS else self.assignments.promises(state.node)

    def _observer(self, key: str, node: str) -> tuple[str, NodeState]:
        _, side = self._speakers.get(key, ("", "provider"))
        name = _named(node, side)
        state = self.states.get(name)
        return name, self._hold(name, NodeState(node, side)) if state is None else state

    def _deadline_us(self, state: NodeState) -> int:
        """When the node falls silent, unless it is heard before; the collector's own stall is not the node's."""
        if state.quarantine is not None:
            return state.quarantine.known_us + quarantine.LAID_US
        return max(state.last_received_us or 0, self.watch.awake_us) + state.patience_us

    def _expect(self, name: str, state: NodeState) -> None:
        heard = not state.silent and state.last_received_us is not None
        if name not in self._waiting and (heard or state.quarantine is not None):
            heapq.heappush(self._deadlines, (self._deadline_us(state), name))
            self._waiting.add(name)


def _named(node: str, side: str) -> str:
    """An observer's name."""
    return node if side == "provider" else f"{node}@{side}"
