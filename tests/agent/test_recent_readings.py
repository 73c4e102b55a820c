"""What the drivers of 2024 to 2026 brought and gave up, and what older ones have in its place."""

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from agent.nvml.calls import Field
from agent.nvml.client import NvmlSource
from agent.nvml.readers import READERS, own_cgroup, sources_of
from tests.agent.conftest import MakeDriver, MakeSource
from tests.agent.fake_nvml.fixture import FakeDriver, uuid
from weighbridge.catalogue.readings import READING, Tier
from weighbridge.wire.report import Reason

FIRST = 1
"""The place of GPU 0 of two: the fake counts them against their addresses."""
GIVEN_UP = 26
LINK = "nvmlDeviceGetNvLinkState"
LINKS = ("links", "active", "down", "sleeping", "quiet", "unreadable")


async def read(source: NvmlSource, name: str) -> Any:
    """The reading of GPU 0."""
    tier = READING[name].tier
    if tier is not Tier.IDENTITY:
        return (await source.sweep(tier)).readings[name][FIRST]
    device = (await source.identify()).devices[FIRST]
    assert device.uuid == uuid(0)
    return device.identity.readings.get(name, device.identity.unavailable.get(name))


async def links(source: NvmlSource) -> tuple[Any, ...]:
    """How many NVLinks GPU 0 has, and how many in each state."""
    of = {"links": "nvlink_links"}
    return tuple([await read(source, of.get(name, f"nvlink_{name}_links")) for name in LINKS])


def without_links(driver: FakeDriver) -> list[str]:
    return [line for line in driver.scenario.read_text().splitlines() if LINK not in line]


@pytest.fixture
def newest(make_driver: MakeDriver) -> FakeDriver:
    """A driver of the branch 615."""
    return make_driver(615)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (18, 18, 0, 0, 0, 0)),
        ([f"set 0 {LINK}(3) 0", f"set 0 {LINK}(17) 0"], (18, 16, 2, 0, 0, 0)),
        ([f"set 0 {LINK}(3) 3"], (18, 17, 0, 0, 1, 0)),
        ([f"set 0 {LINK}(3) 2"], (18, 17, 0, 1, 0, 0)),
        ([f"set 0 {LINK}(3) 4"], (18, 17, 0, 0, 0, 1)),
        ([f"set 0 {LINK}({link}) 3" for link in range(18)], (18, 0, 0, 0, 18, 0)),
        (["set 0 nvmlDeviceGetFieldValues(165,3) 3"], (18, 17, 0, 0, 1, 0)),
        (["set 0 nvmlDeviceGetFieldValues(165,3) 2", f"set 0 {LINK}(3) 0"], (18, 17, 0, 1, 0, 0)),
        (
            [f"set 0 nvmlDeviceGetFieldValues(165,{link}) 0" for link in range(18)],
            (18, 18, 0, 0, 0, 0),
        ),
    ],
)
async def test_links_are_counted_by_their_states(
    driver: FakeDriver, make_source: MakeSource, lines: list[str], expected: tuple[int, ...]
) -> None:
    driver.play_node(2, *lines)
    assert await links(make_source(driver)) == expected


def states(*at: int, counted: int | None) -> Iterable[str]:
    """The links `at` answer that they are up; the others are not supported."""
    yield from (f"set 0 {LINK}({link}) 1" for link in at)
    yield from () if counted is None else (f"field 0 91 0 uint {counted}",)


@pytest.mark.parametrize(
    ("at", "counted", "expected"),
    [
        ([*range(3), *range(4, 18)], 18, (18, 17, 0, 0, 0, 1)),
        ([*range(3), *range(4, 18)], None, (18, 17, 0, 0, 0, 1)),
        (range(1, 18), None, (18, 17, 0, 0, 0, 1)),
        (range(17), 18, (18, 17, 0, 0, 0, 1)),
        (range(17), None, (17, 17, 0, 0, 0, 0)),
        (range(36), None, (36, 36, 0, 0, 0, 0)),
        (range(12), 0, (12, 12, 0, 0, 0, 0)),
        (range(12), 1000, (12, 12, 0, 0, 0, 0)),
    ],
)
async def test_a_link_that_answers_not_supported_ends_no_list(
    driver: FakeDriver,
    make_source: MakeSource,
    at: Iterable[int],
    counted: int | None,
    expected: tuple[int, ...],
) -> None:
    driver.play(*without_links(driver), *states(*at, counted=counted))
    source = make_source(driver)
    assert await links(source) == expected
    assert await read(source, "nvlink_replay_count") == min(18, expected[0])


