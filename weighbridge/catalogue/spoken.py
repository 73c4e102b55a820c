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
_LIMITERS = (
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
LIMITERS: Mapping[int, str] = MappingProxyType(
    {1 << place: word for place, word in enumerate(_LIMITERS)}
)


def recovery_action(code: int) -> str:
    """By name; one that this version does not know by its number."""
    known = 0 <= code < len(RECOVERY_ACTIONS)
    return RECOVERY_ACTIONS[code] if known else f"action {code}"


def limiters(mask: int) -> str:
    """What holds the clocks down."""
    return ", ".join(flags(LIMITERS, mask)) or "none"


def flags(words: Mapping[int, str], mask: int) -> Iterator[str]:
    """Of each bit that is set the word, or its value."""
    for place in range(mask.bit_length()):
        bit = mask & 1 << place
        if bit:
            yield words.get(bit, f"bit {bit:#x}")


_SPOKEN: Mapping[str, Callable[[int], str]] = MappingProxyType(
    {"recovery_action_code": recovery_action, "clocks_event_reasons_flags": limiters}
)


def spoken(name: str, value: int | str) -> str:
    """A value as a page shows it: with its name behind it, where it has one."""
    says = _SPOKEN.get(name)
    if says is None or not isinstance(value, int):
        return str(value)
    return f"{value} ({says(value).replace('_', ' ')})"
