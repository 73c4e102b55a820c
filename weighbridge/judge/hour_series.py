"""What the samples of one UTC hour show of each device together: counted as they come, judged when the hour is over.

One sample may be a glitch, and what is sampled may fall between two steps of a load; an hour of them is neither.
"""

from collections import Counter
from dataclasses import dataclass, field

from weighbridge.judge.checks.check import HourSeries
from weighbridge.judge.latest_readings import INVENTORY, LatestReadings, falls
from weighbridge.judge.usage import (
    BUSY,
    ENERGY,
    MOST_MILLIWATTS,
    POWER,
    Column,
    column,
    holders,
    idle_top,
)

BUSY_PERCENT = 50
"""A device whose kernels ran for this share of the sample is busy: clocks and links then mean something."""
REMEMBERED_TIMES = 2
"""So many devices of an hour are remembered for each slot."""
SLACK_US = 60_000_000
"""A counter that begins anew may count for so much longer than two samples lie apart: clocks are anchored anew."""

READ = (
    POWER,
    ENERGY,
    BUSY,
    "temperature_gpu_celsius",
    "sm_clock_megahertz",
    "memory_clock_megahertz",
    "memory_used_bytes",
)
CLOCKS = ("sm_clock_max_megahertz", "memory_clock_max_megahertz")
LIMIT, TOTAL = "power_limit_max_milliwatts", "memory_total_bytes"


@dataclass(slots=True)
class Limits:
    """What a card says of itself, as what is beyond it: power, clocks, how full memory is full; and where it idles."""

    milliwatts: int | None
    sm_megahertz: int | None
    memory_megahertz: int | None
    full_bytes: int | None
    idle_milliwatts: int | None


ENFORCED, FLAGS = "power_limit_enforced_milliwatts", "clocks_event_reasons_flags"
HELD_DOWN = (
    ("power_cap", "clocks_event_sw_power_cap_microseconds", 0x4),
    ("hw_slowdown", "", 0x8),
    ("sw_thermal", "clocks_event_sw_thermal_microseconds", 0x20),
    ("hw_thermal", "clocks_event_hw_thermal_microseconds", 0x40),
    ("power_brake", "clocks_event_hw_power_brake_microseconds", 0x80),
)
"""Causes of clocks below what the card can reach, each with its counter and its bit among those of the moment
(nvmlClocksEventReason*). Where a driver lacks one of the counters, a bit of two samples in a row stands for the time
between.
"""
COUNTED = frozenset(cause for cause, counter, _ in HELD_DOWN if counter)
POWER_CAP = HELD_DOWN[0][0]


@dataclass(slots=True)
class SeriesMeter:
    """Of one promise over one chain: the hour under way and the one before by device, and what the last sample was.

    `limited`: by cause, what the counters of throttling said then; `flags`: the bits. `falls`: how often each port had
    gone down by the end of the last hour, `flaps` how often in that hour.
    """

    hour: dict[str, HourSeries] = field(default_factory=dict)
    last_hour: dict[str, HourSeries] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    energy: Column = field(default_factory=list)
    power: Column = field(default_factory=list)
    heat: Column = field(default_factory=list)
    clock: Column = field(default_factory=list)
    limited: list[Column] = field(default_factory=list)
    flags: Column = field(default_factory=list)
    falls: dict[str, int] = field(default_factory=dict)
    flaps: dict[str, int] = field(default_factory=dict)


def note_throttling(
    meter: SeriesMeter,
    view: LatestReadings,
    slots: list[str],
    passed_us: int,
    floor_milliwatts: int | None,
) -> None:
    """Take in what held clocks down since the last sample, before `note` does; `passed_us` 0: there is none to
    compare with.

    A card at work is held by the power limit that it is made for, which takes nothing from anybody: the power cap
    counts while the limit in force is below `floor_milliwatts`, or else below the card's default.
    """
    columns = view.tiers["fast"]
    now = [column(columns, name, slots) for _, name, _ in HELD_DOWN]
    flags, enforced = (column(columns, name, slots) for name in (FLAGS, ENFORCED))
    if passed_us > 0 and meter.slots == slots and len(meter.limited) == len(now):
        for place, device in enumerate(slots):
            if device:
                capped = _is_capped(view, device, enforced[place], floor_milliwatts)
                held = _held_us(meter, now, flags, place, passed_us)
                series = meter.hour.setdefault(device, HourSeries())
                _throttle(series, held, passed_us, capped=capped)
    meter.limited, meter.flags = now, flags


def _is_capped(view: LatestReadings, device: str, enforced: int | None, floor: int | None) -> bool:
    own = _own(view, device, "power_limit_default_milliwatts") if floor is None else floor
    return enforced is not None and own is not None and enforced < own


def _held_us(
    meter: SeriesMeter, now: list[Column], flags: Column, place: int, passed_us: int
) -> dict[str, int]:
    """By cause, for how long it held; empty where neither counters nor bits tell of each."""
    counted: dict[str, int] = {}
    for (cause, _, _), was, is_ in zip(HELD_DOWN, meter.limited, now, strict=True):
        before, after = was[place], is_[place]
        if before is not None and after is not None and after >= before:
            counted[cause] = min(after - before, passed_us)
    if counted.keys() >= COUNTED:
        return counted
    first, last = meter.flags[place], flags[place]
    if first is None or last is None:
        return {}
    bits = {cause: passed_us if first & last & bit else 0 for cause, _, bit in HELD_DOWN}
    return bits | counted


