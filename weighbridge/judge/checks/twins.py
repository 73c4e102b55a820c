"""Two GPUs of a node that say that they are one: the serial number and the chip are each card's own."""

from collections.abc import Iterator

from weighbridge.catalogue.tables import sku_by_pci
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

EXPECTED = "serial and pdi of its own"


def apart(context: CheckContext) -> Iterator[Answer]:
    """Each whole GPU beside all others of its node. A serial of zeros is none."""
    wholes = list(context.view.wholes())
    for device in context.devices():
        if device.parent is None:
            others = [other for other in wholes if other.uuid != device.uuid]
            told = "; ".join(_shared(device, others))
            own = met(device.uuid, EXPECTED, "its own")
            yield doubted(device.uuid, EXPECTED, told) if told else own


def _shared(device: LatestDevice, others: list[LatestDevice]) -> Iterator[str]:
    for reading in ("serial", "pdi"):
        value = device.identity.readings.get(reading)
        if not isinstance(value, str) or not value.strip("0"):
            continue
        if any(
            other.identity.readings.get(reading) == value
            and not (reading == "serial" and _may_share_a_board(device, other))
            for other in others
        ):
            yield f"{reading} {value} of another one too"


def _may_share_a_board(one: LatestDevice, other: LatestDevice) -> bool:
    """Some boards have several GPUs and one serial; none of those that the table knows."""
    boards = {device.identity.readings.get("board_number") for device in (one, other)}
    told_apart = None not in boards and len(boards) > 1
    return not told_apart and not (_is_known(one) and _is_known(other))


def _is_known(device: LatestDevice) -> bool:
    board = device.identity.readings.get("pci_device_id")
    return isinstance(board, str) and sku_by_pci(board, None) is not None


IDENTITY_SHARED = Check(
    code="identity_shared",
    effect=Effect.NONE,
    at_delivery=True,
    answerable="open",
    watches=frozenset({INVENTORY}),
    judge=apart,
    blind=Severity.ERROR,
    level="E1",
)
"""Whether one card was shown twice, or the driver gave one answer for two, nobody can tell."""
