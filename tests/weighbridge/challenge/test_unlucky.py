"""Provers with bad luck, each beside the cheat that uses the same words, or the same silence, on purpose.

No honest one is accused: no finding is breached, and nothing counts as failed. No cheat is met by it. The same where
processes and connections matter: `tests/collector/test_unlucky.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from agent.challenge_receipts import KeptReceipts
from agent.probe.consent import NewestSweep, ProbeConsent, grant_of
from agent.probe.cpu import CpuEngine
from agent.probe.grant import refusal
from tests.weighbridge.challenge.conducting import conduct
from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.messages import (
    NO_BUDGET,
    Decline,
    Openings,
    Prepare,
    Ready,
    Roots,
    encode_message,
)
from weighbridge.challenge.record import (
    SCHEDULE,
    ChallengeOutcome,
    Commitment,
    abandoned,
    commitment_of,
    seal_record,
    times_of,
    transcript_hash,
    unmade,
    weighing_of,
)
from weighbridge.challenge.verdict import AttemptResult, ChallengeVerdict, series_of
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import entry
from weighbridge.settlement.proofs import proven
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Device, DeviceState, Facts, Reason
from weighbridge.wire.signing import Signer

LOG = Signer(bytes(range(32)))
MILLISECOND = 1_000_000
ROUND_NS = 500 * MILLISECOND
ASKED = 2 * 128**3 * 1000 // 500 * 85 // 100
"""85 % of what the simulated device does: a product of size 128 in 500 ms."""

GPU = "GPU-a"


@dataclass(frozen=True)
class Played:
    """One attempt: its result, what it was asked by, and its record."""

    challenger: Challenger
    result: AttemptResult


def played(
    bench: Any,
    *,
    seed: int = 0,
    slow: bool = False,
    still_ns: int = 0,
    round_trip_ns: int = 0,
    stall_ns: int = 0,
    late_by_ns: int = 0,
    after: Callable[[Any], Any] = lambda message: message,
    **changes: Any,
) -> Played:
    """A card at its own rate, or at half of it."""
    terms = {"rounds": 20, "samples": 64, "required_flops_per_second": ASKED} | changes
    plan, clock = bench.plan(bench.policy(**terms), (GPU,), seed=seed), bench.Clock()
    challenger = Challenger(plan)
    challenger.stood_still_ns, challenger.round_trip_ns = still_ns, round_trip_ns

    def weighed(message: Any) -> Any:
        clock.now_ns += stall_ns * isinstance(message, Roots)
        clock.now_ns += late_by_ns * isinstance(message, Openings)
        return after(message)

    device = bench.Device(round_ns=ROUND_NS * (2 if slow else 1))
    delay_ns = round_trip_ns
    wire = bench.wire(plan, clock, devices=[device], after=weighed, delay_ns=delay_ns)
    return Played(challenger, conduct(challenger, wire, clock))


def silent_at(kind: type) -> Callable[[Any], Any]:
    return lambda message: None if isinstance(message, kind) else message


def saying(kind: type[Any], reason: str) -> Callable[[Any], Any]:
    def say(message: Any) -> Any:
        return Decline(message.challenge, reason) if isinstance(message, kind) else message

    return say


def in_use(message: Any) -> Any:
    return replace(message, in_use=(GPU,)) if isinstance(message, Roots) else message


def quick(message: Any) -> Any:
    """Says that it took no time: a prover whose verifier is late says the like."""
    return replace(message, ended_ns=message.began_ns) if isinstance(message, Roots) else message


def paused(bench: Any) -> Callable[[Any], Any]:
    """NVML is paused: nobody sees whether the GPU is in use, so it counts as busy."""
    memory = Facts(readings={"memory_total_bytes": 1 << 40}, unavailable={})
    shown = Device(uuid=GPU, parent=None, state=DeviceState.OK, identity=memory)
    now = NewestSweep([shown], None, Reason.PAUSED, False)
    consent, policy = ProbeConsent("cpu", "idle_window", (), 0), bench.policy()

    def decline(message: Any) -> Any:
        if not isinstance(message, Ready):
            return message
        grant = grant_of(consent, now, [GPU], policy, 10**9, 0)
        return refusal(grant, Prepare(message.challenge, "lease", bytes(32), (GPU,), policy))

    return decline


def once(*ways: Mapping[str, Any]) -> Callable[[Any, bool], list[Played]]:
    """A series: an attempt in each of these ways, and then as the card does it without bad luck, while one is due."""

    def play(bench: Any, slow: bool) -> list[Played]:
        found: list[Played] = []
        while not found or series_of([one.result for one in found], _policy(found)).repeat:
            way = ways[len(found)] if len(found) < len(ways) else {}
            told = {name: said(bench) if name == "made" else said for name, said in way.items()}
            if "made" in told:
                told["after"] = told.pop("made")
            found.append(played(bench, seed=len(found), **({"slow": slow} | told)))
        return found

    return play


def _policy(found: Sequence[Played]) -> Any:
    return found[0].challenger.plan.policy


STALL_NS = 60_000 * MILLISECOND
UNLUCKY: dict[str, Callable[[Any, bool], list[Played]]] = {
    "a verifier that stood still for longer than a deadline": once(
        {"still_ns": STALL_NS, "after": silent_at(Roots)}
    ),
    "a verifier that stood still while it waited for openings": once(
        {"still_ns": STALL_NS, "after": silent_at(Openings)}
    ),
    "a reboot in the run": once({"after": silent_at(Roots)}),
    "a connection lost before Ready": once({"after": silent_at(Ready)}),
    "a connection lost after the reveal": once({"after": silent_at(Openings)}),
    "a far place, 150 ms each way": once({"round_trip_ns": 300 * MILLISECOND}),
    "a slow link for large openings": once({"late_by_ns": 50_000 * MILLISECOND}),
    "a tenant that starts after the release": once({"slow": True, "after": in_use}),
    "a verifier whose T is too long": once({"stall_ns": 12_000 * MILLISECOND}),
    "an update of the agent": once({"program": "ab" * 32}),
    "a budget that is spent in the series": once(
        {"stall_ns": 12_000 * MILLISECOND}, {"after": saying(Ready, NO_BUDGET)}
    ),
    "NVML is paused": once({"made": paused}),
}


Record = Commitment | ChallengeOutcome


def entered(found: Sequence[Played]) -> list[Record]:
    """The commitments and outcomes of a series, as the collector enters them."""
    records: list[Record] = []
    for place, one in enumerate(found, 1):
        plan, transcript = one.challenger.plan, one.challenger.transcript()
        series = series_of([each.result for each in found[:place]], plan.policy)
        named = {gpu.gpu for each in found[:place] for gpu in each.result.gpus}
        failed = not series.repeat and series.verdict is ChallengeVerdict.FAILED
        begun = commitment_of(plan, "n1", "s", "", SCHEDULE, place)
        records.append(replace(begun, challenge=f"s.{place}"))
        records.append(
            ChallengeOutcome(
                f"s.{place}",
                "s",
                "lease",
                "n1",
                plan.agent_key,
                weighing_of(one.result),
                plan.nonces,
                plan.secret,
                times_of(transcript),
                transcript_hash(transcript),
                series.verdict.value,
                None if series.reason is None else series.reason.value,
                series.attempts,
                series.failed_attempts,
                not series.repeat,
                tuple(sorted(named)) if failed else (),
                place,
                cause=SCHEDULE,
                policy=plan.policy,
            )
        )
    return records


def consequences(records: Sequence[Record]) -> tuple[list[str], bool, bool]:
    """Codes of breached findings that stay open; whether the series counts as failed; and whether it counts as met."""
    fold, counted = FleetFold(), None
    held: dict[str, Any] = {}
    for place, one in enumerate(records):
        for change in fold.fold(entry(place, seal_record(LOG, one)[1])):
            finding: Any = change
            held[finding.code] = finding
        if isinstance(one, ChallengeOutcome):
            counted = proven(counted, one, place)
    assert counted is not None
    accused = sorted(
        code
        for code, one in held.items()
        if one.until_us is None and one.verdict is Verdict.BREACHED
    )
    short = any(rate is not None and rate < ASKED for rate in counted.rates)
    failed = counted.verdict is ChallengeVerdict.FAILED or short
    return accused, failed, counted.verdict is ChallengeVerdict.MET


@pytest.mark.parametrize("luck", UNLUCKY)
def test_an_honest_prover_with_bad_luck_is_accused_of_nothing(bench: Any, luck: str) -> None:
    accused, failed, _ = consequences(entered(UNLUCKY[luck](bench, False)))
    assert (accused, failed) == ([], False)


@pytest.mark.parametrize("luck", UNLUCKY)
def test_the_same_words_or_silence_of_a_slow_card_are_never_met(bench: Any, luck: str) -> None:
    _, _, met = consequences(entered(UNLUCKY[luck](bench, True)))
    assert not met


MET_AFTER_ALL = [
    "a verifier that stood still for longer than a deadline",
    "a far place, 150 ms each way",
    "a slow link for large openings",
    "a tenant that starts after the release",
    "a verifier whose T is too long",
]


@pytest.mark.parametrize("luck", MET_AFTER_ALL)
def test_bad_luck_that_passes_leaves_an_honest_prover_met(bench: Any, luck: str) -> None:
    _, _, met = consequences(entered(UNLUCKY[luck](bench, False)))
    assert met


class Absent(CpuEngine):
    """No card: whatever the answer is, it was not computed."""

    def _leaves(self, product: Any, key: Any) -> Any:
        return bytes(len(super()._leaves(product, key)))


@pytest.mark.parametrize("said", [in_use, quick, saying(Openings, "interrupted")])
def test_no_word_of_a_card_that_is_not_there_is_met(bench: Any, said: Any) -> None:
    policy = bench.policy(samples=64, required_flops_per_second=ASKED)
    for still_ns in (0, STALL_NS):
        challenger, clock = Challenger(bench.plan(policy)), bench.Clock()
        challenger.stood_still_ns = still_ns
        wire = bench.wire(challenger.plan, clock, engine=Absent, after=said)
        result = conduct(challenger, wire, clock)
        assert result.verdict is not ChallengeVerdict.MET


def test_a_slow_prover_that_says_that_it_was_quick_is_void_for_ever_and_never_met(
    bench: Any,
) -> None:
    """The words of a prover whose verifier adds a second: its times are short, and T is long."""
    found = once({"after": quick}, {"after": quick})(bench, True)
    assert [one.result.verdict for one in found] == [ChallengeVerdict.VOID] * 2
    assert consequences(entered(found)) == ([], False, False)


ALLOWED_NS = 1000 * MILLISECOND
"""The bench's allowance, of ten seconds of work."""


