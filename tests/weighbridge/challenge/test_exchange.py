import contextlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.probe.cpu import CpuEngine
from tests.weighbridge.challenge.conducting import conduct
from weighbridge.challenge.bound import RECOMPUTED_MISS, undetected
from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.codec import Malformed
from weighbridge.challenge.judgement import verify_transcript
from weighbridge.challenge.messages import (
    PAYLOAD_TYPE,
    Decline,
    Openings,
    Ready,
    Release,
    Roots,
    encode_message,
)
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.transcript import decode_transcript
from weighbridge.challenge.verdict import (
    Attempt,
    AttemptResult,
    ChallengeVerdict,
    GpuMeasure,
    GpuResult,
    VerdictReason,
    series_of,
    worst_gpu,
)
from weighbridge.wire.signing import SignatureError, Signer

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

GPUS = ("GPU-a", "GPU-b", "GPU-c")


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize("profile", ["f16", "i8"])
@pytest.mark.parametrize("size", [128, 256, 384])
def test_an_honest_prover_meets_a_requirement_that_it_can_reach(
    bench: Any, profile: Any, check: Any, size: Any
) -> None:
    policy = bench.policy(
        profile=profile, check=check, size=size, samples=64, required_flops_per_second=1_000
    )
    result, _ = bench.run(bench.plan(policy))
    assert (result.verdict, result.reason) == (ChallengeVerdict.MET, None)
    assert result.gpus[0].samples == 64


def noting(seen: list[Any]) -> Any:
    def note(message: Any) -> Any:
        seen.append(message)
        return message

    return note


def test_an_honest_node_passes_memory_and_peer_phases(bench: Any) -> None:
    result, _ = bench.run(bench.plan(bench.passes_policy(), GPUS))
    assert result.verdict is ChallengeVerdict.MET
    assert [gpu.samples for gpu in result.gpus] == [24, 24, 24]


def test_a_single_gpu_has_no_peer_phase(bench: Any) -> None:
    result, challenger = bench.run(bench.plan(bench.passes_policy()))
    assert result.verdict is ChallengeVerdict.MET
    assert challenger.plan.phases == ("chain", "memory")
    assert result.gpus[0].measure.peer_bytes_per_second is None


def test_the_rate_is_the_bound_over_the_verifiers_time(bench: Any) -> None:
    policy = bench.policy(samples=64)
    result, challenger = bench.run(bench.plan(policy), devices=[bench.Device(round_ns=10_000_000)])
    elapsed = challenger.transcript().phases[0].elapsed_ns
    measure = result.gpus[0].measure
    assert 20_000_000 <= elapsed < 20_000_100
    done = policy.cells - measure.wrong_cells_bound
    assert measure.flops_per_second == 2 * 128 * 128 * done * 10**9 // elapsed
    unseen = [
        undetected(policy.cells, measure.wrong_cells_bound + more, 64, RECOMPUTED_MISS)
        for more in (0, 1)
    ]
    assert unseen[0] > Fraction(1, 1000) >= unseen[1]


def test_memory_bounds_count_what_was_stored_and_what_was_read(bench: Any) -> None:
    policy = bench.passes_policy(memory_samples=4096, tiles=4, ceiling_flops_per_second=1_000_000)
    device = bench.Device(scan_ns=1_000_000)
    result, _ = bench.run(bench.plan(policy), devices=[device])
    measure, stored = result.gpus[0].measure, 4 * policy.tile_bytes
    assert stored * 98 // 100 < measure.memory_bytes < stored
    assert stored * 1000 * 98 // 100 < measure.memory_bytes_per_second < stored * 1000


def test_a_higher_ceiling_proves_less_memory(bench: Any) -> None:
    held = []
    for ceiling in (1_000_000, 20_000_000_000):
        policy = bench.passes_policy(memory_samples=256, ceiling_flops_per_second=ceiling)
        result, _ = bench.run(bench.plan(policy))
        held.append(result.gpus[0].measure.memory_bytes)
    assert held[1] < held[0]


