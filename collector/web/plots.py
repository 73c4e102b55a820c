"""Readings over time, as coordinates for an SVG that `plots.html` draws. Pure.

Across, a plot is as wide as its page: its lines lie in a box of WIDTH by HEIGHT that is stretched, its words do not.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import groupby, pairwise
from types import MappingProxyType

from collector.documents.spelling import local
from collector.web.quantities import number, quantity, scale
from weighbridge.contract.zone_data import time_zone

WIDTH, HEIGHT = 1000, 100
COLUMNS = 500
"""More points than that are drawn as the least and the most of each column."""

ACROSS, ALONG = 5, 6
"""The most ticks of an axis."""

_DAY = 24 * 60
_STEPS = (
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    180,
    360,
    720,
    _DAY,
    2 * _DAY,
    7 * _DAY,
    28 * _DAY,
    91 * _DAY,
)
"""In minutes of the clock."""

_EPOCH = datetime(1, 1, 1)  # noqa: DTZ001 - of the clock on the wall, whatever its zone; a Monday

_LEAST_TOPS: Mapping[str, int] = MappingProxyType({"percent": 100, "permyriad": 10_000})
"""Shares are drawn against all of it."""


@dataclass(frozen=True, slots=True)
class Point:
    """What was seen from an instant on: the least and the most; None where there was no value, and `reason` why not."""

    at_us: int
    low: int | None
    high: int | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """One line, its points by time. Between two that are more than `joined_us` apart, nothing was seen."""

    name: str
    points: Sequence[Point]
    joined_us: int


@dataclass(frozen=True, slots=True)
class Band:
    """A stretch that is marked: `kind` is a state of the ledger, or `maintenance`; `title` says which it is."""

    start_us: int
    end_us: int
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class PlotBox:
    """A band, or a gap in what was seen with the reasons that were told, across the box."""

    kind: str
    x: float
    width: float
    title: str
    reasons: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PlotLine:
    """A series: a path for each stretch that was seen without a gap; `least` and `most` as people write them."""

    name: str
    paths: Sequence[str]
    least: str
    most: str


@dataclass(frozen=True, slots=True)
class PlotTick:
    """A mark of an axis: `place` is of WIDTH, or of HEIGHT from the top."""

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Nothing was seen at all where `lines` have no paths: then the one gap says why."""

    unit: str
    start: str
    end: str
    lines: Sequence[PlotLine]
    bands: Sequence[PlotBox]
    gaps: Sequence[PlotBox]
    across: Sequence[PlotTick]
    along: Sequence[PlotTick]

    @property
    def empty(self) -> bool:
        return not any(line.paths for line in self.lines)


def plot(
    series: Sequence[Series],
    start_us: int,
    end_us: int,
    zone: str,
    unit: str,
    bands: Sequence[Band] = (),
) -> Plot:
    """Readings of one unit of the catalogue over [start_us, end_us), with times of a zone. The axis begins at nothing,
    or at what is less."""
    box = _Box(start_us, end_us, *_reach(series, unit))
    name, size = scale(unit, max(box.top, -box.bottom))
    marked = (PlotBox(one.kind, *box.stretch(one.start_us, one.end_us), one.title) for one in bands)
    return Plot(
        unit=name,
        start=local(start_us, zone),
        end=local(end_us, zone),
        lines=[_line(one, box, unit) for one in series],
        bands=[one for one in marked if one.width > 0],
        gaps=list(_gaps(series, box, zone)),
        across=[PlotTick(box.y(at), number(Fraction(at, size))) for at in box.marks],
        along=list(_along(box, zone)),
    )


