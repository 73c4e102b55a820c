"""The agent's clocks. CLOCK_BOOTTIME carries every sample: no step moves it, and it counts suspended time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from weighbridge.process import system_clock
from weighbridge.wire.report import ReportClocks

_PAIRS = 3


class Clock(Protocol):
    """Where the time comes from; a parameter everywhere."""

    def boottime_us(self) -> int: ...

    def wall_us(self) -> int: ...

    def synchronized(self) -> bool | None: ...

    async def sleep_until(self, boottime_us: int) -> None: ...


class SystemClock:
    """The node's own clocks."""

    def boottime_us(self) -> int:
        return system_clock.boottime_us()

    def wall_us(self) -> int:
        return system_clock.wall_us()

    def synchronized(self) -> bool | None:
        return system_clock.synchronized()

    async def sleep_until(self, boottime_us: int) -> None:
        """Sleeps until that instant; returns at once if it has passed."""
        await asyncio.sleep(max(0, boottime_us - self.boottime_us()) / 1_000_000)


def read_clock(clock: Clock) -> ReportClocks:
    """Both clocks as a report states them, read next to each other.

    A busy machine may halt the agent between two readings, which would look like a step of the wall clock: of several
    pairs, the one that was read fastest.
    """
    _, boottime_us, wall_us = min(_read_pair_us(clock) for _ in range(_PAIRS))
    return ReportClocks(wall_us=wall_us, boottime_us=boottime_us, synchronized=clock.synchronized())


def _read_pair_us(clock: Clock) -> tuple[int, int, int]:
    """How long it took, then CLOCK_BOOTTIME and the wall clock."""
    before_us, wall_us, after_us = clock.boottime_us(), clock.wall_us(), clock.boottime_us()
    return after_us - before_us, after_us, wall_us


async def ticks_us(clock: Clock, interval_us: int) -> AsyncIterator[int]:
    """Instants exactly `interval_us` apart, from now on. One that went by unused is left out, never bunched."""
    due = clock.boottime_us()
    while True:
        await clock.sleep_until(due)
        yield due
        missed = max(0, clock.boottime_us() - due) // interval_us
        due += interval_us * (missed + 1)
