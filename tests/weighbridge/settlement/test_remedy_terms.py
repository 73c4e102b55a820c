"""Remedies that follow clocks, events and maintenance: what of them lies in a period, in service, and under one cap."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import Period, calendar_month
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Record, ToldEvent, Window
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

HOUR, DAY = 3600, 86400
OCTOBER, NOVEMBER = (calendar_month(f"2026-{month}", "UTC") for month in ("10", "11"))
FIRST = OCTOBER.start_s
CUTOFF = OCTOBER.end_s + 5 * DAY
LATER = CUTOFF + 300 * DAY
REPAIR = {"id": "mend", "objective_s": str(12 * HOUR), "clock_from": "report"}
STEPS = {
    "id": "c",
    "kind": "repair_steps",
    "repair": "mend",
    "base": {"amount": "2400", "proration": "none"},
    "first_pct": "1",
    "step_s": str(12 * HOUR),
    "step_pct": "1",
    "partial": "floor",
}
HOURS = {"id": "c", "kind": "anomaly_hours", "event": "slow", "factor": "1", "hour_price": "10"}
HOURS |= {"round_up_to_s": "1"}
WORK = {"id": "c", "kind": "lost_work", "event": "slow", "cap_s": "999999", "hour_price": "10"}
WINDOWS = {
    "id": "c",
    "kind": "maintenance_count",
    "allowed_per_year": "0",
    "base_amount": "7200",
    "fraction_per_hour": "1/720",
    "partial": "ceil",
}


def contract(**parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "USD",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "2", "per_node": "8"}],
        "unknown": {"policy": "hold"},
    }
    return contract_of(document | parts)


def mended(credit: dict[str, Any] | None = None, **parts: Any) -> Contract:
    return contract(**{"repair": [REPAIR], "credits": [STEPS | (credit or {})]} | parts)


def told(kind: str, at_s: int, unit: str = "n1", **more: Any) -> ToldEvent:
    return ToldEvent(kind, at_s, unit, **more)


def settled(
    terms: Contract,
    *events: ToldEvent,
    period: Period = OCTOBER,
    as_of: int = LATER,
    service: Interval | None = None,
    windows: tuple[Window, ...] = (),
) -> Settlement:
    units = {one.id: ("n1", "n2") for one in terms.availability}
    return settle(terms, Record(events=events, windows=windows), period, units, as_of, service)


def pcts(found: Settlement) -> list[Fraction]:
    return [line.earned.pct or Fraction(0) for line in found.others]


# --- clocks that cross a border


def test_each_period_pays_for_the_lateness_that_came_in_it() -> None:
    """Due on 31 Oct 12:00, mended on 2 Nov 12:00: 12 h late in October (1 + 1 %), and 36 h in November (3 %)."""
    events = (
        told("fault_reported", FIRST + 30 * DAY),
        told("restored", FIRST + 32 * DAY + 12 * HOUR),
    )
    assert pcts(settled(mended(), *events)) == [2]
    assert pcts(settled(mended(), *events, period=NOVEMBER)) == [3]


def test_a_repair_that_nobody_makes_is_owed_month_by_month() -> None:
    """27 days less 12 h are 53 steps and the first per cent; November's 30 days are 60 steps."""
    fault = told("fault_reported", FIRST + 4 * DAY)
    assert pcts(settled(mended(), fault, as_of=CUTOFF)) == [54]
    assert pcts(settled(mended(), fault, period=NOVEMBER)) == [60]


@pytest.mark.parametrize(("late", "lines"), [(0, []), (1, [1])])
def test_a_clock_that_runs_is_paid_from_its_first_second_of_lateness(
    late: int, lines: list[int]
) -> None:
    fault = told("fault_reported", OCTOBER.end_s - 12 * HOUR - late)
    assert pcts(settled(mended(), fault)) == lines


