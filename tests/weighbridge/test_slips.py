"""What nobody can have meant is refused where a contract is agreed on, and kept where a log holds it."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from tests.weighbridge.written import contract_of, written
from weighbridge.catalogue.currencies import currencies
from weighbridge.contract import ContractError, load, loaded
from weighbridge.contract.coherence import cautions
from weighbridge.settlement.draft import ENGINE

TIERS = {
    "id": "c",
    "objective": "a",
    "kind": "tiers",
    "tiers": [{"at_or_above": "0", "below": "0.995", "pct": "10"}],
    "base": {"amount": "100"},
}
LINEAR = {"id": "c", "objective": "a", "kind": "linear_shortfall", "base": {"amount": "1"}}
HOURS = {"id": "c", "objective": "a", "kind": "clock_hour", "threshold_s": "1", "hour_price": "1"}
COUNT = {"id": "c", "kind": "maintenance_count", "allowed_per_year": "1", "base_amount": "1"}
COUNT |= {"partial": "ceil"}
OUTAGES = {"id": "c", "objective": "a", "kind": "per_event", "amount": "1"}
EVENT = {"id": "c", "kind": "lost_work", "event": "crash", "cap_s": "1", "hour_price": "1"}
LATE = {"id": "d", "trigger": "late_delivery", "side": "provider"}


def item(name: str, *batches: str) -> dict[str, Any]:
    delivery = [{"id": one, "nodes": "1", "due": "2026-02-01", "value": "1"} for one in batches]
    nodes = str(len(batches) or 1)
    own = {"id": name, "accelerator": {"sku": "any"}, "nodes": nodes, "per_node": "1"}
    return own | {"delivery": delivery}


TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "USD",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
    "resources": [item("r")],
    "availability": [{"id": "a", "target": "0.995"}],
    "unknown": {"policy": "hold"},
}
PROBE = {"id": "a", "probe": "x", "threshold": "1", "op": ">=", "missing": "bad", "target": "0.9"}
ON_R = [{"id": "a", "target": "0.995", "resource": "r"}]
OF_S = {"unit": "node_month", "price": "1", "resource": "s"}
ROUNDED = deepcopy(TIERS) | {"id": "e", "round_share": {"decimals": "1"}}

SLIPS: dict[str, tuple[dict[str, Any], str]] = {
    "tax in per cent": ({"tax": {"rate": "6"}}, "tax.rate: 6 is 600 %; did you mean 0.06?"),
    "the whole as tax": ({"tax": {"rate": "1"}}, "tax.rate: 1 is 100 %; did you mean 0.01?"),
    "tax of tax": ({"tax": {"rate": "1300"}}, "did you mean 0.13?"),
    "daily rate in per cent": (
        {"liquidated_damages": [LATE | {"daily_rate": "5"}]},
        "liquidated_damages[0].daily_rate: 5 is 500 %; did you mean 0.05?",
    ),
    "hours in per cent": (
        {"credits": [COUNT | {"fraction_per_hour": "5"}]},
        "credits[0].fraction_per_hour: 5 is 500 %; did you mean 0.05?",
    ),
    "two batches": (
        {"resources": [item("r", "A"), item("s", "A")]},
        "resources[1].delivery[0].id: `A` is the name of resources[0].delivery[0] already",
    ),
    "two batches of an item": (
        {"resources": [item("r", "A", "A")]},
        "resources[0].delivery[1].id: `A`",
    ),
    "two damages": ({"liquidated_damages": [LATE, LATE.copy()]}, "liquidated_damages[1].id: `d`"),
    "damages as a credit": (
        {"liquidated_damages": [LATE | {"id": "c"}], "credits": [TIERS]},
        "liquidated_damages[0].id: `c` is the name of credits[0] already",
    ),
    "leaving early": (
        {"credits": [TIERS | {"id": "early_exit"}]},
        "credits[0].id: `early_exit`",
    ),
    "two objectives": ({"performance": [PROBE]}, "performance[0].id: `a`"),
    "a threshold below the target": (
        {"credits": [LINEAR | {"threshold": "0.99499"}]},
        "credits[0].threshold: lies below the target 0.995",
    ),
    "kW": ({"pricing": [{"unit": "kW_month", "price": "1"}]}, "pricing[0].quantity: is required"),
    "a fee of another item": (
        {"resources": [item("r"), item("s")], "availability": ON_R, "pricing": [OF_S]}
        | {"credits": [TIERS | {"base": {}}]},
        "credits[0].base: no price is of `r`",
    ),
    "a share of no fee": (
        {"credits": [HOURS | {"cap": {"pct": "100"}}]},
        "credits[0].cap.pct: there is no amount, and no price",
    ),
    "a share of nothing": (
        {"credits": [EVENT | {"cap": {"pct": "100"}}]},
        "credits[0].cap.pct: is a share of no fee",
    ),
    "two comparisons": (
        {"credits": [TIERS, ROUNDED]},
        "credits[1].round_share: `c` of the same objective compares another share",
    ),
    "no event": ({"credits": [OUTAGES]}, "credits[0].longer_than_s: or more_than_events"),
    "each of what": (
        {"credits": [OUTAGES | {"each": "true", "more_than_events": "2"}]},
        "credits[0].each: pays each outage that is long enough",
    ),
    "more than an hour": (
        {"credits": [HOURS | {"threshold_s": "3600"}]},
        "credits[0].threshold_s: is more than an hour has",
    ),
    "a second more than an hour": (
        {"credits": [HOURS | {"threshold_s": "3601", "op": ">="}]},
        "credits[0].threshold_s: is more than an hour has",
    ),
    "no currency": ({"currency": "XYZ"}, "currency: `XYZ` is no code of ISO 4217"),
    "a currency of the street": ({"currency": "RMB"}, "did you mean CNY?"),
}


@pytest.mark.parametrize("name", list(SLIPS))
def test_a_slip_is_refused_where_it_is_agreed_on_and_kept_where_a_log_holds_it(name: str) -> None:
    parts, reason = SLIPS[name]
    text = written(TERMS | parts)
    with pytest.raises(ContractError) as refused:
        load(text)
    assert reason in str(refused.value)
    assert loaded(text).contract_id == "K"


RIGHT: dict[str, dict[str, Any]] = {
    "less than the whole": {"tax": {"rate": "0.99"}},
    "a daily rate": {"liquidated_damages": [LATE | {"daily_rate": "0.0005"}]},
    "a threshold at the target": {"credits": [LINEAR | {"threshold": "0.995"}]},
    "batches of two items": {"resources": [item("r", "A"), item("s", "B")]},
    "kW": {"pricing": [{"unit": "kW_month", "price": "1", "quantity": "40"}]},
    "a fee of all": {
        "resources": [item("r"), item("s")],
        "availability": ON_R,
        "pricing": [OF_S | {"resource": "none"}],
        "credits": [TIERS | {"base": {}}],
    },
    "a base that is written": {
        "resources": [item("r"), item("s")],
        "availability": ON_R,
        "pricing": [OF_S],
        "credits": [TIERS],
    },
    "a whole hour": {"credits": [HOURS | {"threshold_s": "3600", "op": ">="}]},
    "all but a second": {"credits": [HOURS | {"threshold_s": "3599"}]},
    "the third outage": {"credits": [OUTAGES | {"more_than_events": "2"}]},
    "each that is long": {"credits": [OUTAGES | {"longer_than_s": "2", "each": "true"}]},
    "a cap of a base": {"credits": [HOURS | {"cap": {"pct": "100"}, "base": {"amount": "1"}}]},
    "one comparison": {"credits": [TIERS | {"round_share": {"decimals": "1"}}, ROUNDED]},
}


@pytest.mark.parametrize("name", list(RIGHT))
def test_what_may_be_meant_is_taken(name: str) -> None:
    assert load(written(TERMS | RIGHT[name])).contract_id == "K"


def row(above: str, below: str, edge: str = "below") -> dict[str, str]:
    return {"at_or_above": above, edge: below, "pct": "10"}


@pytest.mark.parametrize(
    ("rows", "decimals", "gap"),
    [
        ([row("0.99", "0.995"), row("0", "0.989", "at_or_below")], "1", None),
        ([row("0.99", "0.995"), row("0", "0.989", "at_or_below")], "2", "leaves a gap"),
        ([row("0.99", "0.994", "at_or_below"), row("0", "0.99")], "1", None),
        ([row("0.99", "0.994", "at_or_below"), row("0", "0.99")], "2", "nothing is said"),
        ([row("0.99", "0.995"), row("0", "0.9895")], "1", None),
        ([row("0.99", "0.995"), row("0", "0.9895")], "2", "leaves a gap"),
        ([row("0.99", "0.995"), row("0", "0.989", "at_or_below")], None, "leaves a gap"),
    ],
)
def test_rows_leave_a_gap_where_a_share_that_is_compared_lies_in_it(
    rows: list[dict[str, str]], decimals: str | None, gap: str | None
) -> None:
    rule = "none" if decimals is None else {"decimals": decimals}
    text = written(TERMS | {"credits": [TIERS | {"tiers": rows, "round_share": rule}]})
    if gap is None:
        assert load(text).contract_id == "K"
        return
    with pytest.raises(ContractError, match=gap):
        load(text)


# Currencies


@pytest.mark.parametrize(
    ("code", "decimals"), [("USD", 2), ("CNY", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("CLF", 4)]
)
def test_money_has_the_decimals_of_its_currency_unless_the_contract_says_otherwise(
    code: str, decimals: int
) -> None:
    def places(**rounding: str) -> int:
        terms = TERMS | {"currency": code} | ({"rounding": rounding} if rounding else {})
        return contract_of(terms).rounding.decimals

    assert places() == places(mode="down") == decimals
    assert places(decimals="1") == 1
    assert list(cautions(contract_of(TERMS | {"currency": code}))) == cautioned()


def cautioned() -> list[str]:
    """What is said of the contract in dollars."""
    return list(cautions(contract_of(TERMS)))


@pytest.mark.parametrize(
    ("code", "told"), [("DEM", "DEM has ended"), ("XAU", "names no decimals of XAU")]
)
def test_a_currency_that_has_ended_or_has_no_decimals_is_warned_of(code: str, told: str) -> None:
    found = contract_of(TERMS | {"currency": code})
    assert found.rounding.decimals == 2
    assert [one for one in cautions(found) if told in one]


def test_the_table_of_currencies_is_whole() -> None:
    """Each code once; and what it says is bound to the version of the engine that settles by it."""
    table = currencies()
    assert (table.published, len(table.decimals), ENGINE) == ("2026-01-01", 178, "settlement/3")
    assert not table.ended & set(table.decimals)
    assert sorted({one for one in table.decimals.values() if one is not None}) == [0, 2, 3, 4]
    assert Decimal(10) ** -table.decimals_of("JPY") == 1
