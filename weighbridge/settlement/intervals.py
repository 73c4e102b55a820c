"""Half-open intervals of integers, and sets of them.

A set is a tuple of (start, end) pairs in order, with a gap before each next one and none empty: two equal sets of
instants are equal tuples. Every function takes and returns sets in that form, except `union`, which makes one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from operator import itemgetter
from typing import Generic, TypeVar

Interval = tuple[int, int]
Intervals = tuple[Interval, ...]
Label = TypeVar("Label")
Item = TypeVar("Item")

NOTHING: Intervals = ()
START, END = itemgetter(0), itemgetter(1)


def union(*sets: Iterable[Interval]) -> Intervals:
    """What is in any of them. Takes intervals in any order, overlapping or empty."""
    return merge(sorted(pair for pair in chain.from_iterable(sets) if pair[0] < pair[1]), 0)


def merge(ordered: Iterable[Interval], gap: int) -> Intervals:
    """Intervals at most `gap` apart become one that covers the gap too. Takes intervals in order of their starts."""
    merged: list[Interval] = []
    for start, end in ordered:
        if merged and start - merged[-1][1] <= gap:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return tuple(merged)


def total(intervals: Intervals) -> int:
    """The sum of their lengths."""
    return sum(end - start for start, end in intervals)


def clip(intervals: Intervals, within: Interval) -> Intervals:
    """The part inside one interval; nothing where that is empty."""
    low, high = within
    if not intervals or low >= high:
        return NOTHING
    first = bisect_right(intervals, low, key=END)
    inside = intervals[first : bisect_left(intervals, high, first, key=START)]
    if not inside or (low <= inside[0][0] and inside[-1][1] <= high):
        return inside
    cut = [*inside]
    cut[0] = (max(cut[0][0], low), cut[0][1])
    cut[-1] = (cut[-1][0], min(cut[-1][1], high))
    return tuple(cut)


def intersection(left: Intervals, right: Intervals) -> Intervals:
    """The time that lies in both."""
    common: list[Interval] = []
    i = j = 0
    while i < len(left) and j < len(right):
        start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if start < end:
            common.append((start, end))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(common)


def complement(intervals: Intervals, within: Interval) -> Intervals:
    """The part of `within` that they leave free."""
    free: list[Interval] = []
    low, high = within
    for start, end in clip(intervals, within):
        if low < start:
            free.append((low, start))
        low = end
    if low < high:
        free.append((low, high))
    return tuple(free)


def subtraction(left: Intervals, right: Intervals) -> Intervals:
    """What is in the first and not in the second."""
    if not left or not right:
        return left
    return intersection(left, complement(right, (left[0][0], left[-1][1])))


def covered_by_at_least(count: int, sets: Iterable[Intervals]) -> Intervals:
    """The instants that lie in `count` of the sets or more; `count` is at least 1."""
    depths = depth(sets)
    return merge((pair for pair, level in depths if level >= count), 0)


def depth(sets: Iterable[Intervals]) -> tuple[tuple[Interval, int], ...]:
    """In how many of the sets each instant lies, where that is not 0: intervals in order, each with its number."""
    steps = sorted(
        step for intervals in sets for start, end in intervals for step in ((start, 1), (end, -1))
    )
    levels: list[tuple[Interval, int]] = []
    level, since = 0, 0
    for instant, change in steps:
        if level > 0 and instant > since:
            levels.append(((since, instant), level))
        level, since = level + change, instant
    return tuple(levels)


def partition(
    layers: Sequence[tuple[Label, Intervals]], within: Interval
) -> tuple[tuple[Label, Intervals], ...]:
    """Each label with what it holds alone: an earlier layer takes from the later ones. The parts never overlap."""
    taken = NOTHING
    parts: list[tuple[Label, Intervals]] = []
    for label, intervals in layers:
        inside = clip(intervals, within)
        parts.append((label, subtraction(inside, taken)))
        taken = union(taken, inside)
    return tuple(parts)


class Touching(Generic[Item]):
    """Things that last, found by time without looking at each: a unit may have as many outages as it has spans."""

    def __init__(self, items: Iterable[tuple[Interval, Item]]) -> None:
        self._items = sorted(items, key=START)
        self._starts = [start for (start, _), _ in self._items]
        self._until = [*accumulate((end for (_, end), _ in self._items), max)]

    def __call__(self, within: Interval) -> list[Item]:
        """Those that begin before its end and end after its start, in order of their starts."""
        low, high = within
        near = self._items[bisect_right(self._until, low) : bisect_left(self._starts, high)]
        return [item for (_, end), item in near if end > low]
