"""Capacity over time: what was contracted, what was healthy, and what was missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.settlement.intervals import Interval, Intervals, clip, depth


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Missing capacity of a period, in capacity-seconds."""

    contracted: Fraction
    served_s: int
    missing: Fraction

    @property
    def availability(self) -> Fraction:
        """Delivered over contracted; surplus at one time makes up for nothing at another."""
        due = self.contracted * self.served_s
        return 1 - self.missing / due if due else Fraction(1)


def shortfall(
    contracted: Fraction,
    per_unit: Fraction,
    units: int,
    down: Iterable[Intervals],
    served: Interval,
) -> Shortfall:
    """`down`: the bad time of each unit of `units` that has any."""
    levels = depth(clip(intervals, served) for intervals in down)
    missing = _missing(contracted, per_unit * units) * (served[1] - served[0])
    idle = _missing(contracted, per_unit * units)
    for (start, end), bad in levels:
        missing += (_missing(contracted, per_unit * (units - bad)) - idle) * (end - start)
    return Shortfall(contracted, served[1] - served[0], missing)


def _missing(contracted: Fraction, healthy: Fraction) -> Fraction:
    return max(Fraction(0), contracted - healthy)
