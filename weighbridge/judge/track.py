"""How a chain's samples become rows: segments that grow with every sample, and are cut where something changes."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace

from weighbridge.contract.condition import JOINED
from weighbridge.judge.checks import CHECKS, BoundTally, CheckContext, Effect, Promise
from weighbridge.judge.checks.bounds import holds
from weighbridge.judge.checks.check import HOUR, NOT_REPORTED, Answer
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.checks.presence import GPU_LOST, hidden, uncounted, why_hidden
from weighbridge.judge.checks.xid import XID_FATAL, XID_OPEN
from weighbridge.judge.hour_series import BUSY_PERCENT, turn
from weighbridge.judge.latest_readings import INVENTORY, LatestReadings
from weighbridge.judge.ledger import HOUR_US, JUDGING_FAILED, UNJUDGED, WITNESSED, Row, State, Use
from weighbridge.judge.node_state import ChainState, Cut, NodeState, OpenInterval, Quarantine, Track
from weighbridge.judge.snapshot import Key
from weighbridge.judge.usage import Sums
from weighbridge.log.entries import Reached
from weighbridge.verdict import Verdict

SECOND_US = 1_000_000
GROWING_US = 2 * HOUR_US
"""What a chain that grows was judged up to lies no further back; its rows before are written."""

SERVING, UNKNOWN = (State.UP, State.DEGRADED), State.UNKNOWN

EFFECTS = {check.code: check.effect for check in CHECKS}


class Writer:
    """Writes the rows of one (promise, node, chain), as known at the tick `recorded_us` from `entry`."""

    def __init__(
        self, contract: str, node: str, chain: str, recorded_us: int, entry: int | None
    ) -> None:
        self._contract, self._node, self._chain = contract, node, chain
        self._recorded_us, self._entry = recorded_us, entry

    def row(
        self,
        slot: int,
        device: str,
        span: tuple[int, int],
        state: State,
        cause: str,
        since: int | None,
        *,
        late: bool = False,
    ) -> Row:
        """`since`: the entry before that it is known from too."""
        return Row(
            self._contract,
            self._node,
            slot,
            device,
            self._chain,
            *span,
            state,
            cause,
            self._recorded_us,
            since,
            self._entry,
            late,
        )

    def use(self, sums: Sums) -> Use:
        """The usage of an hour as the ledger keeps it, as known now."""
        return Use(
            self._contract,
            self._node,
            self._chain,
            sums.hour_us,
            sums.from_us,
            sums.until_us,
            sums.seen,
            sums.known,
            sums.in_use,
            sums.busy_known,
            sums.busy,
            sums.energy_known,
            sums.energy_millijoules,
            self._recorded_us,
            sums.sampled,
        )

    def close(self, track: Track, end_us: int) -> Iterator[Row | Use]:
        """Everything that is known up to the last sample: rows up to `end_us`, and the sums of the hour under way."""
        yield from self.cover(track, end_us)
        if track.meter.sums is not None:
            yield self.use(track.meter.sums)

    def cover(self, track: Track, end_us: int) -> list[Row]:
        """Every segment up to `end_us`, cut at full hours; the segments go on from there."""
        rows = list(self.peek(track, end_us))
        for segment in track.segments:
            if segment.start_us < end_us:
                segment.start_us, segment.entry = end_us, self._entry
        return rows

    def peek(self, track: Track, end_us: int) -> Iterator[Row]:
        """What `cover` would write, leaving the segments as they are."""
        for slot, segment in enumerate(track.segments):
            yield from self._hourly(slot, track, segment, end_us)

    def _hourly(self, slot: int, track: Track, segment: OpenInterval, end_us: int) -> Iterator[Row]:
        said = segment.state, segment.cause, segment.entry
        for span in hours_us(segment.start_us, end_us):
            yield self.row(slot, track.slots[slot], span, *said, late=track.late)

    def gap(
        self, track: Track, span: tuple[int, int], cause: str, since: int | None
    ) -> Iterator[Row]:
        """Nobody saw this time, after the entry `since`; why not, as far as the node itself can say."""
        for slot, device in enumerate(track.slots):
            if span[0] < span[1]:
                yield self.row(slot, device, span, State.UNKNOWN, cause, since)

    def restate(
        self, track: Track, states: list[tuple[str, State, str]], at_us: int
    ) -> Iterator[Row]:
        """Cut every segment whose device, state or cause is now another one."""
        for slot, (device, state, cause) in enumerate(states):
            segment = track.segments[slot]
            if (track.slots[slot], segment.state, segment.cause) == (device, state, cause):
                continue
            yield from self._hourly(slot, track, segment, at_us)
            track.slots[slot] = device
            track.segments[slot] = OpenInterval(at_us, state, cause, self._entry)


def flush(state: NodeState, chain: ChainState, now_us: int) -> list[Row | Use]:
    """Write every segment up to the chain's last sample: what is known now, no more."""
    changes: list[Row | Use] = []
    if chain.last_us is not None:
        for contract, track in chain.tracks.items():
            writer = Writer(contract, state.node, chain.name, now_us, chain.last_entry)
            changes += writer.close(track, chain.last_us)
    return changes


