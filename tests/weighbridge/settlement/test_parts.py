"""What a contract has once for a period is there once, though an amendment splits the period into parts."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.scripted import holders
from tests.weighbridge.settlement.test_statement import (
    DAY,
    FINAL_US,
    HOUR,
    NODES,
    PERIOD,
    SECOND,
    START,
    TERMS,
    ledgers,
    row,
    version,
    whole_month,
)
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import Holder
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.invoice import invoice_of
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.statement import Statement

EDGE = START + 10 * DAY
PER_HOUR = {
    "id": "c",
    "objective": "a",
    "kind": "outage_multiple",
    "multiple": "1",
    "hour_price": "100",
}
PLENTY = {"cap": {"amount": "100000"}}


def in_parts(
    *outages: tuple[int, int], state: State = State.DOWN, later: dict[str, Any], **terms: Any
) -> Statement:
    """Outages of n1 as (first hour, hours). `later`: terms that the amendment changes on the eleventh day."""
    amendment: Any = {"version": "2", "supersedes": "1", "effective": instant_text(EDGE)}
    versions = [
        version(TERMS, until_s=EDGE, **terms),
        version(TERMS, EDGE, **(terms | amendment | later)),
    ]
    rows = [row("n1", 0, at * HOUR, (at + hours) * HOUR, state) for at, hours in outages]
    found = draft(versions, holders(NODES), whole_month(*rows), Notices(), PERIOD, FINAL_US)
    assert len(found.parts) == 2
    return found


def owed(found: Statement) -> list[str | None]:
    return [part.units[0].credits[0].highest for part in found.parts]


BEFORE, AFTER = (24, 4), (480, 4)
"""Four hours on the second day, and on the twenty-first."""


@pytest.mark.parametrize(
    ("limit", "later", "amounts"),
    [("600", "600", ["400.00", "200.00"]), ("1000", "300", ["400.00", "0.00"])],
)
def test_an_amount_that_caps_a_period_is_used_up_in_order_of_time(
    limit: str, later: str, amounts: list[str]
) -> None:
    """Four hours at 100 in each part; the newer version's cap holds for what comes under it."""
    first, second = ([PER_HOUR | {"cap": {"amount": cap}}] for cap in (limit, later))
    found = in_parts(BEFORE, AFTER, credits=first, later={"credits": second})
    assert owed(found) == amounts
    assert "cap_applied" in found.flags


def test_a_cap_on_all_credits_of_a_period_holds_over_its_parts() -> None:
    stacking = {"cap": {"pct": "50"}, "base_amount": "1000"}
    found = in_parts(BEFORE, AFTER, credits=[PER_HOUR | PLENTY], stacking=stacking, later={})
    assert (found.highest, found.lowest) == ("500.00", "500.00")
    assert "cap_applied" in found.flags


def test_contested_time_uses_up_the_cap_in_the_worst_reading_alone() -> None:
    credits = [PER_HOUR | {"cap": {"amount": "600"}}]
    found = in_parts(BEFORE, AFTER, credits=credits, state=State.CONTESTED, later={})
    assert (found.lowest, found.highest) == ("0.00", "600.00")


def test_free_seconds_of_a_period_are_free_once_in_all_its_parts() -> None:
    """Five hours are free: the four before the amendment, and one after it."""
    promise = {"id": "a", "target": "0.999", "first_n_s": str(5 * HOUR)}
    found = in_parts(BEFORE, AFTER, availability=[promise], later={})
    assert [part.units[0].counted_seconds[1] for part in found.parts] == [0, 3 * HOUR]


def test_free_time_of_a_credit_is_free_once_in_all_parts_of_a_period() -> None:
    """5 % for each hour beyond five: three of the eight hours, all of them of the second part's fee."""
    steps = {"free_s": str(5 * HOUR), "increment_s": "3600", "partial": "floor", "pct": "5"}
    credit = {"id": "c", "objective": "a", "kind": "increment"} | steps
    found = in_parts(BEFORE, AFTER, credits=[credit], later={})
    fees = [part.units[0].credits[0].formula for part in found.parts]
    assert [(fee.code, fee.arguments["pct"]) for fee in fees] == [
        ("increment", "0"),
        ("increment", "15"),
    ]


@pytest.mark.parametrize(
    ("allowed", "outages", "amounts"),
    [
        ("1", [(24, 1), (480, 1)], ["0.00", "50.00"]),
        ("2", [(24, 1), (480, 1)], ["0.00", "0.00"]),
        ("1", [(24, 1), (48, 1), (480, 1), (500, 1)], ["50.00", "0.00"]),
        ("0", [(24, 1), (480, 1)], ["50.00", "0.00"]),
    ],
)
def test_the_outages_of_a_period_are_counted_through_its_parts_and_paid_for_once(
    allowed: str, outages: list[tuple[int, int]], amounts: list[str]
) -> None:
    credit = {"id": "c", "objective": "a", "kind": "per_event", "amount": "50"}
    credits = [credit | {"more_than_events": allowed}]
    assert owed(in_parts(*outages, credits=credits, later={})) == amounts


