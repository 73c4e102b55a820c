"""What the demonstration leases, what is wrong with it, and what must be found: data, and nothing that runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from weighbridge.settlement.periods import instant_text

GPUS = 8
HONEST = "K-HONEST"


@dataclass(frozen=True, slots=True)
class Lease:
    """One contract of the demonstration; `nodes` are those that serve it, of `promised`."""

    contract: str
    nodes: tuple[str, ...]
    promised: int


LEASES = (
    Lease(HONEST, ("honest-1", "honest-2", "honest-3"), 3),
    Lease("K-NORTH", ("north-1", "north-2", "north-3", "north-4"), 4),
    Lease("K-SOUTH", ("south-1", "south-2"), 2),
    Lease("K-PAPER", (), 2),
)
NODES = tuple(node for lease in LEASES for node in lease.nodes)


@dataclass(frozen=True, slots=True)
class Expected:
    """A finding that must come: its contract, code and node, and whether it is about the GPU that was struck."""

    contract: str
    code: str
    node: str = ""
    device: bool = False
    verdict: str = "breached"


@dataclass(frozen=True, slots=True)
class Fault:
    """One planted fault: its name, the scenario's words for it, and the findings it must lead to."""

    name: str
    told: str
    expected: tuple[Expected, ...]
    scenario: Mapping[str, Any] = field(default_factory=dict)


def _on(node: str, **words: Any) -> dict[str, Any]:
    return {"node": NODES.index(node), **words}


FAULTS = (
    Fault(
        "cheaper_card",
        "north-1, GPU 1: an H100 PCIe under the name of an H100 SXM",
        (Expected("K-NORTH", "sku_mismatch", "north-1", device=True),),
        _on("north-1", kind="cheaper_card", gpus=[1], sku="H100-PCIe-80GB"),
    ),
    Fault(
        "power_cap",
        "north-2, GPU 6: power limit lowered to 350 W",
        (Expected("K-NORTH", "power_capped", "north-2", device=True),),
        _on("north-2", kind="power_cap", gpus=[6], limit_milliwatts=350_000, after_seconds=4),
    ),
    Fault(
        "fall_off_bus",
        "north-2, GPU 5: falls off the bus, XID 79",
        (
            Expected("K-NORTH", "gpu_lost", "north-2", device=True),
            Expected("K-NORTH", "xid_fatal", "north-2", device=True),
        ),
        _on("north-2", kind="fall_off_bus", gpus=[5], xid=79, after_seconds=5),
    ),
    Fault(
        "pcie_width",
        "north-2, GPU 2: PCIe link at 8 lanes of 16",
        (Expected("K-NORTH", "pcie_narrow", "north-2", device=True),),
        _on("north-2", kind="pcie_width", gpus=[2], lanes=8, after_seconds=4),
    ),
    Fault(
        "mig_slice",
        "north-3, GPU 0: a MIG slice sold as a whole GPU",
        (Expected("K-NORTH", "mig_on", "north-3", device=True),),
        _on("north-3", kind="mig_slice", gpus=[0]),
    ),
    Fault(
        "foreign_process",
        "north-3, GPU 4: a process of another tenant",
        (Expected("K-NORTH", "foreign_process", "north-3"),),
        _on("north-3", kind="foreign_process", gpus=[4], after_seconds=5),
    ),
    Fault(
        "network_cut",
        "north-4: cut off from the network, sends its spool later",
        (
            Expected("K-NORTH", "node_silent", "north-4", verdict="unknown"),
            Expected("K-NORTH", "evidence_late", "north-4"),
        ),
        _on("north-4", kind="network_cut", after_seconds=4, until_seconds=16),
    ),
    Fault(
        "silence",
        "south-1: goes silent",
        (Expected("K-SOUTH", "node_silent", "south-1", verdict="unknown"),),
        _on("south-1", kind="silence", after_seconds=6),
    ),
    Fault(
        "same_uuid",
        "south-2, GPU 0: shows the UUID of north-1, GPU 7, so it is sold twice",
        (
            Expected("K-NORTH", "duplicate_device", "north-1", device=True),
            Expected("K-SOUTH", "duplicate_device", "south-2", device=True),
        ),
        _on("south-2", kind="same_uuid", gpus=[0], of_node=NODES.index("north-1"), of_gpu=7),
    ),
    Fault(
        "never_reports",
        "K-PAPER: a contract on paper, whose nodes never report",
        (Expected("K-PAPER", "never_reported"),),
    ),
)
LEAST_SECONDS = 26
"""The last fault has been planted, ended and found by then, with some seconds to spare."""


def scenario(faults: Sequence[Fault]) -> str:
    """The scenario file of the fleet's process."""
    planted = [dict(fault.scenario) for fault in faults if fault.scenario]
    return yaml.safe_dump(
        {"version": 1, "seed": 8470, "sku": "H100-SXM-80GB", "load_percent": 95, "faults": planted},
        sort_keys=False,
    )


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a contract waits for a sample, for the first report of a node, and for the next one."""

    gap_s: int
    first_s: int
    heard_s: int


PATIENT = Patience(60, 600, 60)
"""Where nothing may be found: a machine that is busy with other things holds agents up, and that accuses nobody."""
QUICK = Patience(5, 600, 9)
PAPER = Patience(5, 15, 9)

CONTRACT = """\
contract_id: {contract}
effective: {now}
time_zone: UTC
currency: USD
parties:
  - {{id: provider, name: The provider, role: provider}}
  - {{id: lessee, name: Lessee of {contract}, role: lessee}}
term: {{from: {now}, to: {end}}}
resources:
  - id: nodes
    accelerator: {{sku: {sku}}}
    nodes: "{nodes}"
    per_node: "{gpus}"
    virtualization: {form}
    floors: {floors}
    exclusivity: {{mode: exclusive}}
availability:
  - {{id: gpus, unit: gpu, target: "0.99"}}
  - {{id: nodes, unit: node, target: "0.95"}}
unknown: {{policy: hold}}
sampling: {{interval_s: "5", max_gap_s: "{gap_s}", first_report_within_s: "{first_s}", heard_within_s: "{heard_s}"}}
"""
WHOLE_H100 = (
    '{power_limit_milliwatts: "700000", pcie_width: "16", pcie_generation: "5", ecc: on, mig: off}'
)


def contract(lease: Lease, now_s: int) -> str:
    """The text of a lease's contract, in force from `now_s` on."""
    patience = PATIENT if lease.contract == HONEST else QUICK if lease.nodes else PAPER
    name, promised = lease.contract, lease.promised
    return contract_text(
        name, "H100-SXM-80GB", promised, GPUS, WHOLE_H100, now_s, patience=patience
    )


def contract_text(
    name: str,
    sku: str,
    nodes: int,
    gpus: int,
    floors: str,
    now_s: int,
    form: str = "bare_metal",
    patience: Patience = PATIENT,
) -> str:
    """A year's contract in force from `now_s` on. `form`: of delivery, as contracts name it."""
    return CONTRACT.format(
        contract=name,
        sku=sku,
        nodes=nodes,
        gpus=gpus,
        floors=floors,
        form=form,
        gap_s=patience.gap_s,
        first_s=patience.first_s,
        heard_s=patience.heard_s,
        now=instant_text(now_s),
        end=instant_text(now_s + 365 * 86400),
    )
