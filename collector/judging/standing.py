"""How a contract stands in its current periods: seconds by verdict, and availability as a range.

Kept up from the rows as they are written. What lies hours back is frozen as spans, so that asking costs what happened
lately; a row that comes late, from a spool, thaws it and the contract is read from the ledger again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from weighbridge.contract import Availability, Contract
from weighbridge.judge.ledger import HOUR_US, TOGETHER, Row, Span, State, by_slot, timeline
from weighbridge.settlement import record
from weighbridge.settlement.availability import Measure, measure
from weighbridge.settlement.periods import (
    Period,
    calendar_month,
    calendar_year,
    contract_months,
    local_date,
)

SECOND_US = 1_000_000
THAWED_US = 2 * HOUR_US
Unit = tuple[str, int]
"""A node and a slot on it."""


@dataclass(slots=True)
class Kept:
    """Spans of a contract's slots over [start_us, frozen_us), and the rows that reach beyond."""

    start_us: int
    frozen_us: int
    spans: dict[Unit, list[Span]] = field(default_factory=dict)
    recent: list[Row] = field(default_factory=list)


class Standing:
    """The standing of every contract. `ledger` reads a contract's written rows over [start_us, end_us)."""

    def __init__(self, ledger: Callable[[str, int, int], Sequence[Row]]) -> None:
        self._ledger = ledger
        self._kept: dict[str, Kept] = {}

    def write(self, rows: Iterable[Row]) -> None:
        """Rows that the folds have just said."""
        for row in rows:
            kept = self._kept.get(row.contract)
            if kept is None:
                continue
            if row.start_us < kept.frozen_us:
                del self._kept[row.contract]
            else:
                kept.recent.append(row)

    def timelines(
        self, contract: Contract, units: Sequence[Unit], live: Sequence[Row], now_us: int
    ) -> dict[Unit, list[Span]]:
        """Each slot from the start of the earliest current period to now; `live` are rows not yet written."""
        name, start_us = contract.contract_id, since_us(contract, now_us)
        kept = self._kept.get(name)
        if kept is None or kept.start_us != start_us:
            kept = self._kept[name] = self._read(name, start_us, now_us)
        _freeze(kept, now_us)
        slots = by_slot([*kept.recent, *live])
        return {
            unit: [
                *kept.spans.get(unit, [Span(kept.start_us, kept.frozen_us, State.UNKNOWN, "")]),
                *timeline(slots.get(unit, ()), kept.frozen_us, now_us),
            ]
            for unit in units
        }

    def _read(self, contract: str, start_us: int, now_us: int) -> Kept:
        rows = self._ledger(contract, start_us, now_us)
        return Kept(start_us, start_us, recent=list(rows))


def _freeze(kept: Kept, now_us: int) -> None:
    """Everything older than a while is cut into spans, once."""
    edge_us = (now_us - THAWED_US) // HOUR_US * HOUR_US
    if edge_us <= kept.frozen_us:
        return
    for unit, rows in by_slot(kept.recent).items():
        known = kept.spans.setdefault(unit, _unseen(kept))
        known += timeline(rows, kept.frozen_us, edge_us)
    for unit, spans in kept.spans.items():
        if spans and spans[-1].end_us < edge_us:
            kept.spans[unit].append(Span(spans[-1].end_us, edge_us, State.UNKNOWN, ""))
    kept.recent = [row for row in kept.recent if row.end_us > edge_us]
    kept.frozen_us = edge_us


def _unseen(kept: Kept) -> list[Span]:
    before = Span(kept.start_us, kept.frozen_us, State.UNKNOWN, "")
    return [before] if kept.start_us < kept.frozen_us else []


