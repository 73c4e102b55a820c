"""A device that was put in the place of a contract's own, and that nobody announced."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Severity,
    doubted,
    met,
)
from weighbridge.judge.latest_readings import INVENTORY

EXPECTED = "the device that the slot was given, or one that was announced"


def own(context: CheckContext) -> Iterator[Answer]:
    """Each device: unknown where it is a stranger, since nobody can tell what stands in the slot."""
    for device in context.devices():
        if device.uuid in context.strangers:
            yield doubted(device.uuid, EXPECTED, "another one")
        else:
            yield met(device.uuid, EXPECTED, "its own")


DEVICE_EXCHANGED = Check(
    code="device_exchanged",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=own,
    blind=Severity.ERROR,
)
"""It changes no state of a row: rows of a stranger bear it as a cause, and what was announced is known when they are
settled."""
