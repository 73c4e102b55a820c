"""Two sides that show different GPUs of one node: in one boot that cannot be true, but for who sees a part of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    LOST,
    OWED,
    UNTIL_H,
    Field,
    Said,
    amounts,
    seconds,
    sound,
    unit,
)
from tests.weighbridge.scripted import ScriptedNode
from weighbridge.judge.counts import gpu_state

DAY_S = DAY_H * HOUR_S
FIRST, SECOND_GPU, OTHER = "GPU-n1-0", "GPU-n1-1", "GPU-n1-other"
BOOTS = ["boot-1", "boot-of-a-virtual-machine"]


@dataclass
class Machine(ScriptedNode):
    """Shows these devices, as the lessee's agent sees them."""

    shown: Sequence[str] = ()

    @property
    def devices(self) -> list[str]:
        return list(self.shown)


def day(
    *shown: str,
    boot: str = "boot-1",
    said: Said = sound,
    hers: Said = sound,
    terms: str = "",
    hours: int = DAY_H + 1,
) -> Field:
    """The lessee's agent sees these devices all day, in this boot."""
    field, node = Field(terms), ScriptedNode()
    machine = Machine(boot=boot, shown=shown)
    for hour in range(hours):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(node, hour, said)
        field.hear(machine, hour, hers, "lessee")
    return field


@pytest.mark.parametrize(
    ("terms", "verdict"),
    [
        ("", "UNKNOWN"),
        ("evidence: {contradicted: provider_bears}", "BREACHED"),
        ("evidence: {contradicted: lessee_bears}", "MET"),
        ("evidence: {records_prevail: provider}", "MET"),
        ("evidence: {records_prevail: lessee}", "BREACHED"),
    ],
)
def test_sides_that_show_different_gpus_in_one_boot_contradict_each_other(
    terms: str, verdict: str
) -> None:
    """Either made one up, and nobody can tell which: the contract's term decides."""
    field = day(OTHER, SECOND_GPU, terms=terms)
    found = field.statement()
    assert unit(found).verdict == verdict
    assert "sides_contradict" in found.flags
    assert seconds(found)["up_against_down"] >= DAY_S - 2 * HOUR_S
    assert seconds(found, "n1.1") == {"agreed": DAY_S}
    (told,) = {(one.device, one.severity.value) for one in field.findings("device_differs")}
    assert told == (FIRST, "error")


def test_who_shows_another_gpu_is_found_while_it_does_and_the_gpu_is_shown_by_neither_word() -> (
    None
):
    field, node, machine = Field(), ScriptedNode(), Machine(shown=[OTHER, SECOND_GPU])
    for hour in range(FROM_H):
        field.tick((hour + 1) * HOUR_S)
        field.hear(node, hour, sound)
        field.hear(machine, hour, sound, "lessee")
    assert {("device_differs", FIRST), ("sides_contradict", FIRST)} <= field.open().keys()
    assert gpu_state(field.fold.observers("n1"), FIRST) == "contradicted"
    machine.shown = [FIRST, SECOND_GPU]
    for hour in range(FROM_H, UNTIL_H):
        field.tick((hour + 1) * HOUR_S)
        field.hear(node, hour, sound)
        field.hear(machine, hour, sound, "lessee", inventory=machine.inventory())
    assert not {"device_differs", "sides_contradict"} & {code for code, _ in field.open()}


def test_a_machine_whose_gpus_have_names_of_their_own_contradicts_nobody() -> None:
    """A virtual GPU has another UUID in the guest than the card on the host; the boot is another one too."""
    field = day("GPU-of-the-guest-0", "GPU-of-the-guest-1", boot=BOOTS[1])
    found = field.statement()
    assert (amounts(found), found.flags) == (("0.00", "0.00"), ())
    assert seconds(found) == {"agreed": DAY_S}
    assert field.findings("device_differs", "sides_contradict") == []


@pytest.mark.parametrize("boot", BOOTS)
def test_a_machine_that_has_a_part_of_the_nodes_gpus_contradicts_nobody(boot: str) -> None:
    """A container, or a virtual machine: of the other GPU it says nothing, and its own is the node's second."""
    field = day(SECOND_GPU, boot=boot)
    found = field.statement()
    assert (amounts(found), found.flags) == (("0.00", "0.00"), ())
    assert seconds(found) == {"provider": DAY_S}
    assert seconds(found, "n1.1") == {"agreed": DAY_S}
    assert field.findings("device_differs", "sides_contradict") == []
    assert day(SECOND_GPU, boot=boot, hours=FROM_H).counted().healthy == 2


def second_lost(hour: int) -> dict[str, Any]:
    return {SECOND_GPU: LOST} if FROM_H <= hour < UNTIL_H else {}


@pytest.mark.parametrize(
    ("said", "lowest", "told"),
    [
        (second_lost, OWED, {"agreed": DAY_S}),
        (sound, "0.00", {"agreed": DAY_S - BAD_S, "up_against_down": BAD_S}),
    ],
)
def test_what_it_says_of_its_gpu_is_held_against_that_gpu_however_it_counts(
    said: Said, lowest: str, told: dict[str, int]
) -> None:
    found = day(SECOND_GPU, boot=BOOTS[1], said=said, hers=second_lost).statement()
    assert amounts(found) == (lowest, OWED)
    assert seconds(found, "n1.1") == told


def test_a_gpu_that_the_lessees_machine_had_and_has_no_more_is_a_word_against_the_providers() -> (
    None
):
    field, node, machine = Field(), ScriptedNode(), Machine(shown=[FIRST, SECOND_GPU])
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(node, hour, sound)
        machine.shown = [FIRST] if FROM_H <= hour < UNTIL_H else [FIRST, SECOND_GPU]
        field.hear(machine, hour, sound, "lessee", inventory=machine.inventory())
    found = field.statement()
    assert amounts(found) == ("0.00", OWED)
    assert seconds(found, "n1.1") == {"agreed": DAY_S - BAD_S, "up_against_down": BAD_S}
