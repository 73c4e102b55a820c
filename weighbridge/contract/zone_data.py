"""Time zones by the pinned package tzdata alone: the one door to it.

`zoneinfo` by itself reads the system's folder first, whose data may be older, and of another version on each machine.
"""

from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import tzdata

ZONE_DATA: str = tzdata.IANA_VERSION
"""The version of the zone data, such as `2026f`."""


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """The names of all zones and of their links."""
    return frozenset(files(tzdata).joinpath("zones").read_text("ascii").split())


@lru_cache(maxsize=1024)
def time_zone(name: str) -> ZoneInfo:
    """The zone of this name. Raises LookupError for a name that the data do not have."""
    if name not in zone_names():
        raise LookupError(f"{name} is not in the zone data {ZONE_DATA}")
    with files(tzdata).joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)
