"""Rows held in memory give what the ledger's rows give, as known at every instant that was named."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.judging.held_rows import HeldRows, UnnamedInstantError
from collector.judging.statements import newest_rows
from weighbridge.judge.ledger import BY_DEVICE, OVERLAY, Row, State
from weighbridge.settlement.units import joined_rows

SECOND = 1_000_000
INSTANTS = (20 * SECOND, 40 * SECOND, 100 * SECOND)
LATEST_US = INSTANTS[-1]

Step = tuple[int, State, bool, int, bool]
"""Seconds that it lasts, state, late, seconds until it is known, whether it grows by a second later on."""

steps = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([State.UP, State.UP, State.DOWN, State.UNKNOWN]),
        st.booleans(),
        st.integers(0, 12),
        st.booleans(),
    ),
    max_size=14,
)


def told(taken: Sequence[Step], chain: str, slot: int) -> list[Row]:
    """Rows of one chain, as a fold says them: in the order of their time, none known before the one before it."""
    rows: list[Row] = []
    at_s = known_s = 0
    for number, (lasts_s, state, late, wait_s, grows) in enumerate(taken):
        known_s = max(known_s, at_s + lasts_s) + wait_s
        for more in (0, 1) if grows else (0,):
            rows.append(
                Row(
                    contract="lease",
                    node="a",
                    slot=slot,
                    device="GPU-a",
                    chain=chain,
                    start_us=at_s * SECOND,
                    end_us=(at_s + lasts_s + more) * SECOND,
                    state=state,
                    cause="" if state is State.UP else "why",
                    recorded_us=known_s * SECOND,
                    first_entry=2 * number,
                    last_entry=2 * number + 1,
                    late=late,
                )
            )
            known_s += more
        at_s += lasts_s + (1 if grows else 0)
    return rows


@settings(deadline=None)
@given(steps, steps, steps)
def test_what_is_joined_settles_as_what_is_not(
    one: Sequence[Step], two: Sequence[Step], over: Sequence[Step]
) -> None:
    laid = [step for step in over if step[1] is State.UP]
    rows = [*told(one, "c1", 0), *told(two, "c2", 0), *told(laid, OVERLAY, BY_DEVICE)]
    held = HeldRows("lease", 0, INSTANTS)
    held.take(rows, ())
    for as_of_us in INSTANTS:
        plain = list(newest_rows((), rows, as_of_us))
        kept = list(newest_rows((), held.rows("lease", 0, LATEST_US, as_of_us), as_of_us))
        for cutoff_us in INSTANTS:
            settled, expected = (
                joined_rows(known, as_of_us, cutoff_us, (0, 100), 5 * SECOND)
                for known in (kept, plain)
            )
            assert settled == expected


def test_an_hour_after_an_hour_is_one_row() -> None:
    held = HeldRows("lease", 0, INSTANTS)
    held.take(told([(4, State.UP, False, 0, False)] * 5, "c1", 0), ())
    assert len(held.rows("lease", 0, LATEST_US, INSTANTS[0])) == 1


def test_an_instant_that_was_not_named_is_refused() -> None:
    held = HeldRows("lease", 0, INSTANTS)
    with pytest.raises(UnnamedInstantError):
        held.rows("lease", 0, LATEST_US, 30 * SECOND)
