"""A PCIe link narrower or slower than promised under load: the commonest silent under-delivery.

Width and generation both fall at idle, by design. A card at idle is judged by what its link last gave under load.
"""

from collections.abc import Iterator

from weighbridge.judge.checks.cards import MODE, PASSTHROUGH, VGPU
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    breached,
    decide,
    doubted,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, LINKS, REASONS, LatestReadings
from weighbridge.judge.links_under_load import GENERATION, WIDTH

MOST_LANES, MOST_GENERATION = "pcie_link_width_max_lanes", "pcie_link_max_generation"
"""What card and slot reach together, at any load."""
IN_A_MACHINE = (PASSTHROUGH, VGPU)
"""There the slot is one that the hypervisor makes up."""


def wide(context: CheckContext) -> Iterator[Answer]:
    """Lanes in use. What a link that was never seen under load shows at idle is enough, or says nothing."""
    floor = context.promise.resource.floors.pcie_width
    if floor is None:
        return
    for device in context.devices():
        expected, value = f"{WIDTH} at least {floor}", context.view.value(device.uuid, WIDTH)
        if not isinstance(value, int):
            yield unseen(device.uuid, expected, value)
            continue
        answer = _seen(context.view, device.uuid, WIDTH, floor, value)
        short = _out_of_reach(context.view, device.uuid, MOST_LANES, floor)
        yield answer or short or doubted(device.uuid, expected, f"{value} at idle")


def fast(context: CheckContext) -> Iterator[Answer]:
    """The generation in use; while that was never seen under load, or cannot be read, what card and slot reach."""
    floor = context.promise.resource.floors.pcie_generation
    if floor is None:
        return
    for device in context.devices():
        value = context.view.value(device.uuid, GENERATION)
        answer = _seen(context.view, device.uuid, GENERATION, floor, value)
        yield answer or _reach(context.view, device.uuid, floor, value)


def _reach(view: LatestReadings, device: str, floor: int, value: int | str | None) -> Answer:
    most, expected = view.value(device, MOST_GENERATION), f"{MOST_GENERATION} at least {floor}"
    short = _out_of_reach(view, device, MOST_GENERATION, floor)
    if short is not None:
        return short
    if not isinstance(most, int):
        return unseen(device, expected, most)
    if most < floor:
        return doubted(device, expected, f"{most} in a virtual machine")
    return met(
        device, expected, f"{most}; {value} at idle" if isinstance(value, int) else str(most)
    )


def _seen(
    view: LatestReadings, device: str, reading: str, floor: int, value: int | str | None
) -> Answer | None:
    """By what a link that can be read gave under load, or gives at idle all the same; None where that tells nothing."""
    if not isinstance(value, int):
        return None
    expected, (loaded, sure) = f"{reading} at least {floor}", view.links.shown(device, reading)
    if loaded is not None and (sure or loaded >= floor):
        return decide(device, expected, str(loaded), holds=loaded >= floor)
    return met(device, expected, str(value)) if value >= floor else None


def _out_of_reach(view: LatestReadings, device: str, reading: str, floor: int) -> Answer | None:
    """A card and a slot that do not reach the floor together do not at any load."""
    most = view.value(device, reading)
    virtual = view.value(device, MODE) in IN_A_MACHINE
    if not isinstance(most, int) or most >= floor or virtual:
        return None
    return breached(device, f"{reading} at least {floor}", str(most))


PCIE_NARROW = Check(
    code="pcie_narrow",
    at_delivery=True,
    watches=frozenset({WIDTH, LINKS, INVENTORY}),
    judge=wide,
)
PCIE_SLOW = Check(
    code="pcie_slow",
    at_delivery=True,
    watches=frozenset({INVENTORY, LINKS, REASONS}),
    judge=fast,
)
