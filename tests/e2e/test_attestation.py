"""Attestation over the two programs as processes: a driver that gives evidence, and a verifier that stands in."""

import json
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import Collector, Node, Stage, lease, wait_for
from weighbridge.log.entries import Attested, EntryKind
from weighbridge.wire.report import read

pytestmark = pytest.mark.slow
STANDIN = Path(__file__).parents[1] / "collector" / "standin.py"
REPORT = "nvmlDeviceGetConfComputeGpuAttestationReport"
CHAIN = "nvmlDeviceGetConfComputeGpuCertificate"
CHIP_0 = (f"set 0 {REPORT} signed by chip 0", f"set 0 {CHAIN} the chain of chip 0")


def verified(stage: Stage, contract: str) -> Collector:
    """A collector with a verifier that certifies nothing but the fake driver."""
    python = stage.directory / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} -I {STANDIN}\n")
    python.chmod(0o755)
    collector = stage.collector()
    with collector.config.open("a") as file:
        file.write(f"\n[attestation]\npython = {json.dumps(str(python))}\n")
    collector.start()
    collector.add(contract)
    return collector


def attesting(stage: Stage, collector: Collector) -> Node:
    """A node of two GPUs, of which the first can attest."""
    node = stage.node("n1", collector)
    node.play(*CHIP_0)
    node.enroll()
    node.start()
    return node


def test_a_contract_that_demands_it_has_its_gpus_asked_and_says_of_each_what_came_of_it(
    stage: Stage,
) -> None:
    collector = verified(stage, lease().replace("per_node:", "attestation: {}\n    per_node:"))
    node = attesting(stage, collector)

    def ended() -> list[Attested]:
        found = [read(Attested, data) for _, kind, data in collector.entries() if is_end(kind)]
        return found if len(found) == 2 else []

    verdicts = {one.device: (one.verdict, one.reason) for one in wait_for(ended, "both answers")}
    assert verdicts == {
        node.gpu(0): ("met", ""),
        node.gpu(1): ("not_assessed", "not_supported"),
    }
    results = {
        labels["uuid"]: labels["verdict"]
        for name, labels, _ in collector.gpu_metrics()
        if name == "attestation_result"
    }
    assert results == {node.gpu(0): "met", node.gpu(1): "not_assessed"}
    found = collector.get("/v1/contracts/lease/findings")["items"]
    missing = [one for one in found if one["code"] == "attestation_missing"]
    assert [(one["gpu"], one["verdict"]) for one in missing] == [(node.gpu(1), "unknown")]
    assert b"E3: its chip answered for it" in collector.request("GET", "/nodes/n1").body


def is_end(kind: EntryKind) -> bool:
    return kind is EntryKind.ATTESTED


def test_an_administrator_asks_a_node_now(stage: Stage) -> None:
    collector = verified(stage, lease())
    node = attesting(stage, collector)
    wait_for(lambda: collector.reports("n1"), "a report")
    one = collector.cli("attest", "n1", "--gpu", node.gpu(0))
    assert (one.returncode, node.gpu(0) in one.stdout) == (0, True), one.stdout + one.stderr
    assert "by stand-in 1, offline" in one.stdout
    both = collector.cli("attest", "n1")
    assert both.returncode == 4
    assert "not assessed: not_supported" in both.stdout
    node.play(f"set 0 {REPORT} signed by chip 1", CHIP_0[1])
    refused = collector.cli("attest", "n1")
    assert (refused.returncode, "refused" in refused.stdout) == (3, True)
