"""Hours by the clock of a place: when work is allowed, when people work, when probes count."""

from collections.abc import Iterator, Sequence

from weighbridge.contract.exclusions import LocalHours
from weighbridge.settlement.intervals import Interval, Intervals, clip, union
from weighbridge.settlement.periods import clock_time, days_within

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def occurrences(window: LocalHours, within: Interval) -> Iterator[Interval]:
    """The window on each local day that shares an instant with an interval, whole."""
    for day in days_within(within, window.zone):
        if not window.days or WEEKDAYS[day.weekday()] in window.days:
            yield (
                clock_time(day, window.from_minute, window.zone),
                clock_time(day, window.to_minute, window.zone),
            )


def inside(windows: Sequence[LocalHours], within: Interval) -> Intervals:
    """The part of an interval that lies in any of the windows; all of it where there is none."""
    if not windows:
        return union((within,))
    return clip(union(*(occurrences(window, within) for window in windows)), within)
