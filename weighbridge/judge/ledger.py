"""What judgement writes down: intervals and findings, and how intervals of several chains become one timeline.

All times are UTC, integer microseconds; intervals are half-open.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import permutations

from weighbridge.judge.checks import Severity
from weighbridge.verdict import Verdict


class State(StrEnum):
    """Of a slot over an interval. What no row covers is UNKNOWN."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"
    CONTESTED = "contested"


PRECEDENCE = (State.EXCLUDED, State.DOWN, State.CONTESTED, State.DEGRADED, State.UP, State.UNKNOWN)
"""Where rows of several chains overlap, the first of these holds: what anybody saw outranks what nobody saw.

What was down is down, whoever else shows the device: a dispute puts in doubt what was good, never what is owed.
"""

TOGETHER = (State.EXCLUDED, State.DOWN, State.CONTESTED, State.UNKNOWN, State.DEGRADED, State.UP)
"""Where slots make up a node, the first of these holds: it is as good as its worst slot, seen or not."""

LAID_OVER = (State.EXCLUDED, State.DOWN, State.UNKNOWN, State.CONTESTED, State.DEGRADED, State.UP)
"""Where an overlay lies over the line of a slot: it makes no time better than it is, seen or not."""


def against(provider: State, lessee: State) -> str:
    """The cause of time of which the two sides' agents say different things: the provider's word, and the lessee's."""
    return f"{provider}_against_{lessee}"


CONTRADICTIONS = {
    against(*words): words for words in permutations((State.UP, State.DEGRADED, State.DOWN), 2)
}
"""Every such cause, with the two words."""

LATE = "late"
"""The cause of time that is unknown because what was told of it was heard late."""

OVERLAY = "registry"
"""The `chain` of rows that are laid over a node's own: contested time, and as UP what changes none and is flagged."""

SILENT = "silent"
"""The cause of time in which a node was not heard, and that it says nothing of."""

COLLECTOR_UNREACHED, UNREACHABLE = "collector_unreached", "unreachable"
"""The causes of such time in which a quorum of witnesses reached the node, or did not; and the findings of it."""

WITNESSED = "witness"
"""The `chain` of rows that tell of what witnesses say of a node's silence; behind it stands the observer's side."""

UNJUDGED = "judge"
"""The `chain` of rows that tell of time that the judge could not judge."""

JUDGING_FAILED = "judging_failed"
"""The cause of such time, and the finding that says so."""

LOG_HOLE = "log_hole"
"""The finding of reports that a chain must have had, and that are not in the log. What is gone does not come back."""

KEY_SHARED = "key_shared"
"""The finding that two agents speak with one key, and the cause of the time that is in doubt for it."""

SIDES_CONTRADICT = "sides_contradict"
"""The finding that the agents of both sides say different things of a GPU."""

DEVICE_DIFFERS = "device_differs"
"""The finding that the two sides show different GPUs in one boot, and the cause of what the lessee's word is of the
provider's."""

NEVER_SHOWN = "never_shown"
"""Among the causes of a lessee's word of a slot that is empty, where its agent never saw a device in it."""

KEY_REVOKED = "key_revoked"
"""The finding that a key is revoked from an instant in the past, and the cause of the time that is unknown for it."""

BY_DEVICE = -1
"""The `slot` of an overlay's rows: they belong to the slot that the device fills then."""

BY_WITNESS = -2
"""The `slot` of rows that tell what a witness says of a node, UP where it reached it; `device` is the witness, as the
contract names it."""

UNWITNESSED = "unwitnessed"
"""The cause of time that is unknown because no quorum of witnesses said whether the node was reachable."""

VAGUE = {COLLECTOR_UNREACHED: 1, UNREACHABLE: 2, SILENT: 3, JUDGING_FAILED: 4}
"""Of the causes of one time the one that says most holds: the node's own, then the witnesses', then none."""

MARK_US = 1_000_000
"""A second of a period is enough to flag it."""

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """A slot was in a state over [start_us, end_us), as known from the tick `recorded_us` on.

    `slot` counts from 0 among the slots of the contract on the node; `device` is the UUID in it, or empty. A
    row other than UNKNOWN and CONTESTED never crosses a full UTC hour, so that what was known at an instant can be told
    to the hour.

    `first_entry` and `last_entry` are the entries of the log, by index, between which the row lies: it is known from
    them. Where the evidence lies is no part of what is known, so rows that differ in nothing else are equal.

    `late`: nobody heard of it within the time that the contract gives.
    """

    contract: str
    node: str
    slot: int
    device: str
    chain: str
    start_us: int
    end_us: int
    state: State
    cause: str
    recorded_us: int
    first_entry: int | None = field(default=None, compare=False)
    last_entry: int | None = field(default=None, compare=False)
    late: bool = False

    @property
    def of_a_slot(self) -> bool:
        """Whether it belongs to one slot: not to whichever a device fills then, nor to a witness."""
        return self.slot not in (BY_DEVICE, BY_WITNESS)


