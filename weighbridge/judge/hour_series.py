"""What the samples of one UTC hour show of each device together: counted as they come, judged when the hour is over.

One sample may be a glitch, and what is sampled may fall between two steps of a load; an hour of them is neither.
"""

from collections import Counter
from dataclasses import dataclass, field

from weighbridge.judge.checks.check import HourSeries
from weighbridge.judge.latest_readings import (
    BEGIN_ANEW,
    INVENTORY,
    LatestReadings,
    LatestSample,
    falls,
)
from weighbridge.judge.usage import (
    BUSY,
    ENERGY,
    MOST_MILLIWATTS,
    POWER,
    Column,
    columns,
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
    "temperature_gpu_celsius",
    "sm_clock_megahertz",
    BUSY,
    "memory_clock_megahertz",
    "memory_used_bytes",
)
CLOCKS = ("sm_clock_max_megahertz", "memory_clock_max_megahertz")
LIMIT, TOTAL = "power_limit_max_milliwatts", "memory_total_bytes"
DEFAULT, PERSISTENCE = "power_limit_default_milliwatts", "persistence_mode_code"
OF_EIGHT = 7
"""A step to a power with none of these bits is looked at: one in eight or more, wherever and whenever it is shown."""
MARKS = 4
SPREAD, MARK_BITS = 0x9E3779B97F4A7C15, (1 << 48) - 1
NEVER = 2**62
"""A limit that no reading reaches."""
ALL_PERCENT = 99
"""Kernels ran all the time."""

FOR_LIFE = (
    "remapped_correctable_rows",
    "remapped_uncorrectable_rows",
    "retired_corrected_pages",
    "retired_uncorrected_pages",
    "ecc_total_corrected_aggregate_count",
    "ecc_total_uncorrected_aggregate_count",
)
"""Counters that the card itself keeps, over resets and boots."""
WITH_THE_DRIVER = (*BEGIN_ANEW, "pcie_replay_count")


