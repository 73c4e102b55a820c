"""Simulated time: a clock that is moved, and a fleet that is driven with the collector's clock in lock step.

Every step moves both clocks to the same instant, lets every agent do what is due then, and waits until every agent that
has a network has handed over its reports. So what a month brings is the same however fast the machine is.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.report.transport import Transport, TransportError
from weighbridge.wire.simulation import CLOCK_PATH, ClockMove

LONGEST_STEP_S = 120.0
LOOK_S = 0.002
BOOT_US = 3_600_000_000
"""How long a simulated machine has been up when the simulation begins."""


@dataclass(frozen=True, slots=True)
class TimeCourse:
    """From when to when, in steps of the sampling interval; and where the clock is put at the end. Microseconds."""

    from_us: int
    until_us: int
    step_us: int
    then_us: int | None = None


class DrivenNode(Protocol):
    """What the logical clock needs of a node that it drives."""

    @property
    def pending(self) -> int:
        """Reports that it could hand over and has not."""
        ...


class LogicalClock:
    """`agent.clock.Clock` that stands still until `move`, which returns when all that it woke sleep again."""

    def __init__(self, now_us: int) -> None:
        self._started_us = self._now_us = now_us
        self._sleepers: dict[asyncio.Future[None], tuple[int, asyncio.Task[object] | None]] = {}
        self._busy: set[asyncio.Future[object]] = set()
        self._rested = asyncio.Event()

    def boottime_us(self) -> int:
        return self._now_us - self._started_us + BOOT_US

    def wall_us(self) -> int:
        return self._now_us

    def synchronized(self) -> bool | None:
        return True

    async def sleep_until(self, boottime_us: int) -> None:
        """Sleeps until that instant; returns at once if it has passed."""
        if boottime_us <= self.boottime_us():
            await asyncio.sleep(0)
            return
        task = asyncio.current_task()
        future = asyncio.get_running_loop().create_future()
        self._sleepers[future] = (boottime_us, task)
        if task is not None:
            self._rest(task)
        try:
            await future
        finally:
            self._sleepers.pop(future, None)

    async def move(self, wall_us: int) -> None:
        """Wake whoever slept until then, and wait until they sleep again or have ended."""
        self._now_us = wall_us
        self._rested.clear()
        for future, (due_us, task) in list(self._sleepers.items()):
            if due_us <= self.boottime_us() and not future.done():
                if task is not None and not task.done():
                    self._busy.add(task)
                    task.add_done_callback(self._rest)
                future.set_result(None)
        if self._busy:
            await self._rested.wait()

    def _rest(self, task: "asyncio.Future[object]") -> None:
        if task in self._busy:
            self._busy.discard(task)
            task.remove_done_callback(self._rest)
        if not self._busy:
            self._rested.set()


async def drive(
    course: TimeCourse,
    clock: LogicalClock,
    nodes: Sequence[DrivenNode],
    move: Callable[[int], Awaitable[None]],
    stopped: asyncio.Event,
) -> None:
    """The whole course, or until `stopped`. Raises TransportError where the collector's clock does not follow.

    It begins once every agent was heard and has taken a sample: of the time before its first report, its word fills
    nothing.
    """
    async with asyncio.timeout(LONGEST_STEP_S):
        await _handed_over(nodes)
    now_us = course.from_us
    while now_us < course.until_us and not stopped.is_set():
        now_us = min(now_us + course.step_us, course.until_us)
        await move(now_us)
        async with asyncio.timeout(LONGEST_STEP_S):
            await clock.move(now_us)
            await _handed_over(nodes)


async def _handed_over(nodes: Sequence[DrivenNode]) -> None:
    """Their reporters work by themselves, and sleep in real time after a failure."""
    while any(node.pending for node in nodes):  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)


async def move_collector(transport: Transport, wall_us: int) -> None:
    """Raises TransportError where it is no simulation, and OSError where nobody answers."""
    wanted = json.dumps(ClockMove(wall_us=wall_us).model_dump())
    answer = await transport.request("POST", CLOCK_PATH, wanted.encode())
    if answer.status != 200:
        raise TransportError(f"the collector's clock is not moved: {answer.body.decode()[:300]}")
