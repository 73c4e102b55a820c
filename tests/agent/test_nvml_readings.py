"""Every reading of the catalogue, through the real binding, over driver branches, error codes, blanks and odd nodes."""

import hashlib
from typing import Any

import pytest

from agent.nvml.client import NvmlSource, Patience
from agent.nvml.devices import NODE_READERS
from agent.nvml.frames import rows
from agent.nvml.readers import FAST, IDENTITY, READERS, SLOW
from tests.agent.conftest import MakeDriver, MakeSource, eventually
from tests.agent.fake_nvml.fixture import FakeDriver, uuid
from weighbridge.catalogue.readings import OF_GPUS, READING, READINGS, Scope, Tier
from weighbridge.wire.report import DeviceState, EventKind, Reason

BRANCHES = (470, 535, 550, 580)

POWER = "power_draw_milliwatts"


async def column(source: NvmlSource, name: str) -> Any:
    sweep = await source.sweep(READING[name].tier)
    return sweep.readings[name]


async def facts(source: NvmlSource, index: int = 0) -> Any:
    return (await source.identify()).devices[index].identity


def test_every_row_has_a_reader_and_every_reader_a_row() -> None:
    for tier, readers in ((Tier.IDENTITY, IDENTITY), (Tier.FAST, FAST), (Tier.SLOW, SLOW)):
        assert set(readers) == {row.name for row in rows(tier)}
    assert set(READERS) == {row.name for row in READINGS if row.scope in OF_GPUS}


def test_the_rows_about_the_driver_are_read_in_the_child_or_from_outside() -> None:
    counted = {"gpus_enumerated_count", "gpus_unreadable_count"}
    outside = (
        {row.name for row in READINGS if row.scope is Scope.NODE} - set(NODE_READERS) - counted
    )
    assert all(name.startswith(("nvml_", "kernel_", "ld_")) for name in outside)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_used_bytes", 1048576),
        ("utilization_gpu_percent", 37),
        ("utilization_memory_percent", 0),
        ("sm_clock_megahertz", 1965),
        ("memory_clock_megahertz", 2619),
        ("temperature_gpu_celsius", 31),
        ("temperature_memory_celsius", 40),
        (POWER, 69800),
        ("power_draw_instant_milliwatts", 70100),
        ("power_limit_enforced_milliwatts", 700000),
        ("energy_millijoules", 123456789),
        ("clocks_event_reasons_flags", 1),
        ("clocks_event_sw_power_cap_microseconds", 5000),
        ("clocks_event_sw_thermal_microseconds", 1),
        ("pcie_link_width_lanes", 16),
        ("pcie_transmitted_kibibytes", 1024),
        ("nvlink_received_kibibytes", 1024),
        ("ecc_total_corrected_aggregate_count", 5),
        ("ecc_dram_corrected_volatile_count", 3),
        ("remapped_uncorrectable_rows", 2),
        ("remap_availability_max_banks", 2560),
        ("nvlink_active_links", 18),
        ("nvlink_replay_count", 18),
        ("fabric_state_code", 3),
        ("fabric_health_flags", 4),
    ],
)
async def test_a_reading_is_what_the_library_says_in_its_unit(
    driver: FakeDriver, make_source: MakeSource, name: str, value: int
) -> None:
    assert await column(make_source(driver), name) == [value, value]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "NVIDIA H100 80GB HBM3"),
        ("pci_device_id", "10de:2330"),
        ("pci_subsystem_id", "10de:16c1"),
        ("pci_bus_id", "00000000:ef:00.0"),
        ("serial", "1650000000001"),
        ("cuda_compute_capability", "9.0"),
        ("memory_total_bytes", 85520809984),
        ("inforom_checksum_number", 3735928559),
        ("topology_peers", "00000000:f0:00.0=50"),
        ("p2p_nvlink_peers_count", 1),
        ("cpu_affinity", "ffff"),
        ("pdi", "0123456789abcdf0"),
        ("temperature_margin_shutdown_celsius", -3),
    ],
)
async def test_identity_is_what_the_library_says(
    driver: FakeDriver, make_source: MakeSource, name: str, value: int | str
) -> None:
    assert (await facts(make_source(driver))).readings[name] == value


