"""What every log does in the same way with its leaves and its hashes."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from collector.storage.store import CorruptStore
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import Entry, entry
from weighbridge.log.merkle import DamagedTree, Node, ProvenTree

logger = logging.getLogger("weighbridge.storage")


def entries(leaves: Iterable[bytes], start: int) -> Iterator[Entry]:
    """Of leaves from an index on. Raises CorruptStore."""
    for index, leaf in enumerate(leaves, start):
        try:
            yield entry(index, leaf)
        except ValueError as error:
            raise CorruptStore(f"entry {index} is no entry: {error}") from error


class ReadLog(ABC):
    """`read`, `proven` and `damage` of an `EvidenceLog`."""

    _damage: str | None = None

    @abstractmethod
    def leaves(self, start: int, limit: int) -> Iterator[bytes]: ...

    @abstractmethod
    def node(self, level: int, index: int) -> bytes: ...

    @property
    @abstractmethod
    def handed_out(self) -> Head | None: ...

    @abstractmethod
    def _said(self, error: DamagedTree) -> str:
        """Where the hash lies that is damaged, and what to do."""

    def read(self, start: int, limit: int) -> Iterator[Entry]:
        return entries(self.leaves(start, limit), start)

    @property
    def damage(self) -> str | None:
        return self._damage

    def proven(self) -> Node:
        head = self.handed_out
        if head is None:
            return self.node
        try:
            tree = ProvenTree(head.size, head.root, self.node)
        except DamagedTree as error:
            raise self._damaged(error) from error

        def node(level: int, index: int) -> bytes:
            try:
                return tree.node(level, index)
            except DamagedTree as error:
                raise self._damaged(error) from error

        return node

    def _damaged(self, error: DamagedTree) -> CorruptStore:
        """Once in the journal."""
        said = self._said(error)
        if said != self._damage:
            logger.error("%s", said)
        self._damage = said
        return CorruptStore(said)
