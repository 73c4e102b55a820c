"""Exactly at the edge, and one beside it on both sides: what comes in, and what is known by when."""

from dataclasses import replace
from typing import Any

import pytest

from collector.judging.statements import newest_rows, newest_uses
from collector.log.ingest import Examined, Limits, Refusal, Unpacker, examine, in_sequence
from collector.log.keys import KeyRing
from collector.storage.store import Accepted, ChainKey
from tests.weighbridge.scripted import SIGNER, ScriptedNode
from weighbridge.judge.ledger import Row, State, Use
from weighbridge.log.entries import EntryKind, payload_type
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import open_envelope

LIMITS = Limits(body_bytes=8, decompressed_bytes=8, reports=3)


@pytest.mark.parametrize(
    ("body", "reports"),
    [
        (b"1\n2\n", 2),
        (b"1\n2\n3\n", 3),
        (b"1\n2\n3\n4\n", None),
        (b"123456\n", 1),
        (b"1234567\n", 1),
        (b"12345678\n", None),
    ],
)
def test_a_request_may_be_exactly_as_large_as_it_may_be(body: bytes, reports: int | None) -> None:
    if reports is not None:
        assert len(Unpacker(LIMITS).unpack(body, None)) == reports
        return
    with pytest.raises(Problem) as refused:
        Unpacker(LIMITS).unpack(body, None)
    assert refused.value.code == "too_large"


@pytest.mark.parametrize(
    ("more", "code"), [(-1, "too_large"), (0, "unknown_key"), (1, "unknown_key")]
)
def test_a_report_may_be_exactly_as_large_as_it_may_be(more: int, code: str) -> None:
    """One that is not too large is refused for its key, which nobody enrolled."""
    leaf = SIGNER.seal(payload_type(EntryKind.REPORT), b"{}")
    with pytest.raises(Refusal) as refused:
        examine(leaf, KeyRing(), len(leaf) + more)
    assert refused.value.code == code


PREV, KEY = "a" * 64, ChainKey("k", "chain-1", "node")
LAST = Accepted(seq=4, payload_hash=PREV, index=9, received_us=0)


def examined(seq: int, *gaps: tuple[int, int, str]) -> Examined:
    """The report that follows PREV, if it is the next one, or the last of its gaps."""
    node = ScriptedNode(seq=seq)
    lost = [
        {"first_seq": first, "last_seq": last, "last_hash": end, "reason": "lost"}
        for first, last, end in gaps
    ]
    prev = None if seq == 0 else gaps[-1][2] if gaps else PREV
    report = node.report([0], gaps=lost, prev=prev)
    envelope = open_envelope(SIGNER.seal(payload_type(EntryKind.REPORT), b"{}"))
    return Examined(b"", envelope, report, "c" * 64, KEY)


HASH = "d" * 64


@pytest.mark.parametrize(
    ("seq", "gaps", "code"),
    [
        (5, [], None),
        (6, [], "sequence"),
        (4, [], "fork"),
        (7, [(5, 6, HASH)], None),
        (7, [(4, 6, HASH)], None),
        (7, [(6, 6, HASH)], "sequence"),
        (7, [(5, 5, HASH)], "sequence"),
        (8, [(5, 6, PREV), (7, 7, HASH)], None),
        (9, [(5, 6, PREV), (8, 8, HASH)], "sequence"),
        (8, [(5, 7, PREV), (7, 7, HASH)], None),
    ],
)
def test_gaps_join_up_from_the_report_that_is_expected_to_the_one_before_this(
    seq: int, gaps: list[tuple[int, int, str]], code: str | None
) -> None:
    """Report 4 came last."""
    found = examined(seq, *gaps)
    if code is None:
        assert in_sequence(found, LAST, lambda *_: None) is None
        return
    with pytest.raises(Refusal) as refused:
        in_sequence(found, LAST, lambda *_: LAST)
    assert refused.value.code == code


def test_the_report_that_came_last_is_known_again_and_the_first_one_is_the_first() -> None:
    again = replace(examined(4), payload_hash=PREV)
    assert in_sequence(again, LAST, lambda *_: LAST) is LAST
    assert in_sequence(examined(0), None, lambda *_: None) is None
    with pytest.raises(Refusal) as refused:
        in_sequence(examined(1), None, lambda *_: None)
    assert refused.value.code == "sequence"


def row(recorded_us: int, **more: Any) -> Row:
    made = Row("K", "n", 0, "G", "c", 0, 10, State.UP, "", recorded_us)
    return replace(made, **more)


@pytest.mark.parametrize(
    ("as_of_us", "cause"), [(4, ""), (5, "first"), (6, "first"), (7, "second"), (8, "second")]
)
def test_a_row_is_known_from_the_instant_at_which_it_was_written_down(
    as_of_us: int, cause: str
) -> None:
    rows = [row(3), row(5, cause="first"), row(7, cause="second")]
    assert [one.cause for one in newest_rows((), rows, as_of_us)] == [cause]


def test_of_two_rows_of_one_instant_the_one_that_was_written_last_stands() -> None:
    found = list(newest_rows((), [row(5, cause="first"), row(5, cause="second")], 5))
    assert [one.cause for one in found] == ["second"]


def test_what_was_written_gives_way_to_what_is_due_of_the_same_hour_alone() -> None:
    def use(hour_us: int, seen: int) -> Use:
        return Use("K", "n", "c", hour_us, 0, 1, seen, 0, 0, 0, 0, 0, 0, 0)

    found = newest_uses([use(0, 1), use(1, 1), use(2, 1)], [use(1, 2)])
    assert [one.seen for one in found] == [1, 2, 1]
