"""Whatever a contract says of prices and credits, what it owes is what counting its GPUs and months gives."""

from datetime import UTC, datetime
from decimal import localcontext
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.sla.by_the_gpu import earned, fee_of, gpus_of, months_of, shown, unit_of
from tests.weighbridge.sla.terms import text_of
from tests.weighbridge.written import written
from weighbridge.contract import Contract, loaded
from weighbridge.judge.ledger import State
from weighbridge.settlement.periods import Period, calendar_month, calendar_year
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle
from weighbridge.verdict import Verdict

Json = dict[str, Any]
LONG_AFTER_S = 4_000_000_000
HOUR = 3600
DAY = 86400
DECIMALS = {"USD": 2, "JPY": 0, "KWD": 3}
UNITS = ["gpu_hour", "gpu_month", "node_month", "P_month", "P_day", "kW_month", "fixed_month"]
OWN_BASE = ("tiers", "linear_shortfall", "increment")
PERIODS = {"calendar_month": ["2026-02", "2026-10"], "calendar_year": ["2026"]}

amounts = st.integers(0, 10**6).map(lambda cents: f"{cents / 100:.2f}")
ids = st.sampled_from(["r", "s"])


def items_of(draw: st.DrawFn) -> list[Json]:
    return [
        {
            "id": name,
            "accelerator": {"sku": "any"},
            "nodes": draw(st.integers(1, 3)),
            "per_node": draw(st.sampled_from([1, 2, 8])),
            "capacity": {"precision": "fp16", "per_gpu": draw(st.sampled_from(["0.5", "1.25"]))},
        }
        for name in ["r", "s"][: draw(st.integers(1, 2))]
    ]


@st.composite
def prices(draw: st.DrawFn, names: list[str]) -> Json:
    unit = draw(st.sampled_from(UNITS))
    steps = [{"above": "2", "price": draw(amounts)}, {"above": "700", "price": draw(amounts)}]
    rows = [
        {"from": "2026-02-11", "quantity": draw(st.sampled_from(["2", "4"]))},
        {"from": "2026-10-20", "price": draw(amounts)},
    ]
    shape = draw(st.sampled_from(["", "", "steps", "ramp", "schedule"]))
    given_number = unit == "kW_month" or draw(st.booleans())
    return {
        "unit": unit,
        "price": draw(amounts),
        "resource": draw(st.sampled_from([None, *names])),
        "quantity": draw(st.sampled_from(["1", "3", "0.5"])) if given_number else None,
        "steps": steps if shape == "steps" else [],
        "schedule": {"ramp": rows[:1], "schedule": rows}.get(shape, []),
        "steps_hold_for": draw(st.sampled_from(["part", "whole"])),
        "minimum_quantity": draw(
            st.sampled_from([None, None, None if unit == "fixed_month" else "5"])
        ),
        "minimum": draw(st.sampled_from(["0", "0", "500"])),
        "proration": draw(st.sampled_from(["seconds", "none", "days"])),
    }


@st.composite
def credits(draw: st.DrawFn, target: str) -> Json:
    kind = draw(st.sampled_from([*OWN_BASE, "outage_multiple", "clock_hour", "per_event"]))
    of_kind: dict[str, Json] = {
        "tiers": {"tiers": [{"at_or_above": "0", "below": target, "pct": "10"}]},
        "linear_shortfall": {"threshold": draw(st.sampled_from([target, "1"]))},
        "increment": {"increment_s": "3600", "partial": "floor", "pct": "5"},
        "outage_multiple": {"multiple": "2", "hour_price": draw(amounts)},
        "clock_hour": {"threshold_s": "360", "hour_price": draw(amounts)},
        "per_event": {"longer_than_s": "1800", "amount": draw(amounts)},
    }
    cap = st.sampled_from([{}, {"pct": "20"}, {"amount": "50"}, {"pct": "20", "amount": "50"}])
    return of_kind[kind] | {
        "id": "c",
        "objective": "a",
        "kind": kind,
        "base": {"of": draw(st.sampled_from(["unit", "contract"]))},
        "cap": draw(cap),
        "owed_when": draw(st.sampled_from(["missed", "below_threshold"])),
    }


