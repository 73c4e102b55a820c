"""The names of NVIDIA's dcgm-exporter over what NVML says, so that dashboards which people have keep working.

Names, types, units, labels and their order are those of its default counters and profiling fields
(github.com/NVIDIA/dcgm-exporter, etc/default-counters.csv, 2026-05). What NVML cannot answer is absent: vGPU licences,
and the total of NVLink, whose unit is not published. Counters have no `_total`, as there: text format 0.0.4.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from agent.report.source import Sweep
from weighbridge.wire.report import Device, DeviceState, Facts

MEBIBYTE = 1 << 20
Values = Mapping[str, int]
"""Readings of one device that have a value."""


class Field(NamedTuple):
    """One family: its name, its type, a word about it, and its value; None: NVML does not tell."""

    name: str
    type: str
    help: str
    value: Callable[[Values], int | float | None]


def _of(reading: str, divisor: int = 1) -> Callable[[Values], int | float | None]:
    def value(values: Values) -> int | float | None:
        found = values.get(reading)
        return found if found is None or divisor == 1 else found / divisor

    return value


def _whole(reading: str) -> Callable[[Values], int | None]:
    """Bytes in whole MiB."""

    def value(values: Values) -> int | None:
        found = values.get(reading)
        return None if found is None else found // MEBIBYTE

    return value


def _free(values: Values) -> int | None:
    names = ("memory_total_bytes", "memory_reserved_bytes", "memory_used_bytes")
    total, reserved, used = (values.get(name) for name in names)
    if total is None or reserved is None or used is None:
        return None
    return (total - reserved - used) // MEBIBYTE


FIELDS = (
    Field("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock in MHz.", _of("sm_clock_megahertz")),
    Field("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock in MHz.", _of("memory_clock_megahertz")),
    Field("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory in C.", _of("temperature_memory_celsius")),
    Field("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU in C.", _of("temperature_gpu_celsius")),
    Field("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power in W.", _of("power_draw_milliwatts", 1000)),
    Field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "In mJ.", _of("energy_millijoules")),
    Field("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Replays.", _of("pcie_replay_count")),
    Field(
        "DCGM_FI_DEV_GPU_UTIL", "gauge", "Some kernel ran, in %.", _of("utilization_gpu_percent")
    ),
    Field("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory in %.", _of("utilization_memory_percent")),
    Field("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder in %.", _of("encoder_utilization_percent")),
    Field("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder in %.", _of("decoder_utilization_percent")),
    Field("DCGM_FI_DEV_XID_ERRORS", "gauge", "The last XID; 0: none since the start.", _of("xid")),
    Field("DCGM_FI_DEV_FB_FREE", "gauge", "Memory free in MiB.", _free),
    Field("DCGM_FI_DEV_FB_USED", "gauge", "Memory in use in MiB.", _whole("memory_used_bytes")),
    Field("DCGM_FI_DEV_FB_RESERVED", "gauge", "In MiB.", _whole("memory_reserved_bytes")),
    Field(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows.",
        _of("remapped_uncorrectable_rows"),
    ),
    Field(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "counter",
        "Rows.",
        _of("remapped_correctable_rows"),
    ),
    Field("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "1: it failed.", _of("remap_failure_code")),
    Field(
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "gauge",
        "Graphics, 0 to 1.",
        _of("graphics_active_permyriad", 10_000),
    ),
    Field(
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "gauge",
        "Tensor pipe, 0 to 1.",
        _of("tensor_active_permyriad", 10_000),
    ),
    Field(
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "gauge",
        "Memory interface, 0 to 1.",
        _of("dram_active_permyriad", 10_000),
    ),
    Field("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Bytes a second.", _of("pcie_transmitted_rate")),
    Field("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Bytes a second.", _of("pcie_received_rate")),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the agent last saw: who is there, the newest sweep of each tier, and each device's last XID."""

    devices: Sequence[Device]
    driver: Facts
    fast: Sweep | None
    slow: Sweep | None
    xids: Mapping[str, int]


