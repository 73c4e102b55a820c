"""The period that a label names, under an amended contract: each end is where the version in force there has it.

An amendment may move the zone or the term, and so the borders of periods. What ended before it took effect stays cut as
it was, and neighbouring periods still touch.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from weighbridge.claims import Version
from weighbridge.contract import Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.periods import (
    Period,
    calendar_month,
    calendar_year,
    contract_month,
    contract_months,
    months_later,
    term_of,
)

MONTH, YEAR = len("2026-10"), len("2026")


def named(contract: Contract, label: str) -> Period:
    """`2026-10`, `2026`, or `2026-10-05` for the month of the contract that starts then. Raises ValueError."""
    zone = contract.time_zone
    match len(label):
        case 7:  # a month
            return calendar_month(label, zone)
        case 4:  # a year
            return calendar_year(label, zone)
        case _:
            return contract_month(label, zone, term_of(contract))


def cut(versions: Sequence[Version], label: str) -> Period:
    """`versions`: of one contract, the newest last. Raises ValueError where none of them knows the label."""
    found = [(version, period) for version in versions if (period := _known(version, label))]
    if not found:
        return named(versions[-1].contract, label)
    start_s = _in_force([(version, period.start_s) for version, period in found])
    end_s = _in_force([(version, period.end_s) for version, period in found])
    return Period(label, start_s, end_s)


def promised(versions: Sequence[Version], period: Period) -> bool:
    """Whether some of a period lies in the term of one of these versions."""
    terms = [term_of(version.contract) for version in versions]
    return any(start_s < period.end_s and period.start_s < end_s for start_s, end_s in terms)


def ruling(versions: Sequence[Version], period: Period) -> Sequence[Version]:
    """Those that were in force by the end of a period; the first, where none was. What comes later changes nothing."""
    begun = [version for version in versions if version.from_us < period.end_s * MICROSECONDS]
    return begun or versions[:1]


def label_before(contract: Contract, label: str) -> str | None:
    """The label of the period before; None where the contract has none."""
    if len(label) == MONTH:
        return f"{months_later(date.fromisoformat(f'{label}-01'), -1):%Y-%m}"
    if len(label) == YEAR:
        return f"{int(label) - 1:04}"
    months = contract_months(contract.time_zone, term_of(contract))
    earlier = [month.label for month in months if month.label < label]
    return earlier[-1] if earlier else None


def periods_before(contract: Contract, period: Period, since_s: int) -> Iterator[Period]:
    """Those before a period, the latest first, as far back as an instant; none before one that no label names."""
    try:
        named(contract, period.label)
    except ValueError:
        return
    label = label_before(contract, period.label)
    while label is not None and period.start_s > since_s:
        period = named(contract, label)
        yield period
        label = label_before(contract, label)


def _known(version: Version, label: str) -> Period | None:
    try:
        return named(version.contract, label)
    except ValueError:
        return None


def _in_force(edges: Sequence[tuple[Version, int]]) -> int:
    """The edge of the newest version that was in force when its edge came; else of the oldest."""
    for version, edge_s in reversed(edges):
        if version.from_us <= edge_s * MICROSECONDS:
            return edge_s
    return edges[0][1]
