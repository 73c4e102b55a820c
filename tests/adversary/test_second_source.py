"""A made-up NVML beside the PCI bus and the kernel module; and honest machines that show less, or other things."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.judge.ledger import State

GPU, OTHER = "GPU-n1-0", "GPU-n1-1"
CODE = "sources_disagree"
ADDRESSES = {GPU: "00000000:3B:00.0", OTHER: "00000000:86:00.0"}
BAR = 128 << 30
Facts = Mapping[str, int | str]


def function(address: str, **changes: int | str) -> dict[str, int | str]:
    """What sysfs shows of an H100."""
    shown: dict[str, int | str] = {"device_id": "0x2330", "subsystem_vendor_id": "0x10de"}
    shown |= {"subsystem_device_id": "0x16c1", "bar_largest_bytes": BAR}
    return {f"pci.{address}.{name}": value for name, value in (shown | changes).items()}


BUS: Facts = {
    "nvidia_pci_functions_count": 2,
    "nvidia_module_sysfs_version": "580.65.06",
    **function("0000:3b:00.0"),
    **function("0000:86:00.0"),
}
DRIVER: Facts = {"driver_version": "580.65.06", "kernel_module_version": "580.65.06"}


def told(host: Any = BUS, driver: Any = DRIVER, states: Any = None, **identity: Any) -> Log:
    """A log of a node whose first GPU says that, beside what its machine shows."""
    log = Log()
    log.tick(0)
    log.contract(contract_text())
    log.assign("n1")
    log.introduce()
    node = ScriptedNode(states=states or {})
    for uuid, address in ADDRESSES.items():
        node.identity[uuid] = {"pci_bus_id": address, "bar1_total_bytes": BAR, "kernel_uuid": uuid}
        node.identity[uuid] |= {"kernel_name": "NVIDIA H100 80GB HBM3"}
    node.identity[GPU] |= identity
    node.host = {"readings": dict(host), "unavailable": {}}
    node.driver = {"readings": dict(driver), "unavailable": {}}
    log.tick(10)
    log.report(node.report([0, 10]))
    return log


def observed(log: Log) -> dict[str, str]:
    """By device, where it is a hint and no more."""
    found = {device: one for (code, device), one in log.open().items() if code == CODE}
    odd = {(one.verdict, one.level, one.answerable) for one in found.values()}
    assert odd <= {("unknown", "E1", "open")}
    assert {row.state for row in log.rows()} <= {State.UP, State.DOWN}
    return {device: one.observed for device, one in found.items()}


@pytest.mark.parametrize(
    ("says", "odd"),
    [
        ({"kernel_uuid": "GPU-another"}, "kernel_uuid GPU-another"),
        ({"kernel_name": "NVIDIA L40S"}, "kernel_name NVIDIA L40S"),
        ({"bar1_total_bytes": BAR + 1}, f"a window of {BAR} bytes on the bus"),
        ({"bar1_total_bytes": BAR // 2 - 1}, f"a window of {BAR} bytes on the bus"),
    ],
)
def test_a_gpu_that_the_kernel_module_or_the_bus_shows_otherwise_is_found(
    says: dict[str, int | str], odd: str
) -> None:
    assert observed(told(**says)) == {GPU: odd}


@pytest.mark.parametrize(
    ("changes", "odd"),
    [
        ({"device_id": "0x20b2"}, "pci_device_id 10de:20b2 on the bus"),
        ({"subsystem_device_id": "0x1658"}, "pci_subsystem_id 10de:1658 on the bus"),
        ({"subsystem_vendor_id": "0x1028"}, "pci_subsystem_id 1028:16c1 on the bus"),
    ],
)
def test_a_gpu_that_has_other_ids_on_the_bus_is_found(changes: dict[str, str], odd: str) -> None:
    assert observed(told({**BUS, **function("0000:3b:00.0", **changes)})) == {GPU: odd}


def test_gpus_that_are_not_on_the_bus_are_found_each() -> None:
    one: dict[str, int | str] = {name: value for name, value in BUS.items() if "3b" not in name}
    one["nvidia_pci_functions_count"] = 1
    assert observed(told(one)) == {GPU: "nothing on the bus at 0000:3b:00.0"}
    module_alone: Facts = {
        "nvidia_pci_functions_count": 0,
        "nvidia_module_sysfs_version": "580.65.06",
    }
    assert observed(told(module_alone)) == {
        GPU: "nothing on the bus at 0000:3b:00.0",
        OTHER: "nothing on the bus at 0000:86:00.0",
    }


@pytest.mark.parametrize("name", ["driver_version", "kernel_module_version"])
def test_a_library_of_another_version_than_the_loaded_module_is_found(name: str) -> None:
    log = told(driver={**DRIVER, name: "550.54.15"})
    assert set(observed(log)) == {""}
    assert "550.54.15" in observed(log)[""]
    assert set(observed(told({**BUS, "nvidia_module_sysfs_version": "550.54.15"}))) == {""}


def test_two_gpus_at_one_address_are_found() -> None:
    log = told(pci_bus_id=ADDRESSES[OTHER])
    assert {device for code, device in log.open() if code == "identity_shared"} == {GPU, OTHER}


def test_a_machine_that_shows_the_same_everywhere_is_not_named() -> None:
    assert told().open() == {}


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"nvidia_pci_functions_count": 2},
        {"nvidia_pci_functions_count": 8},
        {"nvidia_pci_functions_count": 2, **function("0000:00:05.0"), **function("0000:00:06.0")},
    ],
    ids=[
        "a container without sysfs",
        "a bus without details",
        "a pod with some of the GPUs",
        "a guest's own addresses",
    ],
)
def test_a_machine_that_shows_no_bus_or_one_of_its_own_is_not_named(host: Facts) -> None:
    assert told(host).open() == {}


@pytest.mark.parametrize(
    "says",
    [
        {"bar1_total_bytes": BAR // 2},
        {"bar1_total_bytes": BAR},
        {"kernel_name": "H100 80GB HBM3"},
        {"kernel_uuid": GPU.upper()},
        {"vbios_version": "96.00.A5.00.03"},
    ],
    ids=["half is kept", "whole", "no maker", "spelling", "a new video BIOS"],
)
def test_what_is_spelled_otherwise_or_kept_by_the_driver_is_the_same_gpu(
    says: dict[str, int | str],
) -> None:
    assert told(**says).open() == {}


def test_a_share_of_a_card_has_ids_of_its_own() -> None:
    share = told(virtualization_mode_code=2, kernel_uuid="GPU-host")
    assert CODE not in {code for code, _ in share.open()}


def test_a_gpu_that_fell_off_the_bus_is_lost_and_no_fake() -> None:
    one: dict[str, int | str] = {name: value for name, value in BUS.items() if "3b" not in name}
    one["nvidia_pci_functions_count"] = 1
    assert observed(told(one, states={GPU: "lost"})) == {}


def test_a_machine_whose_cards_are_on_no_bus_of_its_own_and_need_no_module_is_not_named() -> None:
    """As under WSL, where the cards are the host's."""
    paravirtual = told({"nvidia_pci_functions_count": 0}, {"driver_version": "580.65.06"})
    assert paravirtual.open().keys() <= {("gpu_missing", "")}
    assert observed(paravirtual) == {}


def test_a_driver_without_any_version_is_not_compared() -> None:
    assert told(driver={"driver_version": "580.65.06"}, host={}).open() == {}