@pytest.mark.parametrize(("after", "pct"), [(0, 1), (1, 54)])
def test_words_that_come_after_the_cut_off_restate_nothing(after: int, pct: int) -> None:
    """Mended within the day after it was due; that is told of at the cut-off, or a second later."""
    fault, end_s = told("fault_reported", FIRST + 4 * DAY), FIRST + 5 * DAY - 1
    ended = told("restored", end_s, received_s=CUTOFF + after)
    early, late = (settled(mended(), fault, ended, as_of=at) for at in (CUTOFF + after, LATER))
    assert pcts(early) == pcts(late) == [pct]
    assert (early.highest, early.clocks) == (late.highest, late.clocks)


def test_what_happens_after_the_cut_off_changes_no_final_statement() -> None:
    fault = told("fault_reported", FIRST + 4 * DAY)
    events = (fault, told("restored", CUTOFF + 1), told("fault_reported", CUTOFF + 2))
    found = settled(mended(), *events)
    assert found.clocks == settled(mended(), fault, as_of=CUTOFF).clocks


@settings(max_examples=60, deadline=None)
@given(
    start=st.integers(0, 60 * DAY),
    length=st.integers(0, 20 * DAY) | st.sampled_from([12 * HOUR, 12 * HOUR + 1, 24 * HOUR]),
    step=st.sampled_from([1, 7 * HOUR, 12 * HOUR, DAY]),
    partial=st.sampled_from(["floor", "ceil"]),
    service=st.tuples(st.integers(0, 40 * DAY), st.integers(0, 60 * DAY)),
)
def test_months_add_up_to_the_whole_repair(
    start: int, length: int, step: int, partial: str, service: tuple[int, int]
) -> None:
    """Counted by hand over all time: 1 % once it is late, and 1 % for each step."""
    begins = FIRST + service[0]
    lived = (begins, begins + service[1])
    events = (told("fault_reported", FIRST + start), told("restored", FIRST + start + length))
    terms = mended({"step_s": str(step), "partial": partial, "cap": {"pct": "100000000"}})
    served = min(FIRST + start + length, lived[1]) - max(FIRST + start, lived[0])
    late = max(0, served - 12 * HOUR)
    steps = late // step if partial == "floor" else -(-late // step)
    months = [
        calendar_month(label, "UTC") for label in ("2026-10", "2026-11", "2026-12", "2027-01")
    ]
    found = [
        one
        for month in months
        for one in pcts(settled(terms, *events, period=month, service=lived))
    ]
    assert sum(found) == (steps + 1 if late else 0)


def test_the_parts_of_a_month_pay_what_the_month_pays() -> None:
    """An amendment on the 10th: 4 days and 12 h late before it, 21 days after it."""
    fault = told("fault_reported", FIRST + 4 * DAY)
    edge = FIRST + 9 * DAY
    before, after = Period("2026-10", FIRST, edge), Period("2026-10", edge, OCTOBER.end_s)
    terms, record = mended(), Record(events=(fault,))
    first = settle(terms, record, before, {}, LATER, whole=OCTOBER)
    second = settle(terms, record, after, {}, LATER, whole=OCTOBER, before=(first,))
    assert [*pcts(first), *pcts(second)] == [10, 44]


# --- service


@pytest.mark.parametrize(("mended_s", "clocks"), [(0, 0), (1, 1)])
def test_a_fault_of_the_time_before_service_is_nobodys_promise(mended_s: int, clocks: int) -> None:
    begins = FIRST + 19 * DAY
    events = (told("fault_reported", FIRST), told("restored", begins + mended_s))
    found = settled(mended(), *events, service=(begins, NOVEMBER.end_s))
    assert found.highest == 0
    assert len(found.clocks) == clocks


@pytest.mark.parametrize(("late", "pct"), [(0, 0), (1, 1)])
def test_a_fault_that_lasts_into_service_has_its_whole_time_from_there(late: int, pct: int) -> None:
    begins = FIRST + 19 * DAY
    events = (told("fault_reported", FIRST), told("restored", begins + 12 * HOUR + late))
    assert pcts(settled(mended(), *events, service=(begins, NOVEMBER.end_s))) == [pct]


