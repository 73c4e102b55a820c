"""What two sides say of a slot is what asking second by second gives, and slots are matched one to one."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.judge.ledger import PRECEDENCE, State, StateSpan, against
from weighbridge.judge.two_sides import BOTH, SEEN, SIDES, Shown, line_of_slot, matched

SECOND = 1_000_000
Words = Sequence[State]
Said = tuple[State, str, str]
"""A state, its cause, and who saw it."""

STATES = st.sampled_from([*SEEN, State.UNKNOWN])
WORDS = st.lists(st.tuples(STATES, st.integers(1, 4)), max_size=8).map(
    lambda runs: [state for state, length in runs for _ in range(length)][:16]
)


def span(second: int, state: State) -> StateSpan:
    return StateSpan(second * SECOND, (second + 1) * SECOND, state, "")


def by_the_second(told: Sequence[Words], cadence_s: int) -> list[Said]:
    """The rule as it is written: each second asks what was around it."""
    return [_second(told, second, cadence_s) for second in range(len(told[0]))]


def _second(told: Sequence[Words], second: int, cadence_s: int) -> Said:
    words = [line[second] for line in told]
    seen = [side for side, word in zip(SIDES, words, strict=True) if word in SEEN]
    if len(seen) < len(SIDES):
        return (words[SIDES.index(seen[0])], "", seen[0]) if seen else (State.UNKNOWN, "", "")
    if words[0] is words[1]:
        return words[0], "", BOTH
    first, last = second, second
    while _differ(told, first - 1):
        first -= 1
    while _differ(told, last + 1):
        last += 1
    was, became = _agreed(told, first - 1), _agreed(told, last + 1)
    if last + 1 - first > cadence_s or None in (was, became) or was is became:
        return State.CONTESTED, against(words[0], words[1]), BOTH
    saying = became if became in words else min(words, key=PRECEDENCE.index)
    assert saying is not None
    return saying, "", SIDES[words.index(saying)]


def _differ(told: Sequence[Words], second: int) -> bool:
    within = 0 <= second < len(told[0])
    return within and {line[second] for line in told} <= set(SEEN) and not _agreed(told, second)


def _agreed(told: Sequence[Words], second: int) -> State | None:
    if not 0 <= second < len(told[0]):
        return None
    words = {line[second] for line in told}
    return words.pop() if len(words) == 1 and words <= set(SEEN) else None


@settings(deadline=None, max_examples=300)
@given(WORDS, WORDS, st.integers(0, 5))
def test_the_line_of_a_slot_is_what_asking_second_by_second_gives(
    provider: list[State], lessee: list[State], cadence_s: int
) -> None:
    length = 16
    told = [[*words, *[State.UNKNOWN] * length][:length] for words in (provider, lessee)]
    sides = {
        side: [span(second, word) for second, word in enumerate(words)]
        for side, words in zip(SIDES, told, strict=True)
    }
    found = line_of_slot(sides, 0, length * SECOND, cadence_s * SECOND)
    shown = [
        (one.state, one.cause, one.heard)
        for one in found
        for _ in range((one.end_us - one.start_us) // SECOND)
    ]
    assert shown == by_the_second(told, cadence_s)


DEVICES = st.lists(st.sampled_from(["", "A", "B", "C", "D"]), min_size=1, max_size=4)


@given(DEVICES, DEVICES)
def test_slots_are_matched_one_to_one_and_by_their_devices(
    provider: list[str], lessee: list[str]
) -> None:
    shown = [
        Shown("n", side, slot, device)
        for side, devices in zip(SIDES, (provider, lessee), strict=True)
        for slot, device in enumerate(devices)
    ]
    found = matched(shown)
    places = [found["n", slot] for slot in range(len(lessee))]
    assert len(set(places)) == len(lessee)
    for device in {*provider, *lessee} - {""}:
        if provider.count(device) == lessee.count(device) == 1:
            assert places[lessee.index(device)] == provider.index(device)
    assert places == list(range(len(lessee))) or set(provider) & set(lessee) - {""}
