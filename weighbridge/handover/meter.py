"""The fold of a window: what each GPU showed between two instants, as each side's agent told it, and whether it worked.

A sample covers the time up to the next one of its chain if that comes within `max_gap`, as in judgement. Time that two
chains of one side cover counts once. What nothing covers is unknown: never load, and never its absence.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from weighbridge.catalogue.tables import Sku, sku_by_pci
from weighbridge.handover.arrival import answers, number, text
from weighbridge.handover.reports import AcceptedReport, ReportingAgent
from weighbridge.judge.hour_series import BUSY_PERCENT
from weighbridge.judge.latest_readings import NOTHING
from weighbridge.judge.slot_history import Times
from weighbridge.wire.report import Block, Device, Facts

POWER, LOAD = "power_draw_milliwatts", "utilization_gpu_percent"
SHOWN = (POWER, "sm_clock_megahertz", LOAD, "temperature_gpu_celsius")
"""Readings that a certificate shows of every GPU."""

ENERGY = "energy_millijoules"

Values = Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class Limit:
    """What a reading must reach in a test: how long it does is counted."""

    reading: str
    threshold: Fraction
    inclusive: bool

    def holds(self, value: int) -> bool:
        return value > self.threshold or (self.inclusive and value == self.threshold)


@dataclass(frozen=True, slots=True)
class Band:
    """In milliwatts: up to `idle_top` a card does nothing, above `load_from` it works. None: nobody knows.

    Where no row has the idle power of a card, half of the power that it is made for is load for certain, and less says
    nothing.
    """

    idle_top: int | None = None
    load_from: int | None = None

    def works(self, power: int | None) -> bool | None:
        """Whether that power is one of a card at work; None: it does not say."""
        if power is None:
            return None
        if self.load_from is not None and power > self.load_from:
            return True
        return False if self.idle_top is not None and power <= self.idle_top else None


def band_of(card: Sku | None, limit: int | None) -> Band:
    """Of a card of the table, or None; `limit`: the default power limit that the device tells of itself."""
    if card is not None and card.idle_power_milliwatts is not None:
        top = card.idle_power_milliwatts.high
        return Band(top, top)
    listed = None if card is None else card.power_limit_default_milliwatts
    made_for = limit if listed is None else listed
    return Band(None, None if made_for is None else made_for // 2)


def under_load(power: int | None, percent: int | None, band: Band) -> bool | None:
    """Whether power and utilisation are those of a card at work; None: what was told does not say.

    Both must: power above what the card draws idle, and kernels that ran for BUSY_PERCENT of the time. One that is
    not so is enough to say no.
    """
    working = None if percent is None else percent >= BUSY_PERCENT
    drawing = band.works(power)
    if working is False or drawing is False:
        return False
    return True if working and drawing else None


@dataclass(slots=True)
class Stat:
    """A reading over the time in which it had a value."""

    least: int
    most: int
    total: int = 0
    seen_us: int = 0

    def add(self, value: int, length_us: int) -> None:
        self.least, self.most = min(self.least, value), max(self.most, value)
        self.total += value * length_us
        self.seen_us += length_us

    @property
    def mean(self) -> Fraction:
        """The mean, weighted by time; None where nothing was seen."""
        return Fraction(self.total, self.seen_us)


@dataclass(slots=True)
class LoadMeter:
    """One GPU as one side's agent saw it. `covered`: disjoint, in order. `held_us`: by limit, (reached, not)."""

    first_us: int | None = None
    covered: list[tuple[int, int]] = field(default_factory=list)
    loaded_us: int = 0
    idle_us: int = 0
    stats: dict[str, Stat] = field(default_factory=dict)
    energy_millijoules: int = 0
    energy_us: int = 0
    held_us: dict[int, list[int]] = field(default_factory=dict)

    def add(
        self, start_us: int, end_us: int, values: Values, band: Band, limits: Sequence[Limit]
    ) -> bool:
        """A sample covers [start, end); whether all of that is new."""
        length = self.cover_us(start_us, end_us)
        if length == 0:
            return False
        loaded = under_load(values[POWER], values[LOAD], band)
        self.loaded_us += length if loaded else 0
        self.idle_us += length if loaded is False else 0
        for name in SHOWN:
            value = values[name]
            if value is not None:
                self.stats.setdefault(name, Stat(value, value)).add(value, length)
        for place, limit in enumerate(limits):
            value = values[limit.reading]
            if value is not None:
                self.held_us.setdefault(place, [0, 0])[not limit.holds(value)] += length
        return length == end_us - start_us

    def cover_us(self, start_us: int, end_us: int) -> int:
        """Count [start, end) as covered; how much of it was not."""
        spans = self.covered
        if not spans or start_us > spans[-1][1]:
            spans.append((start_us, end_us))
            return end_us - start_us
        if start_us == spans[-1][1]:
            spans[-1] = (spans[-1][0], end_us)
            return end_us - start_us
        first = bisect_left(spans, start_us, key=lambda span: span[1])
        last, taken = first, 0
        low, high = start_us, end_us
        while last < len(spans) and spans[last][0] <= end_us:
            taken += max(0, min(spans[last][1], end_us) - max(spans[last][0], start_us))
            low, high = min(low, spans[last][0]), max(high, spans[last][1])
            last += 1
        spans[first:last] = [(low, high)]
        return end_us - start_us - taken

    def add_energy(self, before: int | None, after: int | None, length_us: int) -> None:
        """What the counter rose by over a time that is new; a counter that fell began anew, and says nothing."""
        if before is not None and after is not None and before <= after:
            self.energy_millijoules += after - before
            self.energy_us += length_us


