"""Feeds the folds from the log, live and after a restart by the same path, and writes down what they say.

Rows and findings go to the ledger in batches, each in one transaction with the folds' states and the log index that
they have come to: after a crash the entries since then are folded again. `collector.judging.live` reads what is judged.
"""

import itertools
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import NamedTuple

from collector.judging.current_figures import AT_ONCE_ROWS, Current
from collector.judging.live import Judgement
from collector.judging.statements import load_book
from collector.judging.taking_up import TakingUp
from collector.log.commits import CommittedEntry
from collector.storage.packed import Packer, unpack
from collector.storage.received import received
from collector.storage.store import Store
from weighbridge.judge.fleet import NEVER_US, REMEMBERED, STALL_US, WHOLE, FleetFold
from weighbridge.judge.ledger import Finding, Row, Use
from weighbridge.judge.node import Change
from weighbridge.judge.snapshot import SnapshotError, dump, restore
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.notices.book import KINDS as BOOKED
from weighbridge.settlement.judge_versions import Judges, current
from weighbridge.steps import drained
from weighbridge.wire.report import Report, digest

logger = logging.getLogger("weighbridge.judging")

SLICE = 512
TAKEN_AT_ONCE = 1_000
HASHED_AT_ONCE = 100
JUDGES = "judges"
"""The snapshot that names who wrote the ledger."""

SEAL = "seal"
"""The snapshot that binds the others: without it, or with another one, nobody goes on from them."""

ALWAYS = WHOLE | {JUDGES, SEAL}
"""The snapshots of every ledger into which something was folded."""


class Seal(NamedTuple):
    """What the other snapshots are. `last`: the leaf hash of the last entry that is folded in them."""

    folded: int
    last: str
    digest: str


class LedgerBatch(NamedTuple):
    """What one transaction of the ledger holds, as its `write` takes it."""

    rows: Sequence[Row]
    findings: Sequence[Finding]
    folded: int
    snapshots: Mapping[str, bytes]
    uses: Sequence[Use] = ()


def ignored(key: str, changes: int) -> None:
    """Nobody counts what is found."""


NO_BATCH = LedgerBatch((), (), 0, {})


