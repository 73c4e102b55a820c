"""Readings for plots, from a real store: what the log's reports say, within bounds, and of no other tenant."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collector.log.commits import CommitBatch
from collector.log.keys import load_keys
from collector.storage.store import ChainKey
from collector.web.readings import EVERY, PLACES, READ_ON, Readings
from tests.collector.building import Agent, hand_out, log_signer, make_store, opened
from weighbridge.judge.slot_history import NEVER_US
from weighbridge.log.entries import Assignment, EntryKind, entry
from weighbridge.wire.report import decode, digest

SECOND_US = 1_000_000
START_US = 1_790_000_000 * SECOND_US
POWER, TEMPERATURE, ECC = (
    "power_draw_milliwatts",
    "temperature_gpu_celsius",
    "ecc_total_corrected_volatile_count",
)
NAMES = (POWER, TEMPERATURE, ECC)


def block(agent: Agent, at_us: int, tier: str, reading: str, *rows: list[int | None]) -> Any:
    nulls = [
        {"device": uuid, "from": n, "reading": reading, "reason": "gpu_is_lost", "to": n + 1}
        for n, row in enumerate(rows)
        for uuid, value in zip(agent.devices, row, strict=True)
        if value is None
    ]
    times = [at_us + n * SECOND_US for n in range(len(rows))]
    return {
        "tier": tier,
        "boottime_us": times,
        "devices": agent.devices,
        "readings": {reading: rows},
        "unavailable": nulls,
    }


Value = Callable[[int], int | None]


class Script:
    """A store with one node of two GPUs, whose agent reports on the second GPU twice what is on the first."""

    def __init__(self, directory: Path) -> None:
        self.agent = Agent("n1", gpus=2)
        self.directory = make_store(directory / "store", [self.agent])

    def enter(self, numbers: range, value: Value, every_s: int = 10, late_s: int = 0) -> None:
        """Reports `every_s` apart, each sixth with slow readings; received as they are made, or later."""
        with opened(self.directory) as store:
            for number in numbers:
                at_us = START_US + number * every_s * SECOND_US
                batch = CommitBatch(store, log_signer(self.directory), at_us + late_s * SECOND_US)
                self._report(batch, number, at_us, value(number))
                store.log.append(batch.leaves)
                store.index.record(batch.indexed)
            hand_out(self.directory, store)

    def enter_long(self, at_us: int, values: list[int | None]) -> None:
        """One report of the first GPU's power at each of these seconds before it is made."""
        agent, begin_us = self.agent, at_us - len(values) * SECOND_US
        rows = [[value, 0] for value in values]
        blocks = [block(agent, begin_us - START_US, "fast", POWER, *rows)]
        clock = {"wall_us": at_us, "boottime_us": at_us - START_US, "synchronized": True}
        payload = agent.payload(blocks=blocks, clock=clock)
        with opened(self.directory) as store:
            batch = CommitBatch(store, log_signer(self.directory), at_us)
            self._add(batch, payload)
            store.log.append(batch.leaves)
            store.index.record(batch.indexed)
            hand_out(self.directory, store)

    def _report(self, batch: CommitBatch, number: int, at_us: int, value: int | None) -> None:
        agent, boot_us = self.agent, at_us - START_US
        row = [value, None if value is None else 2 * value]
        blocks = [block(agent, boot_us, "fast", POWER, row)]
        if number % 6 == 0:
            blocks.append(block(agent, boot_us, "slow", ECC, [number, number]))
        clock = {"wall_us": at_us, "boottime_us": boot_us, "synchronized": True}
        self._add(batch, agent.payload(blocks=blocks, clock=clock))

    def _add(self, batch: CommitBatch, payload: bytes) -> None:
        agent = self.agent
        report, leaf = decode(payload), agent.seal(payload)
        chain = ChainKey(agent.signer.key_id, report.chain, report.stream)
        batch.add_report(chain, leaf, entry(0, leaf).envelope, report, digest(payload))
        agent.moved_past(payload)

    def record(self, kind: EntryKind, said: Any, at_us: int) -> None:
        with opened(self.directory) as store:
            batch = CommitBatch(store, log_signer(self.directory), at_us)
            batch.add_record(kind, said)
            store.log.append(batch.leaves)
            store.index.record(batch.indexed)
            hand_out(self.directory, store)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path)


def read(script: Script, start_s: int, end_s: int, **more: Any) -> Any:
    with opened(script.directory) as store:
        readings = Readings(store.log, store.index, load_keys(store.log, store.index))
        window = (START_US + start_s * SECOND_US, START_US + end_s * SECOND_US)
        return readings.over("n1", script.agent.devices, NAMES, *window, **more)


