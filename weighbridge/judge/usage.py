"""How much the GPUs of a contract were used: summed by hour as samples come, and kept beside the rows.

A sample holds until the next one of its chain, if that comes within max_gap. What was read of no GPU adds to no sum,
and each sum says over how much GPU-time it was read. The energy between two samples is that of the hour in which the
first of them was taken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache

from weighbridge.catalogue.readings import BOUNDS
from weighbridge.catalogue.tables import sku_by_pci
from weighbridge.judge.latest_readings import (
    INVENTORY,
    PROCESSES,
    REASONS,
    LatestReadings,
    LatestSample,
)
from weighbridge.judge.ledger import HOUR_US, Use

POWER, BUSY, ENERGY = "power_draw_milliwatts", "utilization_gpu_percent", "energy_millijoules"
CARD = ("pci_device_id", "pci_subsystem_id", "memory_total_bytes")
LOADS = frozenset({POWER, BUSY, INVENTORY, PROCESSES, REASONS})
"""The readings that usage is computed from."""

MOST_MILLIWATTS = BOUNDS["milliwatts"].most
"""A counter of energy that rises faster than any card can draw began anew, or runs wild: it tells nothing."""

THIN = "samples_left_out"
"""The finding of an hour of which too little rests on samples, and the cause of its time."""

Column = list[int | None]
Load = tuple[int, int, int, int, int]


@dataclass(slots=True)
class Sums:
    """Of one hour, in device-microseconds: GPUs seen, known to be in use or not, in use, and read for busy and energy.

    `busy` is percent times device-microseconds. `sampled` of what was seen lies within the promised interval after a
    sample. The sums lie in [from_us, until_us).
    """

    hour_us: int
    from_us: int
    until_us: int
    seen: int = 0
    known: int = 0
    in_use: int = 0
    busy_known: int = 0
    busy: int = 0
    energy_known: int = 0
    energy_millijoules: int = 0
    sampled: int = 0


@dataclass(slots=True)
class UseMeter:
    """Of one promise over one chain. `load` and `counters` are of the last sample: GPUs seen, known, in use, read for
    busy, and their percents; the counter of each one's energy. `idle` is the top of each one's idle band, `held`
    whether a process holds its memory."""

    slots: list[str] = field(default_factory=list)
    held: list[bool | None] = field(default_factory=list)
    idle: Column = field(default_factory=list)
    load: Load | None = None
    counters: Column = field(default_factory=list)
    sums: Sums | None = None


def in_use(view: LatestReadings, device: str) -> bool | None:
    """Power above the card's idle band, or a process that holds memory; None where neither can be told."""
    sample, slots = view.tiers.get("fast"), [device]
    power: Column = [None] if sample is None else column(sample, POWER, slots)
    return _used(_held(view, slots), [idle_top(view, device)], power)[0]


def _held(view: LatestReadings, slots: Sequence[str]) -> list[bool | None]:
    """Of each device whether a process holds memory of it; None of all while the node does not list its processes."""
    holding = holders(view)
    return [None if holding is None else device in holding for device in slots]


def _used(held: Sequence[bool | None], idle: Column, power: Column) -> list[bool | None]:
    """Of each device whether it is in use; a node that lists its processes tells of every one."""
    return [
        True if taken else (now > top if now is not None and top is not None else taken)
        for taken, top, now in zip(held, idle, power, strict=True)
    ]


def holders(view: LatestReadings) -> frozenset[str] | None:
    """The devices whose memory a process holds; None while the node does not list its processes."""
    if view.processes is None:
        return None
    return frozenset(process.device for process in view.processes)


def idle_top(view: LatestReadings, device: str) -> int | None:
    """The most power, in milliwatts, at which the card does nothing; None for a card that no table knows."""
    shown = view.devices.get(device)
    if shown is None:
        return None
    facts: Mapping[str, int | str] = shown.identity.readings
    return _idle_top(*(facts.get(name) for name in CARD))


@lru_cache(maxsize=256)
def _idle_top(
    board: int | str | None, subsystem: int | str | None, memory: int | str | None
) -> int | None:
    if not isinstance(board, str):
        return None
    card = sku_by_pci(
        board,
        subsystem if isinstance(subsystem, str) else None,
        memory if isinstance(memory, int) else None,
    )
    band = None if card is None else card.idle_power_milliwatts
    return None if band is None else band.high


