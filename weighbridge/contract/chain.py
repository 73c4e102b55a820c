"""A sub-lease beside the lease that it draws on: where the child promises more than its parent."""

from collections.abc import Iterator, Mapping

from weighbridge.contract.model import Contract
from weighbridge.contract.objectives import Availability, Policy

STRICTNESS: Mapping[Policy, int] = {"up": 0, "excluded": 1, "hold": 2, "down": 3}


def mismatches(parent: Contract, child: Contract) -> Iterator[str]:
    """Each term in which the child is stricter, so that the party in the middle owes what it cannot recover."""
    if parent.time_zone != child.time_zone:
        yield f"time_zone: {child.time_zone} against {parent.time_zone}"
    if STRICTNESS[child.unknown.policy] > STRICTNESS[parent.unknown.policy]:
        yield f"unknown.policy: {child.unknown.policy} against {parent.unknown.policy}"
    for promise in child.availability:
        upstream = [held for held in parent.availability if held.unit == promise.unit]
        if not upstream:
            yield f"{promise.id}: nothing like it in the parent"
        for held in upstream:
            yield from (f"{promise.id}: {reason}" for reason in _stricter(held, promise))


def _stricter(held: Availability, promise: Availability) -> Iterator[str]:
    if promise.target > held.target:
        yield "higher target"
    if promise.period != held.period:
        yield f"{promise.period} against {held.period}"
    if _shortest_s(promise) < _shortest_s(held):
        yield "shorter outages count"


def _shortest_s(objective: Availability) -> tuple[int, bool]:
    minimum = objective.counting.min_outage
    return (0, False) if minimum is None else (minimum.seconds, minimum.op == ">")
