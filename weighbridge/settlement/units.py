"""From ledger rows to the units of an objective. Microseconds are floored to seconds here, once."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from weighbridge.contract import Availability, Contract
from weighbridge.contract.condition import JOINED, REACHABLE, asks_for
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import BY_DEVICE, BY_WITNESS, LATE, TOGETHER, Row, State, timeline
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.judge.slot_history import Holder, line_of
from weighbridge.judge.two_sides import Shown, line_of_slot, matched, side_of
from weighbridge.settlement.intervals import Interval, Intervals, Touching, union
from weighbridge.settlement.phases import AT_ONCE, Phases
from weighbridge.settlement.reach import Word, Words, judges_reach, quorum_line, weighed
from weighbridge.settlement.record import Span


class Slot(NamedTuple):
    """The position of a GPU in a node."""

    node: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.node}.{self.number}"


@dataclass(frozen=True)
class Timelines:
    """What is known of each contracted slot over a stretch of time: spans that tile it.

    `held_by`: the nodes that held the place of each node that is there, itself among them. `coming_us`: from when on
    the time of each slot is to come, where the period is under way; its line goes on as it is then. `reach`: of each
    node, where an objective asks for it, what a quorum of witnesses says (reached is UP); `witnessed`: what each does.
    `phases`: which nodes are in service since when.
    """

    resource_of: Mapping[str, str]
    slots: Mapping[Slot, Sequence[Stretch]]
    held_by: Mapping[str, frozenset[str]]
    coming_us: Mapping[Slot, int] = field(default_factory=dict)
    reach: Mapping[str, Sequence[Stretch]] = field(default_factory=dict)
    witnessed: Mapping[str, Mapping[str, Sequence[Stretch]]] = field(default_factory=dict)
    phases: Phases = AT_ONCE

    @cached_property
    def seen(self) -> Mapping[Slot, Sequence[Stretch]]:
        """The lines without time to come."""
        if not self.coming_us:
            return self.slots
        return {slot: _until(line, self.coming_us[slot]) for slot, line in self.slots.items()}

    @cached_property
    def hoped(self) -> Mapping[Slot, Sequence[Stretch]]:
        """The lines with time to come as up."""
        if not self.coming_us:
            return self.slots
        return {
            slot: [*line, Stretch(self.coming_us[slot], self.slots[slot][-1].end_us, State.UP, "")]
            for slot, line in self.seen.items()
        }


def _until(line: Sequence[Stretch], end_us: int) -> Sequence[Stretch]:
    return [
        one if one.end_us <= end_us else replace(one, end_us=end_us)
        for one in line
        if one.start_us < end_us
    ]


Entries = tuple[int, int]
"""Indexes of the log, first and last."""

Told = Mapping[str, Mapping[Interval, Entries]]
"""By node and interval in microseconds."""

Heard = Mapping[str, Sequence[tuple[int, int]]]
"""By node: instants in microseconds and entries."""

Marks = Mapping[str, Intervals]
"""By cause, the seconds over which the registry has laid something, whether or not it changes what they count as."""


Proven = Mapping[str, Sequence[int]]
"""By node: instants in microseconds at which each of its GPUs had passed a challenge."""

NEVER: Proven = {}


def _around(ranges: Sequence[Entries]) -> Entries:
    return (min(first for first, _ in ranges), max(last for _, last in ranges))


@dataclass(frozen=True)
class JoinedRows:
    """The rows of each slot, joined: spans that tile the time that matters. `late`: rows came after the cut-off.
    `in_time`: the same without what was heard late; None: nothing was.

    `told`: of each node the entries of the log that tell of its time which is not up. `heard`: of each node when it was
    last heard before it changed or fell silent, and in which entry, in order. `now_us`: where the time that matters is
    not over, until when it is; `coming_us`: of each slot since when it is to come, if that is before. `marks`: what is
    to be flagged. `words`: by node what witnesses say; what of it was late counts unless `prompt`.
    """

    slots: Mapping[Slot, Sequence[Stretch]]
    late: bool
    told: Told
    heard: Heard
    now_us: int | None = None
    coming_us: Mapping[Slot, int] = field(default_factory=dict)
    marks: Marks = field(default_factory=dict)
    in_time: Mapping[Slot, Sequence[Stretch]] | None = None
    words: Mapping[str, Words] = field(default_factory=dict)
    prompt: bool = False

    @property
    def without_late(self) -> "JoinedRows":
        """What is known without what was heard late: that time is unknown, of the cause LATE."""
        if self.in_time is None:
            return self
        return replace(self, slots=self.in_time, in_time=None, prompt=True)

    def entries(self, nodes: Iterable[str], within: Interval) -> Entries | None:
        """From the first entry that tells of these nodes over [start_s, end_s) to the last.

        Of a node of which none tells, the entry in which it was last heard before; None: there is none either.
        """
        start_us, end_us = within[0] * MICROSECONDS, within[1] * MICROSECONDS
        found: list[Entries] = []
        for node in nodes:
            told = self._told.get(node)
            mine = [] if told is None else told((start_us, end_us))
            found += mine or self._last_heard(node, start_us)
        return _around(found) if found else None

    @cached_property
    def _told(self) -> Mapping[str, Touching[Entries]]:
        return {node: Touching(told.items()) for node, told in self.told.items()}

    def _last_heard(self, node: str, start_us: int) -> list[Entries]:
        """The entry in which the node was last heard before the end of this second."""
        heard = self.heard.get(node, ())
        index = bisect_left(heard, (start_us + MICROSECONDS, 0))
        return [(heard[index - 1][1],) * 2] if index else []

    def spelled(self) -> Iterator[str]:
        """The same for the same knowledge, however the rows were cut and in whichever order they came."""
        yield f"late {self.late}"
        for slot in sorted(self.slots):
            for one in self.slots[slot]:
                yield f"{slot.name} {one.start_us} {one.end_us} {one.state} {one.cause} {one.heard}"
        for slot in sorted(self.coming_us):
            yield f"{slot.name} is to come from {self.coming_us[slot]}"
        for cause in sorted(self.marks):
            yield f"{cause} {self.marks[cause]}"
        for node, words in sorted(self.words.items()):
            for witness in sorted(words):
                yield from (f"{node} {witness} {word}" for word in words[witness])
        if self.in_time is not None:
            yield "without what was heard late"
            yield from self.without_late.spelled()


@dataclass(slots=True)
class _Run:
    """Rows of one device in a slot that touch and say the same, as one."""

    device: str
    start_us: int
    end_us: int
    state: State
    cause: str
    entry: int | None
    side: str
    late: bool


@dataclass(slots=True)
class _Joining:
    """Takes in rows one by one and keeps what differs: the hours of a month that is up throughout become one run."""

    runs: dict[tuple[str, int], list[_Run]] = field(default_factory=dict)
    overlay: list[Row] = field(default_factory=list)
    said: dict[str, dict[str, list[_Run]]] = field(default_factory=dict)
    told: dict[str, dict[Interval, Entries]] = field(default_factory=dict)
    late: bool = False

    def add(self, row: Row) -> None:
        self.late = self.late or row.late
        if row.state is not State.UP or row.late:
            self._tell(row)
        if row.slot == BY_DEVICE:
            self.overlay.append(row)
            return
        if row.slot == BY_WITNESS:
            runs = self.said.setdefault(row.node, {}).setdefault(row.device, [])
        else:
            runs = self.runs.setdefault((row.node, row.slot), [])
        if runs and _goes_on(runs[-1], row):
            runs[-1].end_us, runs[-1].entry = row.end_us, row.last_entry
            return
        said = (row.device, row.start_us, row.end_us, row.state, row.cause, row.last_entry)
        runs.append(_Run(*said, side_of(row.chain), row.late))

    def _tell(self, row: Row) -> None:
        """Slots of one node that say the same for the same time are known from the same entries, or nearly so."""
        if row.first_entry is None or row.last_entry is None:
            return
        told, span = self.told.setdefault(row.node, {}), (row.start_us, row.end_us)
        mine = (row.first_entry, row.last_entry)
        told[span] = _around([told.get(span, mine), mine])

    def marks(self) -> Marks:
        found: dict[str, list[Interval]] = {}
        for row in self.overlay:
            span = (row.start_us // MICROSECONDS, row.end_us // MICROSECONDS)
            found.setdefault(row.cause, []).append(span)
        return {cause: union(spans) for cause, spans in found.items()}

    def words(self, now_us: int, end_us: int, patience_us: int) -> Mapping[str, Words]:
        """What witnesses say. A word that was given no longer ago than a sample may be awaited goes on to the end."""
        return {
            node: {
                witness: _words(runs, now_us, end_us, patience_us) for witness, runs in told.items()
            }
            for node, told in self.said.items()
        }

    def heard(self) -> Heard:
        found: dict[str, set[tuple[int, int]]] = {}
        for (node, _), runs in self.runs.items():
            ends = found.setdefault(node, set())
            ends |= {(run.end_us, run.entry) for run in runs if run.entry is not None}
        return {node: sorted(ends) for node, ends in found.items()}

    def lines(
        self,
        start_us: int,
        end_us: int,
        cadence_us: int,
        proven: Proven,
        *,
        in_time: bool = False,
    ) -> dict[Slot, Sequence[Stretch]]:
        """One timeline for each slot; an overlay's row lies over every slot that its device filled. `in_time`: without
        what was heard late."""
        over: dict[tuple[str, str], list[Row]] = {}
        for row in self.overlay:
            over.setdefault((row.node, row.device), []).append(row)
        return {
            Slot(*slot): line_of_slot(
                _laid(slot[0], runs, over, in_time),
                start_us,
                end_us,
                cadence_us,
                proven.get(slot[0], ()),
            )
            for slot, runs in sorted(self._by_slot().items())
        }

    def _by_slot(self) -> dict[tuple[str, int], list[_Run]]:
        """Those of a lessee's agent with the slot of the provider's that its devices fill."""
        shown = (
            Shown(node, run.side, slot, run.device)
            for (node, slot), runs in self.runs.items()
            for run in runs
        )
        places = matched(shown)
        if all(slot == place for (_, slot), place in places.items()):
            return self.runs
        found: dict[tuple[str, int], list[_Run]] = {}
        for (node, slot), runs in self.runs.items():
            for run in runs:
                place = places[node, slot] if run.side == "lessee" else slot
                found.setdefault((node, place), []).append(run)
        return found


def _laid(
    node: str, runs: list[_Run], over: Mapping[tuple[str, str], list[Row]], in_time: bool
) -> dict[str, list[Row | Stretch]]:
    found: dict[str, list[Row | Stretch]] = {}
    for run in runs:
        unheard = in_time and run.late and run.state is not State.UNKNOWN
        said = (State.UNKNOWN, LATE) if unheard else (run.state, run.cause)
        stretch = Stretch(run.start_us, run.end_us, *said)
        found.setdefault(run.side, []).append(stretch)
    for device in sorted({run.device for run in runs}):
        for row in over.get((node, device), ()):
            found.setdefault(side_of(row.chain), []).append(row)
    return found


def _words(runs: Sequence[_Run], now_us: int, end_us: int, patience_us: int) -> Sequence[Word]:
    ordered = sorted(runs, key=lambda run: (run.start_us, run.end_us))
    found = [Word(run.start_us, run.end_us, run.state, run.cause, run.late) for run in ordered]
    if now_us < end_us and found and now_us - found[-1].end_us <= patience_us:
        found[-1] = replace(found[-1], end_us=end_us)
    return found


def _goes_on(run: _Run, row: Row) -> bool:
    return (
        run.end_us == row.start_us
        and run.state is row.state
        and run.cause == row.cause
        and run.device == row.device
        and run.side == side_of(row.chain)
        and run.late is row.late
    )


def joined_rows(
    rows: Iterable[Row],
    as_of_us: int,
    cutoff_us: int,
    within: Interval,
    patience_us: int,
    cadence_us: int = 0,
    *,
    under_way: bool = False,
    proven: Proven = NEVER,
) -> JoinedRows:
    """What the rows say over `within` (seconds), as known at an instant; rows after the cut-off change nothing.

    Reads each row once and keeps none, so hourly rows of a large contract may be streamed. `patience_us`: how long a
    sample may be awaited; `cadence_us`: how far apart two agents may see one change. While the period is under way each
    slot goes on as it is at the instant; where nobody has seen it for no longer than the patience, as it was seen last,
    and its time is to come from there.
    """
    joining, late = _Joining(), False
    for row in rows:
        if row.recorded_us > cutoff_us:
            late = late or row.recorded_us <= as_of_us
        elif row.recorded_us <= as_of_us:
            joining.add(row)
    start_us, end_us = within[0] * MICROSECONDS, within[1] * MICROSECONDS
    if not under_way:
        lines = joining.lines(start_us, end_us, cadence_us, proven)
        said = joining.words(end_us, end_us, patience_us)
        known = JoinedRows(
            lines, late, joining.told, joining.heard(), marks=joining.marks(), words=said
        )
        if not joining.late:
            return known
        in_time = joining.lines(start_us, end_us, cadence_us, proven, in_time=True)
        return replace(known, in_time=in_time)
    now_us = min(max(as_of_us, start_us), end_us)
    found = {
        slot: _going_on(line, now_us, end_us, patience_us)
        for slot, line in joining.lines(start_us, now_us, cadence_us, proven).items()
    }
    known = JoinedRows(
        {slot: line for slot, (line, _) in found.items()},
        late,
        joining.told,
        joining.heard(),
        now_us,
        {slot: coming_us for slot, (_, coming_us) in found.items()},
        marks=joining.marks(),
        words=joining.words(now_us, end_us, patience_us),
    )
    if not joining.late:
        return known
    in_time = joining.lines(start_us, now_us, cadence_us, proven, in_time=True)
    return replace(known, in_time={slot: _to_come(known, slot, in_time[slot]) for slot in found})


def _to_come(known: JoinedRows, slot: Slot, line: Sequence[Stretch]) -> Sequence[Stretch]:
    """Time to come is not late: from there on the line is as it is with all that was told."""
    coming_us = known.coming_us[slot]
    rest = (one for one in known.slots[slot] if one.end_us > coming_us)
    return [
        *_until(line, coming_us),
        *(replace(one, start_us=max(one.start_us, coming_us)) for one in rest),
    ]


def _going_on(
    line: Sequence[Stretch], now_us: int, end_us: int, patience_us: int
) -> tuple[Sequence[Stretch], int]:
    """A line up to the end as if it stayed as it is, and from when on it is to come."""
    coming_us = now_us
    if len(line) > 1:
        last = line[-1]
        unseen = (last.state, last.cause) == (State.UNKNOWN, "")
        if unseen and last.end_us - last.start_us <= patience_us:
            coming_us, line = last.start_us, line[:-1]
    now = line[-1] if line else Stretch(now_us, now_us, State.UNKNOWN, "")
    return [*line[:-1], replace(now, end_us=end_us)], coming_us


def timelines(
    contract: Contract,
    holders: Sequence[Holder],
    known: JoinedRows,
    within: Interval,
    part: Interval | None = None,
) -> Timelines:
    """`holders`: of the contract's places. Those beyond the places that it has are not weighed, nor before others those
    that nobody held in the `part` (seconds) that is judged. Contracted nodes that are not there are unknown throughout,
    under names that say so. A place is named by the node that holds it last."""
    judged = within if part is None else part
    present = {one.node: one for one in _present(contract, holders, judged)}
    only = contract.resources[0].id
    resource_of = {node: one.resource or only for node, one in present.items()}
    resource_of |= _absent(contract, resource_of.values())
    per_node = {resource.id: resource.per_node for resource in contract.resources}
    bounds = (within[0] * MICROSECONDS, within[1] * MICROSECONDS)
    slots = {
        Slot(node, number): _line(present.get(node), node, number, known, bounds)
        for node, resource in resource_of.items()
        for number in range(per_node[resource])
    }
    held_by = {node: _names(one) for node, one in present.items()}
    reach: dict[str, Sequence[Stretch]] = {}
    witnessed: dict[str, Mapping[str, Sequence[Stretch]]] = {}
    if judges_reach(contract):
        terms = contract.evidence
        for node in resource_of:
            said = _Said(node, present.get(node), known, bounds)
            reach[node] = said.line(terms.witnesses, terms.witness_quorum)
            witnessed[node] = {one: said.line((one,), 1) for one in terms.witnesses}
    if known.now_us is None:
        return Timelines(resource_of, slots, held_by, reach=reach, witnessed=witnessed)
    coming = {slot: known.coming_us.get(slot, known.now_us) for slot in slots}
    return Timelines(resource_of, slots, held_by, coming, reach, witnessed)


@dataclass(frozen=True, slots=True)
class _Said:
    """What witnesses say of a place."""

    node: str
    holder: Holder | None
    known: JoinedRows
    bounds: Interval

    def line(self, named: Sequence[str], quorum: int) -> Sequence[Stretch]:
        """As its slots have theirs: of each node that held it, that node's own time."""
        names = {self.node} if self.holder is None else _names(self.holder)
        prompt, words = self.known.prompt, self.known.words
        lines = {
            name: quorum_line(words.get(name, {}), named, quorum, *self.bounds, in_time=prompt)
            for name in names
        }
        if self.holder is None or not self.holder.before:
            return lines[self.node]
        return line_of(self.holder, lines, *self.bounds)


