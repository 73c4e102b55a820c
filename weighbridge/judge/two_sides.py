"""What the agents of both sides say of one slot, as one line.

Where one side alone saw a time, its word holds. Where both saw it and say the same, it is agreed. Where they differ it
is contested, and its cause names the word of each: the contract decides what it counts as.

Two agents do not see a change at the same instant. Where both agree before and after, and on different states, a
difference no longer than the cadence is the one's sample before the other's: who sees a change saw it after it was, so
it holds from the first sample that shows it, whichever side's that is. In a longer one the later side had a sample that
says otherwise: it is contested from end to end.

A lessee's agent that never saw a device in a slot, in a machine that has a part of the node's, says nothing of a slot
of which the provider's tells.

Doubt about a side's word contests what that side alone saw. What the other side saw alike is the other's word. What it
saw differently is contradicted, and the cause says whose word is in doubt: the contract decides it against that side,
and never for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NamedTuple

from weighbridge.contract.condition import JOINED
from weighbridge.judge.ledger import (
    BY_DEVICE,
    BY_WITNESS,
    CONTRADICTIONS,
    LAID_OVER,
    NEVER_SHOWN,
    OVERLAY,
    PRECEDENCE,
    Row,
    State,
    StateSpan,
    against,
    timeline,
)

OF_LESSEE = "@lessee"
"""The end of the names of chains of a lessee's agent: no agent can give itself such a name."""

SIDES = ("provider", "lessee")
BOTH = "both"
PROVEN = "proven_by_challenge"
"""Among the causes of contradicted time in which every GPU of the node passed a challenge: evidence level E2."""

SIDE_IN_DOUBT = {side: f"{side}_in_doubt" for side in SIDES}
"""Among the causes of contradicted time whose word is in doubt as well."""

NO_GROUNDS = (PROVEN, *SIDE_IN_DOUBT.values())

SEEN = (State.UP, State.DEGRADED, State.DOWN)
"""States that somebody saw."""

Told = Row | StateSpan
BySide = Mapping[str, Sequence[Told]]
"""Rows by the side whose agent tells of them; those of an overlay, which nobody tells of, under none or DOUBTS."""


DOUBTS = {side: f"{OVERLAY}@{side}" for side in SIDES}
"""By side, the `chain` of rows that lay doubt over what its agents say."""

IN_DOUBT = {
    "provider": LAID_OVER,
    "lessee": (
        State.EXCLUDED,
        State.UP,
        State.UNKNOWN,
        State.CONTESTED,
        State.DOWN,
        State.DEGRADED,
    ),
}
"""What of a side's word doubt leaves as it is: that which speaks against the side."""


def side_of(chain: str) -> str:
    """Whose agent speaks in a chain. Doubt about a side's word goes by its own name."""
    if chain == OVERLAY:
        return ""
    if chain in DOUBTS.values():
        return chain
    return "lessee" if chain.endswith(OF_LESSEE) else "provider"


def words_of(cause: str) -> tuple[State, State] | None:
    """What the provider's and what the lessee's agent say, where they contradict each other."""
    return CONTRADICTIONS.get(cause.partition(JOINED)[0])


def grounds_of(cause: str) -> str:
    """The causes that the worse word gives; of time that is not contradicted, its cause."""
    if words_of(cause) is None:
        return cause
    return JOINED.join(one for one in cause.split(JOINED)[1:] if one not in NO_GROUNDS)


def is_proven(cause: str) -> bool:
    """Whether a challenge was passed while the sides contradicted each other, and one of them says up."""
    words = words_of(cause)
    return words is not None and State.UP in words and PROVEN in cause.split(JOINED)


def in_doubt(cause: str) -> frozenset[str]:
    """The sides whose word is in doubt, of contradicted time."""
    told = cause.split(JOINED)
    return frozenset(side for side, mark in SIDE_IN_DOUBT.items() if mark in told)


def by_slot(rows: Iterable[Row]) -> dict[tuple[str, int], list[Row]]:
    """Rows of one contract by (node, slot), an overlay's rows with every slot that its device filled on that node.

    Those of a lessee's agent are with the slot of the provider's that its devices fill (`matched`). What witnesses say
    is of no slot, and left out.
    """
    told, overlay = [row for row in rows if row.slot != BY_WITNESS], []
    places = matched(Shown(row.node, side_of(row.chain), row.slot, row.device) for row in told)
    slots: dict[tuple[str, int], list[Row]] = {}
    filled: dict[tuple[str, str], set[int]] = {}
    for row in told:
        if row.slot == BY_DEVICE:
            overlay.append(row)
            continue
        slot = places.get((row.node, row.slot), row.slot) if _of_lessee(row) else row.slot
        slots.setdefault((row.node, slot), []).append(row)
        filled.setdefault((row.node, row.device), set()).add(slot)
    for row in overlay:
        for slot in filled.get((row.node, row.device), ()):
            slots[row.node, slot].append(row)
    return slots


