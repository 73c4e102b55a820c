"""The table of exported metrics keeps Prometheus' conventions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from weighbridge.catalogue.metrics import EXPORTED, GPU_CLOCKS_EVENT, METRICS, Metric, Type
from weighbridge.catalogue.readings import OF_GPUS, READINGS, Kind, Reading, Tier

each_metric = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_no_name_is_given_twice() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


@each_metric
def test_a_name_is_prefixed_and_says_whether_it_counts(metric: Metric) -> None:
    assert re.fullmatch(r"weighbridge_[a-z][a-z0-9_]*", metric.name)
    assert metric.name.endswith("_total") == (metric.type is Type.COUNTER)


@each_metric
def test_no_name_carries_a_unit_that_is_not_a_base_unit(metric: Metric) -> None:
    strange = r"milli|micro|nano|kibi|mega|percent|permyriad|watt_|_flags|_code"
    assert re.search(strange, metric.name) is None


@each_metric
def test_help_is_a_sentence_on_one_line(metric: Metric) -> None:
    assert "\n" not in metric.help
    assert metric.help.endswith(".")


@pytest.mark.parametrize(
    "row", [row for row in READINGS if row.tier is not Tier.IDENTITY], ids=lambda row: row.name
)
def test_every_moving_number_of_a_device_is_exported(row: Reading) -> None:
    assert (row.name in EXPORTED) == (row.kind is not Kind.FLAGS and row.scope in OF_GPUS)


@pytest.mark.parametrize(
    ("reading", "name", "value", "base"),
    [
        ("power_draw_milliwatts", "weighbridge_gpu_power_draw_watts", 699_999, 699.999),
        ("energy_millijoules", "weighbridge_gpu_energy_joules_total", 1, 0.001),
        ("sm_clock_megahertz", "weighbridge_gpu_sm_clock_hertz", 1980, 1_980_000_000),
        ("utilization_gpu_percent", "weighbridge_gpu_utilization_gpu_ratio", 7, 0.07),
        ("pcie_received_kibibytes", "weighbridge_gpu_pcie_received_bytes_total", 3, 3072),
        ("memory_used_bytes", "weighbridge_gpu_memory_used_bytes", 0, 0),
        ("pcie_link_width_lanes", "weighbridge_gpu_pcie_link_width_lanes", 16, 16),
        ("ecc_mode_code", "weighbridge_gpu_ecc_mode", 1, 1),
    ],
)
def test_a_reading_becomes_base_units(reading: str, name: str, value: int, base: float) -> None:
    exported = EXPORTED[reading]
    assert exported.metric.name == name
    assert exported.scale(value) == base


def test_time_held_down_is_one_family_by_reason() -> None:
    exported = EXPORTED["clocks_event_hw_thermal_microseconds"]
    assert exported.metric is GPU_CLOCKS_EVENT
    assert exported.labels == ("hw_thermal",)
    assert exported.scale(1_500_000) == 1.5


def test_the_page_of_metrics_is_generated_from_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "metrics.md"
    command = [sys.executable, "-m", "weighbridge.catalogue.metrics"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert page.read_text(encoding="utf-8") == printed.stdout
    assert [metric.name for metric in METRICS if f"| `{metric.name}` |" not in printed.stdout] == []
