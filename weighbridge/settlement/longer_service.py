"""Lost time that makes the term longer, in place of money: of each unit by its counted time, and of late batches."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from weighbridge.contract import Contract
from weighbridge.contract.remedies import LongerService
from weighbridge.settlement.case import Case
from weighbridge.settlement.credits import steps_in
from weighbridge.settlement.damages import days_late
from weighbridge.settlement.exits import came
from weighbridge.settlement.periods import (
    DAY_S,
    Period,
    day_start,
    instant_text,
    local_date,
    periods_within,
    term_of_s,
)
from weighbridge.settlement.remedy_lines import LongerLine
from weighbridge.settlement.statement import Statement
from weighbridge.verdict import Verdict

Seconds = tuple[int, int]
"""At least, and at most."""


@dataclass(frozen=True, slots=True)
class Added:
    """What a period adds to the term of a unit: the lost time, and what it is worth."""

    lost: Seconds
    longer: Seconds


def periods_since(contract: Contract, period: Period) -> list[Period]:
    """The periods before that made the term longer, in order of time."""
    found: dict[str, Period] = {}
    for terms in contract.longer_service:
        since_s = _since_s(contract, terms)
        for promise in contract.availability:
            kind = contract.judged_over(promise)
            if promise.id == terms.objective and kind == period.kind:
                every = periods_within(kind, contract, since_s, period.start_s)
                found |= {one.label: one for one in every if one.start_s < period.start_s}
    return sorted(found.values(), key=lambda one: one.start_s)


def longer_service(
    case: Case, drafted: Statement, earlier: Sequence[Statement]
) -> Iterator[LongerLine]:
    """A line for each unit whose term is longer, now or from before. `earlier`: those that `periods_since` names."""
    contract = case.newest
    known = {one.period: one for one in earlier}
    before = periods_since(contract, case.period)
    for terms in contract.longer_service:
        if terms.trigger == "late_delivery":
            yield from _of_batches(case, terms)
            continue
        if not any(
            line.objective == terms.objective for part in drafted.parts for line in part.units
        ):
            continue
        mine = [one for one in before if one.end_s > _since_s(contract, terms)]
        told = [known[one.label] for one in mine if one.label in known]
        open_ = tuple(one.label for one in mine if one.label not in known)
        now = _added(terms, drafted) if case.period.end_s > _since_s(contract, terms) else {}
        sums = [now, *(_added(terms, one) for one in told)]
        for unit in dict.fromkeys(name for one in sums for name in one):
            here = now.get(unit, Added((0, 0), (0, 0)))
            every = [one[unit].longer for one in sums if unit in one]
            total = _within(terms, (sum(one[0] for one in every), sum(one[1] for one in every)))
            if total[1]:
                yield _line(case, terms, unit, here, total, open_)


def _since_s(contract: Contract, terms: LongerService) -> int:
    begins_s = term_of_s(contract)[0]
    if terms.since is None:
        return begins_s
    return max(begins_s, day_start(terms.since, contract.time_zone))


def _added(terms: LongerService, statement: Statement) -> dict[str, Added]:
    """By unit, of the parts of a period together. What is judged in another period's statement adds nothing here."""
    lost: dict[str, Seconds] = {}
    for line in (line for part in statement.parts for line in part.units):
        judged = Verdict.__members__.get(line.verdict)
        if line.objective == terms.objective and judged is not None:
            always = terms.owed_when == "below_threshold"
            least = line.counted_seconds[0] * (always or judged is Verdict.BREACHED)
            most = line.counted_seconds[1] * (always or judged is not Verdict.MET)
            known = lost.get(line.unit, (0, 0))
            lost[line.unit] = (known[0] + least, known[1] + most)
    return {
        unit: Added(seconds, (_worth(terms, seconds[0]), _worth(terms, seconds[1])))
        for unit, seconds in lost.items()
    }


def _worth(terms: LongerService, seconds: int) -> int:
    """A part of a second counts for nothing, and a part of a day as the terms say."""
    exact = seconds * terms.multiple
    if terms.whole_days is None:
        return int(exact)
    return steps_in(exact, DAY_S, terms.whole_days) * DAY_S


def _within(terms: LongerService, seconds: Seconds) -> Seconds:
    most = None if terms.most_days is None else terms.most_days * DAY_S
    return seconds if most is None else (min(seconds[0], most), min(seconds[1], most))


def _of_batches(case: Case, terms: LongerService) -> Iterator[LongerLine]:
    """Of each batch that came late by the end of the period, its days late; of one that came before the first day that
    counts, none."""
    contract = case.newest
    since_s = None if terms.since is None else _since_s(contract, terms)
    for batch in (batch for item in contract.resources for batch in item.delivery):
        at_s = came(case, batch)
        if at_s is None or at_s >= case.period.end_s or (since_s is not None and at_s < since_s):
            continue
        done = local_date(at_s, contract.time_zone)
        days = days_late(terms, batch.due, done, contract.calendar)
        lost = (days[0] * DAY_S, days[1] * DAY_S)
        total = _within(terms, (_worth(terms, lost[0]), _worth(terms, lost[1])))
        if total[1]:
            new = at_s >= case.period.start_s
            here = Added(lost, total) if new else Added((0, 0), (0, 0))
            yield _line(case, terms, batch.id, here, total, ())


def _line(
    case: Case,
    terms: LongerService,
    unit: str,
    here: Added,
    total: Seconds,
    open_: Iterable[str],
) -> LongerLine:
    ends_s = case.service(case.newest)[1]
    return LongerLine(
        id=terms.id,
        unit=unit,
        lost_seconds=here.lost,
        longer_seconds=here.longer,
        total_seconds=total,
        until=(instant_text(ends_s + total[0]), instant_text(ends_s + total[1])),
        open=tuple(open_),
    )
