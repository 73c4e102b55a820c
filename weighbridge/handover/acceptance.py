"""The acceptance certificate: the contract's tests, what each GPU showed in the window, and whether load ran on it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from operator import itemgetter

from weighbridge.challenge.record import read_outcome
from weighbridge.challenge.telemetry import may_be_unmade, read_telemetry
from weighbridge.codes import HandoverFlag, note
from weighbridge.contract import Resource
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.handover.arrival import text
from weighbridge.handover.documents import (
    Certificate,
    LoadLine,
    QuantityLine,
    ReadingLine,
    Trial,
    exactly,
)
from weighbridge.handover.inputs import AssignedTerms, HandoverInputs, filled_slots
from weighbridge.handover.meter import SHOWN, LoadMeter, LoadWindow
from weighbridge.handover.reports import AcceptedReport, Reader
from weighbridge.handover.trials import (
    RESULT,
    ContractedGpu,
    TestBench,
    TestValue,
    limit_of,
    load_verdict,
    proved,
)
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.settlement.money import round_half_up
from weighbridge.settlement.periods import instant_text
from weighbridge.verdict import Verdict, worst

AHEAD_US = 2 * MICROSECONDS
"""No report was made later than this after it was received."""

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+|/[1-9][0-9]*)?")


def certificate(inputs: HandoverInputs, entries: Iterable[Entry]) -> Certificate:
    """From the entries of the assignment's range: what was received from before the window to its as-of."""
    from_us, until_us = inputs.from_us, inputs.until_us
    if from_us is None or until_us is None or from_us >= until_us:
        raise ValueError("a certificate needs a window")
    terms = AssignedTerms.of(inputs, until_us)
    max_gap_us = terms.contract.sampling.max_gap_us
    tests = terms.contract.acceptance.tests
    limits = [limit for limit in map(limit_of, tests) if limit is not None]
    window = LoadWindow(from_us, until_us, max_gap_us, terms.card, inputs.times, limits)
    reader = Reader(inputs.speakers)
    proofs: list[tuple[Entry, int]] = []
    linked: list[Entry] = []
    for heard in reader.heard(entries, whole_from_us=from_us - max_gap_us - AHEAD_US):
        if isinstance(heard, AcceptedReport):
            window.see(heard)
        elif heard.kind is EntryKind.TELEMETRY:
            linked.append(heard)
        elif from_us <= reader.received_us < until_us:
            proofs.append((heard, reader.received_us))
    return _Certificate(terms, window, reader, proofs, linked).certificate()


