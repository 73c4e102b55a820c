"""How much GPUs are used, as the fold sums it up by hour."""

from typing import Any

import pytest

from tests.weighbridge.scripted import (
    FAST,
    SECOND,
    START_US,
    Log,
    ScriptedNode,
    contract_text,
)
from weighbridge.catalogue.readings import BOUNDS
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.latest_readings import LatestReadings, LatestSample
from weighbridge.judge.ledger import Use
from weighbridge.judge.usage import BUSY, ENERGY, POWER, UseMeter, take_in
from weighbridge.wire.report import MAX_INTEGER

HOUR = 3600
GPU = "GPU-n1-0"


def standing(node: ScriptedNode, **changes: Any) -> Log:
    log = Log()
    log.tick(0)
    log.contract(contract_text(**changes))
    log.assign(node.name)
    log.introduce(node.name)
    return log


def uses(log: Log) -> list[Use]:
    """The last word on each hour and chain."""
    found = [change for change in log.changes if isinstance(change, Use)]
    return list({(use.hour_us, use.chain): use for use in found}.values())


def told(log: Log) -> list[tuple[int, ...]]:
    """Of each hour in device-seconds: seen, known, in use, read for busy; percent-seconds; joules."""
    return [
        (
            (use.hour_us - START_US) // SECOND // HOUR,
            *(n // SECOND for n in (use.seen, use.known, use.in_use, use.busy_known, use.busy)),
            use.energy_millijoules,
        )
        for use in uses(log)
    ]


def test_hours_are_cut_exactly_and_the_energy_between_two_samples_is_of_the_first_ones() -> None:
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    seconds = [HOUR - 25, HOUR - 5, HOUR + 15, 2 * HOUR - 1, 2 * HOUR + 10]
    counters = dict(zip(seconds, (100, 110, 150, 999, 1000), strict=True))
    changes = {second: {GPU: {"energy_millijoules": joules}} for second, joules in counters.items()}
    log.tick(3 * HOUR)
    log.report(node.report(seconds, changes))
    log.assign("n1", devices=[])
    assert told(log) == [
        (0, 25, 25, 25, 25, 25 * 90, 50),
        (1, 15 + 1, 15 + 1, 15 + 1, 15 + 1, 16 * 90, 1),
        (2, 10, 10, 10, 10, 10 * 90, 0),
    ]


@pytest.mark.parametrize("percent", [-1, 101, MAX_INTEGER])
def test_what_is_no_percentage_tells_nothing_of_how_busy_a_gpu_was(percent: int) -> None:
    """Its sum would not fit in a ledger, whose writer would stop for good."""
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    changes = {
        second: {GPU: {"utilization_gpu_percent": value}}
        for second, value in ((0, percent), (10, 100), (20, 0))
    }
    log.tick(30)
    log.report(node.report([0, 10, 20, 30], changes))
    log.assign("n1", devices=[])
    ((_, seen, _, _, read, busy, _),) = told(log)
    assert (seen, read, busy) == (30, 20, 1000)


@pytest.mark.parametrize("most", [MAX_INTEGER, BOUNDS["millijoules"].most])
def test_a_counter_of_energy_that_runs_wild_adds_to_no_sum(most: int) -> None:
    """Beyond its bounds, or faster than any card can draw: of each second that does, nothing is read for energy."""
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    joules = [0, 10_000_000, most, 0, most, 0, 0, 1_000]
    log.tick(30)
    changes = {second: {GPU: {"energy_millijoules": told}} for second, told in enumerate(joules)}
    log.report(node.report(range(len(joules)), changes))
    log.assign("n1", devices=[])
    (use,) = uses(log)
    assert (use.energy_known, use.energy_millijoules) == (3 * SECOND, 10_001_000)


@pytest.mark.parametrize(
    ("readings", "processes", "known", "in_use"),
    [
        ({"power_draw_milliwatts": 300_000}, None, 10, 10),
        ({"power_draw_milliwatts": 60_000}, None, 10, 0),
        ({"power_draw_milliwatts": "not_supported"}, None, 0, 0),
        ({"power_draw_milliwatts": "not_supported"}, [], 10, 0),
        ({"power_draw_milliwatts": 60_000}, [GPU], 10, 10),
    ],
)
def test_power_above_the_idle_band_or_a_process_is_use_and_what_cannot_be_told_is_not_known(
    readings: dict[str, int | str], processes: list[str] | None, known: int, in_use: int
) -> None:
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    listed = (
        None
        if processes is None
        else [
            {
                "boottime_us": 1,
                "device": device,
                "memory_bytes": 1,
                "owner": "o",
                "class": "container",
            }
            for device in processes
        ]
    )
    log.tick(100)
    log.report(
        node.report([0, 10], {second: {GPU: readings} for second in (0, 10)}, processes=listed)
    )
    log.assign("n1", devices=[])
    assert told(log)[0][1:4] == (10, known, in_use)


def test_a_sample_holds_until_the_next_one_says_otherwise() -> None:
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    idle = {GPU: {"power_draw_milliwatts": 60_000, "utilization_gpu_percent": 0}}
    log.tick(100)
    log.report(node.report([0, 10, 20, 30], {10: idle, 20: idle}, processes=None))
    log.assign("n1", devices=[])
    assert told(log)[0][1:6] == (30, 30, 10, 30, 10 * 90)


def test_a_gpu_that_does_not_answer_is_not_in_use_whatever_held_it() -> None:
    """GPU 0 is lost from 10 to 20; a process still stands in the list. GPU 1's energy goes on."""
    node = ScriptedNode()
    log = standing(node)
    lost: dict[str, int | str] = dict.fromkeys(FAST, "gpu_is_lost")
    changes: dict[int, dict[str, dict[str, int | str]]] = {
        second: {
            GPU: {"energy_millijoules": 7} if second != 10 else lost,
            "GPU-n1-1": {"energy_millijoules": second},
        }
        for second in (0, 10, 20, 30)
    }
    process = {"boottime_us": 1, "device": GPU, "memory_bytes": 1, "owner": "o", "class": "user"}
    log.tick(100)
    log.report(node.report([0, 10, 20, 30], changes, processes=[process]))
    log.assign("n1", devices=[])
    (hour,) = uses(log)
    assert (hour.seen // SECOND, hour.in_use // SECOND) == (50, 50)
    assert hour.energy_millijoules == 30


def test_time_that_is_not_bridged_and_a_counter_that_began_anew_add_nothing() -> None:
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    counters = {0: 50, 10: 60, 1000: 900, 1010: 5, 1020: 7}
    changes = {second: {GPU: {"energy_millijoules": joules}} for second, joules in counters.items()}
    log.tick(2000)
    log.report(node.report(list(counters), changes))
    log.assign("n1", devices=[])
    (hour,) = uses(log)
    assert (hour.seen // SECOND, hour.energy_known // SECOND) == (30, 20)
    assert hour.energy_millijoules == 10 + 2


def test_a_release_and_a_silence_keep_what_was_seen_so_far() -> None:
    node = ScriptedNode(gpus=1)
    log = standing(node, per_node=1)
    log.tick(100)
    log.report(node.report([0, 10]))
    log.tick_through(101, 200)
    assert told(log)[0][1] == 10
    log.report(node.report([190, 200]))
    log.assign("n1", devices=[])
    assert told(log)[0][1] == 20
    assert len(uses(log)) == 1


def test_sums_are_the_same_for_any_split_and_restart() -> None:
    seconds = range(0, 2 * HOUR + 100, 30)
    changes = {s: {GPU: {"energy_millijoules": s * s}} for s in seconds}
    whole, node = standing(ScriptedNode()), ScriptedNode()
    whole.tick(9000)
    whole.report(node.report(seconds, changes))
    split, node = standing(ScriptedNode()), ScriptedNode()
    for first in range(0, len(seconds), 7):
        mine = seconds[first : first + 7]
        split.tick(mine[-1])
        restarted = FleetFold()
        restarted.restore(split.fold.snapshots(), split.entries)
        split.fold = restarted
        split.report(node.report(mine, changes))
    for log in (whole, split):
        log.assign("n1", devices=[])
    assert told(split) == told(whole)
    assert len(told(whole)) == 3


def test_what_an_older_build_kept_of_use_goes_on() -> None:
    device = "GPU-1"
    sample = LatestSample(10, [device], {POWER: [700_000], BUSY: [90], ENERGY: [1]}, {})
    view = LatestReadings(tiers={"fast": sample})
    meter = UseMeter(slots=[device], idle=[None], load=(1, 0, 0, 1, 90), counters=[1])
    assert take_in(meter, view, [device], 0, 10, {POWER}, 10) == []
    assert meter.load == (1, 0, 0, 1, 90)