@st.composite
def cases(draw: st.DrawFn) -> Json:
    """Terms, a period, a time of service in it, and one outage."""
    items, target = items_of(draw), draw(st.sampled_from(["0.99", "0.9995"]))
    names = [item["id"] for item in items]
    kind = draw(st.sampled_from(["calendar_month", "calendar_month", "calendar_year"]))
    alone = draw(st.booleans())
    promise = {
        "id": "a",
        "target": target,
        "period": kind,
        "unit": draw(st.sampled_from(["gpu", "node"])),
        "scope": "per_unit" if alone else "all_of",
        "resource": draw(st.sampled_from(names)) if alone or draw(st.booleans()) else None,
    }
    label = draw(st.sampled_from(PERIODS[kind]))
    edges = list(months_of(label))
    period = (edges[0][0], edges[-1][1])
    start = draw(st.sampled_from([period[0], period[0] + DAY, period[0] + 40 * HOUR]))
    end = draw(st.sampled_from([period[1], period[1] - DAY, period[1] - 100]))
    length = draw(st.sampled_from([60, 361, HOUR, 5 * HOUR + 7, 2 * DAY]))
    return {
        "terms": {
            "currency": draw(st.sampled_from(list(DECIMALS))),
            "resources": items,
            "pricing": draw(st.lists(prices(names), min_size=1, max_size=3)),
            "availability": [promise],
            "credits": [draw(credits(target))],
        },
        "label": label,
        "service": (start, end),
        "down": (start + 3000, start + 3000 + length),
    }


def contract_of(terms: Json) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
        "unknown": {"policy": "hold"},
    }
    return loaded(written(text_of(document | terms)))


def period_of(label: str) -> Period:
    return (calendar_month if len(label) > 4 else calendar_year)(label, "UTC")


def settled(case: Json) -> Settlement:
    record = Record(spans=(Span("n1", State.DOWN, *case["down"]),))
    return settle(
        contract_of(case["terms"]),
        record,
        period_of(case["label"]),
        {"a": ["n1"]},
        LONG_AFTER_S,
        case["service"],
    )


@settings(max_examples=120)
@given(cases())
def test_a_credit_and_its_base_are_what_counting_gpus_and_months_gives(case: Json) -> None:
    terms, [promise], [credit] = (
        case["terms"],
        case["terms"]["availability"],
        case["terms"]["credits"],
    )
    every = credit["base"]["of"] == "contract"
    kind = promise["unit"] if promise["scope"] == "per_unit" else ""
    unit = unit_of(terms["resources"], kind, promise["resource"])
    whose = set(gpus_of(terms["resources"])) if every else unit
    base = fee_of(terms, case["label"], case["service"], whose)
    served = case["service"][1] - case["service"][0]
    wanted = earned(credit, Fraction(promise["target"]), base, case["down"], served)
    found = settled(case)
    [result], [line] = found.results, found.results[0].worst.lines
    assert (line.base, line.exact) == (base, wanted["exact"])
    assert result.verdict is (Verdict.BREACHED if wanted["missed"] else Verdict.MET)
    with localcontext() as exactly:
        exactly.prec = 60
        assert found.highest == found.lowest == shown(wanted["exact"], DECIMALS[terms["currency"]])


@settings(max_examples=60)
@given(cases())
def test_nothing_is_owed_without_an_objective_that_is_missed_or_a_term(case: Json) -> None:
    found = settled(case)
    [credit] = case["terms"]["credits"]
    [result] = found.results
    if result.verdict is Verdict.MET and credit["owed_when"] == "missed":
        assert found.highest == 0
    [line] = result.worst.lines
    rests = credit["kind"] in OWN_BASE or credit["cap"].get("pct") is not None
    if result.verdict is Verdict.BREACHED and rests and line.base == 0 and line.earned.breach:
        assert "base_of_zero" in found.flags
    assert sum(due.highest or 0 for due in found.dues) == found.exact[1]


@settings(max_examples=40)
@given(cases())
def test_another_period_s_statement_owes_nothing_of_it(case: Json) -> None:
    other = (
        "2026"
        if len(case["label"]) > 4
        else f"{datetime.fromtimestamp(case['down'][0], UTC):%Y-%m}"
    )
    found = settled(case | {"label": other})
    assert found.exact == (Fraction(0), Fraction(0))
    assert not found.dues
    assert found.flags == ("objective_of_another_period",)
