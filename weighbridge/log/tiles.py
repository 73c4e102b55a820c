"""The log as tiles of 256 hashes and bundles of 256 entries: c2sp.org/tlog-tiles, as monitors and mirrors read it."""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from weighbridge.log.merkle import Node

WIDTH = 256
HEIGHT = 8
MOST_LEVEL = 63
MOST_ENTRY_BYTES = 2**16 - 1
_PATH = re.compile(
    r"(?P<high>(?:x[0-9]{3}/){0,6})(?P<low>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)
_LEVEL = re.compile(r"0|[1-9][0-9]?")


@dataclass(frozen=True, slots=True)
class Tile:
    """The first `width` hashes, or entries, of tile `index` of its level."""

    index: int
    width: int

    @property
    def start(self) -> int:
        return self.index * WIDTH

    @property
    def end(self) -> int:
        return self.start + self.width


def read_level(text: str) -> int:
    """Raises ValueError for anything but the one spelling of a level."""
    if _LEVEL.fullmatch(text) is None or int(text) > MOST_LEVEL:
        raise ValueError(f"{text} is no level of tiles")
    return int(text)


def read_tile(text: str) -> Tile:
    """`x001/x234/067` or `x001/x234/067.p/8`. Raises ValueError for anything but the one spelling of a tile."""
    match = _PATH.fullmatch(text)
    if match is None or match["high"].startswith("x000/"):
        raise ValueError(f"{text} is no tile")
    index = int(match["high"].replace("x", "").replace("/", "") + match["low"])
    width = WIDTH if match["width"] is None else int(match["width"])
    if match["width"] is not None and width >= WIDTH:
        raise ValueError(f"{text}: a tile that is not full has a width of 1 to 255")
    return Tile(index, width)


def hashes(level: int, tile: Tile, size: int, node: Node) -> bytes:
    """The tile of a log of so many entries. Raises ValueError where the log has not come so far."""
    if tile.end > size >> HEIGHT * level:
        raise ValueError("the log has not come so far")
    return b"".join(node(HEIGHT * level, place) for place in range(tile.start, tile.end))


def bundle(leaves: Iterable[bytes]) -> bytes:
    """Entries, each after its length. Raises ValueError for one that is longer than the format has room for."""
    parts = []
    for leaf in leaves:
        if len(leaf) > MOST_ENTRY_BYTES:
            raise ValueError(f"an entry of {len(leaf)} bytes does not fit in a bundle")
        parts += [struct.pack(">H", len(leaf)), leaf]
    return b"".join(parts)
