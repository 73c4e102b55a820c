"""dcgm-exporter's names, to the letter. The list beside this file holds what its etc/default-counters.csv names."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from agent.dcgm import FIELDS, Page, Seen
from agent.report.source import Sweep
from weighbridge.wire.report import Device, DeviceState, Facts, Reason

with Path(__file__).with_name("dcgm_names.csv").open() as file:
    PUBLISHED = {row["name"]: (row["type"], row["unit"]) for row in csv.DictReader(file)}
UNANSWERED = {"DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_DEV_VGPU_LICENSE_STATUS"}
"""NVML has no such value, or nobody says in which unit."""

GIB = 1 << 30
IDENTITY: dict[str, Any] = {
    "name": "NVIDIA H100 80GB HBM3",
    "pci_bus_id": "00000000:1B:00.0",
    "minor_number": 3,
    "memory_total_bytes": 80 * GIB,
    "memory_reserved_bytes": GIB // 2,
}
FAST: dict[str, Any] = {
    "sm_clock_megahertz": 1980,
    "memory_clock_megahertz": 2619,
    "temperature_gpu_celsius": 41,
    "temperature_memory_celsius": 52,
    "power_draw_milliwatts": 699_500,
    "energy_millijoules": 1_234_567,
    "pcie_replay_count": 0,
    "utilization_gpu_percent": 97,
    "utilization_memory_percent": 44,
    "memory_used_bytes": 10 * GIB,
    "pcie_transmitted_kibibytes": 1000,
    "pcie_received_kibibytes": 500,
}
SLOW: dict[str, Any] = {
    "encoder_utilization_percent": 0,
    "decoder_utilization_percent": 0,
    "remapped_uncorrectable_rows": 1,
    "remapped_correctable_rows": 0,
    "remap_failure_code": 0,
    "graphics_active_permyriad": 9_900,
    "tensor_active_permyriad": 5_000,
    "dram_active_permyriad": 1,
}
IN_UNIT: dict[str, dict[str, float]] = {
    "MHz": {"SM_CLOCK": 1980, "MEM_CLOCK": 2619},
    "C": {"GPU_TEMP": 41, "MEMORY_TEMP": 52},
    "W": {"POWER_USAGE": 699.5},
    "mJ": {"TOTAL_ENERGY_CONSUMPTION": 1_234_567},
    "%": {"GPU_UTIL": 97, "MEM_COPY_UTIL": 44, "ENC_UTIL": 0, "DEC_UTIL": 0},
    "MiB": {"FB_FREE": 69.5 * 1024, "FB_USED": 10_240, "FB_RESERVED": 512},
    "ratio": {"GR_ENGINE_ACTIVE": 0.99, "PIPE_TENSOR_ACTIVE": 0.5, "DRAM_ACTIVE": 0.0001},
    "bytes/s": {"PCIE_TX_BYTES": 102_400, "PCIE_RX_BYTES": 0},
    "": {
        "PCIE_REPLAY_COUNTER": 0,
        "XID_ERRORS": 79,
        "UNCORRECTABLE_REMAPPED_ROWS": 1,
        "CORRECTABLE_REMAPPED_ROWS": 0,
        "ROW_REMAP_FAILURE": 0,
    },
}


def device(uuid: str = "GPU-1", parent: str | None = None, **more: Any) -> Device:
    facts = Facts(readings={**IDENTITY, **more}, unavailable={})
    return Device(uuid=uuid, parent=parent, state=DeviceState.OK, identity=facts)


def sweep(at_us: int, uuids: list[str], **readings: Any) -> Sweep:
    return Sweep(at_us, uuids, {name: [value] * len(uuids) for name, value in readings.items()})


class Node:
    """What the agent of the test has seen."""

    def __init__(self, *devices: Device) -> None:
        self.devices, self.uuids = devices, [one.uuid for one in devices]
        self.fast: Sweep | None = sweep(0, self.uuids, **FAST)
        self.xids = {"GPU-1": 79}

    def seen(self) -> Seen:
        driver = Facts(readings={"driver_version": "570.124.06"}, unavailable={})
        return Seen(self.devices, driver, self.fast, sweep(0, self.uuids, **SLOW), self.xids)


def told(text: str) -> dict[str, list[tuple[str, float]]]:
    """Labels as they stand, and value, by name."""
    found: dict[str, list[tuple[str, float]]] = {}
    for name, labels, value in re.findall(r"^(DCGM_\w+)\{(.*)\} (\S+)$", text, re.MULTILINE):
        found.setdefault(name, []).append((labels, float(value)))
    return found


def twice(node: Node) -> str:
    """The page after a second sweep, ten seconds later."""
    page = Page(node.seen, "node-1", "hostname")
    page.text()
    node.fast = sweep(10_000_000, node.uuids, **FAST | {"pcie_transmitted_kibibytes": 2000})
    return page.text()


def test_every_published_name_is_served_in_its_unit_and_no_other() -> None:
    values = {name: rows[0][1] for name, rows in told(twice(Node(device()))).items()}
    expected = {}
    for name, (_, unit) in PUBLISHED.items():
        short = name.removeprefix("DCGM_FI_DEV_").removeprefix("DCGM_FI_PROF_")
        if name not in UNANSWERED:
            expected[name] = IN_UNIT[unit][short]
    assert values == expected


def test_types_are_the_published_ones() -> None:
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", twice(Node(device())), re.MULTILINE))
    assert types == {name: kind for name, (kind, _) in PUBLISHED.items() if name not in UNANSWERED}
    assert [one.name for one in FIELDS] == [name for name in PUBLISHED if name not in UNANSWERED]


@pytest.mark.parametrize("label", ["hostname", "Hostname"])
def test_labels_stand_in_the_published_order(label: str) -> None:
    text = Page(Node(device()).seen, "node-1", label).text()
    ((labels, _),) = told(text)["DCGM_FI_DEV_GPU_TEMP"]
    assert labels == (
        'gpu="0",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
        f'modelName="NVIDIA H100 80GB HBM3",{label}="node-1",DCGM_FI_DRIVER_VERSION="570.124.06"'
    )


def test_a_mig_instance_bears_its_cards_name_and_its_own_place() -> None:
    part = device(
        "MIG-1", "GPU-1", name="NVIDIA H100 80GB HBM3 MIG 1g.10gb", mig_gpu_instance_number=7
    )
    text = Page(Node(device("GPU-0"), device(), part).seen, "n", "hostname").text()
    labels = told(text)["DCGM_FI_DEV_FB_USED"][2][0]
    assert labels == (
        'gpu="1",UUID="GPU-1",pci_bus_id="00000000:1B:00.0",device="nvidia3",'
        'modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="1g.10gb",GPU_I_ID="7",'
        'hostname="n",DCGM_FI_DRIVER_VERSION="570.124.06"'
    )


def test_what_nvml_cannot_answer_is_absent() -> None:
    node = Node(device())
    node.fast = sweep(0, node.uuids, **FAST | {"temperature_memory_celsius": Reason.NOT_SUPPORTED})
    found = told(Page(node.seen, "n", "hostname").text())
    assert "DCGM_FI_DEV_MEMORY_TEMP" not in found
    assert "DCGM_FI_DEV_GPU_TEMP" in found
    assert "DCGM_FI_PROF_PCIE_TX_BYTES" not in found, "one sweep has no rate"


def test_a_counter_that_fell_has_no_rate_and_a_card_without_an_xid_says_zero() -> None:
    node = Node(device())
    node.xids = {}
    page = Page(node.seen, "n", "hostname")
    page.text()
    node.fast = sweep(10_000_000, node.uuids, **FAST | {"pcie_received_kibibytes": 499})
    found = told(page.text())
    assert "DCGM_FI_PROF_PCIE_RX_BYTES" not in found
    assert found["DCGM_FI_PROF_PCIE_TX_BYTES"][0][1] == 0
    assert found["DCGM_FI_DEV_XID_ERRORS"][0][1] == 0


def test_before_the_first_sweep_and_for_a_lost_card_there_is_nothing_to_tell() -> None:
    node = Node(device())
    node.devices = (
        Device(
            uuid="GPU-1", parent=None, state=DeviceState.LOST, identity=node.devices[0].identity
        ),
    )
    assert Page(node.seen, "n", "hostname").text() == ""
