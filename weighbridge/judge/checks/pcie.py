"""A PCIe link narrower or slower than promised: the commonest silent under-delivery."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, at_least
from weighbridge.judge.latest_readings import INVENTORY

WIDTH = "pcie_link_width_lanes"


def wide(context: CheckContext) -> Iterator[Answer]:
    """Width now, at any load: it never falls by design."""
    yield from at_least(context, WIDTH, context.promise.resource.floors.pcie_width)


def fast(context: CheckContext) -> Iterator[Answer]:
    """The generation that card and slot reach together: the one in use falls at idle by design."""
    generation = context.promise.resource.floors.pcie_generation
    yield from at_least(context, "pcie_link_max_generation", generation)


PCIE_NARROW = Check(
    code="pcie_narrow",
    at_delivery=True,
    watches=frozenset({WIDTH}),
    judge=wide,
)
PCIE_SLOW = Check(
    code="pcie_slow",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=fast,
)
