"""The period that a label names, under an amended contract: each end is where the version in force there has it.

An amendment may move the zone or the term, and so the borders of periods. What ended before it took effect stays cut as
it was, and neighbouring periods still touch.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil

from weighbridge.contract import Contract
from weighbridge.contract.money import OutageMultiple, PerEvent
from weighbridge.contract.objectives import MONTHS, PeriodKind
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Version
from weighbridge.settlement.periods import (
    DAY_S,
    HOUR_S,
    OF_CONTRACT,
    Period,
    calendar_label,
    calendar_period,
    kind_of,
    local_date,
    months_later,
    periods_of_term,
    term_of_s,
)

SPOKEN = {"contract_month": "month", "contract_quarter": "quarter", "contract_year": "year"}


def named(contract: Contract, label: str) -> Period:
    """`2026-10`, `2026-Q4`, `2026`; of the contract `2026-10-05` for the month that starts then, `2026-10-05-Q` for the
    quarter, `2026-10-05-Y` for the year. Raises ValueError."""
    kind, zone = kind_of(label), contract.time_zone
    if kind is None:
        raise ValueError(f"{label!r} is no period such as 2026-10, 2026-Q4, 2026 or 2026-10-05")
    if kind in OF_CONTRACT:
        for period in periods_of_term(kind, contract):
            if period.label == label:
                return period
        raise ValueError(f"no {SPOKEN[kind]} of this contract starts on {label!r}")
    period = calendar_period(kind, label, zone)
    if contract.joins(kind):
        return _joined(contract, kind, period)
    return period


def _joined(contract: Contract, kind: PeriodKind, period: Period) -> Period:
    """With what is part of it. Raises ValueError for one that is part of another."""
    for one in periods_of_term(kind, contract):
        if one.start_s <= period.start_s < one.end_s:
            if one.label != period.label:
                raise ValueError(f"{period.label} is incomplete, and part of {one.label}")
            return one
    return period


def cut(versions: Sequence[Version], label: str) -> Period:
    """`versions`: of one contract, the newest last. Raises ValueError where none of them knows the label."""
    found = [(version, period) for version in versions if (period := _known(version, label))]
    if not found:
        return named(versions[-1].contract, label)
    start_s = _edge_in_force_s([(version, period.start_s) for version, period in found])
    end_s = _edge_in_force_s([(version, period.end_s) for version, period in found])
    return Period(label, start_s, end_s)


def promised(versions: Sequence[Version], period: Period) -> bool:
    """Whether some of a period lies in the term of one of these versions."""
    terms = [term_of_s(version.contract) for version in versions]
    return any(start_s < period.end_s and period.start_s < end_s for start_s, end_s in terms)


def ruling(versions: Sequence[Version], period: Period) -> Sequence[Version]:
    """Those that were in force by the end of a period; the first, where none was. What comes later changes nothing."""
    begun = [version for version in versions if version.from_us < period.end_s * MICROSECONDS]
    return begun or versions[:1]


def label_before(contract: Contract, label: str) -> str | None:
    """The label of the period before; None where the contract has none."""
    return _label_beside(contract, label, -1)


def label_after(contract: Contract, label: str) -> str | None:
    """The label of the period after; None where the contract has none."""
    return _label_beside(contract, label, 1)


def _label_beside(contract: Contract, label: str, step: int) -> str | None:
    kind = kind_of(label)
    if kind is None:
        return None
    if kind not in OF_CONTRACT and not contract.joins(kind):
        day = local_date(named(contract, label).start_s, contract.time_zone)
        return calendar_label(kind, months_later(day, step * MONTHS[kind]))
    labels = [one.label for one in periods_of_term(kind, contract)]
    place = labels.index(label) + step if label in labels else -1
    return labels[place] if 0 <= place < len(labels) else None


def periods_around(contract: Contract, period: Period, margin_s: int) -> Iterator[Period]:
    """Those beside a period that lie within a margin of it; none beside one that no label names."""
    try:
        named(contract, period.label)
    except ValueError:
        return
    yield from _periods_before(contract, period, period.start_s - margin_s)
    yield from _periods_after(contract, period, period.end_s + margin_s)


def _periods_before(contract: Contract, period: Period, since_s: int) -> Iterator[Period]:
    while period.start_s > since_s:
        label = label_before(contract, period.label)
        if label is None:
            return
        period = named(contract, label)
        yield period


def _periods_after(contract: Contract, period: Period, until_s: int) -> Iterator[Period]:
    while period.end_s < until_s:
        label = label_after(contract, period.label)
        if label is None:
            return
        period = named(contract, label)
        yield period


def margin_s(contract: Contract) -> int:
    """How far beyond the borders of a period time matters: outages are judged whole, and a window may look back."""
    promises = contract.availability
    minimums = [one.counting.min_outage for one in promises]
    events = [one.longer_than_s for one in contract.credits if isinstance(one, PerEvent)]
    farthest = (
        [one.seconds for one in minimums if one is not None],
        [one.counting.merge_gap_s for one in promises],
        [one.first_n_s for one in promises if one.first_n_per == "outage"],
        [longer for longer in events if longer is not None],
        [_capped_s(one) for one in contract.credits if isinstance(one, OutageMultiple)],
        [one.window_s for one in promises if one.window_s is not None],
        [one.days * DAY_S for one in contract.exit_rights if one.days and one.trigger == "outage"],
    )
    return sum(max(lengths, default=0) for lengths in farthest)


def _capped_s(credit: OutageMultiple) -> int:
    """How long an outage is when its cap is reached."""
    hourly = Fraction(credit.hour_price) * credit.multiple
    if credit.incident_cap is None or hourly == 0:
        return 0
    return ceil(Fraction(credit.incident_cap) / hourly * HOUR_S)


def _known(version: Version, label: str) -> Period | None:
    try:
        return named(version.contract, label)
    except ValueError:
        return None


def _edge_in_force_s(edges: Sequence[tuple[Version, int]]) -> int:
    """The edge of the newest version that was in force when its edge came; else of the oldest."""
    for version, edge_s in reversed(edges):
        if version.from_us <= edge_s * MICROSECONDS:
            return edge_s
    return edges[0][1]
