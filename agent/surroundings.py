"""The environment that a child of the agent starts with: what would bend what it sees is kept from it, and named.

With NVML_MPS_DEVICE_ENUMERATION one card counts as several, with CUDA_VISIBLE_DEVICES none is there, and with
LD_PRELOAD or LD_AUDIT another library answers. LD_LIBRARY_PATH stays: in a container it leads to the driver, and the
file that it led to is measured.
"""

from collections.abc import Mapping

BENDING = ("CUDA_", "LD_", "NVML_", "__NVML_")
STAYS = ("LD_LIBRARY_PATH",)
TOOLKIT = ("CUDA_HOME", "CUDA_PATH")
"""Where CUDA's libraries lie: whoever computes needs them."""


def kept_away(environment: Mapping[str, str], stays: tuple[str, ...] = ()) -> list[str]:
    """The names, sorted, of what a child does not get. Values are nobody's business."""
    allowed = STAYS + stays
    return sorted(name for name in environment if name.startswith(BENDING) and name not in allowed)


def for_child(environment: Mapping[str, str], stays: tuple[str, ...] = ()) -> dict[str, str]:
    """The rest."""
    away = kept_away(environment, stays)
    return {name: value for name, value in environment.items() if name not in away}
