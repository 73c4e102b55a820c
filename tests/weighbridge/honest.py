"""Nodes of an honest provider, for weeks: noise, idle nights, reboots, upgrades, late spools and steps of the clock.

Each node makes the bytes of its reports as an agent would. What a person could see happen there, and when, is in
`happened`: nothing of it breaks a promise.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.weighbridge.scripted import SIGNER, START_US
from weighbridge.catalogue.tables import Sku, sku
from weighbridge.judge.findings import CHECK
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind, Tick, entry, payload_type
from weighbridge.wire.report import Model, WirePart, canonical, digest, encode

SECOND = 1_000_000
STEP_S, SAMPLES = 60, 5
REPORT_S = STEP_S * SAMPLES
DAY_S = 86_400
GPUS = 8
UP_BEFORE_S = 90_000
HOURLY = 12
LIMIT_MILLIWATTS, IDLE_MILLIWATTS = 700_000, 72_000
CARD = "H100-SXM-80GB"
DRIVERS = ("580.95.05", "580.105.08")

MACHINE: Mapping[str, Any] = {
    "cpu_model": "Intel(R) Xeon(R) Platinum 8480C",
    "memory_total_bytes": 2_113_000_000_000,
    "nvme_bytes": 30_720_000_000_000,
    "nvidia_pci_functions_count": GPUS,
    "hypervisor_code": 0,
}
ON_THE_BUS: Mapping[str, Any] = {
    "device_id": "0x2330",
    "subsystem_vendor_id": "0x10de",
    "subsystem_device_id": "0x16c1",
    "bar_largest_bytes": 128 << 30,
}
PORT: Mapping[str, Any] = {
    "state_code": 4,
    "physical_state_code": 5,
    "rate_gigabits": 400,
    "generation": "4X NDR",
    "link_layer": "InfiniBand",
}

CONTRACT = """\
contract_id: K1
version: "1"
effective: 2026-10-01T00:00:00Z
time_zone: UTC
currency: USD
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-10-01T00:00:00Z, to: 2027-10-01T00:00:00Z}
resources:
  - id: h100
    accelerator: {sku: H100-SXM-80GB, memory_bytes: "85520809984", compute_capability: "9.0"}
    per_node: "8"
    nodes: "NODES"
    virtualization: bare_metal
    interconnect: {nvlink_links: "18", nvlink_version: "4", fabric: infiniband, ports: "8", port_gigabits: "400"}
    host: {cpu: Xeon Platinum 8480C, memory_bytes: "2147483648000", nvme_bytes: "30000000000000",
      driver_at_least: "570", driver_below: "600"}
    floors: {power_limit_milliwatts: "700000", sm_clock_max_megahertz: "1980", memory_clock_max_megahertz: "2619",
      pcie_width: "16", pcie_generation: "5", ecc: "on", mig: "off", throttling_share_max: "0.05"}
    bounds: [{reading: temperature_gpu_celsius, at_most: "90"}]
availability:
  - {id: gpus, unit: gpu, target: "0.99"}
