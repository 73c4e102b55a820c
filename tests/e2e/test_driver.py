"""A driver that hangs, goes away, comes back, or is let go of: the node's other GPUs and the agent live on."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Collector, Node, Stage, lease, wait_for

READING = "power_draw_milliwatts"


@pytest.mark.slow
def test_a_call_that_never_returns_costs_one_reading_of_one_gpu(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("hanging", max_gap_s=30))
    node = stage.reporting(collector, "hanging-node", 2, "hanging")
    process = node.pid
    node.play("hang 1 nvmlDeviceGetPowerUsage", "code 1 nvmlDeviceGetFieldValues 3")
    wait_for(lambda: "call_quarantined" in collector.codes("hanging"), "word of the quarantine")
    wait_for(lambda: shown(collector, node, 1)["unavailable"].get(READING), "a reason")
    assert shown(collector, node, 1)["unavailable"][READING] == "quarantined"
    wait_for(lambda: READING in shown(collector, node, 0)["readings"], "the other GPU's reading")
    assert shown(collector, node, 1)["readings"]["temperature_gpu_celsius"] == 31
    wait_for(lambda: collector.counts("hanging")["reporting"] == 2, "both GPUs to be read again")
    (found,) = [row for row in collector.history("hanging") if row["code"] == "call_quarantined"]
    assert node.gpu(1) in found["observed"]
    assert collector.breaches("hanging") == set()
    assert (node.alive, node.pid) == (True, process)
    states = {row["state"] for row in collector.pages("/v1/contracts/hanging/timeline")}
    assert states <= {"up", "unknown"}


def shown(collector: Collector, node: Node, index: int) -> dict[str, dict[str, object]]:
    """What the API last shows of a GPU."""
    (place,) = collector.get(f"/v1/gpus/{node.gpu(index)}")["places"]
    found: dict[str, dict[str, object]] = place
    return found


def test_a_pause_is_unknown_time_by_whose_agent_and_never_down(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("paused"))
    node = stage.reporting(collector, "paused-node", 2, "paused")
    assert node.cli("pause", "MIG change, ticket 4711").returncode == 0
    wait_for(lambda: collector.counts("paused")["reporting"] == 0, "the pause to show")
    wait_for(lambda: "paused" in causes(collector, "paused"), "an interval of the pause")
    assert collector.get(f"/v1/nodes/{node.name}")["silent"] is False
    assert collector.breaches("paused") == set()
    assert node.cli("resume").returncode == 0
    collector.healthy(2, "paused")
    rows = collector.pages("/v1/contracts/paused/timeline")
    assert {row["state"] for row in rows} == {"up", "unknown"}
    assert {row["cause"] for row in rows if row["state"] == "unknown"} == {"paused"}
    assert any("MIG change, ticket 4711" in str(r) for r in collector.reports(node.name))


def causes(collector: Collector, contract: str) -> set[str]:
    return {row["cause"] for row in collector.pages(f"/v1/contracts/{contract}/timeline")}


@pytest.fixture
def removable(stage: Stage, library: Path) -> Iterator[Path]:
    """The library in a place of its own, from which a test may take it."""
    place = stage.directory / "driver"
    shutil.copytree(library, place)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.slow
def test_a_driver_that_is_unloaded_and_loaded_again_needs_nobody(
    stage: Stage, collector: Collector, removable: Path
) -> None:
    collector.add(lease("reloaded", max_gap_s=100))
    node = stage.node("reloaded-node", collector)
    node.driver.directory = removable
    node.enroll(collector.invite(node.name, "reloaded"))
    node.start()
    collector.healthy(2, "reloaded")
    assert node.cli("pause", "driver upgrade").returncode == 0
    wait_for(lambda: "paused" in causes(collector, "reloaded"), "the pause")
    unloaded = removable.rename(removable.with_name("unloaded"))
    assert node.cli("resume").returncode == 0
    wait_for(lambda: "library_not_found" in causes(collector, "reloaded"), "word of no library")
    assert collector.breaches("reloaded") == set()
    unloaded.rename(removable)
    collector.healthy(2, "reloaded", seconds=90)
    assert node.alive
    rows = collector.pages("/v1/contracts/reloaded/timeline")
    assert {row["state"] for row in rows} == {"up", "unknown"}
    assert collector.breaches("reloaded") == set()
