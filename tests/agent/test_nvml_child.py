"""The child that holds NVML may hang, crash, be stuck or find no driver: the parent goes on, and says what happened."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.nvml.client import NvmlSource, Patience
from tests.agent.conftest import MakeDriver, MakeSource, boottime_us, eventually
from tests.agent.fake_nvml.fixture import FakeDriver, symbols, uuid
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import DeviceState, Event, EventKind, Reason

POWER = "power_draw_milliwatts"
CLOCK = "sm_clock_megahertz"


async def sweep_until(source: NvmlSource, name: str, expected: list[Any]) -> list[Event]:
    """Sweep until a reading is as expected. Returns what happened meanwhile."""
    events: list[Event] = []

    async def as_expected() -> bool:
        values = (await source.sweep(Tier.FAST)).readings[name]
        events.extend(source.events())
        return values == expected

    await eventually(as_expected)
    return events


def kinds(events: Sequence[Event]) -> list[EventKind]:
    return [event.kind for event in events]


async def test_a_call_that_hangs_is_quarantined_on_its_gpu_and_all_else_is_read(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "hang 1 nvmlDeviceGetPowerUsage")
    events = await sweep_until(source, POWER, [Reason.QUARANTINED, 69800])
    assert kinds(events) == [EventKind.CALL_QUARANTINED, EventKind.NVML_RESTARTED]
    assert events[0].device == uuid(1)
    assert "nvmlDeviceGetPowerUsage" in events[0].detail
    sweep = await source.sweep(Tier.FAST)
    assert sweep.readings[CLOCK] == [1965, 1965]
    assert sweep.readings[POWER] == [Reason.QUARANTINED, 69800]
    assert source.events() == []
    assert [device.state for device in (await source.identify()).devices] == [DeviceState.OK] * 2


@pytest.mark.slow
async def test_a_gpu_that_hangs_everywhere_is_left_alone_after_three_calls(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    calls = ("PowerUsage", "UtilizationRates", "EnforcedPowerLimit", "FieldValues", "TemperatureV")
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, *(f"hang 1 nvmlDeviceGet{call}" for call in calls))
    events = await sweep_until(source, CLOCK, [Reason.QUARANTINED, 1965])
    assert kinds(events).count(EventKind.CALL_QUARANTINED) == 3
    identity = await source.identify()
    assert [device.state for device in identity.devices] == [DeviceState.UNREADABLE, DeviceState.OK]


async def test_the_quarantine_ends_and_a_call_that_answers_again_is_read(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    short = Patience(call=0.5, open=5, whole=10, death=5, renew=0.2, quarantine=0.3)
    source = make_source(driver, patience=short)
    await source.identify()
    driver.play_node(2, "hang 1 nvmlDeviceGetPowerUsage")
    await sweep_until(source, POWER, [Reason.QUARANTINED, 69800])
    driver.play_node(2)
    await sweep_until(source, POWER, [69800, 69800])


@pytest.mark.slow
async def test_a_slow_driver_is_no_hanging_one(driver: FakeDriver, make_source: MakeSource) -> None:
    driver.play_node(2, "delay 20000")
    source = make_source(driver, patience=Patience(call=0.3, open=5, whole=30, renew=60))
    assert (await source.sweep(Tier.FAST)).readings[POWER] == [69800, 69800]
    assert source.events() == []


@pytest.mark.parametrize(("how", "number"), [("abort", signal.SIGABRT), ("segv", signal.SIGSEGV)])
async def test_a_crash_in_the_library_is_told_and_its_call_not_repeated(
    driver: FakeDriver, make_source: MakeSource, how: str, number: signal.Signals
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, f"crash 1 nvmlDeviceGetPowerUsage {how}")
    events = await sweep_until(source, POWER, [Reason.QUARANTINED, 69800])
    crashed = events[0]
    assert (crashed.kind, crashed.device) == (EventKind.NVML_CRASHED, uuid(1))
    assert f"signal {number.value}" in crashed.detail
    assert "nvmlDeviceGetPowerUsage" in crashed.detail


async def test_a_child_killed_from_outside_is_replaced(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    os.kill(source.pid or 0, signal.SIGKILL)
    events: list[Event] = []

    async def restarted() -> bool:
        sweep = await source.sweep(Tier.FAST)
        events.extend(source.events())
        return EventKind.NVML_RESTARTED in kinds(events) and sweep.readings[POWER] == [69800, 69800]

    await eventually(restarted)
    assert kinds(events) == [EventKind.NVML_CRASHED, EventKind.NVML_RESTARTED]


async def test_a_stopped_child_is_killed_and_replaced(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver, patience=Patience(call=0.5, open=5, whole=3600, death=5))
    await source.identify()
    os.kill(source.pid or 0, signal.SIGSTOP)
    assert (await source.sweep(Tier.FAST)).readings[POWER] == [69800, 69800]
    assert kinds(source.events()) == [EventKind.NVML_RESTARTED]


async def test_a_child_that_cannot_be_killed_is_told_by_its_call_and_one_more_is_started_at_most(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    spared: list[int] = []
    patience = Patience(call=0.3, open=5, whole=10, death=0.2, renew=60)
    source = make_source(driver, patience=patience, kill=lambda pid, _: spared.append(pid))
    await source.identify()
    try:
        driver.play_node(2, "hang 1 nvmlDeviceGetPowerUsage")
        events = await sweep_until(source, POWER, [Reason.QUARANTINED, 69800])
        stalled = events[0]
        assert (stalled.kind, stalled.device) == (EventKind.NVML_STALLED, uuid(1))
        assert "nvmlDeviceGetPowerUsage" in stalled.detail
        driver.play_node(2, "hang 0 nvmlDeviceGetEnforcedPowerLimit")
        events = await sweep_until(source, POWER, [Reason.TIMEOUT, Reason.TIMEOUT])
        assert EventKind.NVML_STALLED in kinds(events)
        assert len(set(spared)) == 2
        await source.sweep(Tier.FAST)
        assert len(set(spared)) == 2
        assert source.pid is None
    finally:
        for pid in set(spared):
            kill(pid)
    driver.play_node(2)
    await sweep_until(source, CLOCK, [1965, 1965])


async def test_a_gpu_that_is_lost_keeps_its_place_and_comes_back(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    before = await source.identify()
    driver.play_node(2, "lost 1")
    events = await sweep_until(source, POWER, [Reason.GPU_IS_LOST, 69800])
    assert [(event.kind, event.device) for event in events] == [(EventKind.DEVICE_LOST, uuid(1))]
    sweep = await source.sweep(Tier.FAST)
    assert list(sweep.devices) == [device.uuid for device in before.devices]
    assert {row[0] for row in sweep.readings.values()} == {Reason.GPU_IS_LOST}
    lost, other = (await source.identify()).devices
    assert (lost.state, other.state) == (DeviceState.LOST, DeviceState.OK)
    assert lost.identity == before.devices[0].identity
    driver.play_node(2)
    events = await sweep_until(source, POWER, [69800, 69800])
    assert [(event.kind, event.device) for event in events] == [
        (EventKind.DEVICE_RETURNED, uuid(1))
    ]


async def test_one_call_that_says_lost_loses_every_reading_of_the_gpu(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "code 1 nvmlDeviceGetEnforcedPowerLimit 16")
    sweep = await make_source(driver).sweep(Tier.FAST)
    assert {row[0] for row in sweep.readings.values()} == {Reason.RESET_REQUIRED}
    assert sweep.readings[POWER][1] == 69800


async def test_a_gpu_that_is_not_enumerated_any_more_is_lost(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "count 1")
    events: list[Event] = []

    async def told() -> bool:
        await source.identify()
        events.extend(source.events())
        return bool(events)

    await eventually(told)
    assert [(event.kind, event.device) for event in events] == [(EventKind.DEVICE_LOST, uuid(1))]
    sweep = await source.sweep(Tier.FAST)
    lost = list(sweep.devices).index(uuid(1))
    assert {row[lost] for row in sweep.readings.values()} == {Reason.GPU_IS_LOST}
    driver.play_node(2)
    returned = await sweep_until(source, POWER, [69800, 69800])
    assert kinds(returned) == [EventKind.DEVICE_RETURNED]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("code 1 nvmlDeviceGetHandleByIndex_v2 4", Reason.NO_PERMISSION),
        ("code 1 nvmlDeviceGetHandleByIndex_v2 999", Reason.ERROR),
        ("hang 1 nvmlDeviceGetHandleByIndex_v2", Reason.QUARANTINED),
        ("hang 1 nvmlDeviceGetUUID", Reason.QUARANTINED),
    ],
)
async def test_a_gpu_that_the_driver_does_not_open_is_unreadable_and_not_lost(
    driver: FakeDriver, make_source: MakeSource, how: str, why: Reason
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, how)
    events = await identified(source, {uuid(1): DeviceState.UNREADABLE, uuid(0): DeviceState.OK})
    assert EventKind.DEVICE_LOST not in kinds(events)
    driver_facts = (await source.identify()).driver
    assert driver_facts.readings["gpus_enumerated_count"] == 2
    assert driver_facts.readings["gpus_unreadable_count"] == 1
    assert driver_facts.unavailable["gpu_unreadable.1"] is why
    sweep = await source.sweep(Tier.FAST)
    assert {row[list(sweep.devices).index(uuid(1))] for row in sweep.readings.values()} == {why}


async def test_a_gpu_that_is_opened_again_is_well_and_did_not_return(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "code 1 nvmlDeviceGetHandleByIndex_v2 4")
    await identified(source, {uuid(1): DeviceState.UNREADABLE, uuid(0): DeviceState.OK})
    driver.play_node(2)
    assert await sweep_until(source, POWER, [69800, 69800]) == []


async def identified(source: NvmlSource, states: dict[str, DeviceState]) -> list[Event]:
    """Identify until the devices are in these states. Returns what happened meanwhile."""
    events: list[Event] = []

    async def as_expected() -> bool:
        found = {device.uuid: device.state for device in (await source.identify()).devices}
        events.extend(source.events())
        return found == states

    await eventually(as_expected)
    return events


async def test_while_every_child_dies_no_gpu_is_lost_and_none_is_counted(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    calls = ("UUID", "UUID", "PciInfo_v3", "PciInfo_v3")
    dying = [f"crash {index} nvmlDeviceGet{call} abort" for index, call in enumerate(calls)]
    driver.play_node(8, *dying)
    identity = await make_source(driver).identify()
    assert identity.devices == []
    assert identity.driver.unavailable["gpus_enumerated_count"] is Reason.ERROR
    driver.play_node(8)
    known = make_source(driver)
    await known.identify()
    driver.play_node(8, *dying)
    assert {device.state for device in (await known.identify()).devices} == {DeviceState.OK}
    sweep = await known.sweep(Tier.FAST)
    assert {value for row in sweep.readings.values() for value in row} <= {
        Reason.ERROR,
        Reason.TIMEOUT,
    }
    assert EventKind.DEVICE_LOST not in kinds(known.events())


async def test_slices_that_may_not_be_opened_are_unreadable(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    cut = ("set 1 nvmlDeviceGetMigMode.0 1", "mig 1 MIG-a 7 0 1000", "mig 1 MIG-b 8 0 1000")
    driver.play_node(2, *cut)
    source = make_source(driver)
    assert len((await source.identify()).devices) == 4
    driver.play_node(2, *cut, "code * nvmlDeviceGetMigDeviceHandleByIndex 4")
    ok, hidden = DeviceState.OK, DeviceState.UNREADABLE
    wanted = {uuid(0): ok, uuid(1): ok, "MIG-a": hidden, "MIG-b": hidden}
    assert await identified(source, wanted) == []
    driver_facts = (await source.identify()).driver
    assert driver_facts.unavailable["slices_unreadable.1"] is Reason.NO_PERMISSION


async def test_a_slice_that_is_taken_away_is_gone_and_not_lost(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    cut = ("set 1 nvmlDeviceGetMigMode.0 1", "mig 1 MIG-a 7 0 1000")
    driver.play_node(2, *cut)
    source = make_source(driver)
    assert len((await source.identify()).devices) == 3
    driver.play_node(2)

    async def gone() -> bool:
        return len((await source.identify()).devices) == 2

    await eventually(gone)
    assert {event.kind for event in source.events()} == {EventKind.IDENTITY_CHANGED}


async def test_without_a_library_the_agent_lives_and_says_why(
    driver: FakeDriver, make_source: MakeSource, tmp_path: Path
) -> None:
    empty = FakeDriver(tmp_path, driver.scenario)
    source = make_source(empty)
    identity = await source.identify()
    assert identity.devices == []
    assert identity.driver.unavailable["driver_version"] is Reason.LIBRARY_NOT_FOUND
    assert identity.driver.unavailable["nvml_library_path"] is Reason.NOT_FOUND
    assert identity.driver.unavailable["gpus_enumerated_count"] is Reason.LIBRARY_NOT_FOUND
    assert "gpus_enumerated_count" not in identity.driver.readings
    assert (await source.sweep(Tier.FAST)).devices == []
    assert await source.processes() is Reason.LIBRARY_NOT_FOUND
    assert source.events() == []


async def test_the_child_has_an_environment_of_its_own(driver: FakeDriver) -> None:
    set_outside = {"NVML_MPS_DEVICE_ENUMERATION": "1", "CUDA_VISIBLE_DEVICES": "", "LD_AUDIT": "x"}
    source = NvmlSource(boottime_us, driver.environment() | set_outside)
    try:
        identity = await source.identify()
        names = inherited(source.pid)
    finally:
        await source.close()
    assert set_outside.keys().isdisjoint(names)
    assert {"LD_LIBRARY_PATH", "PATH"} <= names
    assert identity.driver.readings["nvml_environment_names"] == " ".join(sorted(set_outside))


async def test_a_library_that_appears_is_found_without_hands(
    driver: FakeDriver, make_source: MakeSource, tmp_path: Path
) -> None:
    place = tmp_path / "installed"
    place.mkdir()
    source = make_source(FakeDriver(place, driver.scenario))
    assert (await source.identify()).devices == []
    (place / "libnvidia-ml.so.1").symlink_to(driver.directory / "libnvidia-ml.so.1")
    await found(source, 2)
    assert (await source.sweep(Tier.FAST)).readings[POWER] == [69800, 69800]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (1, Reason.DRIVER_NOT_LOADED),
        (4, Reason.NO_PERMISSION),
        (9, Reason.DRIVER_NOT_LOADED),
        (18, Reason.VERSIONS_DIFFER),
    ],
)
async def test_a_driver_unloaded_and_loaded_again_is_cured_by_a_new_child(
    driver: FakeDriver, make_source: MakeSource, code: int, reason: Reason
) -> None:
    source = make_source(driver)
    before = await source.identify()
    driver.play_node(2, f"init {code}", f"code * nvmlDeviceGetCount_v2 {code}", *refusing(code))
    await sweep_until(source, CLOCK, [reason] * 2)
    while_away = await source.identify()
    assert while_away.driver.unavailable["gpus_enumerated_count"] is reason
    assert [device.uuid for device in while_away.devices] == [
        device.uuid for device in before.devices
    ]
    assert DeviceState.OK not in {device.state for device in while_away.devices}
    driver.play_node(2)
    await sweep_until(source, CLOCK, [1965, 1965])
    assert (await source.identify()).devices == before.devices


async def test_a_driver_upgraded_under_the_agent_is_an_event(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "driver 590.48.01", *refusing(18))
    await sweep_until(source, CLOCK, [Reason.VERSIONS_DIFFER] * 2)
    driver.play_node(2, "driver 590.48.01")
    events = await sweep_until(source, CLOCK, [1965, 1965])
    await source.identify()
    events += source.events()
    changed = [event for event in events if event.kind is EventKind.DRIVER_CHANGED]
    assert [event.detail for event in changed] == ["driver_version: 580.54.15 -> 590.48.01"]


async def test_an_init_that_hangs_leaves_the_agent_alive_and_is_tried_again(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "hang * nvmlInitWithFlags")
    patience = Patience(call=0.3, open=0.8, whole=10, death=5, renew=0.2)
    source = make_source(driver, patience=patience)
    identity = await source.identify()
    assert identity.devices == []
    assert identity.driver.unavailable["driver_version"] is Reason.QUARANTINED
    assert EventKind.CALL_QUARANTINED in kinds(source.events())
    driver.play_node(2)
    await found(source, 2)


async def test_a_worker_that_cannot_start_is_not_tried_without_end(
    make_source: MakeSource, driver: FakeDriver
) -> None:
    source = make_source(driver, command=("/bin/false",), patience=Patience(renew=3600))
    for _ in range(5):
        assert (await source.identify()).devices == []
    assert kinds(source.events()).count(EventKind.NVML_CRASHED) == 4


@pytest.mark.slow
async def test_an_event_set_that_fails_is_made_anew(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "code * nvmlEventSetWait_v2 999")
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "xid 0 48")
    events: list[Event] = []

    async def told() -> bool:
        events.extend(source.events())
        return bool(events)

    await eventually(told)
    assert [(event.kind, event.code) for event in events] == [(EventKind.XID, 48)]


async def test_pausing_lets_go_of_the_driver(driver: FakeDriver, make_source: MakeSource) -> None:
    source = make_source(driver)
    await source.identify()
    child = source.pid
    assert child is not None
    await source.pause()
    assert not alive(child)
    assert source.pid is None
    await source.resume()
    assert (await source.sweep(Tier.FAST)).readings[POWER] == [69800, 69800]
    assert source.pid != child


async def test_closing_leaves_no_process_behind(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    source = make_source(make_driver())
    await source.identify()
    child = source.pid
    await source.close()
    assert not alive(child)


def inherited(pid: int | None) -> set[str]:
    """The names in the environment that a process was started with."""
    around = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return {line.partition(b"=")[0].decode() for line in around}


def kill(pid: int) -> None:
    """Dead on return: a child that its source lets go while it still dies is reaped by nobody."""
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def alive(pid: int | None) -> bool:
    """Whether there is a process of that id."""
    return Path(f"/proc/{pid}").exists()


def refusing(code: int) -> list[str]:
    """Every call of the fast tier fails as it does when the driver is gone."""
    calls = (
        "MemoryInfo_v2 UtilizationRates ClockInfo TemperatureV PowerUsage EnforcedPowerLimit FieldValues "
        "CurrentClocksEventReasons CurrPcieLinkGeneration CurrPcieLinkWidth"
    )
    return [f"code * nvmlDeviceGet{call} {code}" for call in calls.split()]


async def found(source: NvmlSource, count: int) -> None:
    """Wait until so many devices are there and well."""

    async def there() -> bool:
        devices = (await source.identify()).devices
        return [device.state for device in devices] == [DeviceState.OK] * count

    await eventually(there)


async def test_a_library_that_exports_hardly_anything_still_lists_its_gpus(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    kept = {
        "nvmlInit",
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetPowerUsage",
    }
    source = make_source(make_driver(without=tuple(name for name in symbols() if name not in kept)))
    devices = (await source.identify()).devices
    assert {device.uuid for device in devices} == {uuid(0), uuid(1)}
    sweep = await source.sweep(Tier.FAST)
    assert sweep.readings[POWER] == [69800, 69800]
    assert sweep.readings[CLOCK] == [Reason.FUNCTION_NOT_FOUND] * 2
    assert await source.processes() is Reason.FUNCTION_NOT_FOUND
    assert source.events() == []


async def test_a_library_without_a_beginning_is_no_driver_and_no_end(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    inits = ("nvmlInitWithFlags", "nvmlInit_v2", "nvmlInit")
    source = make_source(make_driver(without=inits))
    assert (await source.identify()).devices == []
    assert await source.processes() is Reason.FUNCTION_NOT_FOUND


async def test_a_file_that_is_no_library_is_no_driver(
    driver: FakeDriver, make_source: MakeSource, tmp_path: Path
) -> None:
    (tmp_path / "libnvidia-ml.so.1").write_text("INPUT(nothing)")
    source = make_source(FakeDriver(tmp_path, driver.scenario))
    assert (await source.identify()).devices == []
    assert await source.processes() is Reason.LIBRARY_NOT_FOUND


async def test_a_node_without_gpus_is_read_and_has_none(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(0)
    source = make_source(driver)
    identity = await source.identify()
    assert identity.devices == []
    assert identity.driver.readings["gpus_enumerated_count"] == 0
    assert await source.processes() == []
    assert (await source.sweep(Tier.FAST)).devices == []
