"""What outages held time makes: each stretch of it, as a whole, was bad or not, and each way to choose is a reading.

More bad time is not always worth more: a stretch between two outages makes one of them. So the most and the least that
outages are worth over all readings lie anywhere between all of it and none.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TypeVar

from weighbridge.settlement.intervals import Interval, Intervals, merge, subtraction
from weighbridge.settlement.outage_values import OutageValue, worth_of

Piece = tuple[Interval, bool]
"""Bad time, and whether it is so in every reading."""

_Key = tuple[Fraction | int, int]
"""What a reading is worth, and which of two that are worth the same is taken."""

STAGES = 3
"""Of an outage: those of its values, from 0 on."""

MOST_READINGS = 50
"""Beyond these, one stands for all: it is worth what the best of them is, with the bad time of the longest."""

MOST_PIECES = 50
"""Beyond these, readings are not weighed by their bad time too: the best has the bad time of the longest."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What is worth something, by bad time: the most where it stands for others, and its own."""

    worth: Fraction | int = 0
    bad_s: int = 0
    own_bad_s: int = 0


@dataclass(frozen=True, slots=True)
class Reading(Weighed):
    """Outages up to some piece, the last one first."""

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

    def then(self, outage: Interval, worth: Fraction | int, bad_s: int) -> "Reading":
        """The same, and an outage after it."""
        return Reading(self.worth + worth, self.bad_s + bad_s, self.own_bad_s + bad_s, outage, self)


Some = TypeVar("Some", bound=Weighed)


@dataclass(frozen=True, slots=True)
class BadTimes:
    """The bad time of an outage. `parted`: by which outages apart may have more than one that covers all of them."""

    of: Callable[[Interval], int]
    parted: OutageValue | None = None


def unbeaten(readings: Iterable[Some], *, most: bool) -> list[Some]:
    """Those that no other beats in worth and equals in bad time, or the other way round: the best by worth first."""
    sign = 1 if most else -1
    kept: list[Some] = []
    for one in sorted(readings, key=lambda one: (sign * one.worth, one.bad_s), reverse=True):
        if not kept or one.bad_s > kept[-1].bad_s:
            kept.append(one)
    return kept


def few(found: Iterable[Some], *, most: bool) -> list[Some]:
    """The unbeaten, or one that stands for them where they are too many."""
    kept = unbeaten(found, most=most)
    return kept if len(kept) <= MOST_READINGS else [replace(kept[0], bad_s=kept[-1].bad_s)]


def cut(intervals: Intervals, edges: Iterable[int]) -> Intervals:
    """The same time, cut at these instants: pieces may touch."""
    inside = sorted(edges)
    pieces: list[Interval] = []
    for start, end in intervals:
        within = inside[bisect_right(inside, start) : bisect_left(inside, end)]
        pieces += pairwise([start, *within, end])
    return tuple(pieces)


def readings(
    sure: Intervals,
    held: Intervals,
    gap: int,
    value: OutageValue,
    bad: BadTimes | None = None,
    *,
    most: bool,
) -> list[Reading]:
    """Those of which no other is worth more, or less, with as much bad time or more; the best by worth first.

    `held`: stretches in order, apart from `sure`. Outages at most `gap` apart are one, as they are judged. Without
    `bad` no bad time is weighed.
    """
    known = merge(sure, gap)
    pieces = sorted(
        [*((one, True) for one in known), *((one, False) for one in subtraction(held, known))]
    )
    found = [Reading(0)]
    for group in _groups(pieces, gap):
        if bad is not None and len(pieces) <= MOST_PIECES:
            found = _with_group(found, group, gap, value, bad, most=most)
        else:
            found = [_best(found[0], group, gap, value, bad, most=most)]
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
    start: list[Reading],
    group: list[Piece],
    gap: int,
    value: OutageValue,
    bad: BadTimes,
    *,
    most: bool,
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
                worth, bad_s = worth_of(value, outage), bad.of(outage)
                found += [one.then(outage, worth, bad_s) for one in before]
        ends.append(few(found, most=most))
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
    return few(found, most=most)


