"""Simulated time: a clock that stands still, and whoever sleeps on it."""

import asyncio

from agent.clock import ticks_us
from agent.simulation.clock import LogicalClock, TimeCourse, drive
from agent.simulation.devices import SimulatedSource
from agent.simulation.scenario import Scenario

SECOND = 1_000_000


async def test_a_step_ends_when_all_that_it_woke_sleep_again_or_have_ended() -> None:
    clock = LogicalClock(1000 * SECOND)
    seen: list[tuple[str, int]] = []

    async def every(name: str, seconds: int, rounds: int) -> None:
        async for due in ticks_us(clock, seconds * SECOND):
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append((name, due - start))
            rounds -= 1
            if rounds == 0:
                return

    start = clock.boottime_us()
    tasks = [asyncio.create_task(every("a", 10, 3)), asyncio.create_task(every("b", 30, 9))]
    while len(seen) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    for step in range(1, 7):
        await clock.move((1000 + 10 * step) * SECOND)
        assert [due for _, due in seen][-1] <= 10 * step * SECOND
    assert [due // SECOND for name, due in seen if name == "a"] == [0, 10, 20]
    assert [due // SECOND for name, due in seen if name == "b"] == [0, 30, 60]
    tasks[1].cancel()


async def test_a_sleeper_that_is_cancelled_holds_up_nobody() -> None:
    clock = LogicalClock(0)
    asleep = asyncio.create_task(clock.sleep_until(clock.boottime_us() + SECOND))
    await asyncio.sleep(0)
    asleep.cancel()
    async with asyncio.timeout(10):
        await clock.move(2 * SECOND)
    assert clock.wall_us() == 2 * SECOND


class Node:
    """Hands over one report each time that it is looked at."""

    pending = 0


async def test_the_collectors_clock_goes_first_and_the_last_step_is_cut_to_the_end() -> None:
    clock, moved = LogicalClock(0), list[tuple[int, int]]()

    async def move(wall_us: int) -> None:
        moved.append((wall_us, clock.wall_us()))

    course = TimeCourse(0, 25 * SECOND, 10 * SECOND)
    await drive(course, clock, [Node()], move, asyncio.Event())
    assert moved == [
        (10 * SECOND, 0),
        (20 * SECOND, 10 * SECOND),
        (25 * SECOND, 20 * SECOND),
    ]


async def test_a_card_that_was_replaced_is_another_one_once_the_node_is_back() -> None:
    now = [0]
    fault = {"kind": "replacement", "node": 0, "gpus": [1], "after_seconds": 5, "until_seconds": 9}
    scenario = Scenario.model_validate({"faults": [fault]})
    source = SimulatedSource(lambda: now[0], scenario, 0, 2)
    before = [device.uuid for device in (await source.identify()).devices]
    now[0] = 8 * SECOND
    assert [device.uuid for device in (await source.identify()).devices] == before
    now[0] = 9 * SECOND
    source.reboot()
    after = [device.uuid for device in (await source.identify()).devices]
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert len(after) == 2
