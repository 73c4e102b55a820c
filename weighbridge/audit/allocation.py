"""The flag of nodes, or leases that are sub-leased, of which more is sold than there is."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from weighbridge.audit.flag import Flag, figures
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio, Stay, around

CODE = "over_allocation"


def oversold(portfolio: Portfolio) -> Iterator[Flag]:
    """What contracts that share a node take of it exclusively, and what sub-leases take of their lease."""
    for node, held in sorted(_held(portfolio).items()):
        asked = {lease.name: _gpus(lease, stay) for lease, stay in held}
        there = _there(portfolio, node, [lease for lease, _ in held])
        if len(asked) > 1 and sum(asked.values()) > there:
            told = figures(gpus=there, gpus_allocated=sum(asked.values()))
            entries = around(stay.entry for _, stay in held if stay.entry is not None)
            since_us = max(stay.since_us for _, stay in held)
            yield Flag(CODE, tuple(sorted(asked)), node, since_us, told, entries)
    yield from _sub_leases(portfolio)


def _held(portfolio: Portfolio) -> Mapping[str, Sequence[tuple[Lease, Stay]]]:
    """By node, who holds it now exclusively; a sub-lease holds what its lease holds."""
    found: defaultdict[str, list[tuple[Lease, Stay]]] = defaultdict(list)
    for lease in portfolio.running():
        for stay in lease.stays:
            exclusive = lease.resource_of(stay.node).exclusivity.mode == "exclusive"
            if exclusive and stay.since_us <= portfolio.as_of_us < stay.until_us:
                found[stay.node].append((lease, stay))
    return {node: _ends(portfolio, held) for node, held in found.items()}


def _ends(portfolio: Portfolio, held: Sequence[tuple[Lease, Stay]]) -> list[tuple[Lease, Stay]]:
    names = {lease.name for lease, _ in held}
    return [one for one in held if names.isdisjoint(portfolio.above(one[0].name))]


def _gpus(lease: Lease, stay: Stay) -> int:
    per_node = lease.resource_of(stay.node).per_node
    return per_node if stay.devices is None else min(per_node, len(stay.devices))


def _there(portfolio: Portfolio, node: str, leases: Sequence[Lease]) -> int:
    """GPUs of a node: those that were seen in it lately, and no fewer than any contract has of it."""
    recent_us = portfolio.as_of_us - 2 * DAY_US
    seen = {
        one.device
        for lease in leases
        for one in lease.sightings
        if one.node == node and one.last_us > recent_us
    }
    return max(len(seen), *(lease.resource_of(node).per_node for lease in leases))


def _sub_leases(portfolio: Portfolio) -> Iterator[Flag]:
    drawn: defaultdict[str, list[Lease]] = defaultdict(list)
    for child, parent in portfolio.parents.items():
        lease = portfolio.leases[child]
        if lease.runs(portfolio.as_of_us):
            drawn[parent].append(lease)
    for name, children in sorted(drawn.items()):
        there = _contracted(portfolio.leases[name])
        taken = sum(map(_contracted, children))
        if taken > there:
            names = (name, *sorted(one.name for one in children))
            entries = around(entry for one in children for entry in one.entries)
            since_us = max(one.start_us for one in children)
            yield Flag(
                CODE, names, "", since_us, figures(gpus=there, gpus_allocated=taken), entries
            )


def _contracted(lease: Lease) -> int:
    return sum(item.nodes * item.per_node for item in lease.newest.resources)
