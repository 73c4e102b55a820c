"""Reachability against its definition: second by second, each witness asked what it says there."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.contract import Contract, load
from weighbridge.contract.coherence import cautions
from weighbridge.contract.condition import JOINED, STATES, decided, is_up
from weighbridge.judge.ledger import BY_WITNESS, HOUR_US, Row, State, StateSpan
from weighbridge.judge.reach_lines import Attempt, ReachLine, flush, follow
from weighbridge.settlement.reach import Word, quorum_line, weighed

END = 12
GAP_US = 180_000_000
NAMES = ("a", "b", "c", "d")
CONDITIONS = (
    "reachable",
    "reachable and gpu_count == 8",
    "reachable or no_fatal_xid",
    "gpu_count == 8 and (reachable or nvlink_ok)",
)
CAUSES = ("", "gpu_lost", "xid_fatal", "nvlink_down", "sku_mismatch", "gpu_lost+xid_fatal")

words = st.builds(
    lambda start, length, state, late: Word(
        start, start + length, state, "" if state is State.UP else "unreachable", late
    ),
    st.integers(-2, END),
    st.integers(1, 6),
    st.sampled_from((State.UP, State.DOWN)),
    st.booleans(),
)
said = st.dictionaries(st.sampled_from(NAMES), st.lists(words, max_size=4))


def at(words: Sequence[Word], instant: int, *, in_time: bool) -> set[State]:
    """What one witness says of an instant, and only if it does not contradict itself."""
    held = [one for one in words if one.start_us <= instant < one.end_us]
    if len({one.state for one in held}) != 1 or (in_time and any(one.late for one in held)):
        return set()
    return {held[0].state}


@given(said, st.sets(st.sampled_from(NAMES)), st.integers(1, 4), st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_quorum_is_counted_at_each_instant(
    told: Mapping[str, Sequence[Word]], named: set[str], quorum: int, in_time: bool
) -> None:
    line = quorum_line(told, named, quorum, 0, END, in_time=in_time)
    assert [one.end_us for one in line[:-1]] == [one.start_us for one in line[1:]]
    assert (line[0].start_us, line[-1].end_us) == (0, END)
    for instant in range(END):
        (span,) = (one for one in line if one.start_us <= instant < one.end_us)
        votes = [at(told.get(name, ()), instant, in_time=in_time) for name in named]
        if sum(State.UP in vote for vote in votes) >= quorum:
            assert span.state is State.UP
        elif sum(State.DOWN in vote for vote in votes) >= quorum:
            assert (span.state, span.cause) == (State.DOWN, "unreachable")
        else:
            assert span.state is State.UNKNOWN


def worlds(condition: str, one: StateSpan, reach: State) -> set[bool | None]:
    """Whether the unit is up in each case that is not ruled out: None where the condition does not say."""
    reached = {State.UP: (True,), State.DOWN: (False,), State.UNKNOWN: (True, False)}[reach]
    causes = [one.cause]
    if one.state is State.UNKNOWN:
        every = sorted(cause for found in STATES.values() for cause in found)
        names = [cause for cause in every if cause != "unreachable"]
        causes = [
            JOINED.join(some)
            for size in range(len(names) + 1)
            for some in combinations(names, size)
        ]
    found = set()
    for cause in causes:
        for way in reached:
            together = JOINED.join(filter(None, (cause, "" if way else "unreachable")))
            found.add(is_up(condition, together) if together else True)
    return found


def shown(condition: str, one: StateSpan) -> bool | None:
    return True if one.state is State.UP else is_up(condition, one.cause)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("reach", [State.UP, State.DOWN, State.UNKNOWN])
@pytest.mark.parametrize("cause", [*CAUSES, None])
def test_a_unit_is_what_it_is_in_every_case_that_is_left_or_unknown(
    condition: str, reach: State, cause: str | None
) -> None:
    state = State.UNKNOWN if cause is None else State.DOWN if cause else State.UP
    one = StateSpan(0, 1, state, cause or "")
    left = worlds(condition, one, reach)
    (found,) = weighed(
        condition, [one], [StateSpan(0, 1, reach, "unreachable" if reach is State.DOWN else "")]
    )
    if left == {True}:
        assert found.state is State.UP or is_up(condition, found.cause) is True
    elif left == {False}:
        assert found.state is State.DOWN
        assert is_up(condition, found.cause) is False
    elif left <= {False, None}:
        assert found.state is State.DOWN
    else:
        assert found.state is State.UNKNOWN


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("reached", [True, False])
def test_reachable_alone_decides_where_all_else_changes_nothing(
    condition: str, reached: bool
) -> None:
    reach = State.UP if reached else State.DOWN
    left = worlds(condition, StateSpan(0, 1, State.UNKNOWN, ""), reach)
    assert decided(condition, reached=reached) is (left.pop() if len(left) == 1 else None)


def rows_of(*samples: tuple[int, bool | None], late_from: int = 1 << 62) -> list[Row]:
    line, found = ReachLine("K", "n", "berlin"), list[Row]()
    for at_us, reached in samples:
        seen = Attempt(reached, at_us, at_us >= late_from, at_us, 7)
        found += follow(line, seen, GAP_US)
    return [*found, *flush(line, samples[-1][0])]


def told(*samples: tuple[int, bool | None], **more: int) -> list[tuple[int, int, str]]:
    rows = rows_of(*samples, **more)
    assert all(one.slot == BY_WITNESS and one.chain == "witness@berlin" for one in rows)
    return [(one.start_us, one.end_us, one.state) for one in rows]


def test_a_sample_stands_for_the_time_up_to_the_next_within_max_gap_to_the_microsecond() -> None:
    assert told((5, True), (5 + GAP_US, False)) == [(5, 5 + GAP_US, "up")]
    assert told((5, True), (6 + GAP_US, False)) == []
    assert told((5, True), (9, False), (12, True)) == [(5, 9, "up"), (9, 12, "down")]


def test_what_cannot_be_said_ends_what_was_said() -> None:
    assert told((5, True), (9, None), (12, True), (20, True)) == [(5, 9, "up"), (12, 20, "up")]


def test_a_sample_before_the_last_says_nothing() -> None:
    assert told((5, True), (9, True), (7, False), (12, True)) == [(5, 12, "up")]


def test_rows_are_cut_at_full_hours() -> None:
    edge = HOUR_US
    assert told((edge - 5, True), (edge + 5, True), (edge + 9, True)) == [
        (edge - 5, edge, "up"),
        (edge, edge + 5, "up"),
        (edge + 5, edge + 9, "up"),
    ]


def test_rows_say_what_was_late() -> None:
    rows = rows_of((5, True), (9, True), (12, True), (15, True), late_from=12)
    assert [(one.start_us, one.end_us, one.late) for one in rows] == [(5, 9, False), (9, 15, True)]


def contract(evidence: str = "", when: str = "reachable") -> Contract:
    given = json.loads(evidence or "{}")
    return load(
        json.dumps(
            {
                "contract_id": "K",
                "effective": "2026-01-01T00:00:00Z",
                "time_zone": "UTC",
                "currency": "CNY",
                "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
                "term": {"from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"},
                "resources": [
                    {
                        "id": "r",
                        "accelerator": {"sku": "H100-SXM-80GB"},
                        "nodes": "1",
                        "per_node": "8",
                    }
                ],
                "availability": [{"id": "a", "target": "0.99", "up_when": when}],
                "unknown": {"policy": "hold"},
                "evidence": given,
            }
        )
    )


@pytest.mark.parametrize(
    ("quorum", "of", "said"),
    [
        ("2", {"a": "provider", "b": "lessee"}, []),
        ("1", {}, ["each witness decide alone"]),
        (
            "2",
            {"a": "provider", "b": "provider"},
            ["the provider's witnesses are a quorum", "without the provider's"],
        ),
        ("3", {"a": "lessee"}, ["without the lessee's"]),
    ],
)
def test_a_quorum_that_one_side_makes_or_prevents_is_warned_of(
    quorum: str, of: Mapping[str, str], said: Sequence[str]
) -> None:
    terms = {"witnesses": ["a", "b", "c"], "witness_quorum": quorum, "witness_of": of}
    found = list(cautions(contract(json.dumps(terms))))
    assert len(found) == len(said)
    assert all(part in one for part, one in zip(said, found, strict=True))


def test_a_promise_of_reachability_without_witnesses_is_warned_of() -> None:
    (found,) = cautions(contract())
    assert "availability.a" in found
    assert not list(cautions(contract(when="no_fatal_xid")))
