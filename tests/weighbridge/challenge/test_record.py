"""The evidence log's record of a challenge: read back from exported entries alone, and refused where it was bent."""

import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

import weighbridge.challenge
from agent.probe.cpu import CpuEngine
from weighbridge.challenge.challenger import AttemptPlan, Challenger, draw_nonces
from weighbridge.challenge.messages import PAYLOAD_TYPE, Prepare, decode_message
from weighbridge.challenge.record import (
    SCHEDULE,
    ChallengeOutcome,
    RecordError,
    abandoned,
    challenges_in,
    commitment_of,
    encode_record,
    read_commitment,
    read_outcome,
    recheck,
    record_of,
    seal_record,
    times_of,
    transcript_hash,
    unmade,
    weighing_of,
)
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason, series_of
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import Entry, entry
from weighbridge.log.succession import LogKeys
from weighbridge.wire.signing import Signer, open_envelope

LOG = Signer(hashlib.sha256(b"log").digest())
NODE, CONTRACT = "n1", "lease"


class Said:
    """One attempt over the bench's honest prover, and every entry that the log would hold of it."""

    def __init__(
        self,
        bench: Any,
        *gpus: str,
        decline: bool = False,
        policy: Any = None,
        challenge: str = "c.1",
        group: str = "",
        **drawn: Any,
    ) -> None:
        self.bench = bench
        policy = bench.policy() if policy is None else policy
        key = bench.signer.public_key
        fresh = {"nonces": draw_nonces(policy, len(gpus), os.urandom), "secret": os.urandom(32)}
        plan = AttemptPlan(challenge, CONTRACT, key, gpus, policy, **(fresh | drawn))
        self.challenger = Challenger(plan)
        self.leaves: list[bytes] = []
        self.series = challenge.partition(".")[0]
        self.seal(encode_record(commitment_of(plan, NODE, self.series, group, SCHEDULE, 7)))
        if not decline:
            self._talk()
        self.conclude()

    def seal(self, payload: bytes) -> None:
        self.leaves.append(LOG.seal(PAYLOAD_TYPE, payload))

    def _talk(self) -> None:
        plan = self.challenger.plan
        clock = self.bench.Clock()
        wire = self.bench.wire(plan, clock)
        while not self.challenger.finished:
            message = self.challenger.next_message(clock())
            if not isinstance(decode_message(message), Prepare):
                self.seal(message)
            answer = wire.exchange(message, plan.policy.deadline_ms)
            assert answer is not None
            self.challenger.receive(answer, clock())
            self.leaves.append(answer)

    def conclude(self) -> None:
        if not self.challenger.finished:
            self.challenger.give_up()
        self.result = self.challenger.result()
        plan, transcript = self.challenger.plan, self.challenger.transcript()
        series = series_of([self.result], plan.policy)
        self.outcome = ChallengeOutcome(
            plan.challenge,
            self.series,
            CONTRACT,
            NODE,
            plan.agent_key,
            weighing_of(self.result),
            plan.nonces,
            plan.secret,
            times_of(transcript),
            transcript_hash(transcript),
            series.verdict.value,
            None if series.reason is None else series.reason.value,
            series.attempts,
            series.failed_attempts,
            not series.repeat,
            (),
            9,
            cause=SCHEDULE,
            policy=plan.policy,
            began_us=7,
        )
        self.leaves.append(seal_record(LOG, self.outcome)[1])

    def entries(self, leaves: Sequence[bytes] | None = None) -> list[Entry]:
        chosen = self.leaves if leaves is None else leaves
        return [entry(index, leaf) for index, leaf in enumerate(chosen)]


def test_a_third_party_computes_the_result_from_the_entries_alone(bench: Any) -> None:
    said = Said(bench, "GPU-0", "GPU-1")
    assert challenges_in(said.entries()) == ["c.1"]
    record, weighing = recheck(said.entries(), "c.1", LogKeys(LOG.public_key))
    assert weighing.verdict == ChallengeVerdict.MET
    assert record.transcript == said.challenger.transcript()
    assert [gpu.flops_per_second for gpu in weighing.gpus] == [
        gpu.measure.flops_per_second for gpu in said.result.gpus if gpu.measure is not None
    ]