@dataclass(frozen=True)
class _Certificate:
    terms: AssignedTerms
    window: LoadWindow
    reader: Reader
    proofs: Sequence[tuple[Entry, int]]
    linked: Sequence[Entry]

    @property
    def length_us(self) -> int:
        return self.window.until_us - self.window.from_us

    @property
    def needed_us(self) -> int:
        """The longest duration that a test asks for, as far as the window goes; half the window where none does."""
        asked = max((test.duration_s for test in self.terms.contract.acceptance.tests), default=0)
        half_us = -(-self.length_us // 2)
        return min(asked * MICROSECONDS, self.length_us) if asked else half_us

    @cached_property
    def gpus(self) -> list[ContractedGpu]:
        """Every contracted slot of an assigned node, and once for each device that filled it in the window."""
        return [gpu for gpus in self.slots.values() for gpu in gpus]

    @cached_property
    def slots(self) -> dict[str, list[ContractedGpu]]:
        """The contracted slots and what fills them, by line item."""
        return {item.id: list(self._of(item)) for item in self.terms.contract.resources}

    @cached_property
    def meters(self) -> dict[tuple[str, str], dict[str, LoadMeter]]:
        """What each side saw of each device of each node."""
        found: dict[tuple[str, str], dict[str, LoadMeter]] = {}
        for (node, device, side), meter in sorted(self.window.meters.items(), key=itemgetter(0)):
            found.setdefault((node, device), {})[side] = meter
        return found

    def _of(self, item: Resource) -> Iterator[ContractedGpu]:
        for node in self.terms.nodes(item):
            seen = self.window.devices_on(node, self.terms.held[node].devices)
            slots = filled_slots(self.terms.inputs.filled, node, item.per_node, seen)
            for slot, devices in enumerate(slots):
                for device in devices or [""]:
                    meters = self.meters.get((node, device), {})
                    yield ContractedGpu(node, f"{node}.{slot}", device, meters)

    def certificate(self) -> Certificate:
        acceptance = self.terms.contract.acceptance
        trials, lines = tuple(self._trials()), tuple(self._lines())
        quantities = tuple(self._quantities(trials))
        ends = (self.window.from_us // MICROSECONDS, self.window.until_us // MICROSECONDS)
        found = [self._load(gpu) for gpu in self.gpus] + self._unassigned()
        found += [Verdict[trial.verdict] for trial in trials]
        return Certificate(
            source=self.terms.source(self.reader),
            verdict=worst(found, empty=Verdict.UNKNOWN).name,
            window=(instant_text(ends[0]), instant_text(ends[1])),
            window_local=(self.terms.local(ends[0]), self.terms.local(ends[1])),
            window_us=self.length_us,
            load_rule="duration" if any(test.duration_s for test in acceptance.tests) else "half",
            partial_acceptance=acceptance.partial_acceptance,
            retest_limit=acceptance.retest_limit,
            sides=tuple(sorted({side for _, _, side in self.window.meters})),
            start=self.terms.start(),
            quantities=quantities,
            trials=trials,
            gpus=lines,
            said=self.terms.said(),
            flags=tuple(sorted(self._flags())),
        )

    def _load(self, gpu: ContractedGpu) -> Verdict:
        return gpu.load(self.needed_us, self.length_us)

    def _unassigned(self) -> list[Verdict]:
        """UNKNOWN where the line item has places that no node is assigned to."""
        items = self.terms.contract.resources
        missing = any(len(self.terms.nodes(item)) < item.nodes for item in items)
        return [Verdict.UNKNOWN] if missing else []

    def _trials(self) -> Iterator[Trial]:
        acceptance = self.terms.contract.acceptance
        units = {gpu.uuid: gpu.unit for gpu in self.gpus if gpu.uuid}
        found = [*self._proved(units), *self._told()]
        bench = TestBench(self.gpus, found, acceptance.retest_limit, self.length_us)
        place = 0
        for test in acceptance.tests:
            is_reading = limit_of(test) is not None
            yield bench.trial(test, place if is_reading else None)
            place += is_reading

    def _proved(self, units: dict[str, str]) -> Iterator[TestValue]:
        busy = dict(self._busy())
        for entry, received_us in self.proofs:
            ended = read_outcome(entry.envelope.payload)
            if ended.contract == self.terms.contract.contract_id:
                self.reader.use(entry)
                used = busy.get(ended.series, frozenset()) if may_be_unmade(ended) else frozenset()
                yield from proved(ended, entry.index, received_us, units, used)

    def _busy(self) -> Iterator[tuple[str, frozenset[str]]]:
        """By series the GPUs that somebody else used, as both sides show."""
        for entry in self.linked:
            told = read_telemetry(entry.envelope.payload)
            mine = told.contract == self.terms.contract.contract_id
            if mine and told.both is not None and told.both.busy:
                self.reader.use(entry)
                yield told.both.series, told.both.busy

    def _told(self) -> Iterator[TestValue]:
        """Results that a party told of, for tests that were made in the window."""
        versions = {test.probe: test.version for test in self.terms.contract.acceptance.tests}
        for one, said in self.terms.events():
            if said.event != RESULT or not self.window.from_us <= said.at_us < self.window.until_us:
                continue
            probe, told = said.details.get("probe", ""), said.details.get("value", "")
            version = said.details.get("version", versions.get(probe, ""))
            right = version == versions.get(probe) and NUMBER.fullmatch(told) is not None
            yield TestValue(
                probe=probe,
                unit=said.unit,
                uuid="",
                at_us=said.at_us,
                value=Fraction(told) if right else None,
                source="notice",
                level=note("said_by", party=one.notice.party, authority=one.authority),
                entry=one.index,
                detail=None if right else note("unusable", value=told, version=version),
            )

    def _lines(self) -> Iterator[LoadLine]:
        for gpu in self.gpus:
            for side, meter in gpu.meters.items() or [("", LoadMeter())]:
                yield self._line(gpu, side, meter)

    def _line(self, gpu: ContractedGpu, side: str, meter: LoadMeter) -> LoadLine:
        identity = self.window.identity(gpu.node, gpu.uuid)
        band = self.window.band(gpu.node, gpu.uuid)
        first_s = None if meter.first_us is None else meter.first_us // MICROSECONDS
        return LoadLine(
            unit=gpu.unit,
            resource=self.terms.resource(gpu.node).id,
            uuid=gpu.uuid,
            model=None if identity is None else text(identity, "name"),
            serial=None if identity is None else text(identity, "serial"),
            side=side,
            first_seen=None if first_s is None else instant_text(first_s),
            loaded_us=meter.loaded_us,
            idle_us=meter.idle_us,
            unknown_us=self.length_us - meter.loaded_us - meter.idle_us,
            needed_us=self.needed_us,
            idle_power_milliwatts=band.idle_top,
            load_power_milliwatts=band.load_from,
            verdict=load_verdict(meter, self.needed_us, self.length_us).name,
            readings=tuple(_readings(meter)),
            energy_millijoules=meter.energy_millijoules if meter.energy_us else None,
            energy_seen_us=meter.energy_us,
        )

    def _quantities(self, trials: Sequence[Trial]) -> Iterator[QuantityLine]:
        for item in self.terms.contract.resources:
            loads: dict[str, list[Verdict]] = {}
            for gpu in self.slots[item.id]:
                loads.setdefault(gpu.unit, []).append(self._load(gpu))
            found = [worst(given, empty=Verdict.UNKNOWN) for given in loads.values()]
            loaded, idle = found.count(Verdict.MET), found.count(Verdict.BREACHED)
            gpus = item.nodes * item.per_node
            yield QuantityLine(
                resource=item.id,
                gpus=gpus,
                gpus_loaded=loaded,
                gpus_idle=idle,
                gpus_unknown=max(gpus, len(found)) - loaded - idle,
                nodes=item.nodes,
                nodes_passed=self._passed(item, trials),
            )

    def _passed(self, item: Resource, trials: Sequence[Trial]) -> int:
        """Nodes all of whose GPUs ran under load, and none of which failed a test."""
        failed = {
            node
            for trial in trials
            for node, verdict in trial.nodes.items()
            if Verdict[verdict] is Verdict.BREACHED
        }
        loads: dict[str, list[Verdict]] = {}
        for gpu in self.slots[item.id]:
            loads.setdefault(gpu.node, []).append(self._load(gpu))
        return sum(
            worst(given, empty=Verdict.UNKNOWN) is Verdict.MET
            for node, given in loads.items()
            if node not in failed
        )

    def _flags(self) -> set[HandoverFlag]:
        found: set[HandoverFlag] = set()
        loads = [self._load(gpu) for gpu in self.gpus]
        if Verdict.BREACHED in loads:
            found.add("certificate_without_load")
        if Verdict.UNKNOWN in loads or self._unassigned() or not loads:
            found.add("certificate_without_evidence")
        start_s = self.terms.start_s()
        if start_s is not None and start_s * MICROSECONDS >= self.window.from_us:
            first = [meter.first_us for gpu in self.gpus for meter in gpu.meters.values()]
            if any(at is not None and at > start_s * MICROSECONDS for at in first):
                found.add("late_birth")
        return found


def _readings(meter: LoadMeter) -> Iterator[ReadingLine]:
    for name in SHOWN:
        stat = meter.stats.get(name)
        if stat is not None:
            yield ReadingLine(
                reading=name,
                seen_us=stat.seen_us,
                least=stat.least,
                mean=f"{round_half_up(stat.mean, 3):f}",
                mean_fraction=exactly(stat.mean),
                most=stat.most,
            )
