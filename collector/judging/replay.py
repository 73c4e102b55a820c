"""A period settled again from the raw log: every signature checked, every entry judged anew, in a ledger of its own.

The folds are those that run live (`collector.judging.writer`), over the segments as they lie on the disk. The ledger
of the replay is a file, with the folds' states and the place in the log that they have come to: so a replay goes on
where it stopped. Other processes may read ahead and check signatures (`collector.judging.checkers`); who may sign what
is said here, in the order of the log, and everything that is wrong is found here.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from collector.judging.checkers import Checkers, Slice
from collector.judging.live import LiveFleet
from collector.judging.statements import Statements
from collector.judging.writer import LedgerWriter
from collector.log.keys import KINDS as KEY_KINDS
from collector.log.keys import KeyRing
from collector.storage.derived import open_derived
from collector.storage.frozen import FrozenLog
from collector.storage.index import UNLISTED, SqliteIndex, tick_before_us
from collector.storage.ledger import SqliteLedger
from collector.storage.store import Indexed, StorageError, Store, StoreInfo
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.chains import LOG_HOLE
from weighbridge.judge.ledger import Finding
from weighbridge.log.entries import Entry, EntryKind, KeyChanged, Notice, Tick
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import Report, WireError, decode, read
from weighbridge.wire.signing import SignatureError, key_id, verify

SLICES_PER_WRITE = 64
FOREIGN = frozenset({EntryKind.REPORT, EntryKind.CHALLENGE, EntryKind.NOTICE})
"""Entries that others than the collector sign."""


class ReplayError(StorageError):
    """The log does not hold what it should. The message names the entry."""


@dataclass(slots=True)
class Signers:
    """Who may sign what, up to the entry that was read last. `keys`: every key there was, by name; the log's first."""

    log_key: bytes
    ring: KeyRing = field(default_factory=KeyRing)
    book: NoticeBook = field(default_factory=NoticeBook)
    keys: dict[str, bytes] = field(default_factory=dict)
    now_us: int = 0

    def __post_init__(self) -> None:
        self.keys[key_id(self.log_key)] = self.log_key

    def check(self, entry: Entry, *, verified: bool) -> Report | None:
        """What the entry reports, if it is a report. Raises ReplayError.

        `verified`: its signature is known to verify under the one of `keys` that it names.
        """
        try:
            self._verify(entry, verified)
            report = self._read(entry) if entry.kind is EntryKind.REPORT else None
            self.learn(entry)
        except (SignatureError, WireError) as error:
            raise ReplayError(f"entry {entry.index}: {error}") from error
        return report

    def _verify(self, entry: Entry, verified: bool) -> None:
        key = self._key(entry)
        if key is None:
            raise ReplayError(f"entry {entry.index}: a {entry.kind} by a key that may not sign it")
        if not (verified and self.keys.get(entry.envelope.key_id) == key):
            verify(entry.envelope, key)

    def _read(self, entry: Entry) -> Report:
        report, speaker = decode(entry.envelope.payload), self.ring.key(entry.envelope.key_id)
        if speaker is None or report.node != speaker.node:
            raise ReplayError(f"entry {entry.index}: a report of {report.node} by another's key")
        return report

    def learn(self, entry: Entry) -> None:
        """Take in keys, contracts and time."""
        if entry.kind is EntryKind.TICK:
            self.now_us = read(Tick, entry.envelope.payload).wall_us
        elif entry.kind in KEY_KINDS:
            self.ring.fold(entry)
            if entry.kind is EntryKind.KEY:
                change = read(KeyChanged, entry.envelope.payload)
                self.keys.setdefault(change.key_id, bytes.fromhex(change.public_key))
        elif entry.kind is EntryKind.PARTY:
            self.book.fold(entry, self.now_us)

    def _key(self, entry: Entry) -> bytes | None:
        name = entry.envelope.key_id
        if entry.kind is not EntryKind.REPORT and name == key_id(self.log_key):
            return self.log_key
        if entry.kind not in FOREIGN:
            return None
        if entry.kind is EntryKind.NOTICE:
            party = self.book.party_key(read(Notice, entry.envelope.payload).contract, name)
            return None if party is None else bytes.fromhex(party.public_key)
        known = self.ring.key(name)
        if known is None:
            return None
        # A revoked key may still have had a word of a challenge on its way; its reports are refused to the last.
        revoked = entry.kind is EntryKind.REPORT and known.revoked_index is not None
        return None if revoked else known.public_key


