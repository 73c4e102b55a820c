"""What a challenge is asked by, and what it counts for: each proof of a contract by itself, and nothing by hand."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.adversary.field import PROVEN
from tests.adversary.test_busy import BOTH, GPU, Challenged
from tests.weighbridge.scripted import SECOND, START_US
from weighbridge.challenge.record import COMMAND, SCHEDULE
from weighbridge.contract.scalars import instant_text
from weighbridge.log.entries import ContractAdded, EntryKind

F16 = 'at_least_flops_per_second: "800000000000000", unassessed: failed'
I8 = 'profile: i8, at_least_flops_per_second: "1600000000000000"'
TWO = PROVEN.replace(F16, f"{F16}}}, {{{I8}")
DECLINED = ("not assessed", "no consent")
FAILED, BY_HAND = ("challenge_failed", GPU), ("challenge_failed_by_hand", GPU)
UNASSESSED, PATH = ("challenge_unassessed", ""), ("challenge_path", "")


class Two(Challenged):
    """A line item with two proofs: every series says which one asked."""

    def __init__(self) -> None:
        super().__init__(TWO)

    def f16(self, *said: Any, **more: Any) -> "Two":
        self.policy = self.policies[0]
        self.series(*said, **more)
        return self

    def i8(self, *said: Any, **more: Any) -> "Two":
        self.policy = self.policies[1]
        self.series(*said, **more)
        return self


def test_a_proof_that_is_met_closes_no_failure_of_another() -> None:
    found = Two().f16()
    assert found.codes() == {FAILED}
    assert found.open()[FAILED].observed.startswith("f16: ")
    assert found.i8("met", None).codes() == {FAILED}
    assert found.f16("met", None).codes() == set()


def test_a_failure_of_two_proofs_stands_until_both_are_met() -> None:
    found = Two().f16().i8()
    assert found.open()[FAILED].observed.startswith("i8: ")
    found.i8("met", None)
    assert found.open()[FAILED].observed.startswith("f16: ")
    assert found.f16("met", None).codes() == set()


def test_a_rate_beyond_the_class_is_its_proofs_alone() -> None:
    above = ("challenge_above_ceiling", GPU)
    found = Two().f16("unknown", "faster than a card of its class can be")
    assert above in found.i8("met", None).codes()
    assert found.f16("met", None).codes() == set()


def test_use_that_both_sides_show_unmakes_the_failure_of_the_proof_that_it_slowed() -> None:
    found = Two().f16().i8(before=BOTH)
    assert found.codes() == {FAILED}
    assert found.open()[FAILED].observed.startswith("f16: ")


def test_refusals_and_voids_of_one_proof_are_in_a_row_whatever_another_is() -> None:
    """Who declines each `f16` and answers each `i8` is named for it."""
    found = Two()
    for _ in range(5):
        assert UNASSESSED not in found.codes()
        found.f16(*DECLINED).i8("met", None)
    assert found.codes() == {UNASSESSED}
    assert found.f16("met", None).codes() == set()
    for _ in range(5):
        assert PATH not in found.codes()
        found.f16("void", "verifier stalled").i8("met", None)
    assert found.codes() == {PATH}


@pytest.mark.parametrize("many", [2, 3])
def test_as_many_in_a_row_as_the_contract_says_are_found_and_have_their_consequence(
    many: int,
) -> None:
    found = Challenged(PROVEN.replace("unassessed:", f'unassessed_in_a_row: "{many}", unassessed:'))
    for _ in range(many - 1):
        found.series(*DECLINED)
    assert found.codes() == set()
    assert set(found.values()) == {None}
    found.series(*DECLINED)
    assert found.codes() == {UNASSESSED}
    assert found.values()[-1] == Fraction(0)


@pytest.mark.parametrize("promised", [True, False])
def test_a_slow_card_by_hand_is_said_and_is_no_failure(promised: bool) -> None:
    found = Challenged()
    own = found.policy
    found.cause = COMMAND
    found.policy = own if promised else replace(own, required_flops_per_second=10**15)
    found.series()
    (code,) = found.codes()
    assert code == BY_HAND
    told = found.open()[code]
    assert (told.severity, told.verdict, told.answerable) == ("warning", "unknown", "open")
    assert found.values() == []
    found.cause, found.policy = SCHEDULE, own
    assert found.series("met", None).codes() == set()


def test_numbers_that_the_contract_does_not_have_count_for_nothing_whoever_began_it() -> None:
    """A collector that calls its own numbers the schedule's fails nobody by them."""
    found = Challenged()
    found.policy = replace(found.policy, required_flops_per_second=10**15)
    assert found.series().codes() == {BY_HAND}


def test_a_wrong_answer_by_hand_is_exact_proof() -> None:
    found = Challenged()
    found.cause = COMMAND
    found.policy = replace(found.policy, required_flops_per_second=10**15)
    found.series(reason="wrong answer")
    assert ("challenge_wrong_answer", GPU) in found.codes()
    assert FAILED not in found.codes()
    told = found.open()["challenge_wrong_answer", GPU]
    assert (told.severity, told.verdict, told.level) == ("error", "breached", "E2")


@pytest.mark.parametrize("promised", [True, False])
def test_by_hand_nothing_is_added_to_a_row_and_none_ends(promised: bool) -> None:
    """What money does not count, findings do not."""
    found, other = Challenged(), Challenged()
    for _ in range(4):
        found.series(*DECLINED)
    for one in (found, other):
        one.cause = COMMAND
        if not promised:
            one.policy = replace(one.policy, samples=64)
    found.series("met", None).series(*DECLINED)
    assert found.codes() == set()
    found.cause, found.policy = SCHEDULE, found.policies[0]
    assert found.series(*DECLINED).codes() == {UNASSESSED}
    for _ in range(6):
        other.series(*DECLINED).series("void", "verifier stalled")
    assert other.codes() == set()


def amend(found: Challenged, second: int, old: str, new: str) -> None:
    """The second version of the contract, from this second on."""
    (version,) = found.fold.assignments.versions("K1")
    start, at = (instant_text(START_US + after * SECOND) for after in (0, second))
    text = version.text.replace(old, new).replace(f"effective: {start}", f"effective: {at}")
    text = text.replace('version: "1"', 'version: "2"\nsupersedes: "1"')
    assert old in version.text
    found.add(EntryKind.CONTRACT, ContractAdded(contract="K1", version=2, text=text, from_us=0))
    first, newest = found.fold.assignments.versions("K1")
    assert newest.from_us == START_US + second * SECOND == first.until_us
    found.policies = newest.contract.resources[0].challenge_policies()


@pytest.mark.parametrize(("second", "code"), [(1101, FAILED), (1100, BY_HAND)])
def test_a_series_is_of_the_version_under_which_it_was_committed_to(
    second: int, code: tuple[str, str]
) -> None:
    """It began in second 1100 and ended in 1130. To be met by the amended proof, in its place, ends what it found."""
    found = Challenged()
    amend(found, second, "800000000000000", "810000000000000")
    assert found.series().codes() == {code}
    found.policy = found.policies[0]
    assert found.series("met", None).codes() == set()


def test_what_a_proof_found_that_is_no_more_ends_with_the_next_one_that_is_met() -> None:
    found = Two().i8()
    amend(found, 1900, f", {{{I8}}}", "")
    assert found.codes() == {FAILED}
    assert found.f16("met", None).codes() == set()