@pytest.mark.parametrize("branch", BRANCHES)
async def test_the_essentials_are_read_on_every_driver_branch(
    make_driver: MakeDriver, make_source: MakeSource, branch: int
) -> None:
    source = make_source(make_driver(branch))
    identity = (await facts(source)).readings
    assert identity["memory_total_bytes"] == 85520809984
    assert identity["pci_device_id"] == "10de:2330"
    sweep = await source.sweep(Tier.FAST)
    for name, value in (
        (POWER, 69800),
        ("temperature_gpu_celsius", 31),
        ("clocks_event_reasons_flags", 1),
        ("energy_millijoules", 123456789),
        ("power_limit_requested_milliwatts", 700000),
    ):
        assert sweep.readings[name] == [value, value], name
    assert await source.processes() == []


async def test_memory_in_use_holds_the_reserved_part_only_where_the_driver_cannot_tell_it_apart(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    assert await column(make_source(make_driver(580)), "memory_used_bytes") == [1048576] * 2
    assert (
        await column(make_source(make_driver(470)), "memory_used_bytes")
        == [1048576 + 502267904] * 2
    )


async def test_what_a_driver_has_no_function_for_says_so(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    driver = make_driver(470)
    source = make_source(driver)
    assert (await facts(source)).unavailable["gpu_cores"] is Reason.FUNCTION_NOT_FOUND
    assert (await source.identify()).driver.unavailable[
        "conf_compute_code"
    ] is Reason.FUNCTION_NOT_FOUND


@pytest.mark.parametrize(
    "symbol",
    [
        "nvmlDeviceGetFieldValues",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetUtilizationRates",
        "nvmlEventSetCreate",
    ],
)
async def test_a_missing_symbol_costs_its_readings_and_no_others(
    make_driver: MakeDriver, make_source: MakeSource, symbol: str
) -> None:
    source = make_source(make_driver(without=(symbol,)))
    sweep = await source.sweep(Tier.FAST)
    assert sweep.readings["sm_clock_megahertz"] == [1965, 1965]
    assert sweep.readings["energy_millijoules"] == [123456789] * 2
    assert source.events() == []


async def test_init_without_flags_is_enough(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    source = make_source(make_driver(without=("nvmlInitWithFlags",)))
    assert await column(source, POWER) == [69800, 69800]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (3, Reason.NOT_SUPPORTED),
        (4, Reason.NO_PERMISSION),
        (6, Reason.NOT_FOUND),
        (10, Reason.TIMEOUT),
        (13, Reason.FUNCTION_NOT_FOUND),
        (14, Reason.CORRUPTED),
        (25, Reason.FUNCTION_NOT_FOUND),
        (26, Reason.NOT_SUPPORTED),
        (27, Reason.NOT_READY),
        (1, Reason.DRIVER_NOT_LOADED),
        (9, Reason.DRIVER_NOT_LOADED),
        (12, Reason.LIBRARY_NOT_FOUND),
        (18, Reason.VERSIONS_DIFFER),
        (2, Reason.ERROR),
        (17, Reason.ERROR),
        (999, Reason.ERROR),
    ],
)
async def test_an_error_code_becomes_its_reason_and_never_a_number(
    driver: FakeDriver, make_source: MakeSource, code: int, reason: Reason
) -> None:
    driver.play_node(2, f"code 1 nvmlDeviceGetCurrPcieLinkWidth {code}")
    sweep = await make_source(driver).sweep(Tier.FAST)
    assert sweep.readings["pcie_link_width_lanes"] == [reason, 16]
    assert sweep.readings[POWER] == [69800, 69800]


async def test_one_field_may_fail_while_its_neighbours_answer(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "field 1 82 3 uint 0", "field 1 186 999 uint 0")
    source = make_source(driver)
    for _ in range(2):
        sweep = await source.sweep(Tier.FAST)
        assert sweep.readings["temperature_memory_celsius"] == [Reason.NOT_SUPPORTED, 40]
        assert sweep.readings["power_draw_instant_milliwatts"] == [Reason.ERROR, 70100]
        assert sweep.readings["energy_millijoules"] == [123456789] * 2


async def test_a_field_that_fails_for_a_while_comes_back(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    name = "energy_millijoules"
    assert await column(source, name) == [123456789] * 2
    driver.play_node(2, "field * 83 999 ull 0")
    await until(source, name, [Reason.ERROR, Reason.ERROR])
    driver.play_node(2, "field * 83 0 ull 77")
    await until(source, name, [77, 77])


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("field * 186 0 uint 4294967295", "power_draw_instant_milliwatts", Reason.NOT_SUPPORTED),
        ("field * 83 0 ull 18446744073709551615", "energy_millijoules", 123456789),
        ("field * 83 0 ull 9223372036854775807", "energy_millijoules", Reason.ERROR),
        ("field * 83 0 double 12.6", "energy_millijoules", 13),
        ("field * 83 0 sll -5", "energy_millijoules", -5),
        ("field * 82 0 int -40", "temperature_memory_celsius", -40),
        ("field * 82 0 ushort 41", "temperature_memory_celsius", 41),
        ("set * nvmlDeviceGetClockInfo(1) 4294967295", "sm_clock_megahertz", Reason.NOT_SUPPORTED),
        (
            "set * nvmlDeviceGetUtilizationRates.gpu 4294967295",
            "utilization_gpu_percent",
            Reason.NOT_SUPPORTED,
        ),
        ("set * nvmlDeviceGetTemperature(0) -7", "temperature_gpu_celsius", -7),
        ("set * nvmlDeviceGetClockInfo(1) 0", "sm_clock_megahertz", 0),
    ],
)
async def test_blanks_are_no_values_and_zero_and_less_are(
    driver: FakeDriver, make_source: MakeSource, line: str, name: str, value: int | Reason
) -> None:
    driver.play_node(2, line)
    source = make_source(driver)
    assert await column(source, name) == [value, value]
    assert await column(source, name) == [value, value]


