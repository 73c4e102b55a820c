"""The judgement of an attempt, from the bytes of its transcript alone.

Whoever holds the bytes gets the same result: the pre-commitment (to be compared with the log's entry), the signatures
over the prover's messages, the samples, the arithmetic, the bounds. The times are the verifier's own; nothing that the
prover says raises a bound.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from weighbridge.challenge.bound import (
    RECOMPUTED_MISS,
    byte_rate,
    multiply_add_rate,
    read_bytes,
    remade_blocks,
    resident_blocks,
    wrong_cells_bound,
)
from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.derivation import precommitment
from weighbridge.challenge.messages import Decline, Openings, Ready, Roots
from weighbridge.challenge.policy import (
    BLOCK_ROWS,
    CHAIN,
    FILL,
    FREIVALDS,
    MEMORY,
    PEER,
    Policy,
)
from weighbridge.challenge.samples import Committed, Sample, phase_shape, samples_of
from weighbridge.challenge.transcript import (
    Transcript,
    decode_transcript,
    recorded,
    require_openings,
    require_roots,
)
from weighbridge.challenge.verdict import (
    AttemptResult,
    ChallengeVerdict,
    GpuMeasure,
    GpuResult,
    VerdictReason,
    worst_gpu,
)
from weighbridge.challenge.work import LEAST_ALLOWANCES, LEAST_WORK_MS
from weighbridge.wire.signing import SignatureError

_DECLINED = {
    "busy": VerdictReason.BUSY,
    "no_consent": VerdictReason.NO_CONSENT,
    "no_budget": VerdictReason.NO_BUDGET,
    "no_memory": VerdictReason.NO_MEMORY,
    "unsupported": VerdictReason.UNSUPPORTED,
    "interrupted": VerdictReason.INTERRUPTED,
}
_MILLISECOND = 1_000_000
_VECTOR_PRIME = (1 << 31) - 1
MOST_TAKEN_OFF = 50
"""A round trip takes a fiftieth off the time of a phase, at most."""
FILL_PACE = Fraction(3, 2)
"""What is filled takes so many times as long as the chain did for as many products, at most, and an allowance."""


def verify_transcript(data: bytes) -> AttemptResult:
    """The result of an attempt from its bytes. Raises Malformed; every other defect is a verdict."""
    return judge(decode_transcript(data))


def judge(transcript: Transcript) -> AttemptResult:
    """The same as `verify_transcript`, from the decoded record."""
    try:
        answers = _answers(transcript)
    except (Malformed, SignatureError):
        return _unjudged(transcript, ChallengeVerdict.VOID, VerdictReason.UNSIGNED)
    return _incomplete(transcript, answers) or _checked(transcript, answers)


@dataclass(frozen=True, slots=True)
class _Answers:
    """The prover's messages, out of their envelopes."""

    ready: Ready | None
    decline: Decline | None
    roots: tuple[Roots | None, ...]
    openings: Openings | None


def _names(transcript: Transcript) -> tuple[str, ...]:
    return transcript.policy.phases(len(transcript.gpus))


def _answers(transcript: Transcript) -> _Answers:
    policy, gpus = transcript.policy, len(transcript.gpus)
    roots = tuple(recorded(transcript, record.roots, Roots) for record in transcript.phases)
    for phase, message in zip(_names(transcript), roots, strict=True):
        if message is not None:
            require_roots(message, phase, policy, gpus)
    openings = recorded(transcript, transcript.openings, Openings)
    if openings is not None:
        require_openings(openings, policy, gpus)
    ready = recorded(transcript, transcript.ready, Ready)
    return _Answers(ready, recorded(transcript, transcript.decline, Decline), roots, openings)


def _unjudged(
    transcript: Transcript, verdict: ChallengeVerdict, reason: VerdictReason
) -> AttemptResult:
    elapsed = tuple(record.elapsed_ns for record in transcript.phases)
    gpus = tuple(GpuResult(gpu, verdict, reason, 0, 0, None) for gpu in transcript.gpus)
    return AttemptResult(transcript.challenge, verdict, reason, gpus, elapsed)


