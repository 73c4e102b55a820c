"""Held time is read in every way, each stretch as a whole: what is owed lies from the least to the most of them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from itertools import pairwise, product
from time import process_time
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract
from weighbridge.judge.ledger import State
from weighbridge.settlement.intervals import Interval, merge, subtraction, union
from weighbridge.settlement.outage_values import (
    MANY,
    JudgedTime,
    OutageRules,
    OutageValue,
    PaidByEvent,
    PaidBySecond,
    StartedMinutes,
    worth_of,
)
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.readings import BadTimes
from weighbridge.settlement.readings import readings as best_readings
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

HOUR, DAY, LATER = 3600, 86400, 4_000_000_000
OCTOBER = calendar_month("2026-10", "UTC")
FIRST = OCTOBER.start_s
BASE = {"base": {"amount": "1000"}, "cap": {"amount": "100000"}}
PAID: dict[str, dict[str, Any]] = {
    "each": {"kind": "per_event", "longer_than_s": "900", "amount": "100", "each": "true"},
    "once": {"kind": "per_event", "longer_than_s": "5400", "amount": "100"},
    "many": {"kind": "per_event", "longer_than_s": "7200", "more_than_events": "1", "amount": "9"},
    "capped": {
        "kind": "outage_multiple",
        "multiple": "10",
        "hour_price": "10",
        "incident_cap": "100",
    },
    "missed": {
        "kind": "per_event",
        "longer_than_s": "900",
        "amount": "100",
        "each": "true",
        "owed_when": "missed",
    },
    "missed-capped": {
        "kind": "outage_multiple",
        "multiple": "10",
        "hour_price": "10",
        "incident_cap": "20",
        "owed_when": "missed",
    },
    "hours": {"kind": "clock_hour", "threshold_s": "1200", "hour_price": "7"},
    "linear": {"kind": "linear_shortfall"} | BASE,
    "steps": {"kind": "increment", "increment_s": "1800", "partial": "floor", "pct": "1"} | BASE,
    "days": {"kind": "daily_rate", "step_s": "3600", "partial": "ceil"} | BASE,
}
COUNTED = ["second", "outage_minutes_ceil", "outage_minutes_floor", "clock_minutes_touched"]


def contract(
    credit: dict[str, Any], promise: dict[str, Any] | None = None, **parts: Any
) -> Contract:
    shared = {"id": "c", "objective": "a", "cap": {"amount": "100000"}}
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "USD",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "2", "per_node": "1"}],
        "availability": [{"id": "a", "target": "0.999"} | (promise or {})],
        "unknown": {"policy": "hold"},
        "credits": [shared | credit],
    }
    return contract_of(document | parts)


def settled(terms: Contract, spans: Sequence[Span], *units: str) -> Settlement:
    return settle(terms, Record(tuple(spans)), OCTOBER, {"a": units or ("n1",)}, LATER)


def readings(spans: Sequence[Span]) -> list[list[Span]]:
    """Each held span down, or up, in every way."""
    held = [one for one in spans if one.state is State.UNKNOWN]
    rest = [one for one in spans if one.state is not State.UNKNOWN]
    return [
        rest
        + [replace(one, state=State.DOWN) for one, bad in zip(held, chosen, strict=True) if bad]
        for chosen in product((True, False), repeat=len(held))
    ]


@st.composite
def timelines(draw: st.DrawFn, units: Sequence[str] = ("n1",)) -> list[Span]:
    """Stretches of minutes side by side or apart, most of them down or unknown; at most five are held."""
    spans: list[Span] = []
    for unit in units:
        at_s = FIRST + draw(st.sampled_from([-HOUR, 0, 5 * DAY, 31 * DAY - 2 * HOUR]))
        for _ in range(draw(st.integers(1, 7))):
            length = draw(st.sampled_from([1, 59, 60, 61, 600, 901, 1800, HOUR, 2 * HOUR]))
            state = draw(st.sampled_from([State.DOWN, State.UNKNOWN, State.UP]))
            if state is not State.UP:
                spans.append(Span(unit, state, at_s, at_s + length))
            at_s += length
    held = [one for one in spans if one.state is State.UNKNOWN]
    return [one for one in spans if one not in held[5:]]


PROMISES = st.fixed_dictionaries(
    {
        "counting": st.fixed_dictionaries(
            {
                "granularity": st.sampled_from(COUNTED),
                "merge_gap_s": st.sampled_from(["0", "60", "600"]),
                "min_outage": st.sampled_from(["none", {"seconds": "60", "op": ">"}]),
            }
        ),
        "first_n_s": st.sampled_from(["0", "300"]),
        "first_n_per": st.sampled_from(["period", "outage"]),
    }
)


@settings(max_examples=60, deadline=None)
@given(timelines(), st.sampled_from(sorted(PAID)), PROMISES)
def test_what_is_owed_lies_from_the_least_to_the_most_of_all_readings(
    spans: list[Span], kind: str, promise: dict[str, Any]
) -> None:
    terms = contract(PAID[kind], promise)
    found = settled(terms, spans)
    exact = promise["counting"]["granularity"] != "clock_minutes_touched"
    each = [settled(terms, reading).highest or 0 for reading in readings(spans)]
    assert found.lowest == min(each)
    assert found.highest is not None
    assert found.highest >= max(each)
    assert found.highest == max(each) or not (exact or "missed" not in kind)


@pytest.mark.parametrize(("middle", "highest"), [(678, "0.00"), (679, "60.00")])
def test_the_most_under_a_missed_objective_is_that_of_a_reading_that_misses_it(
    middle: int, highest: str
) -> None:
    """2,678.4 s may be lost in October: two outages of 1,000 s at 30 each, and time far from them that nobody saw."""
    paid = PAID["missed"] | {"amount": "30"}
    start = FIRST + DAY
    spans = [Span("n1", State.DOWN, at_s, at_s + 1000) for at_s in (start, start + 2000)]
    far = Span("n1", State.UNKNOWN, FIRST + 9 * DAY, FIRST + 9 * DAY + middle)
    assert settled(contract(paid), [*spans, far]).highest == Decimal(highest)


def test_outages_that_are_apart_only_where_the_objective_is_met_earn_as_one() -> None:
    """Apart they are 2,000 s, which is met; with what lies between, which nobody saw, one of 3,000 s."""
    paid = PAID["missed"] | {"amount": "30"}
    start = FIRST + DAY
    spans = [
        Span("n1", State.UNKNOWN if number == 1 else State.DOWN, at_s, at_s + 1000)
        for number, at_s in enumerate(range(start, start + 3000, 1000))
    ]
    found = settled(contract(paid), spans)
    assert (found.lowest, found.highest) == (Decimal("0.00"), Decimal("30.00"))


@settings(max_examples=25, deadline=None)
@given(
    timelines(("n1", "n2")),
    st.sampled_from(sorted(PAID)),
    PROMISES,
    st.sampled_from(["per_unit", "all_of", "pooled"]),
    st.sampled_from(["sum", "max_of"]),
)
def test_no_reading_lies_outside_the_range_whatever_is_judged_together(
    spans: list[Span], kind: str, promise: dict[str, Any], scope: str, rule: str
) -> None:
    credits = [
        {"id": name, "objective": "a", "cap": {"amount": "100000"}} | deepcopy(PAID[name])
        for name in sorted({kind, "linear"})
    ]
    terms = contract({}, promise | {"scope": scope}, credits=credits, stacking={"rule": rule})
    found = settled(terms, spans, "n1", "n2")
    each = [settled(terms, reading, "n1", "n2").highest for reading in readings(spans)]
    assert found.lowest is not None
    assert found.highest is not None
    assert all(one is not None and found.lowest <= one <= found.highest for one in each)


@settings(max_examples=30, deadline=None)
@given(timelines(), st.sampled_from(["linear", "steps", "days", "hours"]), st.integers(0, 60))
def test_more_lost_time_never_costs_less(spans: list[Span], kind: str, minute: int) -> None:
    terms = contract(PAID[kind])
    start = FIRST + 5 * DAY + minute * 60
    lost = Span("n1", State.DOWN, start, start + 600)
    before, after = settled(terms, spans), settled(terms, [*spans, lost])
    assert (before.lowest, before.highest) <= (after.lowest, after.highest)


@st.composite
def rules(draw: st.DrawFn) -> OutageRules:
    """Of time from -20 to 200 what is not excluded is judged; outages begin to matter at 0."""
    excluded = draw(st.lists(st.tuples(st.integers(-20, 200), st.integers(1, 9)), max_size=4))
    judged = subtraction(((-20, 200),), union((at, at + length) for at, length in excluded))
    least = draw(st.integers(0, 9))
    return OutageRules(
        JudgedTime(judged), 0, draw(st.sampled_from([0, 0, 3])), lambda length: length >= least
    )


VALUES: list[Callable[[OutageRules], OutageValue]] = [
    StartedMinutes,
    partial(PaidBySecond, second_price=Fraction(3, 7), cap=None),
    partial(PaidBySecond, second_price=Fraction(3, 7), cap=Fraction(4)),
    partial(PaidByEvent, period_start_s=0, longer_than_s=None),
    partial(PaidByEvent, period_start_s=0, longer_than_s=9),
]


@settings(max_examples=250, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 30) | st.just(60), st.integers(0, 5), st.booleans()),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from([0, -15]),
    st.integers(0, 4),
    rules(),
    st.sampled_from(VALUES),
    st.booleans(),
)
def test_the_outages_are_those_of_a_best_reading(
    drawn: list[tuple[int, int, bool]],
    first: int,
    gap: int,
    judged: OutageRules,
    paid: Callable[[OutageRules], OutageValue],
    most: bool,
) -> None:
    """Tried one by one. Weighed by their bad time too, or where they are many, the best by worth is no other."""
    edges, value = [first], paid(judged)
    for length, apart, _ in drawn:
        edges += [edges[-1] + apart, edges[-1] + apart + length]
    pieces = list(pairwise(edges))[1::2]
    sure = tuple(piece for piece, (_, _, known) in zip(pieces, drawn, strict=True) if known)
    held = tuple(piece for piece in pieces if piece not in sure)

    def together(found: Sequence[Interval]) -> Fraction | int:
        return sum(worth_of(value, one) for one in found)

    every = [
        merge(sorted([*sure, *(one for one, bad in zip(held, chosen, strict=True) if bad)]), gap)
        for chosen in product((True, False), repeat=len(held))
    ]
    best = (max if most else min)(map(together, every))
    found = best_readings(sure, held, gap, value, most=most)
    assert [together(one.outages()) for one in found] == [best]
    assert found[0].outages() in every
    minutes = StartedMinutes(judged)
    bad = BadTimes(lambda outage: int(worth_of(minutes, outage)), minutes)
    assert best_readings(sure, held, gap, value, bad, most=most)[0].worth == best
    with patch("weighbridge.settlement.readings.MOST_PIECES", 0):
        (many,) = best_readings(sure, held, gap, value, bad, most=most)
    assert many.worth == together(many.outages()) == best
    assert many.own_bad_s == sum(worth_of(minutes, one) for one in many.outages())
    assert many.bad_s == max(sum(worth_of(minutes, one) for one in reading) for reading in every)


def test_many_stretches_between_outages_are_read_in_reasonable_time() -> None:
    """A node that flaps a hundred times, and is unseen each time between: 101 outages, or one."""
    spans = [
        Span("n1", State.UNKNOWN if number % 2 else State.DOWN, at_s, at_s + 1000)
        for number, at_s in enumerate(range(FIRST, FIRST + 201_000, 1000))
    ]
    found = settled(contract(PAID["each"]), spans)
    assert found.lowest == 100
    assert found.highest == 10_100
    assert found.results[0].worst.outcome.downtime_s == 201_000


ALL_JUDGED = OutageRules(JudgedTime(((-500, 500),)), 0, 0, lambda length: length >= 60)
TEN = PaidBySecond(ALL_JUDGED, Fraction(1, 10), Fraction(10))


@pytest.mark.parametrize(
    ("value", "outage", "worth"),
    [
        (StartedMinutes(ALL_JUDGED), (7, 66), 0),
        (StartedMinutes(ALL_JUDGED), (7, 67), 60),
        (StartedMinutes(ALL_JUDGED), (7, 68), 120),
        (StartedMinutes(ALL_JUDGED), (-60, 60), 60),
        (TEN, (0, 59), 0),
        (TEN, (0, 99), Fraction(99, 10)),
        (TEN, (0, 100), 10),
        (TEN, (0, 101), 10),
        (TEN, (-40, 59), Fraction(59, 10)),
        (TEN, (-40, 61), 6),
        (PaidByEvent(ALL_JUDGED, 0, 70), (0, 70), 1),
        (PaidByEvent(ALL_JUDGED, 0, 70), (0, 71), 1 + MANY),
        (PaidByEvent(ALL_JUDGED, 0, 70), (-1, 100), 0),
    ],
)
def test_an_outage_is_worth_what_it_is_at_the_edges(
    value: OutageValue, outage: Interval, worth: Fraction | int
) -> None:
    """Of 60 s or more, in a period from 0 on: by started minutes, at 0.1 a second up to 10, by event over 70 s."""
    assert worth_of(value, outage) == worth


def flapping(number: int, *, sure: bool) -> list[Span]:
    """Unseen for a second less than each minute, and, where some is sure, down each other time."""
    return [
        Span("n1", State.DOWN if sure and minute % 2 else State.UNKNOWN, at_s + 1, at_s + 60)
        for minute, at_s in enumerate(range(FIRST, FIRST + number * 60, 60))
    ]


GAP = {"counting": {"merge_gap_s": "30"}}
CEIL = {"counting": {"merge_gap_s": "30", "granularity": "outage_minutes_ceil"}}


@pytest.mark.parametrize(
    ("kind", "promise"),
    [("capped", GAP), ("missed-capped", GAP), ("each", GAP), ("linear", CEIL), ("missed", CEIL)],
)
@pytest.mark.parametrize("sure", [False, True])
def test_a_node_that_flaps_each_minute_is_settled_in_time_that_grows_with_its_stretches(
    kind: str, promise: dict[str, Any], sure: bool
) -> None:
    terms = contract(PAID[kind], promise)

    def cpu_s(number: int) -> float:
        spans, before = flapping(number, sure=sure), process_time()
        settled(terms, spans)
        return process_time() - before

    few, many = (min(cpu_s(number) for _ in range(3)) for number in (500, 2000))
    assert many <= 6 * few, "four times as many; their square would be sixteen times"


def test_the_most_of_many_readings_may_be_too_high_and_says_so() -> None:
    """Two minutes and a minute's pause earn more than all as one, which alone misses the lower target."""
    paid = PAID["missed-capped"] | {"multiple": "60", "incident_cap": "20"}
    few, many = (
        settled(contract(paid, GAP | {"target": target}), flapping(1000, sure=False))
        for target in ("0.9999", "0.98")
    )
    assert few.flags == ()
    assert many.flags == ("highest_of_many_readings",)
    assert many.highest == few.highest


