"""What the time of each slot rests on: whose agents saw it, and where they contradict each other."""

from collections.abc import Iterable, Iterator, Sequence

from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import State, StateSpan, against
from weighbridge.judge.two_sides import BOTH, words_of
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.statement import EvidenceLine, ReachLine
from weighbridge.settlement.units import Timelines, seconds_in, set_apart


def evidence_lines(served: Interval, told: Timelines, in_time: Timelines) -> Iterator[EvidenceLine]:
    """One for each contracted slot, over the served part of a period: of all that was told, and what of it was late."""
    for slot, line in told.seen.items():
        late_s = 0 if told is in_time else _late_s(line, in_time.seen[slot], served)
        yield _evidence(slot.name, line, served, late_s)


def reach_lines(served: Interval, told: Timelines, in_time: Timelines) -> Iterator[ReachLine]:
    """One for each place, where an objective asks whether it was reachable."""
    for node, line in told.reach.items():
        slots = [slot for slot in told.slots if slot.node == node]
        come_us = (told.coming_us[slot] for slot in slots if slot in told.coming_us)
        until_s = min((one // MICROSECONDS for one in come_us), default=served[1])
        past = (served[0], max(served[0], min(served[1], until_s)))
        late_s = 0 if told is in_time else _late_s(line, in_time.reach[node], past)
        said = {name: _reached_s(one, past) for name, one in told.witnessed[node].items()}
        reached, unreached = _reached_s(line, past)
        unknown = past[1] - past[0] - reached - unreached
        yield ReachLine(node, reached, unreached, unknown, said, late_s * len(slots))


def _reached_s(line: Sequence[StateSpan], within: Interval) -> tuple[int, int]:
    return seconds_in(line, State.UP, within), seconds_in(line, State.DOWN, within)


def _late_s(told: Sequence[StateSpan], in_time: Sequence[StateSpan], served: Interval) -> int:
    apart = (span for span in set_apart(told, in_time) if span.unheard is not None)
    return sum(_seconds(span, served) for span in apart)


def _seconds(span: StateSpan, served: Interval) -> int:
    start_s = max(span.start_us // MICROSECONDS, served[0])
    return max(0, min(span.end_us // MICROSECONDS, served[1]) - start_s)


def _evidence(unit: str, line: Iterable[StateSpan], served: Interval, late_s: int) -> EvidenceLine:
    seconds: dict[str, int] = {}
    for span in line:
        length = _seconds(span, served)
        if length > 0:
            kind = _kind(span)
            seconds[kind] = seconds.get(kind, 0) + length
    return EvidenceLine(
        unit=unit,
        agreed_seconds=seconds.pop(BOTH, 0),
        provider_seconds=seconds.pop("provider", 0),
        lessee_seconds=seconds.pop("lessee", 0),
        contested_seconds=seconds.pop(State.CONTESTED, 0),
        unknown_seconds=seconds.pop(State.UNKNOWN, 0),
        contradicted=dict(sorted(seconds.items())),
        late_seconds=late_s,
    )


def _kind(span: StateSpan) -> str:
    """The words of a contradiction, who saw it, or that it is contested or that nobody did."""
    if span.state is not State.CONTESTED:
        return span.heard or State.UNKNOWN
    words = words_of(span.cause)
    return State.CONTESTED if words is None else against(*words)
