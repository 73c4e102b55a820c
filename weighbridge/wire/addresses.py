"""Which GPU is at which PCI address."""

from collections.abc import Iterable

from weighbridge.wire.pci_address import normal_address
from weighbridge.wire.report import Device, Facts


def address_of(identity: Facts) -> str | None:
    """Where a driver says that a device is; None where it says nothing that is an address."""
    return normal_address(str(identity.readings.get("pci_bus_id")))


def gpus_by_address(devices: Iterable[Device]) -> dict[str, str]:
    """UUIDs; none where two are at one address: what is told of it is told of neither."""
    found: dict[str, str] = {}
    for device in devices:
        address = address_of(device.identity)
        if address is not None and device.parent is None:
            found[address] = "" if address in found else device.uuid
    return {address: uuid for address, uuid in found.items() if uuid}
