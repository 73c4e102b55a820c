"""Challenges as probes of a performance objective: what a GPU proved against what was promised."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.weighbridge.scripted import SIGNER, START_US, contract_text
from weighbridge.challenge.record import (
    COMMAND,
    SCHEDULE,
    ChallengeOutcome,
    Weighed,
    Weighing,
    seal_record,
)
from weighbridge.challenge.telemetry import BothSides
from weighbridge.challenge.verdict import ChallengeVerdict
from weighbridge.contract import load
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind, entry, payload_type
from weighbridge.notices.book import ContractRecord, NoticeBook
from weighbridge.settlement.periods import Period
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.proofs import excused, proven
from weighbridge.wire.report import Model, encode

PERIOD = Period("2026-10", START_US // 1_000_000, START_US // 1_000_000 + 31 * 86400)
ALWAYS = (0, 4_000_000_000)
OBJECTIVE = """
performance:
  - {{id: speed, probe: challenge, threshold: "1", of_reference: "{share}", op: ">=", missing: excluded, target: "0.9",
     schedule: {schedule}}}
"""
ASKED = 'at_least_flops_per_second: "800000000000000"'
CHALLENGE = f"    challenges: [{{{ASKED}}}]\n    floors:"


def text(share: str = "true", schedule: str = "[]", terms: str = CHALLENGE) -> str:
    said = contract_text().replace("    floors:", terms)
    return said + OBJECTIVE.format(share=share, schedule=schedule)


(OWN,) = load(text()).resources[0].challenge_policies()


def weighed(verdict: str, rate: int | None) -> Weighed:
    return Weighed("GPU-a", verdict, None, 8, 0, rate, None, None, None)


def outcome(*gpus: Weighed, **changes: Any) -> ChallengeOutcome:
    weighing = Weighing(gpus[0].verdict, None, gpus)
    key, times = SIGNER.public_key, ()
    made = ChallengeOutcome(
        "c.1",
        "c",
        "K1",
        "n1",
        key,
        weighing,
        (),
        b"",
        times,
        b"",
        gpus[0].verdict,
        None,
        1,
        0,
        True,
        (),
        0,
        cause=SCHEDULE,
        policy=OWN,
    )
    return replace(made, **changes)


def book_of(contract: str, *ended: ChallengeOutcome) -> NoticeBook:
    made = NoticeBook()
    added = ContractAdded(contract="K1", version=1, text=contract, from_us=START_US)
    assignment = Assignment(contract="K1", node="n1", devices=None)
    said: list[tuple[EntryKind, Model]] = [
        (EntryKind.CONTRACT, added),
        (EntryKind.ASSIGNMENT, assignment),
    ]
    leaves = [SIGNER.seal(payload_type(kind), encode(record)) for kind, record in said]
    leaves += [seal_record(SIGNER, one)[1] for one in ended]
    for index, leaf in enumerate(leaves):
        made.fold(entry(index, leaf), START_US + index)
    return made


def found(contract: str, *ended: ChallengeOutcome) -> tuple[Samples, ...]:
    known = book_of(contract, *ended).record("K1", START_US + 100)
    assert known is not None
    return known.probes(known.newest, PERIOD, PERIOD, ALWAYS)["speed"]


@pytest.mark.parametrize(
    ("gpu", "value"),
    [
        (weighed("met", 840 * 10**12), Fraction(105, 100)),
        (weighed("failed", 400 * 10**12), Fraction(1, 2)),
        (weighed("failed", None), Fraction(0)),
        (weighed("not assessed", None), None),
        (weighed("void", 840 * 10**12), None),
        (weighed("unknown", None), None),
    ],
)
def test_a_gpu_counts_by_its_share_of_the_promise_and_not_assessed_is_no_answer(
    gpu: Weighed, value: Fraction | None
) -> None:
    assert found(text(), outcome(gpu)) == (Samples(1, value),)


def test_without_a_reference_the_value_is_in_tflops() -> None:
    gpu = weighed("met", 840 * 10**12)
    assert found(text("false"), outcome(gpu, gpu)) == (Samples(1, Fraction(840)),) * 2


def test_an_attempt_that_is_repeated_is_not_counted() -> None:
    failed = outcome(weighed("failed", None), final=False)
    assert found(text(), failed, outcome(weighed("met", 800 * 10**12))) == (
        Samples(1, Fraction(1)),
    )


@pytest.mark.parametrize("after", ["not assessed", "void", "unknown"])
def test_a_series_that_failed_counts_as_failed_whatever_came_to_nothing_after_it(
    after: str,
) -> None:
    slow = outcome(weighed("failed", 400 * 10**12), final=False)
    last = outcome(weighed(after, None), series_verdict="failed")
    assert found(text(), slow, last) == (Samples(1, Fraction(1, 2)),)


def test_what_somebody_asked_for_by_hand_counts_for_nothing() -> None:
    """One small challenge by hand is no breach of a month, nor does it mend one."""
    for verdict in ("met", "failed"):
        assert found(text(), outcome(weighed(verdict, 1), cause=COMMAND)) == ()


def test_the_statement_shows_every_series_and_which_of_them_count() -> None:
    """By hand, or by other numbers than the contract's: shown, and no probe."""
    met = weighed("met", 840 * 10**12)
    other = replace(OWN, samples=1)
    ended = [outcome(met, weighed("failed", None)), outcome(met, cause=COMMAND)]
    known = book_of(text(), *ended, outcome(met, policy=other)).record("K1", START_US + 100)
    assert known is not None
    lines = known.series(known.newest, PERIOD, PERIOD, ALWAYS)
    shown = [(one.cause, one.gpus, one.least, one.counts) for one in lines]
    assert shown == [
        (SCHEDULE, 2, 0, True),
        (COMMAND, 1, 840 * 10**12, False),
        (SCHEDULE, 1, 840 * 10**12, False),
    ]
    bare = book_of(contract_text(), *ended).record("K1", START_US + 100)
    assert bare is not None
    assert bare.series(bare.newest, PERIOD, PERIOD, ALWAYS) == ()


