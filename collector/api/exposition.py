"""State as Prometheus text, at scrape time: the contracts' page and shards of nodes and GPUs.

Nothing is kept between scrapes but which GPU is on which shard. A page is rendered in slices that let the event loop
run in between, so that a large fleet never holds it. The text format is written here rather than by prometheus-client,
which takes six times the CPU; a test holds both to the same families.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from collector.api import status
from collector.judging.live import Fleet
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import EXPORTED, ExportedReading, Metric
from weighbridge.contract import Contract
from weighbridge.judge.counts import unheard
from weighbridge.judge.latest_readings import LatestDevice, LatestReadings
from weighbridge.judge.ledger import Finding
from weighbridge.judge.node_state import Attestation, NodeState, Proof
from weighbridge.wire.driver_words import COUNTED, uncounted
from weighbridge.wire.report import DeviceState, Facts

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_LINES = 8_000
MAX_XIDS = 8
MAX_CONTRACTS = 4
MAX_LEASES = 32
"""Contracts of one node."""

MAX_ATTEMPTS = 96
SHARD_METRICS = (*metrics.NODE_METRICS, *metrics.GPU_METRICS)
GPUS_PER_SHARD = (MAX_LINES - 2 * len(SHARD_METRICS)) // (
    len(EXPORTED) + MAX_XIDS + MAX_CONTRACTS + len(metrics.CHALLENGE_METRICS) + 2
)
"""GPUs and nodes in one shard, a node being as many lines as a GPU at most: an answer about so many cannot have more
than MAX_LINES lines."""

SLICE = 8
"""Nodes or contracts that are written before the event loop gets its turn."""

KEYS_SLICE = 1000
NODES_SLICE = 256
REFRESH_US = 10_000_000
INFO_READINGS = ("name", "serial", "pci_bus_id", "vbios_version")

Key = tuple[str, str]
"""Node and device. The device is empty for the node itself, and its slots that never showed a GPU."""

Sample = tuple[Metric, Sequence[str], int | float]
"""A family, the values of its labels, and the value."""

T = TypeVar("T")


class Families:
    """Samples by family, in the order of a table of metrics."""

    def __init__(self, table: Iterable[Metric]) -> None:
        self._lines: dict[str, list[str]] = {metric.name: [] for metric in table}
        self._heads = {metric.name: _head(metric) for metric in table}

    def add(self, metric: Metric, labels: Sequence[str], value: int | float) -> None:
        """One sample; `labels` are the values of `metric.labels`."""
        self.add_rendered(metric, render_labels(metric.labels, labels), value)

    def add_rendered(self, metric: Metric, labels: str, value: int | float) -> None:
        """One sample whose label block is already text."""
        self._lines[metric.name].append(f"{metric.name}{labels} {value!r}\n")

    def text(self) -> str:
        """The page. A family without samples is left out."""
        return "".join(
            self._heads[name] + "".join(lines) for name, lines in self._lines.items() if lines
        )


def render_labels(names: Sequence[str], values: Sequence[str]) -> str:
    """`{name="value",…}` with the three escapes of the text format; nothing where there are no labels."""
    if not names:
        return ""
    pairs = (f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))
    return "{" + ",".join(pairs) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _head(metric: Metric) -> str:
    text = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {metric.name} {text}\n# TYPE {metric.name} {metric.type}\n"


async def in_turns(steps: Generator[object, None, T]) -> T:
    """What they come to; everything else gets its turn between them."""
    while True:
        try:
            next(steps)
        except StopIteration as ended:
            result: T = ended.value
            return result
        await asyncio.sleep(0)


async def _sliced(items: Iterable[T], size: int = SLICE) -> AsyncIterator[T]:
    for place, item in enumerate(list(items), start=1):
        yield item
        if place % size == 0:
            await asyncio.sleep(0)


class Exposition:
    """The pages of one fleet. `own` tells of the collector itself; `ingest` times requests with reports.

    Its registry is its own, never the global one.
    """

    def __init__(self, fleet: Fleet, own: Callable[[], Iterable[Sample]]) -> None:
        self.fleet = fleet
        self._own = own
        self._shards = Shards()
        self._registry = CollectorRegistry()
        timed = metrics.INGEST_SECONDS
        self.ingest = Histogram(timed.name, timed.help, registry=self._registry)

    @property
    def now_us(self) -> int:
        """The tick as of which the pages are."""
        return self.fleet.now_us

    async def contracts(self) -> str:
        """`/metrics`."""
        families = Families((*metrics.CONTRACT_METRICS, *metrics.COLLECTOR_METRICS))
        for sample in self._own():
            families.add(*sample)
        families.add(metrics.TICK, (), self.fleet.now_us / 1e6)
        async for contract in _sliced(self.fleet.contracts, 1):
            if contract in self.fleet.contracts:
                await self._contract(families, contract)
        async for labels in _sliced(dict.fromkeys(map(_finding, self.fleet.findings()))):
            families.add(metrics.FINDING_ACTIVE, labels, 1)
        async for key, at_us in _sliced(self.fleet.noted().items(), KEYS_SLICE):
            families.add(metrics.FINDING_NOTED, key, at_us / 1e6)
        return families.text() + generate_latest(self._registry).decode()

    async def shard(self, number: int) -> str | None:
        """`/metrics/gpus/<number>`; None where there is no such shard."""
        await self._shards.refresh(self.fleet)
        keys = self._shards.keys(number)
        if keys is None:
            return None
        families = Families(SHARD_METRICS)
        async for node, own in _sliced(_by_node(keys).items()):
            _gpus(families, status.judged_gpus(self.fleet, node), own, self._shards)
            if (node, "") in own:
                _node(families, node, self.fleet.nodes.get(node), self._shards)
        return families.text()

    async def paths(self) -> list[str]:
        """What Prometheus is to scrape."""
        await self._shards.refresh(self.fleet)
        return ["/metrics", *(f"/metrics/gpus/{number}" for number in range(len(self._shards)))]

    async def _contract(self, families: Families, contract: str) -> None:
        fleet = self.fleet
        counts = await in_turns(fleet.counting(contract))
        for state in ("contracted", "reporting", "healthy", "in_use"):
            families.add(metrics.CONTRACT_GPUS, (contract, state), getattr(counts, state))
        for name, figure in fleet.figures(contract).items():
            families.add(metrics.CONTRACT_TARGET, (contract, name), float(figure.target))
            families.add(metrics.CONTRACT_VERDICT, (contract, name, figure.verdict), 1)
            for bound, share in (("low", figure.low), ("high", figure.high)):
                families.add(metrics.CONTRACT_AVAILABILITY, (contract, name, bound), float(share))
            for state, value in figure.seconds.items():
                families.add(metrics.CONTRACT_SECONDS, (contract, name, state), value)
        families.add(metrics.CONTRACT_FIGURED, (contract,), fleet.figured_us(contract) / 1e6)


def _by_node(keys: Iterable[Key]) -> dict[str, list[Key]]:
    grouped: dict[str, list[Key]] = {}
    for key in keys:
        grouped.setdefault(key[0], []).append(key)
    return grouped


def _finding(finding: Finding) -> tuple[str, ...]:
    subject = (finding.contract, finding.node, finding.device)
    return (*subject, finding.code, finding.severity, finding.verdict)


def _node(families: Families, node: str, state: NodeState | None, shards: "Shards") -> None:
    for contract in shards.contracts((node, ""))[:MAX_LEASES]:
        families.add(metrics.CONTRACT_NODE_INFO, (contract, node), 1)
    if state is None:
        return
    newest = state.newest
    if state.last_received_us is not None:
        families.add(metrics.NODE_LAST_REPORT, (state.node,), state.last_received_us / 1e6)
    if state.clock_skew_us is not None:
        families.add(metrics.NODE_CLOCK_SKEW, (state.node,), state.clock_skew_us / 1e6)
    boot = "" if newest is None else newest.boot
    families.add(metrics.NODE_INFO, (state.node, state.agent_version, boot), 1)
    if state.view.enumerated:
        _driver(families, state.node, state.view.driver)
    for (contract, verdict, reason), count in sorted(state.attempts.items())[:MAX_ATTEMPTS]:
        labels = (contract, state.node, verdict, reason)
        families.add(metrics.CHALLENGE_ATTEMPTS, labels, count)
    if state.exchange_ns:
        families.add(metrics.CHALLENGE_EXCHANGE, (state.node,), sum(state.exchange_ns) / 1e9)


def _driver(families: Families, node: str, driver: Facts) -> None:
    version, count = driver.readings.get("driver_version", ""), driver.readings.get(COUNTED)
    families.add(metrics.NODE_DRIVER_INFO, (node, str(version), uncounted(driver) or ""), 1)
    if isinstance(count, int):
        families.add(metrics.NODE_GPUS, (node,), count)


def _gpus(
    families: Families, judged: status.JudgedGpus, keys: Sequence[Key], shards: "Shards"
) -> None:
    """All samples of some GPUs of one node. Of a silent node only who they are and that their state is unknown."""
    node = next(iter(judged.observers), None)
    for key in keys:
        if not shards.slots(key):
            continue
        for contract in shards.contracts(key)[:MAX_CONTRACTS]:
            families.add(metrics.GPU_CONTRACT_INFO, (*key, contract), 1)
        families.add(metrics.GPU_STATE, (*key, judged.state(key[1])), shards.slots(key))
        if node is not None:
            _identity(families, key, node.view)
            _proof(families, key, node.proofs.get(key[1]))
            _attestation(families, key, node.attested.get(key[1]))
    if node is not None and not unheard(node):
        _readings(families, node.view, {key[1]: render_labels(_GPU, key) for key in keys})
        for key in keys:
            _xids(families, key, node.view)


_GPU = ("node", "uuid")


def _identity(families: Families, key: Key, view: LatestReadings) -> None:
    device = view.devices.get(key[1])
    if device is not None:
        told = device.identity.readings
        info = (str(told.get(name, "")) for name in INFO_READINGS)
        families.add(metrics.GPU_INFO, (*key, *info, device.parent or ""), 1)


def _proof(families: Families, key: Key, proof: Proof | None) -> None:
    """What challenges say of a GPU. It stays true of a silent node: it was proven then."""
    if proof is None:
        return
    labels = (*key, proof.contract, proof.verdict, proof.reason)
    families.add(metrics.CHALLENGE_RESULT, labels, 1)
    bounds = (
        (metrics.CHALLENGE_FLOPS, proof.flops_per_second),
        (metrics.CHALLENGE_MEMORY, proof.memory_bytes),
        (metrics.CHALLENGE_MEMORY_RATE, proof.memory_bytes_per_second),
        (metrics.CHALLENGE_PEER_RATE, proof.peer_bytes_per_second),
    )
    for metric, bound in bounds:
        if bound is not None:
            families.add(metric, key, bound)
    if proof.proven_us is not None:
        families.add(metrics.CHALLENGE_PROVEN, key, proof.proven_us / 1e6)


def _attestation(families: Families, key: Key, told: Attestation | None) -> None:
    """What came of asking for the chip's evidence; this stays true of a silent node too."""
    if told is None:
        return
    reason = told.reason.partition(":")[0]
    families.add(metrics.ATTESTATION_RESULT, (*key, told.contract, told.verdict, reason), 1)
    if told.valid_until_us:
        families.add(metrics.ATTESTATION_VALID, key, told.valid_until_us / 1e6)


