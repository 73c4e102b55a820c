"""The fold that judges one node: (state, log entry) -> the rows and findings that it changes.

The interval ledger is a function of the set of entries: each chain's samples are judged in the chain's own order and
become half-open intervals that belong to that chain alone. Only when the ledger is read are intervals of several chains
combined, and is unknown what no interval covers. Findings are a function of the order of the log.

A sample covers the time up to the next sample of its chain if that comes within the contract's `max_gap`; the rest is
unknown. A node's time is placed by CLOCK_BOOTTIME against the wall clock of the first report of a boot whose clock was
synchronized best, so a stepped clock moves nothing. Time enters only as a tick: `received_us` is that before a report.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from weighbridge.contract.condition import JOINED
from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.checks.ports import asks_for_ports
from weighbridge.judge.findings import (
    answered,
    close_finding,
    is_open,
    noted,
    open_finding,
    unanswered,
)
from weighbridge.judge.gpu_events import is_fatal, speaks_alone, words
from weighbridge.judge.hour_series import note, note_throttling
from weighbridge.judge.latest_readings import (
    INVENTORY,
    LatestReadings,
    Reasons,
    forget_xids,
    inherit,
    lose_processes,
    see_event,
    see_host,
    see_inventory,
    see_processes,
    see_sample,
)
from weighbridge.judge.ledger import (
    HOUR_US,
    LOG_HOLE,
    NEVER_SHOWN,
    SILENT,
    Finding,
    Row,
    State,
    Use,
)
from weighbridge.judge.links_under_load import LinkMeter
from weighbridge.judge.node_state import ChainState, NodeState, Receipt, Track
from weighbridge.judge.track import (
    EVERYTHING,
    Writer,
    answering,
    begin,
    cut_rows,
    fill,
    flush,
    full_second,
    judge,
    states,
    tally,
    turn_hour,
    unbroken,
)
from weighbridge.judge.two_sides import OF_LESSEE
from weighbridge.judge.usage import LOADS, THIN, end, is_thin, take_in
from weighbridge.log.entries import Refused
from weighbridge.verdict import Verdict
from weighbridge.wire.bounds import bounding
from weighbridge.wire.report import Block, Event, EventKind, Report, ReportClocks
from weighbridge.wire.visible import visible

JUDGE = "judge/2"
"""The version of all that makes rows and findings of entries: this fold, the checks, the registry. It changes with any
change of a row or finding for the same entries."""

Change = Row | Finding | Use

CHAINS_KEPT = 4
LAGS_KEPT = 8
ANNOUNCED_KEPT = 1024
"""Of one contract, the devices that were announced last, and those that fill slots."""

STEP_ANSWERS = 64
"""So many devices are spoken of in one step."""

STEADY_US = 1_000_000
"""Lags of live reports differ by less; those of a spool that is being emptied do not."""

QUIET = tuple(
    f"{kind}_by_{side}"
    for kind in (EventKind.PAUSED, EventKind.AGENT_STOPPED)
    for side in ("provider", "lessee")
)
"""Codes of a silence that the node announced, and whose agent did."""

NOTED: dict[EventKind, Severity] = {
    EventKind.IDENTITY_CHANGED: Severity.WARNING,
    EventKind.DRIVER_CHANGED: Severity.INFO,
    EventKind.NVML_STALLED: Severity.WARNING,
    EventKind.NVML_CRASHED: Severity.WARNING,
    EventKind.CALL_QUARANTINED: Severity.WARNING,
    EventKind.CLOCK_STEPPED: Severity.WARNING,
    EventKind.LOG_FORKED: Severity.ERROR,
    EventKind.LOG_SHRANK: Severity.ERROR,
    EventKind.KERNEL_LOG_OVERRUN: Severity.WARNING,
}
"""Events that stand in the findings by themselves."""

STALLS = frozenset(
    {EventKind.NVML_STALLED, EventKind.NVML_CRASHED, EventKind.NVML_RESTARTED}
    | {EventKind.CALL_QUARANTINED}
)
"""Events of a driver that did not answer, so that samples came late or not at all."""

AWAY = "said to be taken in time, heard late: the network or the collector was away"
STALLED = "said to be taken in time, heard late: a call of the driver did not answer meanwhile"
"""What is observed of samples that are late."""

WATCHED = EVERYTHING | LOADS
"""What a sample is compared in with the one before: what checks judge by, and what use is summed by."""

AHEAD_US = 2_000_000
"""A clock may be so far ahead of the collector's and still be believed."""

