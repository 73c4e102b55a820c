"""A terminal as programs see it, and what stands on it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

DEADLINE_S = 60.0
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLUMNS, LINES = 80, 24


class Terminal:
    """Of 80 columns and 24 lines. What programs write is read as it comes."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        size = struct.pack("HHHH", LINES, COLUMNS, 0, 0)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, size)
        self.written = ""

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.written += os.read(self.master, 65536).decode(errors="replace")

    def write(self, text: str) -> None:
        """As somebody types it."""
        os.write(self.master, text.encode())

    def reads(self, text: str) -> None:
        """Until it was written."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.written:
            assert time.monotonic() < end, f"waited in vain for {text!r}: {self.written!r}"
            self.read(0.2)

    def until(self, holds: Callable[[str], bool], what: str) -> str:
        """What stands in the newest whole picture, once that holds of it."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            self.read(0.2)
            if holds(self.shown):
                return self.shown
        raise AssertionError(f"waited in vain for {what}: {self.written!r}")

    @property
    def shown(self) -> str:
        """Of the last picture that was drawn to its end, the text."""
        drawn = self.written.split("\x1b[H")
        whole = [one for one in drawn if one.endswith("\x1b[J") or "\x1b[J" in one]
        return CONTROL.sub("", whole[-1]) if whole else ""

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def on_terminal(
    command: Sequence[str], environment: dict[str, str], *, stdout: int | None = None
) -> Iterator[tuple[Terminal, "subprocess.Popen[bytes]"]]:
    """A program on a terminal of its own; `stdout`: it goes elsewhere. Ended at the end."""
    terminal = Terminal()
    process = subprocess.Popen(
        ["env", "--default-signal=INT", *command],  # a job in the background is started without
        stdin=terminal.slave,
        stdout=terminal.slave if stdout is None else stdout,
        stderr=terminal.slave,
        env={name: value for name, value in environment.items() if name != "COLUMNS"}
        | {"TERM": "xterm"},
    )
    try:
        yield terminal, process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
        terminal.close()


def interrupted(process: "subprocess.Popen[bytes]") -> int:
    """^C, and the exit code."""
    process.send_signal(signal.SIGINT)
    return process.wait(DEADLINE_S)
