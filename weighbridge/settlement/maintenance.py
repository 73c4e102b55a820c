"""Which announced maintenance excludes time: in time, in an allowed window, within the count and the cap."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from weighbridge.contract.exclusions import Maintenance
from weighbridge.settlement.hours import inside
from weighbridge.settlement.intervals import (
    NOTHING,
    Interval,
    Intervals,
    clip,
    subtraction,
    total,
    union,
)
from weighbridge.settlement.periods import Period, local_date, served_part_s
from weighbridge.settlement.record import Window

Ruling = Literal[
    "excluded",
    "late_notice",
    "count_used_up",
    "outside_windows",
    "cap_used_up",
    "counts_as_down",
    "withdrawn",
]


@dataclass(frozen=True, slots=True)
class Admission:
    """A window, what it excludes, and why no more."""

    window: Window
    excluded: Intervals
    ruling: Ruling


def admitted(
    terms: Maintenance | None,
    windows: Iterable[Window],
    period: Period,
    zone: str,
    service: Interval,
    beside: Sequence[Period] = (),
) -> Intervals:
    """The time that the windows of a unit exclude. Each period has its own cap, used up by windows in it alone."""
    ruled = rulings(terms, windows, period, zone, service, beside)
    return union(*(one.excluded for one in ruled))


def rulings(
    terms: Maintenance | None,
    windows: Iterable[Window],
    period: Period,
    zone: str,
    service: Interval,
    beside: Sequence[Period] = (),
) -> list[Admission]:
    """What each window excludes, in order of time. Without terms nothing is excluded.

    Only time of `service` uses up a cap, and only a window that shares an instant with it is one of the number.
    `beside`: periods around it that an outage or a moving window reaches into; what is used up of their own caps is
    used up.
    """
    ordered = sorted(windows, key=_order)
    if terms is None:
        return [Admission(window, NOTHING, "counts_as_down") for window in ordered]
    judged = [_judged(terms, window) for window in ordered]
    counted = _within_count(terms, judged, zone, service)
    caps = [served_part_s(one, service) for one in (*beside, period)]
    return list(_within_caps(terms, counted, caps))


def as_units_fare(
    terms: Maintenance | None,
    windows: Iterable[Window],
    units: Iterable[str],
    period: Period,
    zone: str,
    service: Interval,
) -> list[Admission]:
    """What each window excludes for the units that it concerns: once, and again where they fare differently.

    Cap and count are those of each unit, as in `admitted`: work on one uses up nothing of another's.
    """
    every = tuple(windows)
    seen = {tuple(window for window in every if window.concerns(unit)) for unit in units}
    nobodys = tuple(window for window in every if not any(window in mine for mine in seen))
    ruled = (rulings(terms, mine, period, zone, service) for mine in (*seen, nobodys))
    found = {admission for admissions in ruled for admission in admissions}
    return sorted(found, key=_by_window)


def _by_window(ruled: Admission) -> tuple[int, int, str, Intervals]:
    return (*_order(ruled.window), ruled.excluded)


def _order(window: Window) -> tuple[int, int, str]:
    return (window.start_s, window.end_s, window.id)


def in_time(terms: Maintenance, window: Window) -> bool:
    """Whether the notice was received early enough."""
    return window.start_s - window.received_s >= terms.min_notice_s


def _judged(terms: Maintenance, window: Window) -> Admission:
    whole: Interval = (window.start_s, window.until_s)
    if window.called_off:
        return Admission(window, NOTHING, "withdrawn")
    if not in_time(terms, window):
        if terms.emergency == "excluded":
            return Admission(window, (whole,), "excluded")
        return Admission(window, NOTHING, "late_notice")
    if terms.treat == "down":
        return Admission(window, NOTHING, "counts_as_down")
    allowed = inside(terms.windows, whole)
    outside = total(allowed) < window.until_s - window.start_s
    return Admission(window, allowed, "outside_windows" if outside else "excluded")


def _within_count(
    terms: Maintenance, judged: list[Admission], zone: str, service: Interval
) -> Iterator[Admission]:
    used: dict[int, int] = {}
    for ruled in judged:
        if ruled.window.called_off:
            yield ruled
            continue
        year = local_date(ruled.window.start_s, zone).year
        used[year] = used.get(year, 0) + ruled.window.touches(service)
        if terms.max_count_per_year is not None and used[year] > terms.max_count_per_year:
            yield Admission(ruled.window, NOTHING, "count_used_up")
        else:
            yield ruled


def _within_caps(
    terms: Maintenance, counted: Iterable[Admission], caps: Sequence[Interval]
) -> Iterator[Admission]:
    if terms.max_s_per_period is None:
        yield from counted
        return
    taken: dict[Interval, Intervals] = {}
    for ruled in counted:
        cut = NOTHING
        for within in caps:
            before = taken.get(within, NOTHING)
            fresh = subtraction(clip(ruled.excluded, within), before)
            kept = first_seconds(fresh, terms.max_s_per_period - total(before))
            taken[within] = union(before, kept)
            cut = union(cut, subtraction(fresh, kept))
        rest = subtraction(ruled.excluded, cut)
        yield Admission(ruled.window, rest, "cap_used_up" if cut else ruled.ruling)


def first_seconds(intervals: Intervals, seconds: int) -> Intervals:
    """The earliest part of this length, or all of it."""
    kept: list[Interval] = []
    for start, end in intervals:
        length = min(end - start, seconds)
        if length > 0:
            kept.append((start, start + length))
        seconds -= length
    return tuple(kept)
