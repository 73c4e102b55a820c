"""Two GPUs of a node that say that they are one: serial number, chip and PCI address are each card's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from weighbridge.catalogue.tables import of_board
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

EXPECTED = "serial, pdi and PCI address of its own"


READ = ("serial", "pdi", "pci_bus_id")


@dataclass(slots=True)
class _Bearers:
    """The whole GPUs of a node that show one value: how many, on which boards, and how many of them are known cards."""

    count: int = 0
    known: int = 0
    boards: set[object] = field(default_factory=set)


def apart(context: CheckContext) -> Iterator[Answer]:
    """Each whole GPU beside all others of its node. A serial of zeros is none."""
    bearers = _bearers(context.view.wholes())
    for device in context.devices():
        if device.parent is None:
            told = "; ".join(_shared(device, bearers))
            own = met(device.uuid, EXPECTED, "its own")
            yield doubted(device.uuid, EXPECTED, told) if told else own


def _bearers(wholes: Iterable[LatestDevice]) -> dict[tuple[str, str], _Bearers]:
    found: dict[tuple[str, str], _Bearers] = {}
    for device in wholes:
        for told in _told(device):
            one = found.setdefault(told, _Bearers())
            one.count += 1
            one.known += _is_known(device)
            one.boards |= {_board(device)} - {None}
    return found


def _told(device: LatestDevice) -> Iterator[tuple[str, str]]:
    for reading in READ:
        value = device.identity.readings.get(reading)
        if isinstance(value, str) and value.strip("0"):
            yield reading, value


def _shared(device: LatestDevice, bearers: dict[tuple[str, str], _Bearers]) -> Iterator[str]:
    for reading, value in _told(device):
        others = bearers.get((reading, value), _Bearers())
        if others.count > 1 and (reading != "serial" or not _may_share_a_board(device, others)):
            yield f"{reading} {value} of another one too"


def _may_share_a_board(device: LatestDevice, others: _Bearers) -> bool:
    """Some boards have several GPUs and one serial; none of those that the table knows."""
    told_apart = _board(device) is not None and len(others.boards) > 1
    return not told_apart and not (_is_known(device) and others.known > 1)


def _board(device: LatestDevice) -> object:
    return device.identity.readings.get("board_number")


def _is_known(device: LatestDevice) -> bool:
    board = device.identity.readings.get("pci_device_id")
    return isinstance(board, str) and bool(of_board(board, None))


IDENTITY_SHARED = Check(
    code="identity_shared",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=apart,
    blind=Severity.ERROR,
    level="E1",
)
"""Whether one card was shown twice, or the driver gave one answer for two, nobody can tell."""
