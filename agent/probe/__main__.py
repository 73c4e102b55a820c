"""The prober: `python -I -m agent.probe`, a short-lived process with the agent at its stdin and stdout (or one socket).

Frames come in, one answer goes out for each: first a Grant (answered by an empty frame), then Prepare, Release, Reveal.
It ends with its input, when the granted time is up, or after the openings; its workers end before it does. It signs
nothing: the agent signs the answers and passes them on.
"""

import sys
import time
from collections.abc import Callable

from agent.frames import Closed, Overdue, read_frame, wait_readable, write_frame
from agent.probe.grant import Grant, refusal
from agent.probe.worker_process import WorkerProcess
from weighbridge.challenge.codec import Malformed, decode
from weighbridge.challenge.messages import (
    Openings,
    Prepare,
    decode_message,
    encode_message,
)
from weighbridge.challenge.prover import Prover

ENDED, MISUSED = 0, 2


def serve(incoming: int, outgoing: int, clock_ns: Callable[[], int]) -> int:
    """Until the challenge has ended one way or another. Returns the exit code."""
    try:
        grant = decode(Grant, read_frame(incoming))
        write_frame(outgoing, b"")
        _conduct(grant, incoming, outgoing, clock_ns)
    except (Closed, Overdue):
        return ENDED
    except Malformed as error:
        sys.stderr.write(f"weighbridge probe: {error}\n")
        return MISUSED
    return ENDED


def _conduct(grant: Grant, incoming: int, outgoing: int, clock_ns: Callable[[], int]) -> None:
    deadline_ns = clock_ns() + grant.budget_ms * 1_000_000
    gpu_provers = [
        WorkerProcess(gpu.uuid, grant.backend, deadline_ns, clock_ns, incoming)
        for gpu in grant.gpus
    ]
    prover = Prover(gpu_provers, clock_ns)
    opened = False
    try:
        while not opened:
            if grant.budget_ms > 0:
                wait_readable(incoming, (deadline_ns - clock_ns()) / 1e9)
            answer = _answer(grant, prover, read_frame(incoming))
            write_frame(outgoing, answer)
            opened = isinstance(decode_message(answer), Openings)
    finally:
        for gpu_prover in gpu_provers:
            gpu_prover.end()


def _answer(grant: Grant, prover: Prover, data: bytes) -> bytes:
    message = decode_message(data)
    if not isinstance(message, Prepare):
        return prover.answer(data)
    declined = refusal(grant, message)
    return prover.answer(data) if declined is None else encode_message(declined)


if __name__ == "__main__":
    raise SystemExit(serve(0, 1, time.monotonic_ns))
