"""How much longer a unit may be down before it earns a higher credit."""

import asyncio
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from collector.judging.claimable import Account, Accounts, account_samples
from tests.collector.living import lease
from tests.collector.statements.examples import ordinary
from tests.collector.view.test_prometheus import until
from weighbridge.catalogue import metrics
from weighbridge.contract import load
from weighbridge.settlement.statement import ClockLine, MaintenanceLine
from weighbridge.settlement.worth import claimable, to_next_tier_s, totals

TERMS = """\
contract_id: K
effective: 2026-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 2026-01-01T00:00:00Z, to: 2027-01-01T00:00:00Z}
resources: [{id: r, accelerator: {sku: H100-SXM-80GB}, per_node: 8, nodes: 1}]
pricing: [{unit: node_month, price: "100.00"}]
availability: [{id: a, target: "0.999"}]
credits:
  - id: c
    objective: a
    kind: tiers
    base: {proration: days}
    tiers: [{at_or_above: "0.95", below: "0.999", pct: 10}, {at_or_above: "0", below: "0.95", pct: 50}]
unknown: {policy: down}
"""


@pytest.mark.parametrize(
    ("share", "left"),
    [("1/1", 1000), ("999/1000", 0), ("9989/10000", 48_900), ("949/1000", None)],
)
def test_the_unit_that_is_nearest_to_the_next_row_counts(share: str, left: int | None) -> None:
    statement = ordinary()
    part = statement.parts[0]
    unit = replace(
        part.units[0],
        objective="a",
        denominator_seconds=1_000_000,
        counted_seconds=(0, int((1 - Fraction(share)) * 1_000_000)),
    )
    alone = replace(statement, parts=(replace(part, units=(unit,)),))
    assert to_next_tier_s(load(TERMS), alone) == left
    near = replace(unit, counted_seconds=(0, 999))
    both = replace(statement, parts=(replace(part, units=(unit, near)),))
    assert to_next_tier_s(load(TERMS), both) == min(1, 1 if left is None else left)


def test_an_objective_of_another_period_is_not_near_to_anything_here() -> None:
    statement = ordinary()
    part = statement.parts[0]
    unit = replace(part.units[0], objective="a", verdict="SO_FAR", counted_seconds=(0, 0))
    alone = replace(statement, parts=(replace(part, units=(unit,)),))
    assert to_next_tier_s(load(TERMS), alone) is None


def test_only_what_was_earned_can_be_claimed() -> None:
    statement = ordinary()
    due = statement.parts[0].dues[0]
    earned = {"x": "0.00", "y": "1.50", "z": None}
    dues = tuple(replace(due, unit=unit, earned=amount) for unit, amount in earned.items())
    shown = replace(statement, parts=(replace(statement.parts[0], dues=dues),))
    assert [(one.unit, one.amount) for one in claimable(shown)] == [("y", "1.50")]


def test_what_is_claimed_adds_up_by_currency_to_the_last_digit() -> None:
    one = claimable(ordinary())[0]
    amounts = [("EUR", "0.1"), ("EUR", "0.2"), ("CNY", "99999999999999999999.99"), ("CNY", "0.01")]
    found = totals(replace(one, currency=currency, amount=amount) for currency, amount in amounts)
    assert {currency: str(amount) for currency, amount in found.items()} == {
        "EUR": "0.3",
        "CNY": "100000000000000000000.00",
    }


def test_a_clock_that_still_runs_tells_how_much_of_the_promised_time_it_has_used() -> None:
    statement = ordinary()
    part = statement.parts[0]
    began = "2026-01-01T00:00:00Z"
    clock = ClockLine("mend", "n1", began, None, 1800, 3600, "UNKNOWN")
    clocks = (clock, replace(clock, unit="n2", end="2026-01-01T00:30:00Z"))
    running = replace(statement, parts=(replace(part, clocks=clocks),))
    told = account_samples("K", Account(running, {}, (), None, 0), 0)
    assert [one for one in told if one[0] is metrics.CONTRACT_REPAIR] == [
        (metrics.CONTRACT_REPAIR, ("K", "mend", "n1"), 0.5)
    ]


@pytest.mark.parametrize(("now_s", "runs"), [(59, False), (60, True), (119, True), (120, False)])
def test_a_window_of_maintenance_is_told_while_it_runs(now_s: int, runs: bool) -> None:
    statement = ordinary()
    told = "1970-01-01T00:00:00Z"
    window = MaintenanceLine(
        "w", "1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z", told, "announced", 0
    )
    part = replace(statement.parts[0], maintenance=(window,))
    account = Account(replace(statement, parts=(part,)), {}, (), None, 0)
    found = [
        one
        for one in account_samples("K", account, now_s)
        if one[0] is metrics.CONTRACT_MAINTENANCE
    ]
    assert found == ([(metrics.CONTRACT_MAINTENANCE, ("K", "w"), 1)] if runs else [])


async def test_nothing_is_told_of_a_contract_that_was_withdrawn(tmp_path: Path) -> None:
    with lease(tmp_path / "store") as leased:
        contracts = dict(leased.fleet.contracts)
        accounts = Accounts(leased.statements, leased.settler, lambda: contracts)
        task = asyncio.create_task(accounts.run())

        async def known() -> Account | None:
            return accounts.known("K1")

        await until(known, lambda account: account is not None)
        assert {labels[0] for _, labels, _ in accounts.samples()} == {"K1"}
        contracts.clear()
        assert list(accounts.samples()) == []
        task.cancel()
