"""Edges at which a contract could be understood in two ways: each is on the side that the contract's words put it."""

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from weighbridge.contract import Contract, load
from weighbridge.contract.quality import Performance, Repair
from weighbridge.contract.remedies import LiquidatedDamages
from weighbridge.judge.ledger import State
from weighbridge.settlement.damages import days_late
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.probes import Samples, tally
from weighbridge.settlement.record import Record, Span, ToldEvent, Window
from weighbridge.settlement.repair import clocks
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

JUNE = calendar_month("2026-06", "UTC")
HOUR = 3600
DAY = 86400
LATER = JUNE.end_s + 400 * DAY
TIERS = [
    {"at_or_above": "0.995", "below": "0.999", "pct": "10"},
    {"at_or_above": "0", "below": "0.995", "pct": "25"},
]
CREDIT = {"id": "c", "objective": "a", "kind": "tiers", "tiers": TIERS, "base": {"amount": "10000"}}


def contract(target: str = "0.999", credit: dict[str, Any] | None = None, **parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "3", "per_node": "8"}],
        "availability": [{"id": "a", "target": target}],
        "unknown": {"policy": "hold"},
        "credits": [CREDIT | (credit or {})],
    }
    return load(json.dumps(document | parts))


def down(start: int, end: int, cause: str = "", unit: str = "n1", **more: Any) -> Span:
    return Span(unit, State.DOWN, JUNE.start_s + start, JUNE.start_s + end, cause, **more)


def settled(
    terms: Contract, *spans: Span, units: tuple[str, ...] = ("n1",), **record: Any
) -> Settlement:
    return settle(terms, Record(spans, **record), JUNE, {"a": units}, LATER)


@pytest.mark.parametrize(
    ("rule", "counted", "excluded"), [("exclusion_wins", 2, 4), ("provider_fault_wins", 4, 2)]
)
def test_concurrent_causes_are_resolved_by_the_rule(rule: str, counted: int, excluded: int) -> None:
    exclusions = {
        "causes": [{"code": "customer"}, {"code": "force_majeure"}],
        "concurrent_cause": rule,
    }
    hours = [(10, 14, "provider"), (12, 16, "customer"), (13, 13.5, "force_majeure")]
    spans = [down(int(start * HOUR), int(end * HOUR), cause) for start, end, cause in hours]
    outcome = settled(contract(exclusions=exclusions), *spans).results[0].worst.outcome
    assert (outcome.downtime_s, outcome.excluded_s) == (counted * HOUR, excluded * HOUR)


def test_maintenance_past_the_number_of_a_year_is_downtime() -> None:
    terms = contract(maintenance={"min_notice_s": "0", "max_count_per_year": "1"})
    spans = (down(0, HOUR), down(DAY, DAY + HOUR))
    windows = tuple(Window(str(span.start_s), span.start_s, span.end_s, 0) for span in spans)
    found = settled(terms, *spans, windows=windows)
    assert found.results[0].worst.outcome.downtime_s == HOUR
    assert found.flags == ("maintenance_count_exceeded",)


@pytest.mark.parametrize(
    ("op", "minimum", "amount"),
    [(">", "1000", "0.00"), (">=", "1000", "1000.00"), (">", "999", "1000.00")],
)
def test_a_minimum_amount_is_reached_or_must_be_passed(op: str, minimum: str, amount: str) -> None:
    found = settled(contract(credit={"min_amount": minimum, "min_op": op}), down(0, HOUR))
    assert found.results[0].worst.lines[0].amount == Decimal(amount)
    assert found.flags == (() if amount != "0.00" else ("below_minimum_credit",))


@pytest.mark.parametrize(("place", "total"), [("line", "0.02"), ("invoice", "0.01")])
def test_rounding_each_line_or_the_sum_gives_other_totals(place: str, total: str) -> None:
    terms = contract(credit={"base": {"amount": "0.05"}}, rounding={"place": place})
    found = settled(terms, down(0, HOUR), down(0, HOUR, unit="n2"), units=("n1", "n2"))
    assert found.highest == Decimal(total)


