"""Held time is read in every way, each stretch as a whole: what is owed lies from the least to the most of them."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract
from weighbridge.judge.ledger import State
from weighbridge.settlement.intervals import Interval, merge
from weighbridge.settlement.periods import calendar_month
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


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 5), st.booleans()), min_size=1, max_size=9
    ),
    st.integers(0, 4),
    st.integers(1, 30),
    st.booleans(),
)
def test_the_outages_are_those_of_a_best_reading(
    drawn: list[tuple[int, int, bool]], gap: int, most_worth: int, most: bool
) -> None:
    """Tried one by one: an outage is worth its length up to a limit."""
    edges = [0]
    for length, apart, _ in drawn:
        edges += [edges[-1] + apart, edges[-1] + apart + length]
    pieces = list(pairwise(edges))[1::2]
    sure = tuple(piece for piece, (_, _, known) in zip(pieces, drawn, strict=True) if known)
    held = tuple(piece for piece in pieces if piece not in sure)

    def worth(outage: Interval) -> int:
        return min(most_worth, outage[1] - outage[0])

    def together(found: Sequence[Interval]) -> int:
        return sum(map(worth, found))

    every = [
        together(
            merge(
                sorted([*sure, *(one for one, bad in zip(held, chosen, strict=True) if bad)]), gap
            )
        )
        for chosen in product((True, False), repeat=len(held))
    ]
    found = best_readings(sure, held, gap, lambda one: (worth(one), 0), most=most)
    assert [together(one.outages()) for one in found] == [(max if most else min)(every)]


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
