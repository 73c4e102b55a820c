"""What the answers of all families share: totals, flags, and a month for comparison."""

from fractions import Fraction
from typing import Any

from tests.weighbridge.sla.reading import Json
from weighbridge.settlement.intervals import Intervals
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.results import Settlement

LONG_AFTER_S = 4_000_000_000


def total_of(amounts: list[Any]) -> Fraction | None:
    """Of amounts that are rounded already; one that the contract does not give leaves no total."""
    return (
        None
        if any(amount is None for amount in amounts)
        else sum(map(Fraction, amounts), Fraction(0))
    )


def summed(settlements: list[Settlement], rows: list[Json]) -> Json:
    """Results with the total and the flags of the settlements that they come from."""
    total = total_of([settled.highest for settled in settlements])
    flags = {flag for settled in settlements for flag in settled.flags}
    return {"results": rows, "total_credit": total, "flags": sorted(flags)}


def in_month(down: Intervals, label: str, zone: str) -> Fraction:
    """Availability of a whole calendar month with these outages and nothing else."""
    month = calendar_month(label, zone)
    bad = sum(max(0, min(end, month.end_s) - max(start, month.start_s)) for start, end in down)
    return 1 - Fraction(bad, month.seconds)
