"""Days by the calendar of a place, as seconds of the Unix epoch.

A local day starts at its first instant. That is midnight, except where the clock jumps over midnight.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from weighbridge.contract.zone_data import time_zone

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_S = 86400


def seconds_of(moment: datetime) -> int:
    """Whole seconds of the Unix epoch, floored."""
    return (moment - EPOCH) // timedelta(seconds=1)


def moment_of(seconds: int) -> datetime:
    """The instant in UTC."""
    return EPOCH + timedelta(seconds=seconds)


def local_date(seconds: int, zone: str) -> date:
    """The date on the calendar of the zone."""
    return moment_of(seconds).astimezone(time_zone(zone)).date()


@lru_cache(maxsize=4096)
def day_start(day: date, zone: str) -> int:
    """The first instant of a local day."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=time_zone(zone))
    start = seconds_of(midnight.astimezone(UTC))
    if local_date(start, zone) == day and local_date(start - 1, zone) < day:
        return start
    return _first_on_s(day, zone, start - DAY_S, start + DAY_S)


def _first_on_s(day: date, zone: str, before: int, after: int) -> int:
    """The clock jumped at midnight: find the jump."""
    while after - before > 1:
        middle = (before + after) // 2
        if local_date(middle, zone) >= day:
            after = middle
        else:
            before = middle
    return after
