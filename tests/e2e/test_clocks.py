"""The system's clock stepped by an hour both ways under either program: no time is lost, and none is counted twice."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.e2e.stage import (
    Collector,
    Node,
    Stage,
    assert_seamless,
    assert_unbroken,
    lease,
    wait_for,
)
from weighbridge.log.entries import EntryKind, Tick
from weighbridge.wire.report import EventKind, read

FAKETIME = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
HOUR_US = 3_600_000_000
SLACK_S = 60
"""Far less than any step here."""
UNITS = 2

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed"),
]


class Wall:
    """The wall clock of a program; CLOCK_MONOTONIC and CLOCK_BOOTTIME stay the machine's."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "wall"
        self.set(0)

    def set(self, seconds: int) -> None:
        """So far ahead of the machine's."""
        fresh = self._file.with_name("wall.new")
        fresh.write_text(f"{seconds:+d}\n")
        fresh.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(FAKETIME[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }


def test_a_nodes_clock_that_is_stepped_moves_no_interval(
    stage: Stage, collector: Collector
) -> None:
    collector.add(lease("stepped", max_gap_s=30))
    wall = Wall(stage.directory)
    node = stage.node("stepped-node", collector)
    node.enroll(collector.invite(node.name, "stepped"))
    node.start(**wall.environment)
    collector.healthy(2, "stepped")
    for seconds in (3600, 0, -3600, 0):
        wall.set(seconds)
        skewed = seconds != 0
        wait_for(lambda: is_skewed(collector) is skewed, f"the judgement of {seconds} s")  # noqa: B023
    assert steps(collector, node) == [3600, -3600, -3600, 3600]
    assert collector.codes("stepped").count("clock_stepped") == 4
    assert_nothing_moved(collector, "stepped")
    assert_adds_up(collector, "stepped")
    assert_unbroken(collector.reports(node.name))
    node.stop()


def is_skewed(collector: Collector) -> bool:
    return ("clock_skew", "") in collector.breaches("stepped")


def steps(collector: Collector, node: Node) -> list[int]:
    """What the agent said of its clock's steps, in seconds."""
    told = [
        int(event.detail.split()[1])
        for report in collector.reports(node.name)
        for event in report.events
        if event.kind is EventKind.CLOCK_STEPPED
    ]
    return [round(microseconds / 1_000_000) for microseconds in told]


def assert_nothing_moved(collector: Collector, contract: str) -> None:
    """The GPUs were up without a seam, and for no longer than the test took."""
    lines = collector.timeline(contract)
    assert_seamless(lines, "up")
    for rows in lines.values():
        assert rows[-1]["end_us"] - rows[0]["start_us"] < HOUR_US // 2


def assert_adds_up(collector: Collector, contract: str) -> None:
    """met + breached + unknown + excluded is the time since the contract began, for both GPUs, exactly.

    What lies after the newest sample is to come for a while, so only a scrape in whose second both were seen tells.
    """
    start_us = collector.get(f"/v1/contracts/{contract}/status")["start_us"]

    def of_all_time() -> Mapping[str, int] | None:
        scrape = collector.metrics()
        spent = {
            labels["state"]: int(value)
            for name, labels, value in scrape
            if name == "contract_seconds" and labels["contract"] == contract
        }
        gone_s = UNITS * (tick_s(scrape) - start_us // 1_000_000)
        same = tick_s(scrape) == tick_s(collector.metrics())
        assert not same or sum(spent.values()) <= gone_s
        return spent if same and sum(spent.values()) == gone_s else None

    spent = wait_for(of_all_time, "a scrape in whose second both GPUs were seen")
    assert spent is not None
    assert spent["breached"] == spent["excluded"] == 0
    assert spent["met"] > 0


Scrape = list[tuple[str, dict[str, str], float]]


def tick_s(scrape: Scrape) -> int:
    (tick,) = (value for name, _, value in scrape if name == "tick_timestamp_seconds")
    return int(tick)


def test_a_collectors_clock_that_is_stepped_loses_no_time_and_never_goes_back(
    stage: Stage,
) -> None:
    wall = Wall(stage.directory)
    collector = stage.collector()
    collector.start(**wall.environment)
    collector.add(lease(max_gap_s=30))
    node = stage.reporting(collector)
    for ahead_s in (3600, -3600):
        wall.set(ahead_s)
        wait_for(lambda: is_stepped(collector) is True, "the step to be noticed")
        assert offset_s(collector) == ahead_s
        assert (
            "was stepped and is not followed" in collector.request("GET", "/readyz").body.decode()
        )
        come(collector, node, 6)
        assert_adds_up(collector, "lease")
        assert_now(collector)
        wall.set(0)
        wait_for(lambda: is_stepped(collector) is False, "it to be followed again")
        assert_now(collector)
    assert_ticks_never_go_back(collector)
    assert_nothing_moved(collector, "lease")
    assert not {"node_silent", "report_refused", "chain_started"} & set(collector.codes())
    assert "clock_skew" not in collector.codes()
    assert_unbroken(collector.reports())
    collector.stop()
    wall.set(3600)
    collector.start(**wall.environment)
    come(collector, node, 3)
    assert is_stepped(collector) is True
    assert_now(collector)
    assert_ticks_never_go_back(collector)
    assert_adds_up(collector, "lease")


def is_stepped(collector: Collector) -> bool:
    """Whether what is received is marked."""
    open_now = {row["code"] for row in collector.history() if row["until_us"] is None}
    return "collector_clock_stepped" in open_now


def offset_s(collector: Collector) -> int:
    (offset,) = (value for name, _, value in collector.metrics() if name == "clock_offset_seconds")
    return round(offset)


def assert_now(collector: Collector) -> None:
    """Its ticks are the machine's, whose own clock nobody set."""
    assert abs(tick_s(collector.metrics()) - time.time()) < SLACK_S


def come(collector: Collector, node: Node, count: int) -> None:
    """So many more reports."""
    there = len(collector.reports(node.name))
    enough: Callable[[], bool] = lambda: len(collector.reports(node.name)) >= there + count  # noqa: E731
    wait_for(enough, f"{count} reports")


def assert_ticks_never_go_back(collector: Collector) -> None:
    ticks = [
        read(Tick, payload).wall_us
        for _, kind, payload in collector.entries()
        if kind is EntryKind.TICK
    ]
    assert ticks == sorted(ticks)
