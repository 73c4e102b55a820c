"""Bills of quarters and years, of the calendar and of a contract, and what incomplete periods are part of."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from tests.weighbridge.settlement.test_prices import (
    DAY,
    LONG_AFTER_S,
    OCTOBER,
    TERMS,
    statement,
)
from tests.weighbridge.written import contract_of, loaded, written
from weighbridge.audit.worth import worth_of
from weighbridge.contract import Contract
from weighbridge.contract.money import ClaimTerms
from weighbridge.judge.assignments import Version
from weighbridge.settlement.case import Notices
from weighbridge.settlement.claims import deadline_s
from weighbridge.settlement.draft import draft
from weighbridge.settlement.invoice import invoice_of
from weighbridge.settlement.period_labels import label_after, label_before, named
from weighbridge.settlement.periods import calendar_month, instant_text, periods_within, seconds_of
from weighbridge.settlement.record import ToldEvent

MONTH = {"unit": "node_month", "price": "310"}


def billed(period: str, odd_part: str = "own", since: str = "2026-10-17", **more: Any) -> Contract:
    terms = {"from": f"{since}T00:00:00Z", "to": "2028-02-11T00:00:00Z"}
    how = {"billing": {"period": period, "odd_part": odd_part}}
    return contract_of(
        TERMS | {"term": terms, "effective": terms["from"], "credits": []} | how | more
    )


def ends(contract: Contract, label: str) -> tuple[str, str]:
    found = named(contract, label)
    return instant_text(found.start_s)[:10], instant_text(found.end_s)[:10]


@pytest.mark.parametrize(
    ("kind", "label", "edges", "before", "after"),
    [
        ("calendar_month", "2026-12", ("2026-12-01", "2027-01-01"), "2026-11", "2027-01"),
        ("calendar_quarter", "2026-Q4", ("2026-10-01", "2027-01-01"), "2026-Q3", "2027-Q1"),
        ("calendar_year", "2026", ("2026-01-01", "2027-01-01"), "2025", "2027"),
        ("contract_month", "2027-01-17", ("2027-01-17", "2027-02-17"), "2026-12-17", "2027-02-17"),
        (
            "contract_quarter",
            "2027-01-17-Q",
            ("2027-01-17", "2027-04-17"),
            "2026-10-17-Q",
            "2027-04-17-Q",
        ),
        ("contract_year", "2026-10-17-Y", ("2026-10-17", "2027-10-17"), None, "2027-10-17-Y"),
        ("contract_year", "2027-10-17-Y", ("2027-10-17", "2028-02-11"), "2026-10-17-Y", None),
    ],
)
def test_a_label_names_a_period_and_those_beside_it(
    kind: str, label: str, edges: tuple[str, str], before: str | None, after: str | None
) -> None:
    contract = billed(kind)
    assert ends(contract, label) == edges
    assert named(contract, label).kind == contract.billed_by == kind
    assert (label_before(contract, label), label_after(contract, label)) == (before, after)


@pytest.mark.parametrize("label", ["2026-Q5", "2026-13", "2027-01-18-Q", "2026-Q", "x"])
def test_what_names_no_period_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=label):
        named(billed("contract_quarter"), label)


def test_an_incomplete_month_is_part_of_the_next_and_the_last_of_the_one_before() -> None:
    """From 17 October to 11 February 2028: the first bill has six weeks, the last one January and ten days."""
    contract = billed("calendar_month", "joined")
    assert ends(contract, "2026-11") == ("2026-10-01", "2026-12-01")
    assert ends(contract, "2028-01") == ("2028-01-01", "2028-03-01")
    assert ends(contract, "2026-12") == ("2026-12-01", "2027-01-01")
    for label, whole in (("2026-10", "2026-11"), ("2028-02", "2028-01")):
        with pytest.raises(ValueError, match=f"{label} is incomplete, and part of {whole}"):
            named(contract, label)
    assert (label_before(contract, "2026-11"), label_after(contract, "2028-01")) == (None, None)
    start_s, end_s = named(contract, "2026-11").interval_s
    found = periods_within("calendar_month", contract, start_s, end_s)
    assert [one.label for one in found] == ["2026-11"]


def test_a_term_that_begins_with_a_month_has_no_odd_part_there() -> None:
    assert ends(billed("calendar_month", "joined", "2026-10-01"), "2026-10") == (
        "2026-10-01",
        "2026-11-01",
    )


def test_the_last_incomplete_period_of_a_contract_is_part_of_the_one_before() -> None:
    contract = billed("contract_quarter", "joined")
    assert ends(contract, "2027-10-17-Q") == ("2027-10-17", "2028-02-11")


def asked(label: str, contract: Contract, *prices: dict[str, Any], **more: Any) -> dict[str, str]:
    """What the fee lines of a statement say, and what its invoice asks for."""
    terms: dict[str, Any] = {"term": {"from": "2026-10-17T00:00:00Z", "to": "2028-02-11T00:00:00Z"}}
    terms |= {"effective": "2026-10-17T00:00:00Z"}
    how = contract.billing
    billing: dict[str, Any] = {"billing": {"period": how.period, "odd_part": how.odd_part}}
    found = statement(*prices, period=named(contract, label), **terms, **billing, **more)
    fees = {fee.resource: fee.net for fee in found.parts[0].fees}
    return fees | {"asked": str(invoice_of(found).sums["total"].highest)}


@pytest.mark.parametrize(
    ("kind", "odd", "label", "fee"),
    [
        ("calendar_month", "own", "2026-10", "150.00"),
        ("calendar_month", "joined", "2026-11", "460.00"),
        ("calendar_quarter", "own", "2026-Q4", "770.00"),
        ("calendar_quarter", "joined", "2027-Q1", "1700.00"),
        ("contract_month", "own", "2026-10-17", "310.00"),
        ("contract_quarter", "own", "2026-10-17-Q", "930.00"),
        ("contract_year", "own", "2026-10-17-Y", "3720.00"),
    ],
)
def test_a_bill_is_the_sum_of_its_months(kind: str, odd: str, label: str, fee: str) -> None:
    """Fifteen of 31 days of October are 150; every whole month is 310."""
    assert asked(label, billed(kind, odd), MONTH) == {"r": fee, "asked": fee}


def test_a_month_that_the_end_of_the_term_cuts_costs_its_part() -> None:
    """From 17 January to 11 February 2028: 25 of 31 days."""
    assert asked("2028-01-17", billed("contract_month"), MONTH)["r"] == "250.00"


@pytest.mark.parametrize(
    ("label", "days"), [("2026-10", 15), ("2026-11", 30), ("2027-10", 16), ("2027-11", 0)]
)
def test_a_term_of_months_runs_from_the_day_of_acceptance(label: str, days: int) -> None:
    """Twelve months from 17 October, at 10 a day; before acceptance nothing is in service, and it is flagged."""
    price = {"unit": "P_day", "price": "10"}
    term = {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z", "months": "12"}
    accepted = ToldEvent("acceptance_signed", seconds_of(datetime(2026, 10, 17, tzinfo=UTC)))
    period = calendar_month(label, "UTC")
    found = statement(price, period=period, term=term, events=(accepted,))
    assert Decimal(found.parts[0].fees[0].net) == 10 * days
    assert "service_not_begun" not in found.flags
    silent = statement(price, period=period, term=term)
    assert silent.parts[0].fees[0].net == "0.00"
    assert "service_not_begun" in silent.flags


def test_a_term_of_months_is_worth_these_months() -> None:
    """Twelve of 310, whatever the latest end is."""
    term = {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z", "months": "12"}
    assert worth_of(contract_of(TERMS | {"term": term, "pricing": [MONTH]})) == 12 * 310


@pytest.mark.parametrize(
    ("start", "proration", "fee"),
    [
        ("2026-10-01T00:00:00Z", "seconds", "300.00"),
        ("2026-10-01T00:01:00Z", "seconds", "300.00"),
        ("2026-10-02T12:00:00Z", "seconds", "295.00"),
        ("2026-10-17T00:00:00Z", "seconds", "150.00"),
        ("2026-10-17T18:00:00Z", "days", "150.00"),
    ],
)
def test_a_month_served_in_part_is_divided_by_minutes_that_the_contract_names(
    start: str, proration: str, fee: str
) -> None:
    """300 a month of 43,200 minutes, 10 a day: of October's 31 days 31, all but a minute, 29.5, and 15."""
    term = {"from": start, "to": "2028-02-11T00:00:00Z"}
    terms: dict[str, Any] = {
        "billing": {"month_minutes": "43200"},
        "term": term,
        "effective": start,
    }
    price = {"unit": "node_month", "price": "300", "proration": proration}
    [line] = statement(price, period=calendar_month("2026-10", "UTC"), **terms).parts[0].fees
    assert line.net == fee


