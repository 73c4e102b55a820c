"""Everything but the segments is deleted: what the collector answers about the past is the same again."""

from typing import Any

import pytest

from tests.e2e.stage import Collector, Node, Stage, assert_kept, wait_for
from weighbridge.log.merkle import verify_consistency

Json = Any


@pytest.mark.slow
def test_index_ledger_and_tree_are_made_again_from_the_segments(stage: Stage) -> None:
    collector = stage.serving()
    node = with_a_history(stage, collector)
    before = answers(collector)
    head = collector.get("/v1/log/head")
    assert {"power_capped", "gpu_lost"} <= {row["code"] for row in before["history"]}
    assert [row["state"] for row in before["timeline"]] == ["up", "down", "up", "degraded", "up"]
    for lost in ("index.sqlite", "evidence/tree"):
        collector.stop()
        (collector.directory / lost).unlink()
        collector.start()
        assert answers(collector) == before, lost
        assert_kept(node, collector)
        assert_grown(collector, head)


def assert_grown(collector: Collector, old: Json) -> None:
    """The log now holds the log then."""
    new = collector.get("/v1/log/head")
    hashes = collector.get(f"/v1/log/proof?from={old['size']}&to={new['size']}")["hashes"]
    proof = [bytes.fromhex(one) for one in hashes]
    first, second = (bytes.fromhex(head["root"]) for head in (old, new))
    assert verify_consistency(old["size"], new["size"], first, second, proof)


def with_a_history(stage: Stage, collector: Collector) -> Node:
    """Faults that came and went, and one that stays; then the agent stops for good."""
    node = stage.reporting(collector)
    node.play("set 0 nvmlDeviceGetEnforcedPowerLimit 350000")
    wait_for(lambda: ("power_capped", node.gpu(0)) in collector.breaches(), "the power cap")
    node.play()
    wait_for(lambda: collector.breaches() == set(), "its end")
    node.play("lost 1")
    wait_for(lambda: ("gpu_lost", node.gpu(1)) in collector.breaches(), "the lost GPU")
    wait_for(lambda: "down" in str(collector.timeline()), "time for which it is lost")
    node.stop()
    wait_for(lambda: collector.get(f"/v1/nodes/{node.name}")["silent"], "its silence")
    return node


def answers(collector: Collector) -> dict[str, Json]:
    """What the API says of the past: of a silent node nothing is left to come."""
    return {
        "history": sorted(collector.history(), key=place),
        "findings": collector.pages("/v1/contracts/lease/findings"),
        "timeline": collector.pages("/v1/contracts/lease/timeline"),
        "contract": collector.get("/v1/contracts/lease"),
        "node": collector.get("/v1/nodes/n1"),
        "reports": [report.seq for report in collector.reports()],
    }


def place(row: Json) -> tuple[Json, ...]:
    return row["node"], row["code"], row["gpu"], row["since_us"]
