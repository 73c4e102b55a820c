"""The most of all credits of a year or of the term: what earlier periods used of it, and what is left for this one.

What the earlier periods give is what their statements say as of the same instant, in order of time; a period belongs to
the year in which it begins.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import count

from weighbridge.codes import Flag
from weighbridge.contract import Contract
from weighbridge.contract.money import Limit
from weighbridge.settlement.credits import money
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import (
    Period,
    calendar_year,
    day_start,
    instant_text,
    local_date,
    months_later,
    periods_within,
    term_of_s,
)
from weighbridge.settlement.remedy_lines import LimitLine
from weighbridge.settlement.statement import Statement

UNKNOWN_USE: Flag = "limit_use_unknown"
CUT: Flag = "cap_applied"
YEAR = 12

Amounts = tuple[Fraction | None, Fraction | None]
"""Lowest and highest; None: nobody can say."""


@dataclass(frozen=True, slots=True)
class Limited:
    """What is left of the amounts of a period, how it came about, and what to look at."""

    lowest: str | None
    highest: str | None
    lines: tuple[LimitLine, ...] = ()
    flags: tuple[Flag, ...] = ()


def time_of(limit: Limit, contract: Contract, at_s: int) -> Interval:
    """The year, or the term, that a limit holds for at an instant."""
    zone, term = contract.time_zone, term_of_s(contract)
    if limit.per == "term":
        return term
    if limit.per == "calendar_year":
        return calendar_year(f"{local_date(at_s, zone):%Y}", zone).interval_s
    first = local_date(term[0], zone)
    for years in count():
        start_s, end_s = (
            day_start(months_later(first, YEAR * n), zone) for n in (years, years + 1)
        )
        if at_s < end_s:
            return (start_s if years else term[0], end_s)
    raise AssertionError


def periods_before(contract: Contract, period: Period) -> list[Period]:
    """Those that use of the same limits, in order of time: the last month of a year before that year."""
    limits = contract.stacking.limits
    if not limits or period.kind is None:
        return []
    since_s = min(time_of(one, contract, period.start_s)[0] for one in limits)
    kinds = {*contract.statements_over, period.kind}
    found = {
        one.label: one
        for kind in kinds
        for one in periods_within(kind, contract, since_s, period.end_s)
        if any(_shares(limit, contract, one, period) for limit in limits)
    }
    mine = _order(period)
    return sorted((one for one in found.values() if _order(one) < mine), key=_order)


def _order(period: Period) -> tuple[int, int]:
    return period.end_s, period.seconds


def _shares(limit: Limit, contract: Contract, one: Period, other: Period) -> bool:
    return _begins(limit, contract, one) == _begins(limit, contract, other)


def _begins(limit: Limit, contract: Contract, period: Period) -> int:
    """When the time of a limit begins to which a period belongs. A month that the term begins in is of the term."""
    start_s, end_s = term_of_s(contract)
    return time_of(limit, contract, min(max(period.start_s, start_s), end_s - 1))[0]


def under_limits(
    contract: Contract, drafted: Statement, period: Period, earlier: Sequence[Statement]
) -> Limited:
    """The amounts of a statement within the limits, the lowest as if earlier periods had used the most that they may
    have. Of a period whose statement is missing, or gives no answer, that is all there is."""
    limits = contract.stacking.limits
    if not limits:
        return Limited(drafted.lowest, drafted.highest)
    given = {one.period: (_exact(one.lowest), _exact(one.highest)) for one in earlier}
    before = [(one, given.get(one.label, (None, None))) for one in periods_before(contract, period)]
    least, most = _Used(contract), _Used(contract)
    for one, (low, high) in before:
        least.take(one, Fraction(0) if low is None else low)
        most.take(one, high)
    lines = tuple(_line(contract, limit, period, least, most, before) for limit in limits)
    low, high = _exact(drafted.lowest), _exact(drafted.highest)
    if low is None or high is None:
        return Limited(drafted.lowest, drafted.highest, lines)
    paid = (min(low, most.left(period)), min(high, least.left(period)))
    unknown = any(None in amounts for _, amounts in before) and high > 0
    flags: list[Flag] = [CUT] if paid != (low, high) else []
    flags += [UNKNOWN_USE] if unknown else []
    return Limited(_text(contract, paid[0]), _text(contract, paid[1]), lines, tuple(flags))


class _Used:
    """What is used of each limit, period after period."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self.of: dict[tuple[Limit, int], Fraction] = {}

    def take(self, period: Period, amount: Fraction | None) -> None:
        """`amount` None: nobody can say, so all that is left."""
        left = self.left(period)
        for place in self._places(period):
            self.of[place] = self.of.get(place, Fraction(0)) + (
                left if amount is None else min(amount, left)
            )

    def left(self, period: Period) -> Fraction:
        return min(
            most_of(limit) - self.of.get((limit, at), Fraction(0))
            for limit, at in self._places(period)
        )

    def _places(self, period: Period) -> list[tuple[Limit, int]]:
        limits = self._contract.stacking.limits
        return [(limit, _begins(limit, self._contract, period)) for limit in limits]


def most_of(limit: Limit) -> Fraction:
    """What a limit lets through."""
    found = [] if limit.amount is None else [Fraction(limit.amount)]
    found += [] if limit.pct is None else [Fraction(limit.base_amount or 0) * limit.pct / 100]
    return min(found)


def _line(
    contract: Contract,
    limit: Limit,
    period: Period,
    least: _Used,
    most: _Used,
    before: Iterable[tuple[Period, Amounts]],
) -> LimitLine:
    begins_s = _begins(limit, contract, period)
    start_s, end_s = time_of(limit, contract, begins_s)
    place = (limit, begins_s)
    used = (least.of.get(place, Fraction(0)), most.of.get(place, Fraction(0)))
    open_ = (
        one.label
        for one, amounts in before
        if None in amounts and _shares(limit, contract, one, period)
    )
    return LimitLine(
        per=limit.per,
        start=instant_text(start_s),
        end=instant_text(end_s),
        most=_text(contract, most_of(limit)),
        used=(_text(contract, used[0]), _text(contract, used[1])),
        open=tuple(open_),
    )


def _exact(amount: str | None) -> Fraction | None:
    return None if amount is None else Fraction(Decimal(amount))


def _text(contract: Contract, amount: Fraction) -> str:
    return f"{money(amount, contract.rounding):f}"
