"""An objective over a window that moves: when it is missed, and when it is worst."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from weighbridge.settlement.intervals import Interval, Intervals, depth

Breach = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Worst:
    """The first instant at which the window holds the most bad time (unit-seconds where there are several units)."""

    at_s: int
    window_s: int
    bad_s: int


class Rolling:
    """Bad time of some units together in (t - window, t]: a broken line over t, whose corners decide everything."""

    def __init__(self, bad: Sequence[Intervals], window_s: int) -> None:
        self.window_s = window_s
        self._levels = depth(bad)
        self._starts = [start for (start, _), _ in self._levels]
        self._before = [0]
        for (start, end), units in self._levels:
            self._before.append(self._before[-1] + (end - start) * units)

    def bad_within_s(self, instant: int) -> int:
        """Bad time in the window that ends at an instant."""
        return self._bad_until_s(instant) - self._bad_until_s(instant - self.window_s)

    def _bad_until_s(self, instant: int) -> int:
        index = bisect_right(self._starts, instant)
        if index == 0:
            return 0
        (start, end), units = self._levels[index - 1]
        return self._before[index - 1] + (min(end, instant) - start) * units

    def _corners(self, evaluated: Interval) -> list[tuple[int, int]]:
        edges = {edge for pair, _ in self._levels for edge in pair}
        edges |= {edge + self.window_s for edge in edges}
        inside = {edge for edge in edges if evaluated[0] < edge < evaluated[1]}
        return [(corner, self.bad_within_s(corner)) for corner in sorted({*evaluated, *inside})]

    def worst(self, evaluated: Interval) -> Worst:
        """Over the windows that end in an interval, both of its ends taken in."""
        at, bad = max(self._corners(evaluated), key=lambda corner: (corner[1], -corner[0]))
        return Worst(at, self.window_s, bad)

    def breaches(self, allowed: Fraction, evaluated: Interval) -> Iterator[Breach]:
        """The stretches of the interval in which the window holds more bad time than is allowed, exact."""
        since: Fraction | None = None
        for (t0, bad0), (t1, bad1) in pairwise(self._corners(evaluated)):
            if bad0 > allowed and since is None:
                since = Fraction(t0)
            if bad0 <= allowed < bad1:
                since = _crossing_s(t0, bad0, t1, bad1, allowed)
            elif bad0 > allowed >= bad1 and since is not None:
                yield (since, _crossing_s(t0, bad0, t1, bad1, allowed))
                since = None
        if since is not None:
            yield (since, Fraction(evaluated[1]))


def _crossing_s(t0: int, bad0: int, t1: int, bad1: int, allowed: Fraction) -> Fraction:
    return t0 + (allowed - bad0) * Fraction(t1 - t0, bad1 - bad0)
