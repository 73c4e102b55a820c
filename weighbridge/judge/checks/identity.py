"""A card that is not the contracted one: its ids on the bus, its cores and its form factor must tell one story."""

from collections.abc import Iterator

from weighbridge.catalogue.tables import Sku, sku, sku_by_pci
from weighbridge.contract import Accelerator
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    breached,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, LatestReadings
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Reason


def same_card(context: CheckContext) -> Iterator[Answer]:
    """Each device against the contracted row of the SKU table; what no row knows is unknown, never passed."""
    accelerator = context.promise.resource.accelerator
    for device in context.devices():
        yield _compare(context.view, device.uuid, accelerator, sku(accelerator.sku))


def _compare(view: LatestReadings, device: str, terms: Accelerator, promised: Sku | None) -> Answer:
    board = view.value(device, "pci_device_id")
    if promised is None or not promised.pci_device_ids:
        return unseen(device, terms.sku, Reason.NOT_FOUND)
    if not isinstance(board, str) or isinstance(board, Reason):
        return unseen(device, terms.sku, board if isinstance(board, Reason) else None)
    if board not in promised.pci_device_ids:
        return breached(device, terms.sku, _told(view, device, board))
    return _consistent(view, device, terms, promised)


def _consistent(view: LatestReadings, device: str, terms: Accelerator, promised: Sku) -> Answer:
    cores, board = view.value(device, "gpu_cores"), view.value(device, "pci_subsystem_id")
    if terms.form_factor not in (None, promised.form_factor):
        expected = f"{terms.sku} as {terms.form_factor}"
        return breached(device, expected, f"{promised.key} is {promised.form_factor}")
    if isinstance(cores, int) and promised.cores not in (None, cores):
        return breached(device, f"{promised.cores} cores", f"{cores} cores")
    if promised.pci_subsystem_ids and board not in promised.pci_subsystem_ids:
        return Answer(device, Verdict.UNKNOWN, terms.sku, f"{promised.key} on a board {board}")
    return met(device, terms.sku, promised.key)


def _told(view: LatestReadings, device: str, board: str) -> str:
    subsystem = view.value(device, "pci_subsystem_id")
    row = sku_by_pci(board, None if isinstance(subsystem, Reason | int) else subsystem)
    return f"{view.value(device, 'name')} ({board})" if row is None else row.key


SKU_MISMATCH = Check(
    code="sku_mismatch",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=same_card,
)
