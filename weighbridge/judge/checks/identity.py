"""A card that is not the contracted one: its ids on the bus, its maker, its cores, its compute capability, its form
factor and its memory must tell one story.

A board that was rebuilt to another size of memory keeps its ids and its name, and is another card.
"""

from collections.abc import Iterator, Mapping

from weighbridge.catalogue.tables import Sku, of_board, sku, sku_by_pci
from weighbridge.contract import Accelerator
from weighbridge.judge.checks.cards import whole_memory
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    breached,
    doubted,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, LatestReadings
from weighbridge.wire.report import Reason

VENDORS: Mapping[str, str] = {
    "nvidia": "10de",
    "amd": "1002",
    "intel": "8086",
    "huawei": "19e5",
}
"""Makers by their PCI vendor id (pci.ids). Of another one nobody can tell whether a card is its own."""
BOARD, CAPABILITY = "pci_device_id", "cuda_compute_capability"


def same_card(context: CheckContext) -> Iterator[Answer]:
    """Each device against the contracted row of the SKU table; what no row knows is unknown, never passed."""
    accelerator = context.promise.resource.accelerator
    for device in context.devices():
        yield _compare(context.view, device.uuid, accelerator, sku(accelerator.sku))


def _compare(view: LatestReadings, device: str, terms: Accelerator, promised: Sku | None) -> Answer:
    board, capability = view.text(device, BOARD), view.text(device, CAPABILITY)
    vendor = VENDORS.get(terms.vendor.casefold())
    if board is not None and vendor is not None and not board.startswith(f"{vendor}:"):
        return breached(device, f"a card of {terms.vendor}", _told(view, device, board))
    if capability is not None and terms.compute_capability not in (None, capability):
        return breached(device, f"{CAPABILITY} {terms.compute_capability}", capability)
    if promised is None or not promised.pci_device_ids:
        return unseen(device, terms.sku, Reason.NOT_FOUND)
    if board is None:
        return unseen(device, terms.sku, view.value(device, BOARD))
    if board not in promised.pci_device_ids:
        return breached(device, terms.sku, _told(view, device, board))
    if vendor is None:
        return doubted(device, f"a card of {terms.vendor}", board)
    if terms.compute_capability is not None and capability is None:
        expected = f"{CAPABILITY} {terms.compute_capability}"
        return unseen(device, expected, view.value(device, CAPABILITY))
    return _consistent(view, device, terms, promised)


def _consistent(view: LatestReadings, device: str, terms: Accelerator, promised: Sku) -> Answer:
    cores, board = view.value(device, "gpu_cores"), view.value(device, "pci_subsystem_id")
    memory, rebuilt = whole_memory(view, device), _of_another_size(view, device, promised)
    if rebuilt is not None:
        return breached(device, terms.sku, rebuilt.key)
    if terms.form_factor not in (None, promised.form_factor):
        expected = f"{terms.sku} as {terms.form_factor}"
        return breached(device, expected, f"{promised.key} is {promised.form_factor}")
    if isinstance(cores, int) and promised.cores not in (None, cores):
        return breached(device, f"{promised.cores} cores", f"{cores} cores")
    if promised.pci_subsystem_ids and board not in promised.pci_subsystem_ids:
        return doubted(device, terms.sku, f"{promised.key} on a board {board}")
    if memory is not None and promised.memory_bytes and memory > promised.memory_bytes.high:
        return doubted(device, terms.sku, f"{promised.key} with {memory} bytes")
    return met(device, terms.sku, promised.key)


def _of_another_size(view: LatestReadings, device: str, promised: Sku) -> Sku | None:
    """The card that has the memory shown, where that is not the promised one; less than any has is a part of one."""
    board, memory = view.value(device, BOARD), whole_memory(view, device)
    if memory is None or promised.memory_bytes is None or memory in promised.memory_bytes:
        return None
    rows = of_board(str(board), None)
    fitting = (row for row in rows if row.memory_bytes is not None and memory in row.memory_bytes)
    return next(fitting, None)


def _told(view: LatestReadings, device: str, board: str) -> str:
    subsystem = view.text(device, "pci_subsystem_id")
    row = sku_by_pci(board, subsystem, whole_memory(view, device))
    return f"{view.value(device, 'name')} ({board})" if row is None else row.key


SKU_MISMATCH = Check(
    code="sku_mismatch",
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=same_card,
)
