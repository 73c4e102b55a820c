"""Processes that are killed by SIGKILL in one of their writes, waits for the disk, or requests."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

KILLS = 20


def killed_at(step: int, act: Callable[[], object], *, sending: bool = False) -> bool:
    """Whether a process that does this was killed, by SIGKILL, in its so-manieth write or wait for the disk.

    Of the write in which it is killed half was done. `sending`: to the network instead.
    """
    child = os.fork()
    if child == 0:
        try:
            (break_off_sending if sending else break_off)(step)
            act()
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def break_off(step: int) -> None:
    left, pwrite = [step], os.pwrite

    def sync(_: Any) -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(file: int, data: Any, offset: int) -> int:
        if left[0] <= 1:
            pwrite(file, data[: len(data) // 2], offset)
        sync(file)
        return pwrite(file, data, offset)

    for name, broken in (("fsync", sync), ("fdatasync", sync), ("pwrite", write)):
        setattr(os, name, broken)


def break_off_sending(step: int) -> None:
    left, sendall = [step], socket.socket.sendall

    def send(self: socket.socket, data: Any, *flags: int) -> None:
        left[0] -= 1
        if left[0] <= 0:
            sendall(self, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        sendall(self, data, *flags)

    setattr(socket.socket, "sendall", send)  # noqa: B010 - a method may not be assigned to


def killed_everywhere(act: Callable[[Path], object], place: Path) -> Iterator[Path]:
    """Directories, each of which a process that did this was killed over, one step later than the one before."""
    step = 1
    while killed_at(step, partial(act, place.with_name(f"{place.name}-{step}"))):
        yield place.with_name(f"{place.name}-{step}")
        step += 1
    assert step > KILLS


def killed_after(seconds: float, act: Callable[[], object]) -> bool:
    """Whether a process that does this was killed, by SIGKILL, so long after its start."""
    child = os.fork()
    if child == 0:
        try:
            act()
        finally:
            os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def killed_without_end(
    act: Callable[[Path], object], made: Callable[[], Path], chance: Random
) -> Iterator[Path]:
    """Directories by `made`, each killed over: once in each write or wait, then at instants by chance, for ever."""
    place, began, step = made(), time.monotonic(), 1
    while killed_at(step, partial(act, place)):
        yield place
        place, began, step = made(), time.monotonic(), step + 1
    longest = time.monotonic() - began
    while True:
        place = made()
        if killed_after(chance.uniform(0, longest), partial(act, place)):
            yield place
