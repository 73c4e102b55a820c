"""Programs that are killed, and disks that are full: nothing that was acknowledged is lost, and nobody need help."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import (
    Collector,
    Node,
    Stage,
    assert_kept,
    assert_seamless,
    assert_unbroken,
    lease,
    wait_for,
)
from weighbridge.wire.report import EventKind

BATCHES = 70
"""Reports that do not fit into one request."""


@pytest.mark.slow
def test_a_collector_that_was_killed_and_away_gets_every_report_in_order(stage: Stage) -> None:
    collector = stage.serving(lease(max_gap_s=5))
    node = stage.reporting(collector, interval_ms=100)
    node.play("set 0 nvmlDeviceGetEnforcedPowerLimit 350000")
    wait_for(lambda: ("power_capped", node.gpu(0)) in collector.breaches(), "the power cap")
    collector.kill()
    wait_for(lambda: node.pending() > BATCHES, "a backlog of more than one batch")
    collector.start()
    wait_for(lambda: node.pending() == 0, "the backlog to be delivered")
    assert_unbroken(collector.reports())
    assert_kept(node, collector)
    assert_seamless(collector.timeline(), "up", "degraded")
    found = collector.codes()
    assert found.count("power_capped") == 1
    other = {"chain_gap", "chain_started", "report_refused", "clock_skew", "evidence_late"}
    assert not other & set(found)
    node.stop()
    collector.stop()


@pytest.mark.slow
def test_a_spool_too_small_for_the_outage_keeps_the_newest_and_says_what_is_gone(
    stage: Stage,
) -> None:
    collector = stage.serving()
    node = stage.reporting(collector, interval_ms=100, spool_bytes=64 << 10)
    wait_for(collector.timeline, "time that was seen")
    collector.kill()
    wait_for(lambda: node.facts().get("spool_dropped_count", 0) > 5, "reports to be dropped")
    collector.start()
    wait_for(lambda: node.pending() == 0, "the rest to be delivered")
    gaps = [gap for report in collector.reports() for gap in report.gaps]
    assert gaps
    (lost, *_) = [row for row in collector.history() if row["code"] == "chain_gap"]
    assert "are gone: " in lost["observed"]
    noted = "finding_noted_timestamp_seconds"
    assert {
        (labels["node"], labels["check"])
        for name, labels, at_s in collector.metrics()
        if name == noted and at_s > 0
    } >= {("n1", "chain_gap")}
    assert_kept(node, collector)
    collector.healthy(2)
    assert_never_down_between_two_chains(collector)


def assert_never_down_between_two_chains(collector: Collector) -> None:
    """What was lost with the reports is time that no interval covers."""
    old, new = {report.chain: None for report in collector.reports()}
    lines = collector.timeline()
    assert {row["state"] for rows in lines.values() for row in rows} == {"up"}
    for slot in (0, 1):
        before, after = (lines["n1", slot, f"{chain}/node"] for chain in (old, new))
        assert before[-1]["end_us"] < after[0]["start_us"]


@pytest.mark.slow
def test_an_agent_that_is_killed_goes_on_in_its_chain_and_uses_no_number_twice(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("killed"))
    node = stage.reporting(collector, "killed-node", 2, "killed", interval_ms=100)
    for started in range(2, 4):
        node.kill()
        node.start()
        wait_for(lambda: starts(collector, node) == started, "word of the start")  # noqa: B023
    node.stop()
    reports = collector.reports(node.name)
    assert len({report.chain for report in reports}) == 1
    assert_unbroken(reports)
    assert_kept(node, collector)
    assert not {"report_refused", "chain_started", "chain_gap"} & set(collector.codes("killed"))


def starts(collector: Collector, node: Node) -> int:
    events = [event.kind for report in collector.reports(node.name) for event in report.events]
    return events.count(EventKind.AGENT_STARTED)


def test_a_reimaged_node_begins_a_new_chain_which_is_recorded_and_accepted(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("reimaged"))
    node = stage.reporting(collector, "reimaged-node", 2, "reimaged")
    node.kill()
    shutil.rmtree(node.state)
    before = len(collector.reports(node.name))
    node.enroll(collector.invite(node.name, "reimaged"))
    node.start()
    wait_for(lambda: len(collector.reports(node.name)) >= before + 3, "reports of the new image")
    collector.healthy(2, "reimaged")
    old, new = (collector.reports(node.name)[at] for at in (0, -1))
    assert old.chain != new.chain
    assert_unbroken(collector.reports(node.name))
    assert collector.codes("reimaged").count("chain_started") == 1
    assert not {"report_refused", "duplicate_device"} & set(collector.codes("reimaged"))


@pytest.fixture
def small_disk(stage: Stage) -> Iterator[Path]:
    """A file system of 8 MiB."""
    place = stage.directory / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        yield place
        return
    yield place
    stage.close()
    # Lazily: what settles beside a collector ends a moment after it was killed.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(collector: Collector) -> Callable[[], None]:
    """Leave the collector no room. Returns what makes room again."""
    disk = collector.directory.parent
    if not disk.is_mount():
        return limit_files(collector)
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        while write(file.fileno()):
            pass
    return filler.unlink


def write(file: int) -> bool:
    try:
        return os.write(file, bytes(4096)) > 0
    except OSError:
        return False


def limit_files(collector: Collector) -> Callable[[], None]:
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    segment = max((collector.directory / "evidence" / "segments").iterdir())
    room = (segment.stat().st_size + 2000, resource.RLIM_INFINITY)
    resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, room)
    return lambda: resource.prlimit(collector.pid, resource.RLIMIT_FSIZE, unlimited) and None


@pytest.mark.slow
def test_a_full_disk_of_the_collector_heals_by_itself_and_loses_nothing(
    stage: Stage, small_disk: Path
) -> None:
    collector = stage.collector(f"{small_disk.name}/store")
    collector.start()
    collector.add(lease(max_gap_s=30))
    node = stage.reporting(collector)
    make_room = fill(collector)
    wait_for(lambda: ready(collector) == 503, "word that nothing can be stored")
    wait_for(lambda: "reports stay in the spool: overloaded" in node.log(), "the agent to be told")
    assert collector.request("GET", "/healthz").status == 200
    wait_for(lambda: node.pending() > 5, "reports to wait in the spool")
    make_room()
    wait_for(lambda: ready(collector) == 200, "word that it stores again")
    wait_for(lambda: node.pending() == 0, "the backlog to be delivered")
    assert_unbroken(collector.reports())
    assert_kept(node, collector)
    assert_seamless(collector.timeline(), "up")
    collector.kill()
    collector.start()
    assert_kept(node, collector)


def ready(collector: Collector) -> int:
    return collector.request("GET", "/readyz").status


@pytest.mark.slow
def test_an_agent_without_room_for_its_spool_says_so_and_reports_when_there_is(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("no-room"))
    node = stage.node("no-room-node", collector)
    node.enroll(collector.invite(node.name, "no-room"))
    node.start("prlimit", "--fsize=1048576:unlimited")
    wait_for(lambda: "spool cannot be written" in node.log(), "the complaint")
    assert node.alive
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, unlimited)
    collector.healthy(2, "no-room")
    reports = collector.reports(node.name)
    assert_unbroken(reports)
    assert reports[0].events[0].kind is EventKind.AGENT_STARTED
    assert node.log().count("spool cannot be written") == 1
