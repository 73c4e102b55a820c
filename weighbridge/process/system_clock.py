"""The clocks of the system, and whether they are synchronized; nothing here changes them."""

import ctypes
import time
from functools import cache
from pathlib import Path

_TIMEX_BYTES = 208
_STATUS_OFFSET = 40
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


def wall_us() -> int:
    """CLOCK_REALTIME: the system's belief about UTC."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME) // 1000


def boottime_us() -> int:
    """CLOCK_BOOTTIME: nobody sets it, it counts suspended time, and it is slewed as the wall clock is."""
    return boottime_ns() // 1000


def boottime_ns() -> int:
    """The same in nanoseconds, as times are measured by it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def synchronized() -> bool | None:
    """The kernel's word (adjtimex(2)), else that of systemd-timesyncd; None where neither speaks.

    The kernel takes it back when the clock is set by hand, until a time service gives it anew.
    """
    kernel = kernel_synchronized(_c_library())
    return timesyncd_synchronized(Path("/")) if kernel is None else kernel


@cache
def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


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


def boot_id(root: Path) -> str:
    """The kernel's random id of this boot. Raises OSError where there is no procfs."""
    return (root / "proc/sys/kernel/random/boot_id").read_text().strip()
