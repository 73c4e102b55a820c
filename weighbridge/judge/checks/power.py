"""A power cap: the enforced limit lies below the promised one."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, at_least

READING = "power_limit_enforced_milliwatts"


def uncapped(context: CheckContext) -> Iterator[Answer]:
    """The lowest of all limiters in force, as the driver tells it."""
    yield from at_least(context, READING, context.promise.resource.floors.power_limit_milliwatts)


POWER_CAPPED = Check(
    code="power_capped",
    at_delivery=True,
    watches=frozenset({READING}),
    judge=uncapped,
)
"""Open: a lessee with root on bare metal can set the limit too."""
