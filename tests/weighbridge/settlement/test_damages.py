"""What being late and leaving costs by the day, by a named base, within a cap and a longest time; worked by hand."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_obligations import (
    BATCH,
    DAY,
    MAY,
    RESOURCE,
    TERMS,
    damages,
    drafted,
    month,
    row,
    version,
)
from tests.weighbridge.written import written
from weighbridge.contract import ContractError, load
from weighbridge.contract.coherence import cautions
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.statement import CreditLine, Statement

ZONE = "Asia/Shanghai"
APRIL = calendar_month("2026-04", ZONE)
OCTOBER = calendar_month("2026-10", ZONE)
FIVE = {"daily_rate": "5/10000"}


def at(period: Period, day: int, kind: str, unit: str = "A", **details: str) -> ToldEvent:
    """On a day of a month, counted from 1, at noon."""
    return ToldEvent(kind, period.start_s + (day - 1) * DAY + DAY // 2, unit, details)


def late(days: int, **more: Any) -> Statement:
    """A batch of 100000, due on 1 May, and accepted so many days later."""
    terms = damages("late_delivery", "provider", **FIVE | more)
    return drafted(at(MAY, 1 + days, "batch_accepted"), liquidated_damages=[terms])


def lines(found: Statement) -> list[CreditLine]:
    return list(found.parts[0].others)


# --- by the day


@pytest.mark.parametrize(
    ("days", "more", "amount", "capped"),
    [
        (10, {}, "500.00", False),  # 100000 x 5/10000 x 10
        (10, {"base": "amount", "base_amount": "200000"}, "1000.00", False),
        (10, {"most_days": "10"}, "500.00", False),
        (11, {"most_days": "10"}, "500.00", True),
        (10, {"cap_pct": "0.5"}, "500.00", False),
        (11, {"cap_pct": "0.5"}, "500.00", True),
        (0, {"flat_pct": "1"}, "0.00", False),
        (1, {"flat_pct": "1"}, "1050.00", False),
    ],
)
def test_each_day_late_costs_its_share_up_to_the_longest_time_and_the_cap(
    days: int, more: dict[str, str], amount: str, capped: bool
) -> None:
    found = late(days, **more)
    assert (found.highest, found.lowest) == (amount, amount)
    assert ("cap_applied" in found.flags) == capped


@pytest.mark.parametrize(("rate", "year"), [("0.036", "360"), ("0.0365", "365")])
def test_a_yearly_rate_is_simple_interest_over_the_days_of_its_year(rate: str, year: str) -> None:
    """100000 x 3.6 % / 360, or 3.65 % / 365, is 10 a day."""
    found = late(7, daily_rate="0", yearly_rate=rate, year_days=year)
    assert found.highest == "70.00"
    assert lines(found)[0].formula.arguments["ten_thousandths"] == "1"


# --- as it runs


PHASED: list[dict[str, Any]] = [
    RESOURCE
    | {"delivery": [BATCH | {"nodes": "1", "due": "2026-04-21"}, BATCH | {"id": "B", "nodes": "1"}]}
]
B_CAME = at(APRIL, 15, "batch_accepted", "B")


def running(period: Period, *events: ToldEvent, **more: str) -> Statement:
    terms = damages("late_delivery", "provider", accrues="true", **FIVE | more)
    rows = month(period=period)
    return drafted(*events, rows=rows, period=period, resources=PHASED, liquidated_damages=[terms])


def test_each_period_pays_for_its_own_late_days() -> None:
    """Due on 21 April, accepted on 4 May: nine days in April, four in May, 13 x 50 together."""
    came = at(MAY, 4, "batch_accepted")
    assert running(APRIL, B_CAME).highest == "450.00"
    found = running(MAY, B_CAME, came)
    assert found.highest == "200.00"
    told = lines(found)[0].formula.arguments
    assert (told["days_late"], told["days_late_before"]) == (13, 9)
    assert running(calendar_month("2026-06", ZONE), B_CAME, came).highest == "0.00"


def test_the_first_period_of_the_term_pays_for_the_days_before_it() -> None:
    """The term begins with May: of a batch due on 21 April, nine days in April and 31 in May are 40 x 50."""
    of_may = {"from": "2026-04-30T16:00:00Z", "to": "2026-12-31T16:00:00Z"}
    terms = damages("late_delivery", "provider", accrues="true", **FIVE)
    more: dict[str, Any] = {
        "resources": PHASED,
        "liquidated_damages": [terms],
        "term": of_may,
        "effective": of_may["from"],
    }
    came = at(MAY, 1, "batch_accepted", "B")
    assert drafted(came, **more).highest == "2000.00"
    june = calendar_month("2026-06", ZONE)
    assert drafted(came, rows=month(period=june), period=june, **more).highest == "1500.00"
    assert drafted(**more).highest == "0.00"


def test_a_base_of_nothing_is_flagged() -> None:
    nothing = [RESOURCE | {"delivery": [BATCH | {"value": "0"}]}]
    terms = damages("late_delivery", "provider", **FIVE)
    found = drafted(at(MAY, 9, "batch_accepted"), resources=nothing, liquidated_damages=[terms])
    assert (found.highest, found.flags) == ("0.00", ("base_of_zero",))
    in_time = at(MAY, 1, "batch_accepted")
    assert drafted(in_time, resources=nothing, liquidated_damages=[terms]).flags == ()


def test_what_never_comes_is_late_in_every_period_until_the_longest_time() -> None:
    assert running(MAY, B_CAME).highest == "1550.00"
    assert running(MAY, B_CAME, most_days="10").highest == "50.00"
    assert running(MAY, B_CAME, most_days="9").highest == "0.00"


@pytest.mark.parametrize("kind", ["not_delivered", "cancelled"])
def test_it_is_no_longer_late_than_until_it_is_given_up(kind: str) -> None:
    assert running(MAY, B_CAME, at(MAY, 2, kind, party="L")).highest == "100.00"


def test_where_nothing_was_told_to_start_service_nothing_is_late() -> None:
    """It is in service, and billed, from the start of the term."""
    assert running(APRIL).highest == "0.00"


def test_the_day_of_acceptance_is_late_and_belongs_to_its_own_period() -> None:
    first = ToldEvent("batch_accepted", MAY.start_s, "A")
    assert running(MAY, B_CAME, first).highest == "50.00"
    assert running(APRIL, B_CAME, first).highest == "450.00"
    last = ToldEvent("batch_accepted", MAY.start_s - 1, "A")
    assert running(MAY, B_CAME, last).highest == "0.00"


def test_what_silence_accepts_came_on_the_last_day_of_the_silence() -> None:
    """Delivered on 29 April: two days later, 1 May is the last on which it could be refused, and late."""
    delivered = at(APRIL, 29, "delivered")
    terms = damages("late_delivery", "provider", accrues="true", **FIVE)
    found = drafted(
        B_CAME,
        delivered,
        resources=PHASED,
        liquidated_damages=[terms],
        acceptance={"deemed_acceptance_days": "2"},
    )
    assert [(line.credit, line.highest) for line in lines(found)] == [(terms["id"], "50.00")]


# --- fees as the base


PRICED: dict[str, Any] = {
    "term": {"from": "2025-12-31T16:00:00Z", "to": "2026-12-31T16:00:00Z"},
    "effective": "2025-12-31T16:00:00Z",
    "pricing": [{"unit": "node_month", "price": "3000"}],
}


def left(instant_s: int, base: str, unit: str = "", *events: ToldEvent, **more: Any) -> str:
    """What the lessee owes who cancels: 30 % of a base; two nodes cost 6000 a month."""
    event = ToldEvent("cancelled", instant_s, unit, {"party": "L"})
    terms = damages("cancellation", "lessee", flat_pct="30", base=base)
    found = drafted(
        event,
        *events,
        rows=month(period=OCTOBER),
        period=OCTOBER,
        resources=PHASED,
        liquidated_damages=[terms],
        **PRICED | more,
    )
    [line] = found.parts[0].by_lessee
    return f"{line.base} {line.highest}"


def test_who_leaves_early_pays_a_share_of_the_fees_that_were_left() -> None:
    """From 1 October three months of 6000; from 16 October 16 of 31 days and two months."""
    assert left(OCTOBER.start_s, "remaining_fees") == "18000 5400.00"
    assert left(OCTOBER.start_s, "remaining_fees", "A") == "9000 2700.00"
    assert left(OCTOBER.start_s + 15 * DAY, "remaining_fees") == "468000/31 4529.03"
    assert left(OCTOBER.start_s, "month_fees") == "6000 1800.00"
    assert left(OCTOBER.start_s, "term_fees") == "72000 21600.00"


def test_the_fees_of_a_term_of_months_are_those_of_its_months() -> None:
    """Twelve months from 1 January, or from 1 October where nothing was accepted yet, whatever the latest end is."""
    term = {"from": "2025-12-31T16:00:00Z", "to": "2028-12-31T16:00:00Z", "months": "12"}
    accepted = ToldEvent("acceptance_signed", calendar_month("2026-01", ZONE).start_s)
    of_months: dict[str, Any] = {"term": term}
    assert left(OCTOBER.start_s, "remaining_fees", "", accepted, **of_months) == "18000 5400.00"
    assert left(OCTOBER.start_s, "term_fees", "", accepted, **of_months) == "72000 21600.00"
    assert left(OCTOBER.start_s, "remaining_fees", **of_months) == "72000 21600.00"


def test_a_batch_that_never_came_costs_a_share_of_its_nodes_month() -> None:
    terms = damages("non_delivery", "provider", flat_pct="10", base="month_fees")
    given_up = at(MAY, 3, "not_delivered")
    found = drafted(given_up, resources=PHASED, liquidated_damages=[terms], **PRICED)
    assert [(line.base, line.highest) for line in lines(found)] == [("3000", "300.00")]


def test_a_node_that_was_not_accepted_delivers_nothing_for_another() -> None:
    """n2 is accepted and down for half of the month, n1 is up and nobody has accepted it."""
    price = {"unit": "node_month", "price": "3100", "billed": "delivered"}
    half = MAY.seconds // 2
    down = [row("n2", slot, 0, half, State.DOWN) for slot in (0, 1)]
    up = [one for one in month() if one.node == "n1"]
    up += [row("n2", slot, half, MAY.seconds, State.UP) for slot in (0, 1)]
    found = drafted(B_CAME, rows=[*up, *down], resources=PHASED, **PRICED | {"pricing": [price]})
    assert [fee.net for fee in found.parts[0].fees] == ["1550.00"]


# --- restoration


@pytest.mark.parametrize(("hours", "amount"), [(28, "5.00"), (52, "10.00"), (53, "10.00")])
def test_late_restoration_costs_a_share_a_day_up_to_its_longest_time(
    hours: int, amount: str
) -> None:
    """Four hours are allowed, and each day after them that began costs 5 ten-thousandths of 10000, two at most."""
    credit = {
        "id": "p",
        "kind": "repair_steps",
        "repair": "mend",
        "base": {"amount": "10000"},
        "step_s": "86400",
        "step_pct": "0.05",
        "partial": "ceil",
        "longest_s": str(2 * DAY),
    }
    mend = {"id": "mend", "objective_s": str(4 * 3600), "clock_from": "report", "unit": "node"}
    told = [
        ToldEvent("fault_reported", MAY.start_s, "n1"),
        ToldEvent("restored", MAY.start_s + hours * 3600, "n1"),
    ]
    found = drafted(*told, repair=[mend], credits=[credit])
    assert found.highest == amount
    assert ("cap_applied" in found.flags) == (hours > 52)


# --- what is refused, and where


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"daily_rate": "5"}, "[0].daily_rate: 5 is 500 %; did you mean 0.05?"),
        ({"yearly_rate": "3.6"}, "[0].yearly_rate: 3.6 is 360 %; did you mean 0.036?"),
        ({"daily_rate": "0.1", "yearly_rate": "0.1"}, "[0].yearly_rate: is given beside"),
        ({"base_amount": "5"}, "[0].base: is value; did you mean amount?"),
        ({"base": "amount"}, "[0].base: is amount; base_amount is missing"),
        ({"most_days": "5"}, "[0].most_days: limits nothing"),
        ({"base": "remaining_fees"}, "did you mean term_fees or month_fees?"),
        ({"base": "month_fees"}, "[0].base: there is no price to reckon month_fees from"),
        ({"trigger": "cancellation", "accrues": "true"}, "[0].accrues: only what is late"),
        ({"trigger": "cancellation", "daily_rate": "0.1"}, "did you mean flat_pct?"),
        ({"year_days": "366"}, "[0].year_days: must be one of"),
    ],
)
def test_what_damages_cannot_mean_is_refused_by_its_place(
    more: dict[str, str], reason: str
) -> None:
    given = damages("late_delivery", "provider") | more
    with pytest.raises(ContractError) as refused:
        load(written(TERMS | {"liquidated_damages": [given], "resources": PHASED}))
    assert reason in str(refused.value)


def test_damages_of_batches_where_there_is_none_are_warned_of() -> None:
    none = {name: part for name, part in RESOURCE.items() if name != "delivery"}
    terms = damages("cancellation", "lessee", flat_pct="30")
    found = version(resources=[none], liquidated_damages=[terms]).contract
    assert [text for text in cautions(found) if "delivery" in text] == [
        "liquidated_damages[0]: no resource has a delivery with a value; did you mean base remaining_fees?"
    ]
