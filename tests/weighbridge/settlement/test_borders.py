"""An outage that crosses a border: each period counts its own part of it, and both judge the same whole."""

from typing import Any

import pytest

from tests.weighbridge.scripted import holders
from tests.weighbridge.settlement.test_obligations import version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month, instant_text
from weighbridge.settlement.record import Window
from weighbridge.settlement.statement import Statement

SECOND = 1_000_000
MINUTE = 60
NONE = Notices()
DAY = 86400
APRIL, MAY = (calendar_month(f"2026-{month}", "Asia/Shanghai") for month in ("04", "05"))
BORDER = APRIL.end_s
PER_EVENT = {
    "id": "e",
    "objective": "a",
    "kind": "per_event",
    "longer_than_s": "900",
    "amount": "20",
    "each": "true",
    "cap": {"amount": "1000"},
}


def row(start: int, end: int, state: State = State.DOWN, slot: int = 0, node: str = "n1") -> Row:
    start_us, end_us = (BORDER + start) * SECOND, (BORDER + end) * SECOND
    return Row(
        "K", node, slot, f"GPU-{node}-{slot}", "chain", start_us, end_us, state, "", BORDER * SECOND
    )


def both(
    start: int, end: int, notices: Notices = NONE, **terms: Any
) -> tuple[Statement, Statement]:
    """April's and May's statements of one outage, in seconds from the border between them."""
    ups = [
        row(-APRIL.seconds, MAY.seconds, State.UP, slot, node)
        for node in ("n1", "n2")
        for slot in (0, 1)
    ]
    promise = {"id": "a", "target": "0.99999"} | terms.pop("promise", {})
    lease, rows = version(availability=[promise], **terms), [*ups, row(start, end)]
    april, may = (
        draft(
            [lease],
            holders(["n1", "n2"]),
            rows,
            notices,
            period,
            (period.end_s + 6 * DAY) * SECOND,
        )
        for period in (APRIL, MAY)
    )
    return april, may


def counted(statement: Statement) -> int:
    return statement.parts[0].units[0].counted_seconds[1]


def test_free_seconds_of_an_outage_are_free_once_on_both_sides_of_a_border() -> None:
    """80 minutes, of which the first 60 are free: 30 of them before the border, and 30 after it."""
    free = {"first_n_s": "3600", "first_n_per": "outage"}
    april, may = both(-30 * MINUTE, 50 * MINUTE, promise=free)
    assert (counted(april), counted(may)) == (0, 20 * MINUTE)


@pytest.mark.parametrize(
    ("start", "end", "paid"),
    [(-8, 8, ("20.00", "0.00")), (-20, 40, ("20.00", "0.00")), (-7, 8, ("0.00", "0.00"))],
)
def test_an_event_over_a_border_has_its_whole_length_and_is_paid_for_where_it_begins(
    start: int, end: int, paid: tuple[str, str]
) -> None:
    april, may = both(start * MINUTE, end * MINUTE, credits=[PER_EVENT])
    assert (april.highest, may.highest) == paid


def test_an_event_that_service_finds_is_paid_for_in_its_first_period() -> None:
    term = {"from": instant_text(BORDER + DAY), "to": "2027-01-01T00:00:00Z"}
    more: dict[str, Any] = {"term": term, "effective": term["from"]}
    april, may = both(DAY - 20 * MINUTE, DAY + 20 * MINUTE, credits=[PER_EVENT], **more)
    assert (april.highest, may.highest) == ("0.00", "20.00")


@pytest.mark.parametrize(("inside_s", "paid"), [(900, "0.00"), (901, "20.00")])
def test_an_outage_is_as_long_as_it_is_in_service(inside_s: int, paid: str) -> None:
    """Ten hours before service begins, and a quarter of an hour in it, more than which pays."""
    term = {"from": instant_text(BORDER + DAY), "to": "2027-01-01T00:00:00Z"}
    more: dict[str, Any] = {"term": term, "effective": term["from"]}
    _, may = both(DAY - 600 * MINUTE, DAY + inside_s, credits=[PER_EVENT], **more)
    assert may.highest == paid


@pytest.mark.parametrize(("inside_s", "down_s"), [(1799, 0), (1800, 1800)])
def test_time_before_service_makes_no_outage_long_enough(inside_s: int, down_s: int) -> None:
    term = {"from": instant_text(BORDER + DAY), "to": "2027-01-01T00:00:00Z"}
    more: dict[str, Any] = {"term": term, "effective": term["from"]}
    promise = {"counting": {"min_outage": {"seconds": "1800", "op": ">="}, "merge_gap_s": "0"}}
    _, may = both(DAY - 600 * MINUTE, DAY + inside_s, promise=promise, **more)
    assert counted(may) == down_s


@pytest.mark.parametrize("late", [True, False])
def test_maintenance_beyond_the_cap_of_either_month_parts_no_outage(late: bool) -> None:
    """Of 40 minutes those on one side of the border lie in work for which its month allows no time."""
    counting = {"min_outage": {"seconds": "1800", "op": ">="}, "merge_gap_s": "0"}
    at = BORDER if late else BORDER - 30 * MINUTE
    windows = (Window("m", at, at + 30 * MINUTE, 0),)
    terms = {"maintenance": {"min_notice_s": "0", "max_s_per_period": "0"}}
    start, end = (-10, 30) if late else (-30, 10)
    notices, promise = Notices(windows), {"counting": counting}
    april, may = both(start * MINUTE, end * MINUTE, notices, promise=promise, **terms)
    assert (counted(april), counted(may)) == (-start * MINUTE, end * MINUTE)


def test_the_cap_of_an_outage_is_used_up_on_the_one_side_of_a_border_and_then_on_the_other() -> (
    None
):
    """100 an hour and at most 150: an hour before the border leaves 50 for the two hours after it."""
    credit = {
        "id": "m",
        "objective": "a",
        "kind": "outage_multiple",
        "multiple": "1",
        "hour_price": "100",
        "incident_cap": "150",
        "cap": {"amount": "100000"},
    }
    april, may = both(-60 * MINUTE, 120 * MINUTE, credits=[credit])
    assert (april.highest, may.highest) == ("100.00", "50.00")
    april, may = both(-5 * 60 * MINUTE, 120 * MINUTE, credits=[credit])
    assert (april.highest, may.highest) == ("150.00", "0.00")
