"""A card that tells in one reading of another card than in the next: its ids on the bus say which one it must be."""

from collections.abc import Iterator, Sequence

from weighbridge.catalogue.tables import Sku, sku_by_pci, skus
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Severity,
    doubted,
    met,
)
from weighbridge.judge.latest_readings import INVENTORY, LatestReadings

VGPU = 2
"""NVML_GPU_VIRTUALIZATION_MODE_VGPU: a share of a card has a name, a memory and limits of its own."""

WITHIN: Sequence[tuple[str, int, int]] = (
    ("memory_bus_width_bits", 95, 105),
    ("power_limit_default_milliwatts", 75, 125),
    ("power_limit_max_milliwatts", 75, 125),
    ("sm_clock_max_megahertz", 0, 110),
    ("memory_clock_max_megahertz", 0, 110),
)
"""Readings, and the percents of the table's value that the same card may show: a channel of memory may be off, and some
boards have a little more power or clock. Less clock, memory or cores than contracted are checks of their own.
"""


def one_card(context: CheckContext) -> Iterator[Answer]:
    """Each whole GPU that the table knows. What it does not tell, and what no row knows, says nothing."""
    view = context.view
    for device in context.devices():
        row = known_card(view, device.uuid)
        if device.parent is not None or row is None:
            continue
        told, expected = "; ".join(_foreign(view, device.uuid, row)), f"{row.key} throughout"
        yield doubted(device.uuid, expected, told) if told else met(device.uuid, expected, row.key)


def known_card(view: LatestReadings, device: str) -> Sku | None:
    """The card by its ids on the bus; None of a share of one, and of what no row knows."""
    board, subsystem = text(view, device, "pci_device_id"), text(view, device, "pci_subsystem_id")
    if board is None or view.value(device, "virtualization_mode_code") == VGPU:
        return None
    memory = view.value(device, "memory_total_bytes")
    return sku_by_pci(board, subsystem, memory if isinstance(memory, int) else None)


def _foreign(view: LatestReadings, device: str, row: Sku) -> Iterator[str]:
    """Every reading that another card would give."""
    name, part = text(view, device, "name"), text(view, device, "board_part_number")
    capability = text(view, device, "cuda_compute_capability")
    named = {
        one.key for one in skus().values() if name is not None and bare(name) == bare(one.name)
    }
    made = {
        one.key
        for one in skus().values()
        if part is not None and one.board_part_prefixes and part.startswith(one.board_part_prefixes)
    }
    if named and row.key not in named:
        yield f"name {name}"
    if made and row.key not in made:
        yield f"board_part_number {part}"
    if capability is not None and row.compute_capability not in (None, capability):
        yield f"cuda_compute_capability {capability}"
    yield from _numbers(view, device, row)


def _numbers(view: LatestReadings, device: str, row: Sku) -> Iterator[str]:
    for reading, least, most in WITHIN:
        value, known = view.value(device, reading), getattr(row, reading)
        if isinstance(value, int) and known and not least * known <= 100 * value <= most * known:
            yield f"{reading} {value}"
    memory = view.value(device, "memory_total_bytes")
    if isinstance(memory, int) and row.memory_bytes is not None and memory > row.memory_bytes.high:
        yield f"memory_total_bytes {memory}"


def bare(name: str) -> str:
    """Drivers before R470 leave the maker out."""
    return name.removeprefix("NVIDIA ")


def text(view: LatestReadings, device: str, reading: str) -> str | None:
    """A text; None for a reason."""
    shown = view.devices.get(device)
    value = None if shown is None else shown.identity.readings.get(reading)
    return value if isinstance(value, str) else None


CARD_INCONSISTENT = Check(
    code="card_inconsistent",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=one_card,
    blind=Severity.ERROR,
    level="E1",
)
"""Which of the readings is false nobody can tell, nor whether driver, agent or table is wrong: it moves no money."""
