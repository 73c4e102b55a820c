"""Libraries that hang, crash or refuse where devices are found: what cannot be seen is unknown, never gone."""

import pytest

from agent.nvml.client import NvmlSource, Patience
from agent.report.source import IdentityTier, Sweep
from tests.agent.conftest import MakeDriver, MakeSource, eventually
from tests.agent.fake_nvml.fixture import FakeDriver, h100_node, uuid
from weighbridge.catalogue.readings import Tier
from weighbridge.wire.report import DeviceState, Event, EventKind, Reason

POWER = "power_draw_milliwatts"
QUICK = Patience(call=0.5, open=3, whole=20, death=5, renew=3600)
GONE = {EventKind.DEVICE_LOST, EventKind.DEVICE_RETURNED, EventKind.IDENTITY_CHANGED}

FINDING = (
    ("HandleByIndex_v2", "hang"),
    ("HandleByIndex_v2", "code"),
    ("UUID", "crash"),
    ("UUID", "code"),
    ("PciInfo_v3", "hang"),
    ("PciInfo_v3", "code"),
)
"""The calls by which a GPU is found, and what becomes of them."""
SLICES = (
    ("MigMode", "crash"),
    ("MigMode", "code"),
    ("MaxMigDeviceCount", "hang"),
    ("MaxMigDeviceCount", "code"),
    ("MigDeviceHandleByIndex", "hang"),
    ("MigDeviceHandleByIndex", "code"),
)
"""Those by which its slices are."""


def states(identity: IdentityTier) -> dict[str, DeviceState]:
    return {device.uuid: device.state for device in identity.devices}


async def enumerated_anew(source: NvmlSource, mark: str) -> tuple[IdentityTier, list[Event]]:
    """An enumeration of the scenario whose driver is called so, and what happened until then.

    It is the one after the first that knows the name: the scenario may have changed in the middle of that.
    """
    events: list[Event] = []
    seen: list[IdentityTier] = []

    async def read() -> bool:
        seen.append(await source.identify())
        events.extend(source.events())
        return seen[-1].driver.readings.get("cuda_driver_version") == mark

    await eventually(read)
    await read()
    return seen[-1], events


@pytest.mark.parametrize(("call", "how"), FINDING)
async def test_a_known_gpu_that_can_no_longer_be_found_is_unreadable_and_not_lost(
    driver: FakeDriver, make_source: MakeSource, call: str, how: str
) -> None:
    source = make_source(driver, patience=QUICK)
    await source.identify()
    end = {"hang": "", "crash": " abort", "code": " 4"}[how]
    driver.play_node(2, "cuda 13010", f"{how} 1 nvmlDeviceGet{call}{end}")
    identity, events = await enumerated_anew(source, "13.1")
    assert GONE.isdisjoint(event.kind for event in events)
    sweep = await source.sweep(Tier.FAST)
    row = dict(zip(sweep.devices, sweep.readings[POWER], strict=True))
    assert row[uuid(0)] == 69800
    if call == "PciInfo_v3":
        assert states(identity) == {uuid(0): DeviceState.OK, uuid(1): DeviceState.OK}
    else:
        assert states(identity) == {uuid(0): DeviceState.OK, uuid(1): DeviceState.UNREADABLE}
        assert row[uuid(1)] is (Reason.NO_PERMISSION if how == "code" else Reason.QUARANTINED)
        assert identity.driver.readings["gpus_enumerated_count"] == 2
        assert identity.driver.readings["gpus_unreadable_count"] == 1


@pytest.mark.parametrize(
    ("code", "state"), [(15, DeviceState.LOST), (16, DeviceState.RESET_REQUIRED)]
)
async def test_a_gpu_that_the_driver_calls_lost_where_it_is_to_be_found_is_lost(
    driver: FakeDriver, make_source: MakeSource, code: int, state: DeviceState
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "cuda 13010", f"code 1 nvmlDeviceGetHandleByIndex_v2 {code}")
    identity, events = await enumerated_anew(source, "13.1")
    assert states(identity)[uuid(1)] is state
    assert [event.kind for event in events] == [EventKind.DEVICE_LOST]


@pytest.mark.parametrize(("call", "how"), SLICES)
async def test_slices_that_cannot_be_listed_are_unreadable_and_not_taken_away(
    driver: FakeDriver, make_source: MakeSource, call: str, how: str
) -> None:
    cut = ("set 1 nvmlDeviceGetMigMode.0 1", "mig 1 MIG-a 7 0 1000", "mig 1 MIG-b 8 0 1000")
    driver.play_node(2, *cut)
    source = make_source(driver, patience=QUICK)
    before = await source.identify()
    assert len(before.devices) == 4
    end = {"hang": "", "crash": " segv", "code": " 999"}[how]
    driver.play_node(2, *cut, "cuda 13010", f"{how} 1 nvmlDeviceGet{call}{end}")
    identity, events = await enumerated_anew(source, "13.1")
    assert GONE.isdisjoint(event.kind for event in events)
    assert states(identity) == {
        uuid(0): DeviceState.OK,
        uuid(1): DeviceState.OK,
        "MIG-a": DeviceState.UNREADABLE,
        "MIG-b": DeviceState.UNREADABLE,
    }