@dataclass(frozen=True, slots=True)
class Use:
    """What a contract's GPUs on a node did in a UTC hour, as one chain tells it, known from the tick `recorded_us` on.

    In device-microseconds within [from_us, until_us): GPUs `seen`; `known` to be in use or not, and `in_use`; read for
    how busy they were, and `busy`, that is percent times device-microseconds; read for energy, and the energy itself.
    `sampled` of what was seen lies within the promised interval after a sample. A later one of the same key replaces
    it.
    """

    contract: str
    node: str
    chain: str
    hour_us: int
    from_us: int
    until_us: int
    seen: int
    known: int
    in_use: int
    busy_known: int
    busy: int
    energy_known: int
    energy_millijoules: int
    recorded_us: int
    sampled: int = 0

    @property
    def key(self) -> tuple[int, str, str]:
        """What a later one must agree in to replace this: hour, node, chain."""
        return (self.hour_us, self.node, self.chain)


def mark(contract: str, node: str, device: str, code: str, at_us: int) -> Row:
    """Changes no time of the device's, and has the period flagged."""
    laid = (contract, node, BY_DEVICE, device, OVERLAY)
    return Row(*laid, at_us - MARK_US, at_us, State.UP, code, at_us)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check, a tick or the registry found; open until `until_us` is set. A later one of the same key replaces
    it.

    The key is (contract, node, device, code, since_us). `device` is a UUID, or empty for the node; `node` is empty
    for the contract as a whole. `since_us` is the time of the event, not of its discovery.
    """

    contract: str
    node: str
    device: str
    code: str
    severity: Severity
    verdict: Verdict
    level: str
    expected: str
    observed: str
    answerable: str
    since_us: int
    until_us: int | None

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        return self.contract, self.node, self.device, self.code, self.since_us


@dataclass(frozen=True, slots=True)
class StateSpan:
    """A stretch of one slot's timeline. `heard`: whose agents saw it, a side or both; empty: not told.

    `unheard`: the state and cause that it has without what the contract holds, as what was heard late; None: the same.
    """

    start_us: int
    end_us: int
    state: State
    cause: str
    heard: str = ""
    unheard: tuple[State, str] | None = None


def timeline(
    rows: Iterable[Row | StateSpan],
    start_us: int,
    end_us: int,
    precedence: Sequence[State] = PRECEDENCE,
) -> list[StateSpan]:
    """One slot's rows, of any chains and in any order, as spans that tile [start_us, end_us) exactly.

    Neighbours that say the same are joined. Of overlapping rows the one that `precedence` puts first holds, and among
    equals the one with the smaller cause, so the order of the rows changes nothing.
    """
    spans: list[StateSpan] = []
    for piece in _pieces(rows, start_us, end_us, precedence):
        last = spans[-1] if spans else None
        if last is not None and _says(last) == _says(piece):
            spans[-1] = replace(last, end_us=piece.end_us)
        else:
            spans.append(piece)
    return spans


def _says(span: StateSpan) -> tuple[State, str, str]:
    return span.state, span.cause, span.heard


Ranked = tuple[int, int, str, State, str]
"""A rank, how little the cause says, a cause, a state and who saw it: the smallest one that is held shows."""


def _ranked(row: Row | StateSpan, precedence: Sequence[State]) -> Ranked:
    heard = row.heard if isinstance(row, StateSpan) else ""
    rank = precedence.index(row.state)
    return rank, VAGUE.get(row.cause, 0), row.cause, row.state, heard


def _pieces(
    rows: Iterable[Row | StateSpan], start_us: int, end_us: int, precedence: Sequence[State]
) -> Iterator[StateSpan]:
    """Between two neighbouring edges nothing changes; what holds there is kept as counts by rank and cause."""
    edges: dict[int, list[tuple[Ranked, int]]] = {}
    for row in rows:
        first, last = max(row.start_us, start_us), min(row.end_us, end_us)
        if first < last:
            ranked = _ranked(row, precedence)
            edges.setdefault(first, []).append((ranked, 1))
            edges.setdefault(last, []).append((ranked, -1))
    unseen = _ranked(StateSpan(start_us, end_us, State.UNKNOWN, ""), precedence)
    held: dict[Ranked, int] = {}
    before = start_us
    for edge in sorted({*edges, end_us}):
        if before < edge:
            _, _, cause, state, heard = min(held, default=unseen)
            yield StateSpan(before, edge, state, cause, heard)
        _shift(held, edges.get(edge, []))
        before = edge


def _shift(held: dict[Ranked, int], changes: list[tuple[Ranked, int]]) -> None:
    for ranked, step in changes:
        held[ranked] = held.get(ranked, 0) + step
        if held[ranked] == 0:
            del held[ranked]
