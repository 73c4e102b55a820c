"""Which nodes are in service since when, where a delivery is accepted part by part."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from weighbridge.contract import Contract, Resource
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.service import starts_s

NodesFrom = tuple[int, int]
"""So many nodes of a line item, from a second on."""


@dataclass(frozen=True, slots=True)
class Phases:
    """`starts`: when the service of each node starts; what has not started yet is left out. `steps`: the same of each
    line item, by number. Both are empty where everything starts at once."""

    starts: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, Sequence[NodesFrom]] = field(default_factory=dict)

    def start_s(self, unit: str, never_s: int) -> int:
        """Of a node, or of a slot of it. `never_s`: what has not started yet."""
        return self.starts.get(unit, self.starts.get(unit.rpartition(".")[0], never_s))


AT_ONCE = Phases()


def phases(
    contract: Contract, events: Sequence[ToldEvent], as_of_s: int, nodes: Mapping[str, str]
) -> Phases:
    """`nodes`: the line item of each, the contracted ones that are not there last, in the order in which they were
    assigned. By it they fill the batches of their line item, those first that are due first.
    """
    told = starts_s(contract, events, as_of_s)
    if not contract.acceptance.partial_acceptance or not any(part for part, _ in told):
        return AT_ONCE
    starts: dict[str, int] = {}
    steps: dict[str, list[NodesFrom]] = {}
    for item in contract.resources:
        mine = [name for name, resource in nodes.items() if resource == item.id]
        found = _of_item(item, mine, told)
        starts |= found
        counted = Counter(found[name] for name in mine[: item.nodes] if name in found)
        steps[item.id] = [(number, start_s) for start_s, number in sorted(counted.items())]
    return Phases(starts, steps)


def _of_item(
    item: Resource, names: Iterable[str], told: Sequence[tuple[str, int]]
) -> dict[str, int]:
    """A spare beyond the contracted nodes is there as soon as anything is."""
    batches = [
        batch.id
        for batch in sorted(item.delivery, key=lambda one: one.due)
        for _ in range(batch.nodes)
    ]
    found: dict[str, int] = {}
    for place, name in enumerate(names):
        means = {"", name, *batches[place : place + 1]}
        mine = [at_s for part, at_s in told if part in means or place >= item.nodes]
        if mine:
            found[name] = min(mine)
    return found