def _names(holder: Holder) -> frozenset[str]:
    return frozenset({holder.node, *(node for node, *_ in holder.before)})


def _line(
    holder: Holder | None, node: str, number: int, known: JoinedRows, bounds: Interval
) -> Sequence[Stretch]:
    if holder is None or not holder.before:
        line = known.slots.get(Slot(node, number), ())
        tiled = bool(line) and (line[0].start_us, line[-1].end_us) == bounds
        return line if tiled else timeline(line, *bounds)
    lines = {name: known.slots.get(Slot(name, number), ()) for name in _names(holder)}
    return line_of(holder, lines, *bounds)


def _present(contract: Contract, holders: Sequence[Holder], part: Interval) -> Iterator[Holder]:
    only = contract.resources[0].id
    bounds = (part[0] * MICROSECONDS, part[1] * MICROSECONDS)
    for item in contract.resources:
        mine = [one for one in holders if (one.resource or only) == item.id]
        mine.sort(key=lambda one: not one.held_in(*bounds))
        yield from mine[: item.places]


def _absent(contract: Contract, resources: Iterable[str]) -> dict[str, str]:
    present = list(resources)
    return {
        f"{resource.id}:absent-{number}": resource.id
        for resource in contract.resources
        for number in range(present.count(resource.id) + 1, resource.nodes + 1)
    }


