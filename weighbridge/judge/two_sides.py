"""What the agents of both sides say of one slot, as one line.

Where one side alone saw a time, its word holds. Where both saw it and say the same, it is agreed. Where they differ it
is contested, and its cause names the word of each: the contract decides what it counts as.

Two agents do not see a change at the same instant. Where both agree before and after, and on different states, a
difference no longer than the patience is the one's sample before the other's, and the worse word holds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from weighbridge.contract.condition import JOINED
from weighbridge.judge.ledger import (
    CONTRADICTIONS,
    LAID_OVER,
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
    return JOINED.join(one for one in cause.split(JOINED)[1:] if one != PROVEN)


def is_proven(cause: str) -> bool:
    """Whether a challenge was passed while the sides contradicted each other, and one of them says up."""
    words = words_of(cause)
    return words is not None and State.UP in words and PROVEN in cause.split(JOINED)


def of_rows(rows: Iterable[Row], start_us: int, end_us: int, patience_us: int) -> list[StateSpan]:
    """The line of one slot from its rows, of any chains and in any order."""
    found: dict[str, list[Told]] = {}
    for row in rows:
        found.setdefault(side_of(row.chain), []).append(row)
    return line_of_slot(found, start_us, end_us, patience_us)


def line_of_slot(
    by_side: BySide,
    start_us: int,
    end_us: int,
    patience_us: int,
    proven_us: Sequence[int] = (),
) -> list[StateSpan]:
    """Spans that tile [start_us, end_us) exactly, each with who saw it: a side, both, or nobody.

    `proven_us`: when every GPU of the node had passed a challenge.
    """
    told = {
        side: [_heard(one, side) for one in _word(side, by_side, start_us, end_us)]
        for side in SIDES
        if by_side.get(side)
    }
    spans: Iterable[Told] = next(iter(told.values()), ())
    if len(told) == len(SIDES):
        spans = _together(told["provider"], told["lessee"], patience_us, proven_us)
    return timeline([*spans, *by_side.get("", ())], start_us, end_us, LAID_OVER)


def _word(side: str, by_side: BySide, start_us: int, end_us: int) -> list[StateSpan]:
    line = timeline(by_side[side], start_us, end_us)
    doubts = by_side.get(DOUBTS[side], ())
    return timeline([*line, *doubts], start_us, end_us, IN_DOUBT[side]) if doubts else line


def _heard(span: StateSpan, side: str) -> StateSpan:
    return replace(span, heard=side) if span.state in SEEN else span


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch over which neither side's word changes."""

    start_us: int
    end_us: int
    provider: StateSpan
    lessee: StateSpan

    @property
    def words(self) -> tuple[State, State]:
        return self.provider.state, self.lessee.state

    @property
    def both(self) -> bool:
        """Whether both sides saw it."""
        return self.provider.state in SEEN and self.lessee.state in SEEN

    @property
    def contradicted(self) -> bool:
        return self.both and self.provider.state is not self.lessee.state

    @property
    def agreed(self) -> State | None:
        return self.provider.state if self.both and not self.contradicted else None

    def _held(self) -> StateSpan:
        """The worse word. Where the provider's is in doubt the lessee's holds if it is that all is well."""
        if self.provider.state is State.CONTESTED and self.lessee.state in SEEN:
            return self.lessee if self.lessee.state is State.UP else self.provider
        return min((self.provider, self.lessee), key=_standing)

    def span(self, *, contested: bool, proven: bool) -> StateSpan:
        """What holds: of two words the worse; of what one side alone saw, its word."""
        worse = self._held()
        heard = BOTH if self.both else worse.heard
        state, cause = worse.state, worse.cause
        if contested:
            state = State.CONTESTED
            told = (against(*self.words), PROVEN if proven else "", cause)
            cause = JOINED.join(filter(None, told))
        return StateSpan(self.start_us, self.end_us, state, cause, heard)


def _standing(span: StateSpan) -> tuple[int, bool, str]:
    """Of two words for one time the first holds; one that gives a cause before one that gives none."""
    return PRECEDENCE.index(span.state), not span.cause, span.cause


def _together(
    provider: Sequence[StateSpan],
    lessee: Sequence[StateSpan],
    patience_us: int,
    proven_us: Sequence[int],
) -> Iterator[StateSpan]:
    runs = [
        (differ, list(found))
        for differ, found in groupby(_pieces(provider, lessee), lambda one: one.contradicted)
    ]
    for number, (differ, run) in enumerate(runs):
        contested = differ and not (
            run[-1].end_us - run[0].start_us <= patience_us
            and 0 < number < len(runs) - 1
            and _changed(runs[number - 1][1][-1], runs[number + 1][1][0])
        )
        proven = any(run[0].start_us <= at_us < run[-1].end_us for at_us in proven_us)
        yield from (piece.span(contested=contested, proven=proven) for piece in run)


def _changed(before: _Piece, after: _Piece) -> bool:
    """Whether both sides agree on what was before, and on what came after, and that is something else."""
    was, became = before.agreed, after.agreed
    return was is not None and became is not None and was is not became


def _pieces(provider: Sequence[StateSpan], lessee: Sequence[StateSpan]) -> Iterator[_Piece]:
    """Both lines tile the same time."""
    mine = theirs = 0
    while mine < len(provider) and theirs < len(lessee):
        one, other = provider[mine], lessee[theirs]
        end_us = min(one.end_us, other.end_us)
        yield _Piece(max(one.start_us, other.start_us), end_us, one, other)
        mine += one.end_us == end_us
        theirs += other.end_us == end_us
