"""Hours by the clock of a place: when work is allowed, when people work, when probes count."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta

from weighbridge.contract.calendars import DayKind, day_kind
from weighbridge.contract.exclusions import LocalHours
from weighbridge.settlement.intervals import Interval, Intervals, clip, union
from weighbridge.settlement.periods import clock_time, days_within

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORKING_WEEK = frozenset(WEEKDAYS[:5])

Holds = Callable[[LocalHours, date], bool]
"""Whether a window begins on a local day."""


def on_its_days(window: LocalHours, day: date) -> bool:
    """Whether it names the day's weekday, or none."""
    return not window.days or WEEKDAYS[day.weekday()] in window.days


def occurrences(
    window: LocalHours, within: Interval, holds: Holds = on_its_days
) -> Iterator[Interval]:
    """The window, whole, of each local day of an interval, and of the day before where it goes past midnight."""
    overnight = timedelta(days=window.ends_next_day)
    days = list(days_within(within, window.zone))
    for day in [*(one - overnight for one in days[:1] if overnight), *days]:
        if holds(window, day):
            yield (
                clock_time(day, window.from_minute, window.zone),
                clock_time(day + overnight, window.to_minute, window.zone),
            )


def inside(
    windows: Sequence[LocalHours], within: Interval, holds: Holds = on_its_days
) -> Intervals:
    """The part of an interval that lies in any of the windows; all of it where there is none."""
    if not windows:
        return union((within,))
    return clip(union(*(occurrences(window, within, holds) for window in windows)), within)


def working(
    windows: Sequence[LocalHours], within: Interval, calendar: str, unknown: bool
) -> Intervals:
    """The part of an interval that is worked by a calendar. `unknown`: whether days are that it does not know."""

    def holds(window: LocalHours, day: date) -> bool:
        return _is_worked(window, day, calendar, unknown)

    return inside(windows, within, holds)


def _is_worked(window: LocalHours, day: date, calendar: str, unknown: bool) -> bool:
    """Hours that name no days are those of every day; a made-up day has the hours of a working week's."""
    if not window.days:
        return True
    match day_kind(calendar, day):
        case DayKind.OFF:
            return False
        case DayKind.UNKNOWN:
            return unknown and (on_its_days(window, day) or _of_the_week(window))
        case DayKind.MADE_UP:
            return on_its_days(window, day) or _of_the_week(window)
        case _:
            return on_its_days(window, day)


def _of_the_week(window: LocalHours) -> bool:
    return not WORKING_WEEK.isdisjoint(window.days)