# --- what a minimum hides


def short(number: int, length: int) -> list[Span]:
    return [
        Span("n1", State.DOWN, at_s, at_s + length)
        for at_s in range(FIRST, FIRST + number * 300, 300)
    ]


MINIMUM = {"counting": {"min_outage": {"seconds": "60", "op": ">="}, "merge_gap_s": "0"}}
FLOOR = {"counting": {"granularity": "outage_minutes_floor"}}


@pytest.mark.parametrize("promise", [MINIMUM, FLOOR])
def test_downtime_that_short_outages_hide_is_told(promise: dict[str, Any]) -> None:
    """7,200 outages of 59 s are 4.9 of 31 days, and nothing counts."""
    found = settled(contract(PAID["linear"], promise), short(7200, 59))
    outcome = found.results[0].worst.outcome
    assert (outcome.downtime_s, outcome.hidden_s) == (0, 7200 * 59)
    assert "downtime_uncounted" in found.flags


@pytest.mark.parametrize(
    ("target", "flags"), [("0.9998", ()), ("0.99981", ("downtime_uncounted",))]
)
def test_hidden_downtime_is_told_where_the_target_would_be_missed(
    target: str, flags: tuple[str, ...]
) -> None:
    """9 x 59.52 s would be 0.02 %: 535 s are less than that, and more than 0.019 %."""
    found = settled(contract(PAID["linear"], MINIMUM | {"target": target}), short(9, 59))
    assert Fraction(9 * 59, OCTOBER.seconds) < Fraction(2, 10_000)
    assert found.flags == flags


def test_an_outage_knows_what_of_it_is_held() -> None:
    """An hour down, one that nobody saw; and one that nobody saw alone."""
    spans = [
        Span("n1", State.DOWN, FIRST, FIRST + HOUR),
        Span("n1", State.UNKNOWN, FIRST + HOUR, FIRST + 2 * HOUR),
        Span("n1", State.UNKNOWN, FIRST + DAY, FIRST + DAY + HOUR),
        Span("n1", State.DOWN, FIRST + 2 * DAY, FIRST + 2 * DAY + HOUR),
    ]
    found = settled(contract(PAID["linear"]), spans).results[0].worst.outcome.incidents
    assert [(one.held, one.certain) for one in found] == [
        (((FIRST + HOUR, FIRST + 2 * HOUR),), True),
        (((FIRST + DAY, FIRST + DAY + HOUR),), False),
        ((), True),
    ]
