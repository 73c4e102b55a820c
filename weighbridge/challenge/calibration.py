"""What a known-good class of GPUs reaches: the distribution that thresholds come from, and never a data sheet.

A calibration holds for one policy and one program: other sizes, rounds or kernels reach other rates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from weighbridge.challenge.codec import decode, encode
from weighbridge.challenge.messages import HostFact
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.verdict import AttemptResult, ChallengeVerdict, GpuResult
from weighbridge.challenge.work import rounds_of


class CalibrationError(ValueError):
    """Nothing can be said from these runs. The message says why."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Of all runs of all GPUs, sorted: the least, one in a hundred, one in ten, the middle, the most."""

    least: int
    hundredth: int
    tenth: int
    middle: int
    most: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bounds as a verifier beside the prober measured them. `program`: SHA-256 of the kernels' source.

    `flops_per_second` per run, in the order of `gpus`. A spread is None where that phase was not run.
    """

    program: bytes
    facts: tuple[HostFact, ...]
    policy: Policy
    gpus: tuple[str, ...]
    flops_per_second: tuple[tuple[int, ...], ...]
    rate: Spread
    memory: Spread | None
    memory_rate: Spread | None
    peer_rate: Spread | None
    version: int = 1

    def encode(self) -> bytes:
        """Canonical JSON."""
        return encode(self)


def read_calibration(data: bytes) -> Calibration:
    """Raises Malformed."""
    return decode(Calibration, data)


def calibrated(
    program: bytes, facts: Sequence[HostFact], policy: Policy, results: Sequence[AttemptResult]
) -> Calibration:
    """The distribution of runs that were all met. Raises CalibrationError."""
    unmet = [result for result in results if result.verdict is not ChallengeVerdict.MET]
    if unmet or not results:
        said = f"{unmet[0].verdict}: {unmet[0].reason}" if unmet else "no run"
        raise CalibrationError(f"a class that is known to be good meets every run: {said}")
    gpus = [gpu for result in results for gpu in result.gpus]
    return Calibration(
        program,
        tuple(facts),
        policy,
        tuple(gpu.gpu for gpu in results[0].gpus),
        tuple(tuple(_rates(result.gpus)) for result in results),
        _required(_spread(_bounds(gpus, "flops_per_second"))),
        _spread(_bounds(gpus, "memory_bytes")),
        _spread(_bounds(gpus, "memory_bytes_per_second")),
        _spread(_bounds(gpus, "peer_bytes_per_second")),
    )


def _rates(gpus: Sequence[GpuResult]) -> list[int]:
    return _bounds(gpus, "flops_per_second")


def _bounds(gpus: Sequence[GpuResult], name: str) -> list[int]:
    found = [getattr(gpu.measure, name) for gpu in gpus if gpu.measure is not None]
    return [bound for bound in found if bound is not None]


def _required(spread: Spread | None) -> Spread:
    if spread is None:
        raise CalibrationError("no run measured anything")
    return spread


def _spread(bounds: Sequence[int]) -> Spread | None:
    if not bounds:
        return None
    ordered = sorted(bounds)
    places = [(len(ordered) - 1) * part // 100 for part in (0, 1, 10, 50, 100)]
    return Spread(*(ordered[place] for place in places))


def lasting(trial: Calibration, seconds: int) -> Policy:
    """A short trial's policy with the rounds that take so long at the most that it reached. Raises PolicyError."""
    policy = trial.policy
    return replace(policy, rounds=rounds_of(policy.size, trial.rate.most, seconds))


def demanding(calibration: Calibration, share: Fraction) -> Policy:
    """The calibration's policy with requirements: so much of the least that the class reached in any run.

    They hold for the calibration's program alone.
    """

    def least(spread: Spread | None) -> int:
        return 0 if spread is None else spread.least * share.numerator // share.denominator

    return replace(
        calibration.policy,
        program=calibration.program.hex(),
        required_flops_per_second=least(calibration.rate),
        required_memory_bytes=least(calibration.memory),
        required_memory_bytes_per_second=least(calibration.memory_rate),
        required_peer_bytes_per_second=least(calibration.peer_rate),
    )
