"""Which issued statement silence confirms, and what holds it."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_claims import at, contract
from weighbridge.contract import Contract
from weighbridge.log.entries import Issued
from weighbridge.notices.confirming import Confirmed, Objection, confirmed

SECOND = 1_000_000
LONG_AFTER = at("2027-01-01T00:00:00") * SECOND
CHINA = {"time_zone": "Asia/Shanghai"}


def us(text: str) -> int:
    return at(text) * SECOND


def issued(when: str, name: str, owed: str = "1.00") -> tuple[int, Issued]:
    told: dict[str, Any] = {
        "contract": "K",
        "period": "2026-09",
        "as_of_us": us(when),
        "engine": "e",
    }
    return us(when), Issued(**told, digest=name * 64, lowest=owed, highest=owed)


def terms(days: str = "5", count: str = "calendar_days") -> Contract:
    return contract(**CHINA, confirmation={"silence_days": days, "day_count": count})


def found(
    *told: tuple[int, Issued],
    objections: tuple[Objection, ...] = (),
    as_of_us: int = LONG_AFTER,
    of: Contract | None = None,
) -> tuple[str, str, int] | None:
    one: Confirmed | None = confirmed(of or terms(), told, objections, as_of_us)
    return None if one is None else (one.standing, one.issued.digest[0], one.at_us)


@pytest.mark.parametrize(
    ("count", "end"),
    [("calendar_days", "2026-10-05T16:00:00"), ("working_days", "2026-10-13T16:00:00")],
)
def test_days_of_silence_are_whole_local_days_after_that_of_the_issue(count: str, end: str) -> None:
    """Issued on 30 September in Shanghai: working days after the holidays are the 8th to the 10th, 12th and 13th."""
    one, of = issued("2026-09-30T10:00:00", "a"), terms(count=count)
    assert found(one, of=of, as_of_us=us(end) - 1) == ("waiting", "a", us(end))
    assert found(one, of=of, as_of_us=us(end)) == ("confirmed", "a", us(end))


@pytest.mark.parametrize(("later_s", "standing"), [(-1, "objected"), (0, "confirmed")])
def test_an_objection_holds_it_until_the_last_instant(later_s: int, standing: str) -> None:
    one, end_us = issued("2026-10-01T01:00:00", "a"), us("2026-10-06T16:00:00")
    said = Objection(end_us + later_s * SECOND, "L", "")
    assert (found(one, objections=(said,)) or ("",))[0] == standing


def test_an_objection_to_one_statement_holds_no_other_and_none_that_comes_after_it() -> None:
    one, two = issued("2026-10-01T01:00:00", "a"), issued("2026-10-03T01:00:00", "b")
    said = Objection(us("2026-10-02T00:00:00"), "L", "")
    assert (found(one, two, objections=(said,)) or ())[:2] == ("confirmed", "b")
    other = Objection(us("2026-10-04T00:00:00"), "L", "b" * 64)
    assert (found(one, two, objections=(other,)) or ())[:2] == ("confirmed", "a")


@pytest.mark.parametrize(("owed", "name"), [("1.00", "a"), ("2.00", "b")])
def test_a_statement_of_another_amount_takes_the_place_of_one_that_waits(
    owed: str, name: str
) -> None:
    one, two = issued("2026-10-01T01:00:00", "a"), issued("2026-10-06T15:59:59", "b", owed)
    assert (found(one, two) or ())[:2] == ("confirmed", name)


def test_where_nothing_is_agreed_or_the_calendar_does_not_know_silence_confirms_nothing() -> None:
    one = issued("2026-10-01T01:00:00", "a")
    assert found(one, of=terms("none")) is None
    assert found(issued("2098-10-01T01:00:00", "a"), of=terms(count="working_days")) is None
