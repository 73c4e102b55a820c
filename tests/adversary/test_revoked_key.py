"""A key in other hands: what it said since then counts for nobody's good, and what it admitted stays."""

from collections.abc import Mapping

import pytest

from tests.adversary.field import (
    DAY_H,
    HOUR_S,
    OWED,
    Field,
    Said,
    amounts,
    lost,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.judge.ledger import KEY_REVOKED

STOLEN_H, REVOKED_H = 6, 18


def played(said: Mapping[str, Said], side: str, from_h: int | None, more: str = "") -> Field:
    """The agents of these sides all day; one side's key is revoked in the evening."""
    field = Field(more)
    nodes = {one: ScriptedNode() for one in said}
    for hour in range(DAY_H + 1):
        if hour == REVOKED_H:
            field.revoke(side, from_h)
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        for one, node in nodes.items():
            if one != side or hour < REVOKED_H:
                field.hear(node, hour, said[one], one)
    return field


def at_us(hour: int) -> int:
    return START_US + hour * HOUR_S * SECOND


def test_what_a_stolen_key_said_is_unknown_from_the_instant_on() -> None:
    field = played({"provider": sound}, "provider", STOLEN_H)
    statement = field.statement()
    assert unit(statement, "n1.1").seconds["unknown"] == (DAY_H - STOLEN_H) * HOUR_S
    assert "key_revoked" in statement.flags
    (found,) = field.findings(KEY_REVOKED)
    assert (found.severity.value, found.since_us, found.until_us) == (
        "error",
        at_us(STOLEN_H),
        at_us(REVOKED_H),
    )
    assert "stolen" in found.observed


def test_what_it_said_before_and_all_of_a_key_that_merely_ends_stays() -> None:
    """A key that is revoked because the machine goes back to its owner was nobody else's."""
    field = played({"provider": sound}, "provider", None)
    statement = field.statement()
    assert unit(statement, "n1.1").seconds["unknown"] < (DAY_H - REVOKED_H + 1) * HOUR_S
    assert "key_revoked" not in statement.flags
    assert field.findings(KEY_REVOKED) == []


@pytest.mark.parametrize("from_h", [None, 0])
def test_nobody_mends_a_fault_by_revoking_the_key_that_told_of_it(from_h: int | None) -> None:
    statement = played(
        {"provider": lost}, "provider", from_h, "unknown: {policy: up}\n"
    ).statement()
    assert amounts(statement)[0] == OWED


LATER_H = 21


def moved(then_h: int | None, first_h: int | None) -> Field:
    """At LATER_H, when another key has long spoken for the side, the first is said to have been stolen at `then_h`."""
    field, node = Field(""), ScriptedNode()
    for hour in range(DAY_H + 1):
        if hour == REVOKED_H:
            field.revoke("provider", first_h)
            field.enrol("second", "n1")
        if hour == LATER_H and then_h is not None:
            field.revoke("provider", then_h)
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(node, hour, sound, "second" if hour >= REVOKED_H else "provider")
    return field


@pytest.mark.parametrize("first_h", [None, 12])
def test_a_theft_that_is_found_out_later_moves_the_instant_back_and_no_further_than_the_key_spoke(
    first_h: int | None,
) -> None:
    """What another key says after the first revocation is in no doubt, whenever the instant is moved."""
    field = moved(STOLEN_H, first_h)
    statement = field.statement()
    assert unit(statement, "n1.1").seconds["unknown"] == (REVOKED_H - STOLEN_H) * HOUR_S
    assert {(one.since_us, one.until_us) for one in field.findings(KEY_REVOKED)} == {
        (at_us(hour), at_us(REVOKED_H)) for hour in (STOLEN_H, first_h) if hour is not None
    }


def test_an_instant_is_never_moved_forward() -> None:
    """A later entry that names a later instant gives back nothing that was taken."""
    once, again = moved(None, STOLEN_H), moved(12, STOLEN_H)
    assert unit(once.statement(), "n1.1").seconds == unit(again.statement(), "n1.1").seconds


def test_the_other_sides_word_holds_alone_where_a_key_was_stolen() -> None:
    said = {"provider": sound, "lessee": sound}
    statement = played(said, "provider", STOLEN_H).statement()
    assert amounts(statement) == ("0.00", "0.00")
