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
from weighbridge.contract.objectives import MONTHS, PeriodKind
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.contract.zone_data import time_zone
from weighbridge.settlement.intervals import Interval

HOUR_S = 3600

KINDS: Mapping[str, PeriodKind] = {
    r"\d{4}": "calendar_year",
    r"\d{4}-Q[1-4]": "calendar_quarter",
    r"\d{4}-(0[1-9]|1[0-2])": "calendar_month",
    r"\d{4}-\d\d-\d\d": "contract_month",
    r"\d{4}-\d\d-\d\d-Q": "contract_quarter",
    r"\d{4}-\d\d-\d\d-Y": "contract_year",
}
"""The kind of a period by the form of its label, in digits of ASCII: there is one label for each."""

OF_CONTRACT: Mapping[PeriodKind, str] = {
    "contract_month": "",
    "contract_quarter": "-Q",
    "contract_year": "-Y",
}
"""Kinds that are counted from the first day of the term, with what their labels end in."""


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
    return next((kind for form, kind in KINDS.items() if re.fullmatch(form, label, re.ASCII)), None)


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
    return calendar_period("calendar_month", label, zone)


def calendar_year(label: str, zone: str) -> Period:
    """`2026`. Raises ValueError for a label that is no year."""
    return calendar_period("calendar_year", label, zone)


EXAMPLES: Mapping[PeriodKind, str] = {
    "calendar_month": "month such as 2026-10",
    "calendar_quarter": "quarter such as 2026-Q4",
    "calendar_year": "year such as 2026",
}


def calendar_period(kind: PeriodKind, label: str, zone: str) -> Period:
    """Raises ValueError for a label that is none of the kind."""
    if kind_of(label) != kind:
        raise ValueError(f"{label!r} is not a {EXAMPLES[kind]}")
    year, _, rest = label.partition("-")
    month = 3 * int(rest[1:]) - 2 if rest.startswith("Q") else int(rest or 1)
    try:
        first = date(int(year), month, 1)
        following = months_later(first, MONTHS[kind])
        return Period(label, day_start(first, zone), day_start(following, zone))
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{label} does not lie in the calendar's years") from error


def contract_month(label: str, zone: str, term: Interval) -> Period:
    """The month that starts on this local date (`2026-05-06`), counted from the first day of the term."""
    for period in contract_months(zone, term):
        if period.label == label:
            return period
    raise ValueError(f"no month of this contract starts on {label!r}")


def contract_months(zone: str, term: Interval) -> Iterator[Period]:
    """The months of a term, from its first local day; the last one may be cut."""
    for period in contract_periods("contract_month", zone, term):
        yield Period(period.label, *served_part_s(period, term))


def contract_periods(kind: PeriodKind, zone: str, term: Interval) -> Iterator[Period]:
    """The periods of a kind from the first local day of a term on; the last one goes on after the end of the term."""
    first, number, start = local_date(term[0], zone), 0, term[0]
    while start < term[1]:
        number += MONTHS[kind]
        following = day_start(months_later(first, number), zone)
        yield Period(f"{local_date(start, zone)}{OF_CONTRACT[kind]}", start, following)
        start = following


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or the last one where that month is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - timedelta(days=1)).day))


def months_within(start_s: int, end_s: int, zone: str) -> Iterator[Period]:
    """The calendar months that share an instant with [start_s, end_s)."""
    yield from calendar_periods("calendar_month", zone, (start_s, end_s))


def calendar_periods(kind: PeriodKind, zone: str, within: Interval) -> Iterator[Period]:
    """The calendar periods of a kind that share an instant with an interval."""
    months = MONTHS[kind]
    day = local_date(within[0], zone).replace(day=1)
    day = day.replace(month=(day.month - 1) // months * months + 1)
    while day_start(day, zone) < within[1]:
        following = months_later(day, months)
        yield Period(calendar_label(kind, day), day_start(day, zone), day_start(following, zone))
        day = following


def calendar_label(kind: PeriodKind, day: date) -> str:
    """Of the period of a kind that a day lies in."""
    match kind:
        case "calendar_year":
            return f"{day.year:04}"
        case "calendar_quarter":
            return f"{day.year:04}-Q{(day.month + 2) // 3}"
        case _:
            return f"{day:%Y-%m}"


def periods_of_term(kind: PeriodKind, contract: Contract) -> list[Period]:
    """Those of the term of a contract, in order. Where incomplete ones are joined, each with what is part of it."""
    zone, term = contract.time_zone, term_of_s(contract)
    if kind in OF_CONTRACT:
        found = list(contract_periods(kind, zone, term))
    else:
        found = list(calendar_periods(kind, zone, term))
    cut_last = found[-1].end_s > term[1]
    if kind in OF_CONTRACT:
        found[-1] = Period(found[-1].label, *served_part_s(found[-1], term))
    if not contract.joins(kind):
        return found
    if found[0].start_s < term[0] and len(found) > 1:
        found[:2] = [Period(found[1].label, found[0].start_s, found[1].end_s)]
    if cut_last and len(found) > 1:
        found[-2:] = [Period(found[-2].label, found[-2].start_s, found[-1].end_s)]
    return found


def periods_begun(contract: Contract, now_s: int) -> list[Period]:
    """Those of the term that statements are made of and that have begun, the latest first; of those that begin
    together the bills' first."""
    every = [one for kind in contract.statements_over for one in periods_of_term(kind, contract)]
    begun = [one for one in every if one.start_s <= now_s]
    return sorted(begun, key=lambda one: -one.start_s)


def periods_within(
    kind: PeriodKind, contract: Contract, start_s: int, end_s: int
) -> Iterator[Period]:
    """The periods of a kind that share an instant with [start_s, end_s). Of those of a contract, and of joined ones,
    those of the term."""
    if kind in OF_CONTRACT or contract.joins(kind):
        every = periods_of_term(kind, contract)
        yield from (one for one in every if one.start_s < end_s and start_s < one.end_s)
    else:
        yield from calendar_periods(kind, contract.time_zone, (start_s, end_s))


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
