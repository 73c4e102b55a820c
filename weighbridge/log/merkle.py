"""The Merkle tree over the log's leaves: RFC 6962, RFC 9162 section 2.1. Hashes, proofs, and their verification."""

import hashlib
from collections.abc import Callable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
Node = Callable[[int, int], bytes]
"""(level, index) -> hash of the complete subtree of 2**level leaves that starts at leaf index * 2**level."""


def leaf_hash(leaf: bytes) -> bytes:
    """RFC 9162 2.1.1: the hash of a leaf's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 2.1.1: the hash over two subtrees."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The complete subtrees that make up a log of `size` leaves: enough to append and to know the root."""

    def __init__(self, size: int = 0, node: Node | None = None) -> None:
        """Of an existing log of `size` leaves, whose subtree hashes `node` knows."""
        self.size = size
        spans = _complete_subtrees(0, size)
        self._peaks = [node(level, index) for level, index in spans] if node is not None else []

    def append(self, leaf: bytes, level: int = 0) -> list[tuple[int, int, bytes]]:
        """Add a leaf hash; return every subtree (level, index, hash) that it completes, the leaf first.

        `level`: add the hash of a complete subtree of 2**level leaves in their stead. Raises ValueError where none
        begins at this size.
        """
        if self.size & ((1 << level) - 1):
            raise ValueError(f"no subtree of level {level} begins at leaf {self.size}")
        index, subtree, grown = self.size >> level, leaf, 1 << level
        completed = [(level, index, leaf)]
        while index & 1:
            level, index, subtree = level + 1, index >> 1, node_hash(self._peaks.pop(), subtree)
            completed.append((level, index, subtree))
        self._peaks.append(subtree)
        self.size += grown
        return completed

    def peaks(self) -> dict[tuple[int, int], bytes]:
        """The hashes of the complete subtrees that make up the log so far, by (level, index)."""
        return dict(zip(_complete_subtrees(0, self.size), self._peaks, strict=True))

    def root(self) -> bytes:
        """The Merkle tree hash of the log so far."""
        return _join(self._peaks) if self._peaks else EMPTY_ROOT


class DamagedTree(ValueError):
    """A subtree's hash is not what the root needs. The message names it."""


class ProvenTree:
    """The subtrees of a log of `size` leaves whose root is known, each proven from that root before it is given."""

    def __init__(self, size: int, root: bytes, node: Node) -> None:
        """Raises DamagedTree."""
        self._size, self._node = size, node
        frontier = Frontier(size, self._stored)
        if frontier.root() != root:
            raise DamagedTree(f"the subtrees at the right edge do not make up the root over {size}")
        self._known = frontier.peaks()

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree. Raises DamagedTree, and ValueError where there is no such subtree."""
        if (index + 1) << level > self._size:
            raise ValueError(f"no complete subtree at level {level}, index {index}")
        if (level, index) not in self._known:
            self._prove(level, index & ~1)
        return self._known[level, index]

    def _stored(self, level: int, index: int) -> bytes:
        try:
            return self._node(level, index)
        except ValueError as error:
            raise DamagedTree(str(error)) from error

    def _prove(self, level: int, left: int) -> None:
        """Two neighbours, by the subtree that they make up."""
        parent = self.node(level + 1, left >> 1)
        pair = self._stored(level, left), self._stored(level, left + 1)
        if node_hash(*pair) != parent:
            place = f"level {level}, index {left} or {left + 1}"
            raise DamagedTree(f"the hash at {place} is not the one under the root")
        self._known[level, left], self._known[level, left + 1] = pair


def _complete_subtrees(start: int, end: int) -> list[tuple[int, int]]:
    """[start, end) as complete subtrees (level, index) from left to right; start must be aligned to end - start."""
    spans = []
    while start < end:
        level = min(
            (end - start).bit_length() - 1, (start & -start).bit_length() - 1 if start else 64
        )
        spans.append((level, start >> level))
        start += 1 << level
    return spans


def _join(subtrees: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that shrink from left to right."""
    root = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        root = node_hash(left, root)
    return root


def stored_position(level: int, index: int) -> int:
    """Where a complete subtree's hash lies in a file that lists hashes in the order `Frontier.append` returns them."""
    last_leaf = ((index + 1) << level) - 1
    # Before the hashes that leaf n completes lie n leaves and the n - popcount(n) inner nodes over them.
    return 2 * last_leaf - last_leaf.bit_count() + level


def _subtree(start: int, end: int, node: Node) -> bytes:
    return _join([node(level, index) for level, index in _complete_subtrees(start, end)])


def root_at(size: int, node: Node) -> bytes:
    """The Merkle tree hash over the first `size` leaves of a log that has at least as many."""
    return _subtree(0, size, node) if size else EMPTY_ROOT


def _split(size: int) -> int:
    """The largest power of two smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.3.1. Raises ValueError unless 0 <= index < size."""
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not in a log of {size}")
    path = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old_size: int, size: int, node: Node) -> list[bytes]:
    """RFC 9162 2.1.4.1. Raises ValueError unless 0 < old_size <= size."""
    if not 0 < old_size <= size:
        raise ValueError(f"no proof leads from size {old_size} to size {size}")
    path = []
    start, end = 0, size
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            path.append(_subtree(middle, end, node))
            end = middle
        else:
            path.append(_subtree(start, middle, node))
            start = middle
    if start > 0:
        path.append(_subtree(start, end, node))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162 2.1.3.2. `leaf` is the leaf's hash."""
    if not 0 <= index < size:
        return False
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(
    old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162 2.1.4.2."""
    if not 0 < old_size <= size:
        return False
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    return bool(path) and _consistent(old_size, size, old_root, root, path)


def _consistent(
    old_size: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]
) -> bool:
    position, last = old_size - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old_computed = computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old_computed = node_hash(sibling, old_computed)
            computed = node_hash(sibling, computed)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old_computed == old_root and computed == root
