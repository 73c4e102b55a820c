"""What the numbers of a GPU operational event mean, where that is known: a preview, that may change with each driver.

Source: nvml.h of R615 (severities, attributes); NVIDIA, GPU Operational Event Catalog, R615 and R620 (categories):
https://docs.nvidia.com/deploy/gpu-operational-events/latest/event-catalog.html
"""

from collections.abc import Mapping
from types import MappingProxyType

FATAL = 40
MINOR = (10, 20)
"""Informational, and corrected."""

SEVERITIES: Mapping[int, str] = MappingProxyType(
    {10: "informational", 20: "corrected", 30: "recoverable", FATAL: "fatal"}
)
CATEGORIES: Mapping[int, str] = MappingProxyType(
    {
        1: "timeout",
        2: "memory integrity error",
        3: "interconnect error",
        4: "corruption detected",
        5: "security error",
    }
)
ATTRIBUTES: Mapping[int, str] = MappingProxyType(
    {
        1: "uncontained",
        2: "latent",
        4: "propagated",
        8: "component reset",
        16: "threshold exceeded",
        32: "primary",
        64: "events before it were dropped",
    }
)
GROUP_ATTRIBUTES: Mapping[int, str] = MappingProxyType(
    {1: "recovered", 2: "before this boot", 4: "simulated"}
)


def numbered(words: Mapping[int, str], kind: str, number: int) -> str:
    """The word and the number; of a number that has none, what kind it is of."""
    word = words.get(number)
    return f"{kind} {number}" if word is None else f"{word} ({kind} {number})"
