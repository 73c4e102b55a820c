"""A window that moves, inside a settlement. Figures are worked out by hand in the tests."""

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.contract import Contract, ContractError, load
from weighbridge.judge.ledger import State
from weighbridge.settlement.availability import Outcome
from weighbridge.settlement.intervals import union
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.record import Record, Span, Window
from weighbridge.settlement.rolling import Rolling
from weighbridge.settlement.settle import settle

JUNE = calendar_month("2026-06", "UTC")
DAY = 86400
TEN_DAYS = 10 * DAY
LATER = JUNE.end_s + 400 * DAY


def contract(
    term_from: str = "2026-01-01T00:00:00Z",
    maintenance: dict[str, str] | None = None,
    **promise: Any,
) -> Contract:
    tiers = [
        {"at_or_above": "0.99", "below": "0.999", "pct": "10"},
        {"at_or_above": "0", "below": "0.99", "pct": "25"},
    ]
    moving = {"id": "a", "target": "0.999", "period": "rolling", "window_s": str(TEN_DAYS)}
    document = {
        "contract_id": "K",
        "effective": term_from,
        "time_zone": "UTC",
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": term_from, "to": "2027-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "2", "per_node": "8"}],
        "availability": [moving | promise],
        "unknown": {"policy": "hold"},
        "credits": [
            {
                "id": "c",
                "objective": "a",
                "kind": "tiers",
                "tiers": tiers,
                "base": {"amount": "10000"},
            }
        ],
    }
    given = {} if maintenance is None else {"maintenance": maintenance}
    return load(json.dumps(document | given))


def down(start: int, seconds: int, unit: str = "n1", state: State = State.DOWN) -> Span:
    return Span(unit, state, JUNE.start_s + start, JUNE.start_s + start + seconds)


def outcome(terms: Contract, *spans: Span, units: tuple[str, ...] = ("n1",)) -> Outcome:
    return settle(terms, Record(spans), JUNE, {"a": units}, LATER).results[0].worst.outcome


def test_outages_of_two_months_inside_one_window_add_up() -> None:
    """0.001 x 864000 s = 864 s are allowed. 500 s on 28 May and 500 s on 2 June: 136 s too many, from the 364th second
    of the second until the 136th second of the first has left."""
    spans = (down(-4 * DAY, 500), down(DAY, 500))
    settled = settle(contract(), Record(spans), JUNE, {"a": ("n1",)}, LATER)
    found = settled.results[0].worst.outcome
    assert (found.downtime_s, found.denominator_s) == (1000, TEN_DAYS)
    assert settled.results[0].verdict.name == "BREACHED"
    assert str(settled.highest) == "1000.00"
    assert found.moving is not None
    end = JUNE.start_s + DAY + 500
    assert found.moving.window == (end - TEN_DAYS, end)
    from_s, until_s = JUNE.start_s + DAY + 364, JUNE.start_s + 6 * DAY + 136
    assert found.moving.breaches == ((Fraction(from_s), Fraction(until_s)),)
    assert len(found.incidents) == 2


def test_outages_further_apart_than_the_window_do_not_meet() -> None:
    found = outcome(contract(), down(DAY, 800), down(DAY + 800 + TEN_DAYS, 800))
    assert found.downtime_s == 800
    assert found.moving is not None
    assert found.moving.breaches == ()


def test_one_second_past_the_allowance_is_a_breach_and_the_allowance_is_none() -> None:
    for seconds, verdict in ((864, "MET"), (865, "BREACHED")):
        record = Record((down(DAY, seconds),))
        settled = settle(contract(), record, JUNE, {"a": ("n1",)}, LATER)
        assert settled.results[0].verdict.name == verdict


def test_time_before_the_service_is_in_no_window() -> None:
    terms = contract(term_from="2026-05-29T00:00:00Z")
    assert outcome(terms, down(-4 * DAY, 500), down(DAY, 500)).downtime_s == 500


