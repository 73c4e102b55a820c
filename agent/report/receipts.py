"""The receipts, kept as proof of what the collector acknowledged: a JSON line per batch, in two bounded files.

Losing them costs nothing but proof in the agent's own hands, so a disk that refuses is logged and sending goes on.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weighbridge.log.checkpoint import seen_head
from weighbridge.wire.report import SeenHead

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receipted:
    """One acknowledged report: its number in the chain, and where it lies in the log."""

    seq: int
    index: int
    leaf_hash: str
    received_us: int


class ReceiptFile:
    """Appends to `path`; when half of `most_bytes` is reached the file becomes `path`.1, and that one goes."""

    def __init__(self, path: Path, most_bytes: int) -> None:
        self._path, self._most_bytes = path, most_bytes
        self.head: str | None = self._newest_head()
        """The newest head that came with a receipt."""

    @property
    def seen(self) -> SeenHead | None:
        """That head as the next report names it."""
        return None if self.head is None else seen_head(self.head)

    def keep(self, chain: str, rows: Sequence[Receipted], head: str) -> None:
        """Note receipts that were verified, and the head that covers them."""
        self.head = head
        record = {
            "chain": chain,
            "head": head,
            "receipts": [[row.seq, row.index, row.leaf_hash, row.received_us] for row in rows],
        }
        try:
            self._rotate()
            with self._path.open("a") as file:
                file.write(json.dumps(record, separators=(",", ":")) + "\n")
        except OSError as error:
            log.error("receipts up to report %d are not kept: %s", rows[-1].seq, error.strerror)

    def _rotate(self) -> None:
        if self._path.exists() and self._path.stat().st_size >= self._most_bytes // 2:
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    def _newest_head(self) -> str | None:
        """The head in the file's last whole line."""
        for path in (self._path, self._path.with_name(self._path.name + ".1")):
            for line in reversed(_tail(path)):
                try:
                    note = str(json.loads(line)["head"])
                    seen_head(note)
                    return note
                except (ValueError, KeyError, TypeError):
                    continue
        return None


def _tail(path: Path) -> list[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - (1 << 20)))
            return file.read().splitlines()
    except OSError:
        return []
