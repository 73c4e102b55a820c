"""Less memory than contracted is a smaller card, or a part of one that has more: each is found as what it is."""

from typing import Any

import pytest

from tests.weighbridge.scripted import Log, ScriptedNode
from tests.weighbridge.test_judge import GPU, feed, standing

GIB = 1 << 30
WHOLE = 81559 << 20
Shown = dict[str, int | str]


def told(shown: Shown, more: str = "", **sampled: int | str) -> dict[str, str]:
    """What is breached by a GPU with this identity, under a contract for H100 of 80 GB, and what was observed."""
    log = standing(floors=f"{{}}{more}")
    node = ScriptedNode(identity={GPU: shown})
    feed(log, node, range(0, 11, 10), {second: {GPU: sampled} for second in (0, 10)})
    return _breached(log)


def _breached(log: Log) -> dict[str, str]:
    return {
        code: found.observed
        for (code, device), found in log.open().items()
        if found.verdict == "breached" and device in ("", GPU) and code != "mig_on"
    }


def memory(size: int, **more: int | str) -> Shown:
    return {"memory_total_bytes": size, **more}


def test_a_smaller_card_is_short_of_memory() -> None:
    assert told(memory(40 * GIB)) == {"memory_short": str(40 * GIB)}
    assert told(memory(40 * GIB, bar1_total_bytes=64 * GIB)) == {"memory_short": str(40 * GIB)}


def test_a_partition_of_a_cgroup_is_found_as_that() -> None:
    size = 40 * GIB
    assert told(memory(size), memory_limit_bytes=size) == {
        "memory_partitioned": f"{size} in a cgroup's partition of {size}"
    }
    assert told(memory(size), memory_limit_bytes="not_found") == {"memory_short": str(size)}


def test_a_limit_that_leaves_what_was_contracted_is_no_fault() -> None:
    low = 81000 << 20
    assert told(memory(WHOLE), memory_limit_bytes=low) == {}
    assert told(memory(WHOLE), memory_limit_bytes=WHOLE) == {}


@pytest.mark.parametrize(
    ("window", "code"),
    [(128 * GIB, "memory_partitioned"), (80 * GIB, "memory_partitioned"), (80 * GIB - 1, "memory_short")],
)  # fmt: skip
def test_the_window_over_pcie_tells_a_whole_card_from_a_smaller_one(window: int, code: str) -> None:
    assert set(told(memory(40 * GIB, bar1_total_bytes=window))) == {code}


def test_a_vgpu_is_found_as_that_unless_one_was_promised() -> None:
    shown = memory(40 * GIB, virtualization_mode_code=2)
    assert told(shown) == {"memory_partitioned": f"{40 * GIB} in a vGPU"}
    assert told(shown, "\n    virtualization: vgpu") == {}


def test_a_card_that_is_shown_as_several_is_one_card_and_each_a_domain_of_it() -> None:
    log = standing(floors="{}")
    domain: Shown = {"memory_total_bytes": 40 * GIB, "pci_bus_id": "00000000:3b:00.0"}
    feed(log, ScriptedNode(identity={GPU: domain, "GPU-n1-1": domain}), range(0, 11, 10))
    found = log.open()
    assert (found["gpu_missing", ""].verdict, found["gpu_missing", ""].observed) == (
        "breached", "1 GPUs",
    )  # fmt: skip
    assert "MPS locality domain" in found["memory_partitioned", GPU].observed
    log = standing(floors="{}")
    apart: Shown = {"memory_total_bytes": WHOLE, "pci_bus_id": "00000000:5e:00.0"}
    feed(
        log, ScriptedNode(identity={GPU: {**apart, **domain}, "GPU-n1-1": apart}), range(0, 11, 10)
    )
    assert ("gpu_missing", "") not in log.open()


@pytest.mark.parametrize(
    ("promised", "codes"),
    [("", {"memory_partitioned"}), ("\n    virtualization: mig", set())],
)
def test_a_slice_is_no_whole_card_and_is_what_a_lease_of_slices_promises(
    promised: str, codes: set[str]
) -> None:
    log = standing(floors=f"{{}}{promised}")
    node = ScriptedNode()
    inventory: dict[str, Any] = node.inventory()
    inventory["devices"][1] |= {"uuid": "MIG-a", "parent": GPU}
    inventory["devices"][1]["identity"]["readings"]["memory_total_bytes"] = 10 * GIB
    log.assign("n1", devices=["MIG-a"])
    log.report(node.report([0], inventory=inventory))
    found = {code: one for (code, device), one in log.open().items() if device == "MIG-a"}
    assert {code for code in found if code.startswith("memory")} == codes
    for code in codes:
        assert found[code].observed == f"{10 * GIB} in a MIG slice of {GPU}"