def at(points: Any) -> list[tuple[int, int | None]]:
    return [((one.at_us - START_US) // SECOND_US, one.high) for one in points]


def test_a_short_window_shows_every_report_in_it_up_to_its_edges(script: Script) -> None:
    script.enter(range(30), lambda number: number)
    shown = read(script, 50, 100)
    one, two = script.agent.devices
    assert at(shown.points[one, POWER]) == [(50, 5), (60, 6), (70, 7), (80, 8), (90, 9)]
    assert at(shown.points[two, POWER]) == [(50, 10), (60, 12), (70, 14), (80, 16), (90, 18)]
    assert at(shown.points[one, ECC]) == [(60, 6)]
    assert (one, TEMPERATURE) not in shown.points
    assert (shown.reports, shown.apart_us) == (5, 0)


def test_a_long_window_is_read_here_and_there_with_slow_readings_all_along(script: Script) -> None:
    count = 4 * PLACES
    script.enter(range(count), lambda number: number)
    shown = read(script, 0, 10 * count)
    assert PLACES <= shown.reports <= PLACES + PLACES // EVERY * (READ_ON - 1)
    assert shown.apart_us == 10 * count * SECOND_US // PLACES
    for name, longest in ((POWER, shown.apart_us), (ECC, EVERY * shown.apart_us + 70 * SECOND_US)):
        times = [point.at_us for point in shown.points[script.agent.devices[0], name]]
        assert max(later - earlier for earlier, later in pairwise(times)) <= longest
        assert times[-1] >= START_US + 10 * count * SECOND_US - longest
        tier = shown.series("", script.agent.devices[0], name).joined_us
        assert longest < tier, "an even line is not broken"


def test_a_report_of_a_long_time_is_drawn_sample_by_sample_as_far_as_the_window_goes(
    script: Script,
) -> None:
    script.enter_long(START_US + 1000 * SECOND_US, [*range(400), None, *range(401, 1000)])
    one = script.agent.devices[0]
    told = read(script, 300, 540).points[one, POWER]
    assert at(told)[:2] == [(300, 300), (301, 301)]
    assert at(told)[100] == (400, None)
    assert told[100].reason == "gpu_is_lost"
    assert at(told)[-1] == (539, 539)
    alone = ((START_US + 310 * SECOND_US, START_US + 312 * SECOND_US),)
    mine = read(script, 300, 540, times=alone).points[one, POWER]
    assert at(mine) == [(310, 310), (311, 311)]


def test_what_came_late_stands_where_it_was_seen(script: Script) -> None:
    script.enter(range(10), lambda number: number)
    script.enter(range(10, 20), lambda number: number, late_s=90_000)
    shown = read(script, 100, 150)
    assert at(shown.points[script.agent.devices[0], POWER])[0] == (100, 10)
    assert len(shown.points[script.agent.devices[0], POWER]) == 5


def test_a_value_that_is_not_there_has_its_reason(script: Script) -> None:
    script.enter(range(3), lambda number: None if number == 1 else number)
    points = read(script, 0, 30).points[script.agent.devices[0], POWER]
    assert [one.reason for one in points] == ["", "gpu_is_lost", ""]
    assert points[1].low is None


def test_a_new_chain_of_the_agent_goes_on_where_the_last_ended(script: Script) -> None:
    script.enter(range(5), lambda number: number)
    script.agent.start_chain()
    script.enter(range(5, 10), lambda number: number)
    assert at(read(script, 0, 100).points[script.agent.devices[0], POWER]) == [
        (10 * number, number) for number in range(10)
    ]


def test_over_several_gpus_the_least_and_the_most_are_told(script: Script) -> None:
    script.enter(range(1, 3), lambda number: number)
    spread = read(script, 0, 30).spread("power", script.agent.devices, POWER)
    assert [(one.low, one.high) for one in spread.points] == [(1, 2), (2, 4)]


def test_another_node_or_another_window_shows_nothing(script: Script) -> None:
    script.enter(range(5), lambda number: number)
    assert read(script, 50, 100).reports == 0
    assert read(script, -100, 0).reports == 0
    with opened(script.directory) as store:
        readings = Readings(store.log, store.index, load_keys(store.log, store.index))
        assert readings.over("n2", script.agent.devices, NAMES, 0, NEVER_US).points == {}


def test_a_contract_sees_a_node_while_it_holds_it_and_no_other_tenants_time(script: Script) -> None:
    script.enter(range(10), lambda number: number)
    hour_us = START_US + 100 * SECOND_US
    released = Assignment(contract="lease", node="n1", devices=[])
    script.record(EntryKind.ASSIGNMENT, released, hour_us)
    taken = Assignment(contract="next", node="n1", devices=None)
    script.record(EntryKind.ASSIGNMENT, taken, hour_us + 50 * SECOND_US)
    script.enter(range(15, 30), lambda number: number)
    with opened(script.directory) as store:
        readings = Readings(store.log, store.index, load_keys(store.log, store.index))
        lease, later = readings.times("n1", ["lease"]), readings.times("n1", ["next"])
        assert readings.times("n2", ["next"]) == ()
    device = script.agent.devices[0]
    assert at(read(script, 0, 300, times=lease).points[device, POWER])[-1] == (90, 9)
    assert at(read(script, 0, 300, times=later).points[device, POWER])[0] == (150, 15)
