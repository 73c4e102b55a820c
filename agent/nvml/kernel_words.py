"""What the kernel module tells of a GPU past NVML, in procfs: a second source of its identity.

Read in the child process alone: reading it may wait for the driver, as any call does. Without pathlib, which would
cost that process 0.8 MiB.
"""

import os
from collections.abc import Mapping

from weighbridge.wire.pci_address import kernel_address

GPUS = "/proc/driver/nvidia/gpus"
MOST_BYTES = 4096


def kernel_words(pci_bus_id: str, gpus: str | os.PathLike[str] = GPUS) -> Mapping[str, str]:
    """The lines of the GPU's `information` by their names. Raises OSError.

    A GPU that the module has not initialized has question marks for a UUID; what the module does not know is Unknown.
    """
    path = os.path.join(gpus, kernel_address(pci_bus_id), "information")  # noqa: PTH118
    with open(path, errors="replace") as file:  # noqa: PTH123
        lines = file.read(MOST_BYTES).splitlines()
    pairs = (line.partition(":") for line in lines)
    words = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: value for name, value in words.items() if "?" not in value and value != "Unknown"}
