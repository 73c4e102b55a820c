"""A root over many small leaves, and openings of one of them.

Leaves are hashed in groups: of 128 for the rows of a product, of 1024 for the many blocks of a pass, where a prover
hashes between two passes and every call counts. While more than 256 hashes are left they are hashed again in groups of
256; the rest go into the root. So there are two levels for a product, and three for a large pass. Each hash holds its
level and place, so nothing can be moved.
"""

from weighbridge.challenge.hashing import HASH_BYTES, fields_hash, number

ROW_GROUP = 128
BLOCK_GROUP = 1024
NODE_GROUP = 256


class BadOpening(ValueError):
    """Bytes that do not open the committed root at this place."""


def commit(leaves: bytes, width: int, group: int = ROW_GROUP) -> bytes:
    """The root (32 bytes) over leaves of `width` bytes each."""
    return _root(len(leaves) // width, _levels(leaves, width * group)[-1])


def open_leaf(leaves: bytes, width: int, index: int, group: int = ROW_GROUP) -> bytes:
    """The leaf's group, the group of that group's hash, and so on up to the list under the root."""
    place = index // group
    parts = [_slice(leaves, width * group, place)]
    levels = _levels(leaves, width * group)
    for level in levels[:-1]:
        place //= NODE_GROUP
        parts.append(_slice(level, HASH_BYTES * NODE_GROUP, place))
    return b"".join((*parts, levels[-1]))


def opening_bytes(count: int, width: int, index: int, group: int = ROW_GROUP) -> int:
    """The length of the opening of leaf `index` of `count`."""
    return sum(_part_bytes(count, width, index, group))


def opened_leaf(
    root: bytes, count: int, width: int, index: int, opening: bytes, group: int = ROW_GROUP
) -> bytes:
    """The leaf that the root holds at `index`. Raises BadOpening."""
    sizes = _part_bytes(count, width, index, group)
    if len(opening) != sum(sizes):
        raise BadOpening("wrong length")
    parts = _split(opening, sizes)
    place = index // group
    carried = fields_hash("leaves", number(place), parts[0])
    for height, part in enumerate(parts[1:-1], start=1):
        _require_at(part, place % NODE_GROUP, carried)
        place //= NODE_GROUP
        carried = fields_hash("nodes", number(height), number(place), part)
    _require_at(parts[-1], place, carried)
    if _root(count, parts[-1]) != root:
        raise BadOpening("not under the root")
    return _slice(parts[0], width, index % group)


def _slice(data: bytes, width: int, index: int) -> bytes:
    return data[width * index : width * (index + 1)]


def _root(count: int, top: bytes) -> bytes:
    return fields_hash("root", number(count), top)


def _levels(leaves: bytes, step: int) -> list[bytes]:
    levels = [
        b"".join(
            fields_hash("leaves", number(place), leaves[start : start + step])
            for place, start in enumerate(range(0, len(leaves), step))
        )
    ]
    step = HASH_BYTES * NODE_GROUP
    while len(levels[-1]) > step:
        below, height = levels[-1], number(len(levels))
        levels.append(
            b"".join(
                fields_hash("nodes", height, number(place), below[start : start + step])
                for place, start in enumerate(range(0, len(below), step))
            )
        )
    return levels


def _part_bytes(count: int, width: int, index: int, group: int) -> list[int]:
    place, left = index // group, -(-count // group)
    sizes = [width * _members(count, group, place)]
    while left > NODE_GROUP:
        place //= NODE_GROUP
        sizes.append(HASH_BYTES * _members(left, NODE_GROUP, place))
        left = -(-left // NODE_GROUP)
    return [*sizes, HASH_BYTES * left]


def _members(count: int, group: int, place: int) -> int:
    return min(group, count - group * place)


def _split(data: bytes, sizes: list[int]) -> list[bytes]:
    parts, start = [], 0
    for size in sizes:
        parts.append(data[start : start + size])
        start += size
    return parts


def _require_at(hashes: bytes, place: int, expected: bytes) -> None:
    if _slice(hashes, HASH_BYTES, place) != expected:
        raise BadOpening("a group is not under the next level")
