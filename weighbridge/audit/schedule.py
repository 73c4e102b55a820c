"""What is due of a contract when: by the batches of its newest word, or all of it from its start."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from weighbridge.audit.portfolio import DAY_US, Lease
from weighbridge.contract import Contract, Resource
from weighbridge.contract.resources import Batch
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.periods import day_start

LONGEST_WINDOW_US = 14 * DAY_US
"""Whoever announces more than that announces that nothing is there."""


def due_us(contract: Contract, batch: Batch) -> int:
    """The end of its last day in time."""
    return day_start(batch.due + timedelta(days=1), contract.time_zone) * MICROSECONDS


def due_gpus(lease: Lease, at_us: int) -> int:
    """GPUs that are to be there at an instant; none outside the term, or in a window of maintenance of all."""
    if not lease.runs(at_us) or _under_maintenance(lease, at_us):
        return 0
    contract = lease.at(at_us)
    return sum(_nodes(contract, item, at_us) * item.per_node for item in contract.resources)


def _under_maintenance(lease: Lease, at_us: int) -> bool:
    """In the first days of a window that was announced for all of it."""
    return any(a <= at_us < min(b, a + LONGEST_WINDOW_US) for a, b in lease.windows)


def _nodes(contract: Contract, item: Resource, at_us: int) -> int:
    if not item.delivery:
        return item.nodes
    return sum(batch.nodes for batch in item.delivery if due_us(contract, batch) <= at_us)


def steps(lease: Lease) -> list[int]:
    """The instants at which something falls due, or a version or the term begins or ends."""
    return sorted({lease.start_us, lease.end_us, *_edges(lease)})


def _edges(lease: Lease) -> Iterator[int]:
    for start_us, end_us in lease.windows:
        yield from (start_us, min(end_us, start_us + LONGEST_WINDOW_US))
    for version in lease.versions:
        yield version.from_us
        for item in version.contract.resources:
            yield from (due_us(version.contract, batch) for batch in item.delivery)


def due_gpu_s(lease: Lease, start_us: int, end_us: int) -> int:
    """GPU-seconds that are due in [start_us, end_us)."""
    inside = (edge for edge in steps(lease) if start_us < edge < end_us)
    edges = sorted({start_us, end_us, *inside})
    return sum(due_gpus(lease, a) * (b - a) for a, b in pairwise(edges)) // MICROSECONDS


def first_due_us(lease: Lease, at_us: int) -> int | None:
    """The first instant from which something was due without a break until now; None: nothing is."""
    first = None
    for edge in (one for one in steps(lease) if one <= at_us):
        if due_gpus(lease, edge) == 0:
            first = None
        elif first is None:
            first = edge
    return first if due_gpus(lease, at_us) else None