@pytest.mark.parametrize(
    "changes", [{"samples": 1}, {"rounds": 1}, {"required_flops_per_second": 1}, {"profile": "i8"}]
)
def test_what_was_asked_by_other_numbers_than_the_contracts_counts_for_nothing(
    changes: Any,
) -> None:
    other = replace(OWN, **changes)
    assert found(text(), outcome(weighed("failed", 1), policy=other)) == ()


def test_a_series_counts_also_under_a_later_table_of_cards() -> None:
    """The ceiling is the table's: a month that is settled anew after it was mended keeps its failures."""
    ceiling = OWN.ceiling_flops_per_second
    assert ceiling > 0
    earlier = replace(OWN, ceiling_flops_per_second=ceiling + 10**12)
    slow = outcome(weighed("failed", 400 * 10**12), policy=earlier)
    assert found(text(), slow) == (Samples(1, Fraction(1, 2)),)


@pytest.mark.parametrize("named", ['rounds: "3233"', "check: recompute"])
def test_without_a_rate_the_rounds_and_the_deadline_are_the_tables_too(named: str) -> None:
    """They follow from the ceiling as it was when the challenge was asked for."""
    terms = f"    challenges: [{{{named}}}]\n    floors:"
    (item,) = load(text(terms=terms)).resources
    assert item.card is not None
    card = replace(item.card, dense_f16_teraops=900, dense_i8_teraops=1800)
    earlier = item.challenges[0].policy(card, item.per_node)
    assert earlier.deadline_ms != item.challenge_policies()[0].deadline_ms
    slow = outcome(weighed("failed", 400 * 10**12), policy=earlier)
    assert len(found(text("false", terms=terms), slow)) == 1
    other = replace(OWN, deadline_ms=OWN.deadline_ms + 1000)
    assert found(text(), outcome(weighed("failed", 1), policy=other)) == ()


def test_each_proof_of_a_line_item_counts_against_its_own_promise() -> None:
    two = f"    challenges: [{{{ASKED}}}, {{profile: i8, {ASKED.replace('8', '16', 1)}}}]\n    floors:"
    i8 = load(text(terms=two)).resources[0].challenge_policies()[1]
    ended = (weighed("met", 800 * 10**12), weighed("met", 1600 * 10**12))
    outcomes = (outcome(ended[0]), outcome(ended[1], policy=i8))
    assert found(text(terms=two), *outcomes) == (Samples(1, Fraction(1)),) * 2


@pytest.mark.parametrize(
    ("consequence", "values"),
    [("missing", [None] * 4), ("failed", [None, None, Fraction(0), Fraction(0)])],
)
def test_many_in_a_row_that_are_not_assessed_have_the_consequence_of_the_contract(
    consequence: str, values: list[Fraction | None]
) -> None:
    terms = f'    challenges: [{{{ASKED}, unassessed_in_a_row: "3", unassessed: {consequence}}}]\n    floors:'
    declined = outcome(weighed("not assessed", None))
    void = outcome(weighed("void", None))
    above = outcome(weighed("unknown", None))
    met = outcome(weighed("met", 800 * 10**12))
    row = found(
        text(terms=terms), declined, declined, above, void, declined, declined, met, declined
    )
    assert [one.value for one in row[:2] + row[4:6]] == values
    assert [one.value for one in (*row[2:4], *row[6:])] == [None, None, Fraction(1), None]