class LedgerWriter:
    """The one writer of the ledger, and of `judgement`. `follow` must be given every commit, in log order."""

    def __init__(self, store: Store, found: Callable[[str, int], None] = ignored) -> None:
        """Of an open store: restores the folds, but folds nothing yet. A ledger that they cannot go on from is cleared.

        `found` is told by which key, and how many rows and findings, whenever a report is folded.
        """
        self._store = store
        self._found = found
        self._under_way: Iterator[None] | None = None
        self._taken = NO_BATCH
        self._hashes: dict[str, str] = {}
        self._packer = Packer()
        try:
            self._take_on()
        except SnapshotError as error:
            logger.warning("the ledger is made anew from the log: %s", error)
            store.ledger.clear()
            self._take_on()
        for finding in self._open_findings():
            self._keep(finding)

    def _take_on(self) -> None:
        """Go on where the ledger ends. Raises SnapshotError."""
        ledger, log = self._store.ledger, self._store.log
        self.folded, snapshots = ledger.folded(), ledger.snapshots()
        missing = ALWAYS - snapshots.keys() if self.folded else ()
        if missing:
            raise SnapshotError(f"it lacks the snapshots {', '.join(sorted(missing))}")
        self._hashes = _hashed(snapshots)
        if self.folded and restore(snapshots[SEAL], Seal) != self._sealed(self.folded):
            raise SnapshotError("its snapshots are not those that were written, or of another log")
        self._book = load_book(log, self._store.index, self.folded)
        self.judgement = self._restored(Unpacked(snapshots))

    def _sealed(self, folded: int) -> Seal:
        """Of the snapshots as they are hashed here. Raises SnapshotError where the log does not reach so far."""
        if folded > self._store.log.size:
            raise SnapshotError(f"it knows {folded} entries, and the log has fewer")
        last = self._store.log.node(0, folded - 1).hex() if folded else ""
        return Seal(folded, last, digest(dump(sorted(self._hashes.items()))))

    def _restored(self, snapshots: Mapping[str, bytes]) -> Judgement:
        folds = FleetFold(stall_us=NEVER_US if self._store.info.simulation else STALL_US)
        folds.restore(snapshots, list(self._remembered()))
        judges = restore(snapshots[JUDGES], Judges) if JUDGES in snapshots else Judges()
        now_us = folds.watch.now_us
        judges.take_over(current(now_us))
        return Judgement(
            folds, Current(self._book, self._known, self._known_uses, self._weight), judges
        )

    def _remembered(self) -> Iterator[Entry]:
        places = self._store.index.of_kinds(REMEMBERED)
        folded = itertools.takewhile(lambda place: place < self.folded, places)
        return received(self._store.log, self._store.index, folded)

    def _open_findings(self) -> Iterator[Finding]:
        """As the ledger has them."""
        page = self._store.ledger.findings(open_only=True)
        yield from page.findings
        while page.after is not None:
            page = self._store.ledger.findings(open_only=True, after=page.after)
            yield from page.findings

    def outdated(self) -> TakingUp | None:
        """What an older judge failed at, to be judged again from the beginning of the log."""
        folds = self.judgement.folds
        name = next(iter(folds.outdated()), None)
        return None if name is None else TakingUp(name, folds.anew(name))

    def take_over(self, again: TakingUp) -> None:
        """What was judged again has come as far as everything else: it goes on there. Between two entries."""
        if again.folded != self.folded or self.midway or again.midway:
            raise ValueError(
                f"{again.name} was judged up to {again.folded}, all else to {self.folded}"
            )
        folds = self.judgement.folds
        self._take_in(folds.take_over(again.name, again.alone, again.judged))

    def catch_up(self, limit: int = SLICE) -> bool:
        """Fold at most `limit` entries that the log holds and the folds have not seen; whether there were any."""
        entries = list(self._store.log.read(self.folded, limit))
        for entry in entries:
            self.fold(entry)
        return bool(entries)

    def follow(self, committed: Sequence[CommittedEntry]) -> None:
        """Folds the entries of a commit."""
        for one in committed:
            self.fold(one.entry, one.report)

    def fold(self, entry: Entry, report: Report | None = None) -> None:
        """Fold the next entry; `report` is what it says where the caller has read it already."""
        self.begin(entry, report)
        while self.midway:
            self.go_on()

    @property
    def midway(self) -> bool:
        """Whether an entry was begun and is not folded to its end: nothing is to be taken then."""
        return self._under_way is not None

    @property
    def unwritten(self) -> int:
        """How many rows, findings and sums of use the ledger does not have yet."""
        judged = self.judgement
        return len(judged.rows) + len(judged.findings) + len(judged.uses)

    def begin(self, entry: Entry, report: Report | None = None) -> None:
        """Begin to fold the next entry; `go_on` until it is no longer `midway`."""
        if entry.index != self.folded or self.midway:
            raise ValueError(f"entry {entry.index} follows where {self.folded} was due")
        self._under_way = self._folding(entry, report)

    def go_on(self) -> None:
        """Fold a little more of the entry that was begun."""
        if self._under_way is None:
            return
        try:
            next(self._under_way)
        except StopIteration:
            self._under_way = None

    def _folding(self, entry: Entry, report: Report | None) -> Iterator[None]:
        """What is judged of an entry is taken in some at a time: it may be a hundred thousand findings."""
        changes = yield from self.judgement.folds.folding(entry, report)
        last = max(0, len(changes) - 1) // TAKEN_AT_ONCE * TAKEN_AT_ONCE
        for start in range(0, last, TAKEN_AT_ONCE):
            self._take_in(changes[start : start + TAKEN_AT_ONCE])
            yield
        self.folded += 1
        if entry.kind in BOOKED:
            self._book.fold(entry, self.judgement.now_us)
        if entry.kind is EntryKind.REPORT:
            self._found(entry.envelope.key_id, len(changes))
        self._take_in(changes[last:])

    def _take_in(self, changes: Sequence[Change]) -> None:
        judged = self.judgement
        rows = [change for change in changes if isinstance(change, Row)]
        judged.rows += rows
        uses = [change for change in changes if isinstance(change, Use)]
        judged.uses += uses
        judged.figures.write(rows, uses)
        for change in changes:
            if isinstance(change, Finding):
                judged.findings.append(change)
                self._keep(change)

    def _keep(self, finding: Finding) -> None:
        nodes = self.judgement.open.setdefault(finding.contract, {})
        found = nodes.setdefault(finding.node, {})
        if finding.until_us is None:
            found[finding.key] = finding
        else:
            found.pop(finding.key, None)
        if not found:
            del nodes[finding.node]
        if finding.until_us == finding.since_us:
            key = (finding.contract, finding.node, finding.code)
            self.judgement.noted[key] = finding.since_us

    def take(self) -> LedgerBatch:
        """What the ledger does not have yet. Write it, then say how it went with `written`."""
        drained(self.taking())
        return drained(self.telling())

    def taking(self) -> Generator[None, None, None]:
        """The same in small steps; between them nothing may be folded. `telling` goes on."""
        judged = self.judgement
        whole = yield from judged.folds.beginning(self._packer.pack)
        told = {**whole, JUDGES: dump(judged.judges)}
        self._taken = LedgerBatch(
            tuple(judged.rows), tuple(judged.findings), self.folded, told, tuple(judged.uses)
        )

    def telling(self) -> Generator[None, None, LedgerBatch]:
        """All of it, as it was when it was taken, in small steps; between them anything may be folded."""
        taken = self._taken
        snapshots = yield from self.judgement.folds.telling()
        for name, state in taken.snapshots.items():
            snapshots[name] = yield from self._packer.packing(state)
        for number, (name, state) in enumerate(snapshots.items(), start=1):
            self._hashes[name] = digest(state)
            if number % HASHED_AT_ONCE == 0:
                yield
        snapshots[SEAL] = dump(self._sealed(taken.folded))
        self._taken = taken._replace(snapshots=snapshots)
        return self._taken

    def written(self, *, kept: bool) -> None:
        """The ledger took the batch, or did not: then all of it stays due."""
        taken, self._taken = self._taken, NO_BATCH
        judged = self.judgement
        if not kept:
            judged.folds.touch(taken.snapshots)
            return
        # New lists: a thread may be reading the old ones.
        judged.rows = judged.rows[len(taken.rows) :]
        judged.findings = judged.findings[len(taken.findings) :]
        judged.uses = judged.uses[len(taken.uses) :]

    def _weight(self, contract: str, start_us: int, end_us: int) -> int:
        """What it costs to read the ledger, and what it does not have yet."""
        due = sum(row.contract == contract for row in self.judgement.rows)
        return due + self._store.ledger.weight(contract, start_us, end_us, AT_ONCE_ROWS + 1)

    def _known(self, contract: str, start_us: int, end_us: int) -> Iterator[Row]:
        """The ledger's rows and those that it does not have by now, each once. They may be read in any thread."""
        due = [
            row
            for row in self.judgement.rows
            if row.contract == contract and row.start_us < end_us and row.end_us > start_us
        ]
        return itertools.chain(self._written(contract, start_us, end_us, frozenset(due)), due)

    def _written(
        self, contract: str, start_us: int, end_us: int, due: frozenset[Row]
    ) -> Iterator[Row]:
        rows = self._store.ledger.rows(contract, start_us, end_us)
        yield from (row for row in rows if row not in due)

    def _known_uses(self, contract: str, start_us: int, end_us: int) -> Iterator[Use]:
        """The same of use, the newest of an hour last."""
        due = [use for use in self.judgement.uses if use.contract == contract]
        return itertools.chain(self._store.ledger.uses(contract, start_us, end_us, end_us), due)


class Unpacked(Mapping[str, bytes]):
    """Snapshots as the folds wrote them: each when it is asked for, as all together are many times what is kept."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self._kept = kept

    def __getitem__(self, name: str) -> bytes:
        """Raises SnapshotError."""
        try:
            return unpack(self._kept[name])
        except ValueError as error:
            raise SnapshotError(str(error)) from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)


def _hashed(snapshots: Mapping[str, bytes]) -> dict[str, str]:
    """Of all but the seal, by name."""
    return {name: digest(state) for name, state in snapshots.items() if name != SEAL}
