"""A contracted GPU that the node does not have, or no longer reaches."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Promise,
    Severity,
    breached,
    decide,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import COUNTED, INVENTORY, REASONS, LatestReadings, fact
from weighbridge.wire.report import DeviceState, Reason

LOST = {Reason.GPU_IS_LOST, Reason.RESET_REQUIRED}
SIGNS = ("power_draw_milliwatts", "memory_used_bytes", "temperature_gpu_celsius")
"""Readings that every card has: one that answers shows that the device is there."""


ON_THE_BUS = "nvidia_pci_functions_count"


def count(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole. Each missing device is a slot that is down, whatever the answer's effect.

    Where the driver counted nothing, what the bus does not show is missing; the rest nobody saw.
    """
    promised, shown = context.promise.resource.per_node, len(context.devices())
    expected, may_be = f"{promised} GPUs", shown + hidden(context.view, context.promise)
    if shown < promised <= may_be:
        yield unseen("", expected, uncounted(context.view))
    else:
        yield decide("", expected, f"{may_be} GPUs", holds=may_be >= promised)


def uncounted(view: LatestReadings) -> Reason | None:
    """Why nobody says how many GPUs there are; None where the driver does, or where some are shown all the same."""
    return None if view.devices else view.driver.unavailable.get(COUNTED)


def hidden(view: LatestReadings, promise: Promise) -> int:
    """How many devices may be there besides those that are shown: none that the driver or the bus would have counted.

    A card on the bus may be cut into any number of slices.
    """
    if uncounted(view) is None:
        return 0
    on_the_bus, promised = fact(view.host, ON_THE_BUS), promise.resource.per_node
    if not isinstance(on_the_bus, int):
        return promised
    unseen_cards = max(0, on_the_bus - sum(1 for _ in view.wholes()))
    sliced = any(device.startswith("MIG-") for device in promise.devices or ())
    return promised if sliced and unseen_cards else unseen_cards


def reached(context: CheckContext) -> Iterator[Answer]:
    """Each device: met if it answers, breached if it is lost, unknown if the driver does not say."""
    expected = "answers"
    for device in context.devices():
        values = [context.view.value(device.uuid, sign) for sign in SIGNS]
        reasons = [value for value in values if isinstance(value, Reason)]
        if device.state in (DeviceState.LOST, DeviceState.RESET_REQUIRED):
            yield breached(device.uuid, expected, device.state)
        elif LOST.intersection(reasons):
            yield breached(device.uuid, expected, min(LOST.intersection(reasons)))
        elif any(isinstance(value, int) for value in values):
            yield met(device.uuid, expected, "answers")
        else:
            yield unseen(device.uuid, expected, reasons[0] if reasons else None)


GPU_MISSING = Check(
    code="gpu_missing",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=count,
    blind=Severity.ERROR,
)
GPU_LOST = Check(
    code="gpu_lost",
    effect=Effect.DOWN,
    at_delivery=True,
    watches=frozenset({INVENTORY, REASONS}),
    judge=reached,
)
"""Its UNKNOWN is the one that makes a device's state unknown: see `judge`."""
