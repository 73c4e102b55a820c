"""What the kernel's log calls the card at an address, against what NVML calls it.

The kernel says it once for each start of its driver, before the first XID of a card. Innocent: a card that was
exchanged without a restart of the driver. A serial follows in a line of its own that names no address, so that lines of
two cards may lie crosswise: a serial that another card of the node has contradicts nothing.
"""

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
from weighbridge.judge.latest_readings import INVENTORY, LatestDevice

EXPECTED = "one name for one card"


def agreeing(context: CheckContext) -> Iterator[Answer]:
    """Of each card that the kernel named."""
    view = context.view
    named = {
        uuid: view.faults.names[at] for at, uuid in view.places.items() if at in view.faults.names
    }
    serials = {serial for device in view.wholes() if (serial := _serial(device))}
    for device in context.devices():
        uuid, serial = named.get(device.uuid, ("", ""))
        own = _serial(device)
        if uuid and uuid != device.uuid:
            yield doubted(device.uuid, EXPECTED, f"the kernel calls it {uuid}")
        elif serial and own and serial != own and serial not in serials:
            yield doubted(device.uuid, EXPECTED, f"the kernel reads serial {serial}")
        elif uuid or serial:
            yield met(device.uuid, EXPECTED, "the same")


def _serial(device: LatestDevice) -> str:
    serial = device.identity.readings.get("serial")
    return serial.strip() if isinstance(serial, str) else ""


IDENTITY_DISPUTED = Check(
    code="identity_disputed",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=agreeing,
    blind=Severity.WARNING,
    level="E1",
)
