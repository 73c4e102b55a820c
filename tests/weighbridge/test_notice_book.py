"""What parties said, and what it does to the rows that are settled."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from heapq import heappush
from random import Random
from typing import Any

import pytest

from weighbridge.contract import load
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.ledger import Row, State
from weighbridge.judge.slot_history import NEVER_US
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    Entry,
    EntryKind,
    Notice,
    PartyKey,
    payload_type,
)
from weighbridge.notices.book import ContractRecord, NoticeBook
from weighbridge.notices.swaps import Swaps
from weighbridge.settlement.record import ToldEvent
from weighbridge.wire.report import Model, encode
from weighbridge.wire.signing import Signer, open_envelope

SIGNER = Signer(bytes(32))
HOUR = 3_600_000_000
LATER = 100
CONTRACT = """\
contract_id: K
effective: 1970-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: L, role: lessee}]
term: {from: 1970-01-01T00:00:00Z, to: 1971-01-01T00:00:00Z}
resources: [{id: r, accelerator: {sku: H100-SXM-80GB}, per_node: 2, nodes: 1}]
availability: [{id: gpus, unit: gpu, target: "0.99"}]
exclusions: {causes: [{code: lessee_fault}]}
unknown: {policy: hold}
"""


def entry(index: int, kind: EntryKind, record: Model) -> Entry:
    return Entry(index, kind, open_envelope(SIGNER.seal(payload_type(kind), encode(record))))


def notice(party: str, attested_for: str | None = "admin", **said: object) -> Notice:
    content = {"contract": "K", "party": party, "said": said, "attested_for": attested_for}
    return Notice.model_validate(content)


def cause(party: str) -> Notice:
    return notice(
        party, kind="cause", code="lessee_fault", from_us=HOUR, until_us=2 * HOUR, unit="n1.0"
    )


def event(party: str) -> Notice:
    """One that is open against the other side, because the contract does not know it."""
    return notice(
        party, kind="event", event="crash", at_us=HOUR, since_us=None, unit="", details={}
    )


def book_of(*notices: Notice) -> NoticeBook:
    book = NoticeBook()
    added = ContractAdded(contract="K", version=1, text=CONTRACT, from_us=0)
    book.fold(entry(0, EntryKind.CONTRACT, added), 10)
    for place, one in enumerate(notices, start=1):
        book.fold(entry(place, EntryKind.NOTICE, one), 10 + place)
    return book


def record_of(*notices: Notice) -> ContractRecord:
    known = book_of(*notices).record("K", 10**6)
    assert known is not None
    return known


def row(start: int, end: int, state: State, slot: int = 0, device: str = "A") -> Row:
    return Row("K", "n1", slot, device, "c", start * HOUR, end * HOUR, state, "gpu_lost", 0)


def test_a_cause_cuts_the_rows_of_its_unit_once_the_lessee_says_so() -> None:
    rows = [row(0, 3, State.DOWN), row(0, 3, State.DOWN, slot=1), row(0, 3, State.UP)]
    assert list(record_of(cause("P")).explained(rows, LATER)) == rows
    cut = list(record_of(cause("L")).explained(rows, LATER))
    assert [(one.start_us // HOUR, one.end_us // HOUR, one.cause) for one in cut[:3]] == [
        (0, 1, "gpu_lost"),
        (1, 2, "lessee_fault"),
        (2, 3, "gpu_lost"),
    ]
    assert cut[3:] == rows[1:]


def test_of_many_causes_each_row_meets_its_own_in_the_order_in_which_they_were_said() -> None:
    """As if they were said one after the other, each of the rows that the one before left."""
    chance = Random(7)
    said, words = [], [(unit, code) for unit in ("", "n1", "n1.1") for code in ("a", "b")]
    for _ in range(200):
        (unit, code), start = chance.choice(words), chance.randrange(1000)
        until_us = (start + chance.choice([1, 2, 3, 700])) * HOUR
        times: dict[str, Any] = {"from_us": start * HOUR, "until_us": until_us}
        said.append(notice("L", kind="cause", code=code, unit=unit, **times))
    rows = [row(5 * n, 5 * n + 6, State.DOWN, slot=n % 2) for n in range(200)]
    expected = rows
    for one in said:
        expected = list(record_of(one).explained(expected, LATER))
    assert list(record_of(*said).explained(rows, 10**6)) == expected


@pytest.mark.parametrize("length", [1, 1000])
def test_each_cause_is_laid_once_over_each_row_that_it_concerns(
    monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    laid = Counter[str]()

    def counted(heap: list[tuple[int, int, str]], cause: tuple[int, int, str]) -> None:
        laid[cause[2]] += 1
        heappush(heap, cause)

    monkeypatch.setattr("weighbridge.notices.causes.heappush", counted)
    times: list[dict[str, Any]] = [
        {"from_us": n * HOUR, "until_us": (n + 1) * HOUR} for n in range(1000)
    ]
    said = [notice("L", kind="cause", code="a", unit="", **one) for one in times]
    rows = [row(n, n + length, State.DOWN) for n in range(0, 1000, length)]
    explained = list(record_of(*said).explained(rows, 10**6))
    assert explained == [replace(row(n, n + 1, State.DOWN), cause="a") for n in range(1000)]
    assert laid == {"a": 1000}


def test_of_many_causes_the_last_one_said_is_the_one_that_counts() -> None:
    spans = [(0, 9, "a"), (2, 5, "b"), (4, 7, "c"), (3, 4, "d"), (20, 30, "e")]
    said = [
        notice("L", kind="cause", code=code, unit="", from_us=start * HOUR, until_us=end * HOUR)
        for start, end, code in spans
    ]
    found = record_of(*said).explained([row(1, 12, State.DOWN)], 10**6)
    told = [(one.start_us // HOUR, one.end_us // HOUR, one.cause) for one in found]
    assert told == [
        (1, 2, "a"),
        (2, 3, "b"),
        (3, 4, "d"),
        (4, 5, "c"),
        (5, 7, "c"),
        (7, 9, "a"),
        (9, 12, "gpu_lost"),
    ]


def test_what_a_party_said_counts_after_an_amendment_that_names_it_no_more() -> None:
    text = CONTRACT.replace("{id: L, role: lessee}", "{id: M, role: lessee}")
    text = text.replace("contract_id: K\n", 'contract_id: K\nversion: "2"\nsupersedes: "1"\n')
    text = text.replace("effective: 1970-01-01", "effective: 1970-03-01")
    book = book_of(cause("L"), event("L"), event("P"))
    added = ContractAdded(contract="K", version=2, text=text, from_us=load(text).effective_us)
    book.fold(entry(9, EntryKind.CONTRACT, added), 20)
    known = book.record("K", 100)
    assert known is not None
    assert "L" not in {party.id for party in known.newest.parties}
    assert len(list(known.explained([row(0, 3, State.DOWN)], LATER))) == 3
    assert [one.sides for one in known.notices([], LATER).events] == [{"lessee"}, {"provider"}]


def test_a_thread_that_asks_as_of_another_instant_meanwhile_gets_its_own_answer_and_no_other() -> (
    None
):
    """Documents ask in a thread while the loop asks for statements: what one keeps, the other must not be given."""

    class Meanwhile(NoticeBook):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "_versions" and value != (0, Assignments()):
                self.record("K", 9)

    book = Meanwhile()
    added = ContractAdded(contract="K", version=1, text=CONTRACT, from_us=0)
    book.fold(entry(0, EntryKind.CONTRACT, added), 10)
    assert book.record("K", 10) is not None
    assert book.record("K", 9) is None


def test_what_was_not_received_yet_is_not_known() -> None:
    book = book_of(cause("L"))
    assert book.record("K", 9) is None
    before, after = book.record("K", 10), book.record("K", 11)
    assert before is not None and after is not None  # noqa: PT018
    assert (len(before.heard), len(after.heard)) == (0, 1)


def swaps(rows: Sequence[Row]) -> list[ToldEvent]:
    """Found among them as they went by."""
    seen = Swaps()
    assert list(seen.watching(rows)) == rows
    return list(seen.found())


def test_a_slot_that_goes_on_with_another_device_was_swapped_unless_somebody_said_so() -> None:
    rows = [row(0, 1, State.UP), row(2, 3, State.UP, device="B"), row(0, 3, State.UP, slot=1)]
    (seen,) = swaps(rows)
    assert (seen.unit, seen.at_s, dict(seen.details)) == (
        "n1.0",
        7200,
        {"new": "B", "old": "A", "seen_by": "telemetry"},
    )
    told = notice(
        "P",
        kind="event",
        event="gpu_replaced",
        at_us=HOUR,
        since_us=None,
        unit="n1.0",
        details={"new": "B", "old": "A"},
    )
    (event,) = record_of(told).notices(swaps(rows), LATER).events
    assert event.at_s == 3600


def test_a_replacement_that_was_told_of_too_late_hides_none_that_telemetry_saw() -> None:
    rows = [row(0, 1, State.UP), row(2, 3, State.UP, device="B")]
    said = notice(
        "P",
        kind="event",
        event="gpu_replaced",
        at_us=1,
        since_us=None,
        unit="n1.0",
        details={"new": "B"},
    )
    late = record_of(said).notices(swaps(rows), 0).events
    assert [event.details.get("seen_by") for event in late] == [None, "telemetry"]


def test_an_event_counts_from_the_second_in_which_it_was_whole_received() -> None:
    book = book_of()
    book.fold(entry(1, EntryKind.NOTICE, event("L")), 5_000_001)
    known = book.record("K", HOUR)
    assert known is not None
    assert [one.received_s for one in known.notices([], LATER).events] == [6]


def test_maintenance_is_called_off_by_the_first_word_of_it() -> None:
    announced = notice("P", kind="maintenance", id="M", from_us=9, until_us=HOUR, units=[])
    off = [
        notice(
            "P",
            kind="event",
            event="maintenance_withdrawn",
            at_us=at_us,
            since_us=None,
            unit="",
            details={"id": name},
        )
        for at_us, name in ((1, "other"), (2, "M"), (3, "M"))
    ]
    [window] = record_of(announced, *off).notices([], LATER).windows
    assert window.withdrawn_s == 1
    [window] = record_of(announced, off[0]).notices([], LATER).windows
    assert window.withdrawn_s is None


def test_what_was_said_of_a_node_is_said_of_the_place_that_it_handed_on() -> None:
    book = book_of(
        notice("P", kind="maintenance", id="M", from_us=1, until_us=2, units=["n1"]),
        notice("L", kind="claim", period="1970-01", unit="n1.1", objective=None),
    )
    assignments: list[tuple[str, list[str] | None]] = [("n1", None), ("n1", []), ("n2", None)]
    for place, (node, devices) in enumerate(assignments, start=20):
        held = Assignment(contract="K", node=node, devices=devices)
        book.fold(entry(place, EntryKind.ASSIGNMENT, held), place * HOUR)
    known = book.record("K", 30 * HOUR)
    assert known is not None
    known = replace(known, holders=book.holders("K", 0, 30 * HOUR, 30 * HOUR))
    said = known.notices([], LATER)
    assert said.windows[0].units == frozenset({"n2", "n2.0", "n2.1"})
    assert said.claims[0].unit == "n2.1"
    (exchanged,) = said.events
    assert (exchanged.unit, exchanged.at_s) == ("n2", 22 * 3600)
    assert exchanged.details == {"new": "n2", "old": "n1"}


def test_a_cause_that_the_lessee_says_after_the_cut_off_changes_nothing_and_is_told() -> None:
    rows = [row(0, 3, State.DOWN)]
    late = record_of(cause("L"))
    assert list(late.explained(rows, 10)) == rows
    assert late.notices([], 10).late == ((3600, 7200),)
    assert late.notices([], 11).late == ()


def test_a_revoked_key_of_a_party_speaks_no_more() -> None:
    book = book_of()
    for place, action in enumerate(("enrolled", "revoked"), start=1):
        change = PartyKey.model_validate(
            {
                "action": action,
                "contract": "K",
                "party": "L",
                "public_key": SIGNER.public_key.hex(),
            }
        )
        book.fold(entry(place, EntryKind.PARTY, change), 20)
        speaks = book.party_key("K", SIGNER.key_id) is not None
        assert speaks == (action == "enrolled")


def test_a_contract_sees_of_a_node_what_it_held_and_what_was_nobody_elses_before() -> None:
    book = NoticeBook()
    told = [
        ("old", "n1", None), ("old", "n2", ["a"]), ("old", "n3", None), ("old", "n1", []),
        ("new", "n1", None), ("new", "n2", ["b"]), ("new", "n3", ["c"]), ("old", "n2", []),
        ("new", "n1", []), ("new", "n4", None), ("new", "n1", None),
    ]  # fmt: skip
    for place, (contract, node, devices) in enumerate(told):
        held = Assignment(contract=contract, node=node, devices=devices)
        book.fold(entry(place, EntryKind.ASSIGNMENT, held), place)
    ever = NEVER_US
    assert book.seen_by("old", 20) == {"n1": ((0, 3),), "n2": ((0, 7),), "n3": ((0, ever),)}
    assert book.seen_by("new", 20) == {
        "n1": ((3, 8), (10, ever)),
        "n2": ((0, ever),),
        "n3": ((6, ever),),
        "n4": ((0, ever),),
    }
    assert book.seen_by("new", 4) == {"n1": ((3, ever),)}
