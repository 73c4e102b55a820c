"""The last day and the last month of a node or of one device, as plots of what the log's reports say."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from collector.documents.spelling import local
from collector.documents.words import Language
from collector.judging.live import Fleet
from collector.storage.store import Ledger
from collector.web.page_words import name, say
from collector.web.plots import Band, Plot, Series, plot
from collector.web.readings import PLACES, Shown
from weighbridge.catalogue.readings import READING
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import Times
from weighbridge.judge.two_sides import of_rows
from weighbridge.wire.report import Reason

DAY_US = 86_400_000_000
WINDOWS_US = {"day": DAY_US, "month": 30 * DAY_US}
AROUND = "around"
"""The window around something that happened."""

KEPT = 64
"""Pictures that are kept: pages look again every few seconds, and a month does not change in them."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("power", ("power_draw_milliwatts", "power_limit_enforced_milliwatts")),
    ("use", ("utilization_gpu_percent", "utilization_memory_percent")),
    ("activity", ("sm_active_permyriad", "tensor_active_permyriad", "dram_active_permyriad")),
    ("memory", ("memory_used_bytes",)),
    ("temperature", ("temperature_gpu_celsius", "temperature_memory_celsius")),
    ("clocks", ("sm_clock_megahertz", "memory_clock_megahertz")),
    ("ecc", ("ecc_total_corrected_volatile_count", "ecc_total_uncorrected_volatile_count")),
    ("links", ("nvlink_active_links",)),
)
"""What is drawn, if the device has it: readings of one unit together."""

READ = tuple(reading for _, readings in GROUPS for reading in readings)
ABSENT = frozenset({Reason.NOT_SUPPORTED, Reason.FUNCTION_NOT_FOUND})
"""Reasons of a card or driver that has no such reading: that is no gap."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose picture: these devices of a node, as the range of all of them. `contracts`: whose ledgers mark the states
    of a single one; `times`: those that may be shown, None: all."""

    node: str
    devices: tuple[str, ...]
    zone: str
    language: Language
    times: Times | None = None
    contracts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """One window, drawn from so many `reports`, about so far apart; 0: every one was read."""

    window: str
    plots: Sequence[tuple[str, Plot]]
    reports: int
    apart_us: int
    drawn_us: int


class Reading(Protocol):
    """Reads the log, in a thread: `collector.web.readings.Readings`."""

    def times(self, node: str, contracts: Collection[str]) -> Times: ...

    def over(
        self,
        node: str,
        devices: Collection[str],
        readings: Collection[str],
        start_us: int,
        end_us: int,
        times: Times | None = None,
    ) -> Shown: ...


class DevicePlots:
    """Over one store."""

    def __init__(self, readings: Reading, fleet: Fleet, ledger: Ledger) -> None:
        self._readings, self._fleet, self._ledger = readings, fleet, ledger
        self._kept: dict[tuple[Subject, str], Picture] = {}

    async def of(self, subject: Subject) -> list[Picture]:
        """The day, then the month."""
        return [await self._picture(subject, window) for window in WINDOWS_US]

    async def around(
        self, subject: Subject, start_us: int, end_us: int, marked: Sequence[Band]
    ) -> Picture:
        """A stretch of time with what is marked in it, drawn anew each time."""
        return await asyncio.to_thread(self._drawn, subject, AROUND, (start_us, end_us), marked)

    async def times(self, node: str, contracts: Collection[str]) -> Times:
        """The times of a node that are these contracts' to see."""
        return await asyncio.to_thread(self._readings.times, node, contracts)

    async def _picture(self, subject: Subject, window: str) -> Picture:
        key = subject, window
        known, now_us = self._kept.get(key), self._fleet.now_us
        if known is not None and 0 <= now_us - known.drawn_us < WINDOWS_US[window] // PLACES // 4:
            return known
        growing = [
            row for one in subject.contracts for row in self._fleet.open_rows(one, subject.node)
        ]
        made = await asyncio.to_thread(self._lately, subject, window, now_us, growing)
        self._kept.pop(key, None)
        self._kept[key] = made
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return made

    def _lately(
        self, subject: Subject, window: str, now_us: int, growing: Sequence[Row]
    ) -> Picture:
        start_us = now_us - WINDOWS_US[window]
        bands = list(self._bands(subject, start_us, now_us, growing))
        return self._drawn(subject, window, (start_us, now_us), bands)

    def _drawn(
        self, subject: Subject, window: str, ends_us: tuple[int, int], bands: Sequence[Band]
    ) -> Picture:
        start_us, end_us = ends_us
        read = (subject.node, subject.devices, READ, start_us, end_us, subject.times)
        shown = self._readings.over(*read)
        plots = [
            (
                say(f"plot.{title}", subject.language),
                plot(lines, start_us, end_us, subject.zone, unit, bands),
            )
            for title, readings in GROUPS
            if (lines := list(_lines(shown, subject, readings)))
            for unit in [READING[readings[0]].unit]
        ]
        return Picture(window, plots, shown.reports, shown.apart_us, end_us)

    def _bands(
        self, subject: Subject, start_us: int, end_us: int, growing: Sequence[Row]
    ) -> Iterator[Band]:
        """Where a contract's ledger has the one device in another state than up."""
        if len(subject.devices) != 1:
            return
        for contract in subject.contracts:
            written = self._ledger.rows(contract, start_us, end_us, None, subject.node)
            mine = [
                row
                for row in (*written, *growing)
                if row.contract == contract and row.device in subject.devices
            ]
            for part in of_rows(mine, start_us, end_us, 0):
                if part.state not in (State.UP, State.UNKNOWN):
                    yield _band(part.start_us, part.end_us, part.state, part.cause, subject)


def _band(start_us: int, end_us: int, state: State, cause: str, subject: Subject) -> Band:
    what = name("badge", state.value, subject.language)
    why = f" ({name('cause', cause, subject.language)})" if cause else ""
    times = f"{local(start_us, subject.zone)} – {local(end_us, subject.zone)}"
    return Band(start_us, end_us, state.value, f"{what}{why} {times}")


def _lines(shown: Shown, subject: Subject, readings: Sequence[str]) -> Iterator[Series]:
    """Those of which there is anything to say: a value, or a reason for none that is not the card's."""
    for reading in readings:
        title = say(f"reading.{reading}", subject.language)
        line = shown.spread(title, subject.devices, reading)
        if any(point.low is not None or point.reason not in ABSENT for point in line.points):
            yield line