FIRST_US = 3_600_000_000
"""How many microseconds a node's first report may cover."""

CLOCK_RANK: dict[bool | None, int] = {False: 0, None: 1, True: 2}


def judge_report(
    state: NodeState, promises: Sequence[Promise], report: Report, receipt: Receipt
) -> Iterator[Change | None]:
    """Fold one accepted report of the node. It gives None between two steps."""
    told = yield from bounding(report)
    yield from _ReportFold(state, promises, told, receipt).changes()


def judge_tick(state: NodeState, promises: Sequence[Promise], now_us: int) -> list[Change]:
    """Fold a tick that finds the node unheard for `max_gap`: it is silent from its last sample on."""
    chain = state.newest
    if state.silent or chain is None or chain.last_us is None:
        return []
    state.silent = True
    changes: list[Change] = []
    for kept in state.chains.values():
        changes += flush(state, kept, now_us)
    code = chain.quiet_cause if chain.quiet_cause in QUIET else "node_silent"
    for contract in contracts(promises):
        changes.append(open_finding(state, unheard(state, contract, code, chain.last_us)))
    return changes


def end_cut(state: NodeState, contract: str, now_us: int) -> Iterator[Change]:
    """What witnesses said of this silence is over: it is written down, and its finding closes."""
    cut = state.cuts.pop(contract, None)
    if cut is not None:
        yield from cut_rows(state, contract, cut, now_us)
        yield from close_finding(state, contract, cut.cause, "", now_us)


def unheard(state: NodeState, contract: str, code: str, since_us: int) -> Finding:
    """The node is silent, and no witness says why."""
    return noted(
        state,
        contract,
        code,
        since_us,
        expected="a sample within max_gap",
        observed="none; whether the node was reachable only a witness can say",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
    )


def judge_refusal(
    state: NodeState, promises: Sequence[Promise], refused: Refused, received_us: int
) -> list[Change]:
    """Fold a validly signed report that ingest refused."""
    return [
        noted(
            state,
            contract,
            "report_refused",
            received_us,
            expected="one unbroken sequence of reports",
            observed=visible(f"{refused.code}: {refused.detail}"),
            severity=Severity.WARNING,
            until_us=received_us,
        )
        for contract in contracts(promises)
    ]


def judge_release(state: NodeState, contract: str, now_us: int) -> list[Change]:
    """Fold that a contract holds the node no more: what is known of it is written, and its findings close."""
    changes: list[Change] = []
    for chain in state.chains.values():
        track = chain.tracks.pop(contract, None)
        if track is not None and chain.last_us is not None:
            writer = Writer(contract, state.node, chain.name, now_us, chain.last_entry)
            changes += writer.close(track, chain.last_us)
    cut = state.cuts.pop(contract, None)
    if cut is not None:
        changes += cut_rows(state, contract, cut, now_us)
    state.own.pop(contract, None)
    state.filled.pop(contract, None)
    state.announced.pop(contract, None)
    return [*changes, *_closed(state, contract, now_us)]


def _closed(state: NodeState, contract: str, at_us: int, but: str = "") -> Iterator[Finding]:
    for finding in list(state.open.values()):
        if finding.contract == contract and finding.code != but:
            yield from close_finding(state, contract, finding.code, finding.device, at_us)


def strangers(
    state: NodeState, promise: Promise, slots: list[str], view: LatestReadings
) -> list[str]:
    """The devices in a promise's slots that are not its own; those that an assignment names are.

    The first as many as are promised are its own.
    """
    if promise.devices is not None:
        return []
    own = state.own.setdefault(promise.contract, [])
    filled = list(filter(None, fill(slots, [device.uuid for device in promise.assigned(view)])))
    free = max(0, promise.resource.per_node - len(own))
    known = state.announced.get(promise.contract, ())
    own += [device for device in filled if device not in own and device not in known][:free]
    return [device for device in filled if device not in own and device not in known]