def in_parts(price: dict[str, Any], instant: str, **more: Any) -> list[str]:
    """What each part of October is asked for, where an amendment changes nothing from an instant on."""
    terms = TERMS | {"pricing": [price], "credits": []} | more
    first = written(terms)
    then = written(terms | {"version": "2", "supersedes": "1", "effective": instant})
    since_us = seconds_of(datetime.fromisoformat(instant)) * 1_000_000
    versions = [
        Version(loaded(first), first, 0, since_us),
        Version(loaded(then), then, since_us, LONG_AFTER_S * 1_000_000),
    ]
    as_of_us = (OCTOBER.end_s + 6 * DAY) * 1_000_000
    found = draft(versions, holders(["n1"]), [], Notices(), OCTOBER, as_of_us)
    return [part.fees[0].net for part in found.parts]


@pytest.mark.parametrize(
    ("start", "price", "fees"),
    [
        # 10 and 11 of 21 days, at 10 a day
        ("2026-10-11T00:00:00Z", {"price": "300"}, ["100.00", "110.00"]),
        # no more than 300 for 30 days and 18 hours: 19.75 and 11 parts of 30.75
        ("2026-10-01T06:00:00Z", {"price": "307.50"}, ["197.50", "110.00"]),
        # the whole month: 20 and 11 of 31 days
        ("2026-10-01T00:00:00Z", {"price": "310"}, ["200.00", "110.00"]),
    ],
)
def test_minutes_of_a_month_are_those_of_all_its_parts(
    start: str, price: dict[str, str], fees: list[str]
) -> None:
    terms: dict[str, Any] = {
        "billing": {"month_minutes": "43200"},
        "term": {"from": start, "to": "2028-01-01T00:00:00Z"},
        "effective": start,
    }
    node = {"unit": "node_month"} | price
    assert in_parts(node, "2026-10-21T00:00:00Z", **terms) == fees
    from_21 = {"schedule": [{"from": "2026-10-21", "price": node["price"]}]}
    [line] = statement(node | from_21, period=OCTOBER, **terms).parts[0].fees
    assert Decimal(line.net) == sum(map(Decimal, fees))


