"""What is true of every settlement and statement: each is raised where it is broken, and never without cause."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.scripted import holders
from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import KnownUnits, Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.intervals import Intervals
from weighbridge.settlement.invariants import (
    BrokenInvariantError,
    check_settlement,
    check_statement,
)
from weighbridge.settlement.parts import Settled, part_of
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import Part, Statement, UnitLine
from weighbridge.settlement.units import Timelines, joined_rows

SECOND = 1_000_000
HOUR, DAY = 3600, 86400
MAY = calendar_month("2026-05", "UTC")
HALF = MAY.start_s + 15 * DAY
TERMS: dict[str, Any] = {
    "contract_id": "K",
    "effective": "2026-01-01T00:00:00Z",
    "time_zone": "UTC",
    "currency": "CNY",
    "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
    "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
    "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"}],
    "availability": [{"id": "a", "target": "0.999"}],
    "unknown": {"policy": "hold"},
    "pricing": [{"unit": "gpu_hour", "price": "1"}],
    "pay_only_healthy": "true",
    "stacking": {"cap": {"amount": "60"}},
    "credits": [
        {
            "id": "c",
            "objective": "a",
            "kind": "outage_multiple",
            "hour_price": "1",
            "multiple": "10",
            "incident_cap": "30",
            "cap": {"pct": "90", "amount": "50"},
            "base": {"amount": "100"},
        }
    ],
    "liquidated_damages": [
        {"id": "d", "trigger": "non_delivery", "side": "provider", "flat_pct": "1", "cap_pct": "9"}
    ],
}


def version(**more: Any) -> Version:
    text = json.dumps(TERMS | more)
    return Version(load(text), text, 0, 4_000_000_000 * SECOND)


def settled(version: Version, part: Period = MAY, kind: type[Settled] = Settled) -> Settled:
    """Two hours down: 20.00 of 30.00 for the outage, of 50.00 for the period."""
    record = Record((Span("n1", State.DOWN, part.start_s + HOUR, part.start_s + 3 * HOUR),))
    units = {"a": ("n1",)}
    found = settle(version.contract, record, part, units, MAY.end_s, whole=MAY)
    known = joined_rows([], MAY.end_s * SECOND, MAY.end_s * SECOND, MAY.interval_s, 0)
    served = part.interval_s
    there = Timelines({}, {}, {})
    weighed = KnownUnits(there, there, there, record, units)
    return kind(version, MAY, part, served, found, record, units, weighed, {}, known, served)


def stated(*ruled: Settled) -> Statement:
    as_of_us = (MAY.end_s + 6 * DAY) * SECOND
    drafted = draft([ruled[0].version], holders(["n1"]), [], Notices(), MAY, as_of_us)
    parts = tuple(map(part_of, ruled))
    return replace(drafted, parts=parts, lowest="20.00", highest="20.00")


def broken(check: Callable[[], None]) -> BrokenInvariantError:
    with pytest.raises(BrokenInvariantError) as raised:
        check()
    assert (raised.value.contract, raised.value.period) == ("K", "2026-05")
    assert raised.value.invariant in str(raised.value)
    return raised.value


# --- of a settlement


def with_outcome(found: Settlement, **changes: Any) -> Settlement:
    (result,) = found.results
    measured = replace(result.measure, high=replace(result.measure.high, **changes))
    return replace(found, results=(replace(result, measure=measured),))


def with_measure(found: Settlement, **changes: Any) -> Settlement:
    (result,) = found.results
    return replace(found, results=(replace(result, measure=replace(result.measure, **changes)),))


def with_credit(found: Settlement, exact: str) -> Settlement:
    (result,) = found.results
    (line,) = result.worst.lines
    worst = replace(result.worst, lines=(replace(line, exact=Fraction(exact)),))
    return replace(found, results=(replace(result, worst=worst),))


def with_other(found: Settlement, **changes: Any) -> Settlement:
    (line,) = found.results[0].worst.lines
    return replace(found, others=(replace(line, **changes),))


@pytest.mark.parametrize(
    ("invariant", "place", "breaks"),
    [
        ("0 <= availability <= 1", ("a", "n1"), lambda one: with_outcome(one, downtime_s=-1)),
        ("0 <= availability <= 1", ("a", "n1"), lambda one: with_outcome(one, denominator_s=7199)),
        ("0 <= availability <= 1", ("a", "n1"), lambda one: with_outcome(one, excluded_s=-1)),
        ("0 <= availability <= 1", ("a", "n1"), lambda one: with_measure(one, unknown_s=-1)),
        ("0 <= credit <= cap", ("c", "n1"), lambda one: with_credit(one, "-1/100")),
        ("0 <= credit <= cap", ("c", "n1"), lambda one: with_credit(one, "3001/100")),
        ("0 <= credit <= cap", ("d", "A"), lambda one: with_other(one, credit="d", unit="A")),
        (
            "0 <= total <= cap of all credits",
            ("", ""),
            lambda one: replace(one, highest=Decimal("60.01")),
        ),
        (
            "0 <= total <= cap of all credits",
            ("", ""),
            lambda one: replace(one, lowest=Decimal("-0.01")),
        ),
    ],
)
def test_a_settlement_that_contradicts_itself_is_refused(
    invariant: str, place: tuple[str, str], breaks: Callable[[Settlement], Settlement]
) -> None:
    one = settled(version())
    check_settlement(one.contract, one.settlement)
    error = broken(lambda: check_settlement(one.contract, breaks(one.settlement)))
    assert (error.invariant, (error.objective, error.unit)) == (invariant, place)


@pytest.mark.parametrize(
    ("cap", "incident", "amount", "holds"),
    [
        ({"pct": "20"}, "none", "20", True),
        ({"pct": "19.99"}, "none", "20", False),
        ({"amount": "20"}, "none", "20", True),
        ({"amount": "19.99"}, "none", "20", False),
        ({"amount": "99"}, "20", "20", True),
        ({"amount": "99"}, "19.99", "20", False),
    ],
)
def test_a_credit_may_reach_each_of_its_caps_and_not_pass_it(
    cap: dict[str, str], incident: str, amount: str, *, holds: bool
) -> None:
    """Settled under one contract, and held against the same with another cap."""
    credit = TERMS["credits"][0] | {"cap": cap, "incident_cap": incident}
    other, found = version(credits=[credit]).contract, settled(version()).settlement
    if holds:
        check_settlement(other, found)
    else:
        assert broken(lambda: check_settlement(other, found)).numbers["credit"] == Fraction(amount)


# --- of a statement


class Overlapping(Settled):
    @property
    def not_up(self) -> dict[tuple[str, str], dict[State, Intervals]]:
        return {("a", "n1"): {State.DOWN: ((0, 10),), State.UNKNOWN: ((9, 12),)}}


class Beyond(Settled):
    @property
    def not_up(self) -> dict[tuple[str, str], dict[State, Intervals]]:
        return {("a", "n1"): {State.DOWN: ((MAY.end_s - 1, MAY.end_s + 1),)}}


class Disordered(Settled):
    @property
    def not_up(self) -> dict[tuple[str, str], dict[State, Intervals]]:
        later, sooner = ((MAY.start_s + edge, MAY.start_s + edge + 1) for edge in (9, 0))
        return {("a", "n1"): {State.DOWN: (later, sooner)}}


@pytest.mark.parametrize("kind", [Overlapping, Beyond, Disordered])
def test_times_that_overlap_leave_service_or_come_out_of_order_are_refused(
    kind: type[Settled],
) -> None:
    one, told = settled(version()), settled(version(), kind=kind)
    check_statement(stated(one), [one])
    error = broken(lambda: check_statement(stated(one), [told]))
    assert error.invariant == "intervals in order, apart, in service"


def unit(**changes: Any) -> Callable[[Part], Part]:
    def changed(part: Part) -> Part:
        (line,) = part.units
        return replace(part, units=(replace(line, **changes),))

    return changed


def first(name: str, **changes: Any) -> Callable[[Part], Part]:
    def changed(part: Part) -> Part:
        told: dict[str, Any] = {name: (replace(getattr(part, name)[0], **changes),)}
        return replace(part, **told)

    return changed


def credit(**changes: Any) -> Callable[[Part], Part]:
    def changed(part: Part) -> Part:
        line: UnitLine = part.units[0]
        return unit(credits=(replace(line.credits[0], **changes),))(part)

    return changed


WHOLE_S = MAY.seconds
ADD_UP = "seconds by state add up to service"


@pytest.mark.parametrize(
    ("invariant", "breaks"),
    [
        (ADD_UP, unit(seconds={"down": 7200, "up": WHOLE_S - 7201})),
        (ADD_UP, unit(seconds={"down": 7200, "up": WHOLE_S - 7199})),
        (ADD_UP, unit(seconds={"down": WHOLE_S + 1, "up": -1})),
        (ADD_UP, unit(service_seconds=WHOLE_S - 1)),
        ("lowest availability <= highest", unit(availability=("0.990000001", "0.990000000"))),
        ("lowest availability <= highest", unit(counted_seconds=(7201, 7200))),
        ("0 <= lowest credit <= highest", credit(lowest="20.01")),
        ("0 <= lowest credit <= highest", credit(lowest="-0.01")),
        ("0 <= lowest due <= highest", first("dues", lowest="20.01")),
        ("0 <= lowest due of what was earned <= highest", first("dues", earned="19.99")),
        ("0 <= net = gross - unbilled", first("fees", net="743.98")),
        ("0 <= net = gross - unbilled", first("fees", unbilled="744.01", net="-0.01")),
        ("0 <= healthy <= reporting", first("delivery", healthy_gpu_seconds=1)),
        ("0 <= healthy <= reporting", first("delivery", healthy_gpu_seconds=-1)),
    ],
)
def test_a_statement_that_contradicts_itself_is_refused(
    invariant: str, breaks: Callable[[Part], Part]
) -> None:
    one = settled(version())
    sound = stated(one)
    check_statement(sound, [one])
    told = replace(sound, parts=(breaks(sound.parts[0]),))
    assert broken(lambda: check_statement(told, [one])).invariant == invariant


@pytest.mark.parametrize(
    ("lowest", "highest", "invariant"),
    [
        ("20.01", "20.00", "0 <= lowest total <= highest"),
        ("-0.01", "20.00", "0 <= lowest total <= highest"),
        ("20.00", "60.01", "total <= cap of all credits"),
    ],
)
def test_a_total_out_of_order_or_over_the_cap_is_refused(
    lowest: str, highest: str, invariant: str
) -> None:
    one = settled(version())
    check_statement(replace(stated(one), highest="60.00"), [one])
    told = replace(stated(one), lowest=lowest, highest=highest)
    assert broken(lambda: check_statement(told, [one])).invariant == invariant


@pytest.mark.parametrize("edges", [(HALF - 1, HALF), (HALF, HALF - 1), (HALF, HALF + 1)])
def test_parts_that_leave_a_second_out_or_judge_one_twice_are_refused(
    edges: tuple[int, int],
) -> None:
    parts = Period("2026-05", MAY.start_s, edges[0]), Period("2026-05", edges[1], MAY.end_s)
    ruled = [settled(version(), part) for part in parts]
    error = broken(lambda: check_statement(stated(*ruled), ruled))
    assert error.invariant == "parts tile the period"


def test_service_outside_its_part_is_refused() -> None:
    one = settled(version())
    for served in ((MAY.start_s - 1, MAY.end_s), (MAY.start_s, MAY.end_s + 1)):
        outside = replace(one, served=served)
        error = broken(partial(check_statement, stated(outside), [outside]))
        assert error.invariant == "service lies in its part"


@pytest.mark.parametrize(("amount", "holds"), [("40", True), ("39.99", False)])
def test_parts_together_may_reach_the_cap_of_a_period_and_not_pass_it(
    amount: str, *, holds: bool
) -> None:
    """Twice 20.00, each settled as if it were alone."""
    capped = version(credits=[TERMS["credits"][0] | {"cap": {"amount": amount}}])
    parts = Period("2026-05", MAY.start_s, HALF), Period("2026-05", HALF, MAY.end_s)
    ruled = [settled(capped, part) for part in parts]
    if holds:
        check_statement(stated(*ruled), ruled)
    else:
        error = broken(lambda: check_statement(stated(*ruled), ruled))
        assert error.invariant == "credits of all parts <= cap"


# --- and never without cause


def row(start: int, end: int, state: State) -> Row:
    start_us, end_us = ((MAY.start_s + edge) * SECOND for edge in (start, end))
    return Row("K", "n1", 0, "GPU", "chain", start_us, end_us, state, "", end_us)


def drafted(rows: list[Row], *versions: Version) -> Statement:
    every = [row(0, MAY.seconds, State.UP), *rows]
    as_of_us = (MAY.end_s + 6 * DAY) * SECOND
    return draft(versions, holders(["n1"]), every, Notices(), MAY, as_of_us)


JOINED = [
    row(HOUR, HOUR + 61, State.DOWN),
    row(HOUR + 61, HOUR + 62, State.CONTESTED),
    row(HOUR + 62, HOUR + 123, State.DOWN),
]
"""One outage of 123 seconds if the second that is contested is down, and two of 61 if it is up."""


@lru_cache
def judged(granularity: str = "second", **credit: str) -> Version:
    objective = {
        "id": "a",
        "target": "0.9999",
        "counting": {"granularity": granularity, "merge_gap_s": "0"},
    }
    terms = {"id": "c", "objective": "a", "cap": {"amount": "1000"}, "base": {"amount": "9000000"}}
    return version(availability=[objective], credits=[terms | credit], stacking={})


def test_two_outages_that_are_rounded_up_may_count_for_more_than_the_one_that_they_would_be() -> (
    None
):
    found = drafted(JOINED, judged("outage_minutes_ceil", kind="linear_shortfall"))
    (line,) = found.parts[0].units
    assert line.counted_seconds == (180, 240)
    shares = [str(1 - Fraction(seconds, MAY.seconds)) for seconds in (240, 180)]
    assert line.availability_fraction == tuple(shares)
    assert [outage.seconds_in_period for outage in line.outages] == [61, 61]


def test_an_amount_for_so_many_outages_is_a_range_though_the_worse_reading_has_fewer() -> None:
    """More than one outage is paid 20: there are two of them only if what is contested was up."""
    paid = {"kind": "per_event", "longer_than_s": "900", "more_than_events": "1", "amount": "20"}
    found = drafted(JOINED, judged(**paid))
    (line,), (due,) = found.parts[0].units[0].credits, found.parts[0].dues
    assert [(one.lowest, one.highest) for one in (line, due, found)] == [("0.00", "20.00")] * 3
    assert due.earned == "20.00"
    assert line.formula.arguments["trigger"] == "event_count"


KINDS: list[dict[str, str]] = [
    {"kind": "linear_shortfall"},
    {"kind": "per_event", "longer_than_s": "60", "amount": "20", "each": "true"},
    {"kind": "per_event", "longer_than_s": "900", "amount": "20", "more_than_events": "2"},
    {"kind": "outage_multiple", "hour_price": "90", "multiple": "9", "incident_cap": "30"},
]
stretches = st.tuples(
    st.sampled_from([1, 59, 60, 61, 299, 300, 4000]),
    st.sampled_from([State.DOWN, State.DOWN, State.CONTESTED, State.UP]),
)


@settings(max_examples=40)
@given(
    st.lists(stretches, max_size=8),
    st.sampled_from(["second", "outage_minutes_ceil", "clock_minutes_full"]),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_no_statement_of_held_time_contradicts_itself(
    told: list[tuple[int, State]], granularity: str, kind: dict[str, str], split: bool
) -> None:
    rows, at = [], 15 * DAY - 300
    for length, state in told:
        rows.append(row(at, at + length, state))
        at += length
    one = judged(granularity, **kind)
    versions = [replace(one, until_us=HALF * SECOND), replace(one, from_us=HALF * SECOND)]
    found = drafted(rows, *(versions if split else [one]))
    assert len(found.parts) == (2 if split else 1)
