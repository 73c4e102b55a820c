"""One NVML child as its parent sees it: a process, a socket, the mark of the call in progress."""

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.frames import Closed, Splitter, frame
from agent.nvml.frames import FrameKind, Mark, pack, unpack

RECEIVE_BYTES = 1 << 18
OWN_SIGNALS = (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)
"""By which a process ends itself."""
BRIEFLY_MILLISECONDS = 1
"""Most sweeps are answered sooner; waiting so long in place costs less than a turn of the event loop."""


class ChildFailure(Exception):
    """A child gave no answer. `where` is (device, call) in progress, None if it was between calls.

    `waiting`: how it waited for events, where that may be what ended it.
    """

    def __init__(
        self,
        message: str,
        where: tuple[str, str] | None,
        waiting: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.where = where
        self.waiting = waiting


class Stalled(ChildFailure):
    """A call passed its deadline, or the whole answer did."""


class Crashed(ChildFailure):
    """The process ended by itself, or speaks nonsense."""


class Child:
    """A started worker. One question at a time; `heard` gets each event between the answers."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        heard: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        descriptor = Mark.create()
        self._mark = Mark(descriptor)
        arguments = [*command, str(theirs.fileno()), str(descriptor)]
        self._process = subprocess.Popen(  # noqa: S603 (the command is the program's own)
            arguments,
            env=dict(environment),
            pass_fds=(theirs.fileno(), descriptor),
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        os.close(descriptor)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._readable)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._frames = Splitter()
        self._sequence = 0
        self._asked: asyncio.Future[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def dead(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    async def ask(
        self, kind: FrameKind, call_s: float, whole_s: float, payload: bytes = b""
    ) -> bytes:
        """The answer. Raises Stalled if one call takes `call_s` to twice that, or all take `whole_s`; or Crashed."""
        self._sequence += 1
        answer: asyncio.Future[bytes] = self._loop.create_future()
        self._asked = answer
        try:
            self._socket.send(frame(pack(kind, self._sequence, payload)))
            if self._poll.poll(BRIEFLY_MILLISECONDS):
                self._readable()
            if answer.done():
                return answer.result()
            return await self._wait(answer, call_s, whole_s)
        except OSError as error:
            raise self._crash() from error
        finally:
            self._asked = None

    async def _wait(self, answer: "asyncio.Future[bytes]", call_s: float, whole_s: float) -> bytes:
        end = self._loop.time() + whole_s
        mark = self._mark.slot[0]
        self._timer = self._loop.call_later(call_s, self._look, answer, mark, call_s, end)
        try:
            return await answer
        finally:
            self._timer.cancel()

    async def consent(self, seconds: float) -> bool:
        """Ask it to go by closing the socket. False if it has not gone in time."""
        self.release(mark=False)
        return await self._dies(seconds)

    async def kill(self, kill: Callable[[int, int], None], seconds: float) -> bool:
        """End it with `kill`. False if it lives on (in the kernel, where no signal reaches it)."""
        self.release(mark=False)
        if not self.dead:
            kill(self.pid, signal.SIGKILL)
        return await self._dies(seconds)

    def release(self, *, mark: bool = True) -> None:
        """Close the socket; with `mark`, the shared memory too."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        if mark:
            self._mark.close()

    async def _dies(self, seconds: float) -> bool:
        """Wait for the end of the process by its descriptor, without a thread."""
        if self.dead:
            return True
        descriptor = os.pidfd_open(self.pid)
        ended = asyncio.Event()
        self._loop.add_reader(descriptor, ended.set)
        try:
            await asyncio.wait_for(ended.wait(), seconds)
        except TimeoutError:
            return False
        finally:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        self._process.wait()
        return True

    def _look(self, answer: "asyncio.Future[bytes]", last: int, call_s: float, end: float) -> None:
        """The watchdog: the same call as at the last look is one that does not return."""
        current = self._mark.slot[0]
        if answer.done():
            return
        if current == last or self._loop.time() >= end:
            answer.set_exception(Stalled("no answer in time", self._mark.current()))
            return
        self._timer = self._loop.call_later(call_s, self._look, answer, current, call_s, end)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end_of_stream()
            return
        try:
            for whole in self._frames.feed(data):
                self._take(*unpack(whole))
        except (Closed, ValueError):
            self._end_of_stream()

    def _take(self, kind: FrameKind, sequence: int, payload: bytes) -> None:
        if kind is FrameKind.EVENT:
            self._heard(json.loads(payload))
        elif self._asked is not None and sequence == self._sequence and not self._asked.done():
            self._asked.set_result(payload)

    def _end_of_stream(self) -> None:
        self._loop.remove_reader(self._socket)
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(self._crash())

    def _crash(self) -> Crashed:
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            code = 0
        how = f"ended by signal {-code}" if code < 0 else f"ended with {code}"
        waiting = self._mark.waiting() if -code in OWN_SIGNALS else None
        return Crashed(how, self._mark.current(), waiting)