def unit_lines(promise: Availability, found: Timelines) -> dict[str, Sequence[Stretch]]:
    """Spans of what the objective judges: slots, nodes by their worst slot, or everything as one."""
    together = _worst if promise.up_when is None else _with_all_causes
    alone = promise.unit == "gpu"
    if promise.up_when is not None and has_reach(promise, found):
        return {
            unit: _reachable(promise.up_when, found, slots)
            for unit, slots in _slots_of(promise, found).items()
        }
    return {
        unit: found.slots[slots[0]] if alone else together([found.slots[slot] for slot in slots])
        for unit, slots in _slots_of(promise, found).items()
    }


def has_reach(promise: Availability, found: Timelines) -> bool:
    """Whether the objective weighs whether nodes were reachable."""
    return bool(found.reach) and asks_for(promise.up_when, REACHABLE)


def _reachable(condition: str, found: Timelines, slots: Iterable[Slot]) -> Sequence[Stretch]:
    """Node by node: its slots together, and what witnesses say of it."""
    nodes: dict[str, list[Sequence[Stretch]]] = {}
    for slot in slots:
        nodes.setdefault(slot.node, []).append(found.slots[slot])
    lines = [
        list(weighed(condition, _with_all_causes(lines), found.reach[node]))
        for node, lines in nodes.items()
    ]
    return lines[0] if len(lines) == 1 else _with_all_causes(lines)