class _Window:
    """The best of what was put in from a place on, which moves forward only."""

    def __init__(self) -> None:
        self._held: deque[tuple[int, _Key, Reading]] = deque()

    def put(self, place: int, key: _Key, reading: Reading) -> None:
        while self._held and self._held[-1][1] < key:
            self._held.pop()
        self._held.append((place, key, reading))

    def best(self, since: int) -> tuple[int, _Key, Reading] | None:
        while self._held and self._held[0][0] < since:
            self._held.popleft()
        return self._held[0] if self._held else None


class _Starts:
    """The beginnings of a group by the stage at which an outage from there to the end that is looked at is.

    As ends go on, beginnings go from stage to stage in their order. Of two that are worth the same the earlier counts.
    """

    def __init__(self, value: OutageValue, sign: int) -> None:
        self._value, self._sign = value, sign
        self._from: list[tuple[int, Reading | None]] = []
        self._passed = [0] * (STAGES + 1)
        self._kinds: list[dict[int, _Window]] = [defaultdict(_Window) for _ in range(STAGES)]

    def add(self, begun_s: int, before: Reading | None) -> None:
        self._from.append((begun_s, before))

    def best(self, end_s: int) -> Reading:
        """The best that ends with an outage up to here."""
        for stage in range(STAGES):
            self._pass(stage, end_s)
        _, first, before = max(self._each(end_s), key=lambda one: one[0])
        outage = (self._from[first][0], end_s)
        return before.then(outage, worth_of(self._value, outage), 0)

    def _pass(self, stage: int, end_s: int) -> None:
        for place in range(self._passed[stage], len(self._from)):
            begun_s, before = self._from[place]
            if stage and self._value.stage(begun_s, end_s) < stage:
                return
            self._passed[stage] = place + 1
            if before is not None:
                kind, part = self._value.opened(stage, begun_s) if stage else (0, 0)
                key = (self._sign * (before.worth + part), -place)
                self._kinds[stage][kind].put(place, key, before)

    def _each(self, end_s: int) -> Iterator[tuple[_Key, int, Reading]]:
        for stage, kinds in enumerate(self._kinds):
            for kind, window in kinds.items():
                found = window.best(self._passed[stage + 1])
                if found is not None:
                    place, (worth, order), before = found
                    part = self._value.closed(stage, kind, end_s) if stage else 0
                    yield (worth + self._sign * part, order), place, before


def _best(
    start: Reading,
    group: Sequence[Piece],
    gap: int,
    value: OutageValue,
    bad: BadTimes | None,
    *,
    most: bool,
) -> Reading:
    """The best by worth alone, with no look at each pair of pieces: as many steps as there are."""
    sign = 1 if most else -1
    starts, befores, ends = _Starts(value, sign), _Window(), deque[tuple[int, int, Reading]]()
    befores.put(-1, (sign * start.worth, -1), start)
    last_sure = -1

    def before(instant: int) -> Reading | None:
        """The best that ends before an instant, with no piece between that is sure."""
        while ends and ends[0][1] < instant:
            place, _, reading = ends.popleft()
            befores.put(place, (sign * reading.worth, place), reading)
        found = befores.best(last_sure)
        return None if found is None else found[2]

    for place, ((begun, end), sure) in enumerate(group):
        starts.add(begun, before(begun - gap))
        ends.append((place, end, starts.best(end)))
        last_sure = place if sure else last_sure
    found = before(group[-1][0][1] + 1) or start
    return found if bad is None else _with_bad_time(found, start, group, gap, bad)


def _with_bad_time(
    found: Reading, start: Reading, group: Sequence[Piece], gap: int, bad: BadTimes
) -> Reading:
    """That of its own outages, and of the longest reading of the group."""
    mine = found.outages()[len(start.outages()) :]
    own_s = sum(map(bad.of, mine))
    if bad.parted is None:
        longest_s = bad.of((group[0][0][0], group[-1][0][1]))
    else:
        longest_s = int(_best(Reading(0), group, gap, bad.parted, None, most=True).worth)
    return replace(
        found,
        bad_s=start.bad_s + max(own_s, longest_s),
        own_bad_s=start.own_bad_s + own_s,
    )
