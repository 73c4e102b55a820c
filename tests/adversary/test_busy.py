"""A card that was too slow because somebody else used it, and one that is said to have been.

Both sides' agents must show the use, where no challenge makes it: before the series was committed to, or after its end.
"""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.adversary.field import ITEM, PROVEN, Field
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.challenge.record import (
    COMMAND,
    SCHEDULE,
    ChallengeOutcome,
    Commitment,
    RecordError,
    Weighed,
    Weighing,
    abandoned,
    read_commitment,
    read_outcome,
    seal_record,
    unmade,
)
from weighbridge.challenge.telemetry import (
    SidesSeen,
    Telemetry,
    both_sides,
    link,
    recheck_telemetry,
    seal_telemetry,
    shows_reboot,
)
from weighbridge.contract import load
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.usage import idle_top
from weighbridge.log.entries import EntryKind
from weighbridge.log.succession import LogKeys
from weighbridge.settlement.periods import Period

GPU, OTHER = "GPU-n1-0", "GPU-n1-1"
IDLE = {"power_draw_milliwatts": 60_000, "utilization_gpu_percent": 0}
USED = {"power_draw_milliwatts": 500_000, "utilization_gpu_percent": 95}
SLOW, BUSY = "compute below the requirement", "busy"
BEFORE, BEGUN, ENDED, AFTER = 95, 100, 130, 140
BOTH, NOBODY = ("provider", "lessee"), ()
TERMS = """\
performance: [{id: speed, probe: challenge, threshold: "1", of_reference: "true", op: ">=", missing: excluded,
   target: "0.9", schedule: []}]
"""