def _of_lessee(row: Row) -> bool:
    return side_of(row.chain) == "lessee"


class Shown(NamedTuple):
    """A side's agent showed a device in a slot, as it counts them; empty: it showed the slot, and no device in it."""

    node: str
    side: str
    slot: int
    device: str


def matched(shown: Iterable[Shown]) -> dict[tuple[str, int], int]:
    """By node and slot as a lessee's agent counts them, the slot of the provider's in which the same device is.

    Who sees a part of the node counts otherwise. Slots without a device in common are matched in order.
    """
    of_provider: dict[tuple[str, str], int] = {}
    of_lessee: dict[str, dict[int, list[str]]] = {}
    for node, side, slot, device in sorted(set(shown)):
        if slot != BY_DEVICE and side == "provider" and device:
            of_provider.setdefault((node, device), slot)
        elif slot != BY_DEVICE and side == "lessee":
            of_lessee.setdefault(node, {}).setdefault(slot, []).append(device)
    return {
        (node, slot): place
        for node, slots in of_lessee.items()
        for slot, place in _placed(
            {
                slot: [of_provider[node, one] for one in devices if (node, one) in of_provider]
                for slot, devices in slots.items()
            }
        )
    }


def _placed(wanted: Mapping[int, Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Each slot with the first place that it wants if none before took it; the rest with their own, or what is left."""
    taken: dict[int, int] = {}
    for slot, places in wanted.items():
        if places and places[0] not in taken.values():
            taken[slot] = places[0]
    among = range(len(wanted) + len(taken))
    free = [place for place in among if place not in taken.values()]
    for slot in wanted:
        if slot not in taken:
            taken[slot] = slot if slot in free else free[0]
            free.remove(taken[slot])
    yield from taken.items()


def of_rows(rows: Iterable[Row], start_us: int, end_us: int, cadence_us: int) -> list[StateSpan]:
    """The line of one slot from its rows, of any chains and in any order."""
    found: dict[str, list[Told]] = {}
    for row in rows:
        found.setdefault(side_of(row.chain), []).append(row)
    return line_of_slot(found, start_us, end_us, cadence_us)


def line_of_slot(
    by_side: BySide,
    start_us: int,
    end_us: int,
    cadence_us: int,
    proven_us: Sequence[int] = (),
) -> list[StateSpan]:
    """Spans that tile [start_us, end_us) exactly, each with who saw it: a side, both, or nobody.

    `cadence_us`: how far apart the samples of two agents may see one change. `proven_us`: when every GPU of the node
    had passed a challenge.
    """
    told = {side: _word(side, by_side, start_us, end_us) for side in SIDES if by_side.get(side)}
    if len(told) == len(SIDES):
        spans = _together(_pieces(told["provider"], told["lessee"]), cadence_us, proven_us)
        return timeline([*spans, *by_side.get("", ())], start_us, end_us, LAID_OVER)
    alone = (line for word in told.values() for line in word.doubted)
    return timeline([*alone, *by_side.get("", ())], start_us, end_us, LAID_OVER)


@dataclass(frozen=True, slots=True)
class _Word:
    """What one side says, and the same with the doubt that lies over it."""

    line: Sequence[StateSpan]
    doubted: Sequence[StateSpan]


def _word(side: str, by_side: BySide, start_us: int, end_us: int) -> _Word:
    line = [_heard(one, side) for one in timeline(by_side[side], start_us, end_us)]
    doubts = by_side.get(DOUBTS[side], ())
    doubted = timeline([*line, *doubts], start_us, end_us, IN_DOUBT[side]) if doubts else line
    return _Word(line, doubted)


def _heard(span: StateSpan, side: str) -> StateSpan:
    return replace(span, heard=side) if span.state in SEEN else span


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch over which neither side's word changes. `doubts`: of each side its word if that is in doubt."""

    start_us: int
    end_us: int
    provider: StateSpan
    lessee: StateSpan
    doubts: tuple[StateSpan | None, StateSpan | None]

    @property
    def words(self) -> tuple[State, State]:
        return self.provider.state, self.lessee.state

    @property
    def both(self) -> bool:
        """Whether both sides saw it."""
        return self.provider.state in SEEN and self.lessee.state in SEEN

    @property
    def conceded(self) -> bool:
        """The provider's word is in doubt, and the lessee's is that all is well."""
        return self.doubts[0] is not None and self.lessee.state is State.UP

    @property
    def contradicted(self) -> bool:
        return self.both and self.provider.state is not self.lessee.state and not self.conceded

    @property
    def agreed(self) -> State | None:
        return self.provider.state if self.both and not self.contradicted else None

    def _held(self) -> StateSpan:
        """The worse word; of what both saw alike, that which is not in doubt; of what one side alone saw, its word,
        contested where that is in doubt."""
        told = [self.provider, self.lessee]
        sure = [one for one, doubt in zip(told, self.doubts, strict=True) if doubt is None]
        if self.conceded:
            return self.lessee
        if self.both:
            return min(told if self.contradicted else sure or told, key=_standing)
        return min(
            (doubt or one for one, doubt in zip(told, self.doubts, strict=True)), key=_standing
        )

    def seen_first(self, became: State) -> StateSpan:
        """Of a change that both saw, each at a sample of its own: what it became holds from the first of these on."""
        told = [one for one in (self.provider, self.lessee) if one.state is became]
        one = told[0] if told else self._held()
        return replace(one, start_us=self.start_us, end_us=self.end_us)

    def span(self, *, contested: bool, proven: bool) -> StateSpan:
        """What holds: of two words the worse; of what one side alone saw, its word."""
        worse = self._held()
        heard = BOTH if self.both and not any(self.doubts) else worse.heard
        state, cause = worse.state, worse.cause
        if contested:
            state = State.CONTESTED
            doubted = (one for one in SIDES if self.doubts[SIDES.index(one)])
            told = (
                against(*self.words),
                PROVEN if proven else "",
                *map(SIDE_IN_DOUBT.__getitem__, doubted),
                cause,
            )
            cause = JOINED.join(filter(None, told))
        return StateSpan(self.start_us, self.end_us, state, cause, heard)


def _standing(span: StateSpan) -> tuple[int, bool, str]:
    """Of two words for one time the first holds; one that gives a cause before one that gives none."""
    return PRECEDENCE.index(span.state), not span.cause, span.cause


def _together(
    pieces: Iterable[_Piece], cadence_us: int, proven_us: Sequence[int]
) -> Iterator[StateSpan]:
    runs = [
        (differ, list(found)) for differ, found in groupby(pieces, lambda one: one.contradicted)
    ]
    for number, (differ, run) in enumerate(runs):
        short = differ and run[-1].end_us - run[0].start_us <= cadence_us
        if short and 0 < number < len(runs) - 1:
            became = _changed(runs[number - 1][1][-1], runs[number + 1][1][0])
            if became is not None:
                yield from (piece.seen_first(became) for piece in run)
                continue
        proven = any(run[0].start_us <= at_us < run[-1].end_us for at_us in proven_us)
        yield from (piece.span(contested=differ, proven=proven) for piece in run)


def _changed(before: _Piece, after: _Piece) -> State | None:
    """What both sides agree on that came after, if both agree on what was before, and that was something else."""
    was, became = before.agreed, after.agreed
    return became if was is not None and was is not became else None


def _pieces(provider: _Word, lessee: _Word) -> Iterator[_Piece]:
    """All these lines tile the same time."""
    lines = (provider.line, lessee.line, provider.doubted, lessee.doubted)
    at = [0] * len(lines)
    while at[0] < len(lines[0]):
        spans = [line[place] for line, place in zip(lines, at, strict=True)]
        start_us, end_us = max(one.start_us for one in spans), min(one.end_us for one in spans)
        if spans[0].state in SEEN and NEVER_SHOWN in spans[1].cause.split(JOINED):
            spans[1] = spans[3] = StateSpan(start_us, end_us, State.UNKNOWN, "")
        doubts = tuple(one if one.state is State.CONTESTED else None for one in spans[2:])
        yield _Piece(start_us, end_us, spans[0], spans[1], (doubts[0], doubts[1]))
        at = [place + (line[place].end_us == end_us) for line, place in zip(lines, at, strict=True)]