def open_rows(state: NodeState, now_us: int) -> Iterator[Row]:
    """The rows that `flush` would write, without writing them: the live end of the ledger."""
    if state.quarantine is not None:
        for contract in state.quarantine.places:
            span = (state.quarantine.known_us, now_us)
            yield from unjudged(state, state.quarantine, contract, span, now_us)
        return
    for chain in state.chains.values():
        for contract, track in chain.tracks.items():
            writer = Writer(contract, state.node, chain.name, now_us, chain.last_entry)
            yield from writer.peek(track, chain.last_us or 0)
    for contract, cut in state.cuts.items():
        yield from cut_rows(state, contract, cut, now_us)


def cut_rows(state: NodeState, contract: str, cut: Cut, now_us: int) -> Iterator[Row]:
    """Rows of what witnesses say of a silence and that no row tells of yet."""
    chain = WITNESSED if state.side == "provider" else f"{WITNESSED}@{state.side}"
    writer, span = (
        Writer(contract, state.node, chain, now_us, cut.entry),
        (cut.laid_us, cut.until_us),
    )
    for slot, device in enumerate(cut.slots if span[0] < span[1] else ()):
        yield writer.row(slot, device, span, State.UNKNOWN, cut.cause, cut.entry)


def unjudged(
    state: NodeState, held: Quarantine, contract: str, span: tuple[int, int], now_us: int
) -> Iterator[Row]:
    """Rows of a stretch of time in which the node was in quarantine."""
    writer = Writer(contract, state.node, UNJUDGED, now_us, held.entry)
    for slot, device in enumerate(held.places[contract] if span[0] < span[1] else ()):
        yield writer.row(slot, device, span, State.UNKNOWN, JUDGING_FAILED, held.entry)


def full_second(now_us: int) -> int:
    """The last full second before an instant: of it and all before nothing more can come."""
    return (now_us - 1) // SECOND_US * SECOND_US


def reached(states: Iterable[NodeState], as_of_us: int) -> tuple[Reached, ...]:
    """How far the chains of these nodes had come by the end of a second, as far as they grew then.

    None of the nodes' own where that can not be told any more, because one of them was heard since that second. Time
    that is not judged grew to that end.
    """
    known = list(states)
    return (*_come(known, as_of_us), *_held(known, as_of_us))


def _held(states: Iterable[NodeState], as_of_us: int) -> Iterator[Reached]:
    newest: dict[str, int] = {}
    for state in states:
        held = state.quarantine
        if held is not None and held.begun_us <= as_of_us:
            newest[state.node] = max(held.entry, newest.get(state.node, 0))
    for node, entry in newest.items():
        yield Reached(node=node, chain=UNJUDGED, until_us=as_of_us, entry=entry)


def _come(states: Iterable[NodeState], as_of_us: int) -> Sequence[Reached]:
    found: list[Reached] = []
    for state in states:
        for chain in state.chains.values():
            until_us, entry = chain.last_us, chain.last_entry
            if chain.received_us > as_of_us:
                if full_second(chain.received_us) != as_of_us:
                    return ()
                until_us, entry = chain.before_us, chain.before_entry
            if until_us is not None and entry is not None and until_us > as_of_us - GROWING_US:
                found.append(
                    Reached(node=state.node, chain=chain.name, until_us=until_us, entry=entry)
                )
    return found


