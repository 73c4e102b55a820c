"""Time that nobody heard, told afterwards; and faults that are said to be over."""

import pytest

from tests.adversary.field import (
    END_S,
    FOUR_HOURS,
    FROM_S,
    GONE,
    HOUR_S,
    NOTHING,
    STEP_S,
    UNTIL_S,
    Outage,
    amounts,
    event,
)
from weighbridge.settlement.statement import LateEvidence

REST_S = END_S + STEP_S
XID = event(FROM_S - STEP_S + 1, "xid", 79)


# --- one made-up report of a new chain


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_one_report_of_a_new_chain_fills_no_time_before_it_was_heard(boot: str) -> None:
    """The agent is stopped for the four hours; then a new chain says that all was well."""
    field = Outage().live(0, FROM_S + STEP_S).silent(FROM_S + STEP_S, UNTIL_S)
    field.again(boot=boot).tick(UNTIL_S)
    made_up = field.minutes(FROM_S, UNTIL_S)
    field.report(field.node.report(list(made_up), made_up))
    assert amounts(field.live(UNTIL_S, REST_S).statement()) == ("52.80", "52.80")


def test_a_machine_that_is_set_up_anew_loses_the_time_in_which_nobody_heard_it() -> None:
    """Half an hour, for both GPUs, by what the contract says of unknown time; nothing where that is `up`."""
    for unknown, amount in (("down", "6.60"), ("up", NOTHING)):
        field = Outage(unknown).live(0, FROM_S + STEP_S)
        field.silent(FROM_S + STEP_S, FROM_S + HOUR_S // 2)
        field.again(boot="boot-2").live(FROM_S + HOUR_S // 2, REST_S)
        assert amounts(field.statement()) == (amount, amount)


# --- a fault that is said to be over


def faulty() -> Outage:
    """The first GPU tells of XID 79 at FROM_S, and answers no more."""
    field = Outage().live(0, FROM_S)
    return field.live(FROM_S, FROM_S + STEP_S, XID, **GONE)


def said_to_be_over(*kinds: str) -> Outage:
    """These events, and sound readings; the reset comes at UNTIL_S."""
    words = [event(FROM_S + STEP_S, kind) for kind in kinds]
    field = faulty().live(FROM_S + STEP_S, UNTIL_S, *words)
    field.energy = 0
    return field.live(UNTIL_S, REST_S)


@pytest.mark.parametrize("kinds", [("paused", "resumed"), ("device_returned",), ("agent_started",)])
def test_no_word_of_the_agent_ends_a_fault(kinds: tuple[str, ...]) -> None:
    """The GPU was not reset for four hours; its readings are made to look well, and the agent says that all is over."""
    assert amounts(said_to_be_over(*kinds).statement()) == (FOUR_HOURS, FOUR_HOURS)


def test_a_spool_that_is_deleted_ends_no_fault() -> None:
    """A new chain of the same boot inherits the fault; of the other GPU the minute before it is unknown."""
    field = faulty().again().live(FROM_S + STEP_S, UNTIL_S)
    field.energy = 0
    assert amounts(field.live(UNTIL_S, REST_S).statement()) == ("26.51", "26.51")


def test_a_reset_that_readings_show_ends_a_fault_and_so_does_a_boot() -> None:
    """After ten minutes, at 0.11 a minute; one more of the other GPU where the machine was set up anew."""
    after = FROM_S + 10 * STEP_S
    reset = faulty().live(FROM_S + STEP_S, after, **GONE)
    reset.energy = 0
    reset.live(after, REST_S)
    booted = faulty().live(FROM_S + STEP_S, after, **GONE)
    booted.node.boot = "boot-2"
    booted.live(after, REST_S)
    installed = faulty().live(FROM_S + STEP_S, after, **GONE).again(boot="boot-2")
    installed.live(after, REST_S)
    assert amounts(reset.statement()) == amounts(booted.statement()) == ("1.10", "1.10")
    assert amounts(installed.statement()) == ("1.21", "1.21")


# --- an unbroken chain that tells of time in which nobody heard it

LATE_S = UNTIL_S - FROM_S - 13 * STEP_S
"""What is told at UNTIL_S of the last twelve minutes is in time, and a sample covers the minute after it."""
AT_STAKE = "49.94"
"""Of both GPUs, at 6.60 an hour."""


def filled_in(unknown: str, late: str, **shown: str) -> Outage:
    """Nobody hears the node for the four hours; then its chain tells of them."""
    field = Outage(unknown, f"evidence: {{late: {late}}}\n").live(0, FROM_S + STEP_S)
    field.silent(FROM_S + STEP_S, UNTIL_S).spooled(FROM_S + STEP_S, UNTIL_S, **shown)
    return field.live(UNTIL_S, REST_S)


@pytest.mark.parametrize(
    ("unknown", "late", "lowest", "highest"),
    [
        ("down", "counted", NOTHING, NOTHING),
        ("down", "held", NOTHING, AT_STAKE),
        ("down", "refused", AT_STAKE, AT_STAKE),
        ("hold", "counted", NOTHING, NOTHING),
        ("hold", "held", NOTHING, AT_STAKE),
        ("hold", "refused", NOTHING, AT_STAKE),
        ("up", "counted", NOTHING, NOTHING),
        ("up", "held", NOTHING, NOTHING),
        ("up", "refused", NOTHING, NOTHING),
    ],
)
def test_a_story_that_comes_late_is_worth_what_the_contract_says_and_is_named(
    unknown: str, late: str, lowest: str, highest: str
) -> None:
    """Whether it is true or made up: of a GPU that was dead, and of one whose network was away."""
    found = filled_in(unknown, late).statement()
    assert amounts(found) == (lowest, highest)
    assert "heard_late" in found.flags
    refused = {"down": (AT_STAKE, AT_STAKE), "hold": (NOTHING, AT_STAKE), "up": (NOTHING, NOTHING)}
    assert found.late == LateEvidence(late, 2 * LATE_S, (NOTHING, NOTHING), refused[unknown])


def test_what_late_evidence_is_worth_does_not_wait_for_the_day_on_which_claims_open() -> None:
    """Nothing is claimed, and nothing can be yet: the amounts are those of a claim that came."""
    claim = "claim: {required: true, opens_day: 60, deadline_days: 90}\n"
    field = Outage("down", f"evidence: {{late: counted}}\n{claim}").live(0, FROM_S + STEP_S)
    field.silent(FROM_S + STEP_S, UNTIL_S).spooled(FROM_S + STEP_S, UNTIL_S)
    found = field.live(UNTIL_S, REST_S).statement()
    assert amounts(found) == (NOTHING, NOTHING)
    refused = (AT_STAKE, AT_STAKE)
    assert found.late == LateEvidence("counted", 2 * LATE_S, (NOTHING, NOTHING), refused)


@pytest.mark.parametrize(
    ("late", "lowest", "highest"),
    [("counted", "24.86", "24.86"), ("held", NOTHING, AT_STAKE), ("refused", NOTHING, AT_STAKE)],
)
def test_a_late_word_of_an_outage_is_worth_no_more_than_one_of_service(
    late: str, lowest: str, highest: str
) -> None:
    """The lessee's agent would say so as cheaply: one GPU was lost for 226 minutes in which nobody heard it."""
    field = Outage("hold", f"evidence: {{late: {late}}}\n").live(0, FROM_S + STEP_S)
    field.silent(FROM_S + STEP_S, UNTIL_S).tick(UNTIL_S)
    told = field.minutes(FROM_S, UNTIL_S - 13 * STEP_S, **GONE)
    told |= field.minutes(UNTIL_S - 13 * STEP_S, UNTIL_S)
    for second in list(told)[1:]:
        field.report(field.node.report([second], told))
    assert amounts(field.live(UNTIL_S, REST_S).statement()) == (lowest, highest)


def test_a_network_that_is_away_for_less_than_the_contract_gives_costs_nothing() -> None:
    field = Outage().live(0, FROM_S + STEP_S)
    field.silent(FROM_S + STEP_S, FROM_S + 13 * STEP_S)
    field.spooled(FROM_S + STEP_S, FROM_S + 13 * STEP_S).live(FROM_S + 13 * STEP_S, REST_S)
    found = field.statement()
    assert (amounts(found), found.late, found.flags) == ((NOTHING, NOTHING), None, ())