async def test_what_is_not_supported_is_not_asked_again_before_its_time(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "code * nvmlDeviceGetCurrPcieLinkWidth 3")
    source = make_source(driver)
    assert await column(source, "pcie_link_width_lanes") == [Reason.NOT_SUPPORTED] * 2
    driver.play_node(
        2, "hang * nvmlDeviceGetCurrPcieLinkWidth", "set * nvmlDeviceGetClockInfo(1) 7"
    )
    await until(source, "sm_clock_megahertz", [7, 7])
    assert await column(source, "pcie_link_width_lanes") == [Reason.NOT_SUPPORTED] * 2
    assert source.events() == []


async def test_what_was_not_supported_is_asked_again_in_time(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "code * nvmlDeviceGetCurrPcieLinkWidth 3")
    source = make_source(driver, patience=Patience(probe=0.2))
    assert await column(source, "pcie_link_width_lanes") == [Reason.NOT_SUPPORTED] * 2
    driver.play_node(2)
    await until(source, "pcie_link_width_lanes", [16, 16])


async def test_a_name_that_is_no_text_is_corrupted_and_its_card_still_read(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, r"set 1 nvmlDeviceGetName NVIDIA\xff\xfe")
    source = make_source(driver)
    assert (await facts(source)).unavailable["name"] is Reason.CORRUPTED
    assert await column(source, POWER) == [69800, 69800]


