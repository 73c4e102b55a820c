"""In which form cards are delivered: judged where the contract says one, by the driver's word and the machine's."""

from typing import Any

import pytest

from tests.weighbridge.scripted import FLOORS, ScriptedNode
from tests.weighbridge.test_judge import GPU, feed, standing
from weighbridge.judge.ledger import Finding

CODE = "virtualization_mismatch"
BARE, PASSTHROUGH, VGPU, HOST_VGPU, HOST_VSGA = range(5)


def found(promised: str | None, mode: int, host: dict[str, Any] | None = None) -> Finding | None:
    """What is found of a GPU that tells this mode, under a contract that promises this form."""
    floors = FLOORS if promised is None else f"{FLOORS}\n    virtualization: {promised}"
    node = ScriptedNode(identity={GPU: {"virtualization_mode_code": mode}})
    node.host = {"readings": host or {}, "unavailable": {}}
    log = standing(floors=floors if promised != "mig" else "{}\n    virtualization: mig")
    feed(log, node, range(0, 11, 10))
    return log.open().get((CODE, GPU))


@pytest.mark.parametrize("mode", range(6))
def test_no_form_is_judged_that_no_contract_promises(mode: int) -> None:
    assert found(None, mode, {"hypervisor_code": 1}) is None


@pytest.mark.parametrize(
    ("promised", "kept"),
    [
        ("bare_metal", {BARE, HOST_VGPU, HOST_VSGA}),
        ("vm_passthrough", {PASSTHROUGH}),
        ("vgpu", {VGPU}),
        ("container", {BARE, PASSTHROUGH, HOST_VGPU, HOST_VSGA}),
    ],
)
def test_a_form_is_kept_by_the_modes_in_which_it_is_delivered(
    promised: str, kept: set[int]
) -> None:
    breached = {mode for mode in range(5) if found(promised, mode) is not None}
    assert breached == set(range(5)) - kept
    assert all(found(promised, mode).verdict == "breached" for mode in breached)  # type: ignore[union-attr]


def test_a_mode_that_no_table_knows_accuses_nobody() -> None:
    finding = found("bare_metal", 5)
    assert finding is not None
    assert (finding.verdict, finding.observed) == ("unknown", "virtualization_mode_code 5")


@pytest.mark.parametrize(
    "host",
    [
        {"hypervisor_code": 1},
        {"hypervisor_code": 0, "dmi_system_vendor": "QEMU"},
        {"hypervisor_code": 0, "dmi_product_name": "VMware Virtual Platform"},
    ],
)
@pytest.mark.parametrize("promised", ["bare_metal", "vm_passthrough", "vgpu"])
def test_metal_by_the_driver_and_a_virtual_machine_by_its_host_is_unknown(
    host: dict[str, Any], promised: str
) -> None:
    finding = found(promised, BARE, host)
    assert finding is not None
    assert finding.verdict == "unknown"
    assert finding.observed.startswith("bare_metal by the driver; a virtual machine by ")


def test_a_container_on_a_virtual_machine_is_a_container() -> None:
    assert found("container", BARE, {"hypervisor_code": 1, "dmi_system_vendor": "QEMU"}) is None


def test_a_server_of_a_maker_of_servers_is_the_metal() -> None:
    host = {
        "hypervisor_code": 0,
        "dmi_system_vendor": "Supermicro",
        "dmi_product_name": "SYS-821GE-TNHR",
    }
    assert found("bare_metal", BARE, host) is None


def test_what_the_driver_does_not_tell_is_unknown() -> None:
    log = standing(floors=f"{FLOORS}\n    virtualization: bare_metal")
    node = ScriptedNode()
    inventory = node.inventory()
    for device in inventory["devices"]:
        del device["identity"]["readings"]["virtualization_mode_code"]
        device["identity"]["unavailable"]["virtualization_mode_code"] = "not_supported"
    log.report(node.report([0], inventory=inventory))
    assert log.open()[CODE, GPU].verdict == "unknown"
    assert log.open()[CODE, GPU].observed == "not_supported"


@pytest.mark.parametrize(("mig", "verdict"), [(1, None), (0, "breached")])
def test_slices_are_promised_and_the_card_is_cut_or_whole(mig: int, verdict: str | None) -> None:
    log = standing(floors="{}\n    virtualization: mig")
    node = ScriptedNode(identity={GPU: {"mig_mode_code": mig}})
    feed(log, node, range(0, 11, 10))
    finding = log.open().get((CODE, GPU))
    assert (None if finding is None else finding.verdict) == verdict
