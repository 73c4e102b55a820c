"""Periods of contracts: local calendars of named zones, as half-open UTC intervals of whole seconds.

A local day starts at its first instant. That is midnight, except where the clock jumps over midnight. Two local
borders become UTC instants first and are subtracted after, so a month with a clock change has its true length.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from weighbridge.contract import Contract, scalars
from weighbridge.contract.exclusions import MINUTES_OF_DAY
from weighbridge.contract.local_days import DAY_S as DAY_S
from weighbridge.contract.local_days import day_start as day_start
from weighbridge.contract.local_days import local_date as local_date
from weighbridge.contract.local_days import moment_of as moment_of
from weighbridge.contract.local_days import seconds_of as seconds_of
from weighbridge.contract.objectives import PeriodKind
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import time_zone
from weighbridge.settlement.intervals import Interval

HOUR_S = 3600

KINDS: Mapping[int, PeriodKind] = {
    len("2026"): "calendar_year",
    len("2026-10"): "calendar_month",
    len("2026-10-05"): "contract_month",
}
"""The kind of a period by the length of its label."""


@dataclass(frozen=True, slots=True)
class Period:
    """A label (`2026-10`) and [start_s, end_s) in seconds of the Unix epoch."""

    label: str
    start_s: int
    end_s: int

    @property
    def interval_s(self) -> Interval:
        return (self.start_s, self.end_s)

    @property
    def seconds(self) -> int:
        return self.end_s - self.start_s

    @property
    def kind(self) -> PeriodKind | None:
        return kind_of(self.label)


def kind_of(label: str) -> PeriodKind | None:
    """What a label names; None where it names no period of a contract."""
    return KINDS.get(len(label))


def instant_text(seconds: int) -> str:
    """The instant as text, such as `2026-10-01T00:00:00Z`."""
    return scalars.instant_text(seconds * MICROSECONDS)


def exact_instant(seconds: Fraction) -> str:
    """The instant in UTC, with as many digits as it has; at most nine are shown."""
    whole, rest = divmod(seconds, 1)
    digits = f"{rest * 10**9 // 1:09}".rstrip("0")
    return instant_text(whole).removesuffix("Z") + (f".{digits}Z" if digits else "Z")


def clock_time(day: date, minute: int, zone: str) -> int:
    """When the clock of a place shows this minute of a local day; 1440 is the end of the day.

    A time that the clock jumps over is moved by the jump; of one that it shows twice the first is meant.
    """
    if minute % MINUTES_OF_DAY == 0:
        return day_start(day + timedelta(days=minute // MINUTES_OF_DAY), zone)
    hour, rest = divmod(minute, 60)
    shown = datetime(day.year, day.month, day.day, hour, rest, tzinfo=time_zone(zone))
    return seconds_of(shown.astimezone(UTC))


def calendar_month(label: str, zone: str) -> Period:
    """`2026-10`. Raises ValueError for a label that is no month."""
    if not re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", label):
        raise ValueError(f"{label!r} is not a month such as 2026-10")
    first = date.fromisoformat(f"{label}-01")
    return Period(label, day_start(first, zone), day_start(months_later(first, 1), zone))


def calendar_year(label: str, zone: str) -> Period:
    """`2026`. Raises ValueError for a label that is no year."""
    if not re.fullmatch(r"\d{4}", label):
        raise ValueError(f"{label!r} is not a year such as 2026")
    first = date(int(label), 1, 1)
    return Period(label, day_start(first, zone), day_start(months_later(first, 12), zone))


def contract_month(label: str, zone: str, term: Interval) -> Period:
    """The month that starts on this local date (`2026-05-06`), counted from the first day of the term."""
    for period in contract_months(zone, term):
        if period.label == label:
            return period
    raise ValueError(f"no month of this contract starts on {label!r}")


def contract_months(zone: str, term: Interval) -> Iterator[Period]:
    """The months of a term, from its first local day; the last one may be cut."""
    first = local_date(term[0], zone)
    number = 0
    start = term[0]
    while start < term[1]:
        number += 1
        following = day_start(months_later(first, number), zone)
        yield Period(local_date(start, zone).isoformat(), start, min(following, term[1]))
        start = following


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or the last one where that month is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - timedelta(days=1)).day))


def months_within(start_s: int, end_s: int, zone: str) -> Iterator[Period]:
    """The calendar months that share an instant with [start_s, end_s)."""
    day = local_date(start_s, zone).replace(day=1)
    while day_start(day, zone) < end_s:
        yield calendar_month(f"{day:%Y-%m}", zone)
        day = months_later(day, 1)


def periods_within(
    kind: PeriodKind, contract: Contract, start_s: int, end_s: int
) -> Iterator[Period]:
    """The periods of a kind that share an instant with [start_s, end_s). Of contract months those of the term."""
    zone = contract.time_zone
    match kind:
        case "calendar_year":
            first, last = (local_date(edge_s, zone).year for edge_s in (start_s, end_s - 1))
            yield from (calendar_year(f"{year:04}", zone) for year in range(first, last + 1))
        case "contract_month":
            months = contract_months(zone, term_of_s(contract))
            yield from (one for one in months if one.start_s < end_s and start_s < one.end_s)
        case _:
            yield from months_within(start_s, end_s, zone)


def term_of_s(contract: Contract) -> Interval:
    """The term of a contract in seconds."""
    return (contract.term.start_us // MICROSECONDS, contract.term.end_us // MICROSECONDS)


def served_part_s(period: Period, service: Interval) -> Interval:
    """The part of a period inside the time of service; empty, not negative, where there is none."""
    start = max(period.start_s, service[0])
    return (start, max(start, min(period.end_s, service[1])))


def days_within(interval: Interval, zone: str) -> Iterator[date]:
    """The local days that share an instant with an interval."""
    day = local_date(interval[0], zone)
    while day_start(day, zone) < interval[1]:
        yield day
        day += timedelta(days=1)


def local_hours(within: Interval, zone: str) -> Iterator[Interval]:
    """The clock hours of the zone that share an instant with an interval, each whole.

    In a zone that is half an hour off, they start at half past in UTC; where the clock jumps by half an hour, one is
    short.
    """
    start = within[0] - _past_the_hour_s(within[0], zone)
    while start < within[1]:
        end = start + HOUR_S - _past_the_hour_s(start, zone)
        yield (start, end)
        start = end


def _past_the_hour_s(seconds: int, zone: str) -> int:
    offset = moment_of(seconds).astimezone(time_zone(zone)).utcoffset() or timedelta(0)
    return (seconds + offset // timedelta(seconds=1)) % HOUR_S
