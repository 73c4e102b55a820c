"""A period settled again from the raw log: every signature checked, every entry judged anew, in a ledger of its own.

The folds are those that run live (`collector.judging.writer`), over the segments as they lie on the disk. The ledger
of the replay is a file, with the folds' states and the place in the log that they have come to: so a replay goes on
where it stopped. Other processes may read ahead and check signatures (`collector.judging.checkers`); who may sign what
is said here, in the order of the log, and everything that is wrong is found here.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from collector.judging.checkers import Checkers, Slice
from collector.judging.live import LiveFleet
from collector.judging.signers import Signers
from collector.judging.statements import Statements, load_book
from collector.judging.writer import LedgerWriter
from collector.log.keys import KINDS as KEY_KINDS
from collector.storage.derived import open_derived
from collector.storage.index import UNLISTED, SqlIndex
from collector.storage.ledger import SqlLedger
from collector.storage.received import tick_before_us
from collector.storage.store import Indexed, Store, StoreInfo
from collector.storage.stores import read_log
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import LOG_HOLE, Finding
from weighbridge.log.entries import Entry, EntryKind, Removed
from weighbridge.settlement.statement import Statement
from weighbridge.wire.report import read

SLICES_PER_WRITE = 64


class Replay:
    """Of one store, up to an instant, with its own ledger at `state`."""

    def __init__(
        self,
        place: str,
        info: StoreInfo,
        log_key: bytes,
        state: Path,
        as_of_s: int,
        later_keys: Sequence[bytes] = (),
    ) -> None:
        """Reads the store at `place`, as `open_store` takes it. Raises StorageError.

        `log_key` is the log's first, `later_keys` what it was to have.
        """
        engine = open_derived(state)
        self._index = SqlIndex(engine)
        self._ledger = SqlLedger(engine)
        self._signers = Signers(log_key, later_keys)
        self._as_of_s = as_of_s
        self._place = place
        self._log = read_log(place)
        self.store = Store(info, self._log, self._index, self._ledger)
        self._writer = LedgerWriter(self.store)
        self._removed: set[str] = set()
        self._remember()

    def _remember(self) -> None:
        """What the entries before the place where a replay goes on said of keys and time."""
        folded = self._writer.folded
        for index in self._index.of_kinds(KEY_KINDS | {EntryKind.PARTY, EntryKind.SUCCESSION}):
            if index < folded:
                self._signers.learn(next(iter(self._log.read(index, 1))))
        for index in self._index.of_kinds({EntryKind.REMOVED}):
            self._lists(next(iter(self._log.read(index, 1))))
        self._signers.now_us = tick_before_us(self._log, folded)

    @property
    def size(self) -> int:
        """Entries of the log; the replay may end before its last."""
        return self._log.size

    @property
    def folded(self) -> int:
        """The first entry that is not folded."""
        return self._writer.folded

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
        upto: int | None = None,
    ) -> None:
        """Fold what is left. `progress` is told how far it has come. Raises ReplayError, CorruptStore.

        `upto`: the entry before which it stops, to go on with the next call. With two `workers` or more, so many other
        processes read ahead and check signatures.
        """
        slices = 0
        end = self._log.size if upto is None else min(upto, self._log.size)
        with closing(self._checked(workers, slice_entries, end)) as checked:
            while not self._ended and (known := next(checked, None)) is not None:
                self._fold(*known)
                slices += 1
                if slices % slices_per_write == 0:
                    self._write()
                progress(self._writer.folded)
        self._write()

    def _checked(
        self, workers: int, slice_entries: int, end: int
    ) -> Generator[tuple[Slice, Sequence[bool]], None, None]:
        """What is left, in slices, and which signatures verify, as far as that is known."""
        slices = [
            (first, min(first + slice_entries, end))
            for first in range(self._writer.folded, end, slice_entries)
        ]
        if workers < 2:
            yield from ((piece, [False] * (piece[1] - piece[0])) for piece in slices)
            return
        with Checkers(self._place, workers) as checkers:
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
            if self._lists(entry):
                self._index.record([Indexed(entry.index, entry.kind)])
            self._writer.fold(entry, report)
            if self._ended:
                return

    def _lists(self, entry: Entry) -> bool:
        """Whether the index lists it. Of the reports of a node that have left, one says so."""
        if entry.kind is not EntryKind.REMOVED:
            return entry.kind not in UNLISTED
        node = read(Removed, entry.envelope.payload).node
        known = node in self._removed
        self._removed.add(node)
        return not known

    def _write(self) -> None:
        self._index.flush()
        self._ledger.write(*self._writer.take())
        self._writer.written(kept=True)

    def statement(self, contract: str, period: str) -> Statement:
        """The statement by the replayed ledger. Call it after `run`. Raises StatementError."""
        fleet = LiveFleet(self._writer.judgement)
        book = load_book(self._log, self._index)
        asked = Statements(fleet, book).ask(contract, period, self._as_of_s)
        return asked.statement(self.store)

    def holes(self) -> Iterator[Finding]:
        """Reports that chains must have had and that the log lacks. Call it after `run`."""
        yield from (finding for finding in self.findings() if finding.code == LOG_HOLE)

    def findings(self, contract: str | None = None) -> Iterator[Finding]:
        """Those that were ever found in what is folded, of one contract or of all."""
        page = self._ledger.findings(contract)
        yield from page.findings
        while page.after is not None:
            page = self._ledger.findings(contract, after=page.after)
            yield from page.findings

    def removed(self, contract: str) -> list[str]:
        """Nodes that the contract held and of which reports have left the store. Call it after `run`."""
        held = {one.node for one in self._signers.ring.assignments() if one.contract == contract}
        return sorted(held & self._removed)

    def close(self) -> None:
        self.store.close()
