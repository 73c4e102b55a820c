"""A period settled again from the raw log: every signature checked, every entry judged anew, in a ledger of its own.

The folds are those that run live (`collector.driver`), over the segments as they lie on the disk. The ledger of the
replay is a file, with the folds' states and the place in the log that they have come to: so a replay goes on where it
stopped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from collector.driver import Driver
from collector.keys import KINDS as KEY_KINDS
from collector.keys import KeyRing
from collector.settling import Settling
from collector.storage import Indexed, StorageError, Store, StoreInfo
from collector.storage.derived import open_derived
from collector.storage.frozen import FrozenLog
from collector.storage.index import UNLISTED, SqliteIndex, tick_before
from collector.storage.ledger import SqliteLedger
from weighbridge.book import Book
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.evidence import Entry, EntryKind, Notice, Tick
from weighbridge.settlement.statement import Statement
from weighbridge.signing import SignatureError, key_id, verify
from weighbridge.wire import read

SLICES_PER_WRITE = 64
FOREIGN = frozenset({EntryKind.REPORT, EntryKind.CHALLENGE, EntryKind.NOTICE})
"""Entries that others than the collector sign."""


class ReplayError(StorageError):
    """The log does not hold what it should. The message names the entry."""


@dataclass(slots=True)
class Signers:
    """Who may sign what, up to the entry that was read last."""

    log_key: bytes
    ring: KeyRing = field(default_factory=KeyRing)
    book: Book = field(default_factory=Book)
    now_us: int = 0

    def check(self, entry: Entry) -> None:
        """Raises ReplayError."""
        envelope = entry.envelope
        key = self._key(entry)
        if key is None:
            raise ReplayError(f"entry {entry.index}: a {entry.kind} by a key that may not sign it")
        try:
            verify(envelope, key)
        except SignatureError as error:
            raise ReplayError(f"entry {entry.index}: {error}") from error
        self.learn(entry)

    def learn(self, entry: Entry) -> None:
        """Take in keys, contracts and time."""
        if entry.kind is EntryKind.TICK:
            self.now_us = read(Tick, entry.envelope.payload).wall_us
        elif entry.kind in KEY_KINDS:
            self.ring.fold(entry)
        elif entry.kind is EntryKind.PARTY:
            self.book.fold(entry, self.now_us)

    def _key(self, entry: Entry) -> bytes | None:
        name = entry.envelope.key_id
        if name == key_id(self.log_key):
            return self.log_key
        if entry.kind not in FOREIGN:
            return None
        if entry.kind is EntryKind.NOTICE:
            party = self.book.party_key(read(Notice, entry.envelope.payload).contract, name)
            return None if party is None else bytes.fromhex(party.public_key)
        known = self.ring.key(name)
        return None if known is None else known.public_key


class CheckedLog(FrozenLog):
    """Every entry is checked when it is read in order; the log ends with the first tick after `as_of_us`."""

    def __init__(
        self, directory: Path, signers: Signers, as_of_us: int, index: SqliteIndex
    ) -> None:
        super().__init__(directory)
        self._signers = signers
        self._as_of_us = as_of_us
        self._index = index

    def checked(self, start: int, limit: int) -> Iterator[Entry]:
        """Entries from where the last call ended."""
        if self._signers.now_us > self._as_of_us:
            return
        for entry in self.read(start, limit):
            self._signers.check(entry)
            if entry.kind not in UNLISTED:
                self._index.record([Indexed(entry.index, entry.kind)])
            yield entry
            if self._signers.now_us > self._as_of_us:
                return


class Replay:
    """Of one store, up to an instant, with its own ledger at `state`."""

    def __init__(
        self, directory: Path, info: StoreInfo, log_key: bytes, state: Path, as_of_s: int
    ) -> None:
        """Raises StorageError."""
        engine = open_derived(state)
        self._index = SqliteIndex(engine)
        self._ledger = SqliteLedger(engine)
        self._signers = Signers(log_key)
        self._as_of_s = as_of_s
        segments = directory / "evidence" / "segments"
        self._log = CheckedLog(segments, self._signers, as_of_s * MICROSECONDS, self._index)
        self._store = Store(info, self._log, self._index, self._ledger)
        self._driver = Driver(self._store)
        self._remember()

    def _remember(self) -> None:
        """What the entries before the place where a replay goes on said of keys and time."""
        folded = self._driver.folded
        for place in self._index.of_kinds(KEY_KINDS | {EntryKind.PARTY}):
            if place < folded:
                self._signers.learn(next(iter(self._log.read(place, 1))))
        self._signers.now_us = tick_before(self._log, folded)

    @property
    def size(self) -> int:
        """Entries of the log; the replay may end before its last."""
        return self._log.size

    def run(
        self,
        progress: Callable[[int], None],
        slice_entries: int = 512,
        slices_per_write: int = SLICES_PER_WRITE,
    ) -> None:
        """Fold what is left. `progress` is told how far it has come. Raises ReplayError, CorruptStore."""
        slices = 0
        while entries := list(self._log.checked(self._driver.folded, slice_entries)):
            self._driver.fold(entries)
            slices += 1
            if slices % slices_per_write == 0:
                self._write()
            progress(self._driver.folded)
        self._write()

    def _write(self) -> None:
        self._index.flush()
        batch = self._driver.take()
        self._ledger.write(batch.rows, batch.findings, batch.folded, batch.snapshots, batch.uses)
        self._driver.written(kept=True)

    def statement(self, contract: str, period: str) -> Statement:
        """After `run`. Raises SettlingError."""
        return Settling(self._store, self._driver).ask(contract, period, self._as_of_s).statement()

    def close(self) -> None:
        self._store.close()
