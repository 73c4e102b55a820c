"""What a day is: of the calendar, in the zone of the contract, by the zone data that the statement names."""

import shutil
import zoneinfo
from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import tzdata

from tests.weighbridge.settlement.test_obligations import RESOURCE, drafted
from tests.weighbridge.written import contract_of
from weighbridge.contract.zone_data import ZONE_DATA, time_zone
from weighbridge.judge.ledger import State
from weighbridge.log.entries import Issued
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.periods import calendar_month, day_start, instant_text, local_date
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import otherwise, versions, versions_of

NEW_YORK = "America/New_York"
DAY = 86400


def contract(**parts: Any) -> Any:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": NEW_YORK,
        "currency": "USD",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [RESOURCE | {"delivery": []}],
        "availability": [{"id": "a", "target": "0.999"}],
        "unknown": {"policy": "hold"},
    }
    return contract_of(document | parts)


def test_zones_are_those_of_the_pinned_data_whatever_the_system_has(tmp_path: Path) -> None:
    """Alberta and British Columbia stay on daylight time from 2026 on; older data go back in November."""
    older = Path(tzdata.__file__).parent / "zoneinfo" / "UTC"
    for name in ("America/Edmonton", "America/Vancouver"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(older, tmp_path / name)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[tmp_path])
    zoneinfo.ZoneInfo.clear_cache()
    time_zone.cache_clear()
    day_start.cache_clear()
    try:
        starts = [
            instant_text(calendar_month("2026-12", name).start_s)
            for name in ("America/Edmonton", "America/Vancouver")
        ]
    finally:
        zoneinfo.reset_tzpath(to=before)
        zoneinfo.ZoneInfo.clear_cache()
    assert starts == ["2026-12-01T06:00:00Z", "2026-12-01T07:00:00Z"]


@pytest.mark.parametrize("name", ["Mars/Olympus", "../zones", "Europe", "", "europe/berlin"])
def test_a_name_that_the_zone_data_do_not_have_is_no_zone(name: str) -> None:
    with pytest.raises(LookupError):
        time_zone(name)


def test_a_statement_names_the_zone_data_and_the_calendars_that_it_counts_by() -> None:
    late = {"id": "d", "trigger": "late_delivery", "side": "provider", "day_count": "working_days"}
    counting, not_counting = drafted(liquidated_damages=[late]), drafted()
    assert (counting.zone_data, not_counting.zone_data) == (ZONE_DATA, ZONE_DATA)
    assert counting.calendars.startswith("CN chinesecalendar 1.")
    assert not_counting.calendars == ""


def test_what_was_issued_by_other_zone_data_says_so_and_what_did_not_tell_says_nothing() -> None:
    again = drafted()
    issued = Issued(
        contract="K",
        period="2026-05",
        as_of_us=0,
        engine=again.engine,
        digest="0" * 64,
        zone_data="2025a",
        calendars="CN chinesecalendar 1.10.0",
    )
    told = otherwise(versions_of(issued.model_dump()), versions(again))
    differing = {one.arguments["name"]: one.arguments["before"] for one in told}
    assert differing["zone_data"] == "2025a"
    assert differing["calendars"] == "CN chinesecalendar 1.10.0"
    silent = issued.model_copy(update={"zone_data": "", "calendars": ""})
    assert otherwise(versions_of(silent.model_dump()), versions(again)) == ()
    older = versions(replace(again, zone_data="2025a"))
    [one] = otherwise(older, versions(again))
    assert one.arguments == {"name": "zone_data", "before": "2025a", "after": ZONE_DATA}


@pytest.mark.parametrize(("label", "hours"), [("2026-03", 743), ("2026-11", 721), ("2026-05", 744)])
def test_a_day_of_service_is_one_of_the_days_of_the_month(label: str, hours: int) -> None:
    credit = {
        "id": "c",
        "kind": "daily_rate",
        "objective": "a",
        "base": {"amount": "31000"},
        "step_s": "3600",
        "partial": "ceil",
    }
    period = calendar_month(label, NEW_YORK)
    assert period.seconds == hours * 3600
    down = Span("n1", State.DOWN, period.start_s + DAY, period.start_s + DAY + 3600)
    found = settle(
        contract(credits=[credit]), Record((down,)), period, {"a": ["n1"]}, period.end_s + 9 * DAY
    )
    days = 30 if label == "2026-11" else 31
    [line] = found.results[0].worst.lines
    assert line.exact == Fraction(31000, days)


@pytest.mark.parametrize(
    ("label", "hours", "rule", "days"),
    [
        ("2026-03", None, "seconds", Fraction(31)),
        ("2026-11", None, "seconds", Fraction(30)),
        ("2026-03", 12, "seconds", Fraction(1, 2)),
        ("2026-03", 12, "days", Fraction(1)),
        ("2026-03", 24, "days", Fraction(1)),
        ("2026-03", 25, "days", Fraction(2)),
        ("2026-03", 7 * 24 + 12, "seconds", 7 + Fraction(12, 23)),
        ("2026-11", 12, "seconds", Fraction(12, 25)),
        ("2026-03", 0, "days", Fraction(0)),
    ],
)
def test_p_days_are_days_of_the_calendar(
    label: str, hours: int | None, rule: str, days: Fraction
) -> None:
    """Four GPUs of half a P at 10 a P and day: 20 a day. 8 March 2026 lacks an hour, 1 November has one more."""
    terms = contract(pricing=[{"unit": "P_day", "price": "10", "proration": rule}])
    period = calendar_month(label, NEW_YORK)
    end_s = period.end_s if hours is None else period.start_s + hours * 3600
    fees = Fees(terms, period, (period.start_s, end_s), period)
    assert fees.of_price(terms.pricing[0]) == 20 * days
    assert local_date(day_start(date(2026, 3, 8), NEW_YORK), NEW_YORK) == date(2026, 3, 8)