def test_a_time_that_the_prover_prints_never_raises_the_bound(bench: Any) -> None:
    def boast(message: Any) -> Any:
        return replace(message, began_ns=0, ended_ns=1) if isinstance(message, Roots) else message

    honest, _ = bench.run(bench.plan(bench.policy()))
    boasting, _ = bench.run(bench.plan(bench.policy()), after=boast)
    assert boasting.flops_per_second == honest.flops_per_second


def test_an_answer_after_the_deadline_has_failed(bench: Any) -> None:
    policy = bench.policy(deadline_ms=15)
    result, _ = bench.run(bench.plan(policy), devices=[bench.Device(round_ns=10_000_000)])
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.LATE)


UNASSESSED = (ChallengeVerdict.NOT_ASSESSED, VerdictReason.NO_ANSWER)


@pytest.mark.parametrize("silent_at", [Roots, Openings])
def test_silence_after_the_release_is_worth_what_a_decline_is(bench: Any, silent_at: type) -> None:
    """Also once the samples are known: whoever sees that one would meet what it left out is not met by silence."""
    result, _ = bench.run(
        bench.plan(bench.policy()), after=lambda m: None if isinstance(m, silent_at) else m
    )
    assert (result.verdict, result.reason) == UNASSESSED


def test_a_node_that_does_not_answer_at_all_is_not_assessed(bench: Any) -> None:
    result, _ = bench.run(bench.plan(bench.policy()), after=lambda _: None)
    assert (result.verdict, result.reason) == (
        ChallengeVerdict.NOT_ASSESSED,
        VerdictReason.NO_ANSWER,
    )


@pytest.mark.parametrize(
    "reason", ["busy", "no_consent", "no_budget", "no_memory", "unsupported", "interrupted"]
)
@pytest.mark.parametrize("stage", [Ready, Roots])
def test_a_declined_challenge_is_not_assessed_and_never_failed(
    bench: Any, reason: Any, stage: Any
) -> None:
    def decline(message: Any) -> Any:
        return Decline(message.challenge, reason) if isinstance(message, stage) else message

    result, _ = bench.run(bench.plan(bench.policy()), after=decline)
    assert result.verdict is ChallengeVerdict.NOT_ASSESSED
    assert result.reason.name.lower() == reason


def test_nobody_declines_once_the_samples_are_known(bench: Any) -> None:
    def decline(message: Any) -> Any:
        return Decline(message.challenge, "busy") if isinstance(message, Openings) else message

    result, challenger = bench.run(bench.plan(bench.policy()), after=decline)
    assert (result.verdict, result.reason) == UNASSESSED
    assert challenger.transcript().decline is None


def test_a_recorded_decline_after_every_commitment_excuses_nothing(bench: Any) -> None:
    _, challenger = bench.run(bench.plan(bench.policy()))
    decline = bench.signer.seal(
        PAYLOAD_TYPE, encode_message(Decline("challenge-0", "busy"))
    ).decode()
    record = replace(challenger.transcript(), openings=None, decline=decline)
    result = verify_transcript(record.encode())
    assert (result.verdict, result.reason) == UNASSESSED


def stalled(bench: Any, seed: Any = 0, earlier: Any = ()) -> Any:
    """A verifier that keeps a finished answer waiting for ten seconds."""
    policy = bench.policy(required_flops_per_second=10**8, stall_allowance_ms=500)
    plan = bench.plan(policy, seed=seed, earlier=earlier)
    clock = bench.Clock()

    def stall(message: Any) -> Any:
        clock.now_ns += 10**10 if isinstance(message, Roots) else 0
        return message

    return bench.run(plan, clock=clock, after=stall)


def test_a_stalled_verifier_voids_the_attempt_it_would_have_failed(bench: Any) -> None:
    result, _ = stalled(bench)
    assert (result.verdict, result.reason) == (ChallengeVerdict.VOID, VerdictReason.STALLED)


def test_a_failure_of_time_is_void_as_often_as_the_verifier_stalls(bench: Any) -> None:
    """Whose clock is right the record cannot say: a collector that adds ten seconds to each attempt fails nobody."""
    first, _ = stalled(bench)
    record = Attempt("challenge-0", bytes(32), first.verdict, first.reason)
    second, challenger = stalled(bench, seed=1, earlier=(record, record))
    assert (second.verdict, second.reason) == (ChallengeVerdict.VOID, VerdictReason.STALLED)
    assert challenger.transcript().phases[0].elapsed_ns > 10**10


