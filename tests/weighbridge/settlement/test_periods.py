from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest

from weighbridge.contract.zone_data import time_zone, zone_names
from weighbridge.settlement.periods import (
    calendar_month,
    calendar_year,
    contract_month,
    contract_months,
    day_start,
    instant_text,
    local_hours,
    months_later,
    months_within,
    seconds_of,
)

YEARS = range(2020, 2036)


def utc(*parts: int) -> int:
    return seconds_of(datetime(*parts, tzinfo=UTC))  # type: ignore[misc,arg-type]


def hours(label: str, zone: str) -> int:
    return calendar_month(label, zone).seconds // 3600


def test_a_month_has_the_hours_that_its_clock_shows() -> None:
    assert hours("2026-03", "Europe/Amsterdam") == 743
    assert hours("2026-10", "Europe/Amsterdam") == 745
    assert hours("2026-11", "America/New_York") == 721
    assert hours("2026-02", "UTC") == 672
    assert hours("2028-02", "Asia/Shanghai") == 696


def test_a_half_hour_clock_change_is_half_an_hour() -> None:
    assert calendar_month("2026-04", "Australia/Lord_Howe").seconds == 30 * 86400 + 1800


def test_a_month_runs_from_local_midnight_to_local_midnight() -> None:
    month = calendar_month("2026-03", "Europe/Amsterdam")
    assert instant_text(month.start_s) == "2026-02-28T23:00:00Z"
    assert instant_text(month.end_s) == "2026-03-31T22:00:00Z"


def test_where_the_clock_jumps_over_midnight_the_day_starts_after_the_jump() -> None:
    assert instant_text(day_start(date(2022, 9, 11), "America/Santiago")) == "2022-09-11T04:00:00Z"
    assert instant_text(day_start(date(2018, 11, 4), "America/Sao_Paulo")) == "2018-11-04T03:00:00Z"


def test_where_midnight_comes_twice_the_day_starts_at_the_first() -> None:
    assert instant_text(day_start(date(2026, 11, 1), "America/Havana")) == "2026-11-01T04:00:00Z"


def test_where_a_day_was_left_out_the_next_one_starts_at_the_jump() -> None:
    assert day_start(date(2011, 12, 30), "Pacific/Apia") == day_start(
        date(2011, 12, 31), "Pacific/Apia"
    )


@pytest.mark.parametrize("label", ["2026", "2026-13", "2026-1", "26-01", "", "2026-01-01"])
def test_a_label_that_is_no_month_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        calendar_month(label, "UTC")


def test_the_months_of_a_year_tile_it() -> None:
    for zone in ("Europe/Amsterdam", "America/New_York", "Asia/Kolkata"):
        year = calendar_year("2026", zone)
        months = [calendar_month(f"2026-{month:02}", zone) for month in range(1, 13)]
        assert (months[0].start_s, months[-1].end_s) == year.interval_s
        assert all(left.end_s == right.start_s for left, right in pairwise(months))


def test_contract_months_follow_the_first_day_and_shorten_where_a_month_is_short() -> None:
    term = (utc(2026, 1, 30, 16), utc(2026, 5, 1))
    labels = [period.label for period in contract_months("Asia/Shanghai", term)]
    assert labels == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]
    assert contract_month("2026-02-28", "Asia/Shanghai", term).seconds == 31 * 86400
    with pytest.raises(ValueError, match="no month"):
        contract_month("2026-02-27", "Asia/Shanghai", term)


def test_months_within_are_those_that_share_an_instant() -> None:
    found = months_within(utc(2026, 1, 31, 23), utc(2026, 3, 1), "Europe/Amsterdam")
    assert [period.label for period in found] == ["2026-02", "2026-03"]


def test_clock_hours_shift_with_a_half_hour_zone() -> None:
    found = list(local_hours((utc(2026, 6, 1, 10, 50), utc(2026, 6, 1, 11, 40)), "Asia/Kolkata"))
    assert [instant_text(start) for start, _ in found] == [
        "2026-06-01T10:30:00Z",
        "2026-06-01T11:30:00Z",
    ]


def test_a_later_month_keeps_the_day_or_takes_the_last() -> None:
    assert months_later(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert months_later(date(2026, 12, 31), 2) == date(2027, 2, 28)
    assert months_later(date(2026, 11, 30), 1) == date(2026, 12, 30)


def check_zone(zone: str) -> None:
    """The oracle walks the clock: the border is the one second at which the local date reaches the first."""
    place = time_zone(zone)
    for year in YEARS:
        for month in range(1, 13):
            period = calendar_month(f"{year}-{month:02}", zone)
            at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=period.start_s)
            assert at.astimezone(place).date() == date(year, month, 1)
            assert (at - timedelta(seconds=1)).astimezone(place).date() < date(year, month, 1)
            following = calendar_month(f"{year + month // 12}-{month % 12 + 1:02}", zone)
            assert period.end_s == following.start_s


@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Amsterdam",
        "America/Havana",
        "Africa/Cairo",
        "Asia/Beirut",
        "America/Nuuk",
        "Asia/Gaza",
        "UTC",
    ],
)
def test_month_borders_are_the_instants_at_which_the_local_date_changes(zone: str) -> None:
    check_zone(zone)


@pytest.mark.slow
@pytest.mark.parametrize("zone", sorted(zone_names() - {"localtime", "Factory"}))
def test_month_borders_hold_in_every_zone(zone: str) -> None:
    check_zone(zone)
