"""What one scalar of a contract file may be: each is text, and its converter gives it its exact type.

A converter takes text, or a value that already has the type (for contracts built in code), and refuses the rest with a
ValueError that says what is allowed. Each has its way back to text, so that a contract prints as it loads.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import PlainSerializer, PlainValidator, WrapValidator

from weighbridge.contract.numerals import exact_text
from weighbridge.contract.zone_data import time_zone

MICROSECONDS = 1_000_000
LONGEST_NUMERAL = 40
BEYOND_EXACT = 2**53
"""Programs that read numbers as doubles are exact below this."""
FIRST_YEAR, LAST_YEAR = 1970, 2200
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_US, _END_US = (
    (datetime(year, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    for year in (FIRST_YEAR, LAST_YEAR)
)

_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_RATIO = re.compile(r"-?[0-9]+(\.[0-9]+|/[1-9][0-9]*)?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_CALENDAR = re.compile(r"weekdays|[A-Z]{2}(-[A-Z0-9]{1,4})?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_FIXED_OFFSET = re.compile(
    r"Etc/(?!UTC$).*|EST|MST|HST|GMT.*|UCT|Zulu|Universal|Greenwich|.*[+-]\d+"
)

T = TypeVar("T")


def _matched(pattern: re.Pattern[str], value: object, wanted: str) -> str:
    if (
        not isinstance(value, str)
        or len(value) > LONGEST_NUMERAL * 4
        or not pattern.fullmatch(value)
    ):
        raise ValueError(f"must be {wanted}")
    return value


def _numeral(pattern: re.Pattern[str], value: object, wanted: str) -> str:
    if isinstance(value, str) and len(value) > LONGEST_NUMERAL:
        raise ValueError(f"must be {wanted}, of at most {LONGEST_NUMERAL} characters")
    return _matched(pattern, value, wanted)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must be text, and not empty")
    return value


def _name(value: object) -> str:
    return _matched(_NAME, value, "a name of letters, digits and . _ : -")


def _integer(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return int(_numeral(_INTEGER, value, "a whole number"))


def _at_least(lowest: int) -> Callable[[object], int]:
    def convert(value: object) -> int:
        number = _integer(value)
        if not lowest <= number < BEYOND_EXACT:
            raise ValueError(f"must be at least {lowest}, and below 2^53")
        return number

    return convert


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value == "true"


def _ratio(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    return Fraction(_numeral(_RATIO, value, "an exact number such as 0.995 or 1/360"))


def _non_negative(value: object) -> Fraction:
    number = _ratio(value)
    if number < 0:
        raise ValueError("must not be negative")
    return number


def _share(value: object) -> Fraction:
    number = _ratio(value)
    if not 0 <= number <= 1:
        raise ValueError("must lie between 0 and 1")
    return number


def _target(value: object) -> Fraction:
    number = _share(value)
    if number == 0:
        raise ValueError("must be above 0")
    return number


def _amount(value: object) -> Decimal:
    if not isinstance(value, Decimal):
        value = Decimal(_numeral(_DECIMAL, value, "an amount such as 12.50"))
    if not value.is_finite() or value < 0:
        raise ValueError("must be an amount of money, and not negative")
    return value


def _microseconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    exact = Fraction(_numeral(_DECIMAL, value, "a number of seconds")) * MICROSECONDS
    if exact.denominator != 1 or exact < 0:
        raise ValueError("must be seconds from 0 on, to the microsecond at the finest")
    return exact.numerator


def read_instant_us(value: object) -> int:
    """`2026-05-05T16:00:00Z`, with a fraction or without. Raises ValueError."""
    wanted = "an instant in UTC such as 2026-05-05T16:00:00Z"
    text = _matched(_INSTANT, value, wanted)
    try:
        return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
    except ValueError:
        raise ValueError(f"must be {wanted}; that date or time does not exist") from None


def _instant_us(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    instant_us = read_instant_us(value)
    if not _FIRST_US <= instant_us < _END_US:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    return instant_us


def instant_text(microseconds: int) -> str:
    """ISO 8601 in UTC, with a fraction only where there is one."""
    moment = EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat().replace("+00:00", "Z")


def _day(value: object) -> date:
    if isinstance(value, date):
        return value
    wanted = "a date such as 2026-03-31"
    try:
        return date.fromisoformat(_matched(_DAY, value, wanted))
    except ValueError:
        raise ValueError(f"must be {wanted}") from None


def _zone(value: object) -> str:
    name = _text(value)
    if _FIXED_OFFSET.fullmatch(name):
        raise ValueError(f"{name} is a fixed offset; name a place (Europe/Amsterdam) or UTC")
    try:
        time_zone(name)
    except LookupError:
        raise ValueError(f"{name} is not a time zone of the IANA database") from None
    return name


def _calendar(value: object) -> str:
    return _matched(_CALENDAR, value, "weekdays, CN, or a country or a part of one such as US-CA")


def _currency(value: object) -> str:
    return _matched(_CURRENCY, value, "an ISO 4217 code such as CNY")


def _digest(value: object) -> str:
    return _matched(re.compile(r"[0-9a-f]{64}"), value, "a SHA-256 in 64 lower-case hex digits")


def _none_word(value: Any, convert: Callable[[Any], T]) -> T | None:
    return None if value is None or value == "none" else convert(value)


def _switch_text(value: bool) -> str:
    return "true" if value else "false"


def _seconds_text(microseconds: int) -> str:
    return exact_text(Fraction(microseconds, MICROSECONDS))


Text = Annotated[str, PlainValidator(_text)]
Name = Annotated[str, PlainValidator(_name)]
Integer = Annotated[int, PlainValidator(_integer), PlainSerializer(str)]
Whole = Annotated[int, PlainValidator(_at_least(0)), PlainSerializer(str)]
Count = Annotated[int, PlainValidator(_at_least(1)), PlainSerializer(str)]
Switch = Annotated[bool, PlainValidator(_switch), PlainSerializer(_switch_text)]
Ratio = Annotated[Fraction, PlainValidator(_non_negative), PlainSerializer(exact_text)]
Share = Annotated[Fraction, PlainValidator(_share), PlainSerializer(exact_text)]
Target = Annotated[Fraction, PlainValidator(_target), PlainSerializer(exact_text)]
Amount = Annotated[Decimal, PlainValidator(_amount), PlainSerializer(lambda amount: f"{amount:f}")]
Micros = Annotated[int, PlainValidator(_microseconds), PlainSerializer(_seconds_text)]
Instant = Annotated[int, PlainValidator(_instant_us), PlainSerializer(instant_text)]
Day = Annotated[date, PlainValidator(_day), PlainSerializer(date.isoformat)]
Zone = Annotated[str, PlainValidator(_zone)]
Calendar = Annotated[str, PlainValidator(_calendar)]
Currency = Annotated[str, PlainValidator(_currency)]
Digest = Annotated[str, PlainValidator(_digest)]
Maybe = Annotated[T | None, WrapValidator(_none_word)]
