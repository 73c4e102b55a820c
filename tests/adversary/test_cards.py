"""Boards that were rebuilt to another memory, cards that share a device id, and the honest ones beside them."""

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.judge.ledger import State

Identity = dict[str, int | str]

GPU, OTHER = "GPU-n1-0", "GPU-n1-1"
FOUR_K: Identity = {
    "pci_device_id": "10de:2684",
    "pci_subsystem_id": "1043:889d",
    "gpu_cores": 16384,
}
FOUR_K |= {"name": "NVIDIA GeForce RTX 4090", "cuda_compute_capability": "8.9"}
A_40: Identity = {"pci_device_id": "10de:2235", "pci_subsystem_id": "10de:145a", "gpu_cores": 10752}
A_40 |= {"name": "NVIDIA A40", "cuda_compute_capability": "8.6"}
GB_300: Identity = {
    "pci_device_id": "10de:31c2",
    "pci_subsystem_id": "10de:21f1",
    "gpu_cores": 20480,
}
GB_300 |= {"name": "NVIDIA GB300", "cuda_compute_capability": "10.3"}
PRO_5000: Identity = {
    "pci_device_id": "10de:2bb3",
    "gpu_cores": 14080,
    "cuda_compute_capability": "12.0",
}
PRO_5000 |= {"name": "NVIDIA RTX PRO 5000 Blackwell"}


def shown(card: str, mebibytes: int, **identity: int | str) -> Log:
    """The log of a contract for this card, after two samples of a node that shows that."""
    log = Log()
    log.tick(0)
    accelerator = f"sku: {card}, form_factor: superchip" if "GB" in card[:2] else f"sku: {card}"
    log.contract(contract_text(floors="{}").replace("sku: H100-SXM-80GB", accelerator))
    log.assign("n1")
    log.introduce()
    told = {"memory_total_bytes": mebibytes << 20, **identity}
    node = ScriptedNode(identity={GPU: told, OTHER: told})
    log.tick(10)
    log.report(node.report([0, 10]))
    return log


def breaches(log: Log) -> dict[str, str]:
    """By code what was observed of the first GPU where that breaches."""
    held = log.open().items()
    return {
        code: one.observed
        for (code, device), one in held
        if device == GPU and one.verdict == "breached"
    }


def test_a_board_rebuilt_to_twice_its_memory_is_not_the_card_of_its_device_id() -> None:
    assert breaches(shown("RTX4090-24GB", 49_140, **FOUR_K)) == {"sku_mismatch": "RTX4090-48GB"}


def test_the_card_as_it_was_made_is_not_the_rebuilt_one() -> None:
    found = breaches(shown("RTX4090-48GB", 24_564, **FOUR_K))
    assert (found["sku_mismatch"], set(found)) == ("RTX4090-24GB", {"sku_mismatch", "memory_short"})


def test_a_card_with_less_memory_on_the_same_device_id_is_found_by_it() -> None:
    small: Identity = {**PRO_5000, "pci_subsystem_id": "1028:204d"}
    assert breaches(shown("RTXPRO5000-72GB", 48_935, **small))["sku_mismatch"] == "RTXPRO5000-48GB"


@pytest.mark.parametrize(
    ("card", "mebibytes", "identity"),
    [
        ("RTX4090-24GB", 24_564, FOUR_K),
        ("RTX4090-48GB", 49_140, FOUR_K),
        ("A40-48GB", 46_068, A_40),
        ("A40-48GB", 49_140, A_40),
        ("A40-48GB", 45_634, A_40),
        ("GB300-279GB", 284_208, GB_300),
        ("RTXPRO5000-48GB", 48_935, {**PRO_5000, "pci_subsystem_id": "17aa:204d"}),
    ],
)
def test_ecc_that_is_off_an_older_driver_and_any_makers_board_are_the_same_card(
    card: str, mebibytes: int, identity: Identity
) -> None:
    log = shown(card, mebibytes, **identity)
    assert log.open() == {}
    assert {row.state for row in log.rows()} == {State.UP}


def test_a_share_of_a_rebuilt_board_is_no_other_card() -> None:
    share: Identity = {**FOUR_K, "virtualization_mode_code": 2}
    assert "sku_mismatch" not in breaches(shown("RTX4090-48GB", 24_564, **share))