async def test_a_slice_without_a_uuid_hides_nothing_else(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    cut = ("set 1 nvmlDeviceGetMigMode.0 1", "mig 1 -broken 7 0 1000", "mig 1 MIG-b 8 0 1000")
    driver.play_node(2, *cut)
    identity = await make_source(driver).identify()
    assert states(identity) == dict.fromkeys((uuid(0), uuid(1), "MIG-b"), DeviceState.OK)


@pytest.mark.parametrize("call", ["nvmlEventSetWait_v3", "nvmlEventSetWait_v2"])
async def test_a_library_that_crashes_where_events_are_waited_for_is_read_without_them(
    make_driver: MakeDriver, make_source: MakeSource, call: str
) -> None:
    driver = make_driver(615, () if call.endswith("3") else ("nvmlEventSetWait_v3",))
    driver.play_node(2, f"crash * {call} segv")
    source = make_source(driver, patience=QUICK)
    told: list[str] = []

    async def left_out() -> bool:
        await source.identify()
        told.extend(event.detail for event in source.events())
        return any(line.startswith(call) for line in told)

    await eventually(left_out)
    sweep = await source.sweep(Tier.FAST)
    child = source.pid
    assert {device.state for device in (await source.identify()).devices} == {DeviceState.OK}
    assert list(sweep.readings["sm_clock_megahertz"]) == [1965, 1965]
    assert source.pid == child
    if call.endswith("3"):
        driver.play_node(2, f"crash * {call} segv", "xid 0 31")
        await eventually(lambda: heard(source, 31))


async def heard(source: NvmlSource, xid: int) -> bool:
    return any(event.code == xid for event in source.events())


def sixteen(*more: str) -> list[str]:
    """Sixteen GPUs, each cut in seven."""
    cut = [
        f"mig {gpu} MIG-{gpu:02d}-{part} {part + 7} 0 1000"
        for gpu in range(16)
        for part in range(7)
    ]
    return [*h100_node(16), "set * nvmlDeviceGetMigMode.0 1", *cut, *more]


async def test_of_sixteen_gpus_in_seven_slices_each_a_call_that_hangs_is_known_by_its_name(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play(*sixteen())
    source = make_source(driver, patience=Patience(call=3, open=20, whole=60, renew=3600))
    assert len((await source.identify()).devices) == 128
    await source.sweep(Tier.SLOW)
    await source.sweep(Tier.FAST)
    driver.play(*sixteen("hang 15 nvmlDeviceGetPowerUsage"))
    sweep = await quarantined(source, POWER)
    row = dict(zip(sweep.devices, sweep.readings[POWER], strict=True))
    assert row[uuid(15)] is Reason.QUARANTINED
    assert [value for name, value in row.items() if name.startswith("GPU-")].count(69800) == 15
    assert {event.device for event in source.events()} == {uuid(15), None}


async def quarantined(source: NvmlSource, name: str) -> Sweep:
    """The first sweep in which a call of that reading is left out."""
    sweeps: list[Sweep] = []

    async def seen() -> bool:
        sweeps.append(await source.sweep(Tier.FAST))
        return Reason.QUARANTINED in sweeps[-1].readings[name]

    await eventually(seen)
    return sweeps[-1]


@pytest.mark.parametrize(("branch", "how"), [(470, "abort"), (535, "segv")])
async def test_a_crash_in_the_middle_of_a_sweep_of_an_older_driver_costs_one_call(
    make_driver: MakeDriver, make_source: MakeSource, branch: int, how: str
) -> None:
    driver = make_driver(branch)
    driver.play_node(16)
    source = make_source(driver)
    await source.identify()
    driver.play_node(16, f"crash 9 nvmlDeviceGetClockInfo {how}")
    sweep = await quarantined(source, "sm_clock_megahertz")
    row = dict(zip(sweep.devices, sweep.readings["sm_clock_megahertz"], strict=True))
    assert row.pop(uuid(9)) is Reason.QUARANTINED
    assert set(row.values()) == {1965}


@pytest.mark.parametrize("call", ["PowerUsage", "UUID", "NvLinkState"])
async def test_a_call_that_crashes_on_every_card_of_a_large_node_ends_few_children(
    driver: FakeDriver, make_source: MakeSource, call: str
) -> None:
    driver.play_node(16, f"crash * nvmlDeviceGet{call} abort")
    source = make_source(driver, patience=QUICK)
    sweep = await source.sweep(Tier.FAST)
    crashed = [event.kind for event in source.events()].count(EventKind.NVML_CRASHED)
    assert crashed == 3
    if call == "UUID":
        assert sweep.devices == []
        facts = (await source.identify()).driver
        assert facts.readings["gpus_unreadable_count"] == 16
    else:
        assert sweep.readings["utilization_gpu_percent"] == [37] * 16
        assert sweep.readings[POWER] == [Reason.QUARANTINED if call == "PowerUsage" else 69800] * 16


@pytest.mark.parametrize(
    "told",
    [
        ("PciInfo.pciDeviceId 0", "PciInfo.busId 0:0:0"),
        ("PciInfo.busId 0:1ab:0",),
        ("PciInfo.busId 0:10:20",),
    ],
)
async def test_what_is_no_place_on_a_bus_is_no_address_of_a_card(
    driver: FakeDriver, make_source: MakeSource, told: tuple[str, ...]
) -> None:
    driver.play_node(2, *(f"set {at} nvmlDeviceGet{one}" for one in told for at in range(2)))
    identity = await make_source(driver, patience=QUICK).identify()
    assert states(identity) == {uuid(0): DeviceState.OK, uuid(1): DeviceState.OK}
    for device in identity.devices:
        assert device.identity.unavailable["pci_bus_id"] is Reason.CORRUPTED
        assert device.identity.unavailable["pci_device_id"] is Reason.CORRUPTED


async def test_the_processes_of_cards_that_may_not_be_opened_are_unknown_by_that_reason(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver, patience=QUICK)
    await source.identify()
    closed = [f"code {at} nvmlDeviceGetHandleByIndex_v2 {code}" for at, code in ((0, 15), (1, 4))]
    driver.play_node(2, "cuda 13010", *closed)
    await enumerated_anew(source, "13.1")
    assert await source.processes() is Reason.NO_PERMISSION