async def test_a_card_without_nvlink_has_no_links_rather_than_zero(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    plain = [line for line in driver.scenario.read_text().splitlines() if "NvLinkState" not in line]
    driver.play(*plain)
    source = make_source(driver)
    assert await column(source, "nvlink_active_links") == [Reason.NOT_SUPPORTED] * 2
    assert (await facts(source)).unavailable["nvlink_links"] is Reason.NOT_SUPPORTED


async def test_what_only_a_mig_device_has_is_not_supported_by_a_whole_gpu_and_not_asked_of_it(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "hang * nvmlDeviceGetAttributes_v2")
    source = make_source(driver)
    missing = (await facts(source)).unavailable
    assert {name: why for name, why in missing.items() if name.startswith("mig_")} == {
        "mig_gpu_instance_number": Reason.NOT_SUPPORTED,
        "mig_compute_instance_number": Reason.NOT_SUPPORTED,
        "mig_multiprocessors_count": Reason.NOT_SUPPORTED,
        "mig_gpu_slices_count": Reason.NOT_SUPPORTED,
    }
    assert source.events() == []


async def test_a_passive_board_has_no_fan_whichever_code_says_so(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    assert await column(make_source(driver), "fan_speed_percent") == [Reason.NOT_SUPPORTED] * 2


FABRIC = ("fabric_status_code", "fabric_health_flags")


@pytest.mark.parametrize(
    ("state", "reason"),
    [(0, Reason.NOT_SUPPORTED), (1, Reason.NOT_READY), (2, Reason.NOT_READY)],
)
@pytest.mark.parametrize("branch", BRANCHES[1:])
async def test_a_gpu_outside_any_fabric_has_no_health_and_no_place_in_one(
    make_driver: MakeDriver, make_source: MakeSource, state: int, reason: Reason, branch: int
) -> None:
    driver = make_driver(branch)
    driver.play_node(
        2,
        f"set 1 nvmlDeviceGetGpuFabricInfo.state {state}",
        *(f"set 1 nvmlDeviceGetGpuFabricInfo.{name} 0" for name in ("cliqueId", "clusterUuid")),
    )
    source = make_source(driver)
    missing = (await facts(source)).unavailable
    assert missing["fabric_clique_number"] is reason
    assert missing["fabric_cluster_uuid"] is reason
    assert await column(source, "fabric_state_code") == [state, 3]
    for name in FABRIC:
        assert (await column(source, name))[0] is reason


async def test_a_fabric_that_comes_up_is_seen_at_the_next_look(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "set * nvmlDeviceGetGpuFabricInfo.state 2")
    source = make_source(driver)
    assert await column(source, "fabric_status_code") == [Reason.NOT_READY] * 2
    driver.play_node(2)
    await until(source, "fabric_status_code", [0, 0])
    assert (await facts(source)).readings["fabric_clique_number"] == 1
    assert EventKind.IDENTITY_CHANGED not in {event.kind for event in source.events()}


async def test_links_that_are_down_are_counted_out(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(
        2, "set 1 nvmlDeviceGetNvLinkState(3) 0", "set 1 nvmlDeviceGetNvLinkState(9) 0"
    )
    assert await column(make_source(driver), "nvlink_active_links") == [16, 18]


async def test_activity_needs_two_looks(driver: FakeDriver, make_source: MakeSource) -> None:
    source = make_source(driver)
    assert await column(source, "sm_active_permyriad") == [Reason.NOT_READY] * 2
    assert await column(source, "sm_active_permyriad") == [9801] * 2
    assert await column(source, "tensor_active_permyriad") == [4210] * 2


async def test_a_capture_has_activity_between_two_looks_of_its_own(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    answers = await make_source(driver).record()
    assert not isinstance(answers, Reason)
    active = [row for row in answers if row.call == "nvmlGpmMetricsGet" and row.device == uuid(0)]
    assert {row.reading: (row.code, row.value) for row in active} == {
        "graphics_active_permyriad": (0, 9950),
        "sm_active_permyriad": (0, 9801),
        "sm_occupancy_permyriad": (0, 5025),
        "tensor_active_permyriad": (0, 4210),
        "dram_active_permyriad": (0, 6133),
    }


async def test_activity_is_unsupported_before_hopper(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "set * nvmlGpmQueryDeviceSupport.isSupportedDevice 0")
    assert await column(make_source(driver), "sm_active_permyriad") == [Reason.NOT_SUPPORTED] * 2


async def test_devices_stand_in_the_order_of_their_addresses_whatever_the_driver_counts(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(3)
    devices = (await make_source(driver).identify()).devices
    assert [device.uuid for device in devices] == [uuid(2), uuid(1), uuid(0)]


async def test_a_gpu_without_handle_hides_no_other_and_is_counted(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(3, "code 1 nvmlDeviceGetHandleByIndex_v2 15")
    identity = await make_source(driver).identify()
    assert [device.uuid for device in identity.devices] == [uuid(2), uuid(0)]
    assert identity.driver.readings["gpus_enumerated_count"] == 3
    assert identity.driver.readings["gpus_unreadable_count"] == 1


async def test_a_uuid_that_two_gpus_of_a_node_show_is_listed_once_and_counted(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, f"set 1 nvmlDeviceGetUUID {uuid(0)}")
    identity = await make_source(driver).identify()
    assert [device.uuid for device in identity.devices] == [uuid(0)]
    assert identity.driver.readings["gpus_unreadable_count"] == 1


async def test_mig_devices_follow_their_gpu_and_know_little(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(
        2,
        "set 1 nvmlDeviceGetMigMode.0 1",
        "mig 1 MIG-a 7 0 10737418240",
        "mig 1 MIG-b 8 0 10737418240",
    )
    source = make_source(driver)
    devices = (await source.identify()).devices
    assert [(device.uuid, device.parent) for device in devices] == [
        (uuid(1), None),
        ("MIG-a", uuid(1)),
        ("MIG-b", uuid(1)),
        (uuid(0), None),
    ]
    assert devices[1].identity.readings["memory_total_bytes"] == 10737418240
    assert devices[1].identity.readings["mig_gpu_instance_number"] == 7
    assert await column(source, POWER) == [69800, Reason.NOT_SUPPORTED, Reason.NOT_SUPPORTED, 69800]
    assert await column(source, "memory_used_bytes") == [1048576, 0, 0, 1048576]


@pytest.mark.parametrize("branch", BRANCHES)
async def test_processes_of_both_kinds_are_listed_once_with_what_they_hold(
    make_driver: MakeDriver, make_source: MakeSource, branch: int
) -> None:
    driver = make_driver(branch)
    many = [f"process 0 {100 + number} {number}" for number in range(40)]
    driver.play_node(2, "process 1 7 4096", "graphics 1 7 100", "graphics 1 8 -", *many)
    found = await make_source(driver).processes()
    assert not isinstance(found, Reason)
    held = {(process.device, process.pid): process.memory_bytes for process in found}
    assert held[uuid(1), 7] == 4096
    assert held[uuid(1), 8] is None
    assert len([key for key in held if key[0] == uuid(0)]) == 40
    assert len(held) == len(found)


@pytest.mark.parametrize("release", ["42.01", "43.02", "54.03", "86.10", "98", "183.01"])
@pytest.mark.parametrize("count", [1, 2, 3, 40])
async def test_processes_are_read_in_whichever_length_the_driver_writes_them(
    make_driver: MakeDriver, make_source: MakeSource, release: str, count: int
) -> None:
    driver = make_driver(535)
    many = [f"process 0 {100 + number} {number << 30}" for number in range(count - 1)]
    driver.play_node(1, f"driver 535.{release}", *many, "process 0 99 -")
    found = await make_source(driver).processes()
    assert not isinstance(found, Reason)
    held = {process.pid: process.memory_bytes for process in found}
    assert held == {100 + number: number << 30 for number in range(count - 1)} | {99: None}


@pytest.mark.parametrize("kind", ["Compute", "Graphics"])
async def test_processes_that_one_gpu_hides_are_not_taken_for_none(
    driver: FakeDriver, make_source: MakeSource, kind: str
) -> None:
    driver.play_node(2, f"code 1 nvmlDeviceGet{kind}RunningProcesses_v3 4")
    assert await make_source(driver).processes() is Reason.NO_PERMISSION


async def test_a_gpu_without_graphics_hides_none(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(1, "process 0 7 4096", "code 0 nvmlDeviceGetGraphicsRunningProcesses_v3 3")
    found = await make_source(driver).processes()
    assert not isinstance(found, Reason)
    assert [process.pid for process in found] == [7]


async def test_the_library_is_named_with_its_hash_and_build(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    library = driver.directory / "libnvidia-ml.so.1"
    readings = (await make_source(driver).identify()).driver.readings
    assert readings["nvml_library_path"] == str(library)
    assert readings["nvml_library_sha256"] == hashlib.sha256(library.read_bytes()).hexdigest()
    assert readings["nvml_library_bytes"] == library.stat().st_size
    assert len(str(readings["nvml_library_build_id"])) == 40
    assert readings["ld_library_path_code"] == 1
    assert readings["driver_version"] == "580.54.15"
    assert readings["cuda_driver_version"] == "12.4"


async def test_a_capture_has_every_source_with_its_code_and_time(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(1, "code * nvmlDeviceGetPowerUsage 4", "field * 82 999 uint 0")
    answers = await make_source(driver).record()
    assert not isinstance(answers, Reason)
    by_call = {(answer.reading, answer.call): answer for answer in answers}
    assert len(answers) == sum(len(sources) for sources in READERS.values())
    refused = by_call[POWER, "nvmlDeviceGetPowerUsage"]
    assert (refused.code, refused.value) == (4, None)
    assert by_call[POWER, "nvmlDeviceGetFieldValues(185)"].value == 69800
    assert by_call["temperature_memory_celsius", "nvmlDeviceGetFieldValues(82)"].code == 999
    assert by_call["memory_total_bytes", "nvmlDeviceGetMemoryInfo"].value == 85520809984
    assert all(answer.nanoseconds >= 0 and answer.device == uuid(0) for answer in answers)


async def test_a_reflashed_card_is_an_event_and_a_changed_peer_is_none(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(
        2,
        "set 1 nvmlDeviceGetVbiosVersion 96.00.FF.00.01",
        "set * nvmlDeviceGetTopologyCommonAncestor 20",
    )

    async def reflashed() -> bool:
        return bool((await facts(source)).readings["vbios_version"] == "96.00.FF.00.01")

    await eventually(reflashed)
    (event,) = source.events()
    assert (event.kind, event.device) == (EventKind.IDENTITY_CHANGED, uuid(1))
    assert event.detail == "vbios_version: 96.00.A5.00.01 -> 96.00.FF.00.01"


async def test_an_xid_is_told_once_with_its_gpu(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "xid 1 31", "xid 0 79")
    events: list[Any] = []

    async def both_told() -> bool:
        events.extend(source.events())
        return len(events) == 2

    await eventually(both_told)
    assert [(event.kind, event.device, event.code, event.source) for event in events] == [
        (EventKind.XID, uuid(1), 31, "nvml"),
        (EventKind.XID, uuid(0), 79, "nvml"),
    ]
    assert {device.state for device in (await source.identify()).devices} == {DeviceState.OK}


async def until(source: NvmlSource, name: str, expected: list[Any]) -> None:
    """Sweep until the reading is as expected."""

    async def as_expected() -> bool:
        return bool(await column(source, name) == expected)

    await eventually(as_expected)


@pytest.mark.parametrize("name", ["", "GPU with blanks", r"GPU-\xff", "-leading"])
async def test_a_uuid_that_is_none_costs_that_gpu_alone(
    driver: FakeDriver, make_source: MakeSource, name: str
) -> None:
    driver.play_node(2, f"set 1 nvmlDeviceGetUUID {name}")
    identity = await make_source(driver).identify()
    assert [device.uuid for device in identity.devices] == [uuid(0)]
    assert identity.driver.readings["gpus_unreadable_count"] == 1


async def test_a_count_beyond_reason_is_no_count(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    driver.play_node(2, "count 100000")
    identity = await make_source(driver).identify()
    assert identity.devices == []
    assert identity.driver.readings["driver_version"] == "580.54.15"


async def test_an_xid_too_large_for_the_wire_is_told_without_its_code(
    driver: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, f"xid 0 {2**60}")
    events: list[Any] = []

    async def told() -> bool:
        events.extend(source.events())
        return bool(events)

    await eventually(told)
    assert (events[0].kind, events[0].code) == (EventKind.XID, None)
