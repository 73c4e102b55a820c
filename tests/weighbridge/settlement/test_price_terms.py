"""Steps, ramps, least quantities, what is delivered, what is given back, and taxes. Amounts are worked out by hand."""

from decimal import Decimal
from typing import Any

import pytest

from tests.weighbridge.settlement.test_prices import (
    HOUR,
    ITEM,
    OTHER,
    TERMS,
    fees,
    statement,
)
from tests.weighbridge.written import contract_of
from weighbridge.contract import ContractError
from weighbridge.settlement.invoice import invoice_of

BOTH: dict[str, Any] = {"resources": [ITEM, OTHER]}
LOT: dict[str, Any] = {"resources": [ITEM | {"nodes": "4"}]}


def gross(*prices: dict[str, Any], **more: Any) -> list[str]:
    return [fee.gross for fee in fees(*prices, **more)]


@pytest.mark.parametrize(
    ("hold", "above", "amount"),
    [
        ("part", "1000", "1244.00"),
        ("whole", "1000", "744.00"),
        ("whole", "1488", "1488.00"),
        ("whole", "1487", "744.00"),
    ],
)
def test_hours_above_a_quantity_have_another_price(hold: str, above: str, amount: str) -> None:
    """Two GPUs are 1,488 hours in October: 1,000 at 1.00 and 488 at 0.50; or all at 0.50. At 1,488 none lie above."""
    steps = [{"above": above, "price": "0.5"}]
    price = {"unit": "gpu_hour", "price": "1", "steps": steps, "steps_hold_for": hold}
    assert gross(price) == [amount]


def test_line_items_of_one_price_climb_its_steps_together() -> None:
    """Of 4 nodes two cost 100 and two 80: 360, a quarter of it for the line item of one node."""
    price = {"unit": "node_month", "price": "100", "steps": [{"above": "2", "price": "80"}]}
    assert gross(price, **BOTH) == ["90.00", "270.00"]


def test_a_price_of_another_day_and_a_ramp_hold_from_that_day_on() -> None:
    """Of 31 days of October ten of two nodes at 31, one of three at 31, twenty of three at 62."""
    rows = [{"from": "2026-10-11", "quantity": "3"}, {"from": "2026-10-12", "price": "62"}]
    price = {"unit": "node_month", "price": "31", "quantity": "2", "schedule": rows}
    assert gross(price) == ["143.00"]
    assert gross(price | {"proration": "days"}) == ["143.00"]
    assert gross(price | {"proration": "none"}) == ["143.00"]
    later = [{"from": "2026-11-01", "price": "62"}]
    assert gross(price | {"schedule": later}) == ["62.00"]


def test_a_least_quantity_is_paid_whether_taken_or_not() -> None:
    """1,488 hours were there, ten of them degraded; 2,000 are paid."""
    price = {"unit": "gpu_hour", "price": "2", "billed": "delivered", "minimum_quantity": "2000"}
    taken, missing = fees(price, bad=10 * HOUR)
    assert (taken.gross, taken.quantity, missing.resource) == ("2956.00", "1478", "minimum")
    assert missing.gross == "1044.00"
    assert gross(price | {"minimum_quantity": "1478"}, bad=10 * HOUR) == ["2956.00"]


def test_a_minimum_of_a_bill_is_not_that_of_each_month() -> None:
    price = {"unit": "node_month", "price": "100", "minimum": "1100"}
    assert gross(price) == ["100.00", "1000.00"]
    assert gross(price | {"minimum_per": "bill"}) == ["100.00", "1000.00"]


@pytest.mark.parametrize(
    ("unit", "price", "quantity", "amount"),
    [
        ("gpu_hour", "1", "1116", "1116.00"),
        ("gpu_month", "100", "1.5", "150.00"),
        ("node_month", "100", "0.75", "75.00"),
        ("P_month", "100", "0.75", "75.00"),
        ("P_day", "100", "23.25", "2325.00"),
    ],
)
def test_what_is_delivered_is_billed(unit: str, price: str, quantity: str, amount: str) -> None:
    """One of two GPUs is degraded for half of October."""
    given = {"unit": unit, "price": price, "billed": "delivered"}
    [fee] = fees(given, bad=372 * HOUR)
    assert (fee.quantity, fee.gross, fee.net) == (quantity, amount, amount)
    assert fee.precision == ("FP16 dense" if unit.startswith("P_") else None)