class Challenged(Field):
    """A node of two GPUs of which series after series ends, a thousand seconds apart, and both sides' agents."""

    def __init__(self, proven: str = PROVEN) -> None:
        super().__init__(TERMS, {ITEM: proven})
        self.nodes = {side: ScriptedNode() for side in BOTH}
        self.log = self.signers["provider"]
        contract = self.fold.assignments.contracts(START_US)["K1"].contract
        self.policies = contract.resources[0].challenge_policies()
        self.policy = self.policies[0]
        self.newest: Telemetry | None = None
        self.count = 0
        self.gives_up = False
        self.cause = SCHEDULE

    def show(self, second: int, using: Any, *gpus: str) -> None:
        """Each side's report of one sample: what is in use, by the sides in `using`."""
        self.tick(second + 1)
        for side, node in self.nodes.items():
            said = dict.fromkeys((GPU, OTHER), IDLE) | dict.fromkeys(
                (gpus or (GPU,)) if side in using else (), USED
            )
            report = self.continued(node.report([second], {second: said}), side)
            self.add(EntryKind.REPORT, report, side)

    def series(
        self,
        verdict: str = "failed",
        reason: str | None = SLOW,
        *,
        before: Any = NOBODY,
        after: Any = NOBODY,
        linked: bool = True,
        failed: tuple[str, ...] = (GPU,),
        using: tuple[str, ...] = (GPU,),
    ) -> "Challenged":
        """One series from its commitment to the telemetry of its time; the card works for it meanwhile."""
        self.count += 1
        start, name = 1000 * self.count, f"s{self.count}"
        self.show(start + BEFORE, before)
        self.begin(start, name)
        self.show(start + BEGUN + 10, BOTH, GPU, OTHER)
        self.end(start, name, verdict, reason, failed if verdict == "failed" else ())
        self.show(start + AFTER, after, *using)
        if linked:
            self.link(name)
        return self

    def begin(self, start: int, name: str) -> None:
        key = self.signers["provider"].public_key
        at_us = START_US + (start + BEGUN) * SECOND
        gpus = (GPU, OTHER)
        said = (
            f"{name}.1",
            name,
            "",
            self.cause,
            "K1",
            "n1",
            key,
            gpus,
            self.policy,
            b"",
            (),
            at_us,
        )
        self.take(seal_record(self.log, Commitment(*said))[1])

    def end(
        self, start: int, name: str, verdict: str, reason: str | None, failed: tuple[str, ...]
    ) -> None:
        key, from_us = self.signers["provider"].public_key, START_US + (start + BEGUN) * SECOND
        gpus = tuple(self._weighed(gpu, verdict, reason, failed) for gpu in (GPU, OTHER))
        ended_us = START_US + (start + ENDED) * SECOND
        named = (f"{name}.1", name, "K1", "n1", key, Weighing(verdict, reason, gpus))
        ended = ChallengeOutcome(
            *named,
            (),
            b"",
            (),
            b"",
            verdict,
            reason,
            1,
            len(failed),
            final=True,
            failed=failed,
            ended_us=ended_us,
            from_us=from_us + 5 * SECOND,
            until_us=ended_us - 5 * SECOND,
            cause=self.cause,
            policy=self.policy,
            began_us=from_us,
        )
        if self.gives_up:
            begun = read_commitment(self.fold.states["n1"].exchanges[f"{name}.1"].encode())
            self.take(seal_record(self.log, replace(ended, final=False, failed=()))[1])
            again = unmade(ended, begun, ended_us)
            self.take(seal_record(self.log, again)[1])
            ended = abandoned(again, ended_us)
        self.take(seal_record(self.log, ended)[1])

    def _weighed(
        self, gpu: str, verdict: str, reason: str | None, failed: tuple[str, ...]
    ) -> Weighed:
        slow = gpu in failed or verdict != "failed"
        said = (verdict, reason) if slow else ("met", None)
        rate = 400 * 10**12 if gpu in failed else 800 * 10**12
        measured = None if verdict == "not assessed" else rate
        return Weighed(gpu, *said, 8, 0, measured, None, None, None)

    def link(self, name: str) -> None:
        """As the collector does, from what the fold remembers."""
        state, lessee = self.fold.states["n1"], self.fold.states["n1@lessee"]
        attempt = f"{name}.{1 + self.gives_up}"
        waiting, heard = state.unlinked[attempt], lessee.unlinked.get(attempt)
        ended, start = read_outcome(waiting.outcome.encode()), waiting.start
        idle = {gpu: idle_top(state.view, gpu) for gpu in (GPU, OTHER)}
        mine = [self.entries[index] for index in waiting.reports]
        both = None
        if heard is not None:
            before = [self.entries[index] for index in start.before]
            theirs = [self.entries[index] for index in heard.reports]
            times = (start.begun_us, start.free_from_us, waiting.free_until_us)
            key = self.signers["lessee"].public_key
            seen = SidesSeen(key, (before[0], before[1]), mine, theirs, *times)
            both = both_sides(ended, seen, idle)
        told = () if both is None or both.before[1] < 0 else (both.before[1], *both.reports)
        rebooted = shows_reboot(ended, mine, [self.entries[index] for index in told])
        self.newest = link(ended, mine, idle, 0, 7, both, rebooted=rebooted)
        self.take(seal_telemetry(self.log, self.newest)[1])
        self.ended = ended

    def bend(self, **changes: Any) -> None:
        """The newest link says something else of both sides."""
        assert self.newest is not None
        assert self.newest.both is not None
        bent = replace(self.newest, both=replace(self.newest.both, **changes))
        self.entries.pop()
        self.take(seal_telemetry(self.log, bent)[1])

    def values(self) -> list[Fraction | None]:
        """What the objective has of each GPU of each series."""
        record = self.book.record("K1", START_US + 10**6 * SECOND)
        assert record is not None
        start_s = START_US // SECOND
        period = Period("2026-10", start_s, start_s + 86400)
        found = record.probes(record.newest, period, period, period.interval_s)
        return [one.value for one in found["speed"]]

    def codes(self) -> set[tuple[str, str]]:
        return {key for key in self.open() if key[0].startswith("challenge_")}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tenant_whom_both_sides_show_unmakes_the_failure_of_that_card_alone(when: str) -> None:
    found = Challenged().series(**{when: BOTH})  # type: ignore[arg-type]
    assert found.codes() == set()
    assert found.values() == [None, Fraction(1)]
    assert found.fold.states["n1"].proofs[GPU].reason == BUSY


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("using", [NOBODY, ("provider",), ("lessee",)])
def test_what_one_side_says_alone_unmakes_nothing(when: str, using: tuple[str, ...]) -> None:
    found = Challenged().series(**{when: using})  # type: ignore[arg-type]
    assert found.codes() == {("challenge_failed", GPU)}
    assert found.values() == [Fraction(1, 2), Fraction(1)]


def test_the_challenges_own_work_is_nobodys_use() -> None:
    """Nor is what another challenge of the node leaves in the newest report."""
    found = Challenged()
    found.begin(900, "s0")
    found.end(964, "s0", "met", None, ())
    assert found.series(before=BOTH).codes() == {("challenge_failed", GPU)}
    assert found.newest is not None
    assert found.newest.both is not None
    assert found.newest.both.free_from_us == START_US + (964 + ENDED) * SECOND
    found.bend(free_from_us=0)
    with pytest.raises(RecordError, match=r"s0\.1 had ended just before it"):
        recheck_telemetry(found.entries, found.ended, LogKeys(found.log.public_key))


def test_use_of_another_card_unmakes_nothing_of_this_one() -> None:
    found = Challenged()
    found.series(linked=False)
    found.show(1145, BOTH, OTHER)
    found.link("s1")
    assert found.codes() == {("challenge_failed", GPU)}


def test_a_wrong_answer_is_none_the_less_for_a_tenant() -> None:
    found = Challenged()
    found.series(reason="wrong answer", before=BOTH, after=BOTH)
    assert ("challenge_wrong_answer", GPU) in found.codes()
    assert found.values()[0] == Fraction(1, 2)


