"""What RFC 9162 says of a tree of leaves, word for word: slow, and nothing of the project's."""

import hashlib
from collections.abc import Sequence


def recursive_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = recursive_root(leaves[:split]), recursive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def recursive_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 9162 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*recursive_path(index, leaves[:split]), recursive_root(leaves[split:])]
    return [*recursive_path(index - split, leaves[split:]), recursive_root(leaves[:split])]


def recursive_subproof(size: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    """RFC 9162 2.1.4.1, word for word."""
    if size == len(leaves):
        return [] if whole else [recursive_root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if size <= split:
        inner = recursive_subproof(size, leaves[:split], whole=whole)
        return [*inner, recursive_root(leaves[split:])]
    inner = recursive_subproof(size - split, leaves[split:], whole=False)
    return [*inner, recursive_root(leaves[:split])]
