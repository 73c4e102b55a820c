"""What the agents of both sides say of the same time: agreed, one side's alone, contradicted."""

from collections.abc import Mapping
from itertools import groupby
from random import Random

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    ITEM,
    LOST,
    OWED,
    PROVEN,
    UNTIL_H,
    Field,
    Said,
    amounts,
    lost,
    seconds,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.challenge.record import COMMAND, SCHEDULE
from weighbridge.challenge.verdict import ChallengeVerdict
from weighbridge.judge.counts import gpu_state
from weighbridge.judge.fleet import REMEMBERED, FleetFold
from weighbridge.judge.two_sides import by_slot, of_rows, words_of
from weighbridge.log.entries import EntryKind
from weighbridge.settlement.proofs import ProvenRates

DAY_S = DAY_H * HOUR_S
GPU = "GPU-n1-0"


@pytest.mark.parametrize(
    ("provider", "lessee", "words"),
    [
        (sound, lost, "up_against_down"),
        (lost, sound, "down_against_up"),
    ],
)
def test_the_word_of_one_side_moves_no_money_against_that_of_the_other(
    provider: Said, lessee: Said, words: str
) -> None:
    """The lessee lies and the provider does not, or the other way round: nobody can tell, so the amount is open."""
    found = Field().day(provider=provider, lessee=lessee).statement()
    assert amounts(found) == ("0.00", OWED)
    assert unit(found).verdict == "UNKNOWN"
    assert "sides_contradict" in found.flags
    assert "duplicate_gpu_uuid" not in found.flags
    assert seconds(found) == {"agreed": DAY_S - BAD_S, words: BAD_S}
    assert seconds(found, "n1.1") == {"agreed": DAY_S}
    assert unit(found).seconds["contested"] == BAD_S
    assert {cause.cause for cause in unit(found).outages[0].causes} == {words, "gpu_lost"}


def test_what_both_sides_saw_is_owed_and_agreed() -> None:
    found = Field().day(provider=lost, lessee=lost).statement()
    assert amounts(found) == (OWED, OWED)
    assert unit(found).verdict == "BREACHED"
    assert found.flags == ()
    assert seconds(found) == {"agreed": DAY_S}


def test_a_provider_who_lies_while_it_happens_is_found_by_another_word_alone() -> None:
    """A made-up driver, all of whose readings agree: the statement says whose word it is. A challenge asks the card."""
    alone = Field().day(provider=sound).statement()
    assert (amounts(alone), alone.flags) == (("0.00", "0.00"), ())
    assert seconds(alone) == {"provider": DAY_S}


@pytest.mark.parametrize("side", ["provider", "lessee"])
def test_what_one_side_alone_saw_holds_and_is_said_to_be_one_sided(side: str) -> None:
    alone = Field().day(lessee=lost) if side == "lessee" else Field().day(provider=lost)
    found = alone.statement()
    assert amounts(found) == (OWED, OWED)
    assert seconds(found) == {side: DAY_S}


@pytest.mark.parametrize(
    ("terms", "lowest", "highest", "verdict"),
    [
        ("evidence: {contradicted: held}", "0.00", OWED, "UNKNOWN"),
        ("evidence: {contradicted: provider_bears}", OWED, OWED, "BREACHED"),
        ("evidence: {contradicted: lessee_bears}", "0.00", "0.00", "MET"),
        ("evidence: {records_prevail: provider}", "0.00", "0.00", "MET"),
        ("evidence: {records_prevail: lessee}", OWED, OWED, "BREACHED"),
        ("evidence: {records_prevail: third_party}", "0.00", OWED, "UNKNOWN"),
    ],
)
def test_the_contract_decides_what_is_contradicted_and_the_words_stay_shown(
    terms: str, lowest: str, highest: str, verdict: str
) -> None:
    found = Field(terms).day(provider=sound, lessee=lost).statement()
    assert amounts(found) == (lowest, highest)
    assert unit(found).verdict == verdict
    assert "sides_contradict" in found.flags
    assert seconds(found)["up_against_down"] == BAD_S


@pytest.mark.parametrize(
    ("hour", "verdict", "gpus", "cause", "highest"),
    [
        (FROM_H + 1, "met", 2, SCHEDULE, "0.00"),
        (FROM_H + 1, "met", 2, COMMAND, OWED),
        (FROM_H + 1, "failed", 2, SCHEDULE, OWED),
        (FROM_H + 1, "met", 1, SCHEDULE, OWED),
        (UNTIL_H, "met", 2, SCHEDULE, OWED),
    ],
)
def test_a_challenge_that_was_passed_meanwhile_decides_where_the_higher_level_wins(
    hour: int, verdict: str, gpus: int, cause: str, highest: str
) -> None:
    """By every GPU of the node, while the sides contradict each other, and by the contract's schedule: whoever runs the
    collector could ask for a small one by hand. Else the amount stays open."""
    made = Field("evidence: {contradicted: higher_level}", {ITEM: PROVEN})
    field = made.day(provider=sound, lessee=lost)
    at_us, judged = START_US + hour * HOUR_S * SECOND, ChallengeVerdict(verdict)
    contract = made.fold.assignments.contracts(START_US)["K1"].contract
    (own,) = contract.resources[0].challenge_policies()
    field.proven.append(ProvenRates("n1", at_us, judged, (9,) * gpus, cause, own, True))
    found = field.statement()
    assert amounts(found) == ("0.00", highest)
    assert seconds(found)["up_against_down"] == BAD_S


