"""When the nodes of a contract are due to report: those of a batch after its last day, the others from the start on."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby

from weighbridge.contract import Resource
from weighbridge.contract.local_days import day_start
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Version


@dataclass(frozen=True, slots=True)
class Due:
    """Nodes of a line item that are due at an instant. `batch`: empty for those that are in none."""

    at_us: int
    resource: str
    nodes: int
    batch: str = ""


@dataclass(frozen=True, slots=True)
class Overdue:
    """Batches of one instant that are not whole: so many nodes of their line items were due by then, and reported."""

    at_us: int
    batches: tuple[str, ...]
    due: int
    reported: int


def deliveries(version: Version) -> list[Due]:
    """In order of time. Each has the contract's time to report first."""
    grace_us = version.contract.sampling.first_report_within_us
    found = [due for item in version.contract.resources for due in _of_item(version, item)]
    found.sort(key=lambda due: (due.at_us, due.resource, due.batch))
    return [Due(due.at_us + grace_us, due.resource, due.nodes, due.batch) for due in found]


def _of_item(version: Version, item: Resource) -> Iterator[Due]:
    for batch in item.delivery:
        after = batch.due + timedelta(days=1)
        ends_us = day_start(after, version.contract.time_zone) * MICROSECONDS
        yield Due(max(version.from_us, ends_us), item.id, batch.nodes, batch.id)
    rest = item.nodes - sum(batch.nodes for batch in item.delivery)
    if rest > 0:
        yield Due(version.from_us, item.id, rest)


def missing_since_us(dues: Iterable[Due], reported: int) -> int | None:
    """Since when more nodes were due than have reported; None: they are not."""
    expected = 0
    for due in dues:
        expected += due.nodes
        if expected > reported:
            return due.at_us
    return None


def overdue(dues: Iterable[Due], reported: Mapping[str, int]) -> Iterator[Overdue]:
    """Of what is due: nodes fill what is due of their line item first. `reported`: nodes of each line item."""
    expected: dict[str, int] = {}
    for at_us, together in groupby(dues, key=lambda due: due.at_us):
        mine = list(together)
        for due in mine:
            expected[due.resource] = expected.get(due.resource, 0) + due.nodes
        late = [
            due
            for due in mine
            if due.batch and reported.get(due.resource, 0) < expected[due.resource]
        ]
        if late:
            items = {due.resource for due in late}
            yield Overdue(
                at_us,
                tuple(due.batch for due in late),
                sum(expected[item] for item in items),
                sum(reported.get(item, 0) for item in items),
            )
