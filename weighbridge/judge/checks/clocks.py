"""A card whose highest clocks lie below the promised ones; a bound judges the clock that it reaches under load."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, at_least
from weighbridge.judge.latest_readings import INVENTORY


def compute(context: CheckContext) -> Iterator[Answer]:
    """The highest SM clock that the card offers."""
    floor = context.promise.resource.floors.sm_clock_max_megahertz
    yield from at_least(context, "sm_clock_max_megahertz", floor)


def memory(context: CheckContext) -> Iterator[Answer]:
    """The highest memory clock that the card offers."""
    floor = context.promise.resource.floors.memory_clock_max_megahertz
    yield from at_least(context, "memory_clock_max_megahertz", floor)


CLOCK_CAPPED = Check(
    code="clock_capped",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=compute,
)
MEMORY_CLOCK_CAPPED = Check(
    code="memory_clock_capped",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=memory,
)
