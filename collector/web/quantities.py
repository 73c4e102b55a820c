"""Readings as people write them: in the units that they know, to three places or so."""

import math
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

_BINARY = (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1))
_SPELLED: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType(
    {
        "bytes": _BINARY,
        "celsius": (("°C", 1),),
        "kibibytes": tuple((name, size >> 10) for name, size in _BINARY[:3]),
        "megahertz": (("MHz", 1),),
        "microseconds": (("h", 3_600_000_000), ("s", 1_000_000), ("ms", 1000), ("µs", 1)),
        "millijoules": (("kWh", 3_600_000_000), ("kJ", 1_000_000), ("J", 1000)),
        "milliseconds": (("s", 1000), ("ms", 1)),
        "milliwatts": (("W", 1000),),
        "percent": (("%", 1),),
        "permyriad": (("%", 100),),
        "watts": (("W", 1),),
    }
)
"""Of each unit of the catalogue what people call it, and how many of it are one of theirs, the largest first."""


def scale(unit: str, most: int) -> tuple[str, int]:
    """What values up to `most` of a unit are told in, and how many of the unit make one; ("", 1) for a bare number."""
    known = _SPELLED.get(unit, (("", 1),))
    return next((one for one in known if abs(most) >= one[1]), known[-1])


def quantity(value: int, unit: str) -> str:
    """`699.5 W`, `79.6 GiB`, `1,980 MHz`, `3`."""
    name, size = scale(unit, value)
    return f"{number(Fraction(value, size))} {name}".rstrip()


def number(value: Fraction) -> str:
    """With its thousands apart; of a fraction three digits, and one place after the point at the least."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    places = max(2 - math.floor(math.log10(abs(value))), 1)
    return f"{float(value):,.{places}f}".rstrip("0").rstrip(".")
