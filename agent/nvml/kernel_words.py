"""What the kernel module tells of a GPU past NVML, in procfs: a second source of its identity.

Read in the child process alone: reading it may wait for the driver, as any call does.
"""

from collections.abc import Mapping
from pathlib import Path

GPUS = Path("/proc/driver/nvidia/gpus")
MOST_BYTES = 4096


def kernel_words(pci_bus_id: str, gpus: Path = GPUS) -> Mapping[str, str]:
    """The lines of the GPU's `information` by their names. Raises OSError.

    A GPU that the module has not initialized has question marks for a UUID; what the module does not know is Unknown.
    """
    domain, _, place = pci_bus_id.lower().partition(":")
    address = f"{domain.lstrip('0').rjust(4, '0')}:{place}"
    with (gpus / address / "information").open(errors="replace") as file:
        lines = file.read(MOST_BYTES).splitlines()
    pairs = (line.partition(":") for line in lines)
    words = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: value for name, value in words.items() if "?" not in value and value != "Unknown"}