def memory_read(bench: Any, share: int = 0, **how: Any) -> Any:
    """Of the rate that a near card's pass has, so many percent are asked for; the one GPU's result, and its times."""
    policy = bench.policy(
        rounds=4,
        tiles=3,
        memory_passes=3,
        memory_samples=8,
        ceiling_flops_per_second=1,
        required_memory_bytes_per_second=how.pop("asked", 0) * share // 100,
    )
    result, challenger = bench.run(bench.plan(policy), **how)
    return result.gpus[0], challenger.transcript().phases[1].elapsed_ns


@pytest.mark.parametrize("scan_ms", [1, 4000])
def test_a_far_place_fails_no_pass_that_is_short_and_a_slow_card_fails_there_too(
    bench: Any, scan_ms: int
) -> None:
    """A delay within the allowance is little of ten seconds, and all of a short pass: what fails in such a one is what
    both clocks show."""
    device: dict[str, Any] = {"devices": [bench.Device(scan_ns=scan_ms * 1_000_000)]}
    near, lasted_ns = memory_read(bench, **device)
    asked: dict[str, Any] = {"asked": near.measure.memory_bytes_per_second, "share": 99}
    far, _ = memory_read(bench, **asked, **device, delay_ns=900_000_000)
    short = lasted_ns < 10_000_000_000
    assert (far.verdict, far.reason) == (
        (ChallengeVerdict.VOID, VerdictReason.STALLED)
        if short
        else (ChallengeVerdict.FAILED, VerdictReason.MEMORY_TOO_SLOW)
    )
    slower: dict[str, Any] = {"devices": [bench.Device(scan_ns=scan_ms * 1_100_000)]}
    for delay_ns in (0, 10_000_000):
        slow, _ = memory_read(bench, **asked, **slower, delay_ns=delay_ns)
        assert (slow.verdict, slow.reason) == (
            ChallengeVerdict.FAILED,
            VerdictReason.MEMORY_TOO_SLOW,
        )


def standing_still(bench: Any, still_ns: int, after: Any = lambda message: message) -> Any:
    """A verifier that did nothing for a while, and knows it, of a card that is slower than it must be."""
    policy = bench.policy(
        samples=64, required_flops_per_second=10**12, stall_allowance_ms=500, deadline_ms=60_000
    )
    challenger = Challenger(bench.plan(policy))
    challenger.stood_still_ns = still_ns
    clock = bench.Clock()
    return conduct(challenger, bench.wire(challenger.plan, clock, after=after), clock)


@pytest.mark.parametrize("silent_at", [None, Roots, Openings])
def test_a_verifier_that_stood_still_fails_nobody(bench: Any, silent_at: type | None) -> None:
    def silent(message: Any) -> Any:
        return None if silent_at is not None and isinstance(message, silent_at) else message

    void = standing_still(bench, 500_000_001, silent)
    assert (void.verdict, void.reason) == (ChallengeVerdict.VOID, VerdictReason.STOOD_STILL)
    short = standing_still(bench, 500_000_000, silent)
    assert short.verdict is not ChallengeVerdict.VOID


def far(bench: Any, round_trip_ns: int, delay_ns: int) -> Any:
    """The rate of a prover whose words take so long there, of which so much was measured."""
    challenger = Challenger(bench.plan(bench.policy(rounds=200, samples=64)))
    challenger.round_trip_ns = round_trip_ns
    clock = bench.Clock()
    wire = bench.wire(challenger.plan, clock, delay_ns=delay_ns)
    return conduct(challenger, wire, clock).flops_per_second


def test_the_way_to_a_far_place_is_taken_off_as_far_as_both_clocks_leave_it(bench: Any) -> None:
    near, unmeasured = far(bench, 0, 0), far(bench, 0, 30_000_000)
    assert unmeasured < near
    assert far(bench, 30_000_000, 30_000_000) == pytest.approx(near, rel=1e-6)
    assert far(bench, 30_000_000, 0) == pytest.approx(near, rel=1e-6), "it was never on the way"


