"""The history of a contract's slots: which node holds each place of a line item, and which held it before.

A place is room for one node; a node that is released hands its place on to the next that is assigned.
The first node of a place is weighed in it from the beginning, a later one from its assignment on, and each until it is
released. So a place goes on when a node is exchanged for another, and stands empty while nobody holds it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from weighbridge.judge.ledger import StateSpan, timeline
from weighbridge.log.entries import Assignment


def names(unit: str, node: str) -> bool:
    """Whether a unit, as notices name it, is the node, a slot of it, or everything."""
    return unit in ("", node) or unit.startswith(f"{node}.")


Before = Sequence[tuple[str, int, int]]
"""Nodes that held a place before, in order: each with from when and until when."""


@dataclass(slots=True)
class Tenure:
    """A node holds a place from `since_us` on, until `until_us`; None: it still does."""

    node: str
    resource: str | None
    since_us: int
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    """The node that held a place last in a stretch of time, since and until when, and those before it in that time.

    `until_us` None: it still holds it.
    """

    node: str
    resource: str | None
    since_us: int
    before: Before = ()
    until_us: int | None = None

    def held_in(self, start_us: int, end_us: int) -> bool:
        """Whether the place was held at some time in [start_us, end_us)."""
        held = [*self.before, (self.node, self.since_us, self.until_us)]
        return any(
            since_us < end_us and (until_us is None or until_us > start_us)
            for _, since_us, until_us in held
        )


@dataclass(slots=True)
class SlotHistory:
    """Of one contract, in the order in which they were first taken. Fold its assignments in the order of the log."""

    _held: list[list[Tenure]] = field(default_factory=list)

    def assign(self, assignment: Assignment, at_us: int) -> None:
        """An assignment of a node that holds a place changes nothing of that, but of another line item, or of no
        devices."""
        now = self._holding(assignment.node)
        if now is not None and not assignment.releases and _same(now.resource, assignment.resource):
            return
        if now is not None:
            now.until_us = at_us
        if not assignment.releases:
            self._take(assignment, at_us)

    def over(self, start_us: int, end_us: int) -> Iterator[Holder]:
        """Every place that was held at some time in [start_us, end_us)."""
        for tenures in self._held:
            mine = [
                one
                for one in tenures
                if one.since_us < end_us and (one.until_us is None or one.until_us > start_us)
            ]
            if mine:
                before = [(one.node, one.since_us, one.until_us or 0) for one in mine[:-1]]
                last = mine[-1]
                yield Holder(last.node, last.resource, last.since_us, before, last.until_us)

    def _holding(self, node: str) -> Tenure | None:
        now = (tenures[-1] for tenures in self._held)
        return next((one for one in now if one.node == node and one.until_us is None), None)

    def _take(self, assignment: Assignment, at_us: int) -> None:
        """The first place of its line item that nobody holds; else a new one."""
        for tenures in self._held:
            last = tenures[-1]
            if last.until_us is not None and _same(last.resource, assignment.resource):
                tenures.append(Tenure(assignment.node, assignment.resource, at_us))
                return
        self._held.append([Tenure(assignment.node, assignment.resource, 0)])


def _same(one: str | None, other: str | None) -> bool:
    """Whether two assignments name one line item; None: the only one that there is."""
    return None in (one, other) or one == other


Lines = Mapping[str, Sequence[StateSpan]]
"""By node, the spans of one of its slots."""


def line_of(holder: Holder, lines: Lines, start_us: int, end_us: int) -> list[StateSpan]:
    """One slot of a place over [start_us, end_us): of each node that held it, its own time. The rest is unknown."""
    held = [*holder.before, (holder.node, holder.since_us, end_us)]
    pieces = [
        replace(span, start_us=max(span.start_us, since_us), end_us=min(span.end_us, until_us))
        for node, since_us, until_us in held
        for span in lines.get(node, ())
    ]
    return timeline(pieces, start_us, end_us)


NEVER_US = 1 << 62
"""Microseconds; later than any instant that occurs."""

Times = tuple[tuple[int, int], ...]
"""Half-open intervals in microseconds, in their order."""

EVER: Times = ((0, NEVER_US),)


@dataclass(slots=True)
class Stay:
    """A contract holds a node, or devices of it, over [since_us, until_us)."""

    node: str
    devices: frozenset[str] | None
    since_us: int
    until_us: int = NEVER_US

    def touches(self, other: "Stay") -> bool:
        """Whether both are of one device."""
        if self.devices is None or other.devices is None:
            return self.node == other.node
        return self.node == other.node and not self.devices.isdisjoint(other.devices)


def stays(assignments: Iterable[tuple[int, Assignment]]) -> list[Stay]:
    """Of one contract's assignments, each with when it was received, in their order."""
    found: list[Stay] = []
    held: dict[str, Stay] = {}
    for at_us, assignment in assignments:
        if assignment.node in held:
            held.pop(assignment.node).until_us = at_us
        if not assignment.releases:
            devices = None if assignment.devices is None else frozenset(assignment.devices)
            held[assignment.node] = Stay(assignment.node, devices, at_us)
            found.append(held[assignment.node])
    return found


def seen_by(mine: Sequence[Stay], others: Sequence[Stay]) -> dict[str, Times]:
    """By node the times that are a contract's to see: what it held, and what came before its first assignment and was
    nobody else's.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for stay in mine:
        start_us = stay.since_us
        if stay.node not in found:
            before = (one for one in others if one.touches(stay) and one.since_us < start_us)
            start_us = max((min(one.until_us, start_us) for one in before), default=0)
        found.setdefault(stay.node, []).append((start_us, stay.until_us))
    return {node: tuple(times) for node, times in found.items()}