async def test_a_card_that_counts_links_of_which_none_answers_has_no_number_of_any_state(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play(*without_links(driver), "field * 91 0 uint 18")
    assert set(await links(make_source(driver))) == {Reason.NOT_SUPPORTED}


async def test_links_are_told_by_fields_where_the_call_is_given_up(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    fields = [f"set 0 nvmlDeviceGetFieldValues(165,{link}) {int(link > 0)}" for link in range(18)]
    driver.play_node(2, f"code * {LINK} {GIVEN_UP}", "field 0 91 0 uint 18", *fields)
    assert await links(make_source(driver)) == (18, 17, 1, 0, 0, 0)


async def test_the_version_of_nvlink_is_that_of_the_first_link_that_tells(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    plain = [line for line in driver.scenario.read_text().splitlines() if "LinkVersion" not in line]
    driver.play(*plain, "set 0 nvmlDeviceGetNvLinkVersion(5) 7")
    assert await read(make_source(driver), "nvlink_version_code") == 7


NEW = (
    "set * nvmlDeviceGetPlatformInfo.ibGuid 043f720300c41100",
    "set * nvmlDeviceGetPlatformInfo.chassisSerialNumber 31383230343235303030303031",
    "set * nvmlDeviceGetPlatformInfo.slotNumber 200",
    "set * nvmlDeviceGetPlatformInfo.trayIndex 0",
    "set * nvmlDeviceGetBankRemapperStatus.activeRemappings 2",
    "set * nvmlDeviceGetBankRemapperStatus.bPending 1",
    "set * nvmlDeviceGetBankRemapperStatus.noSpareGroupCount 1",
    "set * nvmlDeviceGetBankRemapperStatus.maxSpareGroupCount 511",
    "set * nvmlDeviceGetUnrepairableMemoryFlag.first 1",
    "set * nvmlDeviceGetMemoryLimits.hardLimit 42949672960",
    "set * nvmlDeviceGetAdaptiveTgpModeInfo.enablementStatus 1",
    "set * nvmlDeviceGetAdaptiveTgpModeInfo.adjustedLimitMw 550000",
    "set * nvmlDeviceGetTemperature(1) 77",
    "set * nvmlDeviceGetMarginTemperature.marginTemperature -4",
    "set * nvmlDeviceGetGpuFabricInfo.healthSummary 3",
    "set * nvmlDeviceWorkloadPowerProfileGetCurrentProfiles.requested 5",
    "set * nvmlDeviceWorkloadPowerProfileGetCurrentProfiles.enforced 4",
    "set * nvmlDeviceGetCurrentClocksEventReasons 0x600",
    "field * 274 0 uint 130",
    "field * 251 0 uint 1",
    "field * 254 0 uint 900",
    "field * 276 0 uint 500",
    "field * 75 0 ull 7000",
    "field * 230 0 uint 7",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("platform_ib_guid", "043f720300c411"),
        ("platform_chassis_serial", "1820425000001"),
        ("platform_slot_number", 200),
        ("platform_tray_number", 0),
        ("bank_remap_active_banks", 2),
        ("bank_remap_inactive_banks", 0),
        ("bank_remap_pending_code", 1),
        ("bank_remap_availability_none_banks", 1),
        ("bank_remap_availability_max_banks", 511),
        ("unrepairable_memory_code", 1),
        ("memory_limit_bytes", 40 << 30),
        ("adaptive_tgp_code", 1),
        ("adaptive_tgp_limit_milliwatts", 550_000),
        ("temperature_gpu_hottest_celsius", 77),
        ("temperature_gpu_celsius", 31),
        ("temperature_margin_celsius", -4),
        ("fabric_clique_number", 1),
        ("fabric_health_flags", 4),
        ("fabric_health_code", 3),
        ("power_profiles_requested_flags", 5),
        ("power_profiles_enforced_flags", 4),
        ("clocks_event_reasons_flags", 0x600),
        ("edpp_multiplier_percent", 130),
        ("power_smoothing_code", 1),
        ("power_smoothing_ceiling_watts", 900),
        ("power_smoothing_secondary_floor_watts", 500),
        ("clocks_event_thermal_microseconds", 7),
        ("recovery_action_code", 7),
    ],
)
async def test_a_reading_of_the_newest_drivers_is_what_they_say(
    newest: FakeDriver, make_source: MakeSource, name: str, value: int | str
) -> None:
    newest.play_node(2, *NEW)
    assert await read(make_source(newest), name) == value


@pytest.mark.parametrize("branch", [470, 535, 550, 580])
async def test_older_drivers_have_none_of_them_and_lose_nothing_by_it(
    make_driver: MakeDriver, make_source: MakeSource, branch: int
) -> None:
    source = make_source(make_driver(branch))
    for name in ("memory_limit_bytes", "adaptive_tgp_code", "bank_remap_pending_code"):
        assert isinstance(await read(source, name), Reason)
    assert await links(source) == (18, 18, 0, 0, 0, 0)
    assert source.events() == []


@pytest.mark.parametrize(("second", "expected"), [(0, 0), (1, 1)])
async def test_unrepairable_memory_is_read_from_a_driver_that_keeps_to_the_binding_as_well(
    newest: FakeDriver, make_source: MakeSource, second: int, expected: int
) -> None:
    newest.play_node(2, f"set * nvmlDeviceGetUnrepairableMemoryFlag.second {second}")
    assert await read(make_source(newest), "unrepairable_memory_code") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["set * nvmlDeviceGetMemoryLimits.hardLimit 18446744073709551615"], Reason.NOT_FOUND),
        (["set * nvmlDeviceGetMemoryLimits.hardLimit 0"], 0),
        (
            [
                "set * nvmlDeviceGetMemoryLimits.hardLimit 7",
                f"set * nvmlDeviceGetMemoryLimits.nameSpace {own_cgroup().decode()}",
            ],
            7,
        ),
        (
            [
                "set * nvmlDeviceGetMemoryLimits.hardLimit 7",
                "set * nvmlDeviceGetMemoryLimits.nameSpace /sys/fs/cgroup/another",
            ],
            Reason.NOT_FOUND,
        ),
    ],
)
async def test_a_memory_limit_is_that_of_the_agents_own_control_group(
    newest: FakeDriver, make_source: MakeSource, lines: list[str], expected: int | Reason
) -> None:
    newest.play_node(2, *lines)
    assert await read(make_source(newest), "memory_limit_bytes") == expected


