"""The agent's clocks. CLOCK_BOOTTIME carries every sample: no step moves it, and it counts suspended time."""

import asyncio
import ctypes
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from weighbridge.wire.report import ReportClocks

_TIMEX_BYTES = 208
_STATUS_OFFSET = 40
_STA_UNSYNC = 0x40
_TIME_ERROR = 5
_PAIRS = 3


class Clock(Protocol):
    """Where the time comes from; a parameter everywhere."""

    def boottime_us(self) -> int: ...

    def wall_us(self) -> int: ...

    def synchronized(self) -> bool | None: ...

    async def sleep_until(self, boottime_us: int) -> None: ...


class SystemClock:
    """The node's own clocks."""

    def __init__(self) -> None:
        self._c_library = ctypes.CDLL(None, use_errno=True)

    def boottime_us(self) -> int:
        """CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000

    def wall_us(self) -> int:
        """CLOCK_REALTIME: the node's belief about UTC."""
        return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000

    def synchronized(self) -> bool | None:
        """The kernel's word (adjtimex(2)), else that of systemd-timesyncd; None where neither speaks."""
        kernel = kernel_synchronized(self._c_library)
        return timesyncd_synchronized(Path("/")) if kernel is None else kernel

    async def sleep_until(self, boottime_us: int) -> None:
        """Sleeps until that instant; returns at once if it has passed."""
        await asyncio.sleep(max(0, boottime_us - self.boottime_us()) / 1_000_000)


def kernel_synchronized(c_library: ctypes.CDLL) -> bool | None:
    """STA_UNSYNC of adjtimex(2), read without changing anything. None where the call is refused."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = c_library.adjtimex(timex)
    if state < 0:
        return None
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], "little")
    return state != _TIME_ERROR and not status & _STA_UNSYNC


def timesyncd_synchronized(root: Path) -> bool | None:
    """systemd-timesyncd touches a file at each synchronization; False where the service runs without one."""
    directory = root / "run/systemd/timesync"
    if not directory.is_dir():
        return None
    return (directory / "synchronized").exists()


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


def boot_id(root: Path) -> str:
    """The kernel's random id of this boot. Raises OSError where there is no procfs."""
    return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
