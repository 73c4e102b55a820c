"""What outages held time makes: each stretch of it, as a whole, was bad or not, and each way to choose is a reading.

More bad time is not always worth more: a stretch between two outages makes one of them. So the most and the least that
outages are worth over all readings lie anywhere between all of it and none.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from weighbridge.settlement.intervals import Interval, Intervals, merge, subtraction

Worth = Callable[[Interval], Fraction | int]
Piece = tuple[Interval, bool]
"""Bad time, and whether it is so in every reading."""


@dataclass(frozen=True, slots=True)
class _Chain:
    """The outages up to a piece, the last one first, and what they are worth together."""

    worth: Fraction | int
    last: Interval | None = None
    before: "_Chain | None" = None

    def outages(self) -> list[Interval]:
        """In order of time."""
        found: list[Interval] = []
        chain: _Chain | None = self
        while chain is not None:
            found += [] if chain.last is None else [chain.last]
            chain = chain.before
        return found[::-1]


NONE = _Chain(0)


def cut(intervals: Intervals, edges: Iterable[int]) -> Intervals:
    """The same time, cut at these instants: pieces may touch."""
    inside = sorted(edges)
    pieces: list[Interval] = []
    for start, end in intervals:
        stops = [start, *(edge for edge in inside if start < edge < end), end]
        pieces += pairwise(stops)
    return tuple(pieces)


def outages(
    sure: Intervals, held: Intervals, gap: int, worth: Worth, *, most: bool
) -> tuple[Interval, ...]:
    """Those of the reading in which all of them together are worth the most, or the least.

    `held`: stretches in order, apart from `sure`. Outages at most `gap` apart are one, as they are judged.
    """
    known = merge(sure, gap)
    pieces = sorted(
        [*((one, True) for one in known), *((one, False) for one in subtraction(held, known))]
    )
    groups = (_chosen(group, gap, worth, most=most) for group in _groups(pieces, gap))
    return tuple(outage for group in groups for outage in group)


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


def _chosen(group: list[Piece], gap: int, worth: Worth, *, most: bool) -> Iterable[Interval]:
    """Of each piece the best chain that ends with it: an outage from a piece on, and the best chain before that."""
    best = max if most else min
    ends: list[_Chain] = []
    befores: list[_Chain | None] = []
    for place, ((start, end), _) in enumerate(group):
        befores.append(_before(group, place, start - gap, ends, best))
        chains = [
            _Chain(
                before.worth + worth((group[first][0][0], end)), (group[first][0][0], end), before
            )
            for first, before in enumerate(befores)
            if before is not None
        ]
        ends.append(best(chains, key=_worth))
    last = _before(group, len(group), group[-1][0][1] + 1, ends, best)
    return NONE.outages() if last is None else last.outages()


def _before(
    group: list[Piece],
    place: int,
    until: int,
    ends: list[_Chain],
    best: Callable[..., _Chain],
) -> _Chain | None:
    """The best chain that ends before an instant, with no piece between that is sure; None: there is none."""
    chains: list[_Chain] = []
    for last in range(place - 1, -1, -1):
        (_, end), sure = group[last]
        if end < until:
            chains.append(ends[last])
        if sure:
            break
    else:
        chains.append(NONE)
    return best(chains, key=_worth) if chains else None


def _worth(chain: _Chain) -> Fraction | int:
    return chain.worth