def test_held_time_leaves_the_verdict_open() -> None:
    record = Record((down(DAY, 800), down(2 * DAY, 100, state=State.UNKNOWN)))
    settled = settle(contract(), record, JUNE, {"a": ("n1",)}, LATER)
    assert settled.results[0].verdict.name == "UNKNOWN"
    assert (str(settled.lowest), str(settled.highest)) == ("0.00", "1000.00")


def test_pooled_units_share_one_allowance() -> None:
    """Two units: 2 x 864 s. 900 + 900 = 1800 unit-seconds are too many, although each alone is a breach as well."""
    found = outcome(
        contract(scope="pooled"),
        down(DAY, 900),
        down(3 * DAY, 900, "n2"),
        units=("n1", "n2"),
    )
    assert (found.downtime_s, found.denominator_s) == (1800, 2 * TEN_DAYS)
    assert found.availability == Fraction(959, 960)


def test_free_seconds_are_free_once_in_a_window() -> None:
    found = outcome(contract(first_n_s="100"), down(DAY, 964))
    assert found.downtime_s == 864
    assert found.moving is not None
    assert found.moving.breaches == ()


@pytest.mark.parametrize(
    ("promise", "path"),
    [
        ({"counting": {"granularity": "clock_minutes_full"}}, "counting.granularity"),
        ({"denominator": "period_minus_excluded"}, "denominator"),
    ],
)
def test_what_a_moving_window_cannot_mean_is_refused(promise: dict[str, Any], path: str) -> None:
    with pytest.raises(ContractError, match=path):
        contract(**promise)


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 60)), max_size=6),
    st.integers(1, 120),
)
def test_the_worst_window_is_the_worst_of_all_seconds(
    pairs: list[tuple[int, int]], window_s: int
) -> None:
    bad = union((start, start + length) for start, length in pairs)
    rolling, evaluated = Rolling([bad], window_s), (50, 400)
    seconds = {second for start, end in bad for second in range(start, end)}
    held = {
        instant: len(seconds & set(range(instant - window_s, instant)))
        for instant in range(evaluated[0], evaluated[1] + 1)
    }
    worst = rolling.worst(evaluated)
    assert worst.bad_s == max(held.values())
    assert held[worst.at_s] == worst.bad_s
    allowed = Fraction(window_s, 3)
    broken = list(rolling.breaches(allowed, evaluated))
    for instant, bad_s in held.items():
        inside = any(start < instant < end for start, end in broken)
        assert inside == (bad_s > allowed) or instant in (*evaluated, *sum(broken, ()))


def test_a_period_outside_the_service_has_nothing_bad() -> None:
    before = Period("2025-06", JUNE.start_s - 365 * DAY, JUNE.end_s - 365 * DAY)
    settled = settle(contract(), Record((down(DAY, 900),)), before, {"a": ("n1",)}, LATER)
    assert settled.results[0].worst.outcome.downtime_s == 0


def test_maintenance_that_used_up_its_cap_before_the_period_excludes_no_more_of_the_window() -> (
    None
):
    """May allowed an hour, which the 10th took; the two hours of the 31st count in a window of ten days."""
    may = calendar_month("2026-05", "UTC")
    windows = tuple(
        Window(str(day), at, at + length, 0)
        for day, length in ((10, 3600), (31, 7200))
        for at in [may.start_s + (day - 1) * DAY]
    )
    bad = Span("n1", State.DOWN, windows[1].start_s, windows[1].end_s)
    capped = contract(maintenance={"min_notice_s": "0", "max_s_per_period": "3600"})
    for announced, counted in ((windows, 7200), (windows[1:], 3600)):
        found = settle(capped, Record((bad,), announced), JUNE, {"a": ("n1",)}, LATER)
        assert found.results[0].worst.outcome.downtime_s == counted
    alone = contract(maintenance={"min_notice_s": "0"})
    found = settle(alone, Record((bad,), windows), JUNE, {"a": ("n1",)}, LATER)
    assert found.results[0].worst.outcome.downtime_s == 0
