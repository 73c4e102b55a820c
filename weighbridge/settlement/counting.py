"""How bad time becomes counted time, by the granularity of an objective."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise

from weighbridge.contract.objectives import MINUTE_S, CountedIntervals
from weighbridge.settlement.intervals import Intervals, total, union
from weighbridge.settlement.rolling import Rolling

Outages = Sequence[Intervals]
"""Each in the pieces that are judged: more than one where excluded time lies inside it."""

APART = ("outage_minutes_ceil",)
"""Granularities by which two outages may count for more than one that covers both."""


def _exact_s(outages: Outages) -> int:
    return sum(total(outage) for outage in outages)


def _minutes_up_s(outages: Outages) -> int:
    return sum(-(-total(outage) // MINUTE_S) * MINUTE_S for outage in outages)


def _minutes_down_s(outages: Outages) -> int:
    return sum(total(outage) // MINUTE_S * MINUTE_S for outage in outages)


def _minutes_touched_s(outages: Outages) -> int:
    pieces = chain.from_iterable(outages)
    return total(union((start - start % MINUTE_S, end + -end % MINUTE_S) for start, end in pieces))


def _minutes_full_s(outages: Outages) -> int:
    pieces = chain.from_iterable(outages)
    return total(union((start + -start % MINUTE_S, end - end % MINUTE_S) for start, end in pieces))


COUNTED: Mapping[str, Callable[[Outages], int]] = {
    "second": _exact_s,
    "outage_minutes_ceil": _minutes_up_s,
    "outage_minutes_floor": _minutes_down_s,
    "clock_minutes_touched": _minutes_touched_s,
    "clock_minutes_full": _minutes_full_s,
}
"""What the outages of a unit count for together; whole intervals need more than outages: `by_intervals_s`."""


def by_intervals_s(
    lost: Sequence[Intervals], judged: Sequence[Intervals], terms: CountedIntervals, first_s: int
) -> int:
    """The judged time of the intervals that are down, counted from `first_s`: of all units together, in unit-seconds.

    Between two intervals in which something begins or ends, all are alike.
    """
    length = terms.length_s
    bad, of = Rolling(lost, length), Rolling(judged, length)

    def counted_s(number: int) -> int:
        end_s = first_s + (number + 1) * length
        bad_s, of_s = bad.bad_within_s(end_s), of.bad_within_s(end_s)
        limit = terms.down_share * of_s
        down = bad_s > limit or (terms.op == ">=" and bad_s == limit)
        return of_s if down and bad_s else 0

    return sum(
        counted_s(number) + (following - number - 1) * counted_s(number + 1)
        for number, following in pairwise(_uneven([*lost, *judged], length, first_s))
    )


def _uneven(sets: Sequence[Intervals], length: int, first_s: int) -> Iterator[int]:
    """The numbers of the intervals in which something begins or ends, and the one after the last."""
    edges = sorted({(edge - first_s) // length for one in sets for pair in one for edge in pair})
    return chain(edges, [edge + 1 for edge in edges[-1:]])