def test_a_clock_stops_where_service_ends() -> None:
    fault = told("fault_reported", FIRST)
    assert pcts(settled(mended(), fault, service=(FIRST, FIRST + DAY))) == [2]
    assert settled(mended(), fault, period=NOVEMBER, service=(FIRST, FIRST + DAY)).highest == 0


@pytest.mark.parametrize("credit", [HOURS, WORK])
@pytest.mark.parametrize(
    ("since", "until", "hours"), [(-24, 0, 0), (-24, 1, 1), (47, 72, 1), (48, 72, 0)]
)
def test_only_what_of_an_event_lies_in_service_is_paid(
    credit: dict[str, str], since: int, until: int, hours: int
) -> None:
    """Service lasts for two days."""
    begins = FIRST + 9 * DAY
    event = told("slow", begins + until * HOUR, since_s=begins + since * HOUR)
    found = settled(contract(credits=[credit]), event, service=(begins, begins + 2 * DAY))
    assert found.highest == 10 * hours


@pytest.mark.parametrize("credit", [HOURS, WORK])
@pytest.mark.parametrize(("longer", "paid"), [(0, [10, 0]), (1, [0, 10])])
def test_an_event_that_ends_with_service_is_paid_in_its_last_period(
    credit: dict[str, str], longer: int, paid: list[int]
) -> None:
    """Nothing is settled after it; where there is service after it, its end is of the next period."""
    event = told("slow", OCTOBER.end_s, since_s=OCTOBER.end_s - HOUR)
    terms, service = contract(credits=[credit]), (FIRST, OCTOBER.end_s + longer)
    found = [settled(terms, event, period=one, service=service) for one in (OCTOBER, NOVEMBER)]
    assert [one.highest for one in found] == paid


@pytest.mark.parametrize(("ends", "paid"), [(0, 0), (1, 10)])
def test_maintenance_before_service_is_none_of_the_number_and_not_paid(
    ends: int, paid: int
) -> None:
    begins = FIRST + 9 * DAY
    window = Window("m", begins - 5 * HOUR, begins + ends, 0)
    found = settled(contract(credits=[WINDOWS]), service=(begins, LATER), windows=(window,))
    assert found.highest == paid


@pytest.mark.parametrize(
    ("limits", "ends", "excluded"),
    [
        ({"max_s_per_period": "3600"}, 0, HOUR),
        ({"max_s_per_period": "3600"}, 600, HOUR),
        ({"max_count_per_year": "1"}, 0, HOUR),
        ({"max_count_per_year": "1"}, 1, 1),
    ],
)
def test_maintenance_before_service_uses_up_no_allowance(
    limits: dict[str, str], ends: int, excluded: int
) -> None:
    """A window over the start of service, of which `ends` seconds lie in it, and one of an hour five days later."""
    begins = FIRST + 9 * DAY
    terms = contract(
        availability=[{"id": "a", "target": "0.9"}], maintenance={"min_notice_s": "0"} | limits
    )
    later = Window("2", begins + 5 * DAY, begins + 5 * DAY + HOUR, 0)
    windows = (Window("1", begins - DAY, begins + ends, 0), later)
    found = settled(terms, service=(begins, LATER), windows=windows)
    assert found.results[0].worst.outcome.excluded_s == excluded


@pytest.mark.parametrize(
    ("missing", "share"), [("bad", Fraction(1)), ("good", Fraction(3406, 3456))]
)
def test_probes_are_due_in_service_alone(missing: str, share: Fraction) -> None:
    """Twelve days of 288 slices; all are good, or fifty are not."""
    terms = contract(
        performance=[
            {
                "id": "p",
                "probe": "x",
                "threshold": "1",
                "op": ">=",
                "missing": missing,
                "target": "0.99",
            }
        ]
    )
    bad = 0 if missing == "bad" else 50
    probes = {"p": (Samples(3456 - bad, Fraction(1)), Samples(bad, Fraction(0)))}
    found = settle(terms, Record(probes=probes), OCTOBER, {}, LATER, (FIRST + 19 * DAY, LATER))
    assert (found.probed[0].tally.scheduled, found.probed[0].tally.share) == (3456, share)