def take_in(
    meter: UseMeter,
    view: LatestReadings,
    slots: list[str],
    last_us: int | None,
    at_us: int,
    changed: set[str],
    interval_us: int,
) -> list[Sums]:
    """Take in a sample after the view has seen it, at every sample of every node: no more than it needs.

    Gives the sums of every hour that is over. `slots`: the devices that answer, empty for the others.
    `last_us`: of the sample before; None: the time between is not bridged.
    `changed`: what differs from that sample. `interval_us`: how long a sample is promised to stand alone.
    """
    # What an older build kept says nothing of who held memory.
    same, over = meter.slots == slots and len(meter.held) == len(slots), []
    counters, power, busy = columns(view.tiers["fast"], (ENERGY, POWER, BUSY), slots)
    if last_us is not None and meter.load is not None:
        spent = _spent(meter, slots, counters, at_us - last_us)
        over = _hold(meter, meter.load, last_us, at_us, spent, last_us + interval_us)
    if not same or INVENTORY in changed:
        meter.slots, meter.idle = list(slots), [idle_top(view, device) for device in slots]
    if not same or PROCESSES in changed:
        meter.held = _held(view, slots)
    if not same or not changed.isdisjoint(LOADS):
        meter.load = _load(meter, view, power, busy)
    meter.counters = counters
    return over


def end(meter: UseMeter, last_us: int, until_us: int, interval_us: int) -> list[Sums]:
    """What the last sample showed held until a promise ended, on the way to a sample behind that. Gives all sums."""
    over: list[Sums] = []
    if meter.load is not None:
        over = _hold(meter, meter.load, last_us, until_us, (0, 0), last_us + interval_us)
    return over if meter.sums is None else [*over, meter.sums]


def _load(meter: UseMeter, view: LatestReadings, power: Column, busy: Column) -> Load:
    slots = meter.slots
    seen = len(slots) - slots.count("")
    used = _used(meter.held, meter.idle, power)
    known = seen if view.processes is not None else len(used) - used.count(None)
    read = [percent for percent in busy if percent is not None]
    return seen, known, used.count(True), len(read), sum(read)


def column(sample: LatestSample, name: str, slots: Sequence[str]) -> Column:
    """A reading of these devices, None where it has no value."""
    return columns(sample, (name,), slots)[0]


def columns(sample: LatestSample, names: Iterable[str], slots: Sequence[str]) -> list[Column]:
    """The same of several readings."""
    rows = map(sample.rows.get, names)
    if sample.devices == slots:
        return [[None] * len(slots) if row is None else row for row in rows]
    places = {device: place for place, device in enumerate(sample.devices)}
    shown = [places.get(device) for device in slots]
    return [
        [None if row is None or place is None else row[place] for place in shown] for row in rows
    ]


def _spent(meter: UseMeter, slots: list[str], now: Column, length_us: int) -> tuple[int, int]:
    """Of how many GPUs the counter tells what they took, and how much; one that fell began anew and tells nothing."""
    most = MOST_MILLIWATTS * length_us // 1_000_000
    steps = [
        last - first
        for known, device, first, last in zip(meter.slots, slots, meter.counters, now, strict=True)
        if first is not None and last is not None and 0 <= last - first <= most and known == device
    ]
    return len(steps), sum(steps)


def _hold(
    meter: UseMeter,
    load: Load,
    last_us: int,
    at_us: int,
    spent: tuple[int, int],
    due_us: int,
) -> list[Sums]:
    """What the last sample showed held until this one, cut at full hours. `due_us`: when one was promised."""
    over: list[Sums] = []
    hour_us = last_us // HOUR_US * HOUR_US
    sums = _sums_of(meter, hour_us, last_us, over)
    sums.energy_known += spent[0] * (at_us - last_us)
    sums.energy_millijoules += spent[1]
    while at_us >= hour_us + HOUR_US:
        hour_us += HOUR_US
        _add(sums, load, last_us, hour_us, due_us)
        over.append(sums)
        last_us, meter.sums = hour_us, None
        if last_us == at_us:
            return over
        sums = _sums_of(meter, hour_us, last_us, over)
    _add(sums, load, last_us, at_us, due_us)
    return over


def _sums_of(meter: UseMeter, hour_us: int, from_us: int, over: list[Sums]) -> Sums:
    """Those of the hour; those of another one that are left from before are over."""
    if meter.sums is not None and meter.sums.hour_us != hour_us:
        over.append(meter.sums)
        meter.sums = None
    if meter.sums is None:
        meter.sums = Sums(hour_us, from_us, from_us)
    return meter.sums


def _add(sums: Sums, load: Load, last_us: int, at_us: int, due_us: int) -> None:
    seen, known, using, read, percents = load
    length = at_us - last_us
    sums.until_us = at_us
    sums.seen += seen * length
    sums.sampled += seen * max(0, min(at_us, due_us) - last_us)
    sums.known += known * length
    sums.in_use += using * length
    sums.busy_known += read * length
    sums.busy += percents * length


def is_thin(use: Use, least: Fraction) -> bool:
    """Whether less than the least share of what was seen in an hour rests on samples."""
    return use.sampled * least.denominator < use.seen * least.numerator
