"""An agent is stopped, or its network cut, by whoever gains by it; and by nobody's fault."""

from collections.abc import Callable

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    STEP_S,
    UNTIL_H,
    Field,
    Said,
    amounts,
    lost,
    seconds,
    sound,
)
from tests.weighbridge.scripted import ScriptedNode

BOTH_GPUS = "51.74"


def away(hour: int) -> bool:
    return FROM_H <= hour < UNTIL_H


def stopped(second: int) -> bool:
    return not away(second // HOUR_S)


def both(provider: Said, lessee: Said | None = None, *, cut: str, more: str = "") -> Field:
    """A day of one or two agents, of which nobody hears those of `cut` for the four hours: their spools tell later."""
    field = Field(more)
    said = {"provider": provider} | ({"lessee": lessee} if lessee else {})
    nodes = {side: ScriptedNode() for side in said}
    waiting: list[tuple[str, int]] = []
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        waiting += [(side, hour) for side in said]
        held = [(side, one) for side, one in waiting if away(hour) and side in cut.split()]
        for side, told in [one for one in waiting if one not in held]:
            field.hear(nodes[side], told, said[side], side)
        waiting = held
    return field


@pytest.mark.parametrize(("unknown", "highest"), [("hold", BOTH_GPUS), ("up", "0.00")])
def test_a_lessee_who_stops_the_only_agent_makes_no_outage_of_it(
    unknown: str, highest: str
) -> None:
    """Silence is unknown time, which the contract gives to one side or holds; the coverage says how much it is."""
    field = Field(f"unknown: {{policy: {unknown}}}").day(sent=stopped, lessee=sound)
    found = field.statement()
    assert amounts(found) == ("0.00", highest)
    assert "below_least_coverage" in found.flags
    assert seconds(found)["unknown"] == BAD_S + STEP_S


def lessee_stopped() -> Field:
    """A sound day of both agents, in which the lessee's is away for the four hours."""
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(nodes["provider"], hour, sound)
        if not away(hour):
            field.hear(nodes["lessee"], hour, sound, "lessee")
    return field


def test_a_lessee_who_stops_her_agent_takes_nothing_from_what_the_providers_saw() -> None:
    found = lessee_stopped().statement()
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ()


def test_a_network_that_is_cut_from_inside_is_a_range_and_named() -> None:
    """Nobody hears either agent; what both spools tell afterwards is worth what the contract says of late words."""
    found = both(sound, sound, cut="provider lessee").statement()
    assert amounts(found) == ("0.00", BOTH_GPUS)
    assert found.flags == ("heard_late",)


@pytest.mark.parametrize("late", ["counted", "held"])
def test_a_provider_who_tells_late_cannot_take_back_what_the_lessees_agent_saw(late: str) -> None:
    """A late story against a word in time: what both say is the contract's again, and never the late word alone."""
    field = both(sound, lost, cut="provider", more=f"evidence: {{late: {late}}}")
    found = field.statement()
    assert amounts(found) == ("0.00", "25.87")
    assert found.flags == ("heard_late", "sides_contradict")
    assert found.late is not None
    assert found.late.refused == ("25.87", "25.87")


def test_a_network_that_was_really_away_loses_nothing_where_parties_trust_the_spool() -> None:
    found = both(sound, cut="provider", more="evidence: {late: counted}").statement()
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ("heard_late",)


def test_an_outage_that_both_spools_admit_is_owed_at_least() -> None:
    assert amounts(both(lost, lost, cut="provider lessee").statement()) == ("25.87", BOTH_GPUS)


def quiet_for(*hours: int) -> Callable[[int], bool]:
    return lambda second: second // HOUR_S not in hours


@pytest.mark.parametrize(
    ("unknown", "amount"), [("down", BOTH_GPUS), ("up", "0.00"), ("hold", None)]
)
@pytest.mark.parametrize("side", ["provider", "lessee"])
def test_an_hour_of_silence_that_decides_the_amount_is_flagged_however_short_it_is(
    side: str, unknown: str, amount: str | None
) -> None:
    """Less than a tenth of the period, so the coverage says nothing. The GPU may have been dead in it, or not."""
    field = Field(f"unknown: {{policy: {unknown}}}").day(sent=quiet_for(FROM_H), **{side: sound})
    found = field.statement()
    assert amounts(found) == ((amount, amount) if amount else ("0.00", BOTH_GPUS))
    assert found.flags == ("unknown_time",)


def test_an_hour_that_is_held_for_its_samples_is_flagged_however_short_it_is() -> None:
    def thinly(second: int) -> bool:
        return second // HOUR_S != FROM_H or second // STEP_S % 3 == 0

    found = Field().day(sent=thinly, provider=sound).statement()
    assert amounts(found) == ("0.00", BOTH_GPUS)
    assert found.flags == ("below_least_coverage", "unknown_time")


def test_silence_that_decides_nothing_is_not_flagged() -> None:
    """An hour of a day of which a tenth may be missed: met either way."""
    field = Field(swap={'target: "0.999"': 'target: "0.9"', 'below: "0.999"': 'below: "0.9"'})
    found = field.day(sent=quiet_for(FROM_H), provider=sound).statement()
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ()
