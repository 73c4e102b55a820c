"""When a credit is owed, in which statement, and what limits it. Amounts are worked out by hand."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.written import contract_of, loaded, written
from weighbridge.catalogue.currencies import currencies
from weighbridge.contract import Contract, explain
from weighbridge.contract import loaded as of_the_log
from weighbridge.contract.objectives import PeriodKind
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import Holder
from weighbridge.settlement.case import Notices, so_far_since_s
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import (
    Period,
    calendar_month,
    calendar_year,
    contract_month,
    day_start,
    instant_text,
    months_later,
    periods_within,
)
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Record, Span, ToldEvent
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import Statement
from weighbridge.settlement.worth import to_next_tier_s
from weighbridge.verdict import Verdict

SECOND = 1_000_000
HOUR = 3600
DAY = 86400
OCTOBER = calendar_month("2026-10", "UTC")
YEAR = calendar_year("2026", "UTC")
TERM = (OCTOBER.start_s - 273 * DAY, OCTOBER.start_s + 457 * DAY)
LONG_AFTER_S = 4_000_000_000
TIERS = {
    "kind": "tiers",
    "tiers": [
        {"at_or_above": "0.99", "below": "0.995", "pct": "10"},
        {"at_or_above": "0", "below": "0.99", "pct": "30"},
    ],
}
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "USD",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
    "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"}],
    "availability": [{"id": "a", "target": "0.995"}],
    "unknown": {"policy": "hold"},
}


def terms(credit: dict[str, Any] | None = None, **more: Any) -> Contract:
    own = {} if credit is None else {"credits": [{"id": "c", "objective": "a"} | credit]}
    return contract_of(TERMS | own | more)


def settled(
    contract: Contract, down_s: int, period: Period = OCTOBER, events: tuple[ToldEvent, ...] = ()
) -> Settlement:
    """Of one node that is down for so long, from an hour after midnight of 5 October on."""
    start_s = OCTOBER.start_s + 4 * DAY + HOUR
    spans = (Span("n1", State.DOWN, start_s, start_s + down_s),) if down_s else ()
    units = {one.id: ["n1"] for one in contract.availability}
    return settle(contract, Record(spans=spans, events=events), period, units, LONG_AFTER_S)


def of_line(found: Settlement) -> object:
    return found.results[0].worst.lines[0].amount


ALLOWED = OCTOBER.seconds * 5 // 1000
"""Seconds that a target of 99.5 % allows in October; one more misses it."""

OWN_TERMS = [
    ({"kind": "linear_shortfall", "threshold": "1", "base": {"amount": "26784"}}, ALLOWED / 100),
    ({"kind": "outage_multiple", "multiple": "1", "hour_price": "36"}, ALLOWED / 100),
    ({"kind": "clock_hour", "threshold_s": "360", "hour_price": "10"}, 40),
    (
        {"kind": "increment", "increment_s": "1800", "partial": "floor", "pct": "5"}
        | {"base": {"amount": "100"}},
        35,
    ),
]
"""Credits whose own terms are fulfilled by the downtime that the target allows, and what they are worth."""


@pytest.mark.parametrize(("credit", "worth"), OWN_TERMS)
def test_a_credit_of_an_objective_that_is_met_needs_the_term(
    credit: dict[str, Any], worth: float
) -> None:
    """At the target itself nothing is missed; a second more misses it."""
    plain, anyway = terms(credit), terms(credit | {"owed_when": "below_threshold"})
    met, missed = settled(plain, ALLOWED), settled(plain, ALLOWED + 1)
    assert (of_line(met), met.results[0].verdict) == (0, Verdict.MET)
    assert missed.results[0].verdict is Verdict.BREACHED
    assert of_line(missed)
    owed = settled(anyway, ALLOWED)
    assert (of_line(owed), owed.results[0].verdict) == (Decimal(str(worth)), Verdict.MET)


def test_an_event_that_is_paid_for_is_a_miss_unless_the_share_alone_is() -> None:
    event = {"kind": "per_event", "longer_than_s": "60", "amount": "7"}
    for own, owed, verdict in (
        ({}, 7, Verdict.BREACHED),
        ({"owed_when": "missed"}, 0, Verdict.MET),
    ):
        found = settled(terms(event | own), 61)
        assert (of_line(found), found.results[0].verdict) == (owed, verdict)
    assert of_line(settled(terms(event | {"owed_when": "missed"}), ALLOWED + 1)) == 7


def test_an_outage_that_has_its_own_cap_is_paid_for_by_itself() -> None:
    each = {"kind": "outage_multiple", "multiple": "10", "hour_price": "10", "incident_cap": "70"}
    found = settled(terms(each), HOUR)
    assert (of_line(found), found.results[0].verdict) == (70, Verdict.MET)
    assert of_line(settled(terms(each | {"owed_when": "missed"}), HOUR)) == 0
    assert of_line(settled(terms(each | {"incident_cap": "none"}), HOUR)) == 0


@pytest.mark.parametrize("cap", [{}, {"cap": "none"}, {"cap": {}}])
def test_what_no_cap_is_written_for_is_not_capped(cap: dict[str, Any]) -> None:
    hours = {"kind": "clock_hour", "threshold_s": "360", "hour_price": "10"}
    steps = {"kind": "increment", "increment_s": "3600", "partial": "floor", "pct": "5"}
    assert settled(terms(hours | cap), DAY).highest == 240
    assert settled(terms(steps | {"base": {"amount": "100"}} | cap), DAY).highest == 120
    assert settled(terms(hours | {"cap": {"amount": "239"}}), DAY).highest == 239


def test_a_contract_without_caps_prints_as_it_loads() -> None:
    hours = {"kind": "clock_hour", "threshold_s": "360", "hour_price": "10"}
    uncapped = terms(hours, stacking={"cap": {}})
    assert of_the_log(explain(uncapped)) == uncapped
    assert settled(uncapped, DAY).highest == 240


def test_a_base_of_zero_says_so() -> None:
    free = terms(TIERS | {"base": {"amount": "0"}})
    assert settled(free, DAY).flags == ("base_of_zero",)
    assert settled(free, ALLOWED).flags == ()
    assert settled(terms(TIERS | {"base": {"amount": "1"}}), DAY).flags == ()


def test_a_contract_of_the_log_whose_base_no_price_gives_says_so() -> None:
    """It was accepted once, and is refused where it is agreed on."""
    items = [
        {"id": name, "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"} for name in "rs"
    ]
    parts: dict[str, Any] = {
        "resources": items,
        "pricing": [{"unit": "node_month", "price": "100", "resource": "s"}],
        "availability": [{"id": "a", "target": "0.995", "resource": "r"}],
        "credits": [{"id": "c", "objective": "a"} | TIERS],
    }
    found = settled(of_the_log(written(TERMS | parts)), DAY)
    assert (found.highest, found.flags) == (Decimal(0), ("base_of_zero",))


# Rounded shares


def rounded_terms(target: str, decimals: int, mode: str = "half_up", **more: Any) -> Contract:
    rows = [{"at_or_above": "0", "below": target, "pct": "10"}]
    rule = {"decimals": str(decimals), "mode": mode}
    credit = {"kind": "tiers", "tiers": rows, "round_share": rule, "base": {"amount": "100"}}
    return terms(credit | more, availability=[{"id": "a", "target": target}])


@pytest.mark.parametrize(
    ("mode", "down_s"), [("half_up", 14731), ("half_even", 14731), ("down", 13392)]
)
def test_a_rounded_share_is_compared_everywhere_and_once(mode: str, down_s: int) -> None:
    """To the nearest, what is just above 99.45 % is 99.5 %; rounded down, 99.5 % is the least that is."""
    contract = rounded_terms("0.995", 1, mode)
    met, missed = settled(contract, down_s), settled(contract, down_s + 1)
    assert (met.highest, met.results[0].verdict) == (Decimal(0), Verdict.MET)
    assert (missed.highest, missed.results[0].verdict) == (Decimal(10), Verdict.BREACHED)


@settings(max_examples=60)
@given(
    down_s=st.integers(0, 30000),
    target=st.sampled_from(["0.995", "0.9995", "0.99"]),
    decimals=st.integers(0, 3),
    mode=st.sampled_from(["half_up", "half_even", "down"]),
)
def test_a_rounded_share_always_has_an_answer(
    down_s: int, target: str, decimals: int, mode: str
) -> None:
    found = settled(rounded_terms(target, decimals, mode), down_s)
    breached = found.results[0].verdict is Verdict.BREACHED
    assert (found.highest, breached) in ((Decimal(10), True), (Decimal(0), False))


def test_what_is_left_to_the_next_tier_is_as_the_share_is_compared() -> None:
    contract = rounded_terms("0.995", 1)
    found = statement([Version(contract, explain(contract), 0, LONG_AFTER_S * SECOND)])
    left = to_next_tier_s(contract, found)
    assert left is not None
    assert settled(contract, left).results[0].verdict is Verdict.MET
    assert settled(contract, left + 1).results[0].verdict is Verdict.BREACHED


# Objectives of other periods

MONTH_OF_CONTRACT = contract_month("2026-10-01", "UTC", TERM)
HOME = {
    "calendar_month": OCTOBER,
    "calendar_year": YEAR,
    "contract_month": MONTH_OF_CONTRACT,
}


@pytest.mark.parametrize("kind", list(HOME))
@pytest.mark.parametrize("asked", list(HOME))
def test_an_objective_is_judged_and_paid_in_its_own_period_s_statement_alone(
    kind: str, asked: str
) -> None:
    credit = TIERS | {"base": {"amount": "100"}}
    contract = terms(credit, availability=[{"id": "a", "target": "0.995", "period": kind}])
    found = settled(contract, 4 * DAY, HOME[asked])
    [result] = found.results
    if kind == asked:
        assert result.verdict is Verdict.BREACHED
        assert found.highest == 30
        assert found.flags == ()
    else:
        assert (result.so_far, result.verdict, found.highest) == (True, Verdict.UNKNOWN, Decimal(0))
        assert found.flags == ("objective_of_another_period",)
        assert not found.dues


@pytest.mark.parametrize(
    ("beside", "month"),
    [
        (None, "calendar_month"),
        ("calendar_month", "calendar_month"),
        ("contract_month", "contract_month"),
        ("calendar_year", "calendar_month"),
    ],
)
def test_a_moving_window_is_judged_in_the_month_that_is_billed(
    beside: str | None, month: str
) -> None:
    moving = {"id": "a", "target": "0.995", "period": "rolling", "window_s": str(2 * DAY)}
    others = [{"id": "b", "target": "0.5", "period": beside}] if beside else []
    contract = terms(TIERS | {"base": {"amount": "100"}}, availability=[moving, *others])
    judged = [kind for kind, period in HOME.items() if settled(contract, DAY, period).highest == 30]
    assert judged == [month]


def test_what_has_no_period_of_its_own_is_paid_by_the_month_and_not_again_by_the_year() -> None:
    lost = {"id": "l", "kind": "lost_work", "event": "crash", "cap_s": "3600", "hour_price": "5"}
    at_s = OCTOBER.start_s + DAY
    crash = ToldEvent("crash", at_s, "n1", {}, at_s - HOUR, at_s)
    contract = terms(credits=[lost])
    assert settled(contract, 0, OCTOBER, (crash,)).highest == 5
    assert settled(contract, 0, YEAR, (crash,)).highest == 0


def test_a_year_s_promise_is_shown_so_far_in_a_month_s_statement() -> None:
    promises = [
        {"id": "a", "target": "0.995"},
        {"id": "y", "target": "0.995", "period": "calendar_year"},
    ]
    right = {"objective": "y", "missed": "1", "of_periods": "1"}
    rights = [right, right | {"objective": "a"}]
    file = written(TERMS | {"availability": promises, "exit_rights": rights})
    found = statement([Version(loaded(file), file, 0, LONG_AFTER_S * SECOND)], down=DAY)
    assert found.currencies == currencies().published
    shown = {line.objective: line.verdict for line in found.parts[0].units}
    assert shown == {"a": "BREACHED", "y": "SO_FAR"}
    assert [one.objective for one in found.exits] == ["a"]


def test_a_year_s_promise_is_counted_from_the_first_day_of_the_year_that_its_version_rules() -> (
    None
):
    """Three days down in March, one in October; from July on another version rules."""
    promises = [
        {"id": "a", "target": "0.995"},
        {"id": "y", "target": "0.995", "period": "calendar_year"},
    ]
    file = written(TERMS | {"availability": promises})
    march, july = (calendar_month(f"2026-{month}", "UTC").start_s for month in ("03", "07"))
    rows = [
        row(YEAR.start_s, OCTOBER.end_s, State.UP),
        row(march, march + 3 * DAY, State.DOWN),
        row(OCTOBER.start_s, OCTOBER.start_s + DAY, State.DOWN),
    ]
    one = Version(loaded(file), file, 0, LONG_AFTER_S * SECOND)
    two = [replace(one, until_us=july * SECOND), replace(one, from_us=july * SECOND)]
    for versions, since_s, lost in (([one], YEAR.start_s, 4 * DAY), (two, july, DAY)):
        told = draft(
            versions,
            (Holder("n1", None, 0),),
            rows,
            Notices(),
            OCTOBER,
            (OCTOBER.end_s + 40 * DAY) * SECOND,
        ).parts[0]
        lines = {line.objective: line for line in told.units}
        assert lines["a"].counted_seconds == (DAY, DAY)
        assert lines["y"].counted_seconds == (lost, lost)
        assert lines["y"].service_seconds == OCTOBER.end_s - since_s
        assert lines["y"].seconds["down"] == lost
        assert lines["y"].verdict == "SO_FAR"


@pytest.mark.parametrize(("label", "since"), [("2026-12-15", "2027"), ("2026-11-15", "2026")])
def test_a_month_over_new_year_shows_the_year_in_which_it_ends(label: str, since: str) -> None:
    own = {"id": "a", "target": "0.995", "period": "calendar_year"}
    contract = contract_of(TERMS | {"availability": [own]})
    start = date.fromisoformat(label)
    edges = [day_start(day, "UTC") for day in (start, months_later(start, 1))]
    assert so_far_since_s(contract, Period(label, *edges)) == calendar_year(since, "UTC").start_s


def test_probes_are_judged_by_the_month_that_is_billed() -> None:
    perf = {"id": "p", "probe": "x", "threshold": "1", "of_reference": "false", "op": ">="}
    perf |= {"missing": "excluded", "target": "0.9", "slice_s": "300"}
    contract = terms(
        performance=[perf],
        credits=[
            {"id": "c", "objective": "p", "base": {"amount": "100"}, "kind": "tiers"}
            | {"tiers": [{"at_or_above": "0", "below": "0.9", "pct": "10"}]}
        ],
    )
    record = Record(probes={"p": (Samples(10, Fraction(0)),)})
    owed = [
        settle(contract, record, period, {"a": ["n1"]}, LONG_AFTER_S).highest
        for period in (OCTOBER, YEAR)
    ]
    assert owed == [10, 0]


# A statement over an amendment


def statement(
    versions: list[Version], down: int = 0, again: int = 0, period: Period = OCTOBER
) -> Statement:
    """One node, down from the start of 5 October and of 20 October on."""
    rows = [row(period.start_s, period.end_s, State.UP)]
    for day, length in ((4, down), (19, again)):
        if length:
            start_s = period.start_s + day * DAY
            rows.append(row(start_s, start_s + length, State.DOWN))
    as_of_us = (period.end_s + 40 * DAY) * SECOND
    return draft(versions, (Holder("n1", None, 0),), rows, Notices(), period, as_of_us)


def row(start_s: int, end_s: int, state: State) -> Row:
    end_us = end_s * SECOND
    return Row("K", "n1", 0, "", "chain", start_s * SECOND, end_us, state, "", end_us)


@settings(max_examples=25)
@given(
    cents=st.integers(1, 10**5),
    day=st.integers(5, 18),
    mode=st.sampled_from(["half_up", "half_even", "down"]),
)
def test_one_invoice_is_rounded_once_whatever_amendment_splits_it(
    cents: int, day: int, mode: str
) -> None:
    """An amendment that changes nothing changes no amount: both halves are missed, as the whole is."""
    parts: dict[str, Any] = {
        "pricing": [{"unit": "node_month", "price": f"{cents / 100:.2f}"}],
        "credits": [
            {"id": "c", "objective": "a", "kind": "tiers"}
            | {"tiers": [{"at_or_above": "0", "below": "0.995", "pct": "10"}]}
        ],
        "rounding": {"place": "invoice", "mode": mode},
    }
    edge_s = OCTOBER.start_s + day * DAY
    later = {"version": "2", "supersedes": "1", "effective": instant_text(edge_s)}
    one, two = written(TERMS | parts), written(TERMS | parts | later)
    whole = statement([Version(loaded(one), one, 0, LONG_AFTER_S * SECOND)], DAY, DAY)
    split = [
        Version(loaded(one), one, 0, edge_s * SECOND),
        Version(loaded(two), two, edge_s * SECOND, LONG_AFTER_S * SECOND),
    ]
    assert statement(split, DAY, DAY).highest == whole.highest


def test_the_periods_of_every_kind_that_an_instant_lies_in() -> None:
    """Those that touch it at a border alone are none of them."""
    contract = terms(
        availability=[
            {"id": "a", "target": "0.995", "period": "calendar_year"},
            {"id": "b", "target": "0.995", "period": "contract_month"},
            {"id": "c", "target": "0.995", "period": "rolling", "window_s": "86400"},
        ],
        term={"from": "2026-01-05T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
        effective="2026-01-05T00:00:00Z",
    )
    assert contract.statements_over == ("contract_month", "calendar_year")
    month = contract_month("2026-10-05", "UTC", (TERM[0] + 4 * DAY, TERM[1]))
    found: dict[PeriodKind, list[str]] = {
        "contract_month": ["2026-10-05"],
        "calendar_month": ["2026-10", "2026-11"],
        "calendar_year": ["2026"],
    }
    for kind, labels in found.items():
        assert [one.label for one in periods_within(kind, contract, *month.interval_s)] == labels
    edges = (YEAR.end_s - 1, YEAR.end_s + 1)
    years = [one.label for one in periods_within("calendar_year", contract, *edges)]
    assert years == ["2026", "2027"]
