"""Calibration: challenges whose verifier sits beside the prober, again and again on a class known to be good.

The operator at the keyboard is the consent; nothing is sent anywhere.
"""

import asyncio
import os
import time
from collections.abc import Sequence

from agent.probe.client import Opening, Prober
from agent.probe.grant import LESSEE, Grant, GrantedGpu
from weighbridge.challenge.calibration import Calibration, CalibrationError, calibrated
from weighbridge.challenge.challenger import AttemptPlan, Challenger, draw_nonces
from weighbridge.challenge.messages import PAYLOAD_TYPE, Ready
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.transcript import recorded
from weighbridge.challenge.verdict import AttemptResult
from weighbridge.wire.signing import Signer, generate_private_key

UNBOUNDED_BYTES = 1 << 52
SLACK_S = 60.0
TRIAL_ROUNDS = 64
WORK_S = 20
"""As long as the products of a contract's challenge take: what asks for less than 10 s of work is refused."""


async def calibrate(
    opening: Opening, backend: str, gpus: Sequence[str], policy: Policy, runs: int
) -> Calibration:
    """Raises CalibrationError where a run is not met, NoProber where there is no prober."""
    results: list[AttemptResult] = []
    ready: Ready | None = None
    for _ in range(runs):
        challenger = await challenged(opening, backend, gpus, policy)
        transcript = challenger.transcript()
        ready = recorded(transcript, transcript.ready, Ready)
        results.append(await asyncio.to_thread(challenger.result))
    if ready is None:
        raise CalibrationError(f"the prober did not begin: {results[-1].reason if results else ''}")
    return calibrated(ready.program, ready.facts, policy, results)


async def challenged(
    opening: Opening, backend: str, gpus: Sequence[str], policy: Policy
) -> Challenger:
    """One exchange under a key made for it, up to its openings: the verifier still has to check them."""
    signer = Signer(generate_private_key())
    challenger = Challenger(_plan(signer, tuple(gpus), policy))
    prober = await opening(_grant(backend, gpus, policy))
    try:
        await _converse(challenger, prober, signer)
    finally:
        await prober.end()
    return challenger


def _plan(signer: Signer, gpus: tuple[str, ...], policy: Policy) -> AttemptPlan:
    nonces = draw_nonces(policy, len(gpus), os.urandom)
    return AttemptPlan(
        os.urandom(8).hex(), "calibration", signer.public_key, gpus, policy, nonces, os.urandom(32)
    )


def _grant(backend: str, gpus: Sequence[str], policy: Policy) -> Grant:
    needed_ms = policy.deadline_ms * (len(policy.phases(len(gpus))) + 2)
    granted = tuple(GrantedGpu(gpu, False, UNBOUNDED_BYTES) for gpu in gpus)
    return Grant(backend, LESSEE, needed_ms, granted)


async def _converse(challenger: Challenger, prober: Prober, signer: Signer) -> None:
    patience_s = challenger.plan.policy.deadline_ms / 1000 + SLACK_S
    while not challenger.finished:
        message = challenger.next_message(time.monotonic_ns())
        answer = await prober.ask(message, patience_s)
        now_ns = time.monotonic_ns()
        challenger.receive(signer.seal(PAYLOAD_TYPE, answer), now_ns)