@dataclass(slots=True)
class Limits:
    """What a card says of itself, as what is beyond it: power, clocks, how full memory is full; where it idles, and
    above which power something is at work. What it does not say, nothing is beyond.
    """

    milliwatts: int
    sm_megahertz: int
    memory_megahertz: int
    full_bytes: int
    idle_milliwatts: int
    loud_milliwatts: int


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
    gone down by the end of the last hour, `flaps` how often in that hour. `trail`: the powers
    of the sample before the last. `lasting`: the counters that only rise,
    as of the slow sample at `lasting_us`.
    """

    hour: dict[str, HourSeries] = field(default_factory=dict)
    last_hour: dict[str, HourSeries] = field(default_factory=dict)
    slots: list[str] = field(default_factory=list)
    limits: list[Limits] = field(default_factory=list)
    energy: Column = field(default_factory=list)
    power: Column = field(default_factory=list)
    heat: Column = field(default_factory=list)
    clock: Column = field(default_factory=list)
    worked: list[bool] = field(default_factory=list)
    trail: Column = field(default_factory=list)
    limited: list[Column] = field(default_factory=list)
    flags: Column = field(default_factory=list)
    lasting: dict[str, Column] = field(default_factory=dict)
    lasting_us: int = 0
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
    names = (*(name for _, name, _ in HELD_DOWN), FLAGS, ENFORCED)
    *now, flags, enforced = columns(view.tiers["fast"], names, slots)
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
    same = meter.slots == slots and len(meter.worked) == len(slots)
    if not same or INVENTORY in changed:
        meter.slots, meter.limits = list(slots), [_limits(view, device) for device in slots]
        _forget(meter.hour, slots)
    if not same:
        blank: Column = [None] * len(slots)
        meter.power = meter.energy = meter.heat = meter.clock = meter.trail = blank
        meter.worked, meter.lasting = [False] * len(slots), {}
    read = columns(view.tiers["fast"], READ, slots)
    # Some drivers say 0 of what they do not know: a card that works draws something.
    for place in (0, 1):
        if not all(read[place]):
            read[place] = [value or None for value in read[place]]
    works = [percent is not None and percent >= BUSY_PERCENT for percent in read[4]]
    hour = [meter.hour.get(device) or _begun(meter, device) for device in slots]
    if works != meter.worked:
        _change(meter, hour, works)
    _count(meter, view, hour, works, read)
    _spend(meter, hour, read, at_us - last_us if same and last_us is not None else 0)
    for place in _alike(read[0], *read[2:4]):
        hour[place].copied += works[place] and read[0][place] is not None
    meter.trail, meter.worked = meter.power, works
    meter.power, meter.energy, meter.heat, meter.clock = read[:4]
    slow = view.tiers.get("slow")
    if slow is not None and slow.sampled_us != meter.lasting_us:
        _note_lasting(meter, view, slow)


def _begun(meter: SeriesMeter, device: str) -> HourSeries:
    """Of a device that had none in this hour. Where none answers, nobody looks at it."""
    series = HourSeries()
    return meter.hour.setdefault(device, series) if device else series


def _count(
    meter: SeriesMeter,
    view: LatestReadings,
    hour: list[HourSeries],
    works: list[bool],
    read: list[Column],
) -> None:
    """What a sample of each device shows beside the two before it; what those did not show is None."""
    before = (meter.trail, meter.power, meter.heat, meter.clock)
    for (
        series, limits, device, busy, trail, power, heat, clock,
        milliwatts, _, celsius, megahertz, percent, of_memory, taken,
    ) in zip(hour, meter.limits, meter.slots, works, *before, *read, strict=True):  # fmt: skip
        series.samples += 1
        if (
            (milliwatts or 0) > limits.milliwatts
            or (megahertz or 0) > limits.sm_megahertz
            or (of_memory or 0) > limits.memory_megahertz
        ):
            series.beyond += 1
        if (taken or 0) > limits.full_bytes and _is_held(view, device, limits, milliwatts):
            series.held += 1
        if celsius != heat or celsius is None:
            series.heated += 1
        if milliwatts is None or not busy:
            series.run = 0
            if percent == 0 and milliwatts is not None and milliwatts > limits.loud_milliwatts:
                series.unmoved += 1
            continue
        series.busy += 1
        if milliwatts <= limits.idle_milliwatts and percent >= ALL_PERCENT:
            series.unmoved += 1
        if milliwatts == power and celsius == heat and megahertz == clock:
            series.run += 1
            series.steady = max(series.steady, series.run)
        else:
            series.run = 0
        if not milliwatts & OF_EIGHT:
            _mark(series, trail, power, milliwatts, celsius)


def _mark(
    series: HourSeries, first: int | None, second: int | None, third: int, heat: int | None
) -> None:
    """Of three powers in a row and the heat, where each power is another one, a number by which they are known.

    The least ones of an hour are those of the same series wherever and whenever it is shown.
    """
    if first is None or second is None or first == second or second == third:
        return
    mark = ((first * SPREAD ^ second) * SPREAD ^ third) * SPREAD + (heat or 0) & MARK_BITS
    marks = series.marks
    if (len(marks) < MARKS or mark < marks[-1]) and mark not in marks:
        series.marks = sorted([*marks, mark])[:MARKS]


def _change(meter: SeriesMeter, hour: list[HourSeries], works: list[bool]) -> None:
    """Who works is another one than in the sample before."""
    for series, before, now in zip(hour, meter.worked, works, strict=True):
        if before is not now:
            _end_stretch(series, before, series.samples)


def _end_stretch(series: HourSeries, worked: bool, at_sample: int) -> None:
    """Work begins, or ends, with a sample: so many in a row were alike before."""
    length, series.changed = at_sample - series.changed, at_sample
    if worked:
        series.longest_work = max(series.longest_work, length)
    else:
        series.longest_rest = max(series.longest_rest, length)


def _note_lasting(meter: SeriesMeter, view: LatestReadings, slow: LatestSample) -> None:
    """Which counters that only rise have fallen, once a slow sample.

    Those that begin anew with the driver do so all together, energy too, and where it stays loaded while nobody uses it
    they do not.
    """
    before, now = meter.lasting, dict[str, Column]()
    for sample, names in ((slow, FOR_LIFE), (view.tiers["fast"], WITH_THE_DRIVER)):
        now.update(zip(names, columns(sample, names, meter.slots), strict=True))
    meter.lasting, meter.lasting_us = now, slow.sampled_us
    moved = [name for name in now if name in before and before[name] != now[name]]
    fell = {name: _fallen(before[name], now[name]) for name in moved}
    for name, places in fell.items():
        for place in places:
            device = meter.slots[place]
            kept = place not in fell.get(ENERGY, ()) and view.value(device, PERSISTENCE) == 1
            if device and (name in FOR_LIFE or kept):
                fallen = meter.hour[device].fallen
                fallen[name] = fallen.get(name, 0) + 1


def _fallen(before: Column, now: Column) -> list[int]:
    """The places at which a counter fell."""
    pairs = enumerate(zip(before, now, strict=True))
    return [place for place, (was, is_) in pairs if was and is_ is not None and is_ < was]


def _forget(hour: dict[str, HourSeries], slots: list[str]) -> None:
    """Made-up names for each sample are no devices of the hour: those that filled its slots last are enough."""
    gone = [device for device in hour if device not in slots]
    for device in gone[: max(0, len(hour) - REMEMBERED_TIMES * len(slots))]:
        del hour[device]


def turn(meter: SeriesMeter, view: LatestReadings) -> None:
    """The hour under way is over. A counter of a port that fell began anew."""
    for device, worked in zip(meter.slots, meter.worked, strict=True):
        if device in meter.hour:
            _end_stretch(meter.hour[device], worked, meter.hour[device].samples)
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
    most, memory, usual = (_own(view, device, name) for name in (LIMIT, TOTAL, DEFAULT))
    sm, of_memory = (_own(view, device, name) for name in CLOCKS)
    idle = idle_top(view, device)
    return Limits(
        NEVER if most is None else most * 3 // 2,
        NEVER if sm is None else sm * 11 // 10,
        NEVER if of_memory is None else of_memory * 11 // 10,
        NEVER if memory is None else memory * 9 // 10 - 1,
        -1 if idle is None else idle,
        NEVER if usual is None else usual // 2,
    )


def _own(view: LatestReadings, device: str, reading: str) -> int | None:
    """Nothing that is 0: some drivers say that of what they do not know."""
    value = view.value(device, reading)
    return value if isinstance(value, int) and value > 0 else None


def _alike(power: Column, heat: Column, clock: Column) -> frozenset[int]:
    """The places that show what another one does. Mostly none: their powers differ."""
    if len(set(power)) == len(power):
        return frozenset()
    rows = list(zip(power, heat, clock, strict=True))
    times = Counter(rows)
    return frozenset(place for place, row in enumerate(rows) if times[row] > 1)


def _is_held(view: LatestReadings, device: str, limits: Limits, milliwatts: int | None) -> bool:
    """Whether full memory is no process's of the list, and the card does nothing."""
    holding = holders(view)
    if holding is None or milliwatts is None or milliwatts > limits.idle_milliwatts:
        return False
    slices = (one.uuid for one in view.devices.values() if one.parent == device)
    return device not in holding and holding.isdisjoint(slices)


def _spend(meter: SeriesMeter, hour: list[HourSeries], read: list[Column], passed_us: int) -> None:
    """Energy between two samples, and the powers at both."""
    columns_of = (meter.energy, read[1], meter.power, read[0])
    for series, before, now, first, last in zip(hour, *columns_of, strict=True):
        if before is None or now is None:
            continue
        if now < before:
            series.fell += now > MOST_MILLIWATTS * (passed_us + SLACK_US) // 1_000_000
        elif first is not None and last is not None and passed_us <= SLACK_US:
            series.spent_millijoules += now - before
            series.spent_us += passed_us
            low, high = (first, last) if first < last else (last, first)
            if series.least is None or low < series.least:
                series.least = low
            if high > series.most:
                series.most = high