@pytest.mark.parametrize(
    ("rule", "place", "minimum", "total"),
    [
        ("sum", "line", "none", "0.02"),
        ("sum", "invoice", "none", "0.01"),
        ("max_of", "line", "none", "0.01"),
        ("sum", "invoice", "0.01", "0.01"),
        ("sum", "invoice", "0.011", "0.00"),
        ("max_of", "invoice", "0.005", "0.01"),
        ("max_of", "invoice", "0.006", "0.00"),
    ],
)
def test_a_minimum_is_tested_after_stacking_and_lines_are_rounded_before_they_add_up(
    rule: str, place: str, minimum: str, total: str
) -> None:
    """Two credits of half a cent for one unit."""
    half = CREDIT | {"base": {"amount": "0.05"}, "min_amount": minimum}
    terms = contract(
        credits=[half, half | {"id": "d"}], rounding={"place": place}, stacking={"rule": rule}
    )
    assert settled(terms, down(0, HOUR)).highest == Decimal(total)


@pytest.mark.parametrize("rule", ["none", "seconds"])
def test_the_parts_of_a_period_owe_one_fee_together(rule: str) -> None:
    terms = contract(credit={"base": {"amount": "10000", "proration": rule}})
    edge = JUNE.start_s + 10 * DAY
    parts = [Period("2026-06", JUNE.start_s, edge), Period("2026-06", edge, JUNE.end_s)]
    record = Record((down(0, 2 * HOUR), down(20 * DAY, 20 * DAY + 4 * HOUR)))
    bases = [
        settle(terms, record, part, {"a": ["n1"]}, LATER, whole=JUNE).results[0].worst.lines[0].base
        for part in parts
    ]
    assert bases == [Fraction(10000, 3), Fraction(20000, 3)]


def test_an_outage_that_an_event_credit_pays_for_is_a_breach_though_the_share_is_kept() -> None:
    credit = {
        "id": "c",
        "objective": "a",
        "kind": "per_event",
        "longer_than_s": "900",
        "amount": "20",
    }
    terms = contract("0.5", credits=[credit | {"cap": {"amount": "1000"}}])
    for seconds, breach in ((900, False), (901, True)):
        assert settled(terms, down(0, seconds)).results[0].worst.breach is breach


@pytest.mark.parametrize(
    ("count", "due", "done", "days"),
    [
        ("calendar_days", date(2026, 3, 31), date(2026, 4, 12), 12),
        ("calendar_days", date(2026, 3, 31), date(2026, 3, 31), 0),
        ("working_days", date(2026, 4, 3), date(2026, 4, 6), 1),
        ("working_days", date(2026, 4, 3), date(2026, 4, 4), 0),
        ("working_days", date(2026, 4, 2), date(2026, 4, 6), 2),
        ("working_days", date(2026, 4, 5), date(2026, 4, 1), 0),
    ],
)
def test_days_late_start_on_the_day_after_the_due_date(
    count: str, due: date, done: date, days: int
) -> None:
    terms = LiquidatedDamages.model_validate(
        {"id": "d", "trigger": "late_delivery", "side": "provider", "day_count": count}
    )
    assert days_late(terms, due, done) == (days, days)


def test_a_fault_that_is_found_again_keeps_its_first_clock_and_one_runs_on() -> None:
    terms = Repair.model_validate({"id": "r", "objective_s": 60, "clock_from": "detection"})
    kinds = ["fault_detected", "fault_detected", "restored", "restored", "fault_detected"]
    events = [ToldEvent(kind, 100 * number, "n1") for number, kind in enumerate(kinds)]
    found = [(one.start_s, one.end_s, one.seconds) for one in clocks(terms, events, (0, 1000))]
    assert found == [(0, 200, 200), (400, None, 600)]


@pytest.mark.parametrize(("recorded", "flags"), [(0, ()), (1, ("data_after_cutoff",))])
def test_data_that_come_at_the_cut_off_are_in_time(recorded: int, flags: tuple[str, ...]) -> None:
    cutoff = JUNE.end_s + 432_000
    found = settled(contract(), down(0, 10, recorded_s=cutoff + recorded))
    assert (found.flags, found.results[0].worst.outcome.downtime_s) == (flags, 0 if flags else 10)