class Page:
    """The page of one node. `label` is how the host's label is spelled: `hostname`, or `Hostname` before 2026-05."""

    def __init__(self, seen: Callable[[], Seen], host: str, label: str) -> None:
        self._seen, self._host, self._label = seen, host, label
        self._before: Sweep | None = None
        self._rates: dict[str, dict[str, int]] = {}

    def text(self) -> str:
        """Of now. PCIe's rates are those between the two newest sweeps that were asked for."""
        seen = self._seen()
        if seen.fast is not None and seen.fast is not self._before:
            if self._before is not None:
                self._rates = _rates(self._before, seen.fast)
            self._before = seen.fast
        rows = [
            (self._labels(seen, device), _values(seen, device) | self._rates.get(device.uuid, {}))
            for device in seen.devices
            if device.state is DeviceState.OK
        ]
        return "".join(_family(one, rows) for one in FIELDS)

    def _labels(self, seen: Seen, device: Device) -> str:
        """A part of a card bears the card's name, and its own place on it."""
        cards = [one for one in seen.devices if one.parent is None]
        card = next((one for one in cards if one.uuid == device.parent), device)
        told = card.identity.readings
        pairs = [
            ("gpu", str(cards.index(card) if card in cards else "")),
            ("UUID", card.uuid),
            ("pci_bus_id", told.get("pci_bus_id", "")),
            ("device", f"nvidia{told['minor_number']}" if "minor_number" in told else ""),
            ("modelName", told.get("name", "")),
            *(_place(device) if device is not card else ()),
            (self._label, self._host),
            ("DCGM_FI_DRIVER_VERSION", seen.driver.readings.get("driver_version", "")),
        ]
        return ",".join(f'{name}="{_escaped(str(value))}"' for name, value in pairs)


def _place(device: Device) -> Iterator[tuple[str, object]]:
    """Of a MIG instance: its profile, the last word of its name, and its number on the card."""
    told = device.identity.readings
    yield "GPU_I_PROFILE", str(told.get("name", "")).rpartition(" ")[2]
    yield "GPU_I_ID", told.get("mig_gpu_instance_number", "")


def _values(seen: Seen, device: Device) -> dict[str, int]:
    told = {name: one for name, one in device.identity.readings.items() if isinstance(one, int)}
    for sweep in (seen.fast, seen.slow):
        if sweep is not None and device.uuid in sweep.devices:
            place = list(sweep.devices).index(device.uuid)
            found = {name: row[place] for name, row in sweep.readings.items()}
            told |= {name: one for name, one in found.items() if isinstance(one, int)}
    return told | {"xid": seen.xids.get(device.uuid, 0)}


def _rates(before: Sweep, now: Sweep) -> dict[str, dict[str, int]]:
    """Bytes a second by device. A counter that fell has wrapped or begun anew, and tells of no rate."""
    spent_us = now.boottime_us - before.boottime_us
    rates: dict[str, dict[str, int]] = {}
    for name in ("pcie_transmitted", "pcie_received"):
        old, new = (_column(sweep, f"{name}_kibibytes") for sweep in (before, now))
        for device in old.keys() & new.keys():
            grown = new[device] - old[device]
            if grown >= 0 and spent_us > 0:
                rates.setdefault(device, {})[f"{name}_rate"] = grown * 1024 * 1_000_000 // spent_us
    return rates


def _column(sweep: Sweep, name: str) -> dict[str, int]:
    row = sweep.readings.get(name, ())
    return {
        device: value
        for device, value in zip(sweep.devices, row, strict=False)
        if isinstance(value, int)
    }


def _family(one: Field, rows: Iterable[tuple[str, Values]]) -> str:
    """Nothing where no device tells of it."""
    found = [(labels, one.value(values)) for labels, values in rows]
    lines = [f"{one.name}{{{labels}}} {value}\n" for labels, value in found if value is not None]
    head = f"# HELP {one.name} {one.help}\n# TYPE {one.name} {one.type}\n"
    return head + "".join(lines) if lines else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
