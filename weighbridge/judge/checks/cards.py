"""What one card shows, as several checks read it: which card it is, of which form, and how much memory it has."""

from weighbridge.catalogue.tables import Sku, sku_by_pci
from weighbridge.judge.latest_readings import LatestReadings

MODE = "virtualization_mode_code"
BARE, PASSTHROUGH, VGPU, HOST_VGPU, HOST_VSGA = range(5)
"""NVML_GPU_VIRTUALIZATION_MODE_*. A host that offers shares of its cards is the metal that they run on."""


def is_vgpu(view: LatestReadings, device: str) -> bool:
    """A share of a card: it has a name, a memory and limits of its own."""
    return view.value(device, MODE) == VGPU


def known_card(view: LatestReadings, device: str) -> Sku | None:
    """The card by its ids on the bus; None of a share of one, and of what no row knows."""
    board, subsystem = view.text(device, "pci_device_id"), view.text(device, "pci_subsystem_id")
    if board is None or is_vgpu(view, device):
        return None
    memory = view.value(device, "memory_total_bytes")
    return sku_by_pci(board, subsystem, memory if isinstance(memory, int) else None)


def whole_memory(view: LatestReadings, device: str) -> int | None:
    """The memory of a card; None of a slice or a share, and where the driver does not tell."""
    shown, memory = view.devices.get(device), view.value(device, "memory_total_bytes")
    whole = shown is not None and shown.parent is None and not is_vgpu(view, device)
    return memory if whole and isinstance(memory, int) else None


def plain_name(name: str) -> str:
    """Drivers before R470 leave the maker out."""
    return name.removeprefix("NVIDIA ")
