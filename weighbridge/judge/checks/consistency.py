"""A card that tells in one reading of another card than in the next: its ids on the bus say which one it must be."""

from collections.abc import Iterator, Sequence

from weighbridge.catalogue.tables import Sku, skus
from weighbridge.judge.checks.cards import known_card, plain_name
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


def _foreign(view: LatestReadings, device: str, row: Sku) -> Iterator[str]:
    """Every reading that another card would give."""
    name, part = view.text(device, "name"), view.text(device, "board_part_number")
    capability = view.text(device, "cuda_compute_capability")
    named = {
        one.key
        for one in skus().values()
        if name is not None and plain_name(name) == plain_name(one.name)
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