def _throttle(series: HourSeries, held: dict[str, int], passed_us: int, *, capped: bool) -> None:
    counts = {cause: us for cause, us in held.items() if capped or cause != POWER_CAP}
    if not held:
        return
    series.watched_us += passed_us
    series.throttled_us += max(counts.values(), default=0)
    for cause, us in counts.items():
        if us:
            series.throttles_us[cause] = series.throttles_us.get(cause, 0) + us


def note(
    meter: SeriesMeter,
    view: LatestReadings,
    slots: list[str],
    last_us: int | None,
    at_us: int,
    changed: set[str],
) -> None:
    """Take in a sample after the view has seen it, at every sample of every node: no more than it needs.

    `slots`: the devices that answer, empty for the others. `last_us`: of the sample before, however long ago.
    """
    columns, same = view.tiers["fast"], meter.slots == slots
    if not same or INVENTORY in changed:
        meter.slots, meter.limits = list(slots), [_limits(view, device) for device in slots]
        _forget(meter.hour, slots)
    power, energy, busy, heat, clock, memory_clock, used = (
        column(columns, name, slots) for name in READ
    )
    # Some drivers say 0 of what they do not know: a card that works draws something.
    power, energy = ([one or None for one in each] for each in (power, energy))
    passed_us = at_us - last_us if same and last_us is not None else 0
    alike = _alike(power, heat, clock)
    for place, device in enumerate(slots):
        if not device:
            continue
        series = meter.hour.get(device)
        if series is None:
            series = meter.hour[device] = HourSeries()
        series.samples += 1
        limits, now, megahertz = meter.limits[place], power[place], clock[place]
        if _above(now, limits.milliwatts) or (
            _above(megahertz, limits.sm_megahertz)
            or _above(memory_clock[place], limits.memory_megahertz)
        ):
            series.beyond += 1
        if (busy[place] or 0) >= BUSY_PERCENT and now is not None:
            series.busy += 1
            series.copied += place in alike
            stands = passed_us > 0 and (meter.power[place], meter.heat[place], meter.clock[place])
            series.run = series.run + 1 if stands == (now, heat[place], megahertz) else 0
            series.steady = max(series.steady, series.run)
        else:
            series.run = 0
        if _above(used[place], limits.full_bytes) and _is_held(view, device, limits, now):
            series.held += 1
        if passed_us > 0:
            _spend(series, meter.energy[place], energy[place], meter.power[place], now, passed_us)
    meter.energy, meter.power, meter.heat, meter.clock = energy, power, heat, clock


def _forget(hour: dict[str, HourSeries], slots: list[str]) -> None:
    """Made-up names for each sample are no devices of the hour: those that filled its slots last are enough."""
    gone = [device for device in hour if device not in slots]
    for device in gone[: max(0, len(hour) - REMEMBERED_TIMES * len(slots))]:
        del hour[device]


def turn(meter: SeriesMeter, view: LatestReadings) -> None:
    """The hour under way is over. A counter of a port that fell began anew."""
    meter.last_hour, meter.hour = meter.hour, {}
    before, meter.falls = meter.falls, falls(view)
    risen = {
        port: times - before[port] if times >= before[port] else times
        for port, times in meter.falls.items()
        if port in before
    }
    meter.flaps = {port: times for port, times in risen.items() if times}


def _limits(view: LatestReadings, device: str) -> Limits:
    """Half more power than the card's highest limit, which no peak keeps up; a tenth more clock than its highest; nine
    tenths of its memory."""
    most, memory = _own(view, device, LIMIT), _own(view, device, TOTAL)
    sm, of_memory = (_own(view, device, name) for name in CLOCKS)
    return Limits(
        None if most is None else most * 3 // 2,
        None if sm is None else sm * 11 // 10,
        None if of_memory is None else of_memory * 11 // 10,
        None if memory is None else memory * 9 // 10 - 1,
        idle_top(view, device),
    )


def _own(view: LatestReadings, device: str, reading: str) -> int | None:
    """Nothing that is 0: some drivers say that of what they do not know."""
    value = view.value(device, reading)
    return value if isinstance(value, int) and value > 0 else None


def _above(value: int | None, limit: int | None) -> bool:
    return value is not None and limit is not None and value > limit


def _alike(power: Column, heat: Column, clock: Column) -> frozenset[int]:
    """The places that show what another one does. Mostly none: their powers differ."""
    if len(set(power)) == len(power):
        return frozenset()
    rows = list(zip(power, heat, clock, strict=True))
    times = Counter(rows)
    return frozenset(place for place, row in enumerate(rows) if times[row] > 1)


def _is_held(view: LatestReadings, device: str, limits: Limits, milliwatts: int | None) -> bool:
    """Whether full memory is no process's of the list, and the card does nothing."""
    holding, idle = holders(view), limits.idle_milliwatts
    if holding is None or milliwatts is None or idle is None or milliwatts > idle:
        return False
    slices = (one.uuid for one in view.devices.values() if one.parent == device)
    return device not in holding and holding.isdisjoint(slices)


def _spend(
    series: HourSeries,
    before: int | None,
    now: int | None,
    first: int | None,
    last: int | None,
    passed_us: int,
) -> None:
    """Energy between two samples, and the powers at both."""
    if before is None or now is None:
        return
    if now < before:
        series.fell += now > MOST_MILLIWATTS * (passed_us + SLACK_US) // 1_000_000
        return
    if first is None or last is None or passed_us > SLACK_US:
        return
    series.spent_millijoules += now - before
    series.spent_us += passed_us
    low, high = (first, last) if first < last else (last, first)
    if series.least is None or low < series.least:
        series.least = low
    if high > series.most:
        series.most = high
