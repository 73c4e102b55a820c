"""Samples that were left out: the cadence that was promised and kept, and what the rest of the time is."""

from collections.abc import Callable, Mapping

import pytest

from tests.adversary.field import (
    BAD_S,
    DAY_H,
    FROM_H,
    HOUR_S,
    LOST,
    STEP_S,
    UNTIL_H,
    Field,
    amounts,
    lost,
    seconds,
    sound,
    unit,
)
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode
from weighbridge.settlement.statement import CadenceLine, Statement

DAY_S = DAY_H * HOUR_S
BOTH_GPUS = "51.74"
SILENT: Mapping[str, int | str] = dict.fromkeys(
    ("power_draw_milliwatts", "memory_used_bytes", "temperature_gpu_celsius"), "timeout"
)


def one_of(count: int) -> Callable[[int], bool]:
    return lambda second: second // STEP_S % count == 0


def flickers(second: int) -> bool:
    """One of three during the four hours, and all others."""
    hour = second // HOUR_S
    return one_of(3)(second) if FROM_H <= hour < UNTIL_H else True


def cadence(found: Statement) -> CadenceLine:
    (line,) = found.parts[0].cadence
    return line


@pytest.mark.parametrize(
    ("terms", "lowest", "highest"),
    [
        ("", "0.00", BOTH_GPUS),
        ("evidence: {below_coverage: held}\nunknown: {policy: up}", "0.00", BOTH_GPUS),
        ("evidence: {below_coverage: unknown}\nunknown: {policy: up}", "0.00", "0.00"),
        ("evidence: {below_coverage: unknown}\nunknown: {policy: down}", BOTH_GPUS, BOTH_GPUS),
        ("evidence: {below_coverage: noted}\nunknown: {policy: down}", "0.00", "0.00"),
    ],
)
def test_two_of_three_samples_left_out_are_said_and_have_the_consequence_of_the_contract(
    terms: str, lowest: str, highest: str
) -> None:
    """What they would have shown nobody knows: those that were sent are good, and bridge the time."""
    field = Field(terms).day(sent=one_of(3), provider=sound)
    found, line = field.statement(), cadence(field.statement())
    assert amounts(found) == (lowest, highest)
    assert "below_least_coverage" in found.flags
    assert (line.node, line.interval) == ("n1", "60")
    assert (line.heard_gpu_seconds, line.sampled_gpu_seconds) == (2 * DAY_S, 2 * DAY_S // 3)
    assert (line.kept, line.coverage) == ("0.333333333", "0.333333333")
    opened, closed = field.findings("samples_left_out")
    assert (opened.since_us, opened.until_us) == (START_US, None)
    assert closed.until_us == START_US + DAY_S * SECOND
    noted = "noted" in terms
    assert seconds(found) == {"provider" if noted else "unknown": DAY_S}


def test_a_day_of_all_samples_is_covered_and_nothing_is_said() -> None:
    field = Field().day(provider=sound)
    found, line = field.statement(), cadence(field.statement())
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ()
    assert line.contracted_gpu_seconds == line.heard_gpu_seconds == line.sampled_gpu_seconds
    assert (line.kept, line.coverage) == ("1.000000000", "1.000000000")
    assert field.findings("samples_left_out") == []


@pytest.mark.parametrize(("every", "kept"), [(12, "0.916666667"), (10, "0.900000000")])
def test_an_agent_that_misses_a_sample_now_and_then_loses_nothing(every: int, kept: str) -> None:
    """On a busy machine; one of ten is exactly what may be missing."""
    field = Field().day(sent=lambda second: not one_of(every)(second + STEP_S), provider=sound)
    found = field.statement()
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ()
    assert cadence(found).kept == kept
    assert field.findings("samples_left_out") == []


def test_bad_samples_alone_make_no_outage_of_the_time_between() -> None:
    """The lessee's agent, the only one, sends the one bad minute of three: the rule serves both sides."""
    found = Field().day(sent=flickers, lessee=lost).statement()
    assert amounts(found) == ("0.00", BOTH_GPUS)
    assert unit(found).unknown_seconds == BAD_S


def test_only_the_good_minutes_sent_leaves_the_others_unknown_and_the_coverage_says_so() -> None:
    def good(second: int) -> bool:
        return not FROM_H <= second // HOUR_S < UNTIL_H

    found = Field().day(sent=good, provider=sound).statement()
    assert amounts(found) == ("0.00", BOTH_GPUS)
    assert "below_least_coverage" in found.flags
    line = cadence(found)
    assert line.sampled_gpu_seconds == 2 * (DAY_S - BAD_S - STEP_S)
    assert (line.kept, line.coverage) == ("1.000000000", "0.832638889")


@pytest.mark.parametrize("side", ["provider", "lessee"])
def test_an_hour_of_too_few_samples_is_flagged_though_the_day_has_enough(side: str) -> None:
    """The bad word of the only agent is thinned on purpose, or the good one: the amount is open, and says why."""

    def thin_hour(second: int) -> bool:
        return second // HOUR_S != FROM_H or one_of(3)(second)

    said = {side: lost}
    found = Field().day(**said, sent=thin_hour).statement()
    assert cadence(found).coverage > "0.9"
    assert amounts(found) == ("25.87", BOTH_GPUS)
    assert "below_least_coverage" in found.flags


def test_readings_that_time_out_are_not_seen() -> None:
    def times_out(_hour: int) -> Mapping[str, Mapping[str, int | str]]:
        return {"GPU-n1-0": SILENT}

    found = Field().day(provider=times_out).statement()
    assert amounts(found) == ("0.00", "25.87")
    assert cadence(found).coverage == "0.500000000"
    assert "below_least_coverage" in found.flags
    assert seconds(found) == {"unknown": DAY_S}


def test_a_thin_agent_takes_nothing_from_what_the_other_side_saw() -> None:
    field = Field()
    nodes = {side: ScriptedNode() for side in ("provider", "lessee")}
    for hour in range(DAY_H + 1):
        field.tick(min((hour + 1) * HOUR_S, DAY_H * HOUR_S + 1))
        field.hear(nodes["provider"], hour, sound)
        field.hear(nodes["lessee"], hour, lost, "lessee", sent=one_of(3))
    found = field.statement()
    assert amounts(found) == ("0.00", "0.00")
    assert found.flags == ()
    assert seconds(found) == {"provider": DAY_S}


def test_a_gpu_that_was_seen_to_be_dead_all_day_lacks_no_samples() -> None:
    def dead(_hour: int) -> Mapping[str, Mapping[str, int | str]]:
        return {"GPU-n1-0": LOST}

    found = Field().day(provider=dead).statement()
    assert "below_least_coverage" not in found.flags
    assert found.lowest == found.highest
