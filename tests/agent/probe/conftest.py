"""The prober as a real process, with the agent's end of its pipes."""

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.frames import Closed, read_frame, wait_readable, write_frame
from agent.probe.grant import Grant, GrantedGpu
from tests.weighbridge.challenge.conducting import conduct
from weighbridge.challenge.challenger import AttemptPlan, Challenger, draw_nonces
from weighbridge.challenge.codec import encode
from weighbridge.challenge.messages import PAYLOAD_TYPE
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.verdict import AttemptResult
from weighbridge.wire.signing import Signer

SIGNER = Signer(hashlib.sha256(b"agent").digest())
PATIENCE_SECONDS = 60.0


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition: Any) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        os.sched_yield()
    return True


class Probe:
    """One prober process. It is its own transport: what it answers is signed here, as the agent does."""

    def __init__(self, grant: Grant | bytes) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-m", "agent.probe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.workers: list[int] = []
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.to, self.back = self.process.stdin.fileno(), self.process.stdout.fileno()
        write_frame(self.to, grant if isinstance(grant, bytes) else encode(grant))

    def granted(self) -> "Probe":
        assert self.ask(None) == b""
        return self

    def ask(self, message: bytes | None) -> bytes:
        if message is not None:
            write_frame(self.to, message)
        wait_readable(self.back, PATIENCE_SECONDS)
        answer = read_frame(self.back)
        self.workers = max(self.workers, children(self.process.pid), key=len)
        return answer

    def exchange(self, message: bytes, patience_ms: int) -> bytes | None:  # noqa: ARG002
        try:
            return SIGNER.seal(PAYLOAD_TYPE, self.ask(message))
        except Closed:
            return None

    def hang_up(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        for pid in self.workers:
            with contextlib.suppress(ProcessLookupError):
                if not is_gone(pid):
                    os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


class Agent:
    """Starts probers and challenges through them."""

    eventually = staticmethod(eventually)
    is_gone = staticmethod(is_gone)
    children = staticmethod(children)

    def __init__(self) -> None:
        self.probes: list[Probe] = []

    def policy(self, **changes: Any) -> Policy:
        base: dict[str, Any] = {
            "profile": "f16",
            "size": 128,
            "rounds": 4,
            "samples": 16,
            "deadline_ms": 20_000,
        }
        return Policy(**(base | changes))

    def passes_policy(self, **changes: Any) -> Policy:
        passes: dict[str, Any] = {
            "tiles": 3,
            "memory_passes": 3,
            "memory_samples": 8,
            "peer_tiles": 1,
            "peer_passes": 2,
            "peer_samples": 8,
            "ceiling_flops_per_second": 10**15,
            "device_memory_bytes": 1,
        }
        return self.policy(**(passes | changes))

    def grant(self, *gpus: str, **changes: Any) -> Grant:
        values: dict[str, Any] = {
            "backend": "cpu",
            "consent": "idle_window",
            "budget_ms": 120_000,
            "busy": (),
            "memory_limit_bytes": 1 << 30,
        } | changes
        busy, limit = values.pop("busy"), values.pop("memory_limit_bytes")
        granted = tuple(GrantedGpu(gpu, gpu in busy, limit) for gpu in gpus)
        return Grant(gpus=granted, **values)

    def start(self, grant: Grant | bytes) -> Probe:
        self.probes.append(Probe(grant))
        return self.probes[-1]

    def plan(self, policy: Policy, *gpus: str) -> AttemptPlan:
        nonces = draw_nonces(policy, len(gpus), os.urandom)
        return AttemptPlan(
            "challenge-1", "lease-7", SIGNER.public_key, gpus, policy, nonces, os.urandom(32)
        )

    def challenge(self, policy: Policy, grant: Grant) -> AttemptResult:
        probe = self.start(grant).granted()
        plan = self.plan(policy, *(gpu.uuid for gpu in grant.gpus))
        return conduct(Challenger(plan), probe, time.monotonic_ns)


@pytest.fixture
def agent() -> Iterator[Agent]:
    agent = Agent()
    yield agent
    for probe in agent.probes:
        probe.end()