def coming_of(promise: Availability, found: Timelines) -> dict[str, int]:
    """The second from which time of each unit is to come: the first of its slots'. Empty where no time is to come."""
    if not found.coming_us:
        return {}
    return {
        unit: min(found.coming_us[slot] for slot in slots) // MICROSECONDS
        for unit, slots in _slots_of(promise, found).items()
    }


def _slots_of(promise: Availability, found: Timelines) -> dict[str, list[Slot]]:
    """The slots of each unit of an objective."""
    grouped: dict[str, list[Slot]] = {}
    for slot in found.slots:
        if promise.resource in (None, found.resource_of[slot.node]):
            grouped.setdefault(_unit_of(promise, slot), []).append(slot)
    return grouped


def _unit_of(promise: Availability, slot: Slot) -> str:
    match promise.unit:
        case "gpu":
            return slot.name
        case "node":
            return slot.node
        case together:
            return promise.resource or together


def _worst(lines: Sequence[Sequence[Stretch]]) -> Sequence[Stretch]:
    if all(line == lines[0] for line in lines):
        return lines[0]
    everything = [stretch for line in lines for stretch in line]
    return timeline(everything, everything[0].start_us, everything[-1].end_us, TOGETHER)


def _with_all_causes(lines: Sequence[Sequence[Stretch]]) -> Sequence[Stretch]:
    """As good as the worst slot, with the causes of all bad slots: a condition has to see each of them."""
    bad = [one for line in lines for one in line if one.state in (State.DOWN, State.DEGRADED)]
    edges = {edge for one in bad for edge in (one.start_us, one.end_us)}
    return [piece for one in _worst(lines) for piece in _told(one, bad, edges)]


