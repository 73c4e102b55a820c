"""Codes and flags of readings by name, for people: NVML_GPU_RECOVERY_ACTION_* and nvmlClocksEventReason* of nvml.h."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

RECOVERY_ACTIONS = (
    "none",
    "gpu_reset",
    "node_reboot",
    "drain_p2p",
    "drain_and_reset",
    "recover_imex_domain",
    "bus_reset",
    "system_reboot",
)
LIMITERS = (
    "idle",
    "application_clocks",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal",
    "hw_thermal",
    "hw_power_brake",
    "display_clocks",
    "board_limit",
    "reliability",
)
"""By the number of their bits."""


def recovery_action(code: int) -> str:
    """By name; one that this version does not know by its number."""
    known = 0 <= code < len(RECOVERY_ACTIONS)
    return RECOVERY_ACTIONS[code] if known else f"action {code}"


def limiters(flags: int) -> str:
    """What holds the clocks down, a bit that this version does not know by its number."""
    return ", ".join(_bits(flags)) or "none"


def _bits(flags: int) -> Iterator[str]:
    for bit in range(flags.bit_length()):
        if flags >> bit & 1:
            yield LIMITERS[bit] if bit < len(LIMITERS) else f"bit {bit}"


_SPOKEN: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {"recovery_action_code": recovery_action, "clocks_event_reasons_flags": limiters}
)


def spoken(name: str, value: int | str) -> str:
    """A value as a page shows it: with its name behind it, where it has one."""
    says = _SPOKEN.get(name)
    if says is None or not isinstance(value, int):
        return str(value)
    return f"{value} ({says(value).replace('_', ' ')})"
