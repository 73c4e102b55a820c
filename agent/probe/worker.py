"""The process of one GPU: takes its orders over stdin, answers over stdout, and dies with either of its ends.

An order is one letter and its bytes; an answer likewise: M a message, B bytes, I an interruption, E an error.
"""

import json
import os
import signal
import sys
from collections.abc import Callable

from agent.frames import Closed, is_hung_up, read_frame, write_frame
from agent.probe.self_check import difference
from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.messages import (
    UNSUPPORTED,
    Decline,
    Prepare,
    Ready,
    Release,
    Reveal,
    decode_message,
    encode_message,
)
from weighbridge.challenge.prover import Engine, InProcessGpuProver, Interrupted

PREPARE, ADDRESS, ATTACH, RELEASE, REVEAL = b"P", b"A", b"T", b"R", b"O"
MESSAGE, BYTES, INTERRUPTION, ERROR = b"M", b"B", b"I", b"E"
BACKENDS = ("cpu", "cuda")


class NoBackend(Exception):
    """The back end cannot be had here. The text says what is missing."""


def open_engine(backend: str, gpu: str) -> Engine:
    """The engine of one GPU; `cuda` is imported only where it is asked for. Raises NoBackend."""
    if backend == "cpu":
        from agent.probe.cpu import CpuEngine

        return CpuEngine()
    if backend == "cuda":
        from agent.probe.cuda import CudaEngine

        return CudaEngine(gpu)
    raise NoBackend(f"{backend!r} is none of {', '.join(BACKENDS)}")


def packed(parts: tuple[bytes, ...] | list[bytes]) -> bytes:
    """Several byte strings as one: hexadecimal in a JSON list."""
    return json.dumps([part.hex() for part in parts]).encode()


def unpacked(data: bytes) -> tuple[bytes, ...]:
    """The inverse of `packed`."""
    return tuple(bytes.fromhex(part) for part in json.loads(data))


def obey(gpu_prover: InProcessGpuProver, order: bytes) -> bytes:
    """Carries out one order."""
    letter, data = order[:1], order[1:]
    if letter == ADDRESS:
        return BYTES + gpu_prover.address()
    if letter == ATTACH:
        gpu_prover.attach(unpacked(data))
        return BYTES
    match letter, decode_message(data):
        case b"P", Prepare() as request:
            return MESSAGE + encode_message(_prepared(gpu_prover, request))
        case b"R", Release() as release:
            gpu_prover.begin(release)
            return BYTES + gpu_prover.roots()
        case b"O", Reveal() as reveal:
            return BYTES + packed(gpu_prover.open(reveal))
        case _:
            raise Malformed("no order")


def _prepared(gpu_prover: InProcessGpuProver, request: Prepare) -> Ready | Decline:
    """Ready, where the device computes what the reference does."""
    differs = difference(gpu_prover.engine, request.policy)
    if differs is not None:
        return Decline(request.challenge, UNSUPPORTED, differs)
    return gpu_prover.prepare(request, request.gpus.index(gpu_prover.gpu))


def answered(gpu_prover: InProcessGpuProver, order: bytes) -> bytes:
    """The answer to an order, whatever becomes of it."""
    try:
        return obey(gpu_prover, order)
    except Interrupted as stop:
        return INTERRUPTION + str(stop).encode()
    except (ValueError, RuntimeError, OSError, ArithmeticError, MemoryError) as error:
        return ERROR + f"{type(error).__name__}: {error}".encode()


def parent_watch(descriptor: int) -> Callable[[], None]:
    """A checkpoint that stops the run once the parent has gone."""

    def checkpoint() -> None:
        if is_hung_up(descriptor):
            raise Interrupted("the parent has gone")

    return checkpoint


def main(arguments: list[str]) -> int:
    """Back end, GPU, and the milliseconds after which the kernel ends this process, stuck or not."""
    backend, gpu, life_ms = arguments
    signal.setitimer(signal.ITIMER_REAL, max(1, int(life_ms)) / 1000)
    orders, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)
    try:
        engine = open_engine(backend, gpu)
    except (NoBackend, ImportError, RuntimeError) as error:
        read_frame(orders)
        write_frame(answers, MESSAGE + encode_message(Decline("", UNSUPPORTED, str(error))))
        return 0
    gpu_prover = InProcessGpuProver(gpu, engine, parent_watch(orders))
    try:
        while True:
            write_frame(answers, answered(gpu_prover, read_frame(orders)))
    except Closed:
        return 0
    finally:
        engine.close()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
