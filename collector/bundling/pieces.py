"""The log of a bundle as it is written: which ticks stay, and lines gathered to members of some megabytes."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import zstandard

from weighbridge.bundle.archive import ArchiveWriter
from weighbridge.bundle.description import log_name
from weighbridge.bundle.pruned import Pruner
from weighbridge.log.merkle import leaf_hash

PIECE_BYTES = 4 << 20
LEVEL = 9


@dataclass(slots=True)
class Pieces:
    """Kept entries and those that are left out, in the log's order. `flush` it at the end."""

    archive: ArchiveWriter
    _pruner: Pruner = field(default_factory=Pruner)
    _first: int = 0
    _lines: list[bytes] = field(default_factory=list)
    _bytes: int = 0

    def keep(self, leaf: bytes) -> None:
        self._take(self._pruner.keep(leaf))
        if self._bytes >= PIECE_BYTES:
            self.flush()

    def leave_out(self, leaf: bytes) -> None:
        """By its leaf hash."""
        self._pruner.leave_out(leaf)

    def cut(self) -> None:
        """The root of the log up to here is to be known to whoever reads it."""
        self._take(self._pruner.cut())

    def flush(self) -> None:
        """Everything so far is in the archive."""
        self.cut()
        if self._lines:
            data = zstandard.ZstdCompressor(level=LEVEL).compress(b"".join(self._lines))
            self.archive.add(log_name(self._first), data)
        self._first, self._bytes = self._pruner.size, 0
        self._lines.clear()

    def _take(self, lines: Iterator[bytes]) -> None:
        for line in lines:
            self._lines.append(line + b"\n")
            self._bytes += len(line) + 1


@dataclass(slots=True)
class Thinned:
    """Passes entries on to the pieces, and of ticks those without which the folds would say otherwise.

    A tick stays where a kept entry follows it before the next tick, where it decides something, where it ends a stall
    of the collector, or where without it the next one would look as if it did.
    """

    pieces: Pieces
    stall_us: int
    _kept_us: int | None = None
    _newest_us: int = 0
    _pending: bytes | None = None
    _behind: list[bytes] = field(default_factory=list)

    def tick(self, leaf: bytes, now_us: int, decides: bool) -> None:
        """The next tick. What became of the last one is known by now."""
        kept_us = self._kept_us
        stalled = kept_us is not None and now_us - self._newest_us > self.stall_us
        self._settle(keep=kept_us is not None and now_us - kept_us > self.stall_us)
        self._pending, self._newest_us = leaf, now_us
        if decides or stalled:
            self._settle(keep=True)

    def keep(self, leaf: bytes) -> None:
        """An entry that stays, and the tick at which it was received with it."""
        self._settle(keep=True)
        self.pieces.keep(leaf)

    def leave_out(self, leaf: bytes) -> None:
        """Any other entry, by its leaf hash."""
        if self._pending is None:
            self.pieces.leave_out(leaf)
        else:
            self._behind.append(leaf)

    def cut(self) -> None:
        """The root of the log up to here is to be known."""
        self._settle(keep=True)
        self.pieces.cut()

    def _settle(self, *, keep: bool) -> None:
        if self._pending is not None and keep:
            self.pieces.keep(self._pending)
            self._kept_us = self._newest_us
        elif self._pending is not None:
            self.pieces.leave_out(leaf_hash(self._pending))
        for leaf in self._behind:
            self.pieces.leave_out(leaf)
        self._pending = None
        self._behind.clear()