def _incomplete(transcript: Transcript, answers: _Answers) -> AttemptResult | None:
    """The result where there is nothing to compute; None where the samples decide."""
    expected = precommitment(
        transcript.nonces, transcript.secret, transcript.contract, transcript.policy
    )
    drawn = (*transcript.nonces, transcript.secret)
    apart = len(set(drawn)) == len(drawn) and _one_after_the_other(transcript)
    if transcript.precommitment != expected or not apart:
        return _unjudged(transcript, ChallengeVerdict.VOID, VerdictReason.PRECOMMITMENT)
    stood_still = transcript.stood_still_ns > _allowance_ns(transcript)
    if answers.decline is not None and None in answers.roots:
        reason = _DECLINED[answers.decline.reason]
        return _unjudged(transcript, ChallengeVerdict.NOT_ASSESSED, reason)
    if answers.ready is not None and not _is_program_asked_for(transcript, answers.ready):
        unjudged = _unjudged(transcript, ChallengeVerdict.NOT_ASSESSED, VerdictReason.OTHER_PROGRAM)
        return replace(unjudged, program=answers.ready.program)
    if answers.openings is None and stood_still:
        return _unjudged(transcript, ChallengeVerdict.VOID, VerdictReason.STOOD_STILL)
    if answers.openings is None:
        return _unjudged(transcript, ChallengeVerdict.NOT_ASSESSED, VerdictReason.NO_ANSWER)
    return None


def _is_program_asked_for(transcript: Transcript, ready: Ready) -> bool:
    """Requirements are of one program: what another one reaches below them says nothing, so it is not let run."""
    return transcript.policy.program in ("", ready.program.hex())


def _one_after_the_other(transcript: Transcript) -> bool:
    """A phase is released after the one before has been committed."""
    return all(
        after.released_ns is None
        or (before.received_ns is not None and after.released_ns >= before.received_ns)
        for before, after in pairwise(transcript.phases)
    )


def _checked(transcript: Transcript, answers: _Answers) -> AttemptResult:
    try:
        from weighbridge.challenge.verifier import sample_verdicts
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        return _unjudged(transcript, ChallengeVerdict.UNKNOWN, VerdictReason.NO_NUMPY)
    committed = committed_of(transcript, [roots for roots in answers.roots if roots is not None])
    openings = answers.openings.openings if answers.openings is not None else ()
    samples = samples_of(committed, openings)
    held = sample_verdicts(committed, samples)
    program = b"" if answers.ready is None else answers.ready.program
    excuse = _excuse(transcript, answers)
    gpus = tuple(
        _gpu_result(transcript, answers, place, samples, held, excuse)
        for place in range(len(transcript.gpus))
    )
    verdict, reason = worst_gpu(gpus)
    elapsed = tuple(record.elapsed_ns for record in transcript.phases)
    return AttemptResult(transcript.challenge, verdict, reason, gpus, elapsed, program)


def _excuse(transcript: Transcript, answers: _Answers) -> VerdictReason | None:
    """Why a failure of time is void, as often as it comes; None: nothing but the verifier's own hours says so.

    Of what the prover says its signed times alone count. They raise no bound: who understates them is never met by it,
    and attempts that are void are counted.
    """
    if transcript.stood_still_ns > _allowance_ns(transcript):
        return VerdictReason.STOOD_STILL
    return VerdictReason.STALLED if _stall_is_possible(transcript, answers) else None


def committed_of(transcript: Transcript, roots: Sequence[Roots]) -> Committed:
    """What fixes the samples, out of a record."""
    return Committed(
        contract=transcript.contract,
        agent_key=transcript.agent_key,
        gpus=transcript.gpus,
        policy=transcript.policy,
        nonces=transcript.nonces,
        secret=transcript.secret,
        roots=tuple(message.roots for message in roots),
    )


