"""The prover of one GPU in a worker process: the parent's end of the pipes, the deadline, and the certain end of the
process."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from agent.frames import Closed, Overdue, read_frame, wait_readable, write_frame
from agent.probe import worker
from agent.surroundings import TOOLKIT, for_child
from weighbridge.challenge.messages import (
    Decline,
    Prepare,
    Ready,
    Release,
    Reveal,
    decode_message,
    encode_message,
)
from weighbridge.challenge.prover import Interrupted

GRACE_MS = 2_000
"""By how much a worker's own alarm comes after the parent's deadline."""


@dataclass(slots=True)
class WorkerProcess:
    """The prover of one GPU whose engine lives in its own process. `agent_descriptor`: hung up once the agent no longer
    wants us."""

    gpu: str
    backend: str
    deadline_ns: int
    clock_ns: Callable[[], int]
    agent_descriptor: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    def prepare(self, request: Prepare, place: int) -> Ready | Decline:
        """Starts the worker; `place` follows from the request's list of GPUs."""
        self._start()
        answer = self._ask(worker.PREPARE + encode_message(request))
        message = decode_message(answer)
        if isinstance(message, Decline):
            return replace(
                message, challenge=request.challenge, detail=f"{place}: {message.detail}"
            )
        if isinstance(message, Ready):
            return message
        raise Interrupted("the worker answered nonsense")

    def address(self) -> bytes:
        """The address of the engine's memory, asked of the worker."""
        return self._ask(worker.ADDRESS)

    def attach(self, addresses: Sequence[bytes]) -> None:
        """Passes the peers' addresses to the worker."""
        self._ask(worker.ATTACH + worker.packed(list(addresses)))

    def begin(self, release: Release) -> None:
        """Returns at once; the worker computes."""
        self._send(worker.RELEASE + encode_message(release))

    def roots(self) -> bytes:
        """The phase's roots; waits until the worker has computed them."""
        return self._answer()

    def open(self, reveal: Reveal) -> tuple[bytes, ...]:
        """The sampled openings, asked of the worker."""
        return worker.unpacked(self._ask(worker.REVEAL + encode_message(reveal)))

    def end(self) -> None:
        """Kills the worker, with whatever it started, and waits until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def _start(self) -> None:
        left_ms = (self.deadline_ns - self.clock_ns()) // 1_000_000
        command = [sys.executable, "-I", "-m", "agent.probe.worker", self.backend, self.gpu]
        self._process = subprocess.Popen(  # noqa: S603
            [*command, str(left_ms + GRACE_MS)],
            env=for_child(os.environ, TOOLKIT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def _ask(self, order: bytes) -> bytes:
        self._send(order)
        return self._answer()

    def _pipes(self) -> tuple[int, int]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise Interrupted("the worker has gone")
        return process.stdin.fileno(), process.stdout.fileno()

    def _send(self, order: bytes) -> None:
        try:
            write_frame(self._pipes()[0], order)
        except Closed as error:
            raise Interrupted("the worker has gone") from error

    def _answer(self) -> bytes:
        seconds = (self.deadline_ns - self.clock_ns()) / 1e9
        try:
            wait_readable(self._pipes()[1], seconds, self.agent_descriptor)
            answer = read_frame(self._pipes()[1])
        except Overdue as error:
            self.end()
            raise Interrupted("time is up") from error
        except Closed as error:
            self.end()
            raise Interrupted("the worker or the agent has gone") from error
        if answer[:1] in (worker.INTERRUPTION, worker.ERROR):
            raise Interrupted(answer[1:].decode(errors="replace"))
        return answer[1:]