def test_who_delays_the_measured_words_gains_a_fiftieth_at_most(bench: Any) -> None:
    gained = far(bench, 10**12, 200_000_000) / far(bench, 0, 200_000_000)
    assert 1 < gained <= 50 / 49 + 1e-6


def test_a_stall_excuses_no_wrong_answer(bench: Any) -> None:
    clock = bench.Clock()

    def stall_and_forge(message: Any) -> Any:
        if not isinstance(message, Roots):
            return message
        clock.now_ns += 10**10
        return replace(message, roots=(bytes(len(message.roots[0])),))

    result, _ = bench.run(bench.plan(bench.policy()), clock=clock, after=stall_and_forge)
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.BAD_OPENING)


@pytest.mark.parametrize("voids", [0, 1, 4])
def test_a_prover_that_always_understates_its_time_is_never_met_and_never_failed(
    bench: Any, voids: int
) -> None:
    """It is void as often as the policy repeats, and counted: whose clock is wrong is a finding of its own."""
    policy = bench.policy(
        samples=64, required_flops_per_second=10**9, stall_allowance_ms=1, voids_allowed=voids
    )

    def understated(message: Any) -> Any:
        return (
            replace(message, ended_ns=message.began_ns) if isinstance(message, Roots) else message
        )

    results: list[Any] = []
    earlier: tuple[Attempt, ...] = ()
    while not results or series_of(results, policy).repeat:
        result, _ = bench.run(bench.plan(policy, earlier=earlier), after=understated)
        results.append(result)
        earlier += (Attempt("c", bytes(32), result.verdict.value, None),)
    assert [one.verdict for one in results] == [ChallengeVerdict.VOID] * (1 + voids)
    assert series_of(results, policy).verdict is ChallengeVerdict.VOID


@pytest.mark.parametrize("twice", ["nonces", "secret"])
def test_a_verifier_that_draws_one_value_twice_has_a_void_record(bench: Any, twice: str) -> None:
    """A secret that is a nonce tells the samples in advance; so does a second nonce that was the first."""
    plan = bench.plan(bench.passes_policy())
    first, second = plan.nonces
    drawn = {"nonces": {"nonces": (first, first)}, "secret": {"secret": first}}[twice]
    result, _ = bench.run(replace(plan, **drawn))
    assert (result.verdict, result.reason) == (ChallengeVerdict.VOID, VerdictReason.PRECOMMITMENT)
    assert bench.run(plan)[0].verdict is ChallengeVerdict.MET
    assert second != first


OTHER = "ab" * 32
"""A program that nobody here runs."""


def test_another_program_than_the_requirements_are_of_is_not_released(bench: Any) -> None:
    own = CpuEngine().program().hex()
    policy = bench.policy(samples=64, required_flops_per_second=10**9)
    for program in ("", own):
        run, _ = bench.run(bench.plan(replace(policy, program=program)))
        assert run.reason is VerdictReason.TOO_SLOW
    other, challenger = bench.run(bench.plan(replace(policy, program=OTHER)))
    assert (other.verdict, other.reason) == (
        ChallengeVerdict.NOT_ASSESSED,
        VerdictReason.OTHER_PROGRAM,
    )
    assert other.program.hex() == own
    assert challenger.transcript().phases[0].released_ns is None


def test_a_change_of_program_after_a_failure_does_not_undo_it(bench: Any) -> None:
    policy = bench.policy(required_flops_per_second=10**9)
    own = CpuEngine().program().hex()
    failed, _ = bench.run(bench.plan(replace(policy, program=own)))
    excused, _ = bench.run(bench.plan(replace(policy, program=OTHER)))
    series = series_of([failed, excused], policy)
    assert (series.verdict, series.repeat) == (ChallengeVerdict.FAILED, False)
    assert not series_of([excused], policy).repeat, "the next attempt would run the same program"


@pytest.mark.parametrize(
    "changes",
    [
        {"required_memory_bytes": 1},
        {"required_memory_bytes_per_second": 1},
        {"required_peer_bytes_per_second": 1},
        {"program": "AB" * 32},
        {"program": "ab"},
    ],
)
def test_a_requirement_that_nothing_would_measure_is_refused(bench: Any, changes: Any) -> None:
    with pytest.raises(PolicyError, match=next(iter(changes))):
        bench.policy(**changes)


