"""Keeps the judge at the log's end: catches up after a restart, follows every commit, and writes the ledger behind.

A small commit is judged at once. A large one waits, and is judged in slices while everything else goes on, a large
entry in many. Of what waits, little is held in memory: the log has it. The ledger is written between two entries.

A judge that fails stops judging and says so; it never stops the evidence from being kept.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from collector.judging.writer import LedgerWriter
from collector.log.commits import CommittedEntry
from collector.log.ingest import Ingest
from collector.storage.store import StorageError, Store
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import Metric
from weighbridge.log.entries import EntryKind
from weighbridge.wire.report import weight as report_weight

logger = logging.getLogger("weighbridge.judging")

WRITE_SECONDS = 30.0
SLICES_PER_WRITE = 64
AT_ONCE_SAMPLES = 2048
"""Samples of single devices that one commit may bring to be judged within it: some hundredths of a second."""

SLICE_SECONDS = 0.01
"""Everything else gets its turn after so long, whatever an entry holds."""

SAMPLE_BYTES = 16
"""A sample of a device has no fewer."""

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
        self._waiting: deque[CommittedEntry] = deque()
        self._held_samples = 0
        self._due = 0
        self.failure: str | None = None

    @property
    def behind(self) -> bool:
        """Whether the log holds committed entries that are not judged, because they wait or because judging stopped."""
        return self.failure is not None or self._writer.folded < self._due

    async def catch_up(self) -> None:
        """Judge what the log holds and the ledger does not. Raises what the judge raises."""
        slices = 0
        while self._writer.catch_up():
            slices += 1
            if slices % SLICES_PER_WRITE == 0:
                await self.write()
            await asyncio.sleep(0)
        await self.write()

    def follow(self, committed: Sequence[CommittedEntry]) -> None:
        """Judge one commit, at once where it is small and nothing waits before it."""
        if self.failure is not None or not committed:
            return
        samples = sum(map(weight, committed))
        if not self.behind and samples <= AT_ONCE_SAMPLES:
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
                await asyncio.wait_for(self._closing.wait(), WRITE_SECONDS)
            if self._closing.is_set():
                await judging
            await self.write()

    async def _judge_waiting(self) -> None:
        """Entry by entry. What still waits at the end is judged from the log after the next start."""
        while not self._closing.is_set():
            await self._wake.wait()
            self._wake.clear()
            while self.failure is None and self.behind and not self._closing.is_set():
                self._judge(self._judge_slice)
                await asyncio.sleep(0)
        self._between.set()

    def _judge_slice(self) -> None:
        """Judge for so long as nobody minds; an entry that takes longer goes on in the next slice."""
        until_s = self._monotonic_s() + SLICE_SECONDS
        if not self._writer.midway:
            self._begin_next()
        self._writer.go_on()
        while self._writer.midway and self._monotonic_s() < until_s:
            self._writer.go_on()
        (self._between.clear if self._writer.midway else self._between.set)()

    def _begin_next(self) -> None:
        if not self._waiting:
            self._writer.begin(next(iter(self._store.log.read(self._writer.folded, 1))))
            return
        one = self._waiting.popleft()
        self._held_samples -= weight(one)
        self._writer.begin(one.entry, one.report)

    def close(self) -> None:
        """Lets `run` end after the entry that it is at."""
        self._closing.set()
        self._wake.set()

    async def write(self) -> None:
        """One transaction, once no entry is half judged. What the ledger cannot take now stays due."""
        await self._between.wait()
        if self.failure is not None or self._writer.midway:
            return
        try:
            batch = self._writer.take()
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

    @property
    def quarantined(self) -> int:
        """How many observers this judge fails at."""
        states = self._writer.judgement.folds.states.values()
        return sum(state.quarantine is not None for state in states)

    def lag_seconds(self, newest_us: int) -> float:
        """How far judgement is behind the newest tick."""
        return max(0, newest_us - self._writer.judgement.now_us) / 1_000_000


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
