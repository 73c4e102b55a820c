from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.settlement.intervals import (
    Interval,
    Intervals,
    Touching,
    clip,
    complement,
    covered_by_at_least,
    depth,
    intersection,
    merge,
    partition,
    subtraction,
    total,
    union,
)

EDGE = 60
pairs = st.lists(st.tuples(st.integers(0, EDGE), st.integers(0, EDGE)), max_size=8)
sets = pairs.map(union)
WITHIN: Interval = (0, EDGE)


def instants(intervals: Intervals) -> set[int]:
    """The oracle: a set of instants, one by one."""
    return {instant for start, end in intervals for instant in range(start, end)}


@given(pairs)
def test_a_union_holds_each_instant_once_in_one_form(given_pairs: list[Interval]) -> None:
    made = union(given_pairs)
    assert instants(made) == instants(tuple(given_pairs))
    assert union(reversed(made)) == made
    assert all(left[1] < right[0] for left, right in pairwise(made))
    assert total(made) == len(instants(made))


@given(sets, sets)
def test_two_sets_behave_as_sets_of_instants(left: Intervals, right: Intervals) -> None:
    a, b = instants(left), instants(right)
    assert instants(union(left, right)) == a | b
    assert instants(intersection(left, right)) == a & b
    assert instants(subtraction(left, right)) == a - b
    assert instants(complement(left, WITHIN)) == instants((WITHIN,)) - a
    assert subtraction(left, right) == union(subtraction(left, right))


@given(sets, st.integers(0, EDGE), st.integers(0, EDGE))
def test_time_is_conserved_by_a_complement(left: Intervals, start: int, end: int) -> None:
    within = (min(start, end), max(start, end))
    assert total(clip(left, within)) + total(complement(left, within)) == within[1] - within[0]


@given(sets, st.integers(0, EDGE), st.integers(0, EDGE))
def test_what_lies_inside_an_interval_is_a_set_too(left: Intervals, start: int, end: int) -> None:
    inside = clip(left, (start, end))
    assert inside == union(inside)
    assert instants(inside) == instants(left) & set(range(start, end))


@given(st.lists(sets, min_size=1, max_size=5), st.integers(1, 5))
def test_cover_counts_how_many_sets_hold_an_instant(many: list[Intervals], count: int) -> None:
    held = {t for t in range(EDGE) if sum(t in instants(one) for one in many) >= count}
    assert instants(covered_by_at_least(count, many)) == held
    assert sum((end - start) * level for (start, end), level in depth(many)) == sum(
        map(total, many)
    )


@given(sets, st.integers(0, 10))
def test_merging_fills_gaps_up_to_its_length_and_no_others(left: Intervals, gap: int) -> None:
    merged = merge(left, gap)
    assert instants(left) <= instants(merged)
    assert all(right[0] - before[1] > gap for before, right in pairwise(merged))
    filled = subtraction(merged, left)
    assert all(end - start <= gap for start, end in filled)


@given(st.lists(sets, min_size=1, max_size=4))
def test_a_partition_gives_each_instant_to_the_first_that_claims_it(many: list[Intervals]) -> None:
    parts = partition(list(enumerate(many)), WITHIN)
    everything = instants(clip(union(*many), WITHIN))
    assert sum(total(part) for _, part in parts) == len(everything)
    for label, part in parts:
        earlier = set().union(*(instants(one) for one in many[:label]))
        assert instants(part) == (instants(many[label]) & everything) - earlier


@given(pairs, pairs)
def test_what_lasts_is_found_by_each_interval_that_shares_an_instant_with_it(
    lasting: list[Interval], asked: list[Interval]
) -> None:
    touching = Touching((pair, number) for number, pair in enumerate(lasting))
    for start, end in asked:
        found = touching((start, end))
        shared = [
            number for number, (low, high) in enumerate(lasting) if low < end and high > start
        ]
        assert sorted(found) == shared
        assert [lasting[one][0] for one in found] == sorted(lasting[one][0] for one in found)
