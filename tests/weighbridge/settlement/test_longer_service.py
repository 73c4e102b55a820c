"""Lost time that makes the term longer, shown as time with the end of the term; worked by hand."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_damages import B_CAME, PHASED, ZONE, at
from tests.weighbridge.settlement.test_obligations import (
    CREDIT,
    DAY,
    HOUR,
    MAY,
    drafted,
    month,
    row,
    version,
)
from weighbridge.contract import ContractError
from weighbridge.judge.ledger import State
from weighbridge.settlement.longer_service import periods_since
from weighbridge.settlement.periods import calendar_month, instant_text
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.remedy_lines import LongerLine
from weighbridge.settlement.statement import Statement

LONGER = {"id": "longer", "objective": "a"}
TERM: dict[str, Any] = {
    "term": {"from": "2026-03-31T16:00:00Z", "to": "2026-12-31T16:00:00Z"},
    "effective": "2026-03-31T16:00:00Z",
}
ENDS_S = MAY.start_s + 245 * DAY
"""1 January 2027, in Shanghai: what is left of the year after April."""


def down(
    seconds: int,
    label: str = "2026-05",
    *earlier: Statement,
    state: State = State.DOWN,
    **more: Any,
) -> Statement:
    period = calendar_month(label, ZONE)
    rows = month(row("n1", 0, 0, seconds, state, period), period=period)
    terms = [LONGER | more]
    return drafted(rows=rows, period=period, earlier=earlier, longer_service=terms, **TERM)


def lines(found: Statement) -> list[LongerLine]:
    return list(found.longer)


APRIL = down(9 * HOUR, "2026-04")


def test_the_term_is_longer_by_the_multiple_of_the_time_that_was_lost() -> None:
    found = down(9 * HOUR, "2026-05", APRIL, multiple="2")
    [line] = lines(found)
    assert (line.unit, line.lost_seconds) == ("n1", (9 * HOUR, 9 * HOUR))
    assert line.longer_seconds == (18 * HOUR, 18 * HOUR)
    assert line.total_seconds == (36 * HOUR, 36 * HOUR)
    assert line.until == (instant_text(ENDS_S + 36 * HOUR),) * 2
    assert (found.lowest, found.highest) == ("0.00", "0.00")


@pytest.mark.parametrize(
    ("seconds", "rule", "days"),
    [
        (12 * HOUR, "ceil", 1),
        (12 * HOUR + 1, "ceil", 2),
        (12 * HOUR, "floor", 1),
        (24 * HOUR - 1, "floor", 1),
        (12 * HOUR - 1, "floor", 0),
    ],
)
def test_days_are_whole_for_each_period(seconds: int, rule: str, days: int) -> None:
    """Twice the time, in days of 24 hours."""
    found = down(seconds, "2026-05", down(0, "2026-04"), multiple="2", whole_days=rule)
    assert [line.total_seconds for line in lines(found)] == [(days * DAY, days * DAY)] * (days > 0)


@pytest.mark.parametrize(
    ("seconds", "owed_when", "longer"),
    [(2678, "missed", 0), (2679, "missed", 2679), (2678, "below_threshold", 2678)],
)
def test_the_time_of_a_month_that_was_met_counts_if_the_terms_say_so(
    seconds: int, owed_when: str, longer: int
) -> None:
    """0.001 of 31 days are 2678.4 s."""
    found = down(seconds, "2026-05", down(0, "2026-04"), owed_when=owed_when)
    assert sum(line.total_seconds[1] for line in lines(found)) == longer


def test_held_time_makes_it_a_range() -> None:
    [line] = lines(down(9 * HOUR, "2026-05", APRIL, state=State.CONTESTED))
    assert line.lost_seconds == (0, 9 * HOUR)
    assert line.until == (instant_text(ENDS_S + 9 * HOUR), instant_text(ENDS_S + 18 * HOUR))


def test_a_term_of_months_is_longer_from_the_end_of_its_service() -> None:
    """Twelve months from 1 April 2026, of at most three years."""
    term = {"from": "2026-03-31T16:00:00Z", "to": "2029-03-31T16:00:00Z", "months": "12"}
    accepted = ToldEvent("acceptance_signed", MAY.start_s - 30 * DAY)
    found = drafted(
        accepted,
        rows=month(row("n1", 0, 0, 9 * HOUR, State.DOWN)),
        longer_service=[LONGER],
        **TERM | {"term": term},
    )
    assert lines(found)[0].until == ("2027-04-01T01:00:00Z",) * 2


def test_earlier_months_that_nobody_knows_are_named() -> None:
    [line] = lines(down(9 * HOUR))
    assert (line.open, line.total_seconds) == (("2026-04",), (9 * HOUR, 9 * HOUR))
    [before] = lines(down(0, "2026-05", APRIL))
    assert (before.longer_seconds, before.total_seconds) == ((0, 0), (9 * HOUR, 9 * HOUR))


def test_no_more_than_the_most_and_nothing_from_before_the_day_that_is_named() -> None:
    [line] = lines(down(20 * HOUR, "2026-05", APRIL, most_days="1"))
    assert line.total_seconds == (DAY, DAY)
    [line] = lines(down(9 * HOUR, "2026-05", APRIL, since="2026-05-01"))
    assert (line.total_seconds, line.open) == ((9 * HOUR, 9 * HOUR), ())


def test_the_periods_before_are_those_of_the_objective_since_the_term_began() -> None:
    contract = version(longer_service=[LONGER], **TERM).contract
    june = calendar_month("2026-06", ZONE)
    assert [one.label for one in periods_since(contract, june)] == ["2026-04", "2026-05"]
    assert periods_since(contract, calendar_month("2026-04", ZONE)) == []


def test_a_batch_that_came_late_makes_its_term_longer_day_for_day() -> None:
    """Due on 21 April, accepted on 4 May: 13 days, from May on."""
    late = {"id": "late", "trigger": "late_delivery"}

    def of(label: str) -> list[tuple[str, int, int]]:
        period = calendar_month(label, ZONE)
        found = drafted(
            B_CAME,
            at(MAY, 4, "batch_accepted"),
            rows=month(period=period),
            period=period,
            resources=PHASED,
            longer_service=[late],
            **TERM,
        )
        told = ((one.unit, one.longer_seconds[1], one.total_seconds[1]) for one in lines(found))
        return [one for one in told if one[0] == "A"]

    assert of("2026-04") == []
    late["since"] = "2026-05-05"
    assert of("2026-05") == []
    late["since"] = "2026-05-04"
    assert of("2026-05") == [("A", 13 * DAY, 13 * DAY)]
    assert of("2026-06") == [("A", 0, 13 * DAY)]


def test_a_voucher_lapses_so_many_months_after_the_end_of_the_period() -> None:
    """May ends on 1 June in Shanghai; three months later is 1 September."""
    line = drafted(credits=[CREDIT | {"form": "voucher", "expiry_months": "3"}]).parts[0].units[0]
    assert line.credits[0].expires == "2026-08-31T16:00:00Z"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"longer_service": [{"id": "l"}]}, "longer_service[0].objective: is required"),
        (
            {"longer_service": [LONGER | {"objective": "aa"}]},
            "longer_service[0].objective: `aa` is no availability objective; did you mean a?",
        ),
        (
            {"longer_service": [LONGER | {"trigger": "late_delivery"}]},
            "longer_service[0].objective: is of no late delivery",
        ),
        (
            {
                "longer_service": [LONGER],
                "availability": [{"id": "a", "target": "0.9", "scope": "pooled"}],
            },
            "longer_service[0].objective: `a` pools the time of its units",
        ),
        (
            {"credits": [CREDIT | {"expiry_days": "30", "expiry_months": "1"}]},
            "credits[0].expiry_months: is given beside expiry_days",
        ),
        (
            {"longer_service": [LONGER | {"id": "c"}], "credits": [CREDIT]},
            "longer_service[0].id: `c` is the name of credits[0] already",
        ),
    ],
)
def test_what_longer_service_cannot_mean_is_refused_by_its_place(
    more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ContractError) as refused:
        version(**more)
    assert reason in str(refused.value)
