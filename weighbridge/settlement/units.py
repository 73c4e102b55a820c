"""From ledger rows to the units of an objective. Microseconds are floored to seconds here, once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from weighbridge.contract import Availability, Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.ledger import TOGETHER, Row, State, by_slot, timeline
from weighbridge.ledger import Span as Stretch
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.record import Span


class Slot(NamedTuple):
    """A place that a GPU fills."""

    node: str
    number: int

    @property
    def name(self) -> str:
        return f"{self.node}.{self.number}"


@dataclass(frozen=True)
class Timelines:
    """What is known of each contracted slot over a stretch of time: spans that tile it."""

    resource_of: Mapping[str, str]
    slots: Mapping[Slot, Sequence[Stretch]]


def timelines(
    contract: Contract, nodes: Mapping[str, str | None], rows: Iterable[Row], within: Interval
) -> Timelines:
    """`nodes`: the resource of each node that is there; None: the only one. Contracted nodes that are not there are
    unknown throughout, under names that say so."""
    resource_of = {**_present(contract, nodes), **_absent(contract, nodes)}
    per_node = {resource.id: resource.per_node for resource in contract.resources}
    known = by_slot(rows)
    bounds = (within[0] * MICROSECONDS, within[1] * MICROSECONDS)
    slots = {
        Slot(node, number): timeline(known.get((node, number), ()), *bounds)
        for node, resource in resource_of.items()
        for number in range(per_node[resource])
    }
    return Timelines(resource_of, slots)


def _present(contract: Contract, nodes: Mapping[str, str | None]) -> dict[str, str]:
    only = contract.resources[0].id
    return {node: resource or only for node, resource in sorted(nodes.items())}


def _absent(contract: Contract, nodes: Mapping[str, str | None]) -> dict[str, str]:
    present = list(_present(contract, nodes).values())
    return {
        f"{resource.id}:absent-{number}": resource.id
        for resource in contract.resources
        for number in range(present.count(resource.id) + 1, resource.nodes + 1)
    }


def unit_lines(promise: Availability, found: Timelines) -> dict[str, Sequence[Stretch]]:
    """Spans of what the objective judges: slots, nodes by their worst slot, or everything as one."""
    chosen = {
        slot: line
        for slot, line in found.slots.items()
        if promise.resource in (None, found.resource_of[slot.node])
    }
    if promise.unit == "gpu":
        return {slot.name: line for slot, line in chosen.items()}
    grouped: dict[str, list[Sequence[Stretch]]] = {}
    for slot, line in chosen.items():
        name = slot.node if promise.unit == "node" else promise.resource or promise.unit
        grouped.setdefault(name, []).append(line)
    return {unit: _worst(lines) for unit, lines in grouped.items()}


def _worst(lines: Sequence[Sequence[Stretch]]) -> Sequence[Stretch]:
    if all(line == lines[0] for line in lines):
        return lines[0]
    everything = [stretch for line in lines for stretch in line]
    return timeline(everything, everything[0].start_us, everything[-1].end_us, TOGETHER)


def spans_of(unit: str, line: Iterable[Stretch]) -> Iterable[Span]:
    """In whole seconds, both ends floored, so that neighbours still touch; up time is left out."""
    for stretch in line:
        start, end = stretch.start_us // MICROSECONDS, stretch.end_us // MICROSECONDS
        if stretch.state is not State.UP and start < end:
            yield Span(unit, stretch.state, start, end, stretch.cause)


def seconds_in(line: Iterable[Stretch], state: State, within: Interval) -> int:
    """How long a line is in a state."""
    total = 0
    for stretch in line:
        if stretch.state is state:
            start = max(stretch.start_us // MICROSECONDS, within[0])
            total += max(0, min(stretch.end_us // MICROSECONDS, within[1]) - start)
    return total
