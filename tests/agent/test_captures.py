"""What real cards answered, played again: the agent must read it as it is, and a contract for the card must be met."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from agent.nvml.device_inventory import reason
from agent.snapshot import take_record, take_snapshot
from tests.agent.conftest import MakeDriver, MakeSource
from tests.agent.fake_nvml.fixture import FakeDriver
from tests.agent.fake_nvml.played import scenario_of
from weighbridge.catalogue.readings import OF_GPUS, READING, READINGS, Scope, Tier
from weighbridge.catalogue.tables import Sku, sku_by_pci, skus
from weighbridge.wire.report import Reason

CAPTURES: Final = Path(__file__).parent / "captures"
MODES: Final = {0: "bare_metal", 1: "vm_passthrough"}

Row = dict[str, Any]

each_capture = pytest.mark.parametrize(
    "capture",
    [json.loads(path.read_text()) for path in sorted(CAPTURES.glob("*.json"))],
    ids=[path.stem for path in sorted(CAPTURES.glob("*.json"))],
)


@pytest.fixture
def played(capture: Row, make_driver: MakeDriver) -> FakeDriver:
    """The captured node."""
    driver = make_driver(int(capture["driver"]["readings"]["driver_version"].split(".")[0]))
    driver.play(*scenario_of(capture))
    return driver


def answers(capture: Row) -> list[Row]:
    """Without times."""
    return [{**answer, "nanoseconds": 0} for answer in capture["answers"]]


def readings(capture: Row, device: str) -> Mapping[str, int | str | Reason]:
    """What is to be read of a device: by the first source that answered, or why none did."""
    found: dict[str, int | str | Reason] = {}
    for row in answers(capture):
        if row["device"] == device and isinstance(found.get(row["reading"], Reason.ERROR), Reason):
            found[row["reading"]] = reason(row["code"]) if row["code"] else row["value"]
    alone = {row.name for row in READINGS if row.scope is Scope.MIG}
    return found | dict.fromkeys(alone, Reason.NOT_SUPPORTED)


def asked(capture: Row) -> frozenset[tuple[str, str]]:
    """What the card was asked: readings, and calls for them, that are newer than the capture were not."""
    return frozenset((row["reading"], row["call"]) for row in answers(capture))


def card(capture: Row) -> Sku:
    shown = readings(capture, "device-0")
    row = sku_by_pci(str(shown["pci_device_id"]), str(shown["pci_subsystem_id"]))
    assert row is not None
    return row


@each_capture
async def test_the_same_calls_answer_with_the_same_codes_and_values(
    capture: Row, played: FakeDriver, make_source: MakeSource
) -> None:
    again = await take_record(make_source(played), redact=True)
    known = asked(capture)
    repeated = [row for row in answers(again) if (row["reading"], row["call"]) in known]
    assert repeated == answers(capture)
    for name in ("driver_version", "nvml_version", "cuda_driver_version", "conf_compute_code"):
        assert again["driver"]["readings"][name] == capture["driver"]["readings"][name]


@each_capture
async def test_every_reading_is_read_as_it_was_on_the_card(
    capture: Row, played: FakeDriver, make_source: MakeSource
) -> None:
    rows = await take_snapshot(make_source(played))
    seen = {
        row["reading"]: row["value"] if row["reason"] is None else row["reason"]
        for row in rows
        if row["device"] != "node" and row["reading"] != "state"
    }
    expected = dict(readings(capture, "device-0"))
    seen = {name: value for name, value in seen.items() if name in expected}
    assert seen.keys() == expected.keys()
    for hidden in [name for name, value in expected.items() if value == "redacted"]:
        assert not isinstance(seen.pop(hidden), Reason)
        del expected[hidden]
    assert seen == expected


@each_capture
def test_no_reading_of_the_catalogue_is_an_error(capture: Row) -> None:
    read = readings(capture, "device-0")
    assert read.keys() <= {row.name for row in READINGS if row.scope in OF_GPUS}
    assert [name for name, value in read.items() if value in (Reason.ERROR, Reason.TIMEOUT)] == []
    for name, value in read.items():
        assert isinstance(value, Reason) or isinstance(value, str) == (READING[name].unit == "")


@each_capture
def test_the_table_knows_the_card_as_it_is(capture: Row) -> None:
    row, shown = card(capture), readings(capture, "device-0")
    for name, expected in (
        ("name", row.name),
        ("cuda_compute_capability", row.compute_capability),
        ("gpu_cores", row.cores),
        ("memory_bus_width_bits", row.memory_bus_width_bits),
        ("pcie_gpu_max_generation", row.pcie_generation),
        ("pcie_link_width_max_lanes", row.pcie_width_lanes),
        ("sm_clock_max_megahertz", row.sm_clock_max_megahertz),
        ("memory_clock_max_megahertz", row.memory_clock_max_megahertz),
        ("power_limit_default_milliwatts", row.power_limit_default_milliwatts),
        ("power_limit_min_milliwatts", row.power_limit_min_milliwatts),
        ("power_limit_max_milliwatts", row.power_limit_max_milliwatts),
    ):
        assert shown[name] == expected, name
    for name, window in (
        ("memory_total_bytes", row.memory_bytes),
        ("power_draw_milliwatts", row.idle_power_milliwatts),
    ):
        assert window is not None
        value = shown[name]
        assert isinstance(value, int)
        assert value in window, name
    assert str(shown["board_part_number"]).startswith(row.board_part_prefixes)
    assert isinstance(shown["temperature_memory_celsius"], int) == row.memory_sensor


@each_capture
def test_a_contract_for_the_card_is_met_by_it(
    capture: Row, played: FakeDriver, tmp_path: Path
) -> None:
    code, verdicts = check(contract(card(capture), virtualization(capture)), played, tmp_path)
    assert (code, set(verdicts.values())) == (0, {"met"})
    assert verdicts.keys() >= JUDGED


@each_capture
def test_a_contract_for_any_other_card_is_breached_by_it(
    capture: Row, played: FakeDriver, tmp_path: Path
) -> None:
    mine = card(capture)
    other = next(row for row in skus().values() if row.cores == mine.cores and row is not mine)
    code, verdicts = check(contract(other, virtualization(capture)), played, tmp_path)
    assert (code, verdicts["sku_mismatch"]) == (3, "breached")


def cost_ms(capture: Row, tier: Tier) -> float:
    """Each call once by which a reading of the tier got its value; fields one by one."""
    spent: dict[str, int] = {}
    answered: set[str] = set()
    for row in sorted(capture["answers"], key=lambda row: row["code"] != 0):
        if READING[row["reading"]].tier is tier and row["reading"] not in answered:
            answered.add(row["reading"])
            spent.setdefault(row["call"], row["nanoseconds"])
    return sum(spent.values()) / 1e6


@pytest.mark.parametrize("tier", Tier)
def test_what_reading_costs_is_written_as_it_was_captured(tier: Tier) -> None:
    capture = json.loads((CAPTURES / "nvidia-h200-580.159.04.json").read_text())
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text()
    assert f"{card(capture).name}, driver {capture['driver']['readings']['driver_version']}" in text
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {tier} | ")]
    assert f"| {cost_ms(capture, tier):.1f} ms |" in line


JUDGED: Final = {
    "gpu_missing",
    "sku_mismatch",
    "memory_short",
    "power_capped",
    "pcie_narrow",
    "pcie_slow",
    "ecc_off",
    "mig_on",
    "clock_capped",
    "memory_clock_capped",
    "virtualization_mismatch",
}


def check(text: str, driver: FakeDriver, directory: Path) -> tuple[int, dict[str, str]]:
    """The exit code of `check`, and the verdict of each check."""
    path = directory / "contract.yaml"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "agent", "check", "--contract", str(path), "--json"],
        capture_output=True,
        text=True,
        env=driver.environment(),
    )
    assert done.stdout, done.stderr
    return done.returncode, {
        row["check"]: row["verdict"] for row in json.loads(done.stdout)["answers"]
    }


def virtualization(capture: Row) -> str:
    mode = readings(capture, "device-0")["virtualization_mode_code"]
    assert isinstance(mode, int)
    return MODES[mode]


def contract(row: Sku, virtualization: str) -> str:
    """All that the table knows of a card, promised."""
    return f"""\
contract_id: lease
effective: 2026-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: 2026-01-01T00:00:00Z, to: 2036-01-01T00:00:00Z}}
resources:
  - id: gpus
    accelerator: {{sku: {row.key}, form_factor: {row.form_factor}}}
    per_node: 1
    nodes: 1
    virtualization: {virtualization}
    floors:
      power_limit_milliwatts: "{row.power_limit_default_milliwatts}"
      pcie_width: "{row.pcie_width_lanes}"
      pcie_generation: "{row.pcie_generation}"
      sm_clock_max_megahertz: "{row.sm_clock_max_megahertz}"
      memory_clock_max_megahertz: "{row.memory_clock_max_megahertz}"
      ecc: on
      mig: off
availability:
  - {{id: node, unit: node, target: "0.99"}}
unknown: {{policy: hold}}
"""
