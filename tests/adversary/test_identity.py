"""Whose device is it: strangers who show it, nodes that show it too, and what that moves."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    OWED,
    TERMS,
    UNTIL_H,
    Field,
    amounts,
    lost,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, ScriptedNode
from weighbridge.challenge.record import COMMAND, SCHEDULE
from weighbridge.judge.ledger import State
from weighbridge.judge.registry import CLAIMED, DUPLICATE
from weighbridge.wire.report import Report

DEAD, SOUND = "GPU-n1-0", "GPU-n1-1"
SHOWN_S = BAD_S - HOUR_S
"""A chain speaks from its first receipt on, and each report is of an hour."""


@dataclass
class Elsewhere(ScriptedNode):
    """A node that shows a device of another one beside its own."""

    also: str = SOUND

    @property
    def devices(self) -> list[str]:
        return [self.also, f"GPU-{self.name}-1"]

    def report(self, *said: Any, **fields: Any) -> Report:
        return super().report(*said, **{"interval_ms": 60_000} | fields)


def field_with(other: str = "Another provider", *, contracted: bool = True) -> Field:
    """The day's contract of P, and node n2 under a contract of another provider, or under none."""
    field = Field()
    field.enrol("stranger", "n2")
    if contracted:
        text = TERMS.replace("contract_id: K1", "contract_id: K2") + "unknown: {policy: hold}\n"
        field.contract(text.replace("{id: P, role", f"{{id: Q, name: {other}, role"), "K2")
        field.assign("n2", "K2")
    return field


def played(field: Field, shown: str) -> Field:
    """The first GPU of n1 is dead for the four hours, over which n2 shows a device of n1."""
    first, other = ScriptedNode(), Elsewhere("n2", also=shown)
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(first, hour, lost)
        if FROM_H <= hour < UNTIL_H:
            field.hear(other, hour, sound, "stranger")
    return field


def codes(field: Field) -> set[tuple[str, str, str, str]]:
    return {
        (one.code, one.contract, one.node, one.device) for one in field.findings(CLAIMED, DUPLICATE)
    }


def test_a_strangers_key_that_shows_my_uuid_moves_no_money_and_is_said_to_both() -> None:
    field = played(field_with(contracted=False), SOUND)
    found = field.statement()
    assert amounts(found) == (OWED, OWED)
    assert found.flags == ("gpu_claimed_elsewhere",)
    assert codes(field) == {(CLAIMED, "K1", "n1", SOUND), (DUPLICATE, "", "n2", SOUND)}


def test_a_weaker_claim_under_a_contract_of_its_own_contests_its_own_time_alone() -> None:
    field = played(field_with(), SOUND)
    assert amounts(field.statement()) == (OWED, OWED)
    assert field.statement().flags == ("gpu_claimed_elsewhere",)
    assert codes(field) == {(CLAIMED, "K1", "n1", SOUND), (DUPLICATE, "K2", "n2", SOUND)}
    line = field.timelines(DAY_H * HOUR_S, "K2")["n2", 0]
    contested_us = sum(one.end_us - one.start_us for one in line if one.state is State.CONTESTED)
    assert contested_us == SHOWN_S * SECOND


def test_a_provider_who_sells_one_gpu_twice_is_contested_for_both() -> None:
    """Both nodes are the word of one provider, who could else say which lessee it counts for."""
    field = played(field_with(other="P"), SOUND)
    found = field.statement()
    assert amounts(found) == (OWED, "51.74")
    assert found.flags == ("duplicate_gpu_uuid",)
    assert unit(found, "n1.1").seconds["contested"] == SHOWN_S
    assert codes(field) == {(DUPLICATE, "K1", "n1", SOUND), (DUPLICATE, "K2", "n2", SOUND)}


def test_a_gpu_that_is_dead_here_is_down_here_wherever_else_it_is_shown() -> None:
    """Whether it works elsewhere or not, whoever leased it here did not have it."""
    for field in (field_with(other="P"), field_with(), field_with(contracted=False)):
        found = played(field, DEAD).statement()
        assert amounts(found) == (OWED, OWED)
        assert unit(found).seconds["contested"] == 0


def test_a_gpu_that_really_moves_to_another_provider_is_no_conflict() -> None:
    field = field_with()
    first, other = ScriptedNode(), Elsewhere("n2", also=SOUND)
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        if hour < FROM_H:
            field.hear(first, hour, sound)
        elif hour >= UNTIL_H:
            field.hear(other, hour, sound, "stranger")
    assert codes(field) == set()
    assert field.statement().flags == ("below_least_coverage", "unknown_time")


@pytest.mark.parametrize(
    ("cause", "most", "contested_s"),
    [(SCHEDULE, "51.74", 2 * HOUR_S - 60), (COMMAND, OWED, 0)],
)
def test_a_newcomer_who_meets_a_challenge_contests_the_owners_time_from_then_on(
    cause: str, most: str, contested_s: int
) -> None:
    """The owner's day is in doubt only from the instant at which somebody else has shown more than words. What somebody
    asked for by hand shows no more."""
    field = field_with()
    first, other = ScriptedNode(), Elsewhere("n2", also=SOUND)
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(first, hour, lost)
        if FROM_H <= hour < UNTIL_H:
            field.hear(other, hour, sound, "stranger")
        if hour == UNTIL_H - 3:
            field.met_challenge(SOUND, "K2", "n2", "stranger", cause)
    found = field.statement()
    assert amounts(found) == (OWED, most)
    assert unit(found, "n1.1").seconds["contested"] == contested_s
    assert "gpu_claimed_elsewhere" in found.flags
    assert ("duplicate_gpu_uuid" in found.flags) is (contested_s > 0)