def test_an_earlier_failure_holds_again_where_a_later_one_is_unmade() -> None:
    found = Challenged().series().series(before=BOTH)
    assert found.codes() == {("challenge_failed", GPU)}
    assert "challenge s1" in found.open()["challenge_failed", GPU].observed


def test_declines_that_both_sides_bear_out_do_not_count_in_a_row() -> None:
    borne, claimed = Challenged(), Challenged()
    for _ in range(6):
        borne.series("not assessed", BUSY, before=BOTH)
        claimed.series("not assessed", BUSY, before=("provider",))
    assert borne.codes() == set()
    assert claimed.codes() == {("challenge_unassessed", "")}
    assert borne.values() == [None] * 12
    assert claimed.values() == [None] * 8 + [Fraction(0)] * 4


def test_work_that_begins_after_a_slow_run_unmakes_it_and_counts_in_a_row() -> None:
    """The provider could have begun it: it gains what a decline gains."""
    found = Challenged()
    for _ in range(5):
        found.series(after=BOTH)
    assert found.codes() == {("challenge_unassessed", "")}
    assert found.values()[-2:] == [Fraction(0)] * 2


def test_a_series_between_two_that_were_not_assessed_breaks_no_row_once_it_is_unmade() -> None:
    found = Challenged()
    for _ in range(4):
        found.series("not assessed", "no consent")
    found.series(after=BOTH)
    assert found.codes() == {("challenge_unassessed", "")}


def test_use_of_another_card_unmakes_no_failure_that_a_collector_gave_up() -> None:
    """The series ends as it stood, by a collector that starts anew and names none of the GPUs that had failed."""
    found = Challenged()
    for _ in range(4):
        found.series("not assessed", "no consent")
    found.gives_up = True
    found.series(after=BOTH, using=(OTHER,))
    assert found.codes() == {("challenge_failed", GPU)}


def test_a_verifier_that_cannot_verify_counts_no_refusals() -> None:
    found = Challenged()
    for _ in range(6):
        found.series("unknown", "verification did not end")
    assert found.codes() == set()


def test_a_fold_from_snapshots_and_a_replay_say_the_same() -> None:
    found = Challenged().series(linked=False, before=BOTH)
    again = FleetFold()
    again.restore(found.fold.snapshots(), found.entries[:6])
    found.link("s1")
    changes = again.fold(found.entries[-1])
    assert [one.code for one in changes if hasattr(one, "code")] == ["challenge_failed"]
    whole = FleetFold()
    for one in found.entries:
        whole.fold(one)
    assert whole.states["n1"].open == found.fold.states["n1"].open
    assert again.states["n1"].proofs == whole.states["n1"].proofs


def test_anybody_recomputes_the_use_from_the_reports_of_both_sides() -> None:
    found = Challenged().series(before=BOTH)
    keys = LogKeys(found.log.public_key)
    assert recheck_telemetry(found.entries, found.ended, keys) is not None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"busy_before": ()}, "another use"),
        ({"busy_after": (GPU,)}, "another use"),
        ({"reports": ()}, "another use"),
        ({"agent_key": bytes(32)}, "not known to be that"),
    ],
)
def test_a_collector_that_says_otherwise_than_the_reports_is_found_out(
    changes: dict[str, Any], said: str
) -> None:
    found = Challenged().series(before=BOTH)
    found.bend(**changes)
    with pytest.raises(RecordError, match=said):
        recheck_telemetry(found.entries, found.ended, LogKeys(found.log.public_key))


def test_a_collector_that_leaves_the_other_side_out_is_found_out() -> None:
    """Else the failure stands of a card that both sides show in use. With one agent alone nothing is left out."""
    found = Challenged().series(before=BOTH)
    assert found.newest is not None
    found.entries.pop()
    found.take(seal_telemetry(found.log, replace(found.newest, both=None))[1])
    keys = LogKeys(found.log.public_key)
    with pytest.raises(RecordError, match="is left out"):
        recheck_telemetry(found.entries, found.ended, keys)
    alone = [one for one in found.entries if one.envelope.key_id != found.signers["lessee"].key_id]
    assert recheck_telemetry(alone, found.ended, keys) is not None


@pytest.mark.parametrize(("rounds", "closes"), [(1, False), (0, True)])
def test_a_smaller_challenge_by_hand_closes_no_finding(rounds: int, closes: bool) -> None:
    """Who wants a failure gone asks for the contract's own numbers."""
    found = Challenged().series(failed=(GPU,))
    found.cause = COMMAND
    if rounds:
        found.policy = replace(found.policy, rounds=rounds)
    found.series("met", None)
    assert (found.codes() == set()) == closes


def test_the_terms_of_the_story_are_a_contracts() -> None:
    assert load(Challenged().book.versions("K1", START_US)[0].text).performance