def test_without_numpy_the_record_is_read_and_its_result_is_unknown(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Said(bench, "GPU-0")
    monkeypatch.setitem(sys.modules, "numpy", None)
    for name in ("verifier", "arithmetic"):
        monkeypatch.delitem(sys.modules, f"weighbridge.challenge.{name}", raising=False)
        monkeypatch.delattr(weighbridge.challenge, name, raising=False)
    _, weighing = recheck(said.entries(), "c.1", LogKeys(LOG.public_key))
    assert weighing.verdict == ChallengeVerdict.UNKNOWN
    assert "weighbridge[challenge]" in (weighing.reason or "")


def test_a_result_that_does_not_follow_from_the_record_is_found_out(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    better = replace(said.outcome.weighing.gpus[0], flops_per_second=10**15)
    bent = replace(said.outcome, weighing=replace(said.outcome.weighing, gpus=(better,)))
    leaves = [*said.leaves[:-1], seal_record(LOG, bent)[1]]
    with pytest.raises(RecordError, match="logged as met, but met"):
        recheck(said.entries(leaves), "c.1", LogKeys(LOG.public_key))


@pytest.mark.parametrize(("began_us", "sound"), [(7, True), (0, True), (8, False)])
def test_an_outcome_that_says_another_beginning_than_its_commitment_is_found_out(
    bench: Any, began_us: int, sound: bool
) -> None:
    """0: a record from before that was said."""
    said = Said(bench, "GPU-0")
    ended = seal_record(LOG, replace(said.outcome, began_us=began_us))[1]
    entries = said.entries([*said.leaves[:-1], ended])
    if sound:
        recheck(entries, "c.1", LogKeys(LOG.public_key))
    else:
        with pytest.raises(RecordError, match="began and ended"):
            recheck(entries, "c.1", LogKeys(LOG.public_key))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"series_verdict": "failed", "series_reason": "late"}, "leave the series met"),
        ({"series_verdict": "not assessed"}, "leave the series met"),
        ({"failed_attempts": 1}, "leave the series met"),
        ({"final": False}, "leave the series met"),
        ({"failed": ("GPU-0",)}, "other GPUs failed"),
        ({"nonces": (), "times": (), "transcript": b"", "secret": b""}, "yet it is judged"),
    ],
)
def test_a_series_that_does_not_follow_from_its_attempts_is_found_out(
    bench: Any, changes: Any, told: str
) -> None:
    """Its verdict is what money follows; and what opens nothing is void, whatever it says of GPUs."""
    said = Said(bench, "GPU-0")
    altered = seal_record(LOG, replace(said.outcome, **changes))[1]
    with pytest.raises(RecordError, match=told):
        recheck(said.entries([*said.leaves[:-1], altered]), "c.1", LogKeys(LOG.public_key))


def test_an_attempt_that_a_later_one_leaves_out_is_found_out(bench: Any) -> None:
    first, second = Said(bench, "GPU-0"), Said(bench, "GPU-0", challenge="c.2")
    entries = second.entries([*first.leaves, *second.leaves])
    with pytest.raises(RecordError, match="an earlier attempt is left out"):
        recheck(entries, "c.2", LogKeys(LOG.public_key))