def test_a_gpu_that_both_saw_down_is_owed_whatever_else_of_its_node_is_disputed() -> None:
    """One side contests the sound GPU, to draw the lost one of the same node into its dispute."""
    node = 'availability: [{id: gpus, unit: node, target: "0.999"}]'

    def disputes(hour: int) -> dict[str, Mapping[str, int | str]]:
        return dict.fromkeys(("GPU-n1-0", "GPU-n1-1"), LOST) if lost(hour) else {}

    field = Field(swap={'availability: [{id: gpus, unit: gpu, target: "0.999"}]': node})
    found = field.day(provider=lost, lessee=disputes).statement()
    assert amounts(found) == (OWED, OWED)


def of_two_samplings(later: str) -> Field:
    """The agents sample half a minute apart: each sees the outage begin and end at a sample of its own."""
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for side, node in nodes.items():
            field.hear(node, hour, lost, side, offset_s=30 if side == later else 0)
    return field


@pytest.mark.parametrize(("later", "first"), [("lessee", "provider"), ("provider", "lessee")])
def test_two_samplings_of_one_outage_are_no_contradiction_however_they_lie(
    later: str, first: str
) -> None:
    """Who shows a change first saw it after it was: it begins and it ends there, whichever side that is."""
    found = of_two_samplings(later).statement()
    assert amounts(found) == (OWED, OWED)
    assert found.flags == ()
    assert unit(found).counted_seconds == (BAD_S, BAD_S)
    assert seconds(found)[first] >= 60


