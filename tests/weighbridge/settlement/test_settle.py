"""Laws that every settlement keeps, and the edges that contracts differ in."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract
from weighbridge.judge.ledger import State
from weighbridge.settlement.availability import Measure, Measurement
from weighbridge.settlement.intervals import total
from weighbridge.settlement.maintenance import as_units_fare
from weighbridge.settlement.periods import Period, calendar_month, term_of_s
from weighbridge.settlement.record import Claim, Record, Span, ToldEvent, Window
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

APRIL = calendar_month("2026-04", "UTC")
HOUR = 3600
DAY = 86400
LATER = APRIL.end_s + 400 * DAY
UNITS = ("n1", "n2", "n3")
TIERS = [
    {"at_or_above": "0.99", "below": "0.999", "pct": "10"},
    {"at_or_above": "0.95", "below": "0.99", "pct": "25"},
    {"at_or_above": "0", "below": "0.95", "pct": "50"},
]
CREDIT = {"id": "c", "objective": "a", "kind": "tiers", "tiers": TIERS, "base": {"amount": "10000"}}


def contract(objective: dict[str, Any] | None = None, **parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "3", "per_node": "8"}],
        "availability": [{"id": "a", "target": "0.999"} | (objective or {})],
        "unknown": {"policy": "hold"},
        "credits": [CREDIT],
    }
    return contract_of(document | parts)


def down(start: int, end: int, unit: str = "n1", state: State = State.DOWN, **more: Any) -> Span:
    return Span(unit, state, APRIL.start_s + start, APRIL.start_s + end, **more)


def measured(
    terms: Contract, spans: Sequence[Span], windows: Sequence[Window] = (), period: Period = APRIL
) -> Measure:
    record = Record(tuple(spans), tuple(windows))
    return measures(terms, record, ["n1"], period)[0]


def measures(
    terms: Contract, record: Record, units: Sequence[str] = UNITS, period: Period = APRIL
) -> list[Measure]:
    promise, service = terms.availability[0], term_of_s(terms)
    return list(Measurement(terms, promise, record, period, units, service, period).measures())


def settled(terms: Contract, record: Record, as_of: int = LATER) -> Settlement:
    return settle(terms, record, APRIL, {"a": ["n1"]}, as_of)


lengths = st.integers(0, 2 * DAY)
starts = st.integers(-DAY, APRIL.seconds)
states = st.sampled_from(
    [State.DOWN, State.UNKNOWN, State.CONTESTED, State.DEGRADED, State.EXCLUDED]
)


@st.composite
def span_lists(draw: st.DrawFn) -> list[Span]:
    made = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(starts)
        unit = draw(st.sampled_from(UNITS))
        made.append(down(start, start + draw(lengths), unit, draw(states)))
    return made


@given(span_lists(), st.sampled_from(["per_unit", "all_of", "pooled"]))
def test_the_order_of_units_and_spans_changes_nothing(spans: list[Span], scope: str) -> None:
    terms = contract({"scope": scope})
    one = measures(terms, Record(tuple(spans)))
    other = measures(terms, Record(tuple(reversed(spans))), tuple(reversed(UNITS)))
    numbers = [
        sorted(
            (m.unit, m.low.downtime_s, m.high.downtime_s, m.raw_down_s, m.unknown_s) for m in found
        )
        for found in (one, other)
    ]
    assert numbers[0] == numbers[1]


@given(span_lists(), st.integers(1, 5))
def test_splitting_spans_changes_nothing(spans: list[Span], pieces: int) -> None:
    terms = contract()
    split = [
        replace(
            span,
            start_s=span.start_s + (span.end_s - span.start_s) * n // pieces,
            end_s=span.start_s + (span.end_s - span.start_s) * (n + 1) // pieces,
        )
        for span in spans
        for n in range(pieces)
    ]
    assert measured(terms, split) == measured(terms, spans)


@given(span_lists(), st.integers(-12, 12))
def test_shifting_everything_by_the_same_time_changes_no_length(
    spans: list[Span], days: int
) -> None:
    terms = contract({"denominator": "period"})
    shift = days * DAY
    moved = [
        replace(span, start_s=span.start_s + shift, end_s=span.end_s + shift) for span in spans
    ]
    period = Period("moved", APRIL.start_s + shift, APRIL.end_s + shift)
    here, there = measured(terms, spans), measured(terms, moved, period=period)
    assert (here.low.downtime_s, here.high.downtime_s) == (
        there.low.downtime_s,
        there.high.downtime_s,
    )
    assert here.low.availability == there.low.availability


@given(span_lists(), starts, lengths)
def test_excluding_more_time_never_adds_downtime(
    spans: list[Span], start: int, length: int
) -> None:
    for merge_gap in ("0", "600"):
        counting = {"min_outage": {"seconds": "300", "op": ">="}, "merge_gap_s": merge_gap}
        terms = contract({"counting": counting}, maintenance={"min_notice_s": "0"})
        window = Window("m", APRIL.start_s + start, APRIL.start_s + start + length, 0)
        assert (
            measured(terms, spans, [window]).low.downtime_s <= measured(terms, spans).low.downtime_s
        )


@given(span_lists())
def test_what_is_held_lies_between_the_two_readings_of_it(spans: list[Span]) -> None:
    results = [
        measured(contract(unknown={"policy": policy, "contested": policy}), spans)
        for policy in ("hold", "down", "up")
    ]
    held, worst, best = results
    assert (
        held.low.downtime_s == worst.low.downtime_s >= best.low.downtime_s == held.high.downtime_s
    )
    assert not worst.held
    assert not best.held
    assert held.held == (worst.low != best.low)


@given(st.lists(st.integers(0, 40 * HOUR), min_size=2, max_size=2))
def test_more_downtime_never_earns_less(two: list[int]) -> None:
    less, more = sorted(two)
    for credit in (
        CREDIT,
        {"id": "c", "objective": "a", "kind": "linear_shortfall", "base": {"amount": "10000"}},
        {
            "id": "c",
            "objective": "a",
            "kind": "beyond_allowance",
            "multiple": "10",
            "base": {"amount": "10000"},
            "cap": {"pct": "100"},
        },
        {
            "id": "c",
            "objective": "a",
            "kind": "increment",
            "increment_s": "3600",
            "partial": "ceil",
            "pct": "5",
            "base": {"amount": "10000"},
            "cap": {"pct": "100"},
        },
    ):
        terms = contract(credits=[credit])
        amounts = [settled(terms, Record((down(0, length),))).highest for length in (less, more)]
        assert amounts[0] is not None
        assert amounts[1] is not None
        assert amounts[0] <= amounts[1] <= 10000


@given(span_lists())
def test_counted_time_never_exceeds_what_was_seen_or_what_is_judged(spans: list[Span]) -> None:
    found = measured(contract(), spans)
    assert (
        0 <= found.low.downtime_s <= found.raw_down_s <= found.service_s == found.low.denominator_s
    )
    assert 0 <= found.low.availability <= 1


@pytest.mark.parametrize(
    ("seconds", "breach", "amount"), [(2592, False, "0.00"), (2593, True, "1000.00")]
)
def test_the_target_itself_is_met_and_one_second_more_is_not(
    seconds: int, breach: bool, amount: str
) -> None:
    found = settled(contract(), Record((down(0, seconds),)))
    assert found.results[0].worst.breach is breach
    assert found.highest == Decimal(amount)


@pytest.mark.parametrize(
    ("granularity", "counted"),
    [
        ("second", 300),
        ("outage_minutes_ceil", 360),
        ("outage_minutes_floor", 240),
        ("clock_minutes_full", 180),
        ("clock_minutes_touched", 420),
    ],
)
def test_each_granularity_counts_in_its_own_way(granularity: str, counted: int) -> None:
    terms = contract({"counting": {"granularity": granularity}})
    assert measured(terms, [down(20, 170), down(1000, 1150)]).low.downtime_s == counted


FIVE_MINUTES = {"length_s": "300", "down_share": "0.2"}


@pytest.mark.parametrize(
    ("op", "outages", "counted"),
    [
        (">=", [(600, 660)], 300),  # 60 of 300 s are a fifth
        (">=", [(600, 659)], 0),
        (">", [(600, 660)], 0),
        (">", [(600, 661)], 300),
        (">=", [(870, 960)], 300),  # 30 s before a mark and 60 after it
        (">=", [(600, 630), (700, 730)], 300),
        (">=", [(300, 3000)], 2700),
    ],
)
def test_an_interval_is_down_as_a_whole_from_its_share_on(
    op: str, outages: list[tuple[int, int]], counted: int
) -> None:
    counting = {"granularity": "intervals", "intervals": FIVE_MINUTES | {"op": op}}
    found = measured(contract({"counting": counting}), [down(*one) for one in outages])
    assert found.low.downtime_s == counted


@pytest.mark.parametrize(("lost", "counted"), [(19, 0), (20, 100)])
def test_an_interval_that_service_or_excluded_time_cuts_is_judged_by_what_is_left(
    lost: int, counted: int
) -> None:
    """100 s are left, of which 20 are a fifth: at the start of service, and beside a window that was announced."""
    counting = {"granularity": "intervals", "intervals": FIVE_MINUTES | {"op": ">="}}
    terms = contract({"counting": counting}, maintenance={"min_notice_s": "0"})
    begun = APRIL.start_s + 200
    served = replace(APRIL, start_s=begun)
    record = Record((down(200, 200 + lost),))
    [found] = Measurement(
        terms,
        terms.availability[0],
        record,
        APRIL,
        UNITS[:1],
        (served.start_s, served.end_s),
        APRIL,
    ).measures()
    assert found.low.downtime_s == counted
    window = Window("w", APRIL.start_s + 600, APRIL.start_s + 800, APRIL.start_s)
    assert measured(terms, [down(600, 800 + lost)], [window]).low.downtime_s == counted


def test_of_pooled_units_the_share_is_of_all_and_held_time_makes_a_range_of_whole_intervals() -> (
    None
):
    """3 units have 900 s of an interval, of which a fifth are 180: 120 seen and 60 held."""
    counting = {"granularity": "intervals", "intervals": FIVE_MINUTES | {"op": ">="}}
    terms = contract({"counting": counting, "scope": "pooled"})
    seen = [down(600, 720), down(600, 660, "n2", State.UNKNOWN)]
    [found] = measures(terms, Record(tuple(seen)))
    assert (found.low.downtime_s, found.high.downtime_s) == (900, 0)
    assert found.high.hidden_s == 120


def test_a_minimum_is_tested_on_the_whole_outage_and_counted_inside_the_period() -> None:
    terms = contract(
        {"counting": {"min_outage": {"seconds": "300", "op": ">="}, "merge_gap_s": "0"}}
    )
    assert measured(terms, [down(-200, 100)]).low.downtime_s == 100
    assert measured(terms, [down(-199, 100)]).low.downtime_s == 0


def test_flaps_closer_than_the_gap_are_one_outage_with_the_gaps_in_it() -> None:
    counting = {"min_outage": {"seconds": "300", "op": ">="}, "merge_gap_s": "60"}
    flaps = [down(270 * n, 270 * n + 240) for n in range(12)]
    assert measured(contract({"counting": counting}), flaps).low.downtime_s == 12 * 240 + 11 * 30
    assert (
        measured(contract({"counting": counting | {"merge_gap_s": "29"}}), flaps).low.downtime_s
        == 0
    )


def test_free_seconds_are_free_once_a_period_or_once_an_outage() -> None:
    spans = [down(0, 500), down(1000, 1300)]
    assert measured(contract({"first_n_s": "400"}), spans).low.downtime_s == 400
    assert (
        measured(contract({"first_n_s": "400", "first_n_per": "outage"}), spans).low.downtime_s
        == 100
    )


def test_a_clock_that_starts_at_the_notice_counts_nothing_that_was_never_reported() -> None:
    terms = contract({"clock_start": "notice"})
    spans = [down(0, 500, reported_s=APRIL.start_s + 300), down(1000, 1300)]
    assert measured(terms, spans).low.downtime_s == 200
    assert {"late_report", "never_reported"} <= set(settled(terms, Record(tuple(spans))).flags)


def test_a_cap_on_maintenance_is_used_up_in_order_of_time() -> None:
    terms = contract(maintenance={"min_notice_s": "0", "max_s_per_period": "5000"})
    spans = [down(0, 3000), down(DAY, DAY + 3000), down(2 * DAY, 2 * DAY + 3000)]
    windows = [Window(str(span.start_s), span.start_s, span.end_s, 0) for span in reversed(spans)]
    found = measured(terms, spans, windows)
    assert (found.low.excluded_s, found.low.downtime_s) == (5000, 4000)
    assert settled(terms, Record(tuple(spans), tuple(windows))).flags == (
        "maintenance_cap_exceeded",
    )


def test_the_cap_is_that_of_each_unit_and_the_flag_follows_the_units() -> None:
    terms = contract(maintenance={"min_notice_s": "0", "max_s_per_period": "5000"})
    start = APRIL.start_s
    first = Window("1", start, start + 3000, 0, frozenset({"n1"}))
    for unit, flags in (("n2", ()), ("n1", ("maintenance_cap_exceeded",))):
        second = Window("2", start + DAY, start + DAY + 3000, 0, frozenset({unit}))
        record = Record(windows=(first, second))
        found = settle(terms, record, APRIL, {"a": ["n1", "n2"]}, LATER)
        excluded = [result.worst.outcome.excluded_s for result in found.results]
        assert sum(excluded) == (5000 if flags else 6000)
        assert found.flags == flags


def test_windows_of_units_that_fare_differently_are_told_for_each() -> None:
    limits = contract(maintenance={"min_notice_s": "0", "max_s_per_period": "5000"}).maintenance
    start = APRIL.start_s
    alone = Window("1", start, start + 3000, 0, frozenset({"n1"}))
    shared = Window("2", start + DAY, start + DAY + 3000, 0)
    gone = Window("3", start + 2 * DAY, start + 2 * DAY + 60, 0, frozenset({"retired"}))
    told = as_units_fare(
        limits, [gone, shared, alone], ["n1", "n2"], APRIL, "UTC", APRIL.interval_s
    )
    assert [(one.window.id, one.ruling, total(one.excluded)) for one in told] == [
        ("1", "excluded", 3000),
        ("2", "cap_used_up", 2000),
        ("2", "excluded", 3000),
        ("3", "excluded", 60),
    ]


def test_notice_is_in_time_to_the_second_of_its_receipt() -> None:
    terms = contract(maintenance={"min_notice_s": "3600"})
    outage = down(DAY, DAY + 500)
    for received, counted in ((outage.start_s - 3600, 0), (outage.start_s - 3599, 500)):
        window = Window("m", outage.start_s, outage.end_s, received)
        assert measured(terms, [outage], [window]).low.downtime_s == counted


def test_maintenance_outside_the_allowed_hours_of_a_place_is_downtime() -> None:
    allowed = {"from_minute": "120", "to_minute": "240", "zone": "Europe/Amsterdam"}
    terms = contract(maintenance={"min_notice_s": "0", "windows": [allowed]})
    window = Window("m", APRIL.start_s - HOUR, APRIL.start_s + 5 * HOUR, 0)
    found = measured(terms, [down(0, 5 * HOUR)], [window])
    assert found.low.downtime_s == 5 * HOUR - 2 * HOUR
    assert settled(terms, Record((), (window,))).flags == ("maintenance_outside_window",)


def test_k_of_n_is_down_while_too_few_are_up() -> None:
    terms = contract({"scope": "k_of_n", "k": "2"})
    spans = [down(0, 600), down(300, 900, "n2"), down(500, 700, "n3")]
    [found] = measures(terms, Record(tuple(spans)))
    assert found.low.downtime_s == 700 - 300


def test_a_reading_of_unknown_time_that_decides_makes_the_verdict_unknown_and_the_amount_a_range() -> (
    None
):
    found = settled(contract(), Record((down(0, 3 * DAY, state=State.UNKNOWN, cause="network"),)))
    assert found.results[0].verdict.name == "UNKNOWN"
    assert (found.lowest, found.highest) == (Decimal("0.00"), Decimal("5000.00"))


def test_the_clock_of_an_agent_is_corrected_within_the_bound_and_not_trusted_beyond_it() -> None:
    for bound, state in (("100", State.DOWN), ("90", State.UNKNOWN)):
        terms = contract(evidence={"clock": {"max_abs_skew_s": bound}}, unknown={"policy": "up"})
        found = settled(terms, Record((down(0, 600, ahead_s=95),)))
        counted = 600 - 95 if state == State.DOWN else 0
        assert found.results[0].worst.outcome.downtime_s == counted


def test_late_data_count_until_the_cut_off_and_a_statement_can_be_asked_for_any_instant() -> None:
    cutoff = APRIL.end_s + 432_000
    spans = (
        down(0, 9000, state=State.UNKNOWN),
        down(0, 9000, state=State.UP, recorded_s=cutoff),
        down(0, 9000, recorded_s=cutoff + 1),
    )
    for as_of, verdict, final in (
        (APRIL.end_s, "UNKNOWN", False),
        (cutoff, "MET", True),
        (LATER, "MET", True),
    ):
        found = settled(contract(), Record(spans), as_of)
        assert (found.results[0].verdict.name, found.final) == (verdict, final)
        assert found.flags == ("data_after_cutoff",)


@pytest.mark.parametrize(
    ("filed", "as_of", "standing", "owed"),
    [
        (None, 0, "open", "0.00"),
        (14 * DAY - 1, LATER, "filed", "1000.00"),
        (14 * DAY, LATER, "lapsed", "0.00"),
        (None, LATER, "lapsed", "0.00"),
    ],
)
def test_a_claim_is_in_time_until_the_deadline_in_the_zone_of_the_contract(
    filed: int | None, as_of: int, standing: str, owed: str
) -> None:
    terms = contract(claim={"required": "true", "deadline_days": "14"})
    claims = () if filed is None else (Claim("2026-04", APRIL.end_s + filed),)
    found = settled(terms, Record((down(0, 5000),), claims=claims), as_of or APRIL.end_s)
    assert (found.dues[0].standing, found.highest) == (standing, Decimal(owed))
    assert ("claim_lapsed" in found.flags) == (standing == "lapsed")


@pytest.mark.parametrize(
    ("named", "judged", "standing"),
    [
        ("n1", "n1", "filed"),
        ("n1", "n1.0", "filed"),
        ("n1.0", "n1", "filed"),
        ("n1.0", "n1.1", "lapsed"),
        ("n1", "n10", "lapsed"),
        ("n1", "n10.1", "lapsed"),
        ("n2", "n1", "lapsed"),
    ],
)
def test_a_claim_for_a_node_is_one_for_its_gpus_and_for_a_gpu_one_for_its_node(
    named: str, judged: str, standing: str
) -> None:
    terms = contract(claim={"required": "true", "deadline_days": "14"})
    record = Record((down(0, 5000, judged),), claims=(Claim("2026-04", APRIL.end_s, named),))
    found = settle(terms, record, APRIL, {"a": (judged,)}, LATER)
    assert found.dues[0].standing == standing


def test_a_claim_for_one_unit_is_one_for_all_that_are_judged_together() -> None:
    terms = contract({"scope": "all_of"}, claim={"required": "true", "deadline_days": "14"})
    record = Record((down(0, 5000),), claims=(Claim("2026-04", APRIL.end_s, "n1"),))
    found = settle(terms, record, APRIL, {"a": ("n1", "n2")}, LATER)
    assert [(due.unit, due.standing) for due in found.dues] == [("all_of", "filed")]


REPAIR = {"id": "r", "objective_s": "86400", "clock_from": "detection"}
PENALTY = {
    "id": "p",
    "kind": "repair_steps",
    "repair": "r",
    "step_s": "3600",
    "step_pct": "1",
    "partial": "ceil",
    "base": {"amount": "10000"},
}


def repaired(start: int, end: int) -> tuple[ToldEvent, ToldEvent]:
    return (
        ToldEvent("fault_detected", APRIL.start_s + start, "n1"),
        ToldEvent("restored", APRIL.start_s + end, "n1"),
    )


@pytest.mark.parametrize(
    ("repairs", "rule", "owed"),
    [
        ([(0, 32)], "max_of", "2500.00"),
        ([(0, 32)], "sum", "3300.00"),
        ([(0, 32), (240, 300)], "max_of", "4400.00"),
        ([(0, 32), (240, 300)], "sum", "6900.00"),
    ],
)
def test_late_repairs_together_and_a_missed_target_are_stacked_by_the_rule(
    repairs: list[tuple[int, int]], rule: str, owed: str
) -> None:
    events = tuple(event for start, end in repairs for event in repaired(start * HOUR, end * HOUR))
    terms = contract(repair=[REPAIR], credits=[CREDIT, PENALTY], stacking={"rule": rule})
    record = Record((down(0, 32 * HOUR),), events=events)
    assert settled(terms, record).highest == Decimal(owed)


def test_fees_follow_the_prices_where_no_amount_is_given() -> None:
    credit = CREDIT | {"base": {"of": "unit"}}
    for unit, price, fee in (
        ("gpu_hour", "12.50", 8 * 720 * Fraction("12.5")),
        ("node_month", "9000", Fraction(9000)),
        ("gpu_month", "1000", Fraction(8000)),
    ):
        terms = contract(credits=[credit], pricing=[{"unit": unit, "price": price}])
        found = settled(terms, Record((down(0, 5000),)))
        assert found.results[0].worst.lines[0].exact == fee / 10


def test_a_part_of_a_month_is_priced_by_the_second_or_by_the_local_day() -> None:
    service = (APRIL.start_s + 10 * DAY + 12 * HOUR, APRIL.end_s + DAY)
    for rule, share in (
        ("seconds", Fraction(39, 60)),
        ("days", Fraction(20, 30)),
        ("none", Fraction(1)),
    ):
        credit = CREDIT | {"base": {"amount": "10000", "proration": rule}}
        terms = contract(credits=[credit])
        found = settle(
            terms, Record((down(15 * DAY, 16 * DAY),)), APRIL, {"a": ["n1"]}, LATER, service
        )
        assert found.results[0].worst.lines[0].base == 10000 * share


@pytest.mark.parametrize(
    ("kind", "label", "flags"),
    [
        ("calendar_month", "2026-04", ()),
        ("calendar_year", "2026", ()),
        ("contract_month", "2026-05-01", ()),
        ("calendar_year", "2026-04", ("objective_of_another_period",)),
        ("contract_month", "2026-04", ("objective_of_another_period",)),
        ("calendar_month", "2026", ("objective_of_another_period",)),
    ],
)
def test_a_statement_over_another_period_than_the_promise_says_so(
    kind: str, label: str, flags: tuple[str, ...]
) -> None:
    terms = contract({"period": kind})
    period = Period(label, APRIL.start_s, APRIL.end_s)
    assert settle(terms, Record(), period, {"a": ["n1"]}, LATER).flags == flags
