"""A period that is not over: what is to come is up in the best case, as it is now in the worst, and nothing else."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from tests.weighbridge.scripted import SECOND, START_US, contract_text, holders
from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.draft import draft
from weighbridge.settlement.periods import calendar_month, instant_text
from weighbridge.settlement.record import ToldEvent, Window
from weighbridge.settlement.statement import Statement, UnitLine

OCTOBER = calendar_month("2026-10", "UTC")
MONTH, HOUR = OCTOBER.seconds, 3600
UP, DOWN = State.UP, State.DOWN
Piece = tuple[int, int, State]


def row(slot: int, start: int, end: int, state: State, node: str = "n1") -> Row:
    """In seconds of the month."""
    cause = "" if state is UP else "gpu_lost"
    start_us, end_us = START_US + start * SECOND, START_US + end * SECOND
    return Row("K1", node, slot, f"G{slot}", "c", start_us, end_us, state, cause, end_us)


def drafted(
    as_of: int,
    *slots: Sequence[Piece],
    windows: tuple[Window, ...] = (),
    events: tuple[ToldEvent, ...] = (),
    **terms: Any,
) -> Statement:
    """Of a node whose slots were so; `terms` replace what a contract says."""
    text = contract_text().replace("policy: hold", f"policy: {terms.pop('unknown', 'hold')}")
    for old, new in terms.pop("swap", {}).items():
        assert old in text
        text = text.replace(old, new)
    version = Version(load(text), text, START_US, START_US + 365 * 86_400 * SECOND)
    rows = [row(slot, *piece) for slot, pieces in enumerate(slots) for piece in pieces]
    notices = Notices(windows=windows, events=events)
    as_of_us = START_US + as_of * SECOND
    return draft([version], holders(["n1"]), rows, notices, OCTOBER, as_of_us)


def unit(statement: Statement, name: str = "n1.0") -> UnitLine:
    (found,) = (line for line in statement.parts[0].units if line.unit == name)
    return found


def shares(line: UnitLine) -> tuple[Fraction, Fraction]:
    low, high = map(Fraction, line.availability_fraction)
    return low, high


def test_five_lost_minutes_on_the_first_of_the_month_are_five_minutes_of_the_month() -> None:
    line = unit(drafted(600, [(0, 300, DOWN), (300, 600, UP)], [(0, 600, UP)]))
    assert shares(line) == (1 - Fraction(300, MONTH),) * 2
    assert line.verdict == "MET"
    assert line.seconds["to_come"] == MONTH - 600
    assert sum(line.seconds.values()) == line.service_seconds == MONTH
    assert line.counted_seconds == (300, 300)
    assert [(one.end, one.seconds_in_period) for one in line.outages] == [
        (instant_text(OCTOBER.start_s + 300), 300)
    ]


def test_what_is_down_now_stays_down_in_the_worst_reading_alone() -> None:
    statement = drafted(600, [(0, 500, UP), (500, 600, DOWN)], [(0, 600, UP)])
    line = unit(statement)
    assert shares(line) == (Fraction(500, MONTH), 1 - Fraction(100, MONTH))
    assert line.verdict == "UNKNOWN"
    assert line.counted_seconds == (100, 100)
    (outage,) = line.outages
    assert (outage.end, outage.seconds_in_period) == (statement.as_of, 100)
    times = {time.unit: time.not_up for time in statement.parts[0].times}
    assert times["n1.0"] == ((outage.start, statement.as_of, "down"),)
    assert statement.parts[0].delivery[0].healthy_gpu_seconds == 500 + 600
    assert statement.flags == ("period_under_way",)


def test_missed_is_missed_once_the_rest_of_the_month_cannot_mend_it() -> None:
    missed = MONTH // 100 + 1
    for state in (UP, DOWN):
        pieces = [(0, missed, DOWN), (missed, missed + 60, state)]
        assert unit(drafted(missed + 60, pieces, [(0, missed + 60, UP)])).verdict == "BREACHED"


@pytest.mark.parametrize(("silent", "coming"), [(30, MONTH - 570), (31, MONTH - 600)])
def test_time_that_may_still_be_bridged_is_to_come_and_longer_silence_is_unknown(
    silent: int, coming: int
) -> None:
    """Where nobody was heard for max_gap exactly the next sample may still cover it."""
    line = unit(drafted(600, [(0, 600 - silent, UP)], [(0, 600, UP)], unknown="down"))
    assert line.seconds["to_come"] == coming
    assert line.seconds["unknown"] == (0 if silent == 30 else 31)
    assert line.verdict == ("MET" if silent == 30 else "UNKNOWN")


def test_a_node_is_to_come_as_soon_as_one_of_its_slots_is() -> None:
    line = unit(drafted(600, [(0, 580, UP)], [(0, 500, UP), (500, 600, DOWN)]), "n1")
    assert line.seconds["to_come"] == MONTH - 580
    assert line.seconds["down"] == 80
    assert shares(line) == (Fraction(500, MONTH), 1 - Fraction(80, MONTH))


def test_maintenance_that_is_announced_for_later_has_excluded_nothing_yet() -> None:
    swap = {"unknown:": "maintenance: {min_notice_s: '0'}\nunknown:"}
    at_s = OCTOBER.start_s
    windows = (
        Window("w1", at_s + 300, at_s + 900, at_s),
        Window("w2", at_s + 9000, at_s + 9900, at_s),
    )
    statement = drafted(
        600, [(0, 300, UP), (300, 600, DOWN)], [(0, 600, UP)], windows=windows, swap=swap
    )
    line = unit(statement)
    assert (line.excluded_seconds, line.seconds["excluded"]) == (300, 300)
    assert [one.excluded_seconds for one in statement.parts[0].maintenance] == [300, 0]
    assert line.counted_seconds == (0, 0)
    assert sum(line.seconds.values()) == MONTH


def test_a_period_before_service_holds_no_time_though_a_gpu_is_down_as_service_begins() -> None:
    counting = 'unit: gpu, target: "0.99", counting: {merge_gap_s: "3600"}'
    signed = ToldEvent("acceptance_signed", OCTOBER.end_s + 600)
    statement = drafted(
        MONTH + 900,
        [(0, MONTH, UP), (MONTH, MONTH + 900, DOWN)],
        [(0, MONTH + 900, UP)],
        events=(signed,),
        swap={'unit: gpu, target: "0.99"': counting},
    )
    line = unit(statement)
    assert (line.service_seconds, line.outages, shares(line)) == (0, (), (Fraction(1),) * 2)
    assert all(time.not_up == () for time in statement.parts[0].times)


def test_a_moving_window_waits_for_nothing() -> None:
    rolling = 'unit: gpu, target: "0.99", period: rolling, window_s: "3600"'
    swap = {'unit: gpu, target: "0.99"': rolling}
    line = unit(drafted(600, [(0, 590, UP), (590, 600, DOWN)], [(0, 600, UP)], swap=swap))
    assert shares(line) == (1 - Fraction(10, HOUR),) * 2
    assert line.verdict == "MET"


def test_what_a_moving_window_missed_is_told_up_to_now() -> None:
    rolling = 'unit: gpu, target: "0.99", period: rolling, window_s: "3600"'
    swap = {'unit: gpu, target: "0.99"': rolling}
    statement = drafted(600, [(0, 500, UP), (500, 600, DOWN)], [(0, 600, UP)], swap=swap)
    line = unit(statement)
    assert line.verdict == "BREACHED"
    assert [end for _, end in line.breaches] == [statement.as_of]


def test_after_its_end_a_period_shows_nothing_of_it() -> None:
    for as_of in (MONTH, MONTH + 1):
        statement = drafted(as_of, [(0, MONTH - 10, UP)], [(0, MONTH, UP)])
        line = unit(statement)
        assert "to_come" not in line.seconds
        assert (line.seconds["unknown"], line.unknown_seconds) == (10, 10)
        assert statement.flags == ()