def test_a_result_that_is_logged_as_unknown_and_is_not_is_found_out(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    hidden = replace(
        said.outcome.weighing, verdict="unknown", reason=VerdictReason.OTHER_PROGRAM.value
    )
    leaves = [*said.leaves[:-1], seal_record(LOG, replace(said.outcome, weighing=hidden))[1]]
    with pytest.raises(RecordError, match="logged as unknown, but met"):
        recheck(said.entries(leaves), "c.1", LogKeys(LOG.public_key))


@pytest.mark.parametrize("group", ["same", "other"])
@pytest.mark.parametrize("shared", ["nonces", "secret"])
def test_what_was_drawn_for_another_challenge_before_is_found_out(
    bench: Any, shared: str, group: str
) -> None:
    first = Said(bench, "GPU-0", challenge="b.1", group="g")
    drawn = {shared: getattr(first.challenger.plan, shared)}
    second = Said(bench, "GPU-0", group="g" if group == "same" else "h", **drawn)
    entries = second.entries([*first.leaves, *second.leaves])
    if (shared, group) == ("nonces", "same"):
        assert recheck(entries, "c.1", LogKeys(LOG.public_key))[1].verdict == ChallengeVerdict.MET
        return
    with pytest.raises(RecordError, match=r"had served b\.1 too"):
        recheck(entries, "c.1", LogKeys(LOG.public_key))


def test_times_that_were_changed_afterwards_are_found_out(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    (times,) = said.outcome.times
    bent = replace(said.outcome, times=(replace(times, released_ns=(times.released_ns or 0) + 1),))
    leaves = [*said.leaves[:-1], seal_record(LOG, bent)[1]]
    with pytest.raises(RecordError, match="not the one that was judged"):
        recheck(said.entries(leaves), "c.1", LogKeys(LOG.public_key))


def test_another_secret_than_the_one_committed_to_is_found_out(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    bent = replace(said.outcome, secret=bytes(32))
    leaves = [*said.leaves[:-1], seal_record(LOG, bent)[1]]
    with pytest.raises(RecordError, match="another secret"):
        record_of(said.entries(leaves), "c.1", LogKeys(LOG.public_key))


def test_a_release_before_the_commitment_is_no_record(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    moved = [said.leaves[2], *said.leaves[:2], *said.leaves[3:]]
    with pytest.raises(RecordError, match="out of order"):
        record_of(said.entries(moved), "c.1", LogKeys(LOG.public_key))


def test_an_outcome_that_the_log_did_not_sign_is_none(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    forged = seal_record(bench.signer, said.outcome)[1]
    with pytest.raises(RecordError, match="signature"):
        record_of(said.entries([*said.leaves[:-1], forged]), "c.1", LogKeys(LOG.public_key))


def test_a_prover_that_was_never_released_is_not_assessed(bench: Any) -> None:
    said = Said(bench, "GPU-0", decline=True)
    _, weighing = recheck(said.entries(), "c.1", LogKeys(LOG.public_key))
    assert weighing.verdict == ChallengeVerdict.NOT_ASSESSED


def test_a_prover_that_was_ready_and_was_never_released_is_not_assessed_either(bench: Any) -> None:
    clock, plan = bench.Clock(), bench.plan(bench.policy())
    challenger, wire = Challenger(plan), bench.wire(plan, clock)
    ready = wire.exchange(challenger.next_message(clock()), 1000)
    challenger.receive(ready, clock())
    challenger.give_up()
    result = challenger.result()
    assert (result.verdict, result.reason) == (
        ChallengeVerdict.NOT_ASSESSED,
        VerdictReason.NO_ANSWER,
    )


def test_an_exchange_that_its_verifier_did_not_survive_is_void_and_no_finding(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    begun = read_commitment(said.entries()[0].envelope.payload)
    leaves = [*said.leaves[:3], seal_record(LOG, abandoned(begun, 11))[1]]
    record, weighing = recheck(said.entries(leaves), "c.1", LogKeys(LOG.public_key))
    assert (weighing.verdict, record.transcript) == (ChallengeVerdict.VOID, None)
    fold = FleetFold()
    changes = [change for one in said.entries(leaves) for change in fold.fold(one)]
    assert (changes, fold.exchanges()) == ([], [])


def fold_outcomes(bench: Any, *failed: tuple[str, ...]) -> tuple[FleetFold, list[Any]]:
    """Outcomes one after another; each names the GPUs that its series found failed."""
    said = Said(bench, "GPU-0")
    fold = FleetFold()
    changes: list[Any] = []
    for names in failed:
        verdict = "failed" if names else "met"
        gpu = replace(said.outcome.weighing.gpus[0], verdict=verdict)
        weighing = replace(said.outcome.weighing, verdict=verdict, gpus=(gpu,))
        outcome = replace(said.outcome, weighing=weighing, series_verdict=verdict, failed=names)
        leaf = seal_record(LOG, outcome)[1]
        changes += fold.fold(entry(len(changes), leaf))
    return fold, changes


def test_a_series_that_failed_is_an_error_at_level_e2_until_one_is_met(bench: Any) -> None:
    _, changes = fold_outcomes(bench, ("GPU-0",), ())
    opened, closed = changes
    assert (opened.code, opened.device, opened.level) == ("challenge_failed", "GPU-0", "E2")
    assert (opened.severity, opened.verdict, opened.until_us) == ("error", "breached", None)
    assert (closed.code, closed.until_us is not None) == ("challenge_failed", True)


def judged_as(said: Said, verdict: str, reason: str | None, **changes: Any) -> bytes:
    """The attempt's outcome as it would be with another verdict."""
    gpu = replace(said.outcome.weighing.gpus[0], verdict=verdict, reason=reason)
    weighing = replace(said.outcome.weighing, verdict=verdict, reason=reason, gpus=(gpu,))
    changes = {"series_verdict": verdict, "series_reason": reason} | changes
    return seal_record(LOG, replace(said.outcome, weighing=weighing, **changes))[1]


def test_a_wrong_answer_is_found_at_once_and_no_success_closes_it(bench: Any) -> None:
    said, fold = Said(bench, "GPU-0"), FleetFold()
    wrong = judged_as(said, "failed", "wrong answer")
    met = judged_as(said, "met", None)
    found: Any = fold.fold(entry(0, wrong))
    assert [one.code for one in found] == ["challenge_wrong_answer", "challenge_failed"]
    assert (found[0].severity, found[0].verdict, found[0].level) == ("error", "breached", "E2")
    later: Any = [change for place in range(1, 4) for change in fold.fold(entry(place, met))]
    assert [(one.code, one.until_us is not None) for one in later] == [("challenge_failed", True)]


def test_a_rate_beyond_the_class_is_found_until_a_card_of_it_answers(bench: Any) -> None:
    said, fold = Said(bench, "GPU-0"), FleetFold()
    reason = VerdictReason.ABOVE_CEILING.value
    opened: Any = fold.fold(entry(0, judged_as(said, "unknown", reason)))
    assert [(one.code, one.verdict) for one in opened] == [("challenge_above_ceiling", "unknown")]
    closed: Any = fold.fold(entry(1, judged_as(said, "met", None)))
    assert [one.code for one in closed] == ["challenge_above_ceiling"]


def test_voids_in_a_row_accuse_the_way_and_nobody(bench: Any) -> None:
    said, fold, found = Said(bench, "GPU-0"), FleetFold(), []
    for place in range(6):
        found += fold.fold(entry(place, judged_as(said, "void", "verifier stalled")))
    (opened,) = cast("list[Any]", found)
    assert (opened.code, opened.verdict, opened.answerable) == ("challenge_path", "unknown", "open")


def slow_once(bench: Any) -> tuple[Said, bytes]:
    """An attempt that was too slow, after which another is due."""
    said = Said(bench, "GPU-0")
    slow = VerdictReason.TOO_SLOW.value
    return said, judged_as(said, "failed", slow, final=False, failed_attempts=1)


def test_a_restart_between_two_attempts_undoes_no_failure(bench: Any) -> None:
    said, slow = slow_once(bench)
    fold = FleetFold()
    first: Any = [change for leaf in (said.leaves[0], slow) for change in fold.fold(entry(0, leaf))]
    assert first == []
    ((begun, ended),) = fold.unended()
    following = unmade(read_outcome(ended.encode()), read_commitment(begun.encode()), 12)
    left = abandoned(following, 13)
    assert (following.challenge, left.series_verdict, left.failed_attempts) == ("c.2", "failed", 1)
    leaves = [seal_record(LOG, following)[1], seal_record(LOG, left)[1]]
    found: Any = [change for leaf in leaves for change in fold.fold(entry(0, leaf))]
    assert [(one.code, one.device) for one in found] == [("challenge_failed", "GPU-0")]
    assert fold.unended() == []


def test_a_restart_within_the_second_attempt_undoes_no_failure_either(bench: Any) -> None:
    said, slow = slow_once(bench)
    begun = read_commitment(said.entries()[0].envelope.payload)
    again = unmade(read_outcome(open_envelope(slow).payload), begun, 12)
    leaves = [
        said.leaves[0],
        slow,
        seal_record(LOG, again)[1],
        seal_record(LOG, abandoned(again, 13))[1],
    ]
    fold = FleetFold()
    found: Any = [change for leaf in leaves for change in fold.fold(entry(0, leaf))]
    assert [one.code for one in found] == ["challenge_failed"]


def test_a_node_that_declines_for_ever_is_said_until_it_is_judged(bench: Any) -> None:
    fold, declined, met = FleetFold(), Said(bench, "GPU-0", decline=True), Said(bench, "GPU-0")
    unknown = judged_as(declined, "unknown", VerdictReason.NO_VERDICT.value)
    found: list[Any] = []
    for place in range(8):
        found += fold.fold(entry(place, declined.leaves[-1]))
        assert len(found) == (place >= 4)
        assert fold.fold(entry(place, unknown)) == []
    (opened,) = found
    assert (opened.code, opened.level) == ("challenge_unassessed", "E1")
    assert (opened.severity, opened.verdict, opened.answerable) == ("warning", "unknown", "open")
    assert opened.observed.startswith("5 in a row were not assessed")
    closed: Any
    (closed,) = fold.fold(entry(8, met.leaves[-1]))
    assert (closed.code, closed.until_us is not None) == ("challenge_unassessed", True)
    assert fold.fold(entry(9, declined.leaves[-1])) == []


def test_another_program_than_asked_for_is_said_until_the_right_one_answers(bench: Any) -> None:
    right = bench.policy(program=CpuEngine().program().hex())
    other = bench.policy(program="ab" * 32)
    fold = FleetFold()
    changes: list[Any] = [
        change
        for policy in (other, right)
        for one in Said(bench, "GPU-0", policy=policy).entries()
        for change in fold.fold(one)
    ]
    opened, closed = changes
    assert (opened.code, opened.level) == ("challenge_other_program", "E0")
    assert (opened.severity, opened.verdict, opened.until_us) == ("info", "unknown", None)
    assert right.program in opened.observed
    assert (closed.code, closed.until_us is not None) == ("challenge_other_program", True)


def test_what_a_gpu_proved_stays_known_when_it_is_not_assessed_later(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    declined = Said(bench, "GPU-0", decline=True)
    fold = FleetFold()
    for one in (*said.entries(), *declined.entries()):
        fold.fold(one)
    proof = fold.states[NODE].proofs["GPU-0"]
    assert proof.verdict == ChallengeVerdict.NOT_ASSESSED
    assert proof.flops_per_second == said.outcome.weighing.gpus[0].flops_per_second
    assert fold.exchanges() == []


def test_an_exchange_under_way_is_known_to_a_fold_from_a_snapshot(bench: Any) -> None:
    said = Said(bench, "GPU-0")
    fold = FleetFold()
    for one in said.entries()[:3]:
        fold.fold(one)
    again = FleetFold()
    again.restore(fold.snapshots(), ())
    assert [read_commitment(text.encode()).challenge for text in again.exchanges()] == ["c.1"]
