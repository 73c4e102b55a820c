"""A prober behind a Unix socket that cheats in one stated way: `dishonest.py SOCKET WAY`.

`skip`: half of each product's rows are made up. `late`: the answer is right, and comes after the deadline. `relay`: it
is right, and comes after the time that somebody else's card would take. `hang`: no answer comes.
"""

import hashlib
import socket
import sys
import time
from pathlib import Path

from agent.frames import Closed, read_frame, write_frame
from agent.probe.cpu import CpuEngine
from agent.probe.grant import Grant
from weighbridge.challenge.codec import decode
from weighbridge.challenge.messages import Release, decode_message
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.prover import InProcessGpuProver, Prover

PAUSES_S = {"late": 4.0, "relay": 8.0, "hang": 3600.0}


class Skipping(CpuEngine):
    """Commits to anything for every second row, and to the same when it computes the round again to open it."""

    def prepare(self, policy: Policy) -> None:
        super().prepare(policy)
        self.width = policy.leaf_bytes

    def round(self, key: bytes, keep: int | None) -> bytes:
        leaves, width = super().round(key, keep), self.width
        made_up = hashlib.shake_256(key).digest(len(leaves))
        return b"".join(
            (made_up if at // width % 2 else leaves)[at : at + width]
            for at in range(0, len(leaves), width)
        )


def conduct(descriptor: int, way: str) -> None:
    """One attempt."""
    grant = decode(Grant, read_frame(descriptor))
    write_frame(descriptor, b"")
    engine = Skipping if way == "skip" else CpuEngine
    back_ends = [InProcessGpuProver(gpu.uuid, engine(), lambda: None) for gpu in grant.gpus]
    prover = Prover(back_ends, time.monotonic_ns)
    while True:
        message = read_frame(descriptor)
        answer = prover.answer(message)
        if isinstance(decode_message(message), Release):
            time.sleep(PAUSES_S.get(way, 0.0))
        write_frame(descriptor, answer)


def main(path: Path, way: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    conduct(connection.fileno(), way)
                except Closed:
                    continue


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
