"""A slot that another device fills: what nobody announced is nobody's service."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    OWED,
    STEP_S,
    UNTIL_H,
    Field,
    amounts,
    seconds,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.log.entries import EventNotice

MADE_UP = "GPU-made-up"
HELD = "unknown: {policy: up, by_cause: {device_exchanged: hold}}"
DAY_S = DAY_H * HOUR_S
AWAY = (FROM_H, UNTIL_H)
FOR_GOOD = (FROM_H, DAY_H + 1)


class Swapped(ScriptedNode):
    """Its first GPU is another one while `other` is set."""

    other: str = ""

    @property
    def devices(self) -> list[str]:
        own = super().devices
        return [self.other, *own[1:]] if self.other else own


def story(
    field: Field, hours: tuple[int, int], *, new_chain: bool = False, lessee: bool = False
) -> Field:
    """A day on which another device fills the first slot; `lessee`: her agent shows the real one throughout."""
    node, hers = Swapped(), ScriptedNode()
    for hour in range(DAY_H + 1):
        if new_chain and hour in hours:
            node.chain, node.seq, node.prev = f"chain-of-{hour}", 0, None
            field.introduce(chain=node.chain)
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        before, node.other = node.other, MADE_UP if hours[0] <= hour < hours[1] else ""
        more: dict[str, Any] = {"inventory": node.inventory()} if node.other != before else {}
        field.hear(node, hour, sound, **more)
        if lessee:
            field.hear(hers, hour, sound, "lessee")
    return field


def replaced(
    party: str = "P", unit: str = "n1.0", new: str = MADE_UP, at_h: int = FROM_H
) -> tuple[str, EventNotice]:
    said = EventNotice(
        kind="event",
        event="gpu_replaced",
        at_us=START_US + at_h * HOUR_S * SECOND,
        since_us=None,
        unit=unit,
        details={"new": new},
    )
    return party, said


@pytest.mark.parametrize("new_chain", [False, True])
def test_a_made_up_device_for_four_hours_is_no_service(*, new_chain: bool) -> None:
    """Its real GPU is dead meanwhile, and comes back. A new chain forgets nothing of what the slot's own device is."""
    field = story(Field(HELD), AWAY, new_chain=new_chain)
    found, between = field.statement(), STEP_S if new_chain else 0
    assert amounts(found) == ("0.00", OWED)
    assert unit(found).unknown_seconds == BAD_S + between
    assert "device_exchanged" in found.flags
    swap = found.swaps[0]
    assert (swap.event, swap.details["new"]) == ("device_exchanged", MADE_UP)
    opened, closed = field.findings("device_exchanged")
    assert (opened.device, opened.severity, opened.until_us) == (MADE_UP, "error", None)
    assert closed.until_us is not None
    assert closed.until_us - opened.since_us == BAD_S * SECOND
    if not new_chain:
        assert seconds(found) == {"provider": DAY_S - BAD_S, "unknown": BAD_S}
        assert seconds(found, "n1.1") == {"provider": DAY_S}


def test_the_contract_says_what_an_exchange_that_nobody_announced_counts_as() -> None:
    bears = "unknown: {policy: hold, by_cause: {device_exchanged: down}}"
    found = story(Field(bears), AWAY).statement()
    assert amounts(found) == (OWED, OWED)
    assert unit(found).outages[0].causes[0].cause == "device_exchanged"


@pytest.mark.parametrize("said_h", [1, FROM_H, 24 * 34])
@pytest.mark.parametrize("party", ["P", "L"])
def test_who_announces_a_replacement_loses_nothing_before_or_afterwards(
    said_h: int, party: str
) -> None:
    """The honest twin: a broken card is swapped for good, and one side says so; the other need not."""
    field = Field()
    if said_h < DAY_H:
        field.told(*replaced(party))
    story(field, FOR_GOOD)
    if said_h >= DAY_H:
        field.tick(said_h * HOUR_S)
        field.told(*replaced(party))
    found = field.statement()
    assert amounts(found) == ("0.00", "0.00")
    assert unit(found).verdict == "MET"
    assert found.flags == ("gpu_identity_changed",)
    assert seconds(found) == {"provider": DAY_S}


@pytest.mark.parametrize(
    "notice", [replaced(new="GPU-another"), replaced(unit="n2.0"), replaced(unit="n10")]
)
def test_a_notice_of_another_device_or_place_announces_nothing(
    notice: tuple[str, EventNotice],
) -> None:
    field = story(Field(), FOR_GOOD)
    field.told(*notice)
    assert amounts(field.statement()) == ("0.00", OWED)


def test_what_is_announced_after_the_cut_off_changes_nothing() -> None:
    field = story(Field(), AWAY)
    field.tick(37 * DAY_S)
    field.told(*replaced())
    found = field.statement()
    assert amounts(found) == ("0.00", OWED)
    assert "data_after_cutoff" in found.flags


def test_the_finding_closes_when_the_device_is_announced() -> None:
    field = Field()
    node = Swapped()
    field.tick(HOUR_S)
    field.hear(node, 0, sound)
    node.other = MADE_UP
    field.tick(2 * HOUR_S)
    field.hear(node, 1, sound, inventory=node.inventory())
    assert ("device_exchanged", MADE_UP) in field.open()
    assert field.fold.nodes["n1"].own == {"K1": ["GPU-n1-0", "GPU-n1-1"]}
    field.told(*replaced())
    field.tick(3 * HOUR_S)
    field.hear(node, 2, sound)
    assert ("device_exchanged", MADE_UP) not in field.open()


def test_a_stranger_of_one_agent_takes_nothing_from_what_the_other_saw() -> None:
    """Either side's agent may make up a device: what the other's saw of the slot's own holds."""
    found = story(Field(), AWAY, lessee=True).statement()
    assert amounts(found) == ("0.00", "0.00")
    assert seconds(found) == {"agreed": DAY_S - BAD_S, "lessee": BAD_S}


def test_a_node_that_hands_its_place_on_exchanges_no_device() -> None:
    """A migration: the place goes on under another node, with devices of its own."""
    field = Field()
    first, second = ScriptedNode(), ScriptedNode(name="n2")
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        if hour <= FROM_H:
            field.hear(first, hour, sound)
        if hour == FROM_H:
            field.assign("n1", devices=[])
            field.assign("n2")
        if hour >= FROM_H:
            field.hear(second, hour, sound)
    found = field.statement()
    assert "device_exchanged" not in found.flags
    assert field.findings("device_exchanged") == []


def test_the_same_card_again_after_a_new_installation_is_no_stranger() -> None:
    """A re-image: another boot, another chain, the same devices."""
    field = Field()
    node: Mapping[bool, ScriptedNode] = {
        False: ScriptedNode(),
        True: ScriptedNode(chain="chain-2", boot="boot-2"),
    }
    for hour in range(DAY_H + 1):
        if hour == FROM_H:
            field.introduce(chain="chain-2")
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(node[hour >= FROM_H], hour, sound)
    found = field.statement()
    assert field.findings("device_exchanged") == []
    assert unit(found).unknown_seconds == 60