def test_outages_that_are_paid_for_each_are_paid_for_in_every_part() -> None:
    credit = {"id": "c", "objective": "a", "kind": "per_event", "amount": "50", "each": "true"}
    found = in_parts(BEFORE, AFTER, credits=[credit | {"longer_than_s": "3600"}], later={})
    assert owed(found) == ["50.00", "50.00"]


def test_a_deduction_of_capacity_is_capped_once() -> None:
    """2 GPUs of half a P, missing for four hours, twice: 4 x 7.44 each, of which 40 may be deducted."""
    price = {"price": "5535.36", "resource": "r", "cap": {"amount": "40"}}
    credit = {"id": "c", "kind": "capacity_deduction"} | price
    found = in_parts(BEFORE, AFTER, credits=[credit], later={})
    assert [part.others[0].highest for part in found.parts] == ["29.76", "10.24"]


def test_a_cap_holds_to_the_last_digit_though_an_amendment_rounds_otherwise() -> None:
    """Four hours at 23.755 are 95.02; of the cap 4.98 are left, and the sum is rounded once."""
    found = in_parts(
        BEFORE,
        AFTER,
        credits=[PER_HOUR | PLENTY | {"hour_price": "23.755"}],
        stacking={"cap": {"amount": "100"}},
        later={"rounding": {"decimals": "0"}},
    )
    assert found.highest == "100"


def test_a_place_that_an_amendment_gives_up_is_not_weighed_after_it() -> None:
    """n1 is released when the lease shrinks to one node: what is judged from then on is n2, which is up throughout."""
    resources: Any = TERMS["resources"]
    smaller: dict[str, Any] = {
        "version": "2",
        "supersedes": "1",
        "effective": instant_text(EDGE),
        "resources": [resources[0] | {"nodes": "1"}],
    }
    versions = [version(TERMS, until_s=EDGE), version(TERMS, EDGE, **smaller)]
    places = [Holder("n1", None, 0, until_us=EDGE * SECOND), Holder("n2", None, 0)]
    gone = [row("n1", slot, 0, EDGE - START) for slot in (0, 1)]
    rows = [*gone, *(one for one in whole_month() if one.node == "n2")]
    found = draft(versions, places, rows, Notices(), PERIOD, FINAL_US)
    judged = [[(line.unit, line.verdict) for line in part.units] for part in found.parts]
    assert judged == [[("n1", "MET"), ("n2", "MET")], [("n2", "MET")]]
    assert found.highest == "0.00"


@pytest.mark.parametrize(("from_s", "to_s", "hours"), [(-1800, 1800, 1), (-900, 5400, 2)])
def test_an_hour_that_an_amendment_cuts_is_free_once(from_s: int, to_s: int, hours: int) -> None:
    """At half past: of the hour either side has 15 minutes or more; of the next hour only the later part tells."""
    edge = EDGE + 1800
    kind = {"id": "c", "objective": "a", "kind": "clock_hour", "owed_when": "below_threshold"}
    credit = kind | {"threshold_s": "900", "op": ">=", "hour_price": "7"}
    amendment: dict[str, Any] = {"version": "2", "supersedes": "1"}
    amendment |= {"effective": instant_text(edge)}
    terms: dict[str, Any] = {"credits": [credit | PLENTY]}
    versions = [version(TERMS, until_s=edge, **terms), version(TERMS, edge, **(terms | amendment))]
    down = row("n1", 0, edge - START + from_s, edge - START + to_s, State.DOWN)
    found = draft(versions, holders(NODES), whole_month(down), Notices(), PERIOD, FINAL_US)
    assert found.highest == f"{7 * hours}.00"


CENT = Decimal("0.01")
PRICED: Any = {"pricing": [{"unit": "gpu_hour", "price": "2.5"}]}


@settings(max_examples=10, deadline=None)
@given(ledgers(), st.integers(1, PERIOD.seconds - 1))
def test_an_amendment_that_changes_nothing_changes_no_seconds_and_rounds_one_fee_more(
    rows: list[Row], cut: int
) -> None:
    """Of outages; time that is held may be one outage in a month and two in its parts."""
    known = [one for one in rows if one.state not in (State.UNKNOWN, State.CONTESTED)]
    rows, edge = whole_month(*known), START + cut
    amendment: Any = {"version": "2", "supersedes": "1", "effective": instant_text(edge)}
    parts = [version(TERMS, until_s=edge, **PRICED), version(TERMS, edge, **PRICED | amendment)]
    whole, cut_up = (
        draft(versions, holders(NODES), rows, Notices(), PERIOD, FINAL_US)
        for versions in ([version(TERMS, **PRICED)], parts)
    )
    assert [len(one.parts) for one in (whole, cut_up)] == [1, 2]
    for unit in range(len(NODES)):
        together = Counter[str]()
        for part in cut_up.parts:
            together.update(part.units[unit].seconds)
        assert +together == +Counter(whole.parts[0].units[unit].seconds)
    nets = [invoice_of(one).sums["net"].lowest for one in (whole, cut_up)]
    assert nets[0] is not None
    assert nets[1] is not None
    assert abs(nets[0] - nets[1]) <= CENT
