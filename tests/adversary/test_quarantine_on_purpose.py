"""A side shows what the judge fails at, to hold its own time; and the other side's agent goes on."""

import pytest

from tests.adversary.field import DAY_H, FROM_H, HOUR_S, Field, Said, amounts, lost, sound
from tests.weighbridge.scripted import ScriptedNode
from tests.weighbridge.test_quarantine import POISON, planted

HOT = {"GPU-n1-0": {"temperature_gpu_celsius": POISON}}
OTHER = {"provider": "lessee", "lessee": "provider"}


def provoked(side: str, said: Said, other: Said | None) -> Field:
    """The judge fails at what the agent of this side shows when the four hours begin."""
    field, nodes = Field("unknown: {policy: down}"), {one: ScriptedNode() for one in OTHER}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        also = {hour * HOUR_S: HOT} if hour == FROM_H else None
        field.hear(nodes[side], hour, said, side, also=also)
        if other is not None:
            field.hear(nodes[OTHER[side]], hour, other, OTHER[side])
    return field


def test_who_provokes_the_judge_holds_its_own_time_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both GPUs of the only agent: what was owed becomes a range, and a flag says why."""
    planted(monkeypatch)
    found = provoked("provider", lost, None).statement()
    assert amounts(found) == ("0.00", "51.74")
    assert "judging_failed" in found.flags


@pytest.mark.parametrize(
    ("side", "word", "amount"), [("provider", lost, "25.87"), ("lessee", sound, "0.00")]
)
def test_it_takes_nothing_from_what_the_other_side_saw(
    monkeypatch: pytest.MonkeyPatch, side: str, word: Said, amount: str
) -> None:
    planted(monkeypatch)
    found = provoked(side, sound if side == "provider" else lost, word).statement()
    assert amounts(found) == (amount, amount)
