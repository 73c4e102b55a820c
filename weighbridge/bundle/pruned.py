"""A log of which some entries are kept and the rest are proven to be there by hash: lines of text, in the log's order.

A line is the bytes of an entry (a DSSE envelope in its one spelling, which begins with `{`), or `LEVEL HASH`: a
complete subtree of 2**LEVEL entries that were left out. Whoever reads the lines works out the root of the whole log,
and so knows of every kept entry its place, and that nothing else stands between two of them.
"""

import re
from collections.abc import Iterator

from weighbridge.log.merkle import Frontier, leaf_hash, node_hash

MOST_LEVEL = 62
_LEFT_OUT = re.compile(rb"(0|[1-9][0-9]?) ([0-9a-f]{64})")


class PrunedError(ValueError):
    """A line is none of a pruned log. The message says which entry was due."""


class Pruner:
    """Takes the entries of a log in order and gives the lines. Between two lines it holds a logarithm of hashes."""

    def __init__(self) -> None:
        self.size = 0
        self._left_out: list[tuple[int, bytes]] = []

    def leave_out(self, leaf: bytes) -> None:
        """The next entry by its leaf hash alone."""
        level, subtree, index = 0, leaf, self.size
        while index & 1 and self._left_out and self._left_out[-1][0] == level:
            subtree = node_hash(self._left_out.pop()[1], subtree)
            level, index = level + 1, index >> 1
        self._left_out.append((level, subtree))
        self.size += 1

    def keep(self, leaf: bytes) -> Iterator[bytes]:
        """The next entry as it is, behind what was left out before it."""
        yield from self.cut()
        yield leaf
        self.size += 1

    def cut(self) -> Iterator[bytes]:
        """What was left out so far. Called at a size, it lets the reader know the root of that size."""
        for level, subtree in self._left_out:
            yield f"{level} {subtree.hex()}".encode()
        self._left_out.clear()


class PrunedReader:
    """Takes the lines and gives the entries that were kept. `size`: of the log so far."""

    def __init__(self) -> None:
        self._frontier = Frontier()

    @property
    def size(self) -> int:
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """Of the log so far."""
        return self._frontier.root()

    def take(self, line: bytes) -> tuple[int, bytes] | None:
        """Index and bytes of a kept entry; None for entries that were left out. Raises PrunedError."""
        if line.startswith(b"{"):
            self._frontier.append(leaf_hash(line))
            return self.size - 1, line
        said = _LEFT_OUT.fullmatch(line)
        if said is None or int(said[1]) > MOST_LEVEL:
            raise PrunedError(f"entry {self.size}: neither an entry nor the hash of some")
        try:
            self._frontier.append(bytes.fromhex(said[2].decode()), int(said[1]))
        except ValueError as error:
            raise PrunedError(f"entry {self.size}: {error}") from error
        return None
