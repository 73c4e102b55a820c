"""Simulated devices under the one protocol of `agent.report.source`: demo, tests and load, with faults from a scenario.

Every value is a function of the scenario's seed, the node, the GPU and the time, and lies where the card's row of the
SKU table puts it. A planted fault changes the devices, and nothing else: who wants to know of it must read them.
"""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.nvml.device_inventory import KnownDevices
from agent.report.source import IdentityTier, RawProcess, Sweep
from agent.simulation.scenario import (
    CheaperCard,
    FallOffBus,
    Fault,
    ForeignProcess,
    MigSlice,
    PcieWidth,
    PowerCap,
    Replacement,
    SameUuid,
    Scenario,
)
from weighbridge.catalogue.readings import OF_GPUS, READINGS, Reading, Scope, Tier
from weighbridge.catalogue.tables import Sku, sku
from weighbridge.wire.report import Device, DeviceState, Event, EventKind, Facts, OwnerClass, Reason

DRIVER_VERSION = "580.95.05"
LESSEE_PID = 10_000
FOREIGN_PID = 20_000
MIG_SHARE = 7
IDLE_CLOCK_MEGAHERTZ = 345
FALLBACK_CLOCK_MEGAHERTZ = 1755
FALLBACK_MEMORY_CLOCK_MEGAHERTZ = 1593
FALLBACK_POWER_MILLIWATTS = 400_000
FALLBACK_MEMORY_BYTES = 80 << 30
RESERVED_BYTES = 500 << 20
POWER_CAP_FLAG = 0x4
IDLE_FLAG = 0x1
IN_FABRIC = 3
FABRIC_ARCHITECTURES = ("hopper", "blackwell")
_LINKS_IN_NO_TROUBLE = tuple(
    f"nvlink_{state}_links" for state in ("down", "sleeping", "quiet", "unreadable")
)

Value = int | str | Reason
ROWS: Mapping[Tier, tuple[Reading, ...]] = {
    tier: tuple(row for row in READINGS if row.tier is tier and row.scope in OF_GPUS)
    for tier in Tier
}


def gpu_uuid(seed: int, node: int, gpu: int, generation: int = 0) -> str:
    """The UUID of a simulated GPU, the same for the same numbers; `generation`: how often it was replaced."""
    place = f"{seed}/{node}/{gpu}" + (f"/{generation}" if generation else "")
    raw = hashlib.sha256(place.encode()).hexdigest()
    return f"GPU-{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-8{raw[17:20]}-{raw[20:32]}"


@dataclass(slots=True)
class SimulatedGpu:
    """One simulated GPU at its place in a node: what it was sold as, what it is, and its running counters."""

    seed: int
    node: int
    index: int
    sold_as: Sku
    load_percent: int
    faults: tuple[Fault, ...]
    energy_microjoules: int = 0
    capped_us: int = 0
    nvlink_kibibytes: int = 0
    last_us: int = 0

    def generation(self, elapsed_us: int) -> int:
        """How often the card in this place was replaced until then."""
        replaced = [fault for fault in self.faults if isinstance(fault, Replacement)]
        return sum(fault.strikes(self.index) and fault.over(elapsed_us) for fault in replaced)

    def state(self, elapsed_us: int) -> "GpuState":
        """The card and its conditions that long after the start."""
        active = [
            fault for fault in self.faults if fault.strikes(self.index) and fault.active(elapsed_us)
        ]
        return GpuState(self, active, elapsed_us)


