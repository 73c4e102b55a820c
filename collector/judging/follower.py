"""Keeps the judge at the log's end: catches up after a restart, follows every commit, and writes the ledger behind.

A small commit is judged at once. A large one waits, and is judged in slices while everything else goes on, a large
entry in many; so does what a restart finds. Of what waits, little is held in memory: the log has it. The ledger is
written between two entries.

A judge that fails stops judging and says so; it never stops the evidence from being kept.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from collector.judging.taking_up import TakingUp
from collector.judging.writer import LedgerBatch, LedgerWriter
from collector.log.commits import CommittedEntry
from collector.log.ingest import Ingest
from collector.storage.store import StorageError, Store
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import Metric
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.wire.report import Report, WireError, decode
from weighbridge.wire.report import weight as report_weight

logger = logging.getLogger("weighbridge.judging")

WRITE_SECONDS = 120.0
"""What an abrupt end leaves to be judged again: at 12,500 nodes some ten seconds of work."""

REST_SECONDS = 0.1
"""Between two slices of what is told of nodes: a tenth of the time at most."""

MOST_UNWRITTEN = 20_000
"""Rows, findings and sums of use that are held in memory before the ledger is written all the same."""

AT_ONCE_SAMPLES = 2048
"""Samples of single devices that one commit may bring to be judged within it: some hundredths of a second."""

SLICE_SECONDS = 0.01
"""Everything else gets its turn after so long, whatever an entry holds."""

AT_ONCE_BYTES = 64 << 10
"""A report that is longer is read in a thread."""

SAMPLE_BYTES = 16
"""A sample of a device has no fewer."""

CLOSE_SECONDS = 2.0
"""An entry that is half judged is given so long at the end; it is begun anew at the next start."""

READ_BYTES = 1 << 20
"""Of what is read from the log so much is held, and one entry at least."""

READ_ENTRIES = 512

HELD_SAMPLES = 1 << 16
"""Samples of single devices that wait in memory, decoded. What is over that is read from the log again."""


class LogFollower:
    """Drives one writer. What it has not written when the process dies is judged again from the log."""

    def __init__(
        self,
        writer: LedgerWriter,
        store: Store,
        held_samples: int = HELD_SAMPLES,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._most_held_samples = held_samples
        self._monotonic_s = monotonic_s
        self._store = store
        self._closing = asyncio.Event()
        self._wake = asyncio.Event()
        self._between = asyncio.Event()
        self._between.set()
        self._free = asyncio.Event()
        self._free.set()
        self._full = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._level = asyncio.Event()
        self._waiting: deque[CommittedEntry] = deque()
        self._read: deque[CommittedEntry] = deque()
        self._held_samples = 0
        self._due = 0
        self._again = writer.outdated()
        self._again_read: deque[CommittedEntry] = deque()
        self.failure: str | None = None

    @property
    def behind(self) -> bool:
        """Whether the log holds committed entries that are not judged, because they wait or because judging stopped."""
        return self.failure is not None or self._writer.folded < self._due

    @property
    def _busy(self) -> bool:
        return self.behind or self._again is not None

    def remarks(self) -> Iterator[str]:
        """What is not judged yet, in words that name nobody."""
        behind = self._due - self._writer.folded
        if behind > 0:
            yield f"judging is behind the log by {behind} entries"
        if self._again is not None:
            left = self._writer.folded - self._again.folded
            yield f"what an older judge failed at is judged again: {left} entries are left"

    async def catch_up(self, within_seconds: float = math.inf) -> None:
        """Judge what the log holds and the ledger does not, for so long at most. `run` judges the rest."""
        self._due = self._store.log.size
        until_s = self._monotonic_s() + within_seconds
        while self.failure is None and self._busy and self._monotonic_s() < until_s:
            await self._turn()
            if self._full.is_set() and not self._writer.midway:
                await self._write_full()
        if not self.behind:
            self._level.set()
            await self.write()

    async def caught_up(self) -> None:
        """Returns once all that the log held at the start is judged; never, where judging stops before."""
        await self._level.wait()

    def follow(self, committed: Sequence[CommittedEntry]) -> None:
        """Judge one commit, at once where it is small and nothing waits before it."""
        if self.failure is not None or not committed:
            return
        samples = sum(map(weight, committed))
        if not self.behind and samples <= AT_ONCE_SAMPLES and self._free.is_set():
            self._judge(lambda: self._writer.follow(committed))
            return
        newest = self._waiting[-1].entry.index + 1 if self._waiting else self._writer.folded
        fits = self._held_samples + samples <= self._most_held_samples
        if fits and committed[0].entry.index == newest:
            self._waiting += committed
            self._held_samples += samples
        self._due = committed[-1].entry.index + 1
        self._wake.set()

    def _judge(self, fold: Callable[[], object]) -> None:
        try:
            fold()
        except Exception as error:
            logger.exception("judging stopped at entry %d", self._writer.folded)
            self._stop(f"judging stopped at entry {self._writer.folded}", error)

    def _stop(self, what: str, error: Exception) -> None:
        """For good: whatever raised would raise again."""
        self.failure = f"{what}: {type(error).__name__}: {error}"
        self._between.set()
        self._waiting.clear()

    async def run(self) -> None:
        """Judge what waits, and write the ledger from time to time, and once more after `close`."""
        judging = asyncio.create_task(self._judge_waiting())
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), WRITE_SECONDS)
            if not self._closing.is_set():
                await self._write_full()
        await judging
        await self.write()

    async def _write_full(self) -> None:
        """While it is full no entry is begun: what would be written next stays little too."""
        self._full.set()
        self._room.clear()
        await self.write()
        self._full.clear()
        self._room.set()

    async def _judge_waiting(self) -> None:
        """Slice by slice. What still waits at the end is judged from the log after the next start."""
        while not self._closing.is_set():
            await self._judge_while(lambda: self._busy and not self._closing.is_set())
            if not self.behind:
                self._level.set()
            await self._wake.wait()
            self._wake.clear()
        until_s = self._monotonic_s() + CLOSE_SECONDS
        await self._judge_while(lambda: self._writer.midway and self._monotonic_s() < until_s)
        self._between.set()

    async def _judge_while(self, holds: Callable[[], bool]) -> None:
        while self.failure is None and holds():
            await self._turn()

    async def _turn(self) -> None:
        """One slice of what is next in the log, or else of what is judged again; or none, but there is room for one."""
        if not (self._writer.midway or self._room.is_set()):
            await self._room.wait()
        elif self.behind or self._again is None:
            await self._turn_ahead()
        else:
            self._level.set()
            await self._turn_again(self._again)

    async def _turn_ahead(self) -> None:
        """What the slice begins with is read before, in a thread: to read a large report is one step."""
        try:
            if not self._writer.midway:
                await self._read_ahead()
                await self._free.wait()
        except Exception as error:
            logger.exception("the log cannot be read at entry %d", self._writer.folded)
            self._stop(f"judging stopped at entry {self._writer.folded}", error)
        else:
            self._judge(self._judge_slice)
            await asyncio.sleep(0)

    async def _read_ahead(self) -> None:
        self._pass_over()
        if self._waiting and is_large(self._waiting[0]):
            one = self._waiting[0]
            told = replace(one, report=await asyncio.to_thread(_decoded, one.entry))
            if self.failure is not None:
                return
            self._held_samples += weight(told) - weight(one)
            self._waiting[0] = told
        elif not self._waiting and not self._read:
            self._read += await asyncio.to_thread(self._some, self._writer.folded)

    async def _turn_again(self, again: TakingUp) -> None:
        try:
            if not again.midway and not self._again_read:
                self._again_read += await asyncio.to_thread(self._some, again.folded)
            await self._free.wait()
        except Exception as error:
            logger.exception("the log cannot be read at entry %d", again.folded)
            self._stop(f"judging stopped at entry {self._writer.folded}", error)
        else:
            self._judge(lambda: self._slice_again(again))
            await asyncio.sleep(0)

    def _slice_again(self, again: TakingUp) -> None:
        until_s = self._monotonic_s() + SLICE_SECONDS
        while again.midway or (self._again_read and again.folded < self._writer.folded):
            if not again.midway:
                one = self._again_read.popleft()
                again.begin(one.entry, one.report)
            again.go_on()
            if self._monotonic_s() >= until_s:
                return
        if again.folded == self._writer.folded:
            self._writer.take_over(again)
            self._again_read.clear()
            self._again = self._writer.outdated()

    def _judge_slice(self) -> None:
        """Judge for so long as nobody minds; an entry that takes longer goes on in the next slice."""
        until_s = self._monotonic_s() + SLICE_SECONDS
        self._step()
        while self._goes_on and self._monotonic_s() < until_s:
            self._step()
        (self._between.clear if self._writer.midway else self._between.set)()
        if self._writer.unwritten >= MOST_UNWRITTEN:
            self._full.set()
            self._room.clear()

    @property
    def _goes_on(self) -> bool:
        if self._writer.midway:
            return True
        return self.behind and not self._full.is_set() and self._at_hand()

    def _at_hand(self) -> bool:
        """Whether the next entry was read."""
        self._pass_over()
        return not is_large(self._waiting[0]) if self._waiting else bool(self._read)

    def _pass_over(self) -> None:
        """The log may be read further than was told of; what was judged at once when it was told of is passed over."""
        while self._read and self._read[0].entry.index < self._writer.folded:
            self._read.popleft()

    def _step(self) -> None:
        if not self._writer.midway:
            self._begin_next()
        self._writer.go_on()

    def _begin_next(self) -> None:
        if not self._waiting:
            one = self._read.popleft()
        else:
            one = self._waiting.popleft()
            self._held_samples -= weight(one)
        self._writer.begin(one.entry, one.report)

    def _some(self, start: int) -> list[CommittedEntry]:
        """The next entries of the log that are not judged, with what the large ones say."""
        found: list[CommittedEntry] = []
        size_bytes = 0
        for entry in self._store.log.read(start, READ_ENTRIES):
            one = CommittedEntry(entry, 0, None)
            found.append(replace(one, report=_decoded(entry)) if is_large(one) else one)
            size_bytes += len(entry.envelope.payload)
            if size_bytes >= READ_BYTES:
                break
        return found

    def close(self) -> None:
        """Lets `run` end after the entry that it is at, if that ends soon."""
        self._closing.set()
        self._wake.set()
        self._full.set()
        self._room.set()

    async def write(self) -> None:
        """One transaction, once no entry is half judged. What the ledger cannot take now stays due."""
        await self._between.wait()
        if self.failure is not None or self._writer.midway:
            return
        try:
            await self._take()
            batch = await self._told()
            await asyncio.to_thread(self._store.ledger.write, *batch)
        except StorageError as error:
            logger.warning("the ledger lags behind the log: %s", error)
            self._writer.written(kept=False)
        except Exception as error:
            logger.exception("judging stopped: the ledger cannot be written")
            self._writer.written(kept=False)
            self._stop("judging stopped: the ledger cannot be written", error)
        else:
            self._writer.written(kept=True)

    async def _take(self) -> None:
        """Slice by slice; until that is done nothing is judged, and what comes in waits."""
        self._free.clear()
        try:
            taking = self._writer.taking()
            while True:
                if self._goes_on_with(taking) is not None:
                    return
                await asyncio.sleep(0)
        finally:
            self._free.set()

    async def _told(self) -> LedgerBatch:
        """The states of the nodes as they were then, spread over the time in which judging goes on; at once where the
        ledger is full, and at the end."""
        telling = self._writer.telling()
        while (ended := self._goes_on_with(telling)) is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), REST_SECONDS)
            await asyncio.sleep(0)
        batch: LedgerBatch = ended.value
        return batch

    def _goes_on_with(self, steps: Generator[None, None, object]) -> StopIteration | None:
        """For a slice; how it ended, if it did."""
        until_s = self._monotonic_s() + SLICE_SECONDS
        try:
            next(steps)
            while self._monotonic_s() < until_s:
                next(steps)
        except StopIteration as ended:
            return ended
        return None

    @property
    def quarantined(self) -> int:
        """How many observers this judge fails at, and how many other kinds of entries."""
        folds = self._writer.judgement.folds
        observers = sum(state.quarantine is not None for state in folds.states.values())
        return observers + len(folds.watch.failed.open)

    def lag_seconds(self, newest_us: int) -> float:
        """How far judgement is behind the newest tick."""
        return max(0, newest_us - self._writer.judgement.now_us) / 1_000_000


def is_large(committed: CommittedEntry) -> bool:
    """Whether nobody has read it, and to read it takes some milliseconds."""
    entry = committed.entry
    unread = committed.report is None and entry.kind is EntryKind.REPORT
    return unread and len(entry.envelope.payload) > AT_ONCE_BYTES


def _decoded(entry: Entry) -> Report | None:
    """What a report says; None where it is none: the fold finds that out again, and says so."""
    try:
        return decode(entry.envelope.payload)
    except WireError:
        return None


def weight(committed: CommittedEntry) -> int:
    """What it costs to judge an entry: what its report holds, or its bytes where nobody read it, and one for itself."""
    if committed.report is not None:
        return 1 + report_weight(committed.report)
    entry = committed.entry
    return 1 + (
        len(entry.envelope.payload) // SAMPLE_BYTES if entry.kind is EntryKind.REPORT else 0
    )


def own_samples(
    store: Store, ingest: Ingest, judging: LogFollower, newest_us: int
) -> Iterator[tuple[Metric, Sequence[str], int | float]]:
    """What the collector says of itself on `/metrics`."""
    for result, count in sorted(ingest.counts.items()):
        yield metrics.REPORTS, (result,), count
    yield metrics.LOG_ENTRIES, (), store.log.size
    yield metrics.JUDGE_LAG, (), judging.lag_seconds(newest_us)
    yield metrics.JUDGE_QUARANTINED, (), judging.quarantined
