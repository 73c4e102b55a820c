"""Remedies that follow something else than the downtime of a unit, each settled with the rest of its contract."""

import json
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from weighbridge.contract import Contract, ContractError, load
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Record, Span, ToldEvent, Window
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

LATER = 4_000_000_000
TIERS = [
    {"at_or_above": "0.99", "below": "0.999", "pct": "10"},
    {"at_or_above": "0", "below": "0.99", "pct": "25"},
]


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def contract(zone: str = "UTC", resource: dict[str, Any] | None = None, **parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": zone,
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-06-01T00:00:00Z"},
        "resources": [
            {"id": "r", "accelerator": {"sku": "any"}, "nodes": "13", "per_node": "8"}
            | (resource or {})
        ],
        "availability": [{"id": "a", "target": "0.9"}],
        "unknown": {"policy": "hold"},
    }
    return load(json.dumps(document | parts))


def settled(
    terms: Contract, label: str, record: Record, units: tuple[str, ...] = ("n1",)
) -> Settlement:
    return settle(terms, record, calendar_month(label, terms.time_zone), {"a": units}, LATER)


def test_missing_capacity_is_deducted_by_the_time_that_it_was_missing() -> None:
    resource = {"capacity": {"precision": "fp16", "per_gpu": "0.9894", "contracted": "100"}}
    credit = {
        "id": "c",
        "kind": "capacity_deduction",
        "resource": "r",
        "price": "4200.00",
        "multiple": "2",
    }
    terms = contract("Asia/Shanghai", resource, credits=[credit])
    nodes = tuple(f"n{number:02}" for number in range(1, 14))
    down = Span("n07", State.DOWN, instant("2026-05-10T02:00:00Z"), instant("2026-05-12T02:00:00Z"))
    found = settled(terms, "2026-05", Record((down,)), nodes)
    assert found.highest == Decimal("2719.22")


def test_a_surplus_at_one_time_makes_up_for_nothing_at_another() -> None:
    resource = {"capacity": {"precision": "fp16", "per_gpu": "1", "contracted": "96"}}
    credit = {
        "id": "c",
        "kind": "capacity_deduction",
        "resource": "r",
        "price": "1",
        "multiple": "1",
    }
    terms = contract("UTC", resource, credits=[credit])
    nodes = tuple(f"n{number:02}" for number in range(1, 14))
    start, hour = instant("2026-05-10T00:00:00Z"), 3600
    one = Span("n01", State.DOWN, start, start + 2 * hour)
    two = Span("n02", State.DOWN, start + hour, start + 3 * hour)
    assert settled(terms, "2026-05", Record((one,)), nodes).highest == 0
    assert settled(terms, "2026-05", Record((one, two)), nodes).others[0].exact == Fraction(8, 744)


def test_maintenance_beyond_the_number_of_a_year_is_paid_in_the_month_it_falls_in() -> None:
    credit = {
        "id": "c",
        "kind": "maintenance_count",
        "allowed_per_year": "2",
        "base_amount": "7200.00",
        "fraction_per_hour": "1/360",
        "partial": "ceil",
    }
    terms = contract(credits=[credit])
    windows = tuple(
        Window(start, instant(start), instant(start) + 8400, 0)
        for start in ("2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-11-14T22:00:00Z")
    )
    assert settled(terms, "2026-05", Record(windows=windows)).highest == 0
    found = settled(terms, "2026-11", Record(windows=windows))
    assert (found.highest, found.flags) == (Decimal("60.00"), ("maintenance_count_exceeded",))


def test_anomalies_and_lost_work_add_up() -> None:
    price = {"hour_price": "1.98"}
    credits = [
        {
            "id": "n",
            "kind": "anomaly_hours",
            "event": "network",
            "factor": "1.5",
            "round_up_to_s": "3600",
        }
        | price,
        {"id": "w", "kind": "lost_work", "event": "crash", "cap_s": "86400"} | price,
    ]
    events = (
        ToldEvent(
            "network", instant("2026-03-12T03:50:00Z"), since_s=instant("2026-03-12T03:00:00Z")
        ),
        ToldEvent(
            "crash", instant("2026-03-03T05:00:00Z"), since_s=instant("2026-03-01T00:00:00Z")
        ),
        ToldEvent("crash", instant("2026-03-04T05:00:00Z")),
    )
    assert settled(contract(credits=credits), "2026-03", Record(events=events)).highest == Decimal(
        "51.48"
    )


