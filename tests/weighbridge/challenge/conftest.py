"""A bench for whole exchanges: seeded randomness, a simulated clock, honest and dishonest provers on the CPU engine."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from agent.probe.cpu import CpuEngine
from tests.weighbridge.challenge.conducting import conduct
from weighbridge.challenge.challenger import AttemptPlan, Challenger, draw_nonces
from weighbridge.challenge.messages import PAYLOAD_TYPE, Message, decode_message, encode_message
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.prover import InProcessGpuProver, Prover
from weighbridge.challenge.verdict import Attempt, AttemptResult
from weighbridge.wire.signing import Signer

MILLISECOND = 1_000_000


@dataclass
class SimulatedClock:
    """Nanoseconds that pass only when somebody spends them."""

    now_ns: int = 1_000

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


@dataclass
class SimulatedDevice:
    """A GPU that does one thing at a time: what several provers ask of it is done one after the other."""

    round_ns: int = 10 * MILLISECOND
    scan_ns: int = MILLISECOND
    free_at_ns: int = 0


class TimedSeat(InProcessGpuProver):
    """A prober whose steps take the time of a device, while the those of other devices go on."""

    def on(self, device: SimulatedDevice, clock: SimulatedClock) -> "TimedSeat":
        self.device, self.clock, self.local_ns = device, clock, 0
        self.checkpoint = self._spend
        return self

    def begin(self, release: Any) -> None:
        self.local_ns = self.clock.now_ns
        self.cost_ns = self.device.round_ns if release.phase == "chain" else self.device.scan_ns
        super().begin(release)

    def roots(self) -> bytes:
        self.clock.now_ns = max(self.clock.now_ns, self.local_ns)
        return super().roots()

    def _spend(self) -> None:
        start = max(self.local_ns, self.device.free_at_ns)
        self.local_ns = self.device.free_at_ns = start + self.cost_ns


@dataclass
class SimulatedWire:
    """Carries messages to a prover, signs its answers, and lets a test alter either."""

    prover: Prover
    signer: Signer
    clock: SimulatedClock
    delay_ns: int = 0
    before: Callable[[Message], Message] = lambda message: message
    after: Callable[[Message], Message | None] = lambda message: message
    answers: list[bytes] = field(default_factory=list)

    def exchange(self, message: bytes, patience_ms: int) -> bytes | None:
        asked = encode_message(self.before(decode_message(message)))
        self.clock.now_ns += self.delay_ns
        answer = self.after(decode_message(self.prover.answer(asked)))
        if answer is None:
            self.clock.now_ns += patience_ms * MILLISECOND
            return None
        self.answers.append(self.signer.seal(PAYLOAD_TYPE, encode_message(answer)))
        return self.answers[-1]


class Bench:
    """Makes policies, plans and provers, and runs exchanges. Everything follows from the seed."""

    Clock: Any = SimulatedClock
    Device: Any = SimulatedDevice
    Wire: Any = SimulatedWire
    TimedSeat: Any = TimedSeat

    def __init__(self) -> None:
        self.signer = Signer(hashlib.sha256(b"agent").digest())

    def policy(self, **changes: Any) -> Policy:
        return replace(Policy(profile="f16", size=128, rounds=2, samples=8), **changes)

    def passes_policy(self, **changes: Any) -> Policy:
        passes = {
            "rounds": 4,
            "tiles": 3,
            "memory_passes": 3,
            "memory_samples": 8,
            "peer_tiles": 1,
            "peer_passes": 3,
            "peer_samples": 8,
            "ceiling_flops_per_second": 500_000_000,
            "device_memory_bytes": 1_024,
        }
        return self.policy(**(passes | changes))

    def plan(
        self,
        policy: Policy,
        gpus: Sequence[str] = ("GPU-a",),
        seed: int = 0,
        earlier: tuple[Attempt, ...] = (),
    ) -> AttemptPlan:
        random = np.random.default_rng(seed)
        return AttemptPlan(
            challenge=f"challenge-{seed}",
            contract="lease-7",
            agent_key=self.signer.public_key,
            gpus=tuple(gpus),
            policy=policy,
            nonces=draw_nonces(policy, len(gpus), random.bytes),
            secret=random.bytes(32),
            earlier=earlier,
        )

    def prover(
        self,
        plan: AttemptPlan,
        clock: SimulatedClock,
        devices: Sequence[SimulatedDevice] | None = None,
        engine: Callable[[], Any] = CpuEngine,
    ) -> Prover:
        devices = devices or [SimulatedDevice() for _ in plan.gpus]
        gpu_provers = [
            TimedSeat(gpu, engine(), lambda: None).on(device, clock)
            for gpu, device in zip(plan.gpus, devices, strict=True)
        ]
        return Prover(gpu_provers, clock)

    def wire(self, plan: AttemptPlan, clock: SimulatedClock, **how: Any) -> SimulatedWire:
        names = ("devices", "engine")
        prover = self.prover(plan, clock, **{name: how.pop(name) for name in names if name in how})
        return SimulatedWire(prover, self.signer, clock, **how)

    def run(self, plan: AttemptPlan, **how: Any) -> tuple[AttemptResult, Challenger]:
        clock = how.pop("clock", None) or SimulatedClock()
        challenger = Challenger(plan)
        wire = self.wire(plan, clock, **how)
        result = conduct(challenger, wire, clock)
        for gpu_prover in wire.prover.gpu_provers:
            assert isinstance(gpu_prover, InProcessGpuProver)
            gpu_prover.engine.close()
        return result, challenger

    def undetected(self, share: float, policy: Policy) -> float:
        return float((1 - share) ** policy.samples)


@pytest.fixture
def bench() -> Bench:
    return Bench()
