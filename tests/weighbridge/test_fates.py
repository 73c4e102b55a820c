"""What became of each thing that was said."""

from collections import Counter
from typing import Any

import pytest

from tests.weighbridge.test_notice_book import CONTRACT, HOUR, entry, notice
from weighbridge.log.entries import ContractAdded, EntryKind, Notice
from weighbridge.notices.book import ContractRecord, NoticeBook
from weighbridge.notices.fates import Fate, fates

TERMS = CONTRACT + "maintenance: {min_notice_s: 3600}\n"
START_US = 10 * HOUR


def event(party: str, name: str, unit: str = "", /, **details: str) -> Notice:
    said: dict[str, Any] = {
        "event": name,
        "at_us": HOUR,
        "since_us": None,
        "unit": unit,
        "details": details,
    }
    return notice(party, kind="event", **said)


def cause(party: str, start: int = 1, end: int = 2) -> Notice:
    times: dict[str, Any] = {"from_us": start * HOUR, "until_us": end * HOUR}
    return notice(party, kind="cause", code="lessee_fault", unit="n1.0", **times)


def claim(unit: str | None = None) -> Notice:
    return notice("L", kind="claim", period="1970-01", unit=unit, objective=None)


def answer(name: str, unit: str = "") -> Notice:
    return event("P", name, unit, period="1970-01", amount="3")


def maintenance() -> Notice:
    times: dict[str, Any] = {"from_us": START_US, "until_us": START_US + HOUR}
    return notice("P", kind="maintenance", id="M", units=[], **times)


def agreed(party: str, digit: str = "0") -> Notice:
    return event(party, "period_agreed", period="1970-01", digest=digit * 64)


def became(*said: Notice, received_us: int = 1) -> list[Fate]:
    """The second notice of all was heard a second later than the first, and so on."""
    book = NoticeBook()
    added = ContractAdded(contract="K", version=1, text=TERMS, from_us=0)
    book.fold(entry(0, EntryKind.CONTRACT, added), 0)
    for place, one in enumerate(said, start=1):
        book.fold(entry(place, EntryKind.NOTICE, one), received_us + (place - 1) * 1_000_000)
    record = book.record("K", 2**60)
    assert record is not None
    found = fates(record)
    assert all(fates(record, {place}) == {place: fate} for place, fate in found.items())
    return [found[place] for place in range(1, len(said) + 1)]


@pytest.mark.parametrize(
    ("said", "fate"),
    [
        ([cause("L")], Fate("cause_counts")),
        ([cause("P")], Fate("cause_waits")),
        ([cause("P"), cause("L")], Fate("said_too", 2)),
        ([cause("P"), cause("L", 2, 3)], Fate("cause_waits")),
        ([claim()], Fate("unanswered")),
        ([claim(), answer("claim_accepted", "n1.0")], Fate("answer.claim_accepted", 2)),
        ([claim("n1.1"), answer("claim_refused", "n1.0")], Fate("unanswered")),
        ([claim("n1.1"), answer("claim_accepted"), answer("credit_paid")], Fate("answer.credit_paid", 3)),
        ([event("P", "restored", "n1")], Fate("stands")),
        ([event("L", "deposit_paid", amount="3")], Fate("waits")),
        ([event("L", "deposit_paid", amount="3"), event("L", "deposit_paid", amount="3")], Fate("waits")),
        ([event("L", "deposit_paid", amount="3"), event("P", "deposit_paid", amount="4")], Fate("waits")),
        ([event("L", "deposit_paid", amount="3"), event("P", "deposit_paid", amount="3")], Fate("said_too", 2)),
        ([agreed("L")], Fate("waits")),
        ([agreed("L"), agreed("P", "1")], Fate("waits")),
        ([agreed("L"), agreed("P")], Fate("closed")),
        ([maintenance()], Fate("ruling.excluded")),
        ([maintenance(), event("P", "maintenance_withdrawn", id="M")], Fate("ruling.withdrawn")),
    ],
)  # fmt: skip
def test_what_became_of_the_first_thing_that_was_said(said: list[Notice], fate: Fate) -> None:
    assert became(*said)[0] == fate


@pytest.mark.parametrize(
    ("before_us", "ruling"),
    [
        (HOUR, "ruling.excluded"),
        (HOUR - 1, "ruling.excluded"),
        (HOUR - 1_000_000, "ruling.late_notice"),
    ],
)
def test_maintenance_is_told_of_in_time_or_late(before_us: int, ruling: str) -> None:
    """To the second in which it was received."""
    assert became(maintenance(), received_us=START_US - before_us) == [Fate(ruling)]


def test_what_one_party_says_a_thousand_times_is_looked_through_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book, looked = NoticeBook(), Counter[str]()
    added = ContractAdded(contract="K", version=1, text=TERMS, from_us=0)
    book.fold(entry(0, EntryKind.CONTRACT, added), 0)
    for place in range(1, 1001):
        book.fold(entry(place, EntryKind.NOTICE, event("L", "deposit_paid", amount="3")), place)
    record = book.record("K", 2**60)
    assert record is not None
    role = ContractRecord.role

    def counted(self: ContractRecord, notice: Notice) -> str:
        looked["at"] += 1
        return role(self, notice)

    monkeypatch.setattr(ContractRecord, "role", counted)
    assert set(fates(record).values()) == {Fate("waits")}
    assert looked["at"] <= 2 * 1000
