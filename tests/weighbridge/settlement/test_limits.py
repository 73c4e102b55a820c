"""Caps of all credits of a year and of the term: what earlier periods used of them, worked by hand."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_obligations import (
    CREDIT,
    HOUR,
    TERMS,
    drafted,
    month,
    row,
    version,
)
from weighbridge.contract import ContractError
from weighbridge.judge.ledger import State
from weighbridge.settlement.limits import periods_before
from weighbridge.settlement.periods import Period, calendar_month, calendar_year
from weighbridge.settlement.statement import Statement

ZONE = "Asia/Shanghai"
TERM = {"from": "2025-12-31T16:00:00Z", "to": "2027-12-31T16:00:00Z"}
YEARLY = {"per": "calendar_year", "amount": "250"}
"""A node that is down for a day earns 100, so that a year holds two months and a half."""


def missed(
    label: str,
    *earlier: Statement,
    limits: Any = YEARLY,
    state: State = State.DOWN,
    nodes: int = 1,
    **more: Any,
) -> Statement:
    """A month in which so many nodes missed their target, each for 100."""
    period = calendar_month(label, ZONE)
    bad = [row(f"n{node}", 0, 0, 24 * HOUR, state, period) for node in range(1, nodes + 1)]
    given = limits if isinstance(limits, list) else [limits]
    return drafted(
        rows=month(*bad, period=period),
        period=period,
        earlier=earlier,
        credits=[CREDIT],
        stacking={"rule": "sum", "limits": given},
        **{"term": TERM} | more,
    )


def year(*labels: str, **more: Any) -> list[Statement]:
    found: list[Statement] = []
    for label in labels:
        found.append(missed(label, *found, **more))
    return found


def alone(*labels: str, **more: Any) -> list[Statement]:
    """As they are given to a later one: each by itself."""
    return [missed(label, **more | {"limits": []}) for label in labels]


def amounts(found: Statement) -> tuple[str | None, str | None]:
    return found.lowest, found.highest


def test_a_year_has_one_limit_that_its_months_use_up_in_order() -> None:
    quiet = [missed("2026-01", limits=[], nodes=0)]
    before = quiet + alone("2026-02", "2026-03")
    found = missed("2026-04", *before)
    assert amounts(found) == ("50.00", "50.00")
    [line] = found.limits
    assert (line.most, line.used, line.open) == ("250.00", ("200.00", "200.00"), ())
    assert (line.start, line.end) == ("2025-12-31T16:00:00Z", "2026-12-31T16:00:00Z")
    assert "cap_applied" in found.flags
    after = missed("2026-05", *before, *alone("2026-04"))
    assert amounts(after) == ("0.00", "0.00")
    assert after.limits[0].used == ("250.00", "250.00")


@pytest.mark.parametrize(
    ("most", "owed", "cut"), [("200", "100.00", False), ("199.99", "99.99", True)]
)
def test_what_just_reaches_the_limit_is_not_cut(most: str, owed: str, cut: bool) -> None:
    found = missed("2026-02", *alone("2026-01"), limits=YEARLY | {"amount": most})
    assert amounts(found) == (owed, owed)
    assert ("cap_applied" in found.flags) == cut


def test_a_new_year_has_a_limit_of_its_own_and_the_term_has_one() -> None:
    term: dict[str, Any] = {"term": TERM | {"from": "2025-10-31T16:00:00Z"}}
    labels = ("2025-11", "2025-12", "2026-01")
    before = alone(*labels, **term)
    of_year = missed("2026-02", *before, **term)
    assert amounts(of_year) == ("100.00", "100.00")
    assert of_year.limits[0].used == ("100.00", "100.00")
    both = [YEARLY, {"per": "term", "amount": "360"}]
    found = missed("2026-02", *before, limits=both, **term)
    assert amounts(found) == ("60.00", "60.00")
    assert [line.used for line in found.limits] == [("100.00", "100.00"), ("300.00", "300.00")]


def test_a_contract_year_begins_with_the_term() -> None:
    """From 15 February: a month belongs to the year in which it begins, and the first to that of the term."""
    zone_midnight = {"from": "2026-02-14T16:00:00Z", "to": "2029-01-01T00:00:00Z"}
    contract = version(
        term=zone_midnight,
        effective=zone_midnight["from"],
        stacking={"limits": [{"per": "contract_year", "amount": "1"}]},
    ).contract

    def before(label: str) -> list[str]:
        return [one.label for one in periods_before(contract, calendar_month(label, ZONE))]

    assert before("2026-02") == []
    assert before("2026-04") == ["2026-02", "2026-03"]
    assert before("2027-02") == [f"2026-{number:02}" for number in range(2, 13)] + ["2027-01"]
    assert before("2027-03") == []


def test_a_percentage_is_one_of_the_amount_that_is_named() -> None:
    limit = {"per": "calendar_year", "pct": "1.5", "base_amount": "10000"}
    assert amounts(missed("2026-02", *alone("2026-01"), limits=limit)) == ("50.00", "50.00")


def test_held_time_of_earlier_months_makes_what_is_left_a_range() -> None:
    """January earned 0 to 100: of 150 there are 50 to 150 left, and February earns 100 for sure."""
    held = alone("2026-01", state=State.CONTESTED)
    found = missed("2026-02", *held, limits=YEARLY | {"amount": "150"})
    assert amounts(found) == ("50.00", "100.00")
    assert found.limits[0].used == ("0.00", "100.00")


def test_what_nobody_knows_of_earlier_months_is_flagged() -> None:
    found = missed("2026-03", *alone("2026-02"))
    assert amounts(found) == ("0.00", "100.00")
    assert "limit_use_unknown" in found.flags
    assert found.limits[0].open == ("2026-01",)
    quiet = missed("2026-03", nodes=0)
    assert amounts(quiet) == ("0.00", "0.00")
    assert "limit_use_unknown" not in quiet.flags


def test_the_statement_of_a_year_comes_after_its_last_month() -> None:
    yearly = {"id": "y", "target": "0.9", "period": "calendar_year"}
    contract = version(
        availability=[*TERMS["availability"], yearly],
        stacking={"limits": [{"per": "term", "amount": "1"}]},
    ).contract

    def before(period: Period) -> list[str]:
        return [one.label for one in periods_before(contract, period)]

    months = [f"2026-{number:02}" for number in range(1, 13)]
    assert before(calendar_year("2026", ZONE)) == months
    assert before(calendar_month("2027-01", ZONE))[-2:] == ["2026-12", "2026"]


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"per": "calendar_year"}, "stacking.limits[0]: limits nothing"),
        ({"per": "term", "pct": "10"}, "stacking.limits[0].base_amount: is required"),
        ({"per": "year", "amount": "1"}, "stacking.limits[0].per: must be one of"),
    ],
)
def test_a_limit_of_nothing_is_refused_by_its_place(limit: dict[str, str], reason: str) -> None:
    with pytest.raises(ContractError) as refused:
        version(stacking={"limits": [limit]})
    assert reason in str(refused.value)