class GpuState:
    """A GPU at one instant, as its driver would show it."""

    def __init__(self, gpu: SimulatedGpu, active: Sequence[Fault], elapsed_us: int) -> None:
        self._gpu = gpu
        self._elapsed_us = elapsed_us
        self.lost: FallOffBus | None = None
        self.sliced = False
        self.foreign: list[ForeignProcess] = []
        self._lanes: int | None = None
        self._cap: int | None = None
        self._twin: SameUuid | None = None
        self.card = gpu.sold_as
        for fault in active:
            self._suffer(fault)

    def _suffer(self, fault: Fault) -> None:
        match fault:
            case CheaperCard():
                self.card = sku(fault.sku) or self.card
            case PowerCap():
                self._cap = fault.limit_milliwatts
            case FallOffBus():
                self.lost = fault
            case PcieWidth():
                self._lanes = fault.lanes
            case MigSlice():
                self.sliced = True
            case ForeignProcess():
                self.foreign.append(fault)
            case SameUuid():
                self._twin = fault
            case _:
                pass

    @property
    def uuid(self) -> str:
        """The GPU's UUID, or that of the GPU which it imitates."""
        gpu, twin = self._gpu, self._twin
        if twin is not None:
            return gpu_uuid(gpu.seed, twin.of_node, twin.of_gpu)
        return gpu_uuid(gpu.seed, gpu.node, gpu.index, gpu.generation(self._elapsed_us))

    @property
    def mig_uuid(self) -> str:
        """The UUID of the one slice that a sliced GPU has."""
        return "MIG" + self.uuid.removeprefix("GPU")

    @property
    def memory_bytes(self) -> int:
        """The total that the driver shows: the middle of the card's window."""
        window = self.card.memory_bytes
        return FALLBACK_MEMORY_BYTES if window is None else (window.low + window.high) // 2

    @property
    def used_bytes(self) -> int:
        """Bytes of memory that are allocated, by all processes together."""
        own = self.memory_bytes * 8 // 10 if self._busy else 0
        return min(own + sum(fault.memory_bytes for fault in self.foreign), self.memory_bytes)

    @property
    def _busy(self) -> bool:
        return self._gpu.load_percent > 0

    def _noise(self, name: str, width: int) -> int:
        """Between -width and width, another each second."""
        second = self._elapsed_us // 1_000_000
        key = f"{self._gpu.seed}/{self._gpu.node}/{self._gpu.index}/{name}/{second}"
        return zlib.crc32(key.encode()) % (2 * width + 1) - width

    @property
    def _default_limit(self) -> int:
        return self.card.power_limit_default_milliwatts or FALLBACK_POWER_MILLIWATTS

    @property
    def _limit(self) -> int:
        return self._default_limit if self._cap is None else min(self._cap, self._default_limit)

    @property
    def _idle_power(self) -> int:
        band = self.card.idle_power_milliwatts
        return self._default_limit // 8 if band is None else (band.low + band.high) // 2

    @property
    def power_milliwatts(self) -> int:
        """Between idle and the limit, as the load asks."""
        wanted = (
            self._idle_power
            + (self._default_limit * 94 // 100 - self._idle_power) * self._gpu.load_percent // 100
        )
        return min(wanted + self._noise("power", wanted // 100), self._limit)

    @property
    def _capped(self) -> bool:
        return self.power_milliwatts >= self._limit

    @property
    def _sm_clock(self) -> int:
        top = self.card.sm_clock_max_megahertz or FALLBACK_CLOCK_MEGAHERTZ
        if not self._busy:
            return IDLE_CLOCK_MEGAHERTZ
        return top * self._limit // self._default_limit if self._capped else top - 15

    def advance(self) -> None:
        """Advances energy and other counters to this instant; a card that fell off the bus, or is new, begins anew."""
        gpu = self._gpu
        passed = max(0, self._elapsed_us - gpu.last_us)
        replaced = gpu.generation(gpu.last_us) != gpu.generation(self._elapsed_us)
        gpu.last_us = self._elapsed_us
        gpu.energy_microjoules += self.power_milliwatts * passed // 1000
        gpu.capped_us += passed if self._capped else 0
        if self.lost is not None or replaced:
            gpu.energy_microjoules = gpu.capped_us = 0
        gpu.nvlink_kibibytes += passed // 100 if self._busy else 0

    def identity(self) -> dict[str, Value]:
        """Readings of the identity tier; what is missing is not supported."""
        card, gpu = self.card, self._gpu
        index = gpu.index
        number = index + 100 * gpu.generation(self._elapsed_us)
        return {
            "name": gpu.sold_as.name,
            "memory_total_bytes": self.memory_bytes,
            "memory_reserved_bytes": RESERVED_BYTES,
            "serial": f"16{gpu.seed % 1000:03d}{gpu.node:05d}{number:03d}",
            "board_part_number": f"{next(iter(card.board_part_prefixes), '900-00000')}-0200-000",
            "board_number": 0x1800 + index,
            "minor_number": index,
            "pci_bus_id": f"00000000:{0x18 + 8 * index:02x}:00.0",
            "kernel_uuid": self.uuid,
            "kernel_name": gpu.sold_as.name,
            "pci_device_id": card.pci_device_ids[0],
            "pci_subsystem_id": next(iter(card.pci_subsystem_ids), Reason.NOT_SUPPORTED),
            "cuda_compute_capability": card.compute_capability or Reason.NOT_SUPPORTED,
            "gpu_cores": _or(card.cores),
            "memory_bus_width_bits": _or(card.memory_bus_width_bits),
            "sm_clock_max_megahertz": card.sm_clock_max_megahertz or FALLBACK_CLOCK_MEGAHERTZ,
            "memory_clock_max_megahertz": card.memory_clock_max_megahertz
            or FALLBACK_MEMORY_CLOCK_MEGAHERTZ,
            "power_limit_default_milliwatts": self._default_limit,
            "power_limit_min_milliwatts": card.power_limit_min_milliwatts or 100_000,
            "power_limit_max_milliwatts": card.power_limit_max_milliwatts or self._default_limit,
            "pcie_link_max_generation": _or(card.pcie_generation),
            "pcie_gpu_max_generation": _or(card.pcie_generation),
            "pcie_link_width_max_lanes": _or(card.pcie_width_lanes),
            "vbios_version": "96.00.A5.00.01",
            "inforom_image_version": "G520.0200.00.05",
            "ecc_mode_code": 1,
            "ecc_mode_pending_code": 1,
            "mig_mode_code": int(self.sliced),
            "mig_mode_pending_code": int(self.sliced),
            "persistence_mode_code": 1,
            "compute_mode_code": 0,
            "virtualization_mode_code": 0,
            "nvlink_links": card.nvlink_links or Reason.NOT_SUPPORTED,
        }

    def fast(self) -> dict[str, Value]:
        """Readings of the fast tier."""
        gpu, card = self._gpu, self.card
        power, links = self.power_milliwatts, bool(card.nvlink_links)
        generation = card.pcie_generation or 4
        return {
            "memory_used_bytes": self.used_bytes,
            "utilization_gpu_percent": self._utilization("gpu", 3),
            "utilization_memory_percent": self._utilization("memory", 2),
            "sm_clock_megahertz": self._sm_clock,
            "memory_clock_megahertz": card.memory_clock_max_megahertz
            or FALLBACK_MEMORY_CLOCK_MEGAHERTZ,
            "temperature_gpu_celsius": 28
            + 40 * power // self._default_limit
            + self._noise("heat", 1),
            "temperature_memory_celsius": self._memory_heat(power),
            "power_draw_milliwatts": power,
            "power_draw_instant_milliwatts": power + self._noise("instant", 800),
            "power_limit_enforced_milliwatts": self._limit,
            "power_limit_requested_milliwatts": self._limit,
            "energy_millijoules": gpu.energy_microjoules // 1000,
            "clocks_event_reasons_flags": self._flags(),
            "clocks_event_sw_power_cap_microseconds": gpu.capped_us,
            "clocks_event_sync_boost_microseconds": 0,
            "clocks_event_sw_thermal_microseconds": 0,
            "clocks_event_hw_thermal_microseconds": 0,
            "clocks_event_hw_power_brake_microseconds": 0,
            "pcie_link_generation": generation if self._busy else 1,
            "pcie_link_width_lanes": self._lanes or card.pcie_width_lanes or 16,
            "pcie_replay_count": 0,
            "nvlink_transmitted_kibibytes": gpu.nvlink_kibibytes if links else Reason.NOT_SUPPORTED,
            "nvlink_received_kibibytes": gpu.nvlink_kibibytes if links else Reason.NOT_SUPPORTED,
            "recovery_action_code": 0,
        }

    @property
    def _has_fabric(self) -> bool:
        return self.card.architecture in FABRIC_ARCHITECTURES

    def slow(self) -> dict[str, Value]:
        """Readings of the slow tier."""
        counters: dict[str, Value] = {
            row.name: 0
            for row in ROWS[Tier.SLOW]
            if row.name.startswith(("ecc_", "remapped_", "pcie_"))
        }
        links = self.card.nvlink_links
        return counters | {
            "remap_pending_code": 0,
            "remap_failure_code": 0,
            "nvlink_active_links": links or Reason.NOT_SUPPORTED,
            **dict.fromkeys(_LINKS_IN_NO_TROUBLE, 0 if links else Reason.NOT_SUPPORTED),
            "fabric_state_code": IN_FABRIC if links and self._has_fabric else Reason.NOT_SUPPORTED,
            "nvlink_replay_count": 0 if links else Reason.NOT_SUPPORTED,
            "nvlink_recovery_count": 0 if links else Reason.NOT_SUPPORTED,
            "nvlink_crc_flit_count": 0 if links else Reason.NOT_SUPPORTED,
            "performance_state_code": 0 if self._busy else 8,
            "encoder_utilization_percent": 0,
            "decoder_utilization_percent": 0,
        }

    def slice_identity(self) -> dict[str, Value]:
        """The identity tier of its one MIG device."""
        return {
            "name": f"{self._gpu.sold_as.name} MIG 1g",
            "memory_total_bytes": self.memory_bytes // MIG_SHARE,
            "memory_reserved_bytes": 0,
            "mig_gpu_instance_number": 7,
            "mig_compute_instance_number": 0,
            "mig_multiprocessors_count": 16,
            "mig_gpu_slices_count": 1,
        }

    def processes(self) -> Iterator[tuple[int, int]]:
        """(pid, bytes) of who holds memory: the lessee's from LESSEE_PID on, others' from FOREIGN_PID on."""
        if self._busy:
            yield LESSEE_PID + self._gpu.index, self.memory_bytes * 8 // 10
        for number, fault in enumerate(self.foreign):
            yield FOREIGN_PID + 10 * self._gpu.index + number, fault.memory_bytes

    def _utilization(self, name: str, width: int) -> int:
        load = self._gpu.load_percent
        return min(100, max(0, load + self._noise(name, width))) if load else 0

    def _memory_heat(self, power: int) -> Value:
        if not self.card.memory_sensor:
            return Reason.NOT_SUPPORTED
        return 34 + 40 * power // self._default_limit + self._noise("memory heat", 1)

    def _flags(self) -> int:
        if not self._busy:
            return IDLE_FLAG
        return POWER_CAP_FLAG if self._capped else 0


@dataclass(frozen=True, slots=True)
class ShownDevice:
    """A device as one sweep sees it: a GPU, or the slice of one."""

    uuid: str
    state: GpuState
    is_slice: bool

    def readings(self, tier: Tier) -> dict[str, Value]:
        """What it answers in a tier; what is missing is not supported."""
        if self.is_slice:
            used = (
                {"memory_used_bytes": self.state.used_bytes // MIG_SHARE}
                if tier is Tier.FAST
                else {}
            )
            return self.state.slice_identity() if tier is Tier.IDENTITY else {**used}
        match tier:
            case Tier.IDENTITY:
                return self.state.identity()
            case Tier.FAST:
                return self.state.fast()
            case Tier.SLOW:
                return self.state.slow()


@dataclass(slots=True)
class SimulatedSource:
    """A `DeviceSource` over the GPUs of one simulated node. `clock` gives CLOCK_BOOTTIME in microseconds."""

    clock: Callable[[], int]
    scenario: Scenario
    node: int
    gpus: int
    _start_us: int = field(init=False)
    _cards: list[SimulatedGpu] = field(init=False)
    _known: KnownDevices = field(init=False, default_factory=KnownDevices)
    _events: list[Event] = field(init=False, default_factory=list)
    _fallen: set[int] = field(init=False, default_factory=set)
    _paused: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        card = sku(self.scenario.sku)
        if card is None:
            raise ValueError(f"{self.scenario.sku} is not in the SKU table")
        self._start_us = self.clock()
        faults = self.scenario.of_node(self.node)
        self._cards = [
            SimulatedGpu(
                self.scenario.seed, self.node, index, card, self.scenario.load_percent, faults
            )
            for index in range(self.gpus)
        ]

    async def identify(self) -> IdentityTier:
        """The devices as they are now; a change in one is an event, as from a real driver."""
        if not self._paused:
            now = self.clock()
            found = [_device(shown) for shown in self._look(now)]
            self._events += self._known.enumerated(found, now)
        return IdentityTier(list(self._known.devices.values()), driver_facts(self.gpus))

    async def sweep(self, tier: Tier) -> Sweep:
        """FAST or SLOW, for every device once seen."""
        now = self.clock()
        if not self._known.devices:
            await self.identify()
        answers = (
            {} if self._paused else {shown.uuid: shown.readings(tier) for shown in self._look(now)}
        )
        absent = Reason.PAUSED if self._paused else Reason.GPU_IS_LOST
        devices = list(self._known.devices)
        readings: dict[str, list[int | Reason]] = {
            row.name: [_value(answers.get(uuid), row.name, absent) for uuid in devices]
            for row in ROWS[tier]
        }
        return Sweep(now, devices, readings)

    async def processes(self) -> Sequence[RawProcess] | Reason:
        """Of all devices that are there."""
        if self._paused:
            return Reason.PAUSED
        return [
            RawProcess(shown.uuid, pid, memory)
            for shown in self._look(self.clock())
            if not shown.is_slice
            for pid, memory in shown.state.processes()
        ]

    def events(self) -> Sequence[Event]:
        """Drained in the order in which they happened."""
        told, self._events = self._events, []
        return told

    async def pause(self) -> None:
        """Until `resume`, every reading is PAUSED."""
        self._paused = True

    async def resume(self) -> None:
        """Ends a pause."""
        self._paused = False

    async def close(self) -> None:
        """Does nothing: a simulated source holds no resources."""

    def reboot(self) -> None:
        """Nothing is known of devices that were there before."""
        self._known = KnownDevices()
        self._fallen.clear()

    def _look(self, now: int) -> list[ShownDevice]:
        """The devices that answer at this instant."""
        shown: list[ShownDevice] = []
        for gpu in self._cards:
            state = gpu.state(now - self._start_us)
            state.advance()
            if state.lost is not None:
                self._fall(gpu.index, state.uuid, state.lost, now)
                continue
            self._fallen.discard(gpu.index)
            shown.append(ShownDevice(state.uuid, state, is_slice=False))
            if state.sliced:
                shown.append(ShownDevice(state.mig_uuid, state, is_slice=True))
        return shown

    def _fall(self, index: int, uuid: str, fault: FallOffBus, now: int) -> None:
        if index in self._fallen:
            return
        self._fallen.add(index)
        self._events.append(
            Event(
                boottime_us=now,
                kind=EventKind.XID,
                device=uuid,
                code=fault.xid,
                source="nvml",
                detail="",
            )
        )
        device = self._known.devices.get(uuid)
        if device is not None and device.state is not DeviceState.LOST:
            self._events += self._known.swept(uuid, b"\x0f", now)


class SimulatedHost:
    """What `agent.report.sampler` asks of the host, for a simulated node: owners by the ranges of their pids."""

    def __init__(self, node: int) -> None:
        self._node = node

    def inventory(self) -> Facts:
        """Nothing: a simulated node has no machine."""
        return Facts(readings={}, unavailable={})

    def facts(self) -> Facts:
        """No facts: a simulated node has no machine."""
        return Facts(readings={}, unavailable={})

    def owner(self, pid: int) -> tuple[str, OwnerClass]:
        """The lessee, or a foreign tenant: two hashes per node."""
        who = "foreign" if pid >= FOREIGN_PID else "lessee"
        name = hashlib.sha256(f"simulated/{self._node}/{who}".encode()).hexdigest()[:32]
        return name, OwnerClass.CONTAINER


def driver_facts(gpus: int) -> Facts:
    """What a simulated driver says of itself. There is no library, and the facts say so."""
    readings: dict[str, int | str] = {
        "driver_version": DRIVER_VERSION,
        "nvml_version": f"13.{DRIVER_VERSION}",
        "cuda_driver_version": "13.0",
        "kernel_module_version": DRIVER_VERSION,
        "gpus_enumerated_count": gpus,
        "gpus_unreadable_count": 0,
        "ld_preload_code": 0,
        "ld_library_path_code": 0,
    }
    missing = [row.name for row in READINGS if row.scope is Scope.NODE and row.name not in readings]
    return Facts(readings=readings, unavailable=dict.fromkeys(missing, Reason.NOT_SUPPORTED))


def _device(shown: ShownDevice) -> Device:
    answers = shown.readings(Tier.IDENTITY)
    known = {name: value for name, value in answers.items() if not isinstance(value, Reason)}
    missing = [row.name for row in ROWS[Tier.IDENTITY] if row.name not in known]
    identity = Facts(readings=known, unavailable=dict.fromkeys(missing, Reason.NOT_SUPPORTED))
    parent = shown.state.uuid if shown.is_slice else None
    return Device(uuid=shown.uuid, parent=parent, state=DeviceState.OK, identity=identity)


def _value(answers: Mapping[str, Value] | None, name: str, absent: Reason) -> int | Reason:
    if answers is None:
        return absent
    value = answers.get(name, Reason.NOT_SUPPORTED)
    return value if isinstance(value, (int, Reason)) else Reason.NOT_SUPPORTED


def _or(value: int | None) -> Value:
    return Reason.NOT_SUPPORTED if value is None else value
