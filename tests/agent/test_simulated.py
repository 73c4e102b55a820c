"""Simulated devices: honest ones lie where their card's row puts them; each fault shows as on a real one."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.simulation.devices import SimulatedHost, SimulatedSource, gpu_uuid
from agent.simulation.scenario import NetworkCut, Scenario, ScenarioError, Silence, load_scenario
from weighbridge.catalogue.readings import READING, Kind, Tier
from weighbridge.catalogue.tables import sku, sku_by_pci, skus
from weighbridge.wire.report import DeviceState, EventKind, Reason

SECOND = 1_000_000


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_us = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now_us

    def advance(self, seconds: int) -> None:
        self.now_us += seconds * SECOND


@pytest.fixture
def time() -> Time:
    return Time()


def node(
    time: Time, *faults: dict[str, Any], number: int = 0, gpus: int = 2, **scenario: Any
) -> SimulatedSource:
    planted = Scenario.model_validate(
        {"seed": 7, "faults": [{"node": 0, **fault} for fault in faults], **scenario}
    )
    return SimulatedSource(time, planted, number, gpus)


async def reading(source: SimulatedSource, name: str, gpu: int = 0) -> Any:
    sweep = await source.sweep(READING[name].tier)
    return sweep.readings[name][gpu]


@pytest.mark.parametrize("key", sorted(skus()))
async def test_an_honest_card_is_found_in_the_table_by_what_it_shows(time: Time, key: str) -> None:
    row = skus()[key]
    source = node(time, sku=key)
    shown = (await source.identify()).devices[0].identity.readings
    subsystem = shown.get("pci_subsystem_id")
    assert (
        sku_by_pci(
            str(shown["pci_device_id"]),
            None if subsystem is None else str(subsystem),
            int(shown["memory_total_bytes"]),
        )
        is row
    )
    if row.memory_bytes is not None:
        assert int(shown["memory_total_bytes"]) in row.memory_bytes
    if row.idle_power_milliwatts is not None:
        assert await reading(source, "power_draw_milliwatts") > row.idle_power_milliwatts.high


@pytest.mark.parametrize("key", [key for key, row in skus().items() if row.idle_power_milliwatts])
async def test_a_card_without_load_lies_in_its_idle_band(time: Time, key: str) -> None:
    source = node(time, sku=key, load_percent=0)
    band = skus()[key].idle_power_milliwatts
    assert band is not None
    assert await reading(source, "power_draw_milliwatts") in band
    assert await source.processes() == []


@given(seconds=st.integers(0, 100_000), seed=st.integers(0, 99))
async def test_the_same_scenario_gives_the_same_values(seconds: int, seed: int) -> None:
    sweeps = []
    for _ in range(2):
        time = Time()
        source = node(time, seed=seed)
        time.advance(seconds)
        sweeps.append(await source.sweep(Tier.FAST))
    assert sweeps[0] == sweeps[1]


async def test_energy_is_power_over_time(time: Time) -> None:
    source = node(time)
    before = await reading(source, "energy_millijoules")
    joules = 0
    for _ in range(60):
        time.advance(1)
        joules += await reading(source, "power_draw_milliwatts")
    assert abs(await reading(source, "energy_millijoules") - before - joules) <= joules // 100


async def test_counters_only_rise(time: Time) -> None:
    source = node(time)
    counters = [
        row.name for row in READING.values() if row.kind is Kind.COUNTER and row.tier is Tier.FAST
    ]
    before = await source.sweep(Tier.FAST)
    time.advance(10)
    after = await source.sweep(Tier.FAST)
    for name in counters:
        for old, new in zip(before.readings[name], after.readings[name], strict=True):
            if isinstance(old, int):
                assert isinstance(new, int)
                assert new >= old


async def test_a_fault_shows_from_its_onset_to_its_end_on_its_gpu_alone(time: Time) -> None:
    cap = {
        "kind": "power_cap",
        "gpus": [1],
        "after_seconds": 10,
        "until_seconds": 20,
        "limit_milliwatts": 300_000,
    }
    source = node(time, cap)
    name = "power_limit_enforced_milliwatts"
    seen = []
    for _ in range(3):
        seen.append([await reading(source, name, gpu) for gpu in (0, 1)])
        time.advance(10)
    assert seen == [[700_000, 700_000], [700_000, 300_000], [700_000, 700_000]]


async def test_a_capped_card_draws_its_cap_and_counts_the_time(time: Time) -> None:
    source = node(time, {"kind": "power_cap", "limit_milliwatts": 300_000})
    assert await reading(source, "power_draw_milliwatts") <= 300_000
    before = await reading(source, "clocks_event_sw_power_cap_microseconds")
    time.advance(5)
    assert await reading(source, "clocks_event_sw_power_cap_microseconds") == before + 5 * SECOND
    assert await reading(source, "clocks_event_reasons_flags") & 0x4


async def test_a_cheaper_card_keeps_the_name_and_nothing_else(time: Time) -> None:
    honest, cheap = (
        node(time),
        node(time, {"kind": "cheaper_card", "gpus": [0], "sku": "H100-PCIe-80GB"}),
    )
    promised = (await honest.identify()).devices[0].identity.readings
    shown = (await cheap.identify()).devices[0].identity.readings
    assert shown["name"] == promised["name"]
    assert sku_by_pci(str(shown["pci_device_id"]), None) is sku("H100-PCIe-80GB")
    assert shown["gpu_cores"] != promised["gpu_cores"]


async def test_a_card_swapped_while_it_runs_is_an_event(time: Time) -> None:
    source = node(time, {"kind": "cheaper_card", "gpus": [0], "after_seconds": 5})
    await source.identify()
    time.advance(5)
    await source.identify()
    (event,) = source.events()
    assert event.kind is EventKind.IDENTITY_CHANGED
    assert "pci_device_id" in event.detail


async def test_a_gpu_off_the_bus_is_an_xid_a_loss_and_a_place_kept(time: Time) -> None:
    source = node(time, {"kind": "fall_off_bus", "gpus": [1], "after_seconds": 5})
    before = await source.identify()
    time.advance(5)
    sweep = await source.sweep(Tier.FAST)
    assert list(sweep.devices) == [device.uuid for device in before.devices]
    assert {row[1] for row in sweep.readings.values()} == {Reason.GPU_IS_LOST}
    assert isinstance(sweep.readings["power_draw_milliwatts"][0], int)
    xid, lost = source.events()
    assert (xid.kind, xid.code, xid.device) == (EventKind.XID, 79, before.devices[1].uuid)
    assert (lost.kind, lost.device) == (EventKind.DEVICE_LOST, before.devices[1].uuid)
    states = [device.state for device in (await source.identify()).devices]
    assert states == [DeviceState.OK, DeviceState.LOST]
    assert source.events() == []


async def test_a_gpu_that_comes_back_is_an_event(time: Time) -> None:
    source = node(
        time, {"kind": "fall_off_bus", "gpus": [1], "after_seconds": 5, "until_seconds": 10}
    )
    await source.identify()
    for _ in range(2):
        time.advance(5)
        await source.sweep(Tier.FAST)
    await source.identify()
    assert [event.kind for event in source.events()] == [
        EventKind.XID,
        EventKind.DEVICE_LOST,
        EventKind.DEVICE_RETURNED,
    ]


async def test_a_narrow_link_is_narrow_and_its_maximum_is_not(time: Time) -> None:
    source = node(time, {"kind": "pcie_width", "gpus": [0], "lanes": 8})
    assert await reading(source, "pcie_link_width_lanes") == 8
    assert (await source.identify()).devices[0].identity.readings["pcie_link_width_max_lanes"] == 16


async def test_a_slice_stands_behind_its_gpu_with_less_memory(time: Time) -> None:
    source = node(time, {"kind": "mig_slice", "gpus": [0]})
    whole, cut, other = (await source.identify()).devices
    assert (cut.parent, other.parent) == (whole.uuid, None)
    assert whole.identity.readings["mig_mode_code"] == 1
    assert int(cut.identity.readings["memory_total_bytes"]) * 7 <= int(
        whole.identity.readings["memory_total_bytes"]
    )
    sweep = await source.sweep(Tier.FAST)
    assert sweep.readings["power_draw_milliwatts"][1] is Reason.NOT_SUPPORTED
    assert isinstance(sweep.readings["memory_used_bytes"][1], int)


async def test_a_foreign_process_has_another_owner_and_its_memory_is_in_use(time: Time) -> None:
    fault = {"kind": "foreign_process", "gpus": [0], "memory_bytes": 5 << 30}
    honest, shared = node(time), node(time, fault)
    processes = await shared.processes()
    assert not isinstance(processes, Reason)
    host = SimulatedHost(0)
    owners: dict[str, set[str]] = {process.device: set() for process in processes}
    for process in processes:
        owners[process.device].add(host.owner(process.pid)[0])
    assert sorted(len(of_device) for of_device in owners.values()) == [1, 2]
    used = await reading(shared, "memory_used_bytes")
    assert used - await reading(honest, "memory_used_bytes") == 5 << 30


async def test_two_nodes_can_show_one_uuid(time: Time) -> None:
    source = node(
        time, {"kind": "same_uuid", "node": 3, "gpus": [1], "of_node": 0, "of_gpu": 0}, number=3
    )
    assert [device.uuid for device in (await source.identify()).devices] == [
        gpu_uuid(7, 3, 0),
        gpu_uuid(7, 0, 0),
    ]


async def test_no_two_gpus_share_a_uuid_by_themselves(time: Time) -> None:
    uuids = [
        device.uuid
        for number in range(8)
        for device in (await node(time, number=number).identify()).devices
    ]
    assert len(set(uuids)) == 16


def test_silence_and_a_cut_network_are_told_to_whoever_runs_the_fleet() -> None:
    scenario = Scenario.model_validate(
        {
            "faults": [
                {"kind": "silence", "node": 1, "after_seconds": 3},
                {"kind": "network_cut", "node": 1, "until_seconds": 9},
                {"kind": "silence", "node": 2},
            ]
        }
    )
    silence, cut = scenario.of_node(1)
    assert isinstance(silence, Silence)
    assert isinstance(cut, NetworkCut)
    assert [silence.active(at * SECOND) for at in (2, 3, 99)] == [False, True, True]
    assert [cut.active(at * SECOND) for at in (0, 8, 9)] == [True, True, False]


def test_a_scenario_is_read_from_toml_too(tmp_path: Path) -> None:
    toml = tmp_path / "scenario.toml"
    toml.write_text('version = 1\nsku = "L40S-48GB"\n[[faults]]\nkind = "mig_slice"\nnode = 2\n')
    assert load_scenario(toml).faults[0].kind == "mig_slice"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sku: H900", "sku"),
        ("faults: [{kind: gremlin, node: 0}]", "faults.0"),
        ("faults: [{kind: mig_slice}]", "faults.0.mig_slice.node"),
        (
            "faults: [{kind: silence, node: 0, after_seconds: 5, until_seconds: 5}]",
            "faults.0.silence",
        ),
        ("faults: [{kind: replacement, node: 0}]", "faults.0.replacement"),
        ("colour: red", "colour"),
        ("{", "scenario.yaml"),
    ],
)
def test_a_scenario_that_is_wrong_names_the_place(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=place):
        load_scenario(path)
