"""NVML beside what the machine shows without it: the PCI bus, the kernel module's own words, and the module's version.

A library that makes up GPUs has to make up all of these alike. Only what two sources show is compared: a container may
show no bus, and a virtual machine one with addresses of its own.
"""

from collections.abc import Iterator

from weighbridge.judge.checks.cards import is_vgpu, known_card, plain_name
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Severity,
    doubted,
    met,
)
from weighbridge.judge.checks.presence import ON_THE_BUS
from weighbridge.judge.latest_readings import INVENTORY, LatestDevice, LatestReadings, fact
from weighbridge.wire.pci_address import kernel_address
from weighbridge.wire.report import DeviceState

SAME = "what the bus and the kernel module show"
ONE_VERSION = "one version of the driver"
NVIDIA, NO_BOARD = "10de", "0000:0000"
SUPERCHIP = "superchip"
"""Its memory is reached over a link to the CPU: what it opens on the bus says nothing of it."""


def agree(context: CheckContext) -> Iterator[Answer]:
    """The versions of the driver on the node, and each whole GPU of which another source tells too."""
    view = context.view
    versions = list(_versions(view))
    if len(versions) > 1:
        judged = met if len(set(versions)) == 1 else doubted
        yield judged("", ONE_VERSION, ", ".join(versions))
    shown = sum(_is_whole(view, device) for device in view.wholes())
    for device in context.devices():
        compared = list(_compared(view, device.uuid, shown)) if _is_whole(view, device) else []
        odd = "; ".join(filter(None, compared))
        if compared:
            yield (doubted if odd else met)(device.uuid, SAME, odd or "the same")


def _is_whole(view: LatestReadings, device: LatestDevice) -> bool:
    """Neither a part of a card nor one that is lost: the bus need not show that."""
    whole = device.parent is None and not is_vgpu(view, device.uuid)
    return whole and device.state is DeviceState.OK


def _versions(view: LatestReadings) -> Iterator[str]:
    """By NVML, by the module in procfs, by the module in sysfs: of those that are told."""
    told = (view.driver.readings.get("driver_version"), *_module_versions(view))
    return (version for version in told if isinstance(version, str))


def _module_versions(view: LatestReadings) -> tuple[object, object]:
    """None where there is no module to be seen."""
    return (
        view.driver.readings.get("kernel_module_version"),
        view.host.readings.get("nvidia_module_sysfs_version"),
    )


def _compared(view: LatestReadings, uuid: str, shown: int) -> Iterator[str]:
    """For each thing that two sources show what they disagree in; empty where they agree. `shown`: GPUs of NVML."""
    name = view.text(uuid, "name")
    kernel_uuid, kernel_name = (view.text(uuid, f"kernel_{word}") for word in ("uuid", "name"))
    if kernel_uuid is not None:
        yield "" if kernel_uuid.lower() == uuid.lower() else f"kernel_uuid {kernel_uuid}"
    if kernel_name is not None and name is not None:
        yield "" if plain_name(kernel_name) == plain_name(name) else f"kernel_name {kernel_name}"
    yield from _ids(view, uuid)
    yield from _window(view, uuid)
    yield from _present(view, uuid, shown)


def _ids(view: LatestReadings, uuid: str) -> Iterator[str]:
    vendor, board = (
        _of_function(view, uuid, f"subsystem_{part}_id") for part in ("vendor", "device")
    )
    shown = {
        "pci_device_id": _pair(NVIDIA, _of_function(view, uuid, "device_id")),
        "pci_subsystem_id": _pair(vendor, board),
    }
    for reading, on_the_bus in shown.items():
        told = view.text(uuid, reading)
        if on_the_bus is not None and told not in (None, NO_BOARD):
            yield "" if told == on_the_bus else f"{reading} {on_the_bus} on the bus"


def _pair(vendor: object, device: object) -> str | None:
    """As the readings have it; sysfs writes 0x before each."""
    if not isinstance(vendor, str) or not isinstance(device, str):
        return None
    return f"{vendor.removeprefix('0x')}:{device.removeprefix('0x')}"


def _window(view: LatestReadings, uuid: str) -> Iterator[str]:
    """NVML's BAR1 is the largest region on the bus, less what a driver may keep of it."""
    card, bar1 = known_card(view, uuid), view.value(uuid, "bar1_total_bytes")
    largest = _of_function(view, uuid, "bar_largest_bytes")
    if card is None or card.form_factor == SUPERCHIP:
        return
    if isinstance(bar1, int) and isinstance(largest, int):
        yield "" if bar1 <= largest <= 2 * bar1 else f"a window of {largest} bytes on the bus"


def _present(view: LatestReadings, uuid: str, shown: int) -> Iterator[str]:
    """Where the bus is shown, and shows fewer GPUs than NVML: as many at other addresses are what a guest may see.

    No GPU and no module either is what a machine shows whose cards are reached in another way than over its bus.
    """
    count, address = fact(view.host, ON_THE_BUS), _address(view, uuid)
    if address is None or not isinstance(count, int) or count >= shown:
        return
    if count == 0 and not any(_module_versions(view)):
        return
    there = _of_function(view, uuid, "device_id") is not None
    yield "" if there else f"nothing on the bus at {address}"


def _of_function(view: LatestReadings, uuid: str, name: str) -> object:
    address = _address(view, uuid)
    return None if address is None else view.host.readings.get(f"pci.{address}.{name}")


def _address(view: LatestReadings, uuid: str) -> str | None:
    told = view.text(uuid, "pci_bus_id")
    return kernel_address(told) if told else None


SOURCES_DISAGREE = Check(
    code="sources_disagree",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=agree,
    blind=Severity.WARNING,
    level="E1",
)
"""A warning: what stands between a guest and its card may show either another way."""
