"""A contracted GPU that the node does not have, or no longer reaches."""

from collections.abc import Iterator

from weighbridge.checks.check import (
    Answer,
    Check,
    Effect,
    Scene,
    Severity,
    breached,
    decide,
    met,
    unseen,
)
from weighbridge.view import INVENTORY, REASONS
from weighbridge.wire import DeviceState, Reason

LOST = {Reason.GPU_IS_LOST, Reason.RESET_REQUIRED}
SIGNS = ("power_draw_milliwatts", "memory_used_bytes", "temperature_gpu_celsius")
"""Readings that every card has: one that answers shows that the device is there."""


def count(scene: Scene) -> Iterator[Answer]:
    """The node as a whole. Each missing device is a slot that is down, whatever the answer's effect."""
    promised, shown = scene.promise.resource.per_node, len(scene.devices())
    yield decide("", f"{promised} GPUs", f"{shown} GPUs", holds=shown >= promised)


def reached(scene: Scene) -> Iterator[Answer]:
    """Each device: met if it answers, breached if it is lost, unknown if the driver does not say."""
    expected = "answers"
    for device in scene.devices():
        values = [scene.view.value(device.uuid, sign) for sign in SIGNS]
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
    severity=Severity.ERROR,
    effect=Effect.NONE,
    answerable="provider",
    watches=frozenset({INVENTORY}),
    judge=count,
)
GPU_LOST = Check(
    code="gpu_lost",
    severity=Severity.ERROR,
    effect=Effect.DOWN,
    answerable="provider",
    watches=frozenset({INVENTORY, REASONS}),
    judge=reached,
)
"""Its UNKNOWN is the one that makes a device's state unknown: see `judge`."""