@pytest.mark.parametrize(("op", "good"), [(">", 5), (">=", 7)])
def test_a_probe_at_the_threshold_is_good_only_if_the_text_includes_it(op: str, good: int) -> None:
    terms = Performance.model_validate(
        {
            "id": "p",
            "probe": "gemm",
            "threshold": "0.9",
            "op": op,
            "missing": "bad",
            "target": "0.9",
        }
    )
    samples = [
        Samples(5, Fraction("0.91")),
        Samples(2, Fraction("0.9")),
        Samples(1, Fraction("0.89")),
    ]
    assert tally(terms, samples, JUNE.interval_s).good == good


def test_probes_are_due_only_in_the_hours_of_the_schedule() -> None:
    """Twenty-two working days of ninety minutes hold one probe of an hour each."""
    morning = {"days": ("mon", "tue", "wed", "thu", "fri"), "from_minute": "480"}
    terms = Performance.model_validate(
        {
            "id": "p",
            "probe": "gemm",
            "threshold": "0.9",
            "op": ">=",
            "missing": "bad",
            "target": "0.9",
            "slice_s": "3600",
            "schedule": ({**morning, "to_minute": "570", "zone": "Asia/Shanghai"},),
        }
    )
    found = tally(terms, [Samples(20, Fraction(1))], JUNE.interval_s)
    assert (found.scheduled, found.valid, found.good) == (22, 22, Fraction(20))


def test_every_unit_of_k_may_be_required() -> None:
    promise = [{"id": "a", "target": "0.999", "scope": "k_of_n", "k": "3"}]
    terms = contract(availability=promise)
    found = settled(terms, down(0, HOUR, unit="n2"), units=("n1", "n2", "n3"))
    assert found.results[0].worst.outcome.downtime_s == HOUR


def test_what_was_said_later_is_not_known_earlier_and_a_repair_is_paid_for_where_it_got_late() -> (
    None
):
    window = Window("m", JUNE.start_s, JUNE.start_s + HOUR, JUNE.start_s - DAY)
    emergency = {"min_notice_s": "0", "emergency": "excluded"}
    late = Window("l", JUNE.start_s, JUNE.start_s + HOUR, JUNE.end_s + DAY)
    after = Window("a", JUNE.start_s, JUNE.start_s + HOUR, JUNE.end_s + 5 * DAY + 1)
    cases = (window, 0, False), (late, 0, True), (late, DAY, False), (after, 9 * DAY, True)
    for notice, as_of, breach in cases:
        record = Record((down(0, HOUR),), windows=(notice,))
        found = settle(
            contract(maintenance=emergency), record, JUNE, {"a": ["n1"]}, JUNE.end_s + as_of
        )
        assert found.results[0].worst.breach is breach
        assert ("data_after_cutoff" in found.flags) is (notice is after)
    repair = {"id": "r", "objective_s": "86400", "clock_from": "detection"}
    penalty = {
        "id": "p",
        "kind": "repair_steps",
        "repair": "r",
        "base": {"amount": "100"},
        "first_pct": "10",
        "step_s": "86400",
        "step_pct": "0",
        "partial": "floor",
    }
    terms = contract(repair=[repair], credits=[penalty])
    events = (
        ToldEvent("fault_detected", JUNE.end_s - 1, "n1"),
        ToldEvent("restored", JUNE.end_s + 20 * DAY, "n1"),
    )
    july = calendar_month("2026-07", "UTC")
    paid = [settle(terms, Record(events=events), one, {"a": []}, 2**31) for one in (JUNE, july)]
    assert [one.highest for one in paid] == [Decimal("0.00"), Decimal("10.00")]