# --- one cap a period


def fault_of(unit: str, day: int) -> tuple[ToldEvent, ToldEvent]:
    at_s = FIRST + day * DAY
    return told("fault_reported", at_s, unit), told("restored", at_s + 3 * DAY, unit)


@pytest.mark.parametrize(
    ("units", "base", "amount"),
    [
        (("n1", "n1"), {"amount": "1000"}, 50),
        (("n1.0", "n1.7"), {"amount": "1000"}, 50),
        (("n1", "n2"), {"amount": "1000"}, 100),
        (("n1", "n2"), {"of": "contract", "amount": "1000"}, 50),
        (("n1", "n11"), {"amount": "1000"}, 100),
    ],
)
def test_repairs_of_a_unit_have_one_cap_between_them(
    units: tuple[str, str], base: dict[str, str], amount: int
) -> None:
    """Each is 60 h late, 1 + 5 %; the cap is 5 %."""
    events = [event for day, unit in enumerate(units) for event in fault_of(unit, 8 * day)]
    terms = mended({"cap": {"pct": "5"}, "base": base}, availability=[{"id": "a", "target": "0.5"}])
    found = settled(terms, *events)
    assert (sum(line.exact or 0 for line in found.others), found.flags) == (
        amount,
        ("cap_applied",),
    )


def test_a_second_repair_gets_what_the_first_one_left() -> None:
    terms = mended({"cap": {"pct": "10"}})
    found = settled(terms, *fault_of("n1", 0), *fault_of("n1", 8))
    assert pcts(found) == [6, 4]
    assert found.highest == 240


def test_an_amount_is_one_cap_for_all_parts_of_a_period() -> None:
    terms = contract(credits=[HOURS | {"cap": {"amount": "25"}}])
    edge = FIRST + 10 * DAY
    events = [told("slow", edge + n * HOUR, since_s=edge + (n - 2) * HOUR) for n in (-5, 5, 9)]
    record = Record(events=tuple(events))
    first = settle(terms, record, Period("2026-10", FIRST, edge), {}, LATER, whole=OCTOBER)
    rest = Period("2026-10", edge, OCTOBER.end_s)
    second = settle(terms, record, rest, {}, LATER, whole=OCTOBER, before=(first,))
    assert [first.highest, second.highest] == [20, 5]
    assert settled(terms, *events).highest == 25


@pytest.mark.parametrize(("cap", "paid"), [({"pct": "1"}, 72), ({"amount": "50"}, 50)])
def test_maintenance_of_a_period_has_one_cap(cap: dict[str, str], paid: int) -> None:
    """Two windows of four hours at 10.00 an hour; 1 % of the fee is 72."""
    windows = tuple(
        Window(f"{day}", FIRST + day * DAY, FIRST + day * DAY + 4 * HOUR, 0) for day in (1, 2)
    )
    assert settled(contract(credits=[WINDOWS | {"cap": cap}]), windows=windows).highest == paid


# --- the least amount


@pytest.mark.parametrize(
    ("minimum", "op", "owed"), [("20", ">=", 20), ("20", ">", 0), ("20.01", ">=", 0)]
)
def test_a_least_amount_is_tested_on_all_that_a_credit_gives_and_what_is_not_issued_is_not_owed(
    minimum: str, op: str, owed: int
) -> None:
    terms = contract(credits=[HOURS | {"min_amount": minimum, "min_op": op}])
    events = [told("slow", FIRST + n * DAY, since_s=FIRST + n * DAY - HOUR) for n in (2, 5)]
    found = settled(terms, *events)
    assert found.highest == owed
    assert sum(line.amount or 0 for line in found.others) == owed
    assert found.flags == (() if owed else ("below_minimum_credit",))