def judge_replacement(state: NodeState, contract: str, new: str) -> None:
    """Fold that a party announced a device in the place of another."""
    known = state.announced.setdefault(contract, [])
    if new in known:
        return
    known.append(new)
    if len(known) > ANNOUNCED_KEPT:
        filling = {device for chain in state.chains.values() for device in _slots(chain, contract)}
        known.remove(next((one for one in known if one not in filling), known[0]))
    for chain in state.chains.values():
        chain.pending.add(INVENTORY)


def _never_shown(
    state: NodeState, contract: str, found: Sequence[tuple[str, State, str]]
) -> list[tuple[str, State, str]]:
    """The states of slots, where it is said of those that are empty and always were that they were.

    The first that is vacant is filled first, so all that ever were filled come before those that never were.
    """
    showing = [slot for slot, (device, _, _) in enumerate(found, 1) if device]
    filled = state.filled[contract] = max([state.filled.get(contract, 0), *showing])
    return [
        (device, said, f"{cause}{JOINED}{NEVER_SHOWN}")
        if slot >= filled and said is State.DOWN
        else (device, said, cause)
        for slot, (device, said, cause) in enumerate(found)
    ]


def _slots(chain: ChainState, contract: str) -> Sequence[str]:
    track = chain.tracks.get(contract)
    return () if track is None else track.slots


def contracts(promises: Iterable[Promise]) -> list[str]:
    """The contracts that the node is assigned to; one without a name where none does, so that nothing goes unsaid."""
    return sorted({promise.contract for promise in promises}) or [""]


def under(promises: Sequence[Promise], now_us: int) -> list[str]:
    """The contracts of these that have not ended; one without a name where there never was any."""
    running = [promise for promise in promises if now_us < promise.until_us]
    return contracts(running) if running or not promises else []


def chain_name(report: Report) -> str:
    """What tells this sequence of reports from all others of the node's same side."""
    return f"{report.chain}/{report.stream}"


def anchor(chain: ChainState, boot: str, clock: ReportClocks, received_us: int) -> bool:
    """Anchor CLOCK_BOOTTIME to UTC for a boot: by its first report, and again only when its clock becomes better.

    No report was made after it was received: a clock that says so anchors nothing, and the receipt stands in for it.
    Returns whether the boot is another one than before.
    """
    rank = CLOCK_RANK[clock.synchronized]
    rebooted = boot != chain.boot
    if rebooted or rank > chain.clock_rank:
        chain.boot, chain.clock_rank = boot, rank
        ahead = clock.wall_us > received_us + AHEAD_US
        chain.offset_us = (received_us if ahead else clock.wall_us) - clock.boottime_us
    return rebooted


@lru_cache(maxsize=64)
def _among(
    watched: frozenset[str], names: tuple[str, ...], before: tuple[str, ...]
) -> frozenset[str]:
    """Nearly all reports tell of the same readings."""
    return watched.intersection((*names, *before))