@pytest.mark.parametrize(
    ("late_ns", "asked_percent", "verdict"),
    [
        (ALLOWED_NS - MILLISECOND, 90, ChallengeVerdict.MET),
        (ALLOWED_NS - MILLISECOND, 95, ChallengeVerdict.FAILED),
        (ALLOWED_NS + MILLISECOND, 95, ChallengeVerdict.VOID),
        (2 * ALLOWED_NS, 90, ChallengeVerdict.VOID),
    ],
)
def test_a_verifier_that_adds_no_more_than_the_allowance_takes_off_that_share_and_no_more(
    bench: Any, late_ns: int, asked_percent: int, verdict: ChallengeVerdict
) -> None:
    """So a requirement lies below what the card reaches by the allowance's share of the work, or a verifier that is
    late, and says nothing of it, fails an honest card."""
    measure = played(bench, required_flops_per_second=0).result.gpus[0].measure
    assert measure is not None
    asked = measure.flops_per_second * asked_percent // 100
    found = played(bench, stall_ns=late_ns, required_flops_per_second=asked)
    assert found.result.verdict is verdict


@pytest.mark.parametrize(("slow", "counts_as_failed"), [(False, False), (True, True)])
def test_a_collector_that_is_killed_between_two_attempts_undoes_nothing_and_accuses_nobody(
    bench: Any, slow: bool, counts_as_failed: bool
) -> None:
    """The first attempt is all that there is: void by its own stall, or slow."""
    first = played(bench, slow=slow, stall_ns=0 if slow else 12_000 * MILLISECOND)
    begun, ended = entered([first])
    assert isinstance(begun, Commitment)
    assert isinstance(ended, ChallengeOutcome)
    again = unmade(ended, begun, 8)
    accused, failed, met = consequences([begun, ended, again, abandoned(again, 9)])
    assert (failed, met, bool(accused)) == (counts_as_failed, False, counts_as_failed)


def test_a_full_disk_of_the_agent_costs_its_receipts_and_nothing_else(
    bench: Any, tmp_path: Path
) -> None:
    (tmp_path / "challenges.jsonl").mkdir()
    receipts = KeptReceipts(tmp_path / "challenges.jsonl")

    def keep(message: Any) -> Any:
        receipts.keep(
            LOG.seal("application/vnd.weighbridge.challenge+json", encode_message(message))
        )
        return message

    found = [played(bench, after=keep)]
    assert consequences(entered(found)) == ([], False, True)
