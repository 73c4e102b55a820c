"""A contracted GPU that the node does not have, or no longer reaches."""

from collections.abc import Iterable, Iterator

from weighbridge.catalogue.readings import UNREADABLE_GPU, UNREADABLE_SLICES
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Promise,
    Severity,
    breached,
    decide,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import (
    INVENTORY,
    REASONS,
    LatestDevice,
    LatestReadings,
    fact,
)
from weighbridge.wire.driver_words import COUNTED, UNREAD
from weighbridge.wire.report import DeviceState, Reason

LOST = {Reason.GPU_IS_LOST, Reason.RESET_REQUIRED}
SIGNS = ("power_draw_milliwatts", "memory_used_bytes", "temperature_gpu_celsius")
"""Readings that every card has: one that answers shows that the device is there."""


ON_THE_BUS = "nvidia_pci_functions_count"
NOT_THERE = LOST | {Reason.NOT_FOUND}
"""Why the driver lists no GPU of a number, where it says that there is none that works."""


def count(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole. Each missing device is a slot that is down, whatever the answer's effect.

    Where the driver counted nothing, what the bus does not show is missing; the rest nobody saw. Nor did anybody see
    what the driver counts and does not open.
    """
    promised, shown = context.promise.resource.per_node, _cards(context.devices())
    expected, may_be = f"{promised} GPUs", shown + hidden(context.view, context.promise)
    if shown < promised <= may_be:
        yield unseen("", expected, why_hidden(context.view))
    else:
        why = uncounted(context.view)
        observed = f"{may_be} GPUs" if why is None else f"{may_be} GPUs ({why})"
        yield decide("", expected, observed, holds=may_be >= promised)


def _cards(devices: Iterable[LatestDevice]) -> int:
    """Where one card is shown as several (NVML can count MPS locality domains), it is one. A slice is one too."""
    return len({_card(device) for device in devices})


def _card(device: LatestDevice) -> int | str:
    address = device.identity.readings.get("pci_bus_id")
    return device.uuid if address is None or device.parent is not None else address


def uncounted(view: LatestReadings) -> Reason | None:
    """Why nobody says how many GPUs there are; None where the driver does, or where some are shown all the same."""
    return None if view.devices else view.driver.unavailable.get(COUNTED)


def why_hidden(view: LatestReadings) -> Reason | None:
    """Why nobody saw the devices that may be there; None where nobody says."""
    unread = [*_facts(view, UNREADABLE_GPU), *_facts(view, UNREADABLE_SLICES)]
    return uncounted(view) or next((why for why in unread if why not in NOT_THERE), None)


def _facts(view: LatestReadings, name: str) -> list[Reason]:
    return [why for fact, why in view.driver.unavailable.items() if fact.startswith(name)]


def hidden(view: LatestReadings, promise: Promise) -> int:
    """How many devices may be there besides those that are shown. A card may be cut into any number of slices."""
    cards, promised = _hidden_cards(view, promise), promise.resource.per_node
    if not any(device.startswith("MIG-") for device in promise.devices or ()):
        return cards
    return promised if cards or _facts(view, UNREADABLE_SLICES) else 0


def _hidden_cards(view: LatestReadings, promise: Promise) -> int:
    """Where the driver counts, those that it does not open and calls not lost; else those that the bus shows."""
    if uncounted(view) is not None:
        on_the_bus = fact(view.host, ON_THE_BUS)
        shown = sum(1 for _ in view.wholes())
        return (
            max(0, on_the_bus - shown) if isinstance(on_the_bus, int) else promise.resource.per_node
        )
    counted, unread = (view.driver.readings.get(name, 0) for name in (COUNTED, UNREAD))
    if not unread or not isinstance(counted, int) or not isinstance(unread, int):
        return 0
    there = unread - sum(1 for why in _facts(view, UNREADABLE_GPU) if why in NOT_THERE)
    return max(0, min(there, counted - sum(1 for _ in view.wholes())))


def reached(context: CheckContext) -> Iterator[Answer]:
    """Each device: met if it answers, breached if it is lost, unknown if the driver does not say."""
    expected = "answers"
    for device in context.devices():
        values = [context.view.value(device.uuid, sign) for sign in SIGNS]
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
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=count,
    blind=Severity.ERROR,
)
GPU_LOST = Check(
    code="gpu_lost",
    effect=Effect.DOWN,
    at_delivery=True,
    watches=frozenset({INVENTORY, REASONS}),
    judge=reached,
)
"""Its UNKNOWN is the one that makes a device's state unknown: see `judge`."""
