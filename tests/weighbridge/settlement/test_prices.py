"""What prices give: the fees of a statement, and the base of a credit. Amounts are worked out by hand."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import contract_of, loaded, written
from weighbridge.contract import Contract
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.invoice import invoice_of
from weighbridge.settlement.periods import Period, calendar_month, calendar_year
from weighbridge.settlement.record import Record, Span, ToldEvent
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import FeeLine, Statement

SECOND = 1_000_000
HOUR = 3600
DAY = 86400
OCTOBER = calendar_month("2026-10", "UTC")
YEAR = calendar_year("2026", "UTC")
LONG_AFTER_S = 4_000_000_000


def item(name: str, nodes: int) -> dict[str, Any]:
    return {
        "id": name,
        "accelerator": {"sku": "any"},
        "nodes": str(nodes),
        "per_node": "2",
        "capacity": {"precision": "fp16", "per_gpu": "0.5"},
    }


ITEM, OTHER = item("r", 1), item("s", 3)
CREDIT = {
    "id": "c",
    "objective": "a",
    "kind": "tiers",
    "tiers": [{"at_or_above": "0", "below": "0.995", "pct": "10"}],
}
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "USD",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
    "resources": [ITEM],
    "availability": [{"id": "a", "target": "0.995"}],
    "unknown": {"policy": "hold"},
    "credits": [CREDIT],
}


def base(
    *prices: dict[str, Any],
    period: Period = OCTOBER,
    objective: dict[str, Any] | None = None,
    credit: dict[str, Any] | None = None,
    **more: Any,
) -> Fraction:
    """The base of a credit for a unit that is down for the first half of the period."""
    terms = contract_of(
        TERMS
        | {"pricing": list(prices), "availability": [TERMS["availability"][0] | (objective or {})]}
        | {"credits": [CREDIT | (credit or {})]}
        | more
    )
    return based(terms, period)


def based(terms: Contract, period: Period) -> Fraction:
    down = Span("n1", State.DOWN, period.start_s, period.start_s + period.seconds // 2)
    found = settle(terms, Record(spans=(down,)), period, {"a": ["n1"]}, LONG_AFTER_S)
    [result] = found.results
    return result.worst.lines[0].base


@pytest.mark.parametrize("unit", ["fixed_month", "kW_month"])
@pytest.mark.parametrize(
    ("kind", "share"), [("gpu", Fraction(1, 8)), ("node", Fraction(1, 4)), ("cluster", 1)]
)
def test_a_unit_s_share_of_a_sum_of_money_is_that_of_its_gpus(
    unit: str, kind: str, share: Fraction
) -> None:
    price = {"unit": unit, "price": "100", "quantity": "80"}
    lot = [ITEM | {"nodes": "4"}]
    assert base(price, objective={"unit": kind}, resources=lot) == 8000 * share


def test_a_sum_for_all_line_items_is_shared_among_them_by_their_gpus() -> None:
    price = {"unit": "fixed_month", "price": "800"}
    both: dict[str, Any] = {"resources": [ITEM, OTHER]}
    assert base(price, objective={"resource": "r"}, **both) == 200
    assert base(price, objective={"resource": "s"}, **both) == 200
    assert base(price, objective={"resource": "s", "scope": "all_of"}, **both) == 600


def test_the_base_holds_the_fee_that_its_term_names() -> None:
    prices = ({"unit": "node_month", "price": "100"}, {"unit": "fixed_month", "price": "1000"})
    own = (prices[0], prices[1] | {"resource": "s"})
    on_r: dict[str, Any] = {"resources": [ITEM, OTHER], "objective": {"resource": "r"}}
    together = on_r | {"objective": {"resource": "r", "scope": "pooled"}}
    assert base(*own, **on_r) == base(*own, **together) == 100
    assert base(*own, credit={"base": {"of": "contract"}}, **on_r) == 1400
    assert base(*prices, **together) == 100 + Fraction(1000, 4)


@pytest.mark.parametrize(
    ("unit", "a_month"),
    [
        ("gpu_hour", 744 * 3),
        ("gpu_month", 3),
        ("node_month", 3),
        ("P_month", 3),
        ("P_day", 31 * 3),
        ("kW_month", 3),
        ("fixed_month", 3),
    ],
)
def test_a_quantity_holds_whatever_is_contracted(unit: str, a_month: int) -> None:
    """Also where the price is for two line items, by which it is then shared."""
    price = {"unit": unit, "price": "10", "quantity": "3"}
    assert [fee.gross for fee in fees(price)] == [f"{10 * a_month}.00"]
    both = fees(price, resources=[ITEM, OTHER])
    assert sum(Decimal(fee.gross) for fee in both) == 10 * a_month
    assert base(price, objective={"resource": "r"}, resources=[ITEM, OTHER]) == Fraction(
        10 * a_month, 4
    )


@pytest.mark.parametrize("unit", ["gpu_month", "node_month", "P_month", "kW_month", "fixed_month"])
def test_a_year_of_monthly_prices_costs_twelve_months(unit: str) -> None:
    price = {"unit": unit, "price": "10", "quantity": "3"}
    [fee] = fees(price, period=YEAR)
    assert fee.gross == "360.00"
    assert base(price, period=YEAR, objective={"period": "calendar_year"}) == 360


def test_a_month_of_a_year_that_is_served_in_part_costs_that_part_and_its_minimum() -> None:
    """Ten days of October, then two whole months; the minimum is one of each of them."""
    term = {"from": "2026-10-22T00:00:00Z", "to": "2028-01-01T00:00:00Z"}
    price = {"unit": "node_month", "price": "310"}
    late: dict[str, Any] = {"term": term, "effective": term["from"], "period": YEAR}
    assert [fee.gross for fee in fees(price, **late)] == ["720.00"]
    least = fees(price | {"minimum": "300"}, **late)
    assert [fee.gross for fee in least] == ["720.00", "200.00"]
    year: dict[str, Any] = {"objective": {"period": "calendar_year"}}
    assert base(price | {"minimum": "300"}, **year, **late) == 300 + 310 + 310


def fees(
    *prices: dict[str, Any], bad: int = 0, period: Period = OCTOBER, **more: Any
) -> tuple[FeeLine, ...]:
    """Of one node of two GPUs, one of which is degraded for `bad` seconds."""
    [part] = statement(*prices, bad=bad, period=period, **more).parts
    return part.fees


def statement(
    *prices: dict[str, Any],
    bad: int = 0,
    period: Period = OCTOBER,
    events: tuple[ToldEvent, ...] = (),
    **more: Any,
) -> Statement:
    file = written(TERMS | {"pricing": list(prices), "credits": []} | more)
    version = Version(loaded(file), file, 0, LONG_AFTER_S * SECOND)
    end_us = (period.start_s + bad) * SECOND
    rows = [
        Row("K", "n1", slot, "", "chain", period.start_s * SECOND, period.end_s * SECOND, *seen)
        for slot in (0, 1)
        for seen in [(State.UP, "", period.end_s * SECOND)]
    ]
    rows += [
        Row("K", "n1", 0, "", "chain", period.start_s * SECOND, end_us, State.DEGRADED, "", end_us)
    ]
    as_of_us = (period.end_s + 40 * DAY) * SECOND
    nodes = ["n1"] if len(more.get("resources", [ITEM])) == 1 else ["n1", "n2", "n3", "n4"]
    return draft([version], holders(nodes), rows, Notices(events=events), period, as_of_us)


def test_a_year_s_invoice_asks_for_nothing_that_its_months_billed() -> None:
    """Its fee lines stand in the statement, for the base of what a year owes."""
    month = {"unit": "node_month", "price": "100"}
    yearly: dict[str, Any] = {
        "availability": [{"id": "a", "target": "0.995", "period": "calendar_year"}]
    }
    for more in ({}, yearly):
        asked = [invoice_of(statement(month, period=one, **more)) for one in (OCTOBER, YEAR)]
        assert [one.sums["total"].highest for one in asked] == [100, 0]
        assert [len(one.lines) for one in asked] == [1, 0]
    assert [fee.net for fee in fees(month, period=YEAR, **yearly)] == ["1200.00"]


def test_what_is_billed_is_what_the_counts_call_healthy() -> None:
    price = {"unit": "gpu_hour", "price": "1"}
    found = statement(price, bad=10 * HOUR, pay_only_healthy="true").parts[0]
    [fee], [counted] = found.fees, found.delivery
    assert (fee.gross, fee.unbilled, fee.net) == ("1488.00", "10.00", "1478.00")
    assert counted.healthy_gpu_seconds == 1478 * HOUR
    assert [fee.unbilled for fee in fees(price, bad=10 * HOUR)] == ["0.00"]


@settings(max_examples=30)
@given(
    mode=st.sampled_from(["half_up", "half_even", "down"]),
    price=st.integers(1, 10**6),
    bad=st.integers(0, OCTOBER.seconds),
    decimals=st.integers(0, 3),
)
def test_a_net_amount_is_gross_less_what_is_not_billed(
    mode: str, price: int, bad: int, decimals: int
) -> None:
    rule = {"decimals": str(decimals), "mode": mode}
    gpu_hour = {"unit": "gpu_hour", "price": f"{price / 1000:.3f}"}
    [fee] = fees(gpu_hour, bad=bad, pay_only_healthy="true", rounding=rule)
    assert Decimal(fee.gross) - Decimal(fee.unbilled) == Decimal(fee.net) >= 0