def test_a_requirement_between_gpus_is_refused_where_there_is_but_one(bench: Any) -> None:
    policy = bench.passes_policy(required_peer_bytes_per_second=1)
    bench.plan(policy, GPUS)
    with pytest.raises(PolicyError, match="no peer"):
        bench.plan(policy)


def test_a_third_party_gets_the_same_result_from_the_bytes_alone(bench: Any) -> None:
    result, challenger = bench.run(bench.plan(bench.passes_policy(), GPUS))
    data = challenger.transcript().encode()
    assert verify_transcript(data) == result
    assert decode_transcript(data).encode() == data


def test_an_altered_record_is_void_or_refused(bench: Any) -> None:
    _, challenger = bench.run(bench.plan(bench.policy()))
    record = challenger.transcript()
    other = Signer(bytes(range(32)))
    changed = {
        VerdictReason.PRECOMMITMENT: [
            replace(record, secret=bytes(32)),
            replace(record, nonces=(bytes(32),)),
            replace(record, contract="another"),
            replace(record, policy=replace(record.policy, required_flops_per_second=1)),
        ],
        VerdictReason.UNSIGNED: [
            replace(record, agent_key=other.public_key),
            replace(record, challenge="another"),
            replace(
                record,
                openings=other.seal(
                    PAYLOAD_TYPE, encode_message(Openings("challenge-0", ()))
                ).decode(),
            ),
            replace(record, openings=record.ready),
        ],
    }
    for reason, records in changed.items():
        for altered in records:
            result = verify_transcript(altered.encode())
            assert (result.verdict, result.reason) == (ChallengeVerdict.VOID, reason)


def test_a_phase_released_before_the_last_one_was_committed_voids_the_record(bench: Any) -> None:
    _, challenger = bench.run(bench.plan(bench.passes_policy()))
    record = challenger.transcript()
    early = replace(record.phases[1], released_ns=record.phases[0].received_ns - 1)
    result = verify_transcript(replace(record, phases=(record.phases[0], early)).encode())
    assert result.verdict is ChallengeVerdict.VOID


def test_bytes_that_are_no_transcript_are_refused(bench: Any) -> None:
    _, challenger = bench.run(bench.plan(bench.policy()))
    data = challenger.transcript().encode()
    for wrong in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        data + b" ",
        data.replace(b'"version":1', b'"version":2'),
        data[:-1],
    ):
        with pytest.raises(Malformed):
            verify_transcript(wrong)


def test_an_answer_signed_by_another_key_changes_nothing(bench: Any) -> None:
    challenger = Challenger(bench.plan(bench.policy()))
    challenger.next_message(1)
    ready = encode_message(Ready("challenge-0", bytes(32), 0))
    with pytest.raises(SignatureError):
        challenger.receive(Signer(bytes(range(32))).seal(PAYLOAD_TYPE, ready), 2)
    with pytest.raises(Malformed):
        challenger.receive(bench.signer.seal("text/plain", ready), 2)
    assert challenger.waiting_since_ns == 1
    challenger.receive(bench.signer.seal(PAYLOAD_TYPE, ready), 2)
    assert challenger.waiting_since_ns is None


def test_the_secret_leaves_only_after_every_commitment(bench: Any) -> None:
    seen: list[Any] = []
    plan = bench.plan(bench.passes_policy())
    result, _ = bench.run(plan, before=noting(seen), after=noting(seen))
    assert result.verdict is ChallengeVerdict.MET
    kinds = [message.type for message in seen]
    assert kinds == [
        "prepare",
        "ready",
        "release",
        "roots",
        "release",
        "roots",
        "reveal",
        "openings",
    ]
    assert all(plan.secret.hex() not in str(message) for message in seen[:6])


def slow_after(bench: Any, policy: Policy) -> AttemptResult:
    result, _ = bench.run(bench.plan(policy), devices=[bench.Device(round_ns=10**10)])
    return cast("AttemptResult", result)