class _ReportFold:
    """The fold of one report into the node's state. Its samples, events and gaps are taken in the order of the node's
    clock."""

    def __init__(
        self,
        state: NodeState,
        promises: Sequence[Promise],
        report: Report,
        receipt: Receipt,
    ) -> None:
        self._state, self._promises, self._report = state, promises, report
        self._received_us, self._entry = receipt.received_us, receipt.entry
        self._in_time_us = [receipt.in_time_from_us(one.heard_within_us) for one in promises]
        self._name = chain_name(report) + (OF_LESSEE if state.side == "lessee" else "")
        self._chain = state.chains.get(self._name)
        self._reasons = Reasons()
        self._compared: dict[str, tuple[Block, frozenset[str]]] = {}

    def changes(self) -> Iterator[Change | None]:
        """The rows and findings that the report changes, and None after each sample and event."""
        report = self._report
        if self._chain is None:
            yield from self._begin_chain()
        chain = self._chain = self._state.chains[self._name]
        if full_second(self._received_us) != full_second(chain.received_us):
            chain.before_us, chain.before_entry = chain.last_us, chain.last_entry
        chain.received_us = self._received_us
        yield from self._arrival(chain)
        if report.inventory is not None:
            chain.pending |= see_inventory(chain.view, report.inventory)
        if report.host is not None and any(map(asks_for_ports, self._promises)):
            chain.pending |= see_host(chain.view, report.host)
        if report.processes is not None:
            chain.pending |= see_processes(chain.view, report.processes)
        elif any(block.tier == "fast" for block in report.blocks):
            chain.pending |= lose_processes(chain.view)
        pieces = self._pieces(chain)
        for at_us, piece, sample in pieces:
            if isinstance(piece, Event):
                yield from self._event(chain, piece, at_us)
            elif piece.tier == "fast":
                yield from self._sample(chain, piece, sample, at_us)
            else:
                chain.pending |= self._see(chain, piece, sample, at_us)
            yield None
        yield from self._lateness(pieces[0][0] if pieces else self._received_us)

    def _begin_chain(self) -> Iterator[Change]:
        state, name = self._state, self._name
        if state.chains:
            yield from self._note("chain_started", "one chain of reports", f"a new chain {name}")
        begun = self._begun(name)
        while len(state.chains) >= CHAINS_KEPT:
            oldest = next(iter(state.chains))
            yield from flush(state, state.chains.pop(oldest), self._received_us)
        state.chains[name] = begun

    def _begun(self, name: str) -> ChainState:
        """Devices keep their slots, and what was shown of this boot holds."""
        chain, before = ChainState(name, self._received_us), list(self._state.chains.values())
        if before:
            tracks = before[-1].tracks.items()
            shown = {contract: list(track.slots) for contract, track in tracks}
            chain.slots_before = before[-1].slots_before | shown
        of_boot = [one.view for one in before if one.boot == self._report.boot]
        if of_boot:
            inherit(chain.view, of_boot[-1])
        return chain

    def _arrival(self, chain: ChainState) -> Iterator[Change]:
        """The node is heard: silence ends, and what the report says of itself is noted."""
        state, report = self._state, self._report
        known_boot = chain.boot
        if anchor(chain, report.boot, report.clock, self._received_us) and known_boot:
            chain.pending |= forget_xids(chain.view, None)
            chain.view.links = LinkMeter()
            chain.quiet_cause = chain.quiet_cause or "node_rebooted"
            yield from self._note("node_rebooted", "no reboot", f"boot {report.boot}")
        for gap in report.gaps:
            lost = f"reports {gap.first_seq} to {gap.last_seq} are gone: {gap.reason}"
            yield from self._note("chain_gap", "every report", lost, Severity.WARNING)
        yield from self._foretold()
        self._keep_lag()
        state.patience_us = self._patience_us()
        state.agent_version, state.last_received_us = report.agent, self._received_us
        yield from self._skew()
        if state.silent:
            state.silent = False
            yield from self._end_silence()

    def _foretold(self) -> Iterator[Change]:
        """A sample that lies after the report's own clock was seen by nobody. It is not judged."""
        made_us = self._report.clock.boottime_us
        ahead_us = (block.boottime_us[-1] - made_us for block in self._report.blocks)
        furthest_us = max(ahead_us, default=0)
        if furthest_us > 0:
            observed = f"up to {furthest_us} us after the report was made"
            yield from self._note("sample_foretold", "what was seen", observed, Severity.WARNING)

    def _keep_lag(self) -> None:
        """Of reports that came together the least delayed counts: a spool that is emptied is not a steady lag."""
        state, lag_us = self._state, self._report.clock.wall_us - self._received_us
        if state.lags_us and state.last_received_us == self._received_us:
            lag_us = max(lag_us, state.lags_us.pop())
        state.lags_us = [*state.lags_us, lag_us][-LAGS_KEPT:]

    def _patience_us(self) -> int:
        """How long the node may go unheard: the shortest max_gap, and the time that one of its reports covers.

        It covers no more than the time since the report before, or what was granted then: what a report says of itself
        puts its silence off by no more than its own pace has shown.
        """
        state, report = self._state, self._report
        own_us = 3 * report.interval_ms * 1000
        gap_us = min((promise.max_gap_us for promise in self._promises), default=own_us)
        if state.last_received_us is None:
            shown_us = FIRST_US
        else:
            passed_us = self._received_us - state.last_received_us
            shown_us = max(passed_us, state.patience_us - gap_us)
        return gap_us + min(self._covered_us(gap_us), shown_us)

    def _covered_us(self, gap_us: int) -> int:
        made_us = self._report.clock.boottime_us
        spans = (
            sum(
                min(later - earlier, gap_us)
                for earlier, later in pairwise(block.boottime_us)
                if later <= made_us
            )
            for block in self._report.blocks
        )
        return max(spans, default=0)

    def _end_silence(self) -> Iterator[Change]:
        for contract in contracts(self._promises):
            for code in ("node_silent", *QUIET):
                yield from close_finding(self._state, contract, code, "", self._received_us)
        for contract in list(self._state.cuts):
            yield from end_cut(self._state, contract, self._received_us)

    def _skew(self) -> Iterator[Change]:
        """A clock ahead is ahead; one that seems behind is so only if its reports come live, at a steady lag."""
        lags = self._state.lags_us
        steady = len(lags) == LAGS_KEPT and max(lags) - min(lags) < STEADY_US
        for promise in self._promises:
            limit = promise.max_skew_us
            skewed = max(lags) > limit or (steady and max(lags) < -limit)
            yield from self._while(
                promise.contract,
                "clock_skew",
                skewed,
                self._received_us,
                expected=f"within {limit} us of the collector's clock",
                observed=f"{max(lags)} us ahead",
                severity=Severity.WARNING,
            )

    def _pieces(self, chain: ChainState) -> list[tuple[int, Event | Block, int]]:
        report, offset, made_us = self._report, chain.offset_us, self._report.clock.boottime_us
        samples: list[tuple[int, int, Event | Block, int]] = [
            (offset + at, 1 if block.tier == "slow" else 2, block, sample)
            for block in report.blocks
            for sample, at in enumerate(block.boottime_us)
            if at <= made_us
        ]
        events: list[tuple[int, int, Event | Block, int]] = [
            (offset + event.boottime_us, 0, event, 0) for event in report.events
        ]
        ordered = sorted([*events, *samples], key=lambda piece: piece[:2])
        return [(at, piece, sample) for at, _, piece, sample in ordered]

    def _event(self, chain: ChainState, event: Event, at_us: int) -> Iterator[Change]:
        if event.kind in NOTED:
            detail = f"{event.device or 'the node'}: {event.detail}"
            if event.count > 1:
                detail = f"{detail} ({event.count} times)"
            yield from self._note(event.kind, "no such event", detail, NOTED[event.kind], at_us)
        if speaks_alone(event):
            yield from self._gpu_event(event, at_us)
        chain.pending |= see_event(chain.view, event)
        match event.kind:
            case EventKind.PAUSED | EventKind.AGENT_STOPPED:
                chain.quiet_cause = f"{event.kind}_by_{self._state.side}"
            case EventKind.AGENT_STARTED:
                chain.quiet_cause = chain.quiet_cause or "agent_restarted"
            case kind if kind in STALLS:
                chain.quiet_cause = chain.quiet_cause or EventKind.NVML_STALLED.value
                chain.stalled_us = max(at_us, chain.stalled_us)
            case _:
                pass

    def _gpu_event(self, event: Event, at_us: int) -> Iterator[Finding]:
        """It moves no availability: what the driver calls fatal is a preview, and no XID bears it out."""
        if is_fatal(event):
            yield from self._note(
                "gpu_event_fatal", "no such event", words(event), Severity.ERROR, at_us
            )
        else:
            yield from self._note("gpu_event", "no such event", words(event), at_us=at_us)

    def _see(self, chain: ChainState, block: Block, sample: int, at_us: int) -> set[str]:
        reasons = self._reasons.at(block, sample)
        return see_sample(
            chain.view, block, sample, at_us, reasons, self._watched(chain.view, block)
        )

    def _watched(self, view: LatestReadings, block: Block) -> frozenset[str]:
        """What of all that is watched a sample of the block, or the one before, can have."""
        of_block, names = self._compared.get(block.tier, (None, WATCHED))
        if of_block is not block:
            known = view.tiers.get(block.tier)
            before = block.readings if known is None else known.rows
            names = _among(WATCHED, tuple(block.readings), tuple(before))
            self._compared[block.tier] = block, names
        return names

    def _sample(
        self, chain: ChainState, block: Block, sample: int, at_us: int
    ) -> Iterator[Change | None]:
        for promise, in_time_us in zip(self._promises, self._in_time_us, strict=True):
            yield from self._reach(chain, promise, at_us, at_us < in_time_us)
        chain.pending |= self._see(chain, block, sample, at_us)
        for promise in self._promises:
            track = chain.tracks.get(promise.contract)
            if track is not None and track.version == promise.version:
                tally(track, promise, chain.view)
                if not chain.pending.isdisjoint(EVERYTHING):
                    yield from self._judge(chain, promise, track, at_us, chain.pending)
                yield from self._use(chain, promise, track, at_us)
        chain.pending = set()
        chain.last_us, chain.last_entry = at_us, self._entry
        chain.quiet_cause = ""
        self._state.last_sample_us = max(self._state.last_sample_us or 0, at_us)

    def _reach(
        self, chain: ChainState, promise: Promise, at_us: int, late: bool
    ) -> Iterator[Change | None]:
        """Carry the promise's track from the last sample to this one, or begin or end it on the way.

        It does not begin before the chain has shown an inventory: which devices there are is unknown, not none. Nor
        before the chain was first heard: what a new chain tells of the time before fills nothing.
        """
        last_us, track = chain.last_us, chain.tracks.get(promise.contract)
        bridged = last_us is not None and 0 < at_us - last_us <= promise.max_gap_us
        if track is not None and track.version == promise.version and last_us is not None:
            if track.late is not late:
                yield from self._writer(chain, promise, chain.last_entry).cover(track, last_us)
                track.late = late
            if bridged and at_us < promise.until_us and unbroken(track, last_us, at_us):
                return
            yield from self._carry(chain, promise, track, at_us if bridged else last_us, at_us)
        from_us = max(promise.from_us, chain.heard_us)
        within = from_us <= at_us < promise.until_us
        if promise.contract in chain.tracks or not within or not chain.view.enumerated:
            return
        start_us = max(from_us, last_us) if bridged and last_us is not None else at_us
        track = chain.tracks[promise.contract] = begin(promise, chain, start_us, self._entry)
        track.late = late
        chain.pending |= EVERYTHING
        if start_us < at_us:
            yield from self._judge(chain, promise, track, start_us, chain.pending)

    def _carry(
        self, chain: ChainState, promise: Promise, track: Track, known_us: int, at_us: int
    ) -> Iterator[Change]:
        """The track is known up to `known_us`, and the time from there to this sample is not."""
        seen = self._entry if known_us == at_us else chain.last_entry
        writer = self._writer(chain, promise, seen)
        until_us = min(at_us, promise.until_us)
        whole = known_us == at_us < promise.until_us
        edge_us = at_us // HOUR_US * HOUR_US if whole else min(known_us, until_us)
        yield from writer.cover(track, edge_us)
        if known_us < at_us:
            writer = self._writer(chain, promise, self._entry)
            span, cause = (edge_us, until_us), chain.quiet_cause or SILENT
            yield from writer.gap(track, span, cause, chain.last_entry)
        if known_us != at_us:
            for segment in track.segments:
                segment.start_us, segment.entry = at_us, self._entry
        chain.pending |= turn_hour(track, chain.view, chain.last_us or at_us, at_us)
        if at_us >= promise.until_us:
            sums = [] if track.meter.sums is None else [track.meter.sums]
            if known_us == at_us and chain.last_us is not None:
                sums = end(track.meter, chain.last_us, promise.until_us, promise.interval_us)
            yield from map(writer.use, sums)
            chain.slots_before[promise.contract] = chain.tracks.pop(promise.contract).slots
            yield from self._part(promise.contract, promise.until_us)

    def _part(self, contract: str, at_us: int) -> Iterator[Finding]:
        """A version of a contract ended: what was open under it closes, and the next version speaks for itself.

        No version mends a hole in the log.
        """
        yield from _closed(self._state, contract, at_us, but=LOG_HOLE)

    def _judge(
        self, chain: ChainState, promise: Promise, track: Track, at_us: int, changed: set[str]
    ) -> Iterator[Change | None]:
        track.strangers = strangers(self._state, promise, track.slots, chain.view)
        given = yield from judge(track, promise, chain.view, changed)
        if not given:
            return
        spoken = {code: {answer.device for answer in given[code]} for code in given}
        gone = unanswered(self._state, promise.contract, spoken)
        for code, answers in given.items():
            for number, answer in enumerate(answers):
                yield from answered(self._state, promise.contract, code, answer, at_us)
                if number % STEP_ANSWERS == STEP_ANSWERS - 1:
                    yield None
            for device in gone.get(code, ()):
                yield from close_finding(self._state, promise.contract, code, device, at_us)
            yield None
        writer = self._writer(chain, promise, self._entry)
        found = states(track, promise, chain.view)
        if self._state.side == "lessee":
            found = _never_shown(self._state, promise.contract, found)
        yield from writer.restate(track, found, at_us)

    def _use(
        self, chain: ChainState, promise: Promise, track: Track, at_us: int
    ) -> Iterator[Change]:
        """How much the devices were used since the last sample, from the start of the track on."""
        slots, last_us = answering(track), chain.last_us
        if promise.resource.floors.throttling_share_max is not None:
            passed_us = at_us - last_us if last_us is not None else 0
            bridged_us = passed_us if passed_us <= promise.max_gap_us else 0
            floor = promise.resource.floors.power_limit_milliwatts
            note_throttling(track.series, chain.view, slots, bridged_us, floor)
        note(track.series, chain.view, slots, last_us, at_us, chain.pending)
        if last_us is not None and not 0 < at_us - last_us <= promise.max_gap_us:
            last_us = None
        over = take_in(
            track.meter,
            chain.view,
            slots,
            last_us,
            at_us,
            chain.pending,
            promise.interval_us,
        )
        for sums in over:
            use = self._writer(chain, promise, self._entry).use(sums)
            yield use
            yield from self._while(
                promise.contract,
                THIN,
                is_thin(use, promise.least_coverage),
                use.from_us,
                expected=f"a sample each {promise.interval_us} us",
                observed="fewer in this hour: the time between rests on what was seen around it",
                severity=Severity.WARNING,
            )

    def _writer(self, chain: ChainState, promise: Promise, entry: int | None) -> Writer:
        node, received_us = self._state.node, self._received_us
        return Writer(promise.contract, node, chain.name, received_us, entry)

    def _lateness(self, first_us: int) -> Iterator[Change]:
        """Samples that come long after they were taken were spooled, or so the node says: nobody heard it then.

        Where the report itself was made late, and an event behind the sample tells of it, the driver held the agent up.
        """
        chain, made_us = self._chain, self._report.clock.boottime_us
        stalled = chain is not None and chain.stalled_us >= first_us
        held_us = chain.offset_us + made_us - first_us if chain is not None and stalled else 0
        for promise, in_time_us in zip(self._promises, self._in_time_us, strict=True):
            yield from self._while(
                promise.contract,
                "evidence_late",
                first_us < in_time_us,
                first_us,
                expected=f"samples heard within {promise.heard_within_us} us",
                observed=STALLED if held_us > promise.heard_within_us else AWAY,
            )

    def _while(
        self,
        contract: str,
        code: str,
        holds: bool,
        at_us: int,
        *,
        expected: str,
        observed: str,
        severity: Severity = Severity.INFO,
    ) -> Iterator[Finding]:
        """A finding that is open for as long as something holds."""
        known = is_open(self._state, contract, code)
        if holds and not known:
            finding = noted(
                self._state,
                contract,
                code,
                at_us,
                expected=expected,
                observed=observed,
                severity=severity,
            )
            yield open_finding(self._state, finding)
        elif known and not holds:
            yield from close_finding(self._state, contract, code, "", at_us)

    def _note(
        self,
        code: str,
        expected: str,
        observed: str,
        severity: Severity = Severity.INFO,
        at_us: int | None = None,
    ) -> Iterator[Finding]:
        """Something that happened at an instant."""
        instant = self._received_us if at_us is None else at_us
        for contract in contracts(self._promises):
            yield noted(
                self._state,
                contract,
                code,
                instant,
                expected=expected,
                observed=observed,
                severity=severity,
                until_us=instant,
            )
