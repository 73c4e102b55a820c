"""Working days and hours by a calendar. What the State Council announced for 2026 stands here once more, by hand:
the notice of 4 November 2025, politics.gmw.cn/2025-11/04/content_38391083.htm."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.settlement.test_clocks import LATE, OFFICE, REPAIR, contract
from weighbridge.contract import Contract, ContractError, explain, load, loaded
from weighbridge.contract.calendars import (
    IN_CHINA,
    DayKind,
    calendar_version,
    day_kind,
    is_calendar,
)
from weighbridge.contract.coherence import cautions
from weighbridge.contract.exclusions import LocalHours
from weighbridge.contract.quality import Response
from weighbridge.contract.remedies import LiquidatedDamages
from weighbridge.settlement.damages import days_late
from weighbridge.settlement.hours import inside, occurrences
from weighbridge.settlement.periods import calendar_month, day_start, local_date
from weighbridge.settlement.record import Record, ToldEvent
from weighbridge.settlement.repair import clocks
from weighbridge.settlement.service import start_of_s
from weighbridge.settlement.settle import settle
from weighbridge.settlement.working_days import working_day_after

ZONE = "Asia/Shanghai"
HOLIDAYS_OF_2026 = (
    ("01-01", "01-03"),
    ("02-15", "02-23"),
    ("04-04", "04-06"),
    ("05-01", "05-05"),
    ("06-19", "06-21"),
    ("09-25", "09-27"),
    ("10-01", "10-07"),
)
WORKED_OF_2026 = ("01-04", "02-14", "02-28", "05-09", "09-20", "10-10")
LATE_DELIVERY = {
    "id": "d",
    "trigger": "late_delivery",
    "side": "provider",
    "daily_rate": "0.0005",
    "day_count": "working_days",
}
WORKING_DAYS = LiquidatedDamages.model_validate(LATE_DELIVERY)
ANSWER = Response.model_validate({"id": "a", "objective_s": 60, "calendar": "working_hours"})


def of_2026(day: str) -> date:
    return date.fromisoformat(f"2026-{day}")


def is_off(day: date) -> bool:
    return any(of_2026(first) <= day <= of_2026(last) for first, last in HOLIDAYS_OF_2026)


def is_worked(day: date) -> bool:
    """By the announcement alone."""
    made_up = day in map(of_2026, WORKED_OF_2026)
    return made_up or (day.weekday() < 5 and not is_off(day))


def days_of_2026() -> Iterator[date]:
    day = date(2026, 1, 1)
    while day.year == 2026:
        yield day
        day += timedelta(days=1)


def test_the_calendar_of_china_is_what_the_state_council_announced() -> None:
    for day in days_of_2026():
        kind = day_kind("CN", day)
        assert (kind in (DayKind.WORKED, DayKind.MADE_UP)) == is_worked(day), day
        assert (kind is DayKind.OFF) == is_off(day), day


@pytest.mark.parametrize(
    ("calendar", "day", "kind"),
    [
        ("CN", date(2003, 12, 31), DayKind.UNKNOWN),
        ("CN", date(2004, 1, 1), DayKind.OFF),
        ("CN", date(2199, 1, 4), DayKind.UNKNOWN),
        ("DE", date(2027, 1, 6), DayKind.WORKED),
        ("DE-BY", date(2027, 1, 6), DayKind.OFF),
        ("US", date(2026, 7, 3), DayKind.OFF),
        ("US", date(2026, 7, 4), DayKind.OFF),
        ("US", date(2026, 7, 5), DayKind.WEEKEND),
        ("HU", date(2026, 8, 8), DayKind.MADE_UP),
        ("AE", date(2026, 1, 1), DayKind.OFF),
        ("AE", date(2045, 3, 1), DayKind.UNKNOWN),
        ("weekdays", date(2026, 10, 1), DayKind.WORKED),
        ("weekdays", date(2026, 10, 10), DayKind.WEEKEND),
        ("ZZ", date(2026, 10, 1), DayKind.UNKNOWN),
    ],
)
def test_a_calendar_says_what_a_day_is_and_of_what_it_does_not_know_that(
    calendar: str, day: date, kind: DayKind
) -> None:
    assert day_kind(calendar, day) is kind


def test_a_calendar_is_known_by_its_package_and_version() -> None:
    assert calendar_version("CN").startswith("chinesecalendar 1.")
    assert calendar_version("DE").startswith("holidays 0.")
    assert calendar_version("weekdays") == ""
    assert [is_calendar(name) for name in ("US-CA", "US-ZZ", "ZZ")] == [True, False, False]


@pytest.mark.parametrize(
    ("due", "done", "days"),
    [
        ("09-30", "10-12", 4),
        ("09-30", "10-07", 0),
        ("09-30", "10-08", 1),
        ("10-09", "10-10", 1),
        ("10-10", "10-11", 0),
        ("02-13", "02-14", 1),
        ("02-14", "02-23", 0),
        ("04-03", "04-03", 0),
        ("04-05", "04-01", 0),
    ],
)
def test_days_late_are_working_days_of_the_calendar(due: str, done: str, days: int) -> None:
    assert days_late(WORKING_DAYS, of_2026(due), of_2026(done), "CN") == (days, days)


def test_days_of_a_year_that_the_calendar_does_not_know_are_none_at_least_and_all_at_most() -> None:
    found = days_late(WORKING_DAYS, date(2198, 12, 31), date(2199, 1, 10), "CN")
    assert found == (0, 10)
    assert working_day_after("CN", date(2198, 12, 31), 1) is None


def test_an_amount_for_days_that_the_calendar_does_not_know_is_a_range_with_a_flag() -> None:
    batch = {"id": "A", "nodes": "1", "due": "2036-09-30", "value": "100000"}
    terms = contract(
        effective="2036-01-01T00:00:00Z",
        term={"from": "2036-01-01T00:00:00Z", "to": "2037-01-01T00:00:00Z"},
        resources=[
            {
                "id": "r",
                "accelerator": {"sku": "any"},
                "nodes": "1",
                "per_node": "1",
                "delivery": [batch],
            }
        ],
        liquidated_damages=[LATE_DELIVERY],
    )
    accepted = ToldEvent("batch_accepted", day_start(date(2036, 10, 12), ZONE), "A")
    period = calendar_month("2036-10", ZONE)
    found = settle(terms, Record(events=(accepted,)), period, {}, period.end_s)
    assert (str(found.lowest), str(found.highest)) == ("0.00", "600.00")
    assert "calendar_year_unknown" in found.flags


def test_a_contract_in_china_counts_by_the_state_council_and_others_name_a_calendar() -> None:
    for zone in sorted(IN_CHINA):
        assert contract(time_zone=zone, liquidated_damages=[LATE_DELIVERY]).calendar == "CN"
    abroad: dict[str, Any] = {
        "time_zone": "Europe/Berlin",
        "working_hours": OFFICE,
        "liquidated_damages": [LATE_DELIVERY],
        "acceptance": {
            "deemed_acceptance_days": "3",
            "deemed_acceptance_count": "working_days",
        },
    }
    agreed = contract(**abroad, working_calendar="DE-BE")
    with pytest.raises(ContractError) as refused:
        load(explain(agreed).replace("working_calendar: DE-BE", "working_calendar: none"))
    for path in ("working_hours", "day_count", "deemed_acceptance_count"):
        assert f"{path}: needs working_calendar" in str(refused.value)
    with pytest.raises(ContractError, match="`ZZ` is no calendar"):
        load(explain(agreed).replace("DE-BE", "ZZ"))


def test_a_contract_that_runs_past_the_last_year_of_its_calendar_says_so() -> None:
    late = {"term": {"from": "2026-01-01T00:00:00Z", "to": "2199-01-01T00:00:00Z"}}
    terms = contract(liquidated_damages=[LATE_DELIVERY], **late)
    assert any(text.startswith("working_calendar: ") for text in cautions(terms))
    for quiet in (contract(**late), contract(liquidated_damages=[LATE_DELIVERY])):
        assert not any(text.startswith("working_calendar: ") for text in cautions(quiet))


def test_what_was_agreed_before_calendars_could_be_named_is_read_and_counts_monday_to_friday() -> (
    None
):
    abroad = contract(time_zone="Europe/Berlin", working_hours=OFFICE, working_calendar="DE")
    text = explain(abroad).replace("working_calendar: DE\n", "")
    assert (loaded(text).working_calendar, loaded(text).calendar) == (None, "weekdays")
    assert loaded(explain(abroad).replace("DE\n", "ZZ\n")).calendar == "ZZ"


def test_one_mapping_of_working_hours_is_a_list_of_one() -> None:
    assert (
        contract(working_hours=OFFICE).working_hours
        == contract(working_hours=[OFFICE]).working_hours
    )
    assert contract(working_hours="none").working_hours == ()


def test_hours_may_go_past_midnight_and_may_not_be_empty() -> None:
    night = {"days": ("fri",), "from_minute": "1320", "to_minute": "120", "zone": ZONE}
    hours = LocalHours.model_validate(night)
    saturday = day_start(date(2026, 9, 5), ZONE)
    [window] = occurrences(hours, (saturday, saturday + 3600))
    assert window == (saturday - 7200, saturday + 7200)
    assert inside([hours], (saturday + 7199, saturday + 7200)) == (
        (saturday + 7199, saturday + 7200),
    )
    assert inside([hours], (saturday + 7200, saturday + 86400)) == ()
    for broken in ({"to_minute": "1320"}, {"from_minute": "1440"}, {"to_minute": "1441"}):
        with pytest.raises(ValueError, match="minute"):
            LocalHours.model_validate(night | broken)


def windows(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    return [
        {
            "days": draw(st.lists(st.sampled_from(names), unique=True)),
            "from_minute": str(start),
            "to_minute": str(end),
            "zone": ZONE,
        }
        for start, end in draw(
            st.lists(
                st.sampled_from([(540, 720), (780, 1080), (1320, 120), (0, 1440)]),
                min_size=1,
                max_size=3,
            )
        )
    ]


def holds(window: dict[str, Any], day: date) -> bool:
    """By the announcement alone."""
    if not window["days"]:
        return True
    if is_off(day):
        return False
    named = f"{day:%a}".lower() in window["days"]
    return named or (day.weekday() > 4 and is_worked(day) and bool(set(window["days"]) & WEEK))


WEEK = {"mon", "tue", "wed", "thu", "fri"}


def is_open(hours: list[dict[str, Any]], moment: datetime) -> bool:
    """Whether somebody works in this minute."""
    minute, today = moment.hour * 60 + moment.minute, moment.date()
    for window in hours:
        start, end = int(window["from_minute"]), int(window["to_minute"])
        if start < end and start <= minute < end and holds(window, today):
            return True
        if end < start and minute >= start and holds(window, today):
            return True
        if end < start and minute < end and holds(window, today - timedelta(days=1)):
            return True
    return False


@st.composite
def shifts(draw: st.DrawFn) -> tuple[list[dict[str, Any]], int, int]:
    day = draw(st.sampled_from([*WORKED_OF_2026, "02-15", "10-01", "05-05", "09-04"]))
    start_s = day_start(of_2026(day), ZONE) + 60 * draw(st.integers(-2880, 2880))
    return (
        windows(draw),
        max(start_s, day_start(date(2026, 1, 2), ZONE)),
        draw(st.integers(0, 3 * 1440)),
    )


@settings(max_examples=40)
@given(shifts())
def test_a_clock_of_working_hours_counts_the_minutes_that_are_worked(
    shift: tuple[list[dict[str, Any]], int, int],
) -> None:
    hours, start_s, minutes = shift
    terms = contract(working_hours=hours)
    first = datetime.fromtimestamp(start_s, UTC) + timedelta(hours=8)
    worked = sum(is_open(hours, first + timedelta(minutes=one)) for one in range(minutes))
    end_s = start_s + 60 * minutes
    events = [ToldEvent("fault_reported", start_s, "n1"), ToldEvent("answered", end_s, "n1")]
    for one in clocks(ANSWER, events, (start_s, end_s), terms.working_hours, terms.calendar):
        assert (one.seconds, one.least_s) == (60 * worked, 60 * worked)


def test_hours_of_a_year_that_the_calendar_does_not_know_leave_a_clock_open() -> None:
    """Two whole days: no hour at least, two times nine at most; the credit is as open."""
    terms = contract(
        effective="2036-01-01T00:00:00Z",
        term={"from": "2036-01-01T00:00:00Z", "to": "2037-01-01T00:00:00Z"},
        working_hours=OFFICE,
        repair=[REPAIR | {"calendar": "working_hours"}],
        credits=[LATE | {"repair": "mend"}],
    )
    start_s = day_start(date(2036, 10, 8), ZONE)
    told = (
        ToldEvent("fault_reported", start_s, "n1"),
        ToldEvent("restored", start_s + 2 * 86400, "n1"),
    )
    period = calendar_month("2036-10", ZONE)
    found = settle(terms, Record(events=told), period, {}, period.end_s)
    [one] = found.clocks
    assert (one.mending.least_s, one.mending.seconds, one.verdict.name) == (0, 64800, "UNKNOWN")
    assert (str(found.lowest), str(found.highest)) == ("0.00", "210.00")
    assert "calendar_year_unknown" in found.flags


def accepting(**acceptance: str) -> Contract:
    return contract(acceptance={"deemed_acceptance_days": "3"} | acceptance)


@pytest.mark.parametrize(
    ("count", "delivered", "accepted"),
    [
        ("calendar_days", "09-30", "10-04"),
        ("working_days", "09-30", "10-11"),
        ("working_days", "10-08", "10-13"),
    ],
)
def test_silence_accepts_at_the_end_of_the_last_day_that_counts(
    count: str, delivered: str, accepted: str
) -> None:
    handed = ToldEvent("delivered", day_start(of_2026(delivered), ZONE) + 36000)
    end_s = day_start(of_2026(accepted), ZONE)
    terms = accepting(deemed_acceptance_count=count)
    assert start_of_s(terms, [handed], end_s) == end_s
    assert start_of_s(terms, [handed], end_s - 1) is None
    assert local_date(end_s, ZONE) == of_2026(accepted)