def test_late_batches_pay_by_the_day_up_to_the_cap_and_only_those_that_the_provider_owes() -> None:
    batches = [
        {"id": name, "nodes": nodes, "due": "2026-03-31", "value": "36000000.00"}
        for name, nodes in (("A", "6"), ("B", "7"))
    ]
    damages = [
        {
            "id": "late",
            "trigger": "late_delivery",
            "side": "provider",
            "daily_rate": "0.0005",
            "cap_pct": "5",
        },
        {"id": "cancel", "trigger": "cancellation", "side": "lessee", "flat_pct": "30"},
    ]
    terms = contract("Asia/Shanghai", {"delivery": batches}, liquidated_damages=damages)
    events = (
        ToldEvent("batch_accepted", instant("2026-04-12T15:59:59Z"), "A"),
        ToldEvent("batch_accepted", instant("2026-07-29T01:00:00Z"), "B"),
    )
    record = Record(events=events)
    assert settled(terms, "2026-04", record).highest == Decimal("216000.00")
    found = settled(terms, "2026-07", record)
    assert (found.highest, found.flags) == (Decimal("1800000.00"), ("cap_applied",))


@pytest.mark.parametrize(
    ("missing", "verdict", "owed"),
    [
        ("excluded", "BREACHED", "2000.00"),
        ("good", "BREACHED", "2000.00"),
        ("bad", "BREACHED", "2000.00"),
    ],
)
def test_probes_earn_by_their_share(missing: str, verdict: str, owed: str) -> None:
    performance = {
        "id": "p",
        "probe": "gemm",
        "threshold": "0.90",
        "op": ">=",
        "missing": missing,
        "target": "0.999",
    }
    credit = {
        "id": "c",
        "objective": "p",
        "kind": "tiers",
        "tiers": TIERS,
        "base": {"amount": "20000.00"},
    }
    terms = contract(performance=[performance], credits=[credit])
    samples = (
        Samples(8608, Fraction("0.97")),
        Samples(2, Fraction("0.90")),
        Samples(10, Fraction("0.83")),
    )
    found = settled(terms, "2026-09", Record(probes={"p": samples}))
    assert (found.probed[0].verdict.name, found.highest) == (verdict, Decimal(owed))


def test_too_few_probes_give_no_verdict_and_no_money() -> None:
    performance = {
        "id": "p",
        "probe": "gemm",
        "threshold": "0.90",
        "op": ">=",
        "missing": "bad",
        "target": "0.999",
        "min_samples": "100",
    }
    credit = {
        "id": "c",
        "objective": "p",
        "kind": "tiers",
        "tiers": TIERS,
        "base": {"amount": "20000.00"},
    }
    terms = contract(performance=[performance], credits=[credit])
    found = settled(terms, "2026-09", Record(probes={"p": (Samples(99, Fraction(0)),)}))
    assert (found.probed[0].verdict.name, found.highest) == ("UNKNOWN", Decimal("0.00"))


def deducted(**parts: Any) -> Contract:
    """96 of 104 P are contracted; a P costs its number of hours in May, so that a P-hour is worth 1."""
    resource = {"capacity": {"precision": "fp16", "per_gpu": "1", "contracted": "96"}}
    credit = {"id": "c", "kind": "capacity_deduction", "resource": "r", "price": "744"}
    return contract("UTC", resource, credits=[credit], **parts)


NODES = tuple(f"n{number:02}" for number in range(1, 14))
AT = instant("2026-05-10T00:00:00Z")
HOUR_S = 3600


def spans(state: State) -> tuple[Span, ...]:
    """Two nodes of eight for two hours: 8 P x 2 h are missing below the 96."""
    return tuple(Span(node, state, AT, AT + 2 * HOUR_S) for node in NODES[:2])


