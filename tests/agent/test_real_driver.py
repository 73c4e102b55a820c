"""The agent on the NVIDIA driver of this machine. All of it only reads: no clock, limit, mode or device is changed.

Nothing here needs more than the program's own requirements, so each test runs its own event loop.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

from agent.nvml.client import NvmlSource
from agent.report.source import Sweep
from agent.snapshot import take_record, take_snapshot
from benchmarks.agent import REAL_PACE, compare, daemon
from tests.agent.conftest import boottime_us, eventually
from tests.agent.fake_nvml.fixture import FakeDriver, build
from tests.agent.fake_nvml.played import scenario_of
from weighbridge.catalogue.readings import OF_GPUS, READINGS, Tier
from weighbridge.wire.report import Device, DeviceState, EventKind, Reason

CONTROL: Final = Path("/dev/nvidiactl")
PROCFS: Final = Path("/proc/driver/nvidia/gpus")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(
        not CONTROL.exists(), reason="no NVIDIA driver: /dev/nvidiactl is not there"
    ),
]

FAILURES: Final = {Reason.ERROR, Reason.TIMEOUT, Reason.QUARANTINED, Reason.CORRUPTED}
DEADLINE_S: Final = 60
ENOUGH_US: Final = 2_000_000

Answer = TypeVar("Answer")


def ask(use: Callable[[NvmlSource], Awaitable[Answer]]) -> Answer:
    """What a source over the driver answers; closed afterwards."""

    async def run() -> Answer:
        source = NvmlSource(boottime_us, os.environ)
        try:
            return await use(source)
        finally:
            await source.close()

    return asyncio.run(run())


def snapshot() -> list[dict[str, Any]]:
    return [row for row in ask(take_snapshot) if row["device"] != "node"]


def enumerated() -> list[Device]:
    async def devices(source: NvmlSource) -> list[Device]:
        return list((await source.identify()).devices)

    return ask(devices)


def values(sweep: Sweep, name: str) -> list[int]:
    return [value for value in sweep.readings[name] if isinstance(value, int)]


def descriptors(pid: int) -> set[str]:
    """The files of the driver that a process and its descendants hold open."""
    held = set()
    for member in [pid, *descendants(pid)]:
        for link in Path(f"/proc/{member}/fd").glob("*"):
            try:
                target = str(link.readlink())
            except OSError:
                continue
            if target.startswith("/dev/nvidia"):
                held.add(target)
    return held


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield int(child)
            yield from descendants(int(child))


def wait_for(condition: Callable[[], object], what: str) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


def test_every_reading_of_the_catalogue_has_a_value_or_a_reason_that_is_no_failure() -> None:
    rows = snapshot()
    catalogue = {row.name for row in READINGS if row.scope in OF_GPUS}
    for device in {row["device"] for row in rows}:
        told = {row["reading"] for row in rows if row["device"] == device}
        assert told - {"state"} == catalogue
    assert [row for row in rows if (row["value"] is None) == (row["reason"] is None)] == []
    assert [row for row in rows if row["reason"] in FAILURES] == []


def test_one_snapshot_has_the_activity_of_the_chip_where_the_chip_tells_it() -> None:
    rows = [row for row in snapshot() if row["reading"].endswith("_permyriad")]
    assert [row for row in rows if row["reason"] not in (None, Reason.NOT_SUPPORTED)] == []
    assert all(0 <= row["value"] <= 10_000 for row in rows if row["value"] is not None)


BOUNDS: Final = {
    "temperature_gpu_celsius": (1, 110),
    "temperature_memory_celsius": (1, 120),
    "utilization_gpu_percent": (0, 100),
    "utilization_memory_percent": (0, 100),
    "power_draw_milliwatts": (1_000, 2_000_000),
    "power_limit_enforced_milliwatts": (10_000, 2_000_000),
    "sm_clock_megahertz": (1, 5_000),
    "memory_clock_megahertz": (1, 20_000),
    "memory_total_bytes": (1 << 30, 1 << 42),
    "pcie_link_generation": (1, 8),
    "pcie_link_width_lanes": (1, 16),
    "performance_state_code": (0, 15),
    "recovery_action_code": (0, 16),
}


def test_values_lie_where_their_unit_puts_them() -> None:
    for row in snapshot():
        low, high = BOUNDS.get(row["reading"], (None, None))
        if low is not None and row["value"] is not None:
            assert low <= row["value"] <= high, row


def test_what_is_in_use_is_less_than_what_there_is() -> None:
    told = {(row["device"], row["reading"]): row["value"] for row in snapshot()}
    for device, _ in [key for key in told if key[1] == "state"]:
        assert told[device, "memory_used_bytes"] <= told[device, "memory_total_bytes"]
        for now, most in (
            ("pcie_link_width_lanes", "pcie_link_width_max_lanes"),
            ("sm_clock_megahertz", "sm_clock_max_megahertz"),
            ("power_limit_enforced_milliwatts", "power_limit_max_milliwatts"),
        ):
            if told[device, now] is not None and told[device, most] is not None:
                assert told[device, now] <= told[device, most], now


def test_energy_grows_with_time_as_the_power_says() -> None:
    async def first_and_last(source: NvmlSource) -> list[Sweep]:
        seen = [await source.sweep(Tier.FAST)]

        async def enough() -> bool:
            seen.append(await source.sweep(Tier.FAST))
            return seen[-1].boottime_us - seen[0].boottime_us >= ENOUGH_US

        await eventually(enough)
        return seen

    seen = ask(first_and_last)
    times = [sweep.boottime_us for sweep in seen]
    assert times == sorted(set(times))
    before, after = (values(sweep, "energy_millijoules") for sweep in (seen[0], seen[-1]))
    if not before:
        pytest.skip("no GPU here counts energy")
    passed_us = times[-1] - times[0]
    for column, power in enumerate(values(seen[-1], "power_draw_milliwatts")):
        mean = (after[column] - before[column]) * 1_000_000 // passed_us
        assert power // 3 <= mean <= power * 3


def test_a_sweep_costs_little_more_than_the_calls_that_it_makes() -> None:
    found = asyncio.run(compare("real", os.environ, REAL_PACE, 3))
    assert found["best_ratio"] < 2


def test_a_killed_child_costs_no_sweep() -> None:
    async def kill(source: NvmlSource) -> tuple[Sweep, Sweep, list[EventKind], list[Device]]:
        before = await source.sweep(Tier.FAST)
        assert source.pid is not None
        os.kill(source.pid, signal.SIGKILL)
        after = await source.sweep(Tier.FAST)
        kinds = [event.kind for event in source.events()]
        return before, after, kinds, list((await source.identify()).devices)

    before, after, kinds, devices = ask(kill)
    assert kinds == [EventKind.NVML_CRASHED, EventKind.NVML_RESTARTED]
    assert list(after.devices) == list(before.devices)
    assert values(after, "memory_used_bytes")
    assert {device.state for device in devices} == {DeviceState.OK}


def test_a_paused_agent_holds_no_file_of_the_driver_and_a_resumed_one_reads_again(
    tmp_path: Path,
) -> None:
    def command(*arguments: str) -> None:
        flags = ("--runtime-directory", str(tmp_path))
        subprocess.run([sys.executable, "-m", "agent", *arguments, *flags], check=True)

    with daemon(os.environ, tmp_path) as process:
        wait_for(lambda: descriptors(process.pid), "the agent to read")
        command("pause", "a test")
        assert descriptors(process.pid) == set()
        command("resume")
        wait_for(lambda: descriptors(process.pid), "the agent to read again")


def test_processes_are_listed_or_there_are_none() -> None:
    async def processes(source: NvmlSource) -> Any:
        return await source.processes()

    found = ask(processes)
    assert not isinstance(found, Reason)
    assert all(process.pid > 0 for process in found)


def information() -> dict[str, dict[str, str]]:
    """What the kernel module says of each GPU, by its address with a domain of eight digits."""
    told = {}
    for file in sorted(PROCFS.glob("*/information")):
        pairs = (line.partition(":") for line in file.read_text().splitlines())
        told[f"{file.parent.name:0>16}"] = {name.strip(): value.strip() for name, _, value in pairs}
    return told


@pytest.mark.skipif(not PROCFS.exists(), reason="the kernel module lists no GPUs in procfs")
def test_the_kernel_module_tells_the_same_identities() -> None:
    gpus = [device for device in enumerated() if device.parent is None]
    kernel = information()
    assert {device.identity.readings["pci_bus_id"] for device in gpus} == kernel.keys()
    for device in gpus:
        read = device.identity.readings
        told = kernel[str(read["pci_bus_id"])]
        assert told["GPU UUID"] == device.uuid
        assert told["Model"] == read["name"]
        assert told["Device Minor"] == str(read["minor_number"])
        if "?" not in told["Video BIOS"]:
            assert told["Video BIOS"].lower() == str(read["vbios_version"]).lower()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler for the fake library")
def test_a_capture_of_this_card_plays_it(tmp_path: Path) -> None:
    async def record(source: NvmlSource) -> dict[str, Any]:
        return await take_record(source, redact=True)

    capture = ask(record)
    if len({answer["device"] for answer in capture["answers"]}) != 1:
        pytest.skip("of several GPUs a capture tells peers and links in sum alone")
    driver = FakeDriver(build(tmp_path), tmp_path / "scenario")
    driver.play(*scenario_of(capture))

    async def again() -> dict[str, Any]:
        source = NvmlSource(boottime_us, driver.environment())
        return await take_record(source, redact=True)

    assert timeless(asyncio.run(again())) == timeless(capture)


def timeless(capture: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**answer, "nanoseconds": 0} for answer in capture["answers"]]


def test_a_redacted_capture_names_no_piece_of_hardware_and_no_place() -> None:
    async def record(source: NvmlSource) -> dict[str, Any]:
        return await take_record(source, redact=True)

    text = str(ask(record))
    for device in enumerated():
        assert device.uuid not in text
        serial = device.identity.readings.get("serial")
        assert serial is None or f"'{serial}'" not in text
    assert re.search(r"'/[^']*libnvidia-ml", text) is None
