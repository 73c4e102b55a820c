"""An objective over a window that moves: when it is missed, and when it is worst."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.settlement.intervals import Intervals

Breach = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Worst:
    """The first instant at which the window holds the most bad time."""

    at_s: int
    window_s: int
    bad_s: int

    @property
    def availability(self) -> Fraction:
        return 1 - Fraction(self.bad_s, self.window_s)


class Rolling:
    """Bad time in (t - window, t], which is a broken line over t: its corners decide everything."""

    def __init__(self, bad: Intervals, window_s: int) -> None:
        self.window_s = window_s
        self.bad = bad
        corners = {edge for pair in bad for edge in pair}
        corners |= {edge + window_s for edge in corners}
        self.corners = [(corner, self._within(corner)) for corner in sorted(corners)]

    def _within(self, instant: int) -> int:
        low = instant - self.window_s
        return sum(max(0, min(end, instant) - max(start, low)) for start, end in self.bad)

    def worst(self) -> Worst | None:
        """None where nothing was bad."""
        if not self.corners:
            return None
        at, bad = max(self.corners, key=lambda corner: (corner[1], -corner[0]))
        return Worst(at, self.window_s, bad)

    def breaches(self, target: Fraction) -> Iterator[Breach]:
        """The stretches in which the window holds more bad time than the target allows, exact."""
        allowed = (1 - target) * self.window_s
        since: Fraction | None = None
        for (t0, bad0), (t1, bad1) in zip(self.corners, self.corners[1:], strict=False):
            slope = Fraction(bad1 - bad0, t1 - t0)
            if bad0 <= allowed < bad1:
                since = t0 + (allowed - bad0) / slope
            elif bad0 > allowed >= bad1 and since is not None:
                yield (since, t0 + (allowed - bad0) / slope)
                since = None
