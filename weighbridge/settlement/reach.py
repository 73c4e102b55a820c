"""Whether nodes were reachable, as a quorum of the contract's witnesses says, and what their units were then.

At an instant a node was reached if as many witnesses as the contract asks for say so; it was not, if as many say that
and no quorum reached it; else nobody knows. A witness that says both at once says nothing. Where a condition names
`reachable`, a unit is down or unknown with its node; where that alone decides, what its agents say decides nothing.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from weighbridge.contract import Contract
from weighbridge.contract.condition import JOINED, REACHABLE, asks_for, decided, is_up
from weighbridge.judge.ledger import LATE, UNREACHABLE, UNWITNESSED, State
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.judge.two_sides import SEEN


@dataclass(frozen=True, slots=True)
class Word:
    """Over this time a witness reached a node (UP), or did not and why. `late`: nobody heard of it in time."""

    start_us: int
    end_us: int
    state: State
    cause: str
    late: bool


Words = Mapping[str, Sequence[Word]]
"""By witness."""


def judges_reach(contract: Contract) -> bool:
    """Whether an objective asks whether nodes are reachable, and the contract names who says so."""
    asked = any(asks_for(one.up_when, REACHABLE) for one in contract.availability)
    return asked and bool(contract.evidence.witnesses)


def quorum_line(
    words: Words,
    named: Collection[str],
    quorum: int,
    start_us: int,
    end_us: int,
    *,
    in_time: bool = False,
) -> list[Stretch]:
    """Spans that tile the time: UP where a quorum of those who are named reached the node, DOWN where one did not, else
    UNKNOWN. `in_time`: what was heard late says nothing."""
    edges: dict[int, list[tuple[str, Word, int]]] = {start_us: [], end_us: []}
    for witness in words.keys() & set(named):
        for word in words[witness]:
            first, last = max(word.start_us, start_us), min(word.end_us, end_us)
            if first < last:
                edges.setdefault(first, []).append((witness, word, 1))
                edges.setdefault(last, []).append((witness, word, -1))
    return list(_swept(edges, quorum, in_time=in_time))


def _swept(
    edges: Mapping[int, list[tuple[str, Word, int]]], quorum: int, *, in_time: bool
) -> Iterator[Stretch]:
    held: dict[str, list[Word]] = {}
    times = sorted(edges)
    for start_us, end_us in pairwise(times):
        for witness, word, step in sorted(edges[start_us], key=lambda one: one[2]):
            told = held.setdefault(witness, [])
            if step > 0:
                told.append(word)
            else:
                told.remove(word)
        yield Stretch(start_us, end_us, *_quorate(held.values(), quorum, in_time=in_time))


def _quorate(held: Iterable[Sequence[Word]], quorum: int, *, in_time: bool) -> tuple[State, str]:
    """What these witnesses come to, and why it is that."""
    told = [words for words in held if len({one.state for one in words}) == 1]
    heard = [words for words in told if not (in_time and any(one.late for one in words))]
    for state in (State.UP, State.DOWN):
        agreeing = [words[0] for words in heard if words[0].state is state]
        if len(agreeing) >= quorum:
            return state, min(one.cause for one in agreeing)
    return State.UNKNOWN, UNWITNESSED if len(heard) == len(told) else LATE


def weighed(condition: str, line: Sequence[Stretch], reach: Sequence[Stretch]) -> Iterator[Stretch]:
    """A unit's line under a condition that names `reachable`. Both lines tile the same time."""
    place = 0
    for one in line:
        start_us = one.start_us
        while start_us < one.end_us:
            seen = reach[place]
            end_us = min(one.end_us, seen.end_us)
            yield RULES[seen.state](
                condition, replace(one, start_us=start_us, end_us=end_us), seen.cause
            )
            start_us, place = end_us, place + (seen.end_us == end_us)


def _reached(condition: str, one: Stretch, _cause: str) -> Stretch:
    if one.state in UNSEEN and decided(condition, reached=True):
        return replace(one, state=State.UP, cause="")
    return one


def _unreached(condition: str, one: Stretch, cause: str) -> Stretch:
    if one.state in UNSEEN and decided(condition, reached=False) is False:
        return replace(one, state=State.DOWN, cause=cause)
    if one.state not in SEEN:
        return one
    both = _joined(one.cause, UNREACHABLE)
    if is_up(condition, both) is not False:
        return one if one.state is State.UP else replace(one, cause=both)
    served = one.state is State.UP or is_up(condition, one.cause) is True
    alone = served and is_up(condition, UNREACHABLE) is False
    return replace(one, state=State.DOWN, cause=cause if alone else _joined(one.cause, cause))


def _unsaid(condition: str, one: Stretch, cause: str) -> Stretch:
    unknown = replace(one, state=State.UNKNOWN, cause=cause or UNWITNESSED, heard="")
    if one.state in UNSEEN:
        return unknown if decided(condition, reached=True) else one
    if one.state not in SEEN or _is_down(condition, one):
        return one
    return unknown if is_up(condition, _joined(one.cause, UNREACHABLE)) is False else one


UNSEEN = (State.UNKNOWN, State.CONTESTED)
RULES = {State.UP: _reached, State.DOWN: _unreached, State.UNKNOWN: _unsaid}
"""By what is known of the node: what a stretch of a unit is under a condition, and the cause of what is known."""


def _is_down(condition: str, one: Stretch) -> bool:
    """Whether it is, though its node be reached."""
    up = is_up(condition, one.cause)
    return one.state is State.DOWN if up is None else not up


def _joined(*causes: str) -> str:
    return JOINED.join(sorted({one for cause in causes for one in cause.split(JOINED) if one}))