AMENDED_S = 1000
BEFORE, AFTER = (
    Period("2026-10", PERIOD.start_s + begin, PERIOD.start_s + end)
    for begin, end in ((0, AMENDED_S), (AMENDED_S, 31 * 86400))
)


def amended_record(*ended: tuple[int, ChallengeOutcome]) -> ContractRecord:
    """Series that ended at these seconds, of a contract whose second version asks for twice the rate."""
    effective = "effective: 2026-10-01T00:16:40Z"
    second = text(terms=CHALLENGE.replace("800", "1600")).replace('version: "1"', 'version: "2"')
    second = second.replace("effective: 2026-10-01T00:00:00Z", f'supersedes: "1"\n{effective}')
    made = book_of(text())
    added = ContractAdded(contract="K1", version=2, text=second, from_us=START_US)
    leaves = [(3, SIGNER.seal(payload_type(EntryKind.CONTRACT), encode(added)))]
    leaves += [(at_s * 10**6, seal_record(SIGNER, one)[1]) for at_s, one in ended]
    for index, (at_us, leaf) in enumerate(leaves, 2):
        made.fold(entry(index, leaf), START_US + at_us)
    known = made.record("K1", START_US + 10**10)
    assert known is not None
    assert [one.from_us for one in known.versions] == [START_US, START_US + AMENDED_S * 10**6]
    return known


def amended(*ended: tuple[int, ChallengeOutcome]) -> dict[str, list[Any]]:
    """Rates in the part of each version."""
    known = amended_record(*ended)
    parts = zip(("before", "after"), known.versions, (BEFORE, AFTER), strict=True)
    return {
        name: [
            [one.value for one in known.probes(one_of.contract, part, PERIOD, ALWAYS)["speed"]],
            [line.counts for line in known.series(one_of.contract, part, PERIOD, ALWAYS)],
        ]
        for name, one_of, part in parts
    }


@pytest.mark.parametrize(
    ("began_s", "before", "after"),
    [
        (AMENDED_S - 1, [[Fraction(1)], [True]], [[], []]),
        (AMENDED_S, [[], []], [[], [False]]),
        (None, [[], []], [[], [False]]),
    ],
)
def test_a_series_counts_in_the_version_under_which_it_was_committed_to(
    began_s: int | None, before: list[Any], after: list[Any]
) -> None:
    """It ended after the amendment. An older record does not say when it began, and is of the one in which it ended."""
    began_us = 0 if began_s is None else START_US + began_s * 10**6
    met = outcome(weighed("met", 800 * 10**12), began_us=began_us)
    assert amended((AMENDED_S + 5, met)) == {"before": before, "after": after}


def test_where_the_newest_version_rules_the_whole_period_what_was_asked_before_it_counts_too() -> (
    None
):
    """By the numbers that were agreed on then."""
    early, late = (
        outcome(weighed("met", 800 * 10**12), began_us=START_US + began_s * 10**6)
        for began_s in (AMENDED_S - 9, AMENDED_S)
    )
    known = amended_record((AMENDED_S - 5, early), (AMENDED_S + 5, late))
    counted = known.probes(known.newest, PERIOD, PERIOD, ALWAYS)["speed"]
    assert [one.value for one in counted] == [Fraction(1)]


def test_the_first_attempt_says_when_a_series_was_committed_to() -> None:
    slow = outcome(
        weighed("failed", 400 * 10**12), began_us=START_US + (AMENDED_S - 9) * 10**6, final=False
    )
    last = outcome(weighed("met", 800 * 10**12), began_us=START_US + (AMENDED_S + 4) * 10**6)
    found = amended((AMENDED_S + 3, slow), (AMENDED_S + 5, last))
    assert found == {"before": [[Fraction(1)], [True]], "after": [[], []]}


def test_a_series_that_ends_in_the_next_month_counts_there_alone() -> None:
    known = book_of(text()).record("K1", START_US + 100)
    assert known is not None
    met = outcome(weighed("met", 800 * 10**12), began_us=(PERIOD.end_s - 1) * 10**6)
    one = replace(known, proven=[proven(None, met, PERIOD.end_s * 10**6)])
    counted = [len(one.probes(one.newest, part, part, ALWAYS)["speed"]) for part in (PERIOD, NEXT)]
    assert counted == [0, 1]


