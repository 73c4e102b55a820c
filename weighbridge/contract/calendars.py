"""What a day is by a named calendar: the one door to the packages that know holidays.

`CN` is the State Council's year, with weekend days that are worked, by the package chinesecalendar. `weekdays` is
Monday to Friday without holidays. Any other name is one of the package holidays: a country, or a part of one, such as
`DE` or `US-CA`, with its public holidays. What a calendar does not know, or only estimates, is unknown.

The packages are imported where they are asked: most contracts need neither, and a GPU node has neither.
"""

from collections.abc import Container
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holidays import HolidayBase

WEEKDAYS, CHINA = "weekdays", "CN"
SATURDAY, SUNDAY = 5, 6
YEARS = range(2000, 2101)
"""The years that the package holidays is asked for."""
ESTIMATED = "estimated"
"""Marks, in the package's English, a holiday whose day nobody has announced yet."""

IN_CHINA = frozenset({"Asia/Shanghai", "Asia/Urumqi", "Asia/Chongqing", "Asia/Harbin", "PRC"})
"""Zones in which the State Council says what a working day is."""


class DayKind(StrEnum):
    """What a calendar says of a day. `MADE_UP`: of a weekend, and worked all the same."""

    WORKED = "worked"
    WEEKEND = "weekend"
    OFF = "off"
    MADE_UP = "made_up"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Year:
    """Days off, weekend days that are worked, days of the week of a weekend, and the years of which that is known."""

    off: Container[date]
    made_up: Container[date]
    weekend: frozenset[int]
    years: Container[int]


def day_kind(calendar: str, day: date) -> DayKind:
    """What the calendar says of a local day."""
    told = _told(calendar)
    if day.year not in told.years:
        return DayKind.UNKNOWN
    if day in told.made_up:
        return DayKind.MADE_UP
    if day in told.off:
        return DayKind.OFF
    return DayKind.WEEKEND if day.weekday() in told.weekend else DayKind.WORKED


def is_calendar(name: str) -> bool:
    """Whether some package knows a calendar of this name."""
    from holidays import list_supported_countries

    country, _, part = name.partition("-")
    parts = list_supported_countries().get(country)
    return name in (WEEKDAYS, CHINA) or (parts is not None and (not part or part in parts))


def calendar_version(name: str) -> str:
    """The package that knows the calendar, and its version; empty for one that needs none."""
    package = {WEEKDAYS: "", CHINA: "chinesecalendar"}.get(name, "holidays")
    return f"{package} {version(package)}" if package else ""


@lru_cache(maxsize=64)
def _told(name: str) -> _Year:
    if name == WEEKDAYS:
        return _Year((), (), frozenset({SATURDAY, SUNDAY}), range(1, 10_000))
    if not is_calendar(name):
        return _Year((), (), frozenset(), ())
    return _of_the_state_council() if name == CHINA else _of_a_country(name)


def _of_the_state_council() -> _Year:
    from chinese_calendar import constants as state_council

    off, made_up = state_council.holidays, state_council.workdays
    years = range(min(off).year, max(off).year + 1)
    return _Year(frozenset(off), frozenset(made_up), frozenset({SATURDAY, SUNDAY}), years)


def _of_a_country(name: str) -> _Year:
    from holidays import country_holidays

    country, _, part = name.partition("-")
    told = country_holidays(country, subdiv=part or None, years=YEARS, language="en_US")
    return _Year(
        frozenset(told), frozenset(told.weekend_workdays), frozenset(told.weekend), _years_of(told)
    )


def _years_of(told: "HolidayBase") -> frozenset[int]:
    """Where weekend days are worked by decree, the years up to the last one of which the package has a decree."""
    decreed = [day.year for day in told.weekend_workdays]
    last = max(decreed, default=told.end_year)
    open_years = {day.year for day, holiday in told.items() if ESTIMATED in holiday}
    return frozenset(
        year for year in YEARS if told.start_year <= year <= last and year not in open_years
    )
