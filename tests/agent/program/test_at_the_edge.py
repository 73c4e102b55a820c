"""Exactly at the edge, and one beside it on both sides: the room of the spool, and the ticks of a clock."""

from pathlib import Path

import pytest

from agent.clock import ticks_us
from agent.report.spool import SMALLEST, Spool
from agent.report.spool_format import FRAME, RING_OFFSET, SECTOR, sectors_of
from tests.agent.program.test_spool import ROOM, bodies, put, reseal

SECTORS = (SMALLEST - RING_OFFSET) // SECTOR
"""Of the ring of the smallest spool; a short report takes one."""


@pytest.mark.parametrize(("reports", "dropped"), [(SECTORS - 1, 0), (SECTORS, 0), (SECTORS + 1, 1)])
def test_a_report_that_fits_exactly_takes_the_room_of_no_other(
    tmp_path: Path, reports: int, dropped: int
) -> None:
    spool = Spool(tmp_path / "spool", SMALLEST)
    for number in range(reports):
        put(spool, f"{number}")
    assert (spool.dropped, spool.held_count) == (dropped, reports - dropped)
    assert bodies(spool) == [f"{number}" for number in range(dropped, reports)]


CARRIED = SECTORS * 7 // 8


@pytest.mark.parametrize(("reports", "dropped"), [(CARRIED - 1, 0), (CARRIED, 0), (CARRIED + 1, 1)])
def test_a_new_chain_carries_exactly_seven_eighths_of_the_ring(
    tmp_path: Path, reports: int, dropped: int
) -> None:
    spool = Spool(tmp_path / "spool", SMALLEST)
    for number in range(reports):
        put(spool, f"{number}")
    spool.restart_chain(reseal)
    assert spool.dropped == dropped
    assert bodies(spool) == [f"{number}" for number in range(dropped, reports)]


@pytest.mark.parametrize(("seq", "waiting"), [(0, [1, 2]), (1, [2]), (2, []), (None, [0, 1, 2])])
def test_an_acknowledged_report_is_sent_no_more_and_the_next_one_is(
    tmp_path: Path, seq: int | None, waiting: list[int]
) -> None:
    spool = Spool(tmp_path / "spool", SMALLEST)
    for _ in range(3):
        put(spool)
    if seq is not None:
        spool.acknowledge(spool.current_chain, seq)
        spool.acknowledge(spool.current_chain, seq)
    assert [held.seq for held in spool.pending(9, ROOM)] == waiting
    assert spool.pending_count == len(waiting)


@pytest.mark.parametrize(("more", "held"), [(-1, 1), (0, 2), (1, 2)])
def test_a_batch_may_be_exactly_as_large_as_it_may_be(tmp_path: Path, more: int, held: int) -> None:
    spool = Spool(tmp_path / "spool", SMALLEST)
    size = len(put(spool)) + len(put(spool))
    assert len(spool.pending(9, size + more)) == held


@pytest.mark.parametrize(
    ("length", "sectors"),
    [(1, 1), (SECTOR - 1, 1), (SECTOR, 1), (SECTOR + 1, 2), (FRAME.size, 1)],
)
def test_what_fills_its_last_sector_takes_no_other(length: int, sectors: int) -> None:
    assert sectors_of(length) == sectors


class Late:
    """A clock that is late by so much whenever it wakes."""

    def __init__(self, *late_us: int) -> None:
        self.now_us, self.late_us = 0, list(late_us)

    def boottime_us(self) -> int:
        return self.now_us

    def wall_us(self) -> int:
        return self.now_us

    def synchronized(self) -> bool | None:
        return None

    async def sleep_until(self, boottime_us: int) -> None:
        self.now_us = boottime_us + self.late_us.pop(0)


@pytest.mark.parametrize(("late_us", "following"), [(9, 10), (10, 20), (11, 20), (20, 30)])
async def test_a_tick_that_is_due_as_the_one_before_is_used_is_left_out(
    late_us: int, following: int
) -> None:
    beats = ticks_us(Late(late_us, 0), 10)
    assert [await anext(beats), await anext(beats)] == [0, following]