@pytest.mark.parametrize(("state", "lowest"), [(State.UNKNOWN, 0), (State.DOWN, 16)])
def test_capacity_that_nobody_saw_is_a_range_until_it_is_known(state: State, lowest: int) -> None:
    found = settled(deducted(), "2026-05", Record(spans(state)), NODES)
    assert [found.lowest, found.highest] == [lowest, 16]
    assert [found.others[0].exact, found.others_at_best[0].exact] == [16, lowest]


def test_capacity_of_a_part_of_a_period_has_the_maintenance_of_the_whole() -> None:
    """An hour is allowed in May, and the window before the amendment took it."""
    terms = deducted(maintenance={"min_notice_s": "0", "max_s_per_period": "3600"})
    may = calendar_month("2026-05", "UTC")
    edge = AT - HOUR_S
    windows = (Window("a", edge - HOUR_S, edge, 0), Window("b", AT, AT + 2 * HOUR_S, 0))
    part = Period(may.label, edge, may.end_s)
    record = Record(spans(State.DOWN), windows)
    assert settle(terms, record, part, {"a": NODES}, LATER, whole=may).highest == 16


@pytest.mark.parametrize(
    ("promise", "resource", "reason"),
    [
        ({"id": "a", "target": "0.9", "unit": "cluster"}, {}, "no objective over a period"),
        (
            {"id": "a", "target": "0.9", "period": "rolling", "window_s": "86400"},
            {},
            "no objective",
        ),
        ({"id": "a", "target": "0.9"}, {"capacity": "none"}, "P without a capacity"),
    ],
)
def test_a_deduction_that_nothing_could_be_reckoned_from_is_refused(
    promise: dict[str, str], resource: dict[str, Any], reason: str
) -> None:
    capacity = {"capacity": {"precision": "fp16", "per_gpu": "1"}}
    credit = {"id": "c", "kind": "capacity_deduction", "resource": "r", "price": "1"}
    with pytest.raises(ContractError, match=reason):
        contract("UTC", capacity | resource, credits=[credit], availability=[promise])


def test_capacity_of_one_line_item_is_not_counted_by_an_objective_of_several() -> None:
    item = {"accelerator": {"sku": "any"}, "nodes": "1", "per_node": "8"}
    capacity = {"precision": "fp16", "per_gpu": "1"}
    resources = [item | {"id": name, "capacity": capacity} for name in ("r", "s")]
    credit = {"id": "c", "kind": "capacity_deduction", "resource": "r", "price": "1"}
    with pytest.raises(ContractError, match="and no others"):
        contract(resources=resources, credits=[credit])
    own = [{"id": name, "target": "0.9", "resource": name} for name in ("r", "s")]
    found = contract(resources=resources, credits=[credit], availability=own)
    assert found.counts_capacity_of("r") == found.availability[0]


def test_a_late_repair_of_a_node_of_whichever_line_item_has_no_fee_of_its_own() -> None:
    item = {"accelerator": {"sku": "any"}, "nodes": "1", "per_node": "8"}
    resources = [item | {"id": name} for name in ("r", "s")]
    repair = {"id": "m", "objective_s": "3600", "clock_from": "detection"}
    steps = {"step_s": "3600", "step_pct": "1", "partial": "ceil", "repair": "m"}
    parts: dict[str, Any] = {
        "resources": resources,
        "pricing": [{"unit": "node_month", "price": "100"}],
        "credits": [{"id": "c", "kind": "repair_steps"} | steps],
    }
    with pytest.raises(ContractError, match="the fee of a unit is open"):
        contract(repair=[repair], **parts)
    contract(repair=[repair | {"unit": "cluster"}], **parts)


@pytest.mark.parametrize(
    ("domain", "several"), [("none", False), ("104", False), ("8", True), ("72", True)]
)
def test_several_domains_are_not_judged_as_one(domain: str, several: bool) -> None:
    """13 nodes of 8 GPUs; without a size all of them are one domain."""
    resource = {"interconnect": {"nvlink_domain": domain}}
    promise = {"id": "a", "target": "0.9", "unit": "nvlink_domain"}
    if several:
        with pytest.raises(ContractError, match="there are several domains"):
            contract("UTC", resource, availability=[promise])
    else:
        contract("UTC", resource, availability=[promise])