def _allowance_ns(transcript: Transcript) -> int:
    return transcript.policy.stall_allowance_ms * _MILLISECOND


def _stall_is_possible(transcript: Transcript, answers: _Answers) -> bool:
    """The verifier's time exceeds the prover's by more than a link explains."""
    return any(
        message is not None
        and record.elapsed_ns - (message.ended_ns - message.began_ns) > _allowance_ns(transcript)
        for record, message in zip(transcript.phases, answers.roots, strict=True)
    )


def _gpu_result(
    transcript: Transcript,
    answers: _Answers,
    place: int,
    samples: Sequence[Sample],
    held: Sequence[bool],
    excuse: VerdictReason | None,
) -> GpuResult:
    mine = [(s, ok) for s, ok in zip(samples, held, strict=True) if s.place == place]
    wrong = sum(not ok for _, ok in mine)
    gpu = transcript.gpus[place]
    if wrong > 0:
        unopened = any(sample.leaf is None for sample, _ in mine)
        reason = VerdictReason.BAD_OPENING if unopened else VerdictReason.WRONG_ANSWER
        return GpuResult(gpu, ChallengeVerdict.FAILED, reason, len(mine), wrong, None)
    elapsed = _elapsed_ns(transcript, answers)
    measure = _measured(transcript, elapsed)
    shortfall = _shortfall(transcript, measure)
    if shortfall is None and _is_beyond(transcript.policy, measure):
        beyond = VerdictReason.ABOVE_CEILING
        return GpuResult(gpu, ChallengeVerdict.UNKNOWN, beyond, len(mine), 0, measure)
    if shortfall is None:
        return GpuResult(gpu, ChallengeVerdict.MET, None, len(mine), 0, measure)
    own = _measured(transcript, _own_passes_ns(transcript, answers, elapsed))
    if excuse is None and _shortfall(transcript, own) is None:
        excuse = VerdictReason.STALLED
    if excuse is not None:
        return GpuResult(gpu, ChallengeVerdict.VOID, excuse, len(mine), 0, measure)
    return GpuResult(gpu, ChallengeVerdict.FAILED, shortfall, len(mine), 0, measure)


def _shortfall(transcript: Transcript, measure: GpuMeasure) -> VerdictReason | None:
    """What right answers fall short of: always a matter of the verifier's time."""
    policy = transcript.policy
    deadline = policy.deadline_ms * _MILLISECOND
    if any(record.elapsed_ns > deadline for record in transcript.phases):
        return VerdictReason.LATE
    required = (
        (measure.flops_per_second, policy.required_flops_per_second, VerdictReason.TOO_SLOW),
        (measure.memory_bytes, policy.required_memory_bytes, VerdictReason.TOO_LITTLE_MEMORY),
        (
            measure.memory_bytes_per_second,
            policy.required_memory_bytes_per_second,
            VerdictReason.MEMORY_TOO_SLOW,
        ),
        (
            measure.peer_bytes_per_second,
            policy.required_peer_bytes_per_second,
            VerdictReason.PEER_TOO_SLOW,
        ),
    )
    for bound, wanted, reason in required:
        if bound is not None and bound < wanted:
            return reason
    return None


def _is_beyond(policy: Policy, measure: GpuMeasure) -> bool:
    """Whether the products came faster than one card of the class makes them: several, or another, made them."""
    return 0 < policy.ceiling_flops_per_second < measure.flops_per_second


def _elapsed_ns(transcript: Transcript, answers: _Answers) -> dict[str, int]:
    """The time of each phase, by the verifier's clock."""
    return {
        name: _weighed_ns(transcript, place, roots)
        for place, (name, roots) in enumerate(zip(_names(transcript), answers.roots, strict=True))
    }


