"""Capacity over time: what was contracted, what was healthy, and what was missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.settlement.intervals import Interval, Intervals, clip, depth
from weighbridge.settlement.periods import HOUR_S


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


@dataclass(frozen=True, slots=True)
class Metered:
    """GPUs billed by the hour. `unbilled`: the price of their unhealthy time."""

    service_s: int
    gross: Fraction
    unbilled: Fraction

    @property
    def net(self) -> Fraction:
        return self.gross - self.unbilled


def metered(
    nodes: int, per_node: int, hour_price: Fraction, service_s: int, down_gpu_s: int
) -> Metered:
    """From whole seconds to money in one step: never from rounded hours. `down_gpu_s`: not billed."""
    price = hour_price / HOUR_S
    return Metered(service_s, price * nodes * per_node * service_s, price * down_gpu_s)
