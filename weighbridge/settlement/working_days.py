"""Days that are worked by the calendar that a contract names: counted, and counted off.

Days of a year that the calendar does not know count as none at least, and as all of them at most.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from weighbridge.contract.calendars import DayKind, day_kind

WORKED = frozenset({DayKind.WORKED, DayKind.MADE_UP})


def least_and_most(calendar: str, days: Iterable[date]) -> tuple[int, int]:
    """How many of these days are worked."""
    kinds = [day_kind(calendar, day) for day in days]
    known = sum(kind in WORKED for kind in kinds)
    return known, known + kinds.count(DayKind.UNKNOWN)


def working_day_after(calendar: str, day: date, count: int) -> date | None:
    """The `count`th working day after a day; None where the calendar does not know a day up to it."""
    while count:
        day += timedelta(days=1)
        kind = day_kind(calendar, day)
        if kind is DayKind.UNKNOWN:
            return None
        count -= kind in WORKED
    return day


def days_later(calendar: str | None, day: date, count: int) -> date | None:
    """So many days after a day: of the calendar that is named, or, where none is, days as they come."""
    if calendar is None:
        return day + timedelta(days=count)
    return working_day_after(calendar, day, count)
