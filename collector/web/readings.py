"""Readings of a node's devices over a stretch of time, from the reports in the log: from some hundreds of them, spread
evenly, however many there are.

A report is found by its number in its chain: chains are long and their reports even, so that the place of an instant is
found by halving. When a sample was taken is told by the node's clock, never later than its report was received.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import msgspec

from collector.log.keys import KeyRing, NodeKey
from collector.storage.received import received_us
from collector.storage.store import Accepted, ChainKey, EntryIndex, EvidenceLog
from collector.web.plots import Point, Series
from weighbridge.catalogue.readings import READING, Tier
from weighbridge.judge.slot_history import Stay, Times, seen_by, stays
from weighbridge.log.entries import Assignment, EntryKind
from weighbridge.wire.report import ReportClocks, UnavailableSpan

PLACES = 240
"""Reports that a picture is drawn from, if there are so many; behind every fourth, more are read until one has slow
readings too."""

EVERY, READ_ON = 4, 8
LEFT = "removed"
"""Why there is no value where a report stood that has left the store."""

SIDES = ("provider", "lessee")


@dataclass(frozen=True, slots=True)
class Shown:
    """Of one window: the points of each device and reading, from how many reports. `apart_us`: how far apart these are
    where there are more of them than were read; 0: every one was."""

    points: Mapping[tuple[str, str], Sequence[Point]]
    joined_us: Mapping[Tier, int]
    reports: int
    apart_us: int

    def series(self, name: str, device: str, reading: str) -> Series:
        """The line of a reading of one device."""
        found = self.points.get((device, reading), ())
        return Series(name, found, self.joined_us[READING[reading].tier])

    def spread(self, name: str, devices: Collection[str], reading: str) -> Series:
        """The least and the most of a reading over devices, report by report."""
        told = [one for device in devices for one in self.points.get((device, reading), ())]
        at: dict[int, list[Point]] = {}
        for point in told:
            at.setdefault(point.at_us, []).append(point)
        joined = [_joined(at_us, at[at_us]) for at_us in sorted(at)]
        return Series(name, joined, self.joined_us[READING[reading].tier])


def _joined(at_us: int, points: Sequence[Point]) -> Point:
    lows = [one.low for one in points if one.low is not None]
    highs = [one.high for one in points if one.high is not None]
    if not lows:
        return points[0]
    return Point(at_us, min(lows), max(highs))


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The reports [first, end) of a chain, by number."""

    chain: ChainKey
    first: int
    end: int


class _Made(msgspec.Struct, frozen=True):
    """When a report was made. The rest of it is passed over."""

    clock: ReportClocks


class _Samples(msgspec.Struct, frozen=True):
    """A block of a report, as `wire.report.Block` has it: what the log holds was looked at when it came."""

    boottime_us: list[int]
    devices: list[str]
    readings: dict[str, list[list[int | None]]]
    tier: str
    unavailable: list[UnavailableSpan]


class _Sampled(_Made, frozen=True):
    """What a picture is drawn from."""

    blocks: list[_Samples]
    interval_ms: int


_MADE, _SAMPLED = msgspec.json.Decoder(_Made), msgspec.json.Decoder(_Sampled)


