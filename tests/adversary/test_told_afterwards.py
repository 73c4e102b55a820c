"""Time that nobody heard, told afterwards; and faults that are said to be over."""

import pytest

from tests.adversary.outages import (
    END_S,
    FROM_S,
    HOUR,
    LOST,
    MINUTE,
    NOTHING,
    OWED,
    UNTIL_S,
    Outage,
    event,
    owed,
)

REST_S = END_S + MINUTE
XID = event(FROM_S - MINUTE + 1, "xid", 79)


# --- one made-up report of a new chain


@pytest.mark.parametrize("boot", ["boot-1", "boot-2"])
def test_one_report_of_a_new_chain_fills_no_time_before_it_was_heard(boot: str) -> None:
    """The agent is stopped for the four hours; then a new chain says that all was well."""
    field = Outage().live(0, FROM_S + MINUTE).silent(FROM_S + MINUTE, UNTIL_S)
    field.again(boot=boot).tick(UNTIL_S)
    made_up = field.told(FROM_S, UNTIL_S)
    field.report(field.node.report(list(made_up), made_up))
    assert owed(field.live(UNTIL_S, REST_S).statement()) == ("52.80", "52.80")


def test_a_machine_that_is_set_up_anew_loses_the_time_in_which_nobody_heard_it() -> None:
    """Half an hour, for both GPUs, by what the contract says of unknown time; nothing where that is `up`."""
    for unknown, amount in (("down", "6.60"), ("up", NOTHING)):
        field = Outage(unknown).live(0, FROM_S + MINUTE)
        field.silent(FROM_S + MINUTE, FROM_S + HOUR // 2)
        field.again(boot="boot-2").live(FROM_S + HOUR // 2, REST_S)
        assert owed(field.statement()) == (amount, amount)


# --- a fault that is said to be over


def faulty() -> Outage:
    """The first GPU tells of XID 79 at FROM_S, and answers no more."""
    field = Outage().live(0, FROM_S)
    return field.live(FROM_S, FROM_S + MINUTE, XID, **LOST)


@pytest.mark.parametrize("kinds", [("paused", "resumed"), ("device_returned",), ("agent_started",)])
def test_no_word_of_the_agent_ends_a_fault(kinds: tuple[str, ...]) -> None:
    """The GPU was not reset for four hours; its readings are made to look well, and the agent says that all is over."""
    words = [event(FROM_S + MINUTE, kind) for kind in kinds]
    field = faulty().live(FROM_S + MINUTE, UNTIL_S, *words)
    field.energy = 0
    assert owed(field.live(UNTIL_S, REST_S).statement()) == (OWED, OWED)


def test_a_spool_that_is_deleted_ends_no_fault() -> None:
    """A new chain of the same boot inherits the fault; of the other GPU the minute before it is unknown."""
    field = faulty().again().live(FROM_S + MINUTE, UNTIL_S)
    field.energy = 0
    assert owed(field.live(UNTIL_S, REST_S).statement()) == ("26.51", "26.51")


def test_a_reset_that_readings_show_ends_a_fault_and_so_does_a_boot() -> None:
    """After ten minutes, at 0.11 a minute; one more of the other GPU where the machine was set up anew."""
    after = FROM_S + 10 * MINUTE
    reset = faulty().live(FROM_S + MINUTE, after, **LOST)
    reset.energy = 0
    reset.live(after, REST_S)
    booted = faulty().live(FROM_S + MINUTE, after, **LOST)
    booted.node.boot = "boot-2"
    booted.live(after, REST_S)
    installed = faulty().live(FROM_S + MINUTE, after, **LOST).again(boot="boot-2")
    installed.live(after, REST_S)
    assert owed(reset.statement()) == owed(booted.statement()) == ("1.10", "1.10")
    assert owed(installed.statement()) == ("1.21", "1.21")
