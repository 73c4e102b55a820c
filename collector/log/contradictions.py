"""What agents were shown, held against this log: heads that it never was at are entered, for everybody to see.

An agent's word alone is entered once while this process lives, and a head that this log signed, which is proof, too.
"""

from collections.abc import Iterator
from functools import lru_cache

from collector.storage.store import CorruptStore, EvidenceLog
from weighbridge.log.entries import Contradiction
from weighbridge.log.merkle import root_at
from weighbridge.log.succession import LogKeys
from weighbridge.log.witnessing import read_evidence
from weighbridge.wire.report import EventKind, Report, SeenHead

ACCUSING = frozenset({EventKind.LOG_FORKED, EventKind.LOG_SHRANK})
ROOTS_KEPT = 4096


class Contradictions:
    """Of the log of this origin, whose keys are `keys`."""

    def __init__(self, log: EvidenceLog, keys: LogKeys, origin: str) -> None:
        self._log, self._keys, self._origin = log, keys, origin
        self._root = lru_cache(ROOTS_KEPT)(lambda size: root_at(size, log.proven()))
        self._said: set[tuple[str, bool]] = set()

    def found(self, key_id: str, report: Report) -> Iterator[Contradiction]:
        """Those in a report of this key that were not said before."""
        for seen, proven in self._named(report):
            try:
                ours = self._root(seen.size).hex() if seen.size <= self._log.size else None
            except CorruptStore:
                continue  # A tree that is damaged here contradicts nobody.
            if ours != seen.root and (key_id, proven) not in self._said:
                self._said.add((key_id, proven))
                yield Contradiction(
                    key_id=key_id,
                    node=report.node,
                    size=seen.size,
                    root=seen.root,
                    ours=ours,
                    proven=proven,
                )

    def _named(self, report: Report) -> Iterator[tuple[SeenHead, bool]]:
        """Heads that a report names, and whether it holds this log's signature of them."""
        if isinstance(report.seen, SeenHead):
            yield report.seen, False
        for event in report.events:
            if event.kind in ACCUSING:
                for head in read_evidence(event.detail, self._origin, self._keys):
                    yield SeenHead(root=head.root.hex(), size=head.size), True