def grown(rows: Iterable[Row], ends: Iterable[Reached], as_of_us: int) -> Iterator[Row]:
    """Of rows that were written down after an instant, or are not yet, what was known of them then."""
    known = {(one.node, one.chain): one for one in ends}
    for row in rows:
        end = known.get((row.node, row.chain))
        if end is None or row.recorded_us <= as_of_us or row.first_entry is None:
            continue
        if row.first_entry <= end.entry and row.start_us < end.until_us:
            until_us = min(row.end_us, end.until_us)
            yield replace(row, end_us=until_us, recorded_us=as_of_us, last_entry=end.entry)


def unbroken(track: Track, last_us: int, at_us: int) -> bool:
    """Whether no full hour lies between two samples, nor since a segment began: nothing is to be written then.

    Asked at every sample, hence the plain loop.
    """
    hour_us = at_us // HOUR_US * HOUR_US
    for segment in track.segments:
        if segment.start_us < hour_us:
            return False
    return last_us >= hour_us


def hours_us(start_us: int, end_us: int) -> Iterator[tuple[int, int]]:
    """[start_us, end_us) cut at full UTC hours."""
    while start_us < end_us:
        edge = min(end_us, (start_us // HOUR_US + 1) * HOUR_US)
        yield start_us, edge
        start_us = edge


def judge(
    track: Track, promise: Promise, view: LatestReadings, changed: set[str]
) -> Generator[None, None, dict[str, list[Answer]]]:
    """Run the checks that watch something that changed, in steps; then remember who breaches what, all at once.

    Returns answers by code.
    """
    series = track.series.last_hour
    flaps = track.series.flaps
    context = CheckContext(promise, view, _tallies(track), track.strangers, series, flaps)
    given: dict[str, list[Answer]] = {}
    for check in CHECKS:
        if not changed.isdisjoint(check.watches):
            given[check.code] = list(check.judge(context))
            yield
    for code, answers in given.items():
        _remember(track.breaches, code, _subjects(answers, Verdict.BREACHED))
        _remember(track.blind, code, _subjects(answers, Verdict.UNKNOWN))
    return given


def _remember(held: dict[str, dict[str, str]], code: str, devices: dict[str, str]) -> None:
    """Of a check that finds nothing, nothing: there are fifty, at each node."""
    if devices:
        held[code] = devices
    else:
        held.pop(code, None)


def _subjects(answers: list[Answer], verdict: Verdict) -> dict[str, str]:
    return {answer.device: answer.observed for answer in answers if answer.verdict is verdict}


def _tallies(track: Track) -> dict[tuple[int, str], BoundTally]:
    return {
        (index, device): BoundTally(counted, held)
        for (index, device), (counted, held) in track.last_hour.items()
    }


def states(track: Track, promise: Promise, view: LatestReadings) -> list[tuple[str, State, str]]:
    """(device, state, cause) of every slot, after `judge`."""
    maybe = hidden(view, promise)
    assigned = [device.uuid for device in promise.assigned(view)]
    slots = _filled(track.slots, assigned, maybe) if uncounted(view) is None else list(track.slots)
    breached = _breached(track)
    found = [
        (device, *_marked(track, device, *_state(track, view, device, breached)))
        for device in slots
    ]
    absent = [index for index, device in enumerate(slots) if device not in view.devices]
    filled_first = sorted(absent, key=lambda index: not slots[index])
    for index in filled_first[:maybe]:
        found[index] = (slots[index], State.UNKNOWN, why_hidden(view) or NOT_REPORTED)
    return found


def _filled(slots: list[str], assigned: list[str], maybe: int) -> list[str]:
    """A device that may be there, and is not shown, keeps its slot while no other needs it."""
    filled = fill(slots, assigned)
    kept = [index for index, device in enumerate(slots) if device and not filled[index]]
    for index in kept[:maybe]:
        filled[index] = slots[index]
    return filled


UNSEEN = frozenset({"gpu_missing", "gpu_lost"})
"""Causes of a device that is known and does not answer."""


def answering(track: Track) -> list[str]:
    """The device of each slot; empty where none answers. Asked for at every sample, hence the plain loop."""
    for segment in track.segments:
        if segment.cause or segment.state is UNKNOWN:
            break
    else:
        return track.slots
    return [
        device if _answers(segment) else ""
        for device, segment in zip(track.slots, track.segments, strict=True)
    ]


def _answers(segment: OpenInterval) -> bool:
    known = segment.state is not State.UNKNOWN or segment.cause == XID_OPEN.code
    return known and UNSEEN.isdisjoint(segment.cause.split(JOINED))


def fill(slots: list[str], devices: list[str]) -> list[str]:
    """Who fills which slot: a device keeps its slot; a new one takes the first that is vacant."""
    kept = [device if device in devices else "" for device in slots]
    for device in devices:
        if device not in kept and "" in kept:
            kept[kept.index("")] = device
    return kept


Breached = list[tuple[str, dict[str, str]]]


def _breached(track: Track) -> Breached:
    """By code the devices that breach what moves availability; mostly none does."""
    held = sorted(code for code, devices in track.breaches.items() if devices)
    return [(code, track.breaches[code]) for code in held if EFFECTS[code] is not Effect.NONE]


def _state(
    track: Track, view: LatestReadings, device: str, breached: Breached
) -> tuple[State, str]:
    """The state, and every cause of it: what the contract makes of several may differ from what it makes of one."""
    if not device or device not in view.devices:
        return State.DOWN, "gpu_missing"
    causes = [code for code, devices in breached if device in devices or "" in devices]
    if any(EFFECTS[code] is Effect.DOWN for code in causes):
        return State.DOWN, JOINED.join(causes)
    blind = track.blind.get(GPU_LOST.code, {})
    if device in blind:
        return State.UNKNOWN, blind[device]
    if any(device in track.blind.get(check.code, {}) for check in (XID_OPEN, XID_FATAL)):
        return State.UNKNOWN, XID_OPEN.code
    return (State.DEGRADED, JOINED.join(causes)) if causes else (State.UP, "")


def _marked(track: Track, device: str, state: State, cause: str) -> tuple[State, str]:
    """A stranger's service bears that it is one: what it counts as is known when it is settled."""
    if state not in SERVING or device not in track.strangers:
        return state, cause
    return state, JOINED.join(filter(None, (DEVICE_EXCHANGED.code, cause)))


def shown(segment: OpenInterval) -> State:
    """What a segment's state counts as live: that of a stranger is unknown."""
    exchanged = DEVICE_EXCHANGED.code in segment.cause.split(JOINED)
    return State.UNKNOWN if exchanged else segment.state


TALLIES_KEPT = 4096
"""Of one hour, by bound and device. What fills a slot is counted beyond that."""


def tally(track: Track, promise: Promise, view: LatestReadings) -> None:
    """Count one sample of every bound."""
    for index, bound in enumerate(promise.resource.bounds):
        for device in promise.assigned(view):
            value = view.value(device.uuid, bound.reading)
            if isinstance(value, int) and (bound.while_ == "always" or busy(view, device.uuid)):
                if len(track.hour) >= TALLIES_KEPT and device.uuid not in track.slots:
                    continue
                count = track.hour.setdefault(Key((index, device.uuid)), [0, 0])
                count[0] += 1
                count[1] += holds(bound, value)


def busy(view: LatestReadings, device: str) -> bool:
    """Whether the device works; a device that does not say is not known to."""
    share = view.value(device, "utilization_gpu_percent")
    return isinstance(share, int) and share >= BUSY_PERCENT


def turn_hour(track: Track, view: LatestReadings, last_us: int, at_us: int) -> set[str]:
    """At the first sample of another hour what was counted of the hour before is whole."""
    if last_us // HOUR_US == at_us // HOUR_US:
        return set()
    track.last_hour, track.hour = track.hour, {}
    turn(track.series, view)
    return {HOUR}


def begin(promise: Promise, chain: ChainState, start_us: int, entry: int) -> Track:
    """A track from `start_us` on, all slots vacant and unknown until they are judged by what this entry brings."""
    count = promise.resource.per_node
    before = chain.slots_before.get(promise.contract, [])
    known = before if len(before) == count else [""] * count
    slots = fill(known, [device.uuid for device in promise.assigned(chain.view)])
    segments = [OpenInterval(start_us, State.UNKNOWN, "", entry) for _ in range(count)]
    return Track(promise.version, slots, segments)


EVERYTHING = frozenset({INVENTORY, HOUR}).union(*(check.watches for check in CHECKS))
"""What `judge` is told when all checks must run."""
