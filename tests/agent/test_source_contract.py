"""What the sampler may rely on, whatever it reads from: NVML in its child process, or simulated devices."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from agent.report.source import DeviceSource
from agent.simulation.devices import SimulatedSource
from agent.simulation.scenario import Scenario
from tests.agent.conftest import MakeSource, boottime_us
from tests.agent.fake_nvml.fixture import FakeDriver
from weighbridge.catalogue.readings import OF_GPUS, READING, READINGS, Kind, Scope, Tier
from weighbridge.wire.report import DeviceState, Inventory, Reason, encode


@pytest.fixture(params=["nvml", "simulated"])
async def source(
    request: pytest.FixtureRequest, driver: FakeDriver, make_source: MakeSource
) -> AsyncIterator[DeviceSource]:
    """Two GPUs, of either kind."""
    source: DeviceSource = SimulatedSource(boottime_us, Scenario(), 0, 2)
    if request.param == "nvml":
        source = make_source(driver)
    yield source
    await source.close()


def named(tier: Tier) -> set[str]:
    return {row.name for row in READINGS if row.tier is tier and row.scope in OF_GPUS}


@pytest.mark.parametrize("tier", [Tier.FAST, Tier.SLOW])
async def test_a_sweep_has_a_value_or_a_reason_for_each_reading_and_device(
    source: DeviceSource, tier: Tier
) -> None:
    sweep = await source.sweep(tier)
    assert len(sweep.devices) == 2
    assert set(sweep.readings) == named(tier)
    for row in sweep.readings.values():
        assert len(row) == 2
        assert all(type(value) is int or isinstance(value, Reason) for value in row)


async def test_the_essentials_of_a_whole_card_have_values(source: DeviceSource) -> None:
    sweep = await source.sweep(Tier.FAST)
    for name in (
        "power_draw_milliwatts",
        "memory_used_bytes",
        "pcie_link_width_lanes",
        "energy_millijoules",
    ):
        assert all(type(value) is int for value in sweep.readings[name]), name


async def test_identity_answers_or_excuses_every_reading_of_its_tier(source: DeviceSource) -> None:
    identity = await source.identify()
    for device in identity.devices:
        facts = device.identity
        assert set(facts.readings) | set(facts.unavailable) == named(Tier.IDENTITY)
        assert not set(facts.readings) & set(facts.unavailable)
    node = {row.name for row in READINGS if row.scope is Scope.NODE}
    assert set(identity.driver.readings) | set(identity.driver.unavailable) == node


async def test_identity_has_text_where_the_catalogue_says_text(source: DeviceSource) -> None:
    for device in (await source.identify()).devices:
        for name, value in device.identity.readings.items():
            assert isinstance(value, str) == (READING[name].kind is Kind.TEXT), name


async def test_identity_fits_into_an_inventory(source: DeviceSource) -> None:
    identity = await source.identify()
    inventory = Inventory(
        devices=list(identity.devices), driver=identity.driver, host=identity.driver
    )
    assert msgspec.json.decode(encode(inventory), type=Inventory) == inventory


async def test_devices_keep_their_order_and_stand_in_the_order_of_their_addresses(
    source: DeviceSource,
) -> None:
    identity = await source.identify()
    sweep = await source.sweep(Tier.FAST)
    again = await source.identify()
    assert [device.uuid for device in identity.devices] == list(sweep.devices)
    assert identity.devices == again.devices
    addresses = [str(device.identity.readings["pci_bus_id"]) for device in identity.devices]
    assert addresses == sorted(addresses)


async def test_all_devices_of_a_well_node_are_ok_and_nothing_has_happened(
    source: DeviceSource,
) -> None:
    identity = await source.identify()
    assert {device.state for device in identity.devices} == {DeviceState.OK}
    assert source.events() == []


async def test_a_sweep_tells_its_time(source: DeviceSource) -> None:
    before = boottime_us()
    sweep = await source.sweep(Tier.FAST)
    assert before <= sweep.boottime_us <= boottime_us()


async def test_while_paused_everything_is_paused_and_nothing_is_forgotten(
    source: DeviceSource,
) -> None:
    before = await source.identify()
    await source.pause()
    sweep = await source.sweep(Tier.FAST)
    assert {value for row in sweep.readings.values() for value in row} == {Reason.PAUSED}
    assert await source.processes() is Reason.PAUSED
    assert [device.uuid for device in (await source.identify()).devices] == list(sweep.devices)
    await source.resume()
    after = await source.sweep(Tier.FAST)
    assert list(after.devices) == [device.uuid for device in before.devices]
    assert all(type(value) is int for value in after.readings["power_draw_milliwatts"])


async def test_processes_belong_to_devices_of_the_node(source: DeviceSource) -> None:
    devices = {device.uuid for device in (await source.identify()).devices}
    processes = await source.processes()
    assert not isinstance(processes, Reason)
    assert {process.device for process in processes} <= devices
