"""What outages held time makes: each stretch of it, as a whole, was bad or not, and each way to choose is a reading.

More bad time is not always worth more: a stretch between two outages makes one of them. So the most and the least that
outages are worth over all readings lie anywhere between all of it and none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, TypeVar

from weighbridge.settlement.intervals import Interval, Intervals, merge, subtraction

Judged = Callable[[Interval], tuple[Fraction | int, int]]
"""What an outage is worth, and its bad time."""

Piece = tuple[Interval, bool]
"""Bad time, and whether it is so in every reading."""

MOST_READINGS = 50
"""Beyond these, one stands for all: it is worth what the best of them is, with the bad time of the longest."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Outages up to some piece, the last one first: what they are worth together, and their bad time."""

    worth: Fraction | int
    bad_s: int = 0
    last: Interval | None = None
    before: "Reading | None" = None

    def outages(self) -> tuple[Interval, ...]:
        """In order of time."""
        found: list[Interval] = []
        reading: Reading | None = self
        while reading is not None:
            found += [] if reading.last is None else [reading.last]
            reading = reading.before
        return tuple(found[::-1])


class Weighed(Protocol):
    """What is worth something, by bad time."""

    @property
    def worth(self) -> Fraction | int: ...
    @property
    def bad_s(self) -> int: ...


Some = TypeVar("Some", bound=Weighed)


def unbeaten(readings: Iterable[Some], *, most: bool) -> list[Some]:
    """Those that no other beats in worth and equals in bad time, or the other way round: the best by worth first."""
    sign = 1 if most else -1
    kept: list[Some] = []
    for one in sorted(readings, key=lambda one: (sign * one.worth, one.bad_s), reverse=True):
        if not kept or one.bad_s > kept[-1].bad_s:
            kept.append(one)
    return kept


def cut(intervals: Intervals, edges: Iterable[int]) -> Intervals:
    """The same time, cut at these instants: pieces may touch."""
    inside = sorted(edges)
    pieces: list[Interval] = []
    for start, end in intervals:
        stops = [start, *(edge for edge in inside if start < edge < end), end]
        pieces += pairwise(stops)
    return tuple(pieces)


def readings(
    sure: Intervals, held: Intervals, gap: int, judged: Judged, *, most: bool
) -> list[Reading]:
    """Those of which no other is worth more, or less, with as much bad time or more; the best by worth first.

    `held`: stretches in order, apart from `sure`. Outages at most `gap` apart are one, as they are judged.
    """
    known = merge(sure, gap)
    pieces = sorted(
        [*((one, True) for one in known), *((one, False) for one in subtraction(held, known))]
    )
    found = [Reading(0)]
    for group in _groups(pieces, gap):
        found = _with_group(found, group, gap, judged, most=most)
    return found


def _groups(pieces: Sequence[Piece], gap: int) -> Iterator[list[Piece]]:
    """Those that could be one outage."""
    group: list[Piece] = []
    for piece in pieces:
        if group and piece[0][0] - group[-1][0][1] > gap:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _with_group(
    start: list[Reading], group: list[Piece], gap: int, judged: Judged, *, most: bool
) -> list[Reading]:
    """Of each piece the readings that end with it: an outage from a piece on, and readings before that."""
    ends: list[list[Reading]] = []
    befores: list[list[Reading]] = []
    for place, ((begun, end), _) in enumerate(group):
        befores.append(_before(group, place, begun - gap, start, ends, most=most))
        found: list[Reading] = []
        for first, before in enumerate(befores):
            if before:
                outage = (group[first][0][0], end)
                worth, bad_s = judged(outage)
                found += [
                    Reading(one.worth + worth, one.bad_s + bad_s, outage, one) for one in before
                ]
        ends.append(_few(found, most=most))
    return _before(group, len(group), group[-1][0][1] + 1, start, ends, most=most)


def _before(
    group: list[Piece],
    place: int,
    until: int,
    start: list[Reading],
    ends: list[list[Reading]],
    *,
    most: bool,
) -> list[Reading]:
    """The readings that end before an instant, with no piece between that is sure."""
    found: list[Reading] = []
    for last in range(place - 1, -1, -1):
        (_, end), sure = group[last]
        if end < until:
            found += ends[last]
        if sure:
            break
    else:
        found += start
    return _few(found, most=most)


def _few(found: Iterable[Reading], *, most: bool) -> list[Reading]:
    kept = unbeaten(found, most=most)
    return kept if len(kept) <= MOST_READINGS else [replace(kept[0], bad_s=kept[-1].bad_s)]