@pytest.mark.parametrize(
    "price", [{"unit": "node_month", "price": "310"}, {"unit": "P_day", "price": "10"}]
)
@pytest.mark.parametrize(
    ("instant", "fees"),
    [
        ("2026-10-21T00:00:00Z", ["200.00", "110.00"]),
        ("2026-10-21T12:00:00Z", ["210.00", "100.00"]),
    ],
)
def test_a_day_that_an_amendment_cuts_is_one_day(
    price: dict[str, str], instant: str, fees: list[str]
) -> None:
    assert in_parts(price | {"proration": "days"}, instant) == fees


def test_the_months_of_a_quarter_that_is_billed_ask_for_nothing() -> None:
    contract = billed("calendar_quarter")
    assert asked("2026-11", contract, MONTH) == {"r": "310.00", "asked": "0.00"}


def test_a_minimum_is_that_of_each_month_or_of_the_bill() -> None:
    """Two months of 310 and fifteen days of 150: 10, 10 and 170 to the least of each month, 230 to the bill's."""
    least, contract = MONTH | {"minimum": "320"}, billed("calendar_quarter")
    assert asked("2026-Q4", contract, least)["minimum"] == "190.00"
    whole = least | {"minimum": "1000", "minimum_per": "bill"}
    assert asked("2026-Q4", contract, whole)["minimum"] == "230.00"
    assert "minimum" not in asked("2026-11", contract, whole)


@pytest.mark.parametrize(
    ("kind", "last"),
    [
        ("calendar_month", "2026-12-01"),
        ("calendar_quarter", "2027-02-01"),
        ("contract_year", "2027-11-01"),
    ],
)
def test_billing_cycles_of_a_claim_are_those_of_the_bills(kind: str, last: str) -> None:
    terms = ClaimTerms(required=True, deadline_billing_cycles=1)
    deadline = deadline_s(terms, calendar_month("2026-10", "UTC"), billed(kind))
    assert deadline is not None
    assert instant_text(deadline)[:10] == last


def test_what_has_no_period_of_its_own_and_moving_windows_are_judged_with_the_bill() -> None:
    contract = billed("calendar_quarter")
    assert [contract.bills_by(kind) for kind in ("calendar_quarter", "calendar_month")] == [
        True,
        False,
    ]
    assert contract.statements_over == ("calendar_quarter", "calendar_month")
