"""The zone data that a contract's days were cut by: offsets from UTC as they were used.

So that data of another year, which says otherwise of the same time, can be told apart.
"""

from collections.abc import Iterator
from datetime import tzinfo

from weighbridge.contract.zone_data import time_zone
from weighbridge.settlement.periods import instant_text, moment_of

DAY_S = 86_400


def offsets(zone: str, start_s: int, end_s: int) -> list[tuple[str, int]]:
    """From each instant in [start_s, end_s) on, beginning with the first: seconds ahead of UTC."""
    return [
        (instant_text(at_s), ahead_s) for at_s, ahead_s in _changes(time_zone(zone), start_s, end_s)
    ]


def _changes(zone: tzinfo, start_s: int, end_s: int) -> Iterator[tuple[int, int]]:
    ahead_s = _ahead_s(zone, start_s)
    yield start_s, ahead_s
    for day_s in range(start_s, end_s, DAY_S):
        later_s = min(day_s + DAY_S, end_s)
        if _ahead_s(zone, later_s) != ahead_s:
            ahead_s = _ahead_s(zone, later_s)
            yield _first(zone, day_s, later_s, ahead_s), ahead_s


def _first(zone: tzinfo, before_s: int, after_s: int, ahead_s: int) -> int:
    """The first second in (before_s, after_s] at which the zone is so far ahead."""
    while after_s - before_s > 1:
        middle_s = (before_s + after_s) // 2
        if _ahead_s(zone, middle_s) == ahead_s:
            after_s = middle_s
        else:
            before_s = middle_s
    return after_s


def _ahead_s(zone: tzinfo, at_s: int) -> int:
    offset = moment_of(at_s).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())
