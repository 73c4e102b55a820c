"""A root over many small leaves, and openings of one of them.

Leaves are hashed in groups: of 128 for the rows of a product, of 1024 for the many blocks of a pass, where a prover
hashes between two passes and every call counts. While more than 256 hashes are left they are hashed again in groups of
256; the rest go into the root. So there are two levels for a product, and three for a large pass. The rows of linked
rounds, of which a sample opens several, are grouped by 64 and then by 16. Each hash holds its level and place, so
nothing can be moved.
"""

from typing import NamedTuple

from weighbridge.challenge.hashing import HASH_BYTES, fields_hash, number


class Grouping(NamedTuple):
    """Leaves that are hashed together, and hashes; so many of these are left under the root, or fewer."""

    leaves: int
    nodes: int


ROWS = Grouping(128, 256)
LINKED_ROWS = Grouping(64, 16)
BLOCKS = Grouping(1024, 256)


class BadOpening(ValueError):
    """Bytes that do not open the committed root at this place."""


def commit(leaves: bytes, width: int, group: Grouping = ROWS) -> bytes:
    """The root (32 bytes) over leaves of `width` bytes each."""
    return _root(len(leaves) // width, _levels(leaves, width, group)[-1])


def open_leaf(leaves: bytes, width: int, index: int, group: Grouping = ROWS) -> bytes:
    """The leaf's group, the group of that group's hash, and so on up to the list under the root."""
    place = index // group.leaves
    parts = [_slice(leaves, width * group.leaves, place)]
    levels = _levels(leaves, width, group)
    for level in levels[:-1]:
        place //= group.nodes
        parts.append(_slice(level, HASH_BYTES * group.nodes, place))
    return b"".join((*parts, levels[-1]))


def opening_bytes(count: int, width: int, index: int, group: Grouping = ROWS) -> int:
    """The length of the opening of leaf `index` of `count`."""
    return sum(_part_bytes(count, width, index, group))


def opened_leaf(
    root: bytes, count: int, width: int, index: int, opening: bytes, group: Grouping = ROWS
) -> bytes:
    """The leaf that the root holds at `index`. Raises BadOpening."""
    sizes = _part_bytes(count, width, index, group)
    if len(opening) != sum(sizes):
        raise BadOpening("wrong length")
    parts = _split(opening, sizes)
    place = index // group.leaves
    carried = fields_hash("leaves", number(place), parts[0])
    for height, part in enumerate(parts[1:-1], start=1):
        _require_at(part, place % group.nodes, carried)
        place //= group.nodes
        carried = fields_hash("nodes", number(height), number(place), part)
    _require_at(parts[-1], place, carried)
    if _root(count, parts[-1]) != root:
        raise BadOpening("not under the root")
    return _slice(parts[0], width, index % group.leaves)


def _slice(data: bytes, width: int, index: int) -> bytes:
    return data[width * index : width * (index + 1)]


def _root(count: int, top: bytes) -> bytes:
    return fields_hash("root", number(count), top)


def _levels(leaves: bytes, width: int, group: Grouping) -> list[bytes]:
    step = width * group.leaves
    levels = [
        b"".join(
            fields_hash("leaves", number(place), leaves[start : start + step])
            for place, start in enumerate(range(0, len(leaves), step))
        )
    ]
    step = HASH_BYTES * group.nodes
    while len(levels[-1]) > step:
        below, height = levels[-1], number(len(levels))
        levels.append(
            b"".join(
                fields_hash("nodes", height, number(place), below[start : start + step])
                for place, start in enumerate(range(0, len(below), step))
            )
        )
    return levels


def _part_bytes(count: int, width: int, index: int, group: Grouping) -> list[int]:
    place, left = index // group.leaves, -(-count // group.leaves)
    sizes = [width * _members(count, group.leaves, place)]
    while left > group.nodes:
        place //= group.nodes
        sizes.append(HASH_BYTES * _members(left, group.nodes, place))
        left = -(-left // group.nodes)
    return [*sizes, HASH_BYTES * left]


def _members(count: int, together: int, place: int) -> int:
    return min(together, count - together * place)


def _split(data: bytes, sizes: list[int]) -> list[bytes]:
    parts, start = [], 0
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    return parts


def _require_at(hashes: bytes, place: int, expected: bytes) -> None:
    if _slice(hashes, HASH_BYTES, place) != expected:
        raise BadOpening("a group is not under the next level")
