"""Maintenance that was announced and called off."""

from fractions import Fraction

import pytest

from tests.weighbridge.settlement.test_claims import LATER, OCTOBER, contract, down
from weighbridge.contract.money import MaintenanceCount
from weighbridge.settlement.maintenance import rulings
from weighbridge.settlement.periods import calendar_year
from weighbridge.settlement.record import Record, Window
from weighbridge.settlement.remedies import excess_maintenance
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

HOUR, DAY = 3600, 86400
START_S = OCTOBER.start_s + 5 * DAY
TOLD_S = START_S - 7 * DAY


def window(withdrawn_s: int | None, name: str = "M", start_s: int = START_S) -> Window:
    """Four hours, told of a week before."""
    return Window(name, start_s, start_s + 4 * HOUR, TOLD_S, None, withdrawn_s)


def settled(*windows: Window) -> Settlement:
    """The node is down for the whole of the window."""
    terms = contract(maintenance={"min_notice_s": "86400"})
    record = Record((down("2026-10-06T00:00:00", 4),), windows)
    return settle(terms, record, OCTOBER, {"a": ["n1"]}, LATER)


@pytest.mark.parametrize(
    ("withdrawn", "lost"),
    [
        (None, 0),
        (-DAY, 4 * HOUR),
        (0, 4 * HOUR),
        (1, 4 * HOUR - 1),
        (HOUR, 3 * HOUR),
        (4 * HOUR, 0),
        (9 * HOUR, 0),
    ],
)
def test_a_window_that_was_called_off_excludes_nothing_from_then_on(
    withdrawn: int | None, lost: int
) -> None:
    called_off = None if withdrawn is None else START_S + withdrawn
    found = settled(window(called_off))
    assert found.results[0].measure.low.downtime_s == lost


@pytest.mark.parametrize(("as_of", "off"), [(-1, False), (0, True), (1, True)])
def test_a_window_stands_until_the_word_that_it_is_off_was_received(as_of: int, off: bool) -> None:
    word_s = START_S - DAY
    [known] = Record((), (window(word_s),)).windows_by(word_s + as_of)
    assert known.called_off is off


def test_a_word_after_the_cut_off_calls_nothing_off() -> None:
    starts_s = OCTOBER.end_s - 2 * HOUR
    for word_s, lost in ((OCTOBER.end_s + 5 * DAY, 0), (starts_s, 2 * HOUR)):
        late = window(word_s, start_s=starts_s)
        terms = contract(maintenance={"min_notice_s": "86400"})
        record = Record((down("2026-10-31T22:00:00", 2),), (late,))
        found = settle(terms, record, OCTOBER, {"a": ["n1"]}, LATER)
        assert found.results[0].measure.low.downtime_s == lost


def test_what_never_was_uses_up_nothing_of_the_year() -> None:
    terms = contract(maintenance={"min_notice_s": "0", "max_count_per_year": "1"}).maintenance
    off, held = window(START_S, "off"), window(None, "held", START_S + DAY)
    ruled = rulings(terms, (off, held), OCTOBER, "UTC", OCTOBER.interval_s)
    assert [one.ruling for one in ruled] == ["withdrawn", "excluded"]
    cut = window(START_S + 1, "off")
    ruled = rulings(terms, (cut, held), OCTOBER, "UTC", OCTOBER.interval_s)
    assert [one.ruling for one in ruled] == ["excluded", "count_used_up"]
    credit = MaintenanceCount.model_validate(
        {
            "id": "m",
            "allowed_per_year": "0",
            "base_amount": "3600",
            "fraction_per_hour": "1/360",
            "partial": "ceil",
        }
    )
    year = calendar_year("2026", "UTC")
    paid = [(one.id, earned.exact) for one, earned in excess_maintenance(credit, (off, held), year)]
    assert paid == [("held", Fraction(40))]