def test_a_proof_that_is_met_ends_no_row_of_refusals_of_another() -> None:
    """Who declines each `f16` and answers each `i8` is never met by the first."""
    i8_terms = f"{{profile: i8, {ASKED.replace('8', '16', 1)}}}"
    two = IN_A_ROW.replace("}]", f"}}, {i8_terms}]")
    i8 = load(text(terms=two)).resources[0].challenge_policies()[1]
    declined = outcome(weighed("not assessed", None))
    met = outcome(weighed("met", 1600 * 10**12), policy=i8)
    values = [one.value for one in found(text(terms=two), *[declined, met] * 3)]
    assert values == [None, 1, None, 1, Fraction(0), 1]


NEXT = Period("2026-11", PERIOD.end_s, PERIOD.end_s + 30 * 86400)
IN_A_ROW = (
    f'    challenges: [{{{ASKED}, unassessed_in_a_row: "3", unassessed: failed}}]\n    floors:'
)


def test_a_row_that_is_not_assessed_goes_on_over_the_end_of_a_month() -> None:
    """A node that is asked seldom would never come to so many in one month."""
    declined = weighed("not assessed", None)
    known = book_of(text(terms=IN_A_ROW), *[outcome(declined)] * 3).record("K1", START_US + 100)
    assert known is not None
    *before, last = known.proven
    at_us = NEXT.start_s * 1_000_000
    turned = replace(known, proven=[*before, replace(last, received_us=at_us)])
    values = [
        [one.value for one in turned.probes(turned.newest, period, period, ALWAYS)["speed"]]
        for period in (PERIOD, NEXT)
    ]
    assert values == [[None, None], [Fraction(0)]]


def test_a_series_that_is_unknown_neither_ends_a_row_nor_counts_in_it() -> None:
    """A verifier without numpy fails nobody; and cards that share the work end no row of refusals with it."""
    declined, unknown = weighed("not assessed", None), weighed("unknown", None)
    ended = [outcome(one) for one in (declined, declined, unknown, unknown, declined)]
    values = [one.value for one in found(text(terms=IN_A_ROW), *ended)]
    assert values == [None, None, None, None, Fraction(0)]


def test_use_of_another_gpu_unmakes_no_failure_of_a_series_that_was_given_up() -> None:
    """A collector that starts anew ends the series, and names none of the GPUs that had failed."""
    slow = replace(weighed("failed", 400 * 10**12), reason="compute below the requirement")
    beside = replace(weighed("met", 800 * 10**12), gpu="GPU-b")
    first = proven(None, outcome(slow, beside, final=False), 1)
    void = outcome(weighed("void", None), replace(weighed("void", None), gpu="GPU-b"))
    last = replace(void, series_verdict="failed", series_reason="compute below the requirement")
    busy = BothSides("c", b"", (-1, -1), (), b"", 0, 0, 0, ("GPU-b",), ())
    assert excused(proven(first, last, 2), busy).verdict is ChallengeVerdict.FAILED


def test_what_came_after_the_instant_is_not_known_at_it() -> None:
    known = book_of(text(), outcome(weighed("met", 1))).record("K1", START_US + 1)
    assert known is not None
    assert known.probes(known.newest, PERIOD, PERIOD, ALWAYS)["speed"] == ()


@pytest.mark.parametrize(("hours", "count"), [((2, 3), 1), ((0, 2), 0), ((3, 24), 0)])
def test_a_challenge_outside_the_schedule_of_the_objective_does_not_count(
    hours: tuple[int, int], count: int
) -> None:
    """It ends when it is 02:00 in Berlin."""
    first, last = hours
    schedule = f"[{{from_minute: {60 * first}, to_minute: {60 * last}, zone: Europe/Berlin}}]"
    assert len(found(text(schedule=schedule), outcome(weighed("met", 1)))) == count


@pytest.mark.parametrize(("begins", "count"), [(0, 1), (1, 0)])
def test_a_challenge_that_ended_before_service_began_is_no_probe(begins: int, count: int) -> None:
    """It ended in the first second of the period, and service began with that one or with the next."""
    known = book_of(text(), outcome(weighed("met", 840 * 10**12))).record("K1", START_US + 100)
    assert known is not None
    service = (PERIOD.start_s + begins, PERIOD.end_s)
    assert len(known.probes(known.newest, PERIOD, PERIOD, service)["speed"]) == count
    assert [one.counts for one in known.series(known.newest, PERIOD, PERIOD, service)] == [
        count == 1
    ]
