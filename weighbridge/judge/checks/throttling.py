"""Clocks held down for want of power or cooling, over an hour, by the driver's own counters of time."""

from collections.abc import Iterator
from fractions import Fraction

from weighbridge.contract.numerals import exact_text
from weighbridge.judge.checks.check import (
    HOUR,
    Answer,
    Check,
    CheckContext,
    Effect,
    HourSeries,
    decide,
    unseen,
)
from weighbridge.judge.checks.hours import ENOUGH_US
from weighbridge.wire.report import Reason


def held_down(context: CheckContext) -> Iterator[Answer]:
    """Each device over the last whole UTC hour. What counts is in `hour_series`; an hour of which less than a third is
    seen says nothing."""
    most = context.promise.resource.floors.throttling_share_max
    if most is None:
        return
    expected = f"throttled for at most {exact_text(most)} of the time"
    for device in context.devices():
        series = context.series.get(device.uuid)
        if series is None:
            continue
        if series.watched_us >= ENOUGH_US:
            share = Fraction(series.throttled_us, series.watched_us)
            yield decide(device.uuid, expected, _told(series), holds=share <= most)
        elif series.watched_us == 0:
            yield unseen(device.uuid, expected, Reason.NOT_SUPPORTED)


def _told(series: HourSeries) -> str:
    causes = (f"{name} {us // 1_000_000} s" for name, us in sorted(series.throttles_us.items()))
    told = f"{series.throttled_us // 1_000_000} of {series.watched_us // 1_000_000} s"
    return ": ".join(filter(None, (told, ", ".join(causes))))


THROTTLED = Check(
    code="throttled",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({HOUR}),
    judge=held_down,
)
"""Open: a lessee with root on bare metal can lower the power limit too. No effect on availability: an hour is judged
when it is over, and the state of the next hour is its own."""