@dataclass(frozen=True, slots=True)
class _Last:
    """The sample of a chain that was read last."""

    at_us: int
    block: Block
    sample: int

    def values(self, device: str, column: int, names: Iterable[str]) -> Values | None:
        """What it holds of a device; None where that gave no value at all: it may be gone."""
        rows, sample = self.block.readings, self.sample
        if not answers(self.block, sample, device):
            return None
        return {name: rows[name][sample][column] if name in rows else None for name in names}


@dataclass(slots=True)
class LoadWindow:
    """[from_us, until_us) of some nodes. Feed it reports in log order.

    `card`: by node, the contracted one as the table has it. `times`: of a node that are to be seen. `meters`: by node,
    device and side.
    """

    from_us: int
    until_us: int
    max_gap_us: int
    card: Callable[[str], Sku | None]
    times: Callable[[str], Times]
    limits: Sequence[Limit] = ()
    meters: dict[tuple[str, str, str], LoadMeter] = field(default_factory=dict)
    _devices: dict[str, dict[str, Device]] = field(default_factory=dict)
    _seen: dict[str, list[str]] = field(default_factory=dict)
    _last: dict[str, _Last] = field(default_factory=dict)
    _bands: dict[tuple[str, str], Band] = field(default_factory=dict)
    _names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._names = (*SHOWN, ENERGY, *(limit.reading for limit in self.limits))

    def see(self, heard: AcceptedReport) -> None:
        """Folds a report."""
        node, inventory = heard.speaker.node, heard.report.inventory
        if inventory is not None:
            known = self._devices.setdefault(node, {})
            known |= {device.uuid: device for device in inventory.devices}
            self._bands.clear()
        for at_us, block, sample in heard.samples():
            if block.tier == "fast":
                self._sample(heard, _Last(at_us, block, sample))

    def _sample(self, heard: AcceptedReport, now: _Last) -> None:
        last = self._last.get(heard.chain)
        self._last[heard.chain] = now
        if last is None or not 0 < now.at_us - last.at_us <= self.max_gap_us:
            return
        for since_us, until_us in self.times(heard.speaker.node):
            start_us = max(last.at_us, self.from_us, since_us)
            end_us = min(now.at_us, self.until_us, until_us)
            if start_us < end_us:
                self._between(heard, last, now, start_us, end_us)

    def _between(
        self, heard: AcceptedReport, last: _Last, now: _Last, start_us: int, end_us: int
    ) -> None:
        """Two samples of a chain, and the part of the time between them that counts."""
        whole = (start_us, end_us) == (last.at_us, now.at_us)
        for column, device in enumerate(last.block.devices):
            values = last.values(device, column, self._names)
            if values is None:
                continue
            meter = self._meter(heard.speaker, device, start_us)
            band = self.band(heard.speaker.node, device)
            if meter.add(start_us, end_us, values, band, self.limits) and whole:
                after = _value(now, device, ENERGY)
                meter.add_energy(values[ENERGY], after, end_us - start_us)

    def _meter(self, speaker: ReportingAgent, device: str, start_us: int) -> LoadMeter:
        node = speaker.node
        seen = self._seen.setdefault(node, [])
        if device not in seen:
            seen.append(device)
        meter = self.meters.setdefault((node, device, speaker.side), LoadMeter())
        meter.first_us = start_us if meter.first_us is None else min(meter.first_us, start_us)
        return meter

    def band(self, node: str, device: str) -> Band:
        """Of the card that the device says it is; where it has not said so, of the contracted one."""
        if (node, device) not in self._bands:
            told = self.identity(node, device) or NOTHING
            board = text(told, "pci_device_id")
            card = self.card(node)
            if board is not None:
                card = sku_by_pci(
                    board, text(told, "pci_subsystem_id"), number(told, "memory_total_bytes")
                )
            limit = number(told, "power_limit_default_milliwatts")
            self._bands[node, device] = band_of(card, limit)
        return self._bands[node, device]

    def identity(self, node: str, device: str) -> Facts | None:
        """What the newest inventory said of a device."""
        known = self._devices.get(node, {}).get(device)
        return None if known is None else known.identity

    def devices_on(self, node: str, assigned: Iterable[str] | None) -> list[str]:
        """Devices that were seen on a node, in the order of its own list; of all of them the whole GPUs."""
        seen = self._seen.get(node, [])
        if assigned is not None:
            return [device for device in seen if device in assigned]
        return [device for device in seen if not self._is_slice(node, device)]

    def _is_slice(self, node: str, device: str) -> bool:
        told = self._devices.get(node, {}).get(device)
        return device.startswith("MIG-") if told is None else told.parent is not None


def _value(last: _Last, device: str, reading: str) -> int | None:
    rows = last.block.readings.get(reading)
    if rows is None or device not in last.block.devices:
        return None
    return rows[last.sample][last.block.devices.index(device)]