def _readings(families: Families, view: LatestReadings, labels: Mapping[str, str]) -> None:
    """Column by column, as the newest sample of each tier lies in memory. `labels` are the label blocks by GPU."""
    for uuid, block in labels.items():
        device = view.devices.get(uuid)
        if device is None or device.state is not DeviceState.OK:
            continue
        for name, value in device.identity.readings.items():
            exported = EXPORTED.get(name)
            if exported is not None and isinstance(value, int):
                _reading(families, exported, block, value)
    for columns in view.tiers.values():
        for name, row in columns.rows.items():
            exported = EXPORTED.get(name)
            if exported is None:
                continue
            for uuid, number in zip(columns.devices, row, strict=True):
                if number is not None and uuid in labels:
                    _reading(families, exported, labels[uuid], number)


def _reading(families: Families, exported: ExportedReading, labels: str, value: int) -> None:
    if not exported.labels:
        families.add_rendered(exported.metric, labels, exported.scale(value))
    elif value > 0:
        (reason,) = exported.labels
        block = f'{labels[:-1]},reason="{reason}"}}'
        families.add_rendered(exported.metric, block, exported.scale(value))


def _xids(families: Families, key: Key, view: LatestReadings) -> None:
    device = view.devices.get(key[1])
    counted = {} if device is None else device.xids
    most = sorted(counted.items(), key=lambda item: -item[1])[:MAX_XIDS]
    for xid, count in sorted(most):
        families.add(metrics.GPU_XID_ERRORS, (*key, str(xid)), count)