@dataclass(frozen=True, slots=True)
class _Box:
    start_us: int
    end_us: int
    bottom: int
    top: int
    marks: Sequence[int]

    def x(self, at_us: int) -> float:
        inside = min(max(at_us, self.start_us), self.end_us)
        return round(WIDTH * (inside - self.start_us) / max(self.end_us - self.start_us, 1), 2)

    def y(self, value: int) -> float:
        return round(HEIGHT * (self.top - value) / (self.top - self.bottom), 2)

    def stretch(self, start_us: int, end_us: int) -> tuple[float, float]:
        return self.x(start_us), round(self.x(end_us) - self.x(start_us), 2)

    def holds(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us


def _reach(series: Sequence[Series], unit: str) -> tuple[int, int, Sequence[int]]:
    """Bottom and top of the axis, and its marks, in the unit."""
    seen = [value for one in series for point in one.points for value in (point.low, point.high)]
    values = [value for value in seen if value is not None]
    least, most = min([0, *values]), max([_LEAST_TOPS.get(unit, 0), *values])
    size = scale(unit, max(most, -least))[1]
    step = _step(Fraction(max(most - least, 1), size), size)
    first, last = least // step, -(-most // step)
    marks = [step * count for count in range(first, max(last, first + 1) + 1)]
    return marks[0], marks[-1], marks


def _step(reach: Fraction, size: int) -> int:
    """1, 2 or 5 times a power of ten of what is shown, so that there are at most ACROSS; never a part of the unit."""
    wanted = reach / ACROSS
    power = Fraction(10) ** math.floor(math.log10(wanted))
    nice = next(one for one in (1, 2, 5, 10) if one * power >= wanted)
    return max(int(nice * power * size), 1)


def _line(one: Series, box: _Box, unit: str) -> PlotLine:
    inside = [point for point in one.points if box.holds(point.at_us)]
    drawn = _columns(inside, box) if len(inside) > COLUMNS else inside
    runs = list(_runs(drawn, one.joined_us))
    lows = [point.low for run in runs for point in run if point.low is not None]
    highs = [point.high for run in runs for point in run if point.high is not None]
    least, most = (quantity(min(lows), unit), quantity(max(highs), unit)) if lows else ("", "")
    return PlotLine(one.name, [_path(run, box) for run in runs], least, most)


def _columns(points: Sequence[Point], box: _Box) -> Iterator[Point]:
    """The least and the most of each column, and where there was no value in it."""

    def place(point: Point) -> tuple[int, bool]:
        return int(box.x(point.at_us) * COLUMNS) // WIDTH, point.low is None

    for (_, missing), held in groupby(points, place):
        group = list(held)
        lows = [point.low for point in group if point.low is not None]
        highs = [point.high for point in group if point.high is not None]
        if missing:
            yield group[0]
        else:
            yield Point(group[0].at_us, min(lows), max(highs))


def _runs(points: Iterator[Point] | Sequence[Point], joined_us: int) -> Iterator[list[Point]]:
    """Stretches without a gap."""
    run: list[Point] = []
    for point in points:
        if run and (point.low is None or point.at_us - run[-1].at_us > joined_us):
            yield run
            run = []
        if point.low is not None:
            run.append(point)
    if run:
        yield run


def _path(run: Sequence[Point], box: _Box) -> str:
    """Along the most and back along the least: a line where they are the same, a dot where there is one instant."""
    upper = [f"{box.x(point.at_us)} {box.y(point.high or 0)}" for point in run]
    lower = [f"{box.x(point.at_us)} {box.y(point.low or 0)}" for point in run]
    back = [] if upper == lower and len(run) > 1 else lower[::-1]
    return "M" + "L".join(upper + back) + ("Z" if back else "")


def _gaps(series: Sequence[Series], box: _Box, zone: str) -> Iterator[PlotBox]:
    """Where no series has a value."""
    joined_us = max((one.joined_us for one in series), default=0)
    points = [point for one in series for point in one.points if box.holds(point.at_us)]
    seen = {point.at_us for point in points if point.low is not None}
    without = [one for one in points if one.low is None and one.at_us not in seen]
    for start_us, end_us in pairwise([box.start_us, *sorted(seen), box.end_us]):
        between = [one for one in without if start_us <= one.at_us < end_us]
        if end_us - start_us > joined_us or between:
            x, width = box.stretch(start_us, end_us)
            title = f"{local(start_us, zone)} – {local(end_us, zone)}"
            reasons = sorted({one.reason for one in between if one.reason})
            yield PlotBox("gap", x, width, title, reasons)


def _along(box: _Box, zone: str) -> Iterator[PlotTick]:
    """Marks at full minutes, hours or days of the clock of the zone: the date at midnight, else the time of day."""
    wall = time_zone(zone)
    minutes = (box.end_us - box.start_us) / 60_000_000
    step = next((one for one in _STEPS if minutes / one <= ALONG), _STEPS[-1])
    begin = datetime.fromtimestamp(box.start_us / 1_000_000, wall).replace(tzinfo=None)
    count = (begin - _EPOCH) // timedelta(minutes=step)
    for place in range(count, count + math.ceil(minutes / step) + 2):
        at = _EPOCH + timedelta(minutes=place * step)
        at_us = int(at.replace(tzinfo=wall).timestamp()) * 1_000_000
        exists = datetime.fromtimestamp(at_us // 1_000_000, wall).replace(tzinfo=None) == at
        if exists and box.holds(at_us):
            midnight = (at.hour, at.minute) == (0, 0)
            yield PlotTick(box.x(at_us), f"{at:%m-%d}" if midnight else f"{at:%H:%M}")