def test_a_series_keeps_every_attempt_and_ends_when_one_is_met(bench: Any) -> None:
    policy = bench.policy(samples=64, required_flops_per_second=10**6)
    met, _ = bench.run(bench.plan(policy))
    failed = slow_after(bench, policy)
    declined, _ = bench.run(bench.plan(policy), after=lambda m: Decline(m.challenge, "busy"))
    assert (met.verdict, failed.reason) == (ChallengeVerdict.MET, VerdictReason.TOO_SLOW)
    assert series_of([declined], policy).verdict is ChallengeVerdict.NOT_ASSESSED
    assert not series_of([declined], policy).repeat
    once, undone, thrice = (
        series_of(s, policy) for s in ([failed], [failed, declined], [failed] * 3)
    )
    assert (once.verdict, once.repeat) == (ChallengeVerdict.FAILED, True)
    assert (undone.verdict, undone.repeat) == (ChallengeVerdict.FAILED, False)
    assert (thrice.verdict, thrice.failed_attempts, thrice.repeat) == (
        ChallengeVerdict.FAILED,
        3,
        False,
    )
    mended = series_of([failed, met], policy)
    assert (mended.verdict, mended.failed_attempts, mended.repeat) == (
        ChallengeVerdict.MET,
        1,
        False,
    )


def test_a_wrong_answer_of_one_gpu_decides_though_another_was_but_too_slow(bench: Any) -> None:
    slow, wrong = (
        GpuResult(gpu, ChallengeVerdict.FAILED, reason, 8, 0, None)
        for gpu, reason in (("a", VerdictReason.TOO_SLOW), ("b", VerdictReason.WRONG_ANSWER))
    )
    verdict, reason = worst_gpu([slow, wrong])
    attempt = AttemptResult("c.1", verdict, reason, (slow, wrong))
    series = series_of([attempt], bench.policy())
    assert (series.reason, series.repeat) == (VerdictReason.WRONG_ANSWER, False)


def test_a_wrong_answer_is_proof_that_no_later_success_undoes(bench: Any) -> None:
    policy = bench.policy()
    met, _ = bench.run(bench.plan(policy))
    wrong, _ = bench.run(
        bench.plan(policy),
        before=lambda m: replace(m, nonce=bytes(32)) if isinstance(m, Release) else m,
    )
    for results in ([wrong], [wrong, met], [slow_after(bench, policy), wrong]):
        series = series_of(results, policy)
        assert (series.verdict, series.reason, series.repeat) == (
            ChallengeVerdict.FAILED,
            VerdictReason.WRONG_ANSWER,
            False,
        )


@pytest.fixture(scope="module")
def record() -> bytes:
    """A transcript that is kept with the tests: every phase of two simulated GPUs on the CPU back end."""
    return (Path(__file__).parent / "transcript_cpu.json").read_bytes()


def test_a_transcript_of_an_earlier_day_gives_the_result_it_gave_then(record: bytes) -> None:
    result = verify_transcript(record)
    measure = GpuMeasure(512, 296, 176_947_186, 36_864, 37_546_629, 9_898_656)
    assert (result.verdict, result.elapsed_ns) == (
        ChallengeVerdict.MET,
        (40_000_003, 3_000_003, 3_000_003),
    )
    assert [gpu.measure for gpu in result.gpus] == [measure, measure]


@settings(CALM, max_examples=150)
@given(st.data())
def test_no_change_to_a_transcript_makes_the_verifier_fall_over(
    record: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(record) - 1))
    damaged = record[:at] + data.draw(st.binary(max_size=2)) + record[at + 1 :]
    with contextlib.suppress(Malformed):
        assert verify_transcript(damaged).verdict in ChallengeVerdict


@pytest.mark.parametrize(
    "change",
    [
        {"agent_key": b""},
        {"agent_key": bytes(31)},
        {"ready": b"{}"},
        {"openings": b"\xff"},
        {"secret": b""},
    ],
)
def test_fields_of_the_wrong_length_are_a_verdict(record: bytes, change: Any) -> None:
    altered = replace(decode_transcript(record), **change)
    assert verify_transcript(altered.encode()).verdict is ChallengeVerdict.VOID


def test_half_of_a_surrogate_pair_is_malformed(record: bytes) -> None:
    with pytest.raises(Malformed, match="surrogate"):
        verify_transcript(record.replace(b'"contract":"lease-7"', b'"contract":"\\ud800"'))
