"""Less memory than contracted."""

from collections.abc import Iterator

from weighbridge.catalogue.tables import sku
from weighbridge.judge.checks.check import Answer, Check, CheckContext, at_least
from weighbridge.judge.latest_readings import INVENTORY

READING = "memory_total_bytes"


def whole(context: CheckContext) -> Iterator[Answer]:
    """The contract's own figure, or else what the driver shows on cards of the contracted kind."""
    accelerator = context.promise.resource.accelerator
    row = sku(accelerator.sku)
    floor = accelerator.memory_bytes
    if floor is None and row is not None and row.memory_bytes is not None:
        floor = row.memory_bytes.low
    yield from at_least(context, READING, floor)


MEMORY_SHORT = Check(
    code="memory_short",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=whole,
)
