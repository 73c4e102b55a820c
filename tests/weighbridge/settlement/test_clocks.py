"""Clocks of answers and repairs, by hand: 2026-09-04 is a Friday, and Shanghai is eight hours ahead of UTC."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract, ContractError
from weighbridge.contract.exclusions import LocalHours
from weighbridge.settlement.hours import occurrences
from weighbridge.settlement.periods import calendar_month, clock_time, day_start
from weighbridge.settlement.record import Record, ToldEvent
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

ZONE = "Asia/Shanghai"
SEPTEMBER = calendar_month("2026-09", ZONE)
LATER = SEPTEMBER.end_s + 86400
OFFICE = {
    "days": ["mon", "tue", "wed", "thu", "fri"],
    "from_minute": "540",
    "to_minute": "1080",
    "zone": ZONE,
}
RESPONSE = {"id": "answer", "objective_s": "3600"}
REPAIR = {"id": "mend", "objective_s": "7200", "clock_from": "report"}
LATE = {
    "id": "late",
    "kind": "repair_steps",
    "base": {"amount": "1000"},
    "first_pct": "5",
    "step_s": "3600",
    "step_pct": "1",
    "partial": "ceil",
}


def contract(**parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": ZONE,
        "currency": "CNY",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "8"}],
        "unknown": {"policy": "hold"},
    }
    return contract_of(document | parts)


def at(kind: str, local: str, unit: str = "n1", **details: str) -> ToldEvent:
    return ToldEvent(kind, int(datetime.fromisoformat(f"{local}+08:00").timestamp()), unit, details)


def settled(terms: Contract, *events: ToldEvent, as_of: int = LATER) -> Settlement:
    return settle(terms, Record(events=events), SEPTEMBER, {}, as_of)


def seen(found: Settlement) -> list[tuple[str, int, str]]:
    return [(one.terms.id, one.mending.seconds, one.verdict.name) for one in found.clocks]


def test_an_answer_is_in_time_up_to_its_last_second() -> None:
    terms = contract(response=[RESPONSE])
    for answered, verdict in (("11:00:00", "MET"), ("11:00:01", "BREACHED")):
        found = settled(
            terms,
            at("fault_reported", "2026-09-04T10:00:00"),
            at("answered", f"2026-09-04T{answered}"),
        )
        assert found.clocks[0].verdict.name == verdict


def test_nights_and_weekends_stop_a_clock_of_working_hours() -> None:
    """Friday 17:30 to Monday 10:00 in an office of nine to six: half an hour and one hour."""
    events = (at("fault_reported", "2026-09-04T17:30"), at("answered", "2026-09-07T10:00"))
    office = contract(response=[RESPONSE | {"calendar": "working_hours"}], working_hours=OFFICE)
    assert seen(settled(office, *events)) == [("answer", 5400, "BREACHED")]
    assert seen(settled(contract(response=[RESPONSE]), *events)) == [("answer", 232200, "BREACHED")]


def test_a_clock_that_runs_is_open_until_it_is_late() -> None:
    terms = contract(repair=[REPAIR])
    fault = at("fault_reported", "2026-09-04T10:00")
    for seconds, verdict in ((7200, "UNKNOWN"), (7201, "BREACHED")):
        found = settled(terms, fault, as_of=fault.at_s + seconds)
        assert seen(found) == [("mend", seconds, verdict)]


def test_only_faults_of_the_severity_that_is_meant_start_a_clock() -> None:
    terms = contract(repair=[REPAIR | {"severity": "major"}])
    events = [
        at("fault_reported", "2026-09-04T10:00", severity="minor"),
        at("fault_reported", "2026-09-04T11:00", severity="major"),
        at("restored", "2026-09-04T12:00"),
    ]
    assert seen(settled(terms, *events)) == [("mend", 3600, "MET")]


@pytest.mark.parametrize(("allowed", "seconds"), [("true", 1800), ("false", 5400)])
def test_a_spare_ends_the_clock_where_the_contract_allows_it(allowed: str, seconds: int) -> None:
    terms = contract(repair=[REPAIR | {"spare_swap_allowed": allowed}])
    events = [
        at("fault_reported", "2026-09-04T10:00"),
        at("spare_swapped", "2026-09-04T10:30"),
        at("restored", "2026-09-04T11:30"),
    ]
    assert seen(settled(terms, *events)) == [("mend", seconds, "MET")]


def test_a_late_answer_earns_its_first_percentage_and_one_for_each_started_step() -> None:
    """2 h 30 min against 1 h: late by 5400 s, two started hours: 5 % + 2 % of 1000."""
    terms = contract(response=[RESPONSE], credits=[LATE | {"repair": "answer"}])
    events = (at("fault_reported", "2026-09-04T10:00"), at("answered", "2026-09-04T12:30"))
    assert settled(terms, *events).highest == Decimal("70.00")


def test_working_hours_that_are_not_given_are_an_error() -> None:
    with pytest.raises(ContractError, match=r"repair\[0\].calendar.*working_hours"):
        contract(repair=[REPAIR | {"calendar": "working_hours"}])


def test_hours_are_those_of_the_clock_on_days_on_which_it_jumps() -> None:
    """In Amsterdam 29 March 2026 has 23 hours and 25 October 25; one to six is four and six hours long."""
    for day, hours in ((date(2026, 3, 29), 4), (date(2026, 10, 25), 6), (date(2026, 6, 7), 5)):
        start = day_start(day, "Europe/Amsterdam")
        window = LocalHours(from_minute=60, to_minute=360, zone="Europe/Amsterdam")
        [(opens, closes)] = occurrences(window, (start, start + 20 * 3600))
        assert closes - opens == hours * 3600
        assert clock_time(day, 1440, "Europe/Amsterdam") == clock_time(
            date.fromordinal(day.toordinal() + 1), 0, "Europe/Amsterdam"
        )