class Replay:
    """Of one store, up to an instant, with its own ledger at `state`."""

    def __init__(
        self, directory: Path, info: StoreInfo, log_key: bytes, state: Path, as_of_s: int
    ) -> None:
        """Opens the store for reading. Raises StorageError."""
        engine = open_derived(state)
        self._index = SqliteIndex(engine)
        self._ledger = SqliteLedger(engine)
        self._signers = Signers(log_key)
        self._as_of_s = as_of_s
        self._segments = directory / "evidence" / "segments"
        self._log = FrozenLog(self._segments)
        self.store = Store(info, self._log, self._index, self._ledger)
        self._writer = LedgerWriter(self.store)
        self._remember()

    def _remember(self) -> None:
        """What the entries before the place where a replay goes on said of keys and time."""
        folded = self._writer.folded
        for index in self._index.of_kinds(KEY_KINDS | {EntryKind.PARTY}):
            if index < folded:
                self._signers.learn(next(iter(self._log.read(index, 1))))
        self._signers.now_us = tick_before_us(self._log, folded)

    @property
    def size(self) -> int:
        """Entries of the log; the replay may end before its last."""
        return self._log.size

    @property
    def left(self) -> int:
        """Entries of the log that are not folded yet."""
        return self._log.size - self._writer.folded

    def run(
        self,
        progress: Callable[[int], None],
        workers: int = 0,
        slice_entries: int = 512,
        slices_per_write: int = SLICES_PER_WRITE,
    ) -> None:
        """Fold what is left. `progress` is told how far it has come. Raises ReplayError, CorruptStore.

        With two `workers` or more, so many other processes read ahead and check signatures.
        """
        slices = 0
        with closing(self._checked(workers, slice_entries)) as checked:
            while not self._ended and (known := next(checked, None)) is not None:
                self._fold(*known)
                slices += 1
                if slices % slices_per_write == 0:
                    self._write()
                progress(self._writer.folded)
        self._write()

    def _checked(
        self, workers: int, slice_entries: int
    ) -> Generator[tuple[Slice, Sequence[bool]], None, None]:
        """What is left, in slices, and which signatures verify, as far as that is known."""
        slices = [
            (first, min(first + slice_entries, self._log.size))
            for first in range(self._writer.folded, self._log.size, slice_entries)
        ]
        if workers < 2:
            yield from ((piece, [False] * (piece[1] - piece[0])) for piece in slices)
            return
        with Checkers(self._segments, workers) as checkers:
            yield from checkers.check(slices, self._signers.keys)

    @property
    def _ended(self) -> bool:
        """The log ends with the first tick after the instant."""
        return self._signers.now_us > self._as_of_s * MICROSECONDS

    def _fold(self, piece: Slice, verified: Sequence[bool]) -> None:
        first, last = piece
        entries = self._log.read(first, last - first)
        for entry, known in zip(entries, verified, strict=True):
            report = self._signers.check(entry, verified=known)
            if entry.kind not in UNLISTED:
                self._index.record([Indexed(entry.index, entry.kind)])
            self._writer.fold(entry, report)
            if self._ended:
                return

    def _write(self) -> None:
        self._index.flush()
        self._ledger.write(*self._writer.take())
        self._writer.written(kept=True)

    def statement(self, contract: str, period: str) -> Statement:
        """The statement by the replayed ledger. Call it after `run`. Raises StatementError."""
        fleet = LiveFleet(self._writer.judgement)
        return Statements(self.store, fleet).ask(contract, period, self._as_of_s).statement()

    def holes(self) -> Iterator[Finding]:
        """Reports that chains must have had and that the log lacks. Call it after `run`."""
        page = self._ledger.findings()
        yield from (finding for finding in page.findings if finding.code == LOG_HOLE)
        while page.after is not None:
            page = self._ledger.findings(after=page.after)
            yield from (finding for finding in page.findings if finding.code == LOG_HOLE)

    def close(self) -> None:
        self.store.close()
