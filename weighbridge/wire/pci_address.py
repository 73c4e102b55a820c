"""The spellings of a PCI address, so that NVML's and the kernel's can be compared."""

import re

_ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})(?:\.[0-9a-f])?")


def normal_address(text: str) -> str | None:
    """`00000000:3B:00.0` and `0000:3b:00` -> `0000:3b:00`: the domain has 4 to 8 digits, functions share a card.

    None for what is no address.
    """
    found = _ADDRESS.fullmatch(text.lower())
    return None if found is None else f"{int(found[1], 16):04x}:{found[2]}:{found[3]}"


def kernel_address(text: str) -> str:
    """As sysfs and procfs name it: NVML writes eight digits of the domain, the kernel four or as many as it takes."""
    domain, _, place = text.lower().partition(":")
    return f"{domain.lstrip('0').rjust(4, '0')}:{place}"
