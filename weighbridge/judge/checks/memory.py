"""Less memory than contracted: on a smaller card, or in a part of a whole one."""

from collections import Counter
from collections.abc import Iterator

from weighbridge.catalogue.tables import sku
from weighbridge.judge.checks.cards import is_vgpu
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    breached,
    decide,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, LatestDevice, LatestReadings

READING, LIMIT, WINDOW = "memory_total_bytes", "memory_limit_bytes", "bar1_total_bytes"
SHARES = ("mig", "vgpu")
"""Forms of delivery in which a part of a card is what was promised."""


def whole(context: CheckContext) -> Iterator[Answer]:
    """Each device; one that is a part of a card is no smaller card."""
    floor = _floor(context)
    if floor is None:
        return
    places = _places(context.view)
    for device in context.devices():
        value, expected = context.view.value(device.uuid, READING), f"{READING} at least {floor}"
        if not isinstance(value, int):
            yield unseen(device.uuid, expected, value)
        elif not _share(context, device, value, floor, places):
            yield decide(device.uuid, expected, str(value), holds=value >= floor)


def unparted(context: CheckContext) -> Iterator[Answer]:
    """Each device whose memory is told: too little of it in a part of a card that has more."""
    floor = _floor(context)
    if floor is None:
        return
    places = _places(context.view)
    for device in context.devices():
        value, expected = context.view.value(device.uuid, READING), f"{READING} at least {floor}"
        if isinstance(value, int):
            share = _share(context, device, value, floor, places)
            observed = f"{value} in {share}" if share else str(value)
            yield (breached if share else met)(device.uuid, expected, observed)


def _floor(context: CheckContext) -> int | None:
    """The contract's own figure, or else, where whole cards are leased, what the driver shows on those of the kind."""
    resource = context.promise.resource
    row, floor = sku(resource.accelerator.sku), resource.accelerator.memory_bytes
    if floor is None and row is not None and row.memory_bytes is not None:
        return None if resource.virtualization in SHARES else row.memory_bytes.low
    return floor


def _share(
    context: CheckContext, device: LatestDevice, value: int, floor: int, places: Counter[object]
) -> str:
    """What part of a card a device with too little memory is; empty where it is none, or was promised as one.

    `places`: how many whole devices each PCI address has.
    """
    if value >= floor or context.promise.resource.virtualization in SHARES:
        return ""
    view = context.view
    limit, window = view.value(device.uuid, LIMIT), view.value(device.uuid, WINDOW)
    if device.parent is not None:
        return f"a MIG slice of {device.parent}"
    if places[device.identity.readings.get("pci_bus_id")] > 1:
        return "an MPS locality domain of a card that is shown as several"
    if isinstance(limit, int) and limit < floor:
        return f"a cgroup's partition of {limit}"
    if is_vgpu(view, device.uuid):
        return "a vGPU"
    if isinstance(window, int) and window >= 2 * value and window >= floor:
        return f"a part of a card whose BAR1 is {window}"
    return ""


def _places(view: LatestReadings) -> Counter[object]:
    found = (device.identity.readings.get("pci_bus_id") for device in view.wholes())
    return Counter(address for address in found if address is not None)


MEMORY_SHORT = Check(
    code="memory_short",
    at_delivery=True,
    watches=frozenset({INVENTORY, LIMIT}),
    judge=whole,
)
MEMORY_PARTITIONED = Check(
    code="memory_partitioned",
    at_delivery=True,
    watches=frozenset({INVENTORY, LIMIT}),
    judge=unparted,
)
"""What a partition tells as its own: https://docs.nvidia.com/deploy/mps/latest/mpsv3-memory-partitioning.html.

The window of memory over PCIe, a power of two, is no smaller than the memory: a card has more than half of it.
"""
