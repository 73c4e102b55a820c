"""Rights to leave after days of an outage or of delay, or after missed months: when they arose, and their worth."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_damages import B_CAME, PHASED, PRICED, ZONE, at
from tests.weighbridge.settlement.test_obligations import (
    BATCH,
    DAY,
    MAY,
    drafted,
    missed,
    month,
    row,
    version,
)
from weighbridge.contract import ContractError
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import Period, calendar_month, calendar_period, instant_text
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.statement import ExitLine, Statement

OUTAGE = {"trigger": "outage", "objective": "a", "days": "3"}
LATE = {"trigger": "late_delivery", "days": "30", "flat_pct": "20"}


def of(found: Statement) -> list[tuple[str, str, str | None, str | None, str | None]]:
    return [(one.unit, one.standing, one.since, one.arose, one.amount) for one in found.exits]


def down(start: int, seconds: int, state: State = State.DOWN, **more: Any) -> Statement:
    """A node that is down from an hour of May on. Rights are told in days of 24 hours."""
    right = OUTAGE | more
    bad = row("n1", 0, start, start + seconds, state)
    before = [row(node, slot, -10 * DAY, 0, State.UP) for node in ("n1", "n2") for slot in (0, 1)]
    return drafted(rows=[*before, *month(bad)], exit_rights=[right])


@pytest.mark.parametrize(
    ("seconds", "op", "standing"),
    [
        (3 * DAY, ">", "not_met"),
        (3 * DAY + 1, ">", "met"),
        (3 * DAY, ">=", "met"),
        (3 * DAY - 1, ">=", "not_met"),
    ],
)
def test_an_outage_gives_the_right_once_it_lasted_for_its_days(
    seconds: int, op: str, standing: str
) -> None:
    found = down(DAY, seconds, op=op)
    assert [one.standing for one in found.exits] == [standing]
    assert ("exit_right" in found.flags) == (standing == "met")


def test_the_right_has_the_instant_at_which_it_arose_and_its_worth() -> None:
    found = down(DAY, 5 * DAY, flat_pct="20", base="amount", base_amount="10000")
    began, arose = (instant_text(MAY.start_s + day * DAY) for day in (1, 4))
    assert of(found) == [("n1", "met", began, arose, "2000.00")]
    assert (found.lowest, found.highest) == ("0.00", "0.00")


def test_an_outage_from_before_the_period_is_as_long_as_it_was() -> None:
    found = down(-2 * DAY, 3 * DAY + 1)
    assert of(found) == [
        ("n1", "met", instant_text(MAY.start_s - 2 * DAY), instant_text(MAY.start_s + DAY), None)
    ]


def test_time_that_is_held_leaves_the_right_open() -> None:
    assert [one.standing for one in down(DAY, 4 * DAY, State.CONTESTED).exits] == ["open"]


def test_of_outages_that_begin_together_the_longest_counts() -> None:
    """Both nodes of a pool go down at once; one comes back after an hour."""
    rows = month(
        *(row("n1", slot, DAY, 5 * DAY, State.DOWN) for slot in (0, 1)),
        *(row("n2", slot, DAY, DAY + 3600, State.DOWN) for slot in (0, 1)),
    )
    pool = {"id": "a", "target": "0.999", "scope": "pooled"}
    found = drafted(rows=rows, availability=[pool], exit_rights=[OUTAGE])
    assert [line.standing for line in found.exits] == ["met"]


def test_each_node_has_its_own_outage() -> None:
    rows = month(*(row(node, 0, DAY, 6 * DAY, State.DOWN) for node in ("n1", "n2")))
    found = drafted(rows=rows, exit_rights=[OUTAGE])
    assert [(one.unit, one.standing) for one in found.exits] == [("n1", "met"), ("n2", "met")]


# --- late delivery: a batch of 100000, due on 21 April, beside one that came


def waiting(*events: ToldEvent, label: str = "2026-05", **more: str) -> Statement:
    period = calendar_month(label, ZONE)
    return drafted(
        *events,
        rows=month(period=period),
        period=period,
        resources=PHASED,
        exit_rights=[LATE | more],
    )


def late(days: int) -> ToldEvent:
    """Accepted so many days after it was due, at noon."""
    return at(calendar_month("2026-04", ZONE), 21 + days, "batch_accepted")


@pytest.mark.parametrize(
    ("days", "op", "standing"),
    [(30, ">", "not_met"), (31, ">", "met"), (30, ">=", "met"), (29, ">=", "not_met")],
)
def test_a_batch_gives_the_right_once_it_is_late_by_its_days(
    days: int, op: str, standing: str
) -> None:
    found = waiting(B_CAME, late(days), op=op)
    assert [one.standing for one in found.exits] == [standing]


def test_the_day_on_which_it_was_too_late_begins_at_midnight() -> None:
    """31 days after 21 April is 22 May; 20 % of 100000."""
    due, arose = "2026-04-21T16:00:00Z", "2026-05-21T16:00:00Z"
    assert of(waiting(B_CAME)) == [("A", "met", due, arose, "20000.00")]
    assert of(waiting(B_CAME, label="2026-06")) == [("A", "met", due, arose, "20000.00")]
    assert of(waiting(B_CAME, label="2026-04")) == [("", "not_met", None, None, None)]


def test_what_came_before_the_period_gives_no_right_in_it() -> None:
    assert [one.standing for one in waiting(B_CAME, late(40), label="2026-07").exits] == ["not_met"]


def test_where_nobody_told_of_any_delivery_the_right_is_open() -> None:
    both, lessee = frozenset({"provider", "lessee"}), frozenset({"lessee"})
    assert [one.standing for one in waiting().exits] == ["open"]
    told = [
        ToldEvent("not_delivered", MAY.start_s + DAY, "A", sides=sides)  # type: ignore[arg-type]
        for sides in (lessee, both)
    ]
    assert [one.standing for one in waiting(told[0]).exits] == ["open"]
    assert [one.standing for one in waiting(told[1]).exits if one.unit == "A"] == ["met"]


def test_working_days_are_those_of_the_calendar() -> None:
    """Due on 30 September 2026: the first working day after the holidays is 8 October."""
    batches = [BATCH | {"nodes": "1", "due": "2026-09-30"}, BATCH | {"id": "B", "nodes": "1"}]
    october = calendar_month("2026-10", ZONE)
    found = drafted(
        B_CAME,
        rows=month(period=october),
        period=october,
        resources=[PHASED[0] | {"delivery": batches}],
        exit_rights=[LATE | {"days": "1", "op": ">=", "day_count": "working_days"}],
    )
    assert [one.arose for one in found.exits] == ["2026-10-07T16:00:00Z"]


# --- missed months


def test_the_right_of_missed_months_arises_at_the_end_of_the_last_that_it_needs() -> None:
    """Two of three: after April and May at the end of May, and after three at the end of the second."""
    right = {"objective": "a", "missed": "2", "of_periods": "3", "flat_pct": "10"}
    more: dict[str, Any] = {"exit_rights": [right | {"base": "remaining_fees"}], **PRICED}
    march, april = missed("2026-03", 9, **PRICED), missed("2026-04", 9, **PRICED)

    def arose(*earlier: Statement) -> ExitLine:
        return missed("2026-05", 9, earlier=earlier, **more).exits[0]

    assert (arose(april).standing, arose(april).arose) == ("met", instant_text(MAY.end_s))
    assert arose(april).amount == "4200.00"  # seven months of 6000 are left, and 10 % of them
    assert arose(april, march).arose == instant_text(MAY.start_s)
    assert arose().arose is None


def test_a_right_looks_back_over_periods_of_its_own_kind() -> None:
    """The second quarter was missed; a month that ends with it, and is told for another reason, is none."""
    billing = {"billing": {"period": "calendar_quarter"}}
    quarterly: dict[str, Any] = PRICED | billing
    quarterly |= {"availability": [{"id": "a", "target": "0.999", "period": "calendar_quarter"}]}
    right = {"objective": "a", "missed": "2", "of_periods": "2"}

    def over(period: Period, *earlier: Statement, **more: Any) -> Statement:
        rows = month(row("n1", 0, 0, 9 * DAY, State.DOWN, period), period=period)
        return drafted(rows=rows, period=period, earlier=earlier, **quarterly | more)

    second, third = (calendar_period("calendar_quarter", f"2026-Q{n}", ZONE) for n in (2, 3))
    june = over(calendar_month("2026-06", ZONE))
    [line] = over(third, june, over(second), exit_rights=[right]).exits
    assert (line.standing, line.missed) == ("met", ("2026-Q3", "2026-Q2"))


# --- what is refused, and where


@pytest.mark.parametrize(
    ("right", "reason"),
    [
        ({"objective": "a"}, "exit_rights[0].missed: and of_periods are required"),
        (OUTAGE | {"objective": "aa"}, "`aa` is not an objective; did you mean a?"),
        ({"trigger": "outage", "objective": "a"}, "exit_rights[0].days: is required"),
        ({"trigger": "outage", "days": "3"}, "exit_rights[0].objective: is required"),
        (LATE | {"objective": "a"}, "exit_rights[0].objective: is of no late delivery"),
        (OUTAGE | {"trigger": "missed_periods", "missed": "1", "of_periods": "1"}, "did you mean"),
        (OUTAGE | {"flat_pct": "5"}, "did you mean month_fees or remaining_fees?"),
        (OUTAGE | {"base": "month_fees"}, "exit_rights[0].base: there is no price"),
        (OUTAGE | {"base": "amount"}, "exit_rights[0].base: is amount; base_amount is missing"),
    ],
)
def test_a_right_that_nothing_could_give_is_refused_by_its_place(
    right: dict[str, str], reason: str
) -> None:
    with pytest.raises(ContractError) as refused:
        version(exit_rights=[right])
    assert reason in str(refused.value)


def test_a_right_that_is_worth_nothing_for_want_of_a_base_is_flagged() -> None:
    """The batch is worth 100000; a share of fees of nothing is nothing."""
    assert "base_of_zero" not in waiting(B_CAME).flags
    free: Any = {"pricing": [{"unit": "fixed_month", "price": "0"}]}
    right = {"trigger": "outage", "objective": "a", "days": "2", "flat_pct": "5"}
    rows = month(*(row("n1", slot, DAY, 6 * DAY, State.DOWN) for slot in (0, 1)))
    found = drafted(rows=rows, exit_rights=[right | {"base": "month_fees"}], **free)
    assert [one.amount for one in found.exits] == ["0.00"]
    assert "base_of_zero" in found.flags
