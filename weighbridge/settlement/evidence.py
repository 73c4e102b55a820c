"""What the time of each slot rests on: whose agents saw it, and where they contradict each other."""

from collections.abc import Iterable, Iterator

from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import State, StateSpan, against
from weighbridge.judge.two_sides import BOTH, words_of
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.statement import EvidenceLine
from weighbridge.settlement.units import Timelines


def evidence_lines(served: Interval, found: Timelines) -> Iterator[EvidenceLine]:
    """One for each contracted slot, over the served part of a period."""
    for slot, line in found.seen.items():
        yield _evidence(slot.name, line, served)


def _evidence(unit: str, line: Iterable[StateSpan], served: Interval) -> EvidenceLine:
    seconds: dict[str, int] = {}
    for span in line:
        start_s = max(span.start_us // MICROSECONDS, served[0])
        length = min(span.end_us // MICROSECONDS, served[1]) - start_s
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
    )


def _kind(span: StateSpan) -> str:
    """The words of a contradiction, who saw it, or that it is contested or that nobody did."""
    if span.state is not State.CONTESTED:
        return span.heard or State.UNKNOWN
    words = words_of(span.cause)
    return State.CONTESTED if words is None else against(*words)