@pytest.mark.parametrize(
    ("told", "there", "expected"),
    [
        (
            "0::/system.slice/agent.service\n",
            "system.slice/agent.service",
            "/system.slice/agent.service",
        ),
        ("12:cpu:/x\n0::/\n", "", ""),
        ("0::/docker/5f3c\n", "", ""),
        ("4:memory:/docker/5f3c\n", "", ""),
        (None, "", ""),
    ],
)
def test_the_own_control_group_is_one_that_can_be_opened(
    tmp_path: Path, told: str | None, there: str, expected: str
) -> None:
    (tmp_path / "sys/fs/cgroup" / there).mkdir(parents=True)
    if told is not None:
        (tmp_path / "proc/self").mkdir(parents=True)
        (tmp_path / "proc/self/cgroup").write_text(told)
    assert own_cgroup(str(tmp_path)).decode() == "/sys/fs/cgroup" + expected


async def test_a_limit_that_does_not_move_is_not_adjusted(
    newest: FakeDriver, make_source: MakeSource
) -> None:
    newest.play_node(
        2,
        "set * nvmlDeviceGetAdaptiveTgpModeInfo.enablementStatus 0",
        "set * nvmlDeviceGetAdaptiveTgpModeInfo.adjustedLimitMw 550000",
    )
    source = make_source(newest)
    assert await read(source, "adaptive_tgp_code") == 0
    assert await read(source, "adaptive_tgp_limit_milliwatts") is Reason.NOT_FOUND


