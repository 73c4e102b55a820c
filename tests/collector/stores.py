"""A store of each kind, and what tests put into one."""

import itertools
from abc import ABC, abstractmethod
from pathlib import Path

from collector.storage.embedded import open_embedded
from collector.storage.store import Store, StoreInfo
from collector.storage.stores import create_store, open_store
from weighbridge.log.checkpoint import sign_head
from weighbridge.log.entries import EntryKind, Tick, payload_type
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer, generate_private_key

INFO = StoreInfo("weighbridge/test")
SIGNER = Signer(generate_private_key())
SHARDS = itertools.count()


def tick(wall_us: int) -> bytes:
    return SIGNER.seal(payload_type(EntryKind.TICK), encode(Tick(wall_us=wall_us)))


def hand_out(store: Store) -> None:
    """As a commit does before it answers."""
    log = store.log
    log.hand_out(sign_head(store.info.origin, log.size, log.root(), SIGNER))


class Kind(ABC):
    """One new store of a kind, opened and closed at will; every one of them is closed at the end."""

    def __init__(self) -> None:
        self._opened: list[Store] = []

    @abstractmethod
    def _open(self) -> Store: ...

    def open(self) -> Store:
        """Once more beside those that are open."""
        self._opened.append(self._open())
        return self._opened[-1]

    def reopen(self) -> Store:
        """The only one that is open."""
        self.close()
        return self.open()

    def close(self) -> None:
        while self._opened:
            self._opened.pop().close()


class Embedded(Kind):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        create_store(f"embedded:{directory}", INFO, SIGNER)

    def _open(self) -> Store:
        return open_embedded(self._directory, segment_bytes=4096)


class Postgres(Kind):
    """A shard of its own in a server."""

    def __init__(self, server: str, standbys: int = 0) -> None:
        """`server`: its address, which may change from one opening to the next."""
        super().__init__()
        self.server, self.standbys, self.shard = server, standbys, f"t{next(SHARDS)}"
        create_store(self.url, INFO, SIGNER)

    @property
    def url(self) -> str:
        return f"{self.server}&standbys={self.standbys}&shard={self.shard}"

    def _open(self) -> Store:
        return open_store(self.url)
