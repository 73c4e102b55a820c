"""What a challenge says: per GPU and for the node, and over the attempts of a series."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from weighbridge.challenge.policy import Policy


class ChallengeVerdict(StrEnum):
    """MET and FAILED judge the hardware; the others say why nothing was judged."""

    MET = "met"
    FAILED = "failed"
    NOT_ASSESSED = "not assessed"
    VOID = "void"
    UNKNOWN = "unknown"


class VerdictReason(StrEnum):
    """Why. A verdict of MET has none."""

    WRONG_ANSWER = "wrong answer"
    BAD_OPENING = "bad opening"
    LATE = "late"
    TOO_SLOW = "compute below the requirement"
    TOO_LITTLE_MEMORY = "memory below the requirement"
    MEMORY_TOO_SLOW = "memory bandwidth below the requirement"
    PEER_TOO_SLOW = "peer bandwidth below the requirement"
    OTHER_PROGRAM = "another program than the requirements were measured with"
    ABOVE_CEILING = "faster than a card of its class can be"
    BUSY = "busy"
    NO_CONSENT = "no consent"
    NO_BUDGET = "no budget"
    NO_MEMORY = "memory in use"
    UNSUPPORTED = "unsupported"
    INTERRUPTED = "interrupted"
    NO_ANSWER = "no answer"
    STALLED = "verifier stalled"
    STOOD_STILL = "verifier stood still"
    PRECOMMITMENT = "not what was pre-committed"
    UNSIGNED = "not signed by the agent"
    REBOOTED = "a reboot in the run"
    ABANDONED = "the verifier ended before the exchange did"
    NO_VERDICT = "verification did not end"
    NO_NUMPY = "verification needs numpy: install weighbridge[challenge]"


@dataclass(frozen=True, slots=True)
class GpuMeasure:
    """Lower bounds of one GPU, each from the verifier's clock alone. None: that phase was not run.

    `cells` counts what was sampled from, `wrong_cells_bound` how many of them may be wrong at the policy's doubt.
    """

    cells: int
    wrong_cells_bound: int
    flops_per_second: int
    memory_bytes: int | None = None
    memory_bytes_per_second: int | None = None
    peer_bytes_per_second: int | None = None


@dataclass(frozen=True, slots=True)
class GpuResult:
    """One GPU of a challenge. `wrong_samples` of `samples` did not hold."""

    gpu: str
    verdict: ChallengeVerdict
    reason: VerdictReason | None
    samples: int
    wrong_samples: int
    measure: GpuMeasure | None


@dataclass(frozen=True, slots=True)
class AttemptResult:
    """One attempt. The node's verdict is the worst of its GPUs'. `program`: SHA-256 of what says it computed."""

    challenge: str
    verdict: ChallengeVerdict
    reason: VerdictReason | None
    gpus: tuple[GpuResult, ...] = ()
    elapsed_ns: tuple[int, ...] = ()
    program: bytes = b""

    @property
    def flops_per_second(self) -> int:
        """The sum over the GPUs that were measured."""
        return sum(gpu.measure.flops_per_second for gpu in self.gpus if gpu.measure is not None)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A finished attempt as the next one records it. `transcript`: SHA-256 of its bytes."""

    challenge: str
    transcript: bytes
    verdict: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Series:
    """All attempts at one challenge: the verdict, and whether another attempt is due."""

    verdict: ChallengeVerdict
    reason: VerdictReason | None
    attempts: int
    failed_attempts: int
    repeat: bool


PROOFS = (VerdictReason.WRONG_ANSWER, VerdictReason.BAD_OPENING)
"""Exact proof of a cheat or of broken silicon: no later success undoes it."""


def worst_gpu(results: Sequence[GpuResult]) -> tuple[ChallengeVerdict, VerdictReason | None]:
    """The verdict of several GPUs together: any failure, exact proof first, else anything unjudged, else met."""
    for result in results:
        if result.reason in PROOFS:
            return result.verdict, result.reason
    order = (
        ChallengeVerdict.FAILED,
        ChallengeVerdict.VOID,
        ChallengeVerdict.UNKNOWN,
        ChallengeVerdict.NOT_ASSESSED,
    )
    for verdict in order:
        for result in results:
            if result.verdict is verdict:
                return verdict, result.reason
    return ChallengeVerdict.MET, None


def series_of(results: Sequence[AttemptResult], policy: Policy) -> Series:
    """Over all attempts so far: failed for good with a wrong answer; met as soon as one is met; failed if one failed;
    else what the last one says.

    A link or a card may be slow once, so that is tried again. A prover that declines after a failure does not undo it.
    Void attempts are no attempts: `voids_allowed` of them are repeated at once, and what is void to the end is void.
    A cheat that is lucky and too slow is tried again, and one that is not lucky has failed for good: the doubt of one
    attempt is that of the series.
    """
    verdicts = [result.verdict for result in results]
    proof = next((result for result in results if result.reason in PROOFS), None)
    failed, voids = (
        verdicts.count(one) for one in (ChallengeVerdict.FAILED, ChallengeVerdict.VOID)
    )
    if proof is not None:
        return Series(proof.verdict, proof.reason, len(results), failed, repeat=False)
    unmet = ChallengeVerdict.FAILED if failed > 0 else verdicts[-1]
    verdict = ChallengeVerdict.MET if ChallengeVerdict.MET in verdicts else unmet
    reason = next(result.reason for result in reversed(results) if result.verdict is verdict)
    spent = len(results) - voids >= policy.attempts_allowed or voids > policy.voids_allowed
    open_end = verdicts[-1] in (ChallengeVerdict.FAILED, ChallengeVerdict.VOID)
    return Series(verdict, reason, len(results), failed, repeat=open_end and not spent)