def _told(one: Stretch, bad: Sequence[Stretch], edges: set[int]) -> Iterator[Stretch]:
    if one.state not in (State.DOWN, State.DEGRADED):
        yield one
        return
    inside = {edge for edge in edges if one.start_us < edge < one.end_us}
    for start, end in pairwise(sorted({one.start_us, one.end_us, *inside})):
        held = [span for span in bad if span.start_us < end and span.end_us > start]
        causes = {cause for span in held for cause in span.cause.split(JOINED)}
        yield Stretch(start, end, one.state, JOINED.join(sorted(causes)))


def set_apart(told: Sequence[Stretch], in_time: Sequence[Stretch]) -> Iterator[Stretch]:
    """A line, cut where it would say otherwise without what was heard late. Both tile the same time."""
    others, start_us = iter(in_time), told[0].start_us if told else 0
    other = next(others, None)
    for one in told:
        while other is not None and start_us < one.end_us:
            unheard = (other.state, other.cause)
            same = unheard == (one.state, one.cause)
            end_us = min(one.end_us, other.end_us)
            yield replace(one, start_us=start_us, end_us=end_us, unheard=None if same else unheard)
            start_us = end_us
            if other.end_us == end_us:
                other = next(others, None)


NOT_UP = frozenset(State) - {State.UP}


def spans_of(
    unit: str,
    line: Iterable[Stretch],
    states: frozenset[State] = NOT_UP,
    coming_s: int | None = None,
) -> Iterator[Span]:
    """Those in these states, or that rest on what was heard late, in whole seconds, both ends floored, so that
    neighbours still touch.

    None reaches from time that was seen into time that is to come, from `coming_s` on.
    """
    for stretch in line:
        start, end = stretch.start_us // MICROSECONDS, stretch.end_us // MICROSECONDS
        if stretch.state not in states and stretch.unheard is None:
            continue
        span = Span(unit, stretch.state, start, end, stretch.cause, unheard=stretch.unheard)
        if coming_s is not None and start < coming_s < end:
            yield replace(span, end_s=coming_s)
            span = replace(span, start_s=coming_s)
        if span.start_s < end:
            yield span


def seconds_in(line: Iterable[Stretch], state: State, within: Interval) -> int:
    """Seconds of `within` for which a line is in a state."""
    total = 0
    for stretch in line:
        if stretch.state is state:
            start = max(stretch.start_us // MICROSECONDS, within[0])
            total += max(0, min(stretch.end_us // MICROSECONDS, within[1]) - start)
    return total
