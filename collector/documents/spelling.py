"""How instants, durations and shares are spelled for people. Always rounded down."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

SECONDS = "%Y-%m-%d %H:%M:%S"
UNITS = {"en": ("d", "h", "min", "s"), "zh": ("天", "小时", "分钟", "秒")}


def percent(share: str) -> str:
    """`99.861 %`, rounded down, so that a missed target never looks met."""
    thousandths = Fraction(share) * 100_000 // 1
    return f"{thousandths // 1000}.{thousandths % 1000:03d} %"


def utc(instant_us: int) -> str:
    """`2026-10-01 12:00:00`, rounded down to the second."""
    return datetime.fromtimestamp(instant_us // 1_000_000, UTC).strftime(SECONDS)


def local(instant_us: int, zone: str) -> str:
    """The same in a zone of the zone data, which only those load who ask for one."""
    from weighbridge.contract.zone_data import time_zone

    instant = datetime.fromtimestamp(instant_us // 1_000_000, UTC)
    return instant.astimezone(time_zone(zone)).strftime(SECONDS)


def offsets(zone: str, start_s: int) -> str:
    """`UTC+08:00`; of clocks that are put forward within a year from an instant, both: `UTC+01:00, UTC+02:00`."""
    from weighbridge.contract.zone_data import time_zone

    start, place = datetime.fromtimestamp(start_s, UTC), time_zone(zone)
    days = (start + timedelta(days=30 * month) for month in range(12))
    return ", ".join(sorted({f"UTC{day.astimezone(place).isoformat()[19:]}" for day in days}))


def span(duration_us: int, language: str = "en") -> str:
    """The two largest units of a duration: `3 d 4 h`, `2 min 5 s`, `0 s`; `3 天 4 小时`."""
    seconds, units = max(duration_us, 0) // 1_000_000, UNITS[language]
    parts = []
    for name, size in zip(units, (86_400, 3_600, 60, 1), strict=True):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or f"0 {units[-1]}"