PAIRS = (
    ("temperature_gpu_celsius", "nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"),
    (
        "clocks_event_reasons_flags",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetCurrentClocksThrottleReasons",
    ),
    ("clocks_event_thermal_microseconds", "75", "nvmlDeviceGetViolationStatus"),
    ("clocks_event_sw_power_cap_microseconds", "74", "nvmlDeviceGetViolationStatus"),
    ("fabric_state_code", "nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetGpuFabricInfo"),
    ("fabric_state_code", "nvmlDeviceGetGpuFabricInfo_v4", "nvmlDeviceGetGpuFabricInfoV"),
    ("sm_clock_application_megahertz", "nvmlDeviceGetClock", "nvmlDeviceGetApplicationsClock"),
    ("bank_remap_pending_code", "307", "nvmlDeviceGetBankRemapperStatus_v1"),
)


@pytest.mark.parametrize(
    ("pair", "gone", "code"),
    [
        (pair, gone, code)
        for pair, gone, code in itertools.product(PAIRS, (1, 2), (13, GIVEN_UP))
        if not pair[gone].isdigit()
    ],
)
async def test_what_one_call_does_not_answer_any_more_or_not_yet_its_counterpart_does(
    newest: FakeDriver, make_source: MakeSource, pair: tuple[str, ...], gone: int, code: int
) -> None:
    newest.play_node(
        2,
        "set * nvmlDeviceGetClock(1,1) 1980",
        "set * nvmlDeviceGetViolationStatus(0) 5000000",
        "set * nvmlDeviceGetViolationStatus(1) 5000000",
        "set * nvmlDeviceGetBankRemapperStatus.activeRemappings 0",
        "field * 75 0 ull 7000",
        "field * 307 0 uint 0",
        f"code * {pair[gone]} {code}",
    )
    assert isinstance(await read(make_source(newest), pair[0]), int)


@pytest.mark.parametrize(
    ("release", "heat", "smoothing"),
    [
        ("470.256.02", 269, 251),
        ("570.172.08", 269, 251),
        ("574.99", 269, 251),
        ("575.51.02", 251, 256),
        ("575.64.05", 251, 256),
        ("580.65.06", 251, 256),
        ("580.66", None, None),
        ("580.76.05", None, None),
        ("580.82.07", 269, 251),
        ("580.159.04", 269, 251),
        ("615.71", 269, 251),
        ("", None, None),
    ],
)
async def test_fields_that_moved_are_asked_for_by_the_drivers_own_numbers(
    driver: FakeDriver,
    make_source: MakeSource,
    release: str,
    heat: int | None,
    smoothing: int | None,
) -> None:
    numbers = [f"field * {number} 0 ull {number}000" for number in range(251, 274)]
    driver.play_node(2, *numbers, f"driver {release}")
    source = make_source(driver)
    expected = Reason.NOT_SUPPORTED if heat is None else heat
    assert await read(source, "clocks_event_sw_thermal_microseconds") == expected
    expected = Reason.NOT_SUPPORTED if smoothing is None else smoothing * 1000
    assert await read(source, "power_smoothing_code") == expected


def test_no_release_is_asked_by_one_number_for_two_readings() -> None:
    for release in ("570.172.08", "575.57.08", "580.65.06", "580.95.05", "615.71"):
        asked = [
            (source.number, source.scope)
            for sources in sources_of(release).values()
            for source in sources
            if isinstance(source, Field)
        ]
        assert len(asked) == len(set(asked)), release
        assert sources_of(release).keys() == READERS.keys()