unknown: {policy: hold}
sampling: {interval_s: "60", max_gap_s: "180", first_report_within_s: "600"}
"""


@dataclass(frozen=True, slots=True)
class Happened:
    """What could be seen at a node, over [from_s, until_s) since START_US."""

    what: str
    from_s: int
    until_s: int


@dataclass(slots=True)
class _Gpu:
    """Counters and the state of one card, which move on with each sample."""

    index: int
    energy: int = 0
    capped_us: int = 0
    traffic: int = 0
    replays: int = 0
    corrected: int = 0
    heat: float = 30.0


@dataclass
class HonestNode:
    """One node. `reports` gives what it sends, and when: (second of arrival, payload)."""

    number: int
    days: int
    seed: int = 0
    happened: list[Happened] = field(default_factory=list)

    def __post_init__(self) -> None:
        card = sku(CARD)
        assert card is not None
        self._card: Sku = card
        self.name = f"n{self.number}"
        self._chance = Random(f"{self.seed}/{self.number}")
        self._gpus = [_Gpu(index) for index in range(GPUS)]
        self._boots = self._chains = self._seq = 0
        self._prev: str | None = None
        self._booted_s = -UP_BEFORE_S
        self._driver = DRIVERS[0]
        self._agent = "1.0.0"
        self._wall_us = 0
        self._jobs = self._worked()

    @property
    def devices(self) -> list[str]:
        return [f"GPU-{self.name}-{index}" for index in range(GPUS)]

    def reports(self) -> Iterator[tuple[int, bytes]]:
        """In the order in which they are made; one that was made earlier may arrive later."""
        plan = self._plan()
        now_s, late_until_s = 0, 0
        while now_s < self.days * DAY_S:
            what = plan.pop(now_s // REPORT_S, None)
            if what is not None:
                away_s, late_s = self._meet(what, now_s)
                now_s += away_s
                late_until_s = max(late_until_s, now_s + late_s) if late_s else late_until_s
            end_s = now_s + REPORT_S
            yield max(end_s, late_until_s), self._report(now_s)
            now_s = end_s

    def _plan(self) -> dict[int, str]:
        """What happens at the beginning of which report: each kind about once in ten days."""
        kinds = ("reboot", "driver", "agent", "network", "clock", "application")
        slots = self.days * DAY_S // REPORT_S
        often = max(1, self.days // 10)
        return {self._chance.randrange(12, slots): kind for kind in kinds for _ in range(often)}

    def _meet(self, what: str, now_s: int) -> tuple[int, int]:
        """How long nobody samples, and for how long nobody hears."""
        away_s = late_s = 0
        match what:
            case "reboot":
                away_s = REPORT_S * self._chance.randrange(1, 3)
                self._booted_s = now_s + away_s - 100
                self._boots += 1
                self._loaded()
            case "driver":
                away_s = REPORT_S
                self._driver = DRIVERS[1]
                self._loaded()
            case "agent":
                self._agent = "1.1.0"
                self._chain()
            case "network":
                late_s = self._chance.randrange(600, 5_000)
            case "clock":
                self._wall_us = self._chance.choice((-1, 1)) * self._chance.randrange(
                    100_000, 900_000
                )
            case _:
                pass
        self.happened.append(Happened(what, now_s, now_s + away_s + late_s))
        self._struck = what
        return away_s, late_s

    def _loaded(self) -> None:
        """A driver that was loaded anew counts from nothing, and its agent begins a chain."""
        self._gpus = [_Gpu(index) for index in range(GPUS)]
        self._chain()

    def _chain(self) -> None:
        self._chains += 1
        self._seq, self._prev = 0, None

    _struck = ""

    def _report(self, now_s: int) -> bytes:
        seconds = [now_s + step * STEP_S for step in range(SAMPLES)]
        boot_us = [(second - self._booted_s) * SECOND for second in seconds]
        made_s, hourly = now_s + REPORT_S, self._seq % HOURLY == 0
        document = {
            "version": 1,
            "node": self.name,
            "chain": f"{self.name}-{self._chains}",
            "stream": "node",
            "seq": self._seq,
            "prev": self._prev,
            "boot": f"boot-{self._boots}",
            "seen": None,
            "clock": {
                "wall_us": START_US + made_s * SECOND + self._wall_us,
                "boottime_us": (made_s - self._booted_s) * SECOND,
                "synchronized": True,
            },
            "interval_ms": STEP_S * 1000,
            "agent": self._agent,
            "inventory_digest": "0" * 64,
            "inventory": self._inventory() if hourly else None,
            "blocks": [self._fast(seconds, boot_us), self._slow(boot_us[-1])],
            "processes": self._processes(seconds[-1], boot_us[-1]),
            "host": {"readings": self._network(), "unavailable": {}} if hourly else None,
            "events": self._events(boot_us[0]),
            "gaps": [],
        }
        payload = canonical(document)
        self._seq, self._prev = self._seq + 1, digest(payload)
        return payload

    def _inventory(self) -> dict[str, Any]:
        devices = [
            {"uuid": uuid, "parent": None, "state": "ok", "identity": self._identity(index)}
            for index, uuid in enumerate(self.devices)
        ]
        driver = {
            "driver_version": self._driver,
            "gpus_enumerated_count": GPUS,
            "gpus_unreadable_count": 0,
        }
        return {
            "devices": devices,
            "driver": {"readings": driver, "unavailable": {}},
            "host": {"readings": self._machine(), "unavailable": {}},
        }

    def _machine(self) -> dict[str, Any]:
        told = {**MACHINE, "nvidia_module_sysfs_version": self._driver}
        for index in range(GPUS):
            function = f"pci.0000:{0x18 + 8 * index:02x}:00.0"
            told |= {f"{function}.{name}": value for name, value in ON_THE_BUS.items()}
        return told

    def _network(self) -> dict[str, Any]:
        """Eight ports, in each report of a full hour; one of them went down and came back in the months before."""
        told: dict[str, Any] = {"rdma_ports_count": GPUS, "nvidia_pci_functions_count": GPUS}
        for index in range(GPUS):
            port = f"infiniband.mlx5_{index}.1"
            told |= {f"{port}.{name}": value for name, value in PORT.items()}
            told[f"{port}.link_downed_count"] = int(index == 0)
        return told

    def _identity(self, index: int) -> dict[str, Any]:
        card = self._card
        assert card.memory_bytes is not None
        readings = {
            "name": card.name,
            "serial": f"16{self.number:05d}{index:03d}",
            "pci_bus_id": f"00000000:{0x18 + 8 * index:02x}:00.0",
            "pci_device_id": card.pci_device_ids[0],
            "pci_subsystem_id": "10de:16c1",
            "bar1_total_bytes": 128 << 30,
            "cuda_compute_capability": card.compute_capability,
            "gpu_cores": card.cores,
            "memory_total_bytes": 81_559 << 20,
            "memory_bus_width_bits": card.memory_bus_width_bits,
            "sm_clock_max_megahertz": 1980,
            "memory_clock_max_megahertz": 2619,
            "power_limit_default_milliwatts": LIMIT_MILLIWATTS,
            "power_limit_min_milliwatts": 200_000,
            "power_limit_max_milliwatts": LIMIT_MILLIWATTS,
            "pcie_link_max_generation": 5,
            "pcie_gpu_max_generation": 5,
            "pcie_link_width_max_lanes": 16,
            "ecc_mode_code": 1,
            "ecc_mode_pending_code": 1,
            "mig_mode_code": 0,
            "mig_mode_pending_code": 0,
            "virtualization_mode_code": 0,
            "nvlink_links": 18,
            "nvlink_version_code": 6,
        }
        return {
            "readings": {name: value for name, value in readings.items() if value is not None},
            "unavailable": {},
        }

    def _worked(self) -> list[tuple[int, int, int]]:
        """Of each day, from when to when somebody computes, and how hard."""
        chance = self._chance
        return [
            (day * DAY_S + chance.randrange(5, 11) * 3600, day * DAY_S + chance.randrange(16, 24) * 3600,
             chance.randrange(60, 100))
            for day in range(self.days)
        ]  # fmt: skip

    def _load(self, second: int) -> int:
        begin, end, load = self._jobs[min(second // DAY_S, self.days - 1)]
        return load if begin <= second < end else 0

    def _fast(self, seconds: list[int], boot_us: list[int]) -> dict[str, Any]:
        told = [[self._sample(gpu, self._load(second)) for gpu in self._gpus] for second in seconds]
        names = told[0][0].keys()
        readings = {name: [[gpu[name] for gpu in sample] for sample in told] for name in names}
        return self._block("fast", boot_us, readings)

    def _block(self, tier: str, boot_us: list[int], readings: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "tier": tier,
            "boottime_us": boot_us,
            "devices": self.devices,
            "readings": readings,
            "unavailable": [],
        }

    def _sample(self, gpu: _Gpu, load: int) -> dict[str, int]:
        """The minute that ends now."""
        chance = self._chance.random
        wanted = (
            IDLE_MILLIWATTS
            + load * 6_600
            + int(30_000 * chance() * (load > 0))
            + int(900 * chance())
        )
        power = min(wanted, LIMIT_MILLIWATTS - int(2_000 * chance()))
        capped = wanted > LIMIT_MILLIWATTS
        gpu.energy += power * STEP_S
        gpu.capped_us += int(chance() * SECOND) if capped else 0
        gpu.traffic += load * 9_000 + int(chance() * 100) * (load > 0)
        gpu.heat += (30 + 40 * power / LIMIT_MILLIWATTS - gpu.heat) * 0.5
        gpu.replays += chance() < 0.001
        return {
            "memory_used_bytes": (60 << 30) + (int(chance() * 1000) << 20) if load else 0,
            "utilization_gpu_percent": min(100, load + int(chance() * 6)) if load else 0,
            "utilization_memory_percent": load // 2 + int(chance() * 4) if load else 0,
            "sm_clock_megahertz": (1_980 - 15 * int(chance() * (20 if capped else 2)))
            if load
            else 345,
            "memory_clock_megahertz": 2_619,
            "temperature_gpu_celsius": int(gpu.heat + chance()),
            "temperature_memory_celsius": int(gpu.heat + 6 + chance()),
            "power_draw_milliwatts": power,
            "power_draw_instant_milliwatts": min(
                LIMIT_MILLIWATTS + 20_000, power + int(4_000 * chance())
            ),
            "power_limit_enforced_milliwatts": LIMIT_MILLIWATTS,
            "power_limit_requested_milliwatts": LIMIT_MILLIWATTS,
            "energy_millijoules": gpu.energy,
            "clocks_event_reasons_flags": (4 if capped else 0) if load else 1,
            "clocks_event_sw_power_cap_microseconds": gpu.capped_us,
            "clocks_event_sync_boost_microseconds": 0,
            "clocks_event_sw_thermal_microseconds": 0,
            "clocks_event_hw_thermal_microseconds": 0,
            "clocks_event_hw_power_brake_microseconds": 0,
            "pcie_link_generation": 5 if load else 1,
            "pcie_link_width_lanes": 16,
            "pcie_replay_count": gpu.replays,
            "pcie_transmitted_kibibytes": gpu.traffic // 10,
            "pcie_received_kibibytes": gpu.traffic // 9,
            "nvlink_transmitted_kibibytes": gpu.traffic,
            "nvlink_received_kibibytes": gpu.traffic,
            "recovery_action_code": 0,
        }

    def _slow(self, boot_us: int) -> dict[str, Any]:
        for gpu in self._gpus:
            gpu.corrected += self._chance.random() < 0.0005
        corrected = [gpu.corrected for gpu in self._gpus]
        told: dict[str, int | list[int]] = {
            "ecc_total_corrected_volatile_count": corrected,
            "ecc_total_uncorrected_volatile_count": 0,
            "ecc_sram_threshold_exceeded_code": 0,
            "remapped_correctable_rows": 0,
            "remapped_uncorrectable_rows": 0,
            "remap_pending_code": 0,
            "remap_failure_code": 0,
            "remap_availability_none_banks": 0,
            "unrepairable_memory_code": 0,
            "nvlink_active_links": 18,
            "nvlink_down_links": 0,
            "nvlink_quiet_links": 0,
            "fabric_state_code": 3,
            "fabric_status_code": 0,
            "performance_state_code": 0,
        }
        readings = {
            name: [value if isinstance(value, list) else [value] * GPUS]
            for name, value in told.items()
        }
        return self._block("slow", [boot_us], readings)

    def _processes(self, second: int, boot_us: int) -> list[dict[str, Any]]:
        if not self._load(second):
            return []
        who = {"boottime_us": boot_us, "class": "container", "owner": f"{self.number:032x}"}
        return [who | {"device": uuid, "memory_bytes": 60 << 30} for uuid in self.devices]

    def _events(self, boot_us: int) -> list[dict[str, Any]]:
        """An application of the lessee that crashed: its XID, and the removal of its channel."""
        struck, self._struck = self._struck, ""
        if struck != "application":
            return []
        uuid = self._chance.choice(self.devices)
        about = {
            "boottime_us": boot_us,
            "kind": "xid",
            "device": uuid,
            "source": "kernel",
            "detail": "",
        }
        return [about | {"code": 31}, about | {"code": 45, "caused_by": 31}]


TICK_S = 60


class Fed:
    """A fold, and what was found."""

    def __init__(self) -> None:
        self.fold, self.entries = FleetFold(), 0
        self.findings: list[Finding] = []

    def add(self, kind: EntryKind, payload: Model | WirePart) -> None:
        self.take(kind, encode(payload))

    def take(self, kind: EntryKind, payload: bytes) -> None:
        leaf = SIGNER.seal(payload_type(kind), payload)
        said = self.fold.fold(entry(self.entries, leaf))
        self.entries += 1
        self.findings += [one for one in said if isinstance(one, Finding)]


def arrivals(nodes: Sequence[HonestNode]) -> Iterator[tuple[int, bytes]]:
    """All reports in the order of their arrival; those of one node stay in theirs."""
    streams = [_numbered(node) for node in nodes]
    for second, _, _, payload in heapq.merge(*streams):
        yield second, payload


def _numbered(node: HonestNode) -> Iterator[tuple[int, int, int, bytes]]:
    for place, (second, payload) in enumerate(node.reports()):
        yield second, node.number, place, payload


def fed(nodes: Sequence[HonestNode]) -> Fed:
    """The fold that has heard all of it."""
    told = Fed()
    told.add(EntryKind.TICK, Tick(wall_us=START_US))
    text = CONTRACT.replace("NODES", str(len(nodes)))
    told.add(EntryKind.CONTRACT, ContractAdded(contract="K1", version=1, text=text, from_us=0))
    for node in nodes:
        told.add(EntryKind.ASSIGNMENT, Assignment(contract="K1", node=node.name, devices=None))
    ticked = 0
    for second, payload in arrivals(nodes):
        while ticked + TICK_S <= second:
            ticked += TICK_S
            told.add(EntryKind.TICK, Tick(wall_us=START_US + ticked * SECOND))
        told.take(EntryKind.REPORT, payload)
    return told


def accusations(told: Fed) -> list[Finding]:
    """What a check found, and what else is laid to the provider. Nothing of it happened."""
    return [
        finding
        for finding in told.findings
        if finding.code in CHECK or finding.answerable == "provider"
    ]