@pytest.mark.parametrize(
    ("statistic", "threshold", "good"),
    [
        ({"statistic": "mean"}, "0.9", True),
        ({"statistic": "mean"}, "0.9001", False),
        ({"statistic": "quantile", "quantile": "0.25"}, "0.8", True),
        ({"statistic": "quantile", "quantile": "0.25"}, "0.81", False),
        ({"statistic": "quantile", "quantile": "0.26"}, "0.9", True),
        ({"statistic": "quantile", "quantile": "1"}, "1", True),
    ],
)
def test_a_mean_or_a_quantile_is_good_or_not_as_a_whole(
    statistic: dict[str, str], threshold: str, good: bool
) -> None:
    """0.8, 0.9, 0.9 and 1.0 have the mean 0.9; a quarter of them does not exceed 0.8."""
    terms = Performance.model_validate(
        {"id": "p", "probe": "gemm", "threshold": threshold, "op": ">=", "target": "1"}
        | {"missing": "excluded"}
        | statistic
    )
    values = [(1, "0.8"), (2, "0.9"), (1, "1.0")]
    samples = [*(Samples(count, Fraction(value)) for count, value in values), Samples(5, None)]
    found = tally(terms, samples, JUNE.interval_s)
    assert (found.answered, found.valid, found.share) == (4, 4, Fraction(int(good)))


@pytest.mark.parametrize(
    "terms",
    [
        {"statistic": "quantile", "threshold": "1"},
        {"statistic": "mean", "threshold": "1", "quantile": "0.5"},
        {"statistic": "mean"},
        {"statistic": "mean", "threshold": "1", "missing": "bad"},
    ],
)
def test_a_statistic_has_what_it_needs_and_no_more(terms: dict[str, str]) -> None:
    whole = {"id": "p", "probe": "gemm", "op": ">=", "target": "1", "missing": "excluded"} | terms
    with pytest.raises(ValueError, match=r"quantile|threshold|missing"):
        Performance.model_validate(whole)


@pytest.mark.parametrize("denominator", ["period", "period_minus_excluded", "service_time"])
@pytest.mark.parametrize("days", [30, 15])
def test_downtime_beyond_the_target_costs_what_that_time_costs(denominator: str, days: int) -> None:
    """720.00 a month of 720 hours: 1.00 an hour, however long service lasts and whatever the share is of."""
    kind = {"kind": "beyond_allowance", "multiple": "2", "base": {"amount": "720"}}
    promise = {"id": "a", "target": "1", "denominator": denominator}
    terms = contract(credits=[{"id": "c", "objective": "a"} | kind], availability=[promise])
    shut = Span("n1", State.EXCLUDED, JUNE.start_s, JUNE.start_s + DAY)
    service = (JUNE.start_s, JUNE.start_s + days * DAY)
    record = Record((shut, down(2 * DAY, 2 * DAY + 3 * HOUR)))
    found = settle(terms, record, JUNE, {"a": ("n1",)}, LATER, service)
    assert found.highest == Decimal("6.00")


@pytest.mark.parametrize(("seconds", "amount"), [(0, "0.00"), (1, "5.00")])
def test_an_hour_without_downtime_is_charged(seconds: int, amount: str) -> None:
    hours = {"kind": "clock_hour", "threshold_s": "0", "op": ">=", "hour_price": "5"}
    credit = {"id": "c", "objective": "a", "owed_when": "below_threshold"} | hours
    spans = [down(0, seconds)] if seconds else []
    assert settled(contract(credits=[credit]), *spans).highest == Decimal(amount)


@pytest.mark.parametrize(("seconds", "paid"), [(600, 0), (601, 1)])
def test_an_outage_that_is_free_is_no_event(seconds: int, paid: int) -> None:
    event = {"kind": "per_event", "longer_than_s": "60", "amount": "1"}
    promise = {"id": "a", "target": "0.9", "first_n_s": "600", "first_n_per": "outage"}
    terms = contract(credits=[{"id": "c", "objective": "a"} | event], availability=[promise])
    found = settled(terms, down(0, seconds))
    assert found.highest == paid


def test_excluded_time_in_a_gap_lengthens_an_outage_and_is_no_downtime() -> None:
    """Ten minutes, five that are excluded, and ten: one outage of 25 minutes, of which 20 count."""
    counting = {"min_outage": {"seconds": "1500", "op": ">="}, "merge_gap_s": "300"}
    terms = contract(availability=[{"id": "a", "target": "0.999", "counting": counting}])
    shut = Span("n1", State.EXCLUDED, JUNE.start_s + 600, JUNE.start_s + 900)
    found = settled(terms, down(0, 600), shut, down(900, 1500))
    assert found.results[0].worst.outcome.downtime_s == 1200