Leases = list[tuple[str, Contract, frozenset[str] | None]]
"""The contracts that a node is assigned to, by name and in force, with which of its devices; None: all."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A node on the shards: what it showed and to whom it is leased then, the contracts of each of its keys, and how
    many slots never showed a GPU."""

    shown: Mapping[str, LatestDevice] | None
    leases: Leases
    contracts: Mapping[Key, Sequence[str]]
    vacant: int


def _seat(node: str, state: NodeState | None, leases: Leases) -> Seat:
    shown = None if state is None else state.view.devices
    contracts: dict[Key, list[str]] = {(node, uuid): [] for uuid in ("", *(shown or ()))}
    vacant = 0
    for contract, version, devices in leases:
        uuids = status.assigned_gpus(version, state, devices)
        for uuid in dict.fromkeys((*uuids, "")):
            contracts.setdefault((node, uuid), []).append(contract)
        vacant = max(vacant, uuids.count(""))
    return Seat(shown, leases, contracts, vacant)


class Shards:
    """Which GPU is on which shard. It stays there while the collector runs; a new one goes where there is room."""

    def __init__(self) -> None:
        self._refreshed_us: int | None = None
        self._lock = asyncio.Lock()
        self._shard_of: dict[Key, int] = {}
        self._shards: list[dict[Key, None]] = []
        self._room = 0
        self._seats: Mapping[str, Seat] = {}

    def __len__(self) -> int:
        return len(self._shards)

    def keys(self, number: int) -> list[Key] | None:
        """The GPUs on a shard; None where there is no such shard."""
        return list(self._shards[number]) if 0 <= number < len(self._shards) else None

    def contracts(self, key: Key) -> Sequence[str]:
        """The contracts that the GPU is assigned to; with an empty device, those of the node."""
        seat = self._seats.get(key[0])
        return () if seat is None else seat.contracts.get(key, ())

    def slots(self, key: Key) -> int:
        """1, or for an empty device how many slots of the node never showed a GPU."""
        seat = self._seats.get(key[0])
        return 1 if key[1] else 0 if seat is None else seat.vacant

    async def refresh(self, fleet: Fleet) -> None:
        """Look for new and departed GPUs, at most every REFRESH_US of the collector's clock."""
        async with self._lock:
            last = self._refreshed_us
            if last is None or fleet.now_us - last >= REFRESH_US:
                self._refreshed_us = fleet.now_us
                await self._place(await self._look(fleet))

    async def _look(self, fleet: Fleet) -> Mapping[str, Seat]:
        """Every node that was heard or is assigned, with what decides which series it has. Where that is what it was,
        what was made of it stands."""
        leases: dict[str, Leases] = {}
        for name in list(fleet.contracts):
            version = fleet.contracts.get(name)
            async for node, devices in _sliced(fleet.assignments(name).items(), NODES_SLICE):
                if version is not None:
                    leases.setdefault(node, []).append((name, version, devices))
        found: dict[str, Seat] = {}
        async for node in _sliced(dict.fromkeys((*fleet.nodes, *leases)), NODES_SLICE):
            known, state = self._seats.get(node), fleet.nodes.get(node)
            shown, leased = None if state is None else state.view.devices, leases.get(node, [])
            if known is not None and known.shown is shown and known.leases == leased:
                found[node] = known
            else:
                found[node] = _seat(node, state, leased)
        return found

    async def _place(self, found: Mapping[str, Seat]) -> None:
        """Only what is other than it was is touched."""
        before, self._seats = self._seats, found
        async for node in _sliced(before, NODES_SLICE):
            if found.get(node) is not before[node]:
                kept = found[node].contracts if node in found else {}
                for key in before[node].contracts.keys() - kept.keys():
                    self._leave(key)
        async for node in _sliced(found, NODES_SLICE):
            if found[node] is not before.get(node):
                for key in found[node].contracts:
                    self._enter(key)

    def _leave(self, key: Key) -> None:
        number = self._shard_of.pop(key)
        del self._shards[number][key]
        self._room = min(self._room, number)

    def _enter(self, key: Key) -> None:
        if key not in self._shard_of:
            self._shard_of[key] = self._with_room()
            self._shards[self._shard_of[key]][key] = None

    def _with_room(self) -> int:
        """The first shard with room; there is none before `_room`."""
        while self._room < len(self._shards) and len(self._shards[self._room]) >= GPUS_PER_SHARD:
            self._room += 1
        if self._room == len(self._shards):
            self._shards.append({})
        return self._room
