"""Rights to leave: from this period and the statements of those before it, from outages, and from late batches."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Literal

from weighbridge.codes import Flag
from weighbridge.contract import Contract
from weighbridge.contract.remedies import ExitRight
from weighbridge.contract.resources import Batch
from weighbridge.contract.scalars import MICROSECONDS, read_instant_us
from weighbridge.settlement.case import Case
from weighbridge.settlement.credits import money
from weighbridge.settlement.damage_bases import base_of
from weighbridge.settlement.damages import KINDS
from weighbridge.settlement.intervals import Interval, subtraction
from weighbridge.settlement.periods import DAY_S, day_start, instant_text, kind_of, term_of_s
from weighbridge.settlement.service import BATCH_ACCEPTED, came_s, start_of_s
from weighbridge.settlement.statement import (
    SO_FAR,
    ExitLine,
    Outage,
    Part,
    ProbeLine,
    Statement,
    UnitLine,
)
from weighbridge.settlement.working_days import days_later
from weighbridge.verdict import Verdict

Standing = Literal["met", "open", "not_met"]
MISSED, HELD = Verdict.BREACHED, Verdict.UNKNOWN
FLAGS: Mapping[str, Flag] = {"met": "exit_right", "open": "exit_right_open"}


@dataclass(frozen=True, slots=True)
class Looked:
    """A period that a right looks at."""

    label: str
    parts: tuple[Part, ...]
    end: str


def exits(case: Case, drafted: Statement, earlier: Sequence[Statement]) -> Iterator[ExitLine]:
    """Those of each right about what this statement judges. Of the `earlier` statements those of the same kind of
    period count that end where the next one begins. Late batches are told where what has no period is billed.
    """
    contract, parts = case.newest, drafted.parts
    row = [Looked(drafted.period, parts, drafted.end)]
    since = drafted.start
    for one in sorted(earlier, key=lambda one: one.start, reverse=True):
        if one.end == since and kind_of(one.period) == case.period.kind:
            row.append(Looked(one.period, one.parts, one.end))
            since = one.start
    begun = since <= instant_text(term_of_s(contract)[0])
    so_far = {
        line.objective for part in parts for line in _judged_lines(part) if line.verdict == SO_FAR
    }
    for right in contract.exit_rights:
        if right.objective in so_far:
            continue
        if right.trigger == "missed_periods":
            yield _judged(case, right, row[: right.of_periods], begun)
        elif right.trigger == "outage":
            yield from _of_outages(case, right, parts)
        elif contract.bills_by(case.period.kind):
            yield from _of_batches(case, right)


def _judged(case: Case, right: ExitRight, row: Sequence[Looked], begun: bool) -> ExitLine:
    needed, of_periods = right.missed or 1, right.of_periods or 1
    verdicts = [(one, _verdicts(right.objective, one.parts)) for one in row]
    missed = [one for one, found in verdicts if MISSED in found]
    held = tuple(one.label for one, found in verdicts if MISSED not in found and HELD in found)
    unsettled = 0 if begun else of_periods - len(row)
    possible = len(missed) + len(held) + unsettled >= needed
    standing: Standing = "met" if len(missed) >= needed else ("open" if possible else "not_met")
    line = replace(
        _line(right, standing),
        missed=tuple(one.label for one in missed),
        open=held,
        not_settled=unsettled,
    )
    if standing != "met":
        return line
    return _arisen(case, right, line, _seconds(missed[-needed].end))


def _of_outages(case: Case, right: ExitRight, parts: Sequence[Part]) -> Iterator[ExitLine]:
    """Each that is long enough, once; or that there is none."""
    told = {
        (unit.unit, outage.start, outage.end): outage
        for part in parts
        for unit in part.units
        for outage in unit.outages
        if unit.objective == right.objective and outage.counted
    }
    found = False
    for (unit, start, _), outage in told.items():
        standing = _of_outage(right, outage)
        if standing != "not_met":
            found = True
            line = replace(_line(right, standing), unit=unit, since=start)
            yield _arisen(case, right, line, _seconds(start) + (right.days or 0) * DAY_S)
    if not found:
        yield _line(right, "not_met")


def _of_outage(right: ExitRight, outage: Outage) -> Standing:
    """Open where it is only long enough with time that is held."""
    whole = (_seconds(outage.start), _seconds(outage.end))
    held = tuple((_seconds(start), _seconds(end)) for start, end in outage.held)
    if not _lasts(right, whole):
        return "not_met"
    return "met" if any(_lasts(right, one) for one in subtraction((whole,), held)) else "open"


def _lasts(right: ExitRight, interval: Interval) -> bool:
    length, needed = interval[1] - interval[0], (right.days or 0) * DAY_S
    return length > needed or (right.op == ">=" and length == needed)


def _of_batches(case: Case, right: ExitRight) -> Iterator[ExitLine]:
    """Each batch that is late by so many days in the period; or that there is none."""
    contract, found = case.newest, False
    known_s = min(case.period.end_s, case.as_of_s)
    for batch in (batch for item in contract.resources for batch in item.delivery):
        at_s = _late_from_s(contract, right, batch)
        over_s, sure = _over(case, batch)
        late = over_s is None or (at_s is not None and over_s >= max(at_s, case.period.start_s))
        if late and (at_s is None or at_s < known_s):
            found = True
            standing: Standing = "met" if sure and at_s is not None else "open"
            line = replace(_line(right, standing), unit=batch.id, since=_after(contract, batch.due))
            yield line if at_s is None else _arisen(case, right, line, at_s, batch)
    if not found:
        yield _line(right, "not_met")


def _late_from_s(contract: Contract, right: ExitRight, batch: Batch) -> int | None:
    """The start of the day on which it is late by enough; None: the calendar does not know it."""
    count = (right.days or 0) + (right.op == ">")
    calendar = contract.calendar if right.day_count == "working_days" else None
    day = days_later(calendar, batch.due, count)
    return None if day is None else day_start(day, contract.time_zone)


def came(case: Case, batch: Batch) -> int | None:
    """When the service of a batch started, or it was accepted; None: not yet, by what was told."""
    told = [one.at_s for one in case.events if (one.kind, one.unit) == (BATCH_ACCEPTED, batch.id)]
    told += [
        at_s
        for unit, at_s in came_s(case.newest, case.events, case.as_of_s)
        if unit in ("", batch.id)
    ]
    return min(told, default=None)


def _over(case: Case, batch: Batch) -> tuple[int | None, bool]:
    """When the batch came, or was cancelled; and whether that, or that it did not, is sure."""
    contract, events = case.newest, case.events
    at_s, mine = came(case, batch), ("", batch.id)
    ends = [] if at_s is None else [at_s]
    ends += [one.at_s for one in events if one.kind == KINDS["cancellation"] and one.unit in mine]
    refused = any(
        one.unit == batch.id and "provider" in one.sides
        for one in events
        if one.kind == KINDS["non_delivery"]
    )
    sure = bool(ends) or refused or start_of_s(contract, events, case.as_of_s) is not None
    return min(ends, default=None), sure


def _after(contract: Contract, due: date) -> str:
    return instant_text(day_start(due + timedelta(days=1), contract.time_zone))


def _line(right: ExitRight, standing: Standing) -> ExitLine:
    return ExitLine(
        objective=right.objective,
        party=right.party,
        needed=right.missed,
        of_periods=right.of_periods,
        remedy=right.remedy,
        standing=standing,
        missed=(),
        open=(),
        trigger=right.trigger,
        days=right.days,
        op=right.op,
    )


def _arisen(
    case: Case, right: ExitRight, line: ExitLine, at_s: int, batch: Batch | None = None
) -> ExitLine:
    """With the instant, and what the right is worth then."""
    amount, contract = None, case.newest
    if right.flat_pct:
        base = base_of(contract, right, batch, at_s, case.service(contract))
        amount = f"{money(base * right.flat_pct / 100, contract.rounding):f}"
    return replace(line, arose=instant_text(at_s), amount=amount)


def _seconds(text: str) -> int:
    return read_instant_us(text) // MICROSECONDS


def _verdicts(objective: str | None, parts: Sequence[Part]) -> set[Verdict]:
    lines = [line for part in parts for line in _judged_lines(part)]
    found = {line.verdict for line in lines if line.objective == objective}
    return {Verdict[name] for name in found - {SO_FAR}}


def _judged_lines(part: Part) -> Iterator[UnitLine | ProbeLine]:
    yield from part.units
    yield from part.probes