def with_an_end_moved(liar: str, minutes: int) -> Field:
    """The lessee says down so long before it is, or the provider up so long before it is."""
    end_s = (FROM_H if liar == "lessee" else UNTIL_H) * HOUR_S
    said = {GPU: LOST} if liar == "lessee" else {}
    lies = {end_s - 60 * (one + 1): said for one in range(minutes)}
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        told = {at: one for at, one in lies.items() if at // HOUR_S == hour}
        for side, node in nodes.items():
            field.hear(node, hour, lost, side, also=told if side == liar else {})
    return field


@pytest.mark.parametrize("minutes", [1, 2, 3, 30])
@pytest.mark.parametrize(("liar", "sign"), [("lessee", 1), ("provider", -1)])
def test_an_end_of_an_outage_is_moved_by_one_interval_at_most_and_by_more_it_is_contradicted(
    liar: str, sign: int, minutes: int
) -> None:
    """Beyond an interval the side that tells the truth had a sample that says otherwise: then the end is a range, from
    the one side's to the other's."""
    found = with_an_end_moved(liar, minutes).statement()
    moved = BAD_S + sign * 60 * minutes
    if minutes == 1:
        assert unit(found).counted_seconds == (moved, moved)
        assert found.flags == ()
        assert seconds(found)[liar] == 60
    else:
        assert unit(found).counted_seconds == tuple(sorted((BAD_S, moved)))
        assert found.flags == ("sides_contradict",)
        assert seconds(found)["up_against_down"] == 60 * minutes


@pytest.mark.parametrize("later", ["lessee", "provider"])
def test_a_sample_that_one_agent_misses_where_an_outage_begins_is_no_contradiction(
    later: str,
) -> None:
    """Two agents that sample at the same seconds, and one of them an interval later this time."""
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for side, node in nodes.items():
            missed_s = FROM_H * HOUR_S if side == later else -1
            field.hear(node, hour, lost, side, sent=missed_s.__ne__)
    found = field.statement()
    assert amounts(found) == (OWED, OWED)
    assert unit(found).counted_seconds == (BAD_S, BAD_S)
    assert found.flags == ()


def test_short_lies_one_after_the_other_are_no_difference_of_samplings() -> None:
    """The lessee's agent says down for two of each ten minutes: shorter than a sample may be awaited."""
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(nodes["provider"], hour, sound)
        lies = {
            second: {GPU: LOST}
            for second in range(hour * HOUR_S, (hour + 1) * HOUR_S, 60)
            if second % 600 < 120
        }
        field.hear(nodes["lessee"], hour, sound, "lessee", also=lies)
    found = field.statement()
    assert amounts(found) == ("0.00", OWED)
    assert seconds(found)["up_against_down"] == DAY_S // 5


def dead(_hour: int) -> Mapping[str, Mapping[str, int | str]]:
    return {GPU: LOST}


@pytest.mark.parametrize(
    ("said", "healthy", "state"),
    [
        ({"provider": sound}, 2, "ok"),
        ({"lessee": dead}, 1, "down"),
        ({"provider": sound, "lessee": sound}, 2, "ok"),
        ({"provider": dead, "lessee": dead}, 1, "down"),
        ({"provider": sound, "lessee": dead}, 1, "contradicted"),
        ({"provider": dead, "lessee": sound}, 1, "contradicted"),
    ],
)
def test_healthy_is_one_number_live_and_in_the_statement_whatever_the_sides_say(
    said: Mapping[str, Said], healthy: int, state: str
) -> None:
    """And no GPU is shown by one side's word where the other contradicts it."""
    field, nodes = Field(), {side: ScriptedNode() for side in said}
    live: list[tuple[int, str, str]] = []
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for side, word in said.items():
            field.hear(nodes[side], hour, word, side)
        first, second = (gpu_state(field.fold.observers("n1"), one) for one in (GPU, "GPU-n1-1"))
        live.append((field.counted().healthy, first, second))
    assert live[:DAY_H] == [(healthy, state, "ok")] * DAY_H
    assert field.statement().parts[0].delivery[0].healthy_gpu_seconds == healthy * DAY_S


FOUND: dict[str, tuple[Said, Said, list[tuple[int, int | None]]]] = {
    "lies all day": (sound, dead, [(0, None)]),
    "lies for four hours": (sound, lost, [(FROM_H * HOUR_S, UNTIL_H * HOUR_S)]),
    "denies it": (lost, sound, [(FROM_H * HOUR_S, UNTIL_H * HOUR_S)]),
    "agree": (lost, lost, []),
    "all is well": (sound, sound, []),
}


@pytest.mark.parametrize("story", FOUND)
def test_what_the_sides_contradict_each_other_in_is_found_live_as_long_as_it_lasts(
    story: str,
) -> None:
    provider, lessee, expected = FOUND[story]
    field = Field().day(provider=provider, lessee=lessee)
    told = {one.since_us: one for one in field.findings("sides_contradict")}
    assert [
        (_second(one.since_us), None if one.until_us is None else _second(one.until_us))
        for one in told.values()
    ] == [(start_s, DAY_S if end_s is None else end_s) for start_s, end_s in expected]
    for one in told.values():
        assert (one.device, one.severity.value, one.verdict.name) == (GPU, "error", "UNKNOWN")
        assert "gpu_lost" in one.observed


def test_a_restart_in_the_middle_of_a_contradiction_finds_the_same() -> None:
    """What is compared is part of what a fold remembers, so live judgement, a restart and a replay agree."""
    whole, cut = Field(), Field()
    for field in (whole, cut):
        nodes = {"provider": (ScriptedNode(), sound), "lessee": (ScriptedNode(), lost)}
        for hour in range(UNTIL_H + 2):
            field.tick((hour + 1) * HOUR_S)
            for side, (node, said) in nodes.items():
                field.hear(node, hour, said, side)
                if field is cut:
                    restart(field)
    assert cut.findings() == whole.findings()
    assert len(cut.findings("sides_contradict")) == 2


@pytest.mark.parametrize("seed", range(2))
def test_whatever_the_sides_say_what_is_found_live_is_what_the_record_has(seed: int) -> None:
    draw, field = Random(seed), Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    held: dict[str, dict[str, Mapping[str, int | str]]] = {"provider": {}, "lessee": {}}
    for hour in range(6):
        field.tick((hour + 1) * HOUR_S)
        for side in draw.sample(sorted(nodes), 2):
            told = {}
            for second in range(hour * HOUR_S, (hour + 1) * HOUR_S, 60):
                if draw.random() < 0.1:
                    held[side] = {} if held[side] else {GPU: LOST}
                told[second] = held[side]
            field.hear(nodes[side], hour, sound, side, also=told)
    until_us = START_US + (6 * HOUR_S - 60) * SECOND
    line = of_rows(by_slot(field.rows())["n1", 0], START_US, until_us, 61 * SECOND)
    runs = groupby(line, lambda one: words_of(one.cause) is not None)
    expected = [
        (spans[0].start_us, spans[-1].end_us)
        for contradicted, group in runs
        for spans in [list(group)]
        if contradicted
    ]
    told_of = {one.since_us: one.until_us for one in field.findings("sides_contradict")}
    assert len(expected) > 9
    assert [(at, until or until_us) for at, until in sorted(told_of.items())] == expected


def restart(field: Field) -> None:
    """The fold goes on from what it remembers."""
    kept = REMEMBERED | {EntryKind.TICK}
    before, field.fold = field.fold, FleetFold()
    before.touch(f"node/{name}" for name in before.states)
    field.fold.restore(before.snapshots(), [one for one in field.entries if one.kind in kept])


def _second(at_us: int) -> int:
    return (at_us - START_US) // SECOND


@pytest.mark.parametrize(("later", "minutes"), [("lessee", 1), ("provider", 1), ("", 2), ("", 30)])
def test_a_difference_of_samplings_is_found_by_nobody_and_a_longer_one_is_as_in_the_statement(
    later: str, minutes: int
) -> None:
    field = of_two_samplings(later) if later else with_an_end_moved("lessee", minutes)
    told = {one.since_us: one for one in field.findings("sides_contradict")}
    lasted = sum(one.until_us - one.since_us for one in told.values() if one.until_us is not None)
    found = seconds(field.statement()).get("up_against_down", 0)
    assert lasted == found * SECOND == (0 if later else minutes * 60 * SECOND)
