"""A delivery that is accepted part by part: what is billed and judged, from when on."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.scripted import holders
from tests.weighbridge.written import loaded, written
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices, case_of
from weighbridge.settlement.draft import statement_of
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.statement import Statement

SECOND, HOUR, DAY = 1_000_000, 3600, 86400
JUNE = calendar_month("2026-06", "Asia/Shanghai")
NODES = 10
BATCHES = [
    {"id": f"B{number}", "nodes": "1", "due": f"2026-06-{number + 1:02}", "value": "1000"}
    for number in range(NODES)
]
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [
        {
            "id": "r",
            "accelerator": {"sku": "any"},
            "nodes": str(NODES),
            "per_node": "8",
            "delivery": BATCHES,
        }
    ],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "down"},
    "pricing": [{"unit": "gpu_hour", "price": "14.50"}],
}
CREDIT = {
    "id": "c",
    "objective": "a",
    "kind": "linear_shortfall",
    "base": {"amount": "30000"},
    "cap": {"pct": "100"},
}


def up(node: str, since_s: int = 0, until_s: int = JUNE.seconds) -> list[Row]:
    start_us, end_us = ((JUNE.start_s + edge) * SECOND for edge in (since_s, until_s))
    return [
        Row("K", node, slot, f"GPU-{node}-{slot}", "c", start_us, end_us, State.UP, "", end_us)
        for slot in range(8)
    ]


def at(kind: str, day: int, unit: str = "") -> ToldEvent:
    return ToldEvent(kind, JUNE.start_s + day * DAY, unit)


def drafted(
    *events: ToldEvent,
    rows: Mapping[str, list[Row]] | None = None,
    nodes: tuple[str, ...] = ("n1",),
    **more: Any,
) -> Statement:
    file = written(TERMS | more)
    version = Version(loaded(file), file, 0, 4_000_000_000 * SECOND)
    found = {node: up(node) for node in nodes} if rows is None else rows
    given_rows = [row for node in nodes for row in found[node]]
    as_of_us = (JUNE.end_s + 6 * DAY) * SECOND
    notices = Notices(events=events)
    return statement_of(
        case_of([version], holders(list(nodes)), given_rows, notices, JUNE, as_of_us)
    )


def billed(statement: Statement) -> list[str]:
    return [fee.gross for part in statement.parts for fee in part.fees]


def by_unit(statement: Statement) -> dict[str, tuple[int, str]]:
    return {unit.unit: (unit.service_seconds, unit.verdict) for unit in statement.parts[0].units}


def test_one_node_of_ten_is_accepted_and_one_is_billed() -> None:
    found = drafted(at("batch_accepted", 0, "B0"))
    assert billed(found) == ["83520.00"]
    assert "partly_accepted" in found.flags
    units = by_unit(found)
    assert units.pop("n1") == (JUNE.seconds, "MET")
    assert set(units.values()) == {(0, "MET")}


@pytest.mark.parametrize("kind", ["batch_accepted", "acceptance_signed"])
def test_each_batch_is_billed_from_its_own_acceptance(kind: str) -> None:
    """One node from the first day on, one from the sixteenth: a month and a half of a node."""
    found = drafted(at(kind, 0, "B0"), at(kind, 15, "B1"), nodes=("n1", "n2"))
    assert billed(found) == ["125280.00"]
    units = by_unit(found)
    assert (units["n1"], units["n2"]) == ((JUNE.seconds, "MET"), (JUNE.seconds // 2, "MET"))


def test_a_quantity_that_a_price_names_is_that_of_all_nodes_and_begins_with_each() -> None:
    """Twenty node-months are for ten nodes: one of them from the first day on, one from the sixteenth, three."""
    prices = [{"unit": "node_month", "price": "1000", "quantity": "20", "proration": "days"}]
    events = (at("batch_accepted", 0, "B0"), at("batch_accepted", 15, "B1"))
    assert billed(drafted(*events, nodes=("n1", "n2"), pricing=prices)) == ["3000.00"]


def test_time_of_a_node_that_was_ill_is_its_own_share_of_what_is_accepted() -> None:
    """Of the month of one node and the half of another, a quarter of a month of the second was ill."""
    sick = [
        *up("n2", 0, 45 * JUNE.seconds // 60),
        *(
            Row(
                *("K", "n2", slot, f"GPU-n2-{slot}", "c"),
                (JUNE.start_s + 45 * JUNE.seconds // 60) * SECOND,
                JUNE.end_s * SECOND,
                State.DOWN,
                "xid 79",
                JUNE.end_s * SECOND,
            )
            for slot in range(8)
        ),
    ]
    events = (at("batch_accepted", 0, "B0"), at("batch_accepted", 15, "B1"))
    found = drafted(
        *events,
        rows={"n1": up("n1"), "n2": sick},
        nodes=("n1", "n2"),
        pay_only_healthy="true",
    )
    [fee] = found.parts[0].fees
    assert (fee.gross, fee.unbilled, fee.net) == ("125280.00", "20880.00", "104400.00")


def test_a_node_that_is_accepted_by_name_is_that_one() -> None:
    found = drafted(at("acceptance_signed", 15, "n2"), nodes=("n1", "n2"))
    assert by_unit(found)["n2"] == (JUNE.seconds // 2, "MET")
    assert by_unit(found)["n1"] == (0, "MET")
    assert billed(found) == ["41760.00"]


def test_what_is_accepted_as_a_whole_is_billed_as_a_whole() -> None:
    found = drafted(at("batch_accepted", 0, "B0"), at("acceptance_signed", 15))
    assert billed(found) == ["459360.00"]
    assert "partly_accepted" not in found.flags


def test_where_no_part_may_be_accepted_nothing_is_billed_before_everything_was() -> None:
    together: dict[str, Any] = {"acceptance": {"partial_acceptance": "false"}}
    all_but_one = [at("batch_accepted", 3, f"B{number}") for number in range(NODES - 1)]
    last = at("batch_accepted", 20, f"B{NODES - 1}")
    assert billed(drafted(*all_but_one, last, **together)) == ["278400.00"]
    assert billed(drafted(*all_but_one, at("acceptance_signed", 27), **together)) == ["83520.00"]


def test_the_rule_of_the_next_midnight_holds_for_each_batch() -> None:
    rule: dict[str, Any] = {"acceptance": {"billing_starts": "next_local_midnight"}}
    noon = ToldEvent("batch_accepted", JUNE.start_s + 15 * DAY - 12 * HOUR, "B0")
    assert billed(drafted(noon, **rule)) == ["41760.00"]


def test_a_delivery_of_a_batch_is_accepted_by_silence_alone() -> None:
    silent: dict[str, Any] = {"acceptance": {"deemed_acceptance_days": "3"}}
    handed = [at("delivered", 1, "B0"), at("delivered", 1, "B1")]
    refused = at("acceptance_refused", 2, "B1")
    assert billed(drafted(*handed, refused, **silent)) == [f"{83520 * 25 // 30}.00"]


@pytest.mark.parametrize(
    ("unit", "price", "gross"),
    [
        ("node_month", "3000", "4500.00"),
        ("gpu_month", "100", "1200.00"),
        ("fixed_month", "700", "700.00"),
    ],
)
def test_prices_of_a_month_count_what_was_accepted(unit: str, price: str, gross: str) -> None:
    events = [at("batch_accepted", 0, "B0"), at("batch_accepted", 15, "B1")]
    found = drafted(*events, pricing=[{"unit": unit, "price": price}])
    assert billed(found) == [gross]


def test_time_of_a_node_before_its_acceptance_is_neither_down_nor_up() -> None:
    """Unknown counts as down: n2 is heard from the sixteenth day on, and an hour of it is lost."""
    rows = {"n1": up("n1"), "n2": up("n2", 15 * DAY + HOUR)}
    events = [at("batch_accepted", 0, "B0"), at("batch_accepted", 15, "B1")]
    found = drafted(*events, rows=rows, nodes=("n1", "n2"), credits=[CREDIT])
    units = {unit.unit: unit for unit in found.parts[0].units}
    assert units["n2"].counted_seconds == (HOUR, HOUR)
    assert units["n2"].availability_fraction[0] == "359/360"
    [line] = units["n2"].credits
    assert line.base == "15000"
    assert Fraction(line.highest or "") == round(
        15000 * (Fraction("0.999") - Fraction(359, 360)), 2
    )
    assert units["n1"].counted_seconds == (0, 0)


def test_units_that_are_pooled_are_judged_over_the_time_that_they_were_in_service() -> None:
    pooled = [{"id": "a", "target": "0.999", "scope": "pooled"}]
    events = [at("batch_accepted", 0, "B0"), at("batch_accepted", 15, "B1")]
    rows = {"n1": up("n1"), "n2": up("n2", 15 * DAY + HOUR)}
    found = drafted(*events, rows=rows, nodes=("n1", "n2"), availability=pooled)
    [unit] = found.parts[0].units
    assert unit.denominator_seconds == JUNE.seconds * 3 // 2
    assert unit.counted_seconds == (HOUR, HOUR)


def test_down_time_before_acceptance_is_not_taken_off_the_bill() -> None:
    half = JUNE.seconds // 2
    lost = [
        Row(
            "K",
            "n1",
            0,
            "GPU-n1-0",
            "c",
            (JUNE.start_s + start) * SECOND,
            (JUNE.start_s + start + HOUR) * SECOND,
            State.DOWN,
            "",
            JUNE.end_s * SECOND,
        )
        for start in (half - 2 * HOUR, half + 2 * HOUR)
    ]
    rows = {"n1": [*up("n1"), *lost]}
    found = drafted(at("batch_accepted", 15, "B0"), rows=rows, pay_only_healthy="true")
    [fee] = found.parts[0].fees
    assert (fee.gross, fee.unbilled) == ("41760.00", "14.50")


@settings(max_examples=30)
@given(st.dictionaries(st.integers(0, NODES - 1), st.integers(-3, 33), max_size=NODES))
def test_the_bill_is_that_of_each_accepted_node_hour_by_hour(accepted: dict[int, int]) -> None:
    """Worked out day by day and node by node, which asks nothing of the engine."""
    found = drafted(*(at("batch_accepted", day, f"B{batch}") for batch, day in accepted.items()))
    told = {batch: day for batch, day in accepted.items() if day * DAY + JUNE.start_s <= LAST_S}
    days = sum(1 for day in told.values() for one in range(30) if one >= day)
    nodes_days = days if told else NODES * 30
    assert Fraction(billed(found)[0]) == nodes_days * 24 * 8 * Fraction("14.5")


LAST_S = JUNE.end_s + 5 * DAY