def since_us(contract: Contract, now_us: int) -> int:
    """When the earliest of the current periods began."""
    starts = (current(contract, promised, now_us).start_s for promised in contract.availability)
    return min(starts, default=contract.term.start_us // SECOND_US) * SECOND_US


def current(contract: Contract, promised: Availability, now_us: int) -> Period:
    """The period of an objective that `now_us` lies in."""
    now_s, zone = now_us // SECOND_US, contract.time_zone
    today = local_date(now_s, zone)
    match promised.period:
        case "calendar_month":
            return calendar_month(f"{today:%Y-%m}", zone)
        case "calendar_year":
            return calendar_year(f"{today:%Y}", zone)
        case "contract_month":
            return _contract_month(contract, now_s)
        case "rolling":
            return Period("rolling", now_s - (promised.window_s or 0), now_s)


def _contract_month(contract: Contract, now_s: int) -> Period:
    term = (contract.term.start_us // SECOND_US, contract.term.end_us // SECOND_US)
    months = list(contract_months(contract.time_zone, term))
    held = [period for period in months if period.start_s <= now_s]
    return held[-1] if held else months[0]


def measures(
    contract: Contract,
    promised: Availability,
    units: Mapping[str, Sequence[Span]],
    now_us: int,
) -> list[Measure]:
    """The objective so far in its current period: from the start of the term, no further than now."""
    spans = tuple(
        record.Span(unit, span.state, *_whole_seconds(span), span.cause)
        for unit, line in units.items()
        for span in line
        if span.state is not State.UP
    )
    period = current(contract, promised, now_us)
    judged = (served(contract)[0], min(now_us // SECOND_US, served(contract)[1]))
    return measure(contract, promised, record.Record(spans), period, tuple(units), judged)


def served(contract: Contract) -> tuple[int, int]:
    """[start, end) of the term, in seconds."""
    return contract.term.start_us // SECOND_US, contract.term.end_us // SECOND_US


def _whole_seconds(span: Span) -> tuple[int, int]:
    """Both ends floored, so that neighbours still touch and nothing is counted twice."""
    return span.start_us // SECOND_US, span.end_us // SECOND_US


def units_of(
    promised: Availability, timelines: Mapping[Unit, Sequence[Span]]
) -> dict[str, Sequence[Span]]:
    """The timelines of what the objective judges: each slot, each node by its worst slot, or all nodes as one."""
    if promised.unit == "gpu":
        return {f"{node}.{slot}": line for (node, slot), line in timelines.items()}
    grouped: dict[str, list[Span]] = {}
    for (node, _), line in timelines.items():
        grouped.setdefault(node if promised.unit == "node" else promised.unit, []).extend(line)
    return {name: _worst(spans) for name, spans in grouped.items()}


def _worst(spans: Sequence[Span]) -> list[Span]:
    start_us = min((span.start_us for span in spans), default=0)
    end_us = max((span.end_us for span in spans), default=0)
    return timeline(spans, start_us, end_us, TOGETHER)


def seconds(
    contract: Contract,
    promised: Availability,
    units: Mapping[str, Sequence[Span]],
    now_us: int,
) -> dict[str, int]:
    """Unit-seconds of the current period so far, by verdict; together they are its length times the units, exactly."""
    period, (first_s, last_s) = current(contract, promised, now_us), served(contract)
    start_s, end_s = max(period.start_s, first_s), min(now_us // SECOND_US, last_s)
    counted = dict.fromkeys(("met", "breached", "unknown", "excluded"), 0)
    for line in units.values():
        for span in line:
            left, right = _whole_seconds(span)
            left, right = max(left, start_s), min(right, end_s)
            counted[_verdict(promised, span.state)] += max(right - left, 0)
    return counted


def _verdict(promised: Availability, state: State) -> str:
    match state:
        case State.UP:
            return "met"
        case State.DOWN:
            return "breached"
        case State.DEGRADED:
            return "met" if promised.degraded == "up" else "breached"
        case State.EXCLUDED:
            return "excluded"
        case State.UNKNOWN | State.CONTESTED:
            return "unknown"


def availability(found: Sequence[Measure]) -> tuple[Fraction, Fraction]:
    """The lowest and the highest reading of the unit that stands worst."""
    low = min((one.low.availability for one in found), default=Fraction(0))
    high = min((one.high.availability for one in found), default=Fraction(1))
    return low, high