@pytest.mark.parametrize(
    ("precision", "sparsity", "amount"),
    [("fp16", "dense", "197.80"), ("int8", "dense", "395.80"), ("bf16", "sparse", "395.60")],
)
def test_p_that_a_contract_leaves_out_are_those_of_the_card(
    precision: str, sparsity: str, amount: str
) -> None:
    """Two H800, of 0.989 P in FP16 and 1.979 in INT8, at 100 a P and month."""
    capacity = {"precision": precision, "sparsity": sparsity}
    lot = ITEM | {"accelerator": {"sku": "H800-SXM-80GB"}, "capacity": capacity}
    assert gross({"unit": "P_month", "price": "100"}, resources=[lot]) == [amount]
    for unknown in (capacity | {"precision": "fp64"}, capacity | {"basis": "measured"}):
        with pytest.raises(ContractError, match="per_gpu: is required"):
            contract_of(TERMS | {"resources": [lot | {"capacity": unknown}]})


def test_steps_of_what_is_delivered_go_by_what_was() -> None:
    """1,116 of 1,488 hours: 1,000 at 1.00 and 116 at 0.50."""
    steps = [{"above": "1000", "price": "0.5"}]
    price = {"unit": "gpu_hour", "price": "1", "billed": "delivered", "steps": steps}
    assert gross(price, bad=372 * HOUR) == ["1058.00"]


@pytest.mark.parametrize(
    ("hold", "above", "back"),
    [("part", "500", "50.00"), ("whole", "500", "100.00"), ("whole", "1000", None)],
)
def test_a_rebate_is_a_line_below_zero(hold: str, above: str, back: str | None) -> None:
    price = {"unit": "node_month", "price": "1000", "steps_hold_for": hold}
    rebates = [{"above": above, "pct": "10"}]
    found = statement(price | {"rebates": rebates}, tax={"rate": "0.06"})
    lines = found.parts[0].fees
    assert [fee.resource for fee in lines] == ["r", *(["rebate"] if back else [])]
    if back:
        assert (lines[1].gross, lines[1].unbilled, lines[1].net) == ("0.00", back, f"-{back}")
    net = 1000 - Decimal(back or 0)
    sums = invoice_of(found).sums
    assert sums["net"].highest == net
    assert sums["total"].highest == net * Decimal("1.06")


def test_prices_have_taxes_of_their_own_and_the_invoice_a_line_for_each_rate() -> None:
    """Equipment of 113 with 13 % inside, service of 100 with 6 % on top."""
    prices = (
        {"unit": "node_month", "price": "113", "tax": {"rate": "0.13", "included": "true"}},
        {"unit": "fixed_month", "price": "100"},
    )
    found = invoice_of(statement(*prices, tax={"rate": "0.06"}))
    told = [(one.rate, one.included, str(one.taxable), str(one.tax)) for one in found.taxes]
    assert told == [("13", True, "100.00", "13.00"), ("6", False, "100.00", "6.00")]
    assert found.sums["total"].highest == 219


@pytest.mark.parametrize(
    ("terms", "place"),
    [
        ({"steps": [{"above": "2", "price": "1"}, {"above": "2", "price": "1"}]}, "steps[1].above"),
        ({"schedule": [{"from": "2026-10-11"}]}, "schedule[0]"),
        (
            {
                "schedule": [{"from": "2026-10-11", "price": "1"}],
                "steps": [{"above": "2", "price": "1"}],
            },
            "schedule[0].price",
        ),
        ({"rebates": [{"above": "2", "pct": "101"}]}, "rebates[0].pct"),
        ({"unit": "fixed_month", "billed": "delivered"}, "billed"),
        ({"unit": "fixed_month", "minimum_quantity": "2"}, "minimum_quantity"),
        ({"tax": {"rate": "6"}}, "tax.rate"),
    ],
)
def test_what_no_price_can_mean_is_refused_at_its_place(terms: dict[str, Any], place: str) -> None:
    price = {"unit": "gpu_month", "price": "1"} | terms
    with pytest.raises(ContractError) as refused:
        contract_of(TERMS | {"pricing": [price]})
    assert f"pricing[0].{place}" in str(refused.value)