class Readings:
    """Of the nodes of one store. Reads the log: call its methods in a thread."""

    def __init__(self, log: EvidenceLog, index: EntryIndex, ring: KeyRing) -> None:
        self._log, self._index, self._ring = log, index, ring

    def times(self, node: str, contracts: Collection[str]) -> Times:
        """The times of a node that are these contracts' to see: what another tenant ran on it is not told."""
        places = self._index.of_kinds({EntryKind.ASSIGNMENT})
        held: dict[str, list[tuple[int, Assignment]]] = {}
        for place, one in zip(places, self._ring.assignments(), strict=False):
            if one.node == node:
                at_us = received_us(self._log, self._index, place)
                held.setdefault(one.contract, []).append((at_us, one))
        stayed: dict[str, list[Stay]] = {name: stays(said) for name, said in held.items()}
        found: list[tuple[int, int]] = []
        for name in contracts:
            others = [stay for other, made in stayed.items() if other != name for stay in made]
            found += seen_by(stayed.get(name, ()), others).get(node, ())
        return tuple(sorted(found))

    def over(
        self,
        node: str,
        devices: Collection[str],
        readings: Collection[str],
        start_us: int,
        end_us: int,
        times: Times | None = None,
    ) -> Shown:
        """What the node showed in [start_us, end_us), within `times` where these are named. The provider's agent speaks
        for it; where it has none, the lessee's."""
        stretches = list(self._stretches(node, start_us, end_us))
        total = sum(one.end - one.first for one in stretches)
        place_us = max((end_us - start_us) // PLACES, 1)
        window = _Window(start_us, end_us, place_us, times)
        points: dict[tuple[str, str], list[Point]] = {}
        interval_us = drawn = 0
        for accepted, report in self._reports(stretches, total):
            interval_us = max(interval_us, 0 if report is None else report.interval_ms * 1000)
            told = list(_told(accepted, report, devices, readings, window))
            drawn += bool(told)
            for key, point in told:
                points.setdefault(key, []).append(point)
        for found in points.values():
            found.sort(key=lambda point: point.at_us)
        return Shown(
            points,
            {
                Tier.FAST: max(2 * place_us, 3 * interval_us),
                Tier.SLOW: max(2 * EVERY * place_us, 6 * EVERY * interval_us),
            },
            drawn,
            place_us if total > PLACES else 0,
        )

    def _stretches(self, node: str, start_us: int, end_us: int) -> Iterator[_Stretch]:
        keys = {key.key_id: key for key in self._speaking(node)}
        for chain, newest in self._index.chains(keys):
            oldest = self._index.at_or_after(chain, 0)
            if oldest is None or newest.received_us < start_us:
                continue
            end = self._number(chain, oldest.seq, newest.seq + 1, end_us)
            end = min(end + 1, newest.seq + 1)  # the next one tells of the time before it was made
            first = self._number(chain, oldest.seq, end, start_us)
            void_us = keys[chain.key_id].void_us
            if void_us is not None:
                end = self._number(chain, first, end, void_us)
            if first < end:
                yield _Stretch(chain, first, end)

    def _speaking(self, node: str) -> Sequence[NodeKey]:
        of_node = [key for key in self._ring if key.node == node]
        by_side = ([key for key in of_node if key.side == side] for side in SIDES)
        return next((keys for keys in by_side if keys), [])

    def _number(self, chain: ChainKey, first: int, end: int, at_us: int) -> int:
        """The first report that was made at an instant or later."""

        def made_us(seq: int) -> int:
            accepted = self._index.at_or_after(chain, seq)
            return at_us if accepted is None else self._made_us(accepted)

        return bisect_left(range(end), at_us, first, end, key=made_us)

    def _made_us(self, accepted: Accepted) -> int:
        entry = next(iter(self._log.read(accepted.index, 1)))
        if entry.kind is not EntryKind.REPORT:
            return accepted.received_us
        return min(_MADE.decode(entry.envelope.payload).clock.wall_us, accepted.received_us)

    def _reports(
        self, stretches: Sequence[_Stretch], total: int
    ) -> Iterator[tuple[Accepted, _Sampled | None]]:
        """Each that is read; None: it has left the store."""
        taken: set[int] = set()
        for place in range(min(total, PLACES)):
            chain, seq, end = _at(stretches, place * total // min(total, PLACES))
            further = READ_ON if total > PLACES and place % EVERY == 0 else 1
            for number in range(seq, min(seq + further, end)):
                accepted = self._index.at_or_after(chain, number)
                if accepted is None or accepted.index in taken:
                    break
                taken.add(accepted.index)
                report = self._report(accepted)
                yield accepted, report
                if report is None or any(block.tier == "slow" for block in report.blocks):
                    break

    def _report(self, accepted: Accepted) -> _Sampled | None:
        entry = next(iter(self._log.read(accepted.index, 1)))
        if entry.kind is not EntryKind.REPORT:
            return None
        return _SAMPLED.decode(entry.envelope.payload)


def _at(stretches: Sequence[_Stretch], number: int) -> tuple[ChainKey, int, int]:
    """The report that comes so many-th of all: its chain, its number there, and where its stretch ends."""
    for one in stretches:
        if number < one.end - one.first:
            return one.chain, one.first + number, one.end
        number -= one.end - one.first
    raise IndexError(number)


@dataclass(frozen=True, slots=True)
class _Window:
    """What may be shown of [start_us, end_us), in places of so long."""

    start_us: int
    end_us: int
    place_us: int
    times: Times | None

    def place(self, at_us: int) -> int | None:
        """Where an instant is drawn; None: nowhere."""
        allowed = self.times is None or any(start <= at_us < end for start, end in self.times)
        if not (allowed and self.start_us <= at_us < self.end_us):
            return None
        return (at_us - self.start_us) // self.place_us


def _told(
    accepted: Accepted,
    report: _Sampled | None,
    devices: Collection[str],
    readings: Collection[str],
    window: _Window,
) -> Iterator[tuple[tuple[str, str], Point]]:
    """What one report says of each device and reading within a window, a point for each place."""
    if report is None:
        if window.place(accepted.received_us) is None:
            return
        for device in devices:
            for name in readings:
                yield (device, name), Point(accepted.received_us, None, None, LEFT)
        return
    clock = report.clock
    offset_us = min(clock.wall_us, accepted.received_us) - clock.boottime_us
    for block in report.blocks:
        stretches = list(_stretched(block, offset_us, window))
        missing = _missing(block)
        for device in set(devices).intersection(block.devices):
            column = block.devices.index(device)
            for name in set(readings).intersection(block.readings):
                rows, why = block.readings[name], missing.get((device, name), ())
                for samples in stretches:
                    at_us = offset_us + block.boottime_us[samples.start]
                    seen = [rows[sample][column] for sample in samples]
                    yield (device, name), _point(at_us, seen, why, samples.start)


def _stretched(block: _Samples, offset_us: int, window: _Window) -> Iterator[range]:
    """The samples of a report, place by place of the window: a report may tell of days."""

    def place(sample: int) -> int | None:
        return window.place(offset_us + block.boottime_us[sample])

    for found, held in groupby(range(len(block.boottime_us)), place):
        samples = list(held)
        if found is not None:
            yield range(samples[0], samples[-1] + 1)


def _missing(block: _Samples) -> Mapping[tuple[str, str], Sequence[UnavailableSpan]]:
    """Why a reading of a device has no value, and in which samples."""
    found: dict[tuple[str, str], list[UnavailableSpan]] = {}
    for one in block.unavailable:
        found.setdefault((one.device, one.reading), []).append(one)
    return found


def _point(
    at_us: int, seen: Sequence[int | None], why: Sequence[UnavailableSpan], first: int
) -> Point:
    """The least and the most of some samples; of none with a value, the reason of the first."""
    values = [value for value in seen if value is not None]
    if values:
        return Point(at_us, min(values), max(values))
    reason = next(one.reason.value for one in why if one.from_ <= first < one.to)
    return Point(at_us, None, None, reason)