def _own_passes_ns(
    transcript: Transcript, answers: _Answers, elapsed_ns: Mapping[str, int]
) -> dict[str, int]:
    """The same with the prover's own time of each pass that is shorter than a challenge has to be: in such a one a
    delay on the way could pass for slowness, so that both clocks must show it.
    """
    policy, own = transcript.policy, dict(elapsed_ns)
    least_ms = max(LEAST_WORK_MS, LEAST_ALLOWANCES * policy.stall_allowance_ms)
    for name, roots in zip(_names(transcript), answers.roots, strict=True):
        short = name in (MEMORY, PEER) and elapsed_ns[name] < least_ms * _MILLISECOND
        if short and roots is not None:
            own[name] = min(own[name], max(1, roots.ended_ns - roots.began_ns))
    return own


def _measured(transcript: Transcript, elapsed: Mapping[str, int]) -> GpuMeasure:
    """The lower bounds of a GPU whose samples all held, from the times of the phases."""
    policy = transcript.policy
    wrong = wrong_cells_bound(policy.cells, policy.samples, policy.doubt, _miss(policy))
    rate = multiply_add_rate(policy.size, policy.cells - wrong, elapsed[CHAIN])
    held, memory_rate = _memory_bounds(policy, elapsed.get(MEMORY))
    held = 0 if held is not None and _waited_to_fill(policy, elapsed) else held
    peer_rate = _pass_rate(policy, PEER, elapsed.get(PEER), policy.device_memory_bytes)
    return GpuMeasure(policy.cells, wrong, rate, held, memory_rate, peer_rate)


def _waited_to_fill(policy: Policy, elapsed_ns: Mapping[str, int]) -> bool:
    """Whether a pause fits into the filling, in which another node's share of the same memory is filled and read."""
    most = FILL_PACE * elapsed_ns[CHAIN] * policy.tiles / policy.rounds
    return elapsed_ns.get(FILL, 0) > most + policy.stall_allowance_ms * _MILLISECOND


def _weighed_ns(transcript: Transcript, place: int, roots: Roots | None) -> int:
    """The verifier's time of a phase, less a round trip to a far place.

    A prover that delays the words by which it is measured gains what is taken off: never more than a fiftieth, nor more
    than its own signed time leaves.
    """
    elapsed = transcript.phases[place].elapsed_ns
    apart = elapsed if roots is None else elapsed - (roots.ended_ns - roots.began_ns)
    return elapsed - max(0, min(transcript.round_trip_ns, apart, elapsed // MOST_TAKEN_OFF))


def _miss(policy: Policy) -> Fraction:
    return Fraction(1, _VECTOR_PRIME) if policy.check == FREIVALDS else RECOMPUTED_MISS


def _right_cells(policy: Policy, phase: str) -> int:
    shape = phase_shape(policy, phase)
    return shape.cells - wrong_cells_bound(
        shape.cells, shape.samples, policy.doubt, RECOMPUTED_MISS
    )


def _remade(policy: Policy, elapsed_ns: int) -> int:
    block_flops = 2 * policy.size * policy.size * BLOCK_ROWS
    return remade_blocks(block_flops, policy.remaking_flops_per_second, elapsed_ns)


def _pass_rate(policy: Policy, phase: str, elapsed_ns: int | None, cached_bytes: int) -> int | None:
    if elapsed_ns is None:
        return None
    done, remade = _right_cells(policy, phase), _remade(policy, elapsed_ns)
    return byte_rate(read_bytes(policy.block_bytes, done, remade, cached_bytes), elapsed_ns)


def _memory_bounds(policy: Policy, elapsed_ns: int | None) -> tuple[int | None, int | None]:
    if elapsed_ns is None:
        return None, None
    done, remade = _right_cells(policy, MEMORY), _remade(policy, elapsed_ns)
    held = policy.block_bytes * resident_blocks(done, policy.memory_passes, remade)
    return held, _pass_rate(policy, MEMORY, elapsed_ns, cached_bytes=0)
