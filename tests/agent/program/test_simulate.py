"""The fleet: real agents, scripted faults, each said when it is planted."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from agent.report.sampler import Schedule
from agent.simulation.clock import LogicalClock
from agent.simulation.fleet import SimulatedFleet, SimulatedNode, enrol_fleet
from agent.simulation.scenario import Scenario
from weighbridge.wire.report import EventKind, Report

DEADLINE_S = 60
START_US = 1_790_812_800_000_000
SCENARIO = """
version: 1
seed: 3
faults:
  - {kind: power_cap, node: 0, gpus: [1], after_seconds: 1, limit_milliwatts: 350000}
  - {kind: same_uuid, node: 2, gpus: [0], of_node: 0, of_gpu: 0}
  - {kind: network_cut, node: 1, after_seconds: 1, until_seconds: 4}
  - {kind: silence, node: 2, after_seconds: 2, until_seconds: 4}
"""


def simulate(directory: Path, collector: Any, *flags: str) -> subprocess.CompletedProcess[str]:
    (directory / "scenario.yaml").write_text(SCENARIO)
    invites = [collector.invite(f"node-{number}") for number in range(3)]
    (directory / "invites").write_text("\n".join(invites))
    return subprocess.run(
        [
            sys.executable, "-m", "agent", "simulate", "--nodes", "3", "--gpus", "2",
            "--scenario", str(directory / "scenario.yaml"),
            "--invites", str(directory / "invites"),
            "--interval-ms", "250", *flags,
        ],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )  # fmt: skip


def of_node(reports: list[Report], name: str) -> list[Report]:
    return [report for report in reports if report.node == name]


def test_faults_are_said_when_they_are_planted_and_show_in_the_devices_alone(
    tmp_path: Path, collector_thread: Any
) -> None:
    collector = collector_thread.fake
    done = simulate(tmp_path, collector, "--seconds", "6")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    planted = {(line["planted"], line["node"]) for line in lines if "planted" in line}
    assert planted == {
        ("power_cap", "node-0"),
        ("same_uuid", "node-2"),
        ("network_cut", "node-1"),
        ("silence", "node-2"),
    }
    assert [line["lifted"] for line in lines if "lifted" in line].count("silence") == 1
    capped = next(line["device"] for line in lines if line.get("planted") == "power_cap")
    limits = power_limits(of_node(collector.reports, "node-0"), capped)
    assert (limits[0], limits[-1]) == (700_000, 350_000)
    assert "same_uuid" not in repr(collector.reports)
    assert collector.refusals == []
    assert_every_chain_is_whole(collector.reports)


def power_limits(reports: list[Report], device: str) -> list[int | None]:
    return [
        row[block.devices.index(device)]
        for report in reports
        for block in report.blocks
        if block.tier == "fast"
        for row in block.readings["power_limit_enforced_milliwatts"]
    ]


def assert_every_chain_is_whole(reports: list[Report]) -> None:
    """Cut off or silenced: nothing is lost, nothing is twice, and the goodbye is the last word."""
    for name, chains in (("node-0", 1), ("node-1", 1), ("node-2", 1)):
        mine = of_node(reports, name)
        assert len({report.chain for report in mine}) == chains
        assert [report.seq for report in mine] == list(range(len(mine)))
        assert mine[-1].events[-1].kind is EventKind.AGENT_STOPPED
    starts = Counter(
        report.node
        for report in reports
        for event in report.events
        if event.kind is EventKind.AGENT_STARTED
    )
    assert starts == {"node-0": 1, "node-1": 1, "node-2": 2}


async def test_a_fleet_that_is_simulated_again_over_its_state_boots_anew(
    tmp_path: Path, collector_thread: Any
) -> None:
    collector = collector_thread.fake
    made = SimulatedFleet(
        1, 1, Scenario(), [collector.invite("n1")], None, tmp_path, Schedule(), 1 << 20
    )
    (identity,) = await enrol_fleet(made)
    for now_us in (START_US, START_US + 86_400_000_000):
        node = SimulatedNode(0, made, identity, LogicalClock(now_us))
        node.start()
        while node.pending:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await node.close()
    assert len({report.boot for report in collector.reports}) == 2


def test_too_few_invites_are_a_usage_error(tmp_path: Path, collector_thread: Any) -> None:
    done = simulate(tmp_path, collector_thread.fake, "--nodes", "4")
    assert done.returncode == 2
    assert "3 invites for 4 nodes" in done.stderr


def test_a_bad_scenario_is_a_usage_error(tmp_path: Path, collector_thread: Any) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nfaults: [{kind: gremlins, node: 0}]\n")
    done = simulate(tmp_path, collector_thread.fake, "--scenario", str(tmp_path / "bad.yaml"))
    assert done.returncode == 2
    assert "bad.yaml" in done.stderr
