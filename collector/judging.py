"""Keeps the judge at the log's end: catches up after a restart, follows every commit, and writes the ledger behind.

A judge that fails stops judging and says so; it never stops the evidence from being kept.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence

from collector.commits import Committed
from collector.driver import Driver
from collector.ingest import Ingest
from collector.storage import StorageError, Store
from weighbridge import metrics
from weighbridge.metrics import Metric

logger = logging.getLogger("weighbridge.judging")

WRITE_SECONDS = 30.0
SLICES_PER_WRITE = 64


class Judging:
    """Drives one driver. What it has not written when the process dies is judged again from the log."""

    def __init__(self, driver: Driver, store: Store) -> None:
        self._driver = driver
        self._store = store
        self._closing = asyncio.Event()
        self.failure: str | None = None

    async def catch_up(self) -> None:
        """Judge what the log holds and the ledger does not. Raises what the judge raises."""
        slices = 0
        while self._driver.catch_up():
            slices += 1
            if slices % SLICES_PER_WRITE == 0:
                await self.write()
            await asyncio.sleep(0)
        await self.write()

    def follow(self, committed: Sequence[Committed]) -> None:
        """Judge one commit."""
        if self.failure is not None:
            return
        try:
            self._driver.follow(committed)
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}"
            logger.exception("judging stopped at entry %d", self._driver.folded)

    async def run(self) -> None:
        """Write the ledger from time to time, and once more after `close`."""
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), WRITE_SECONDS)
            await self.write()

    def close(self) -> None:
        self._closing.set()

    async def write(self) -> None:
        """One transaction. What the ledger cannot take now stays due."""
        if self.failure is not None:
            return
        batch = self._driver.take()
        rows, findings = batch.rows, batch.findings
        try:
            await asyncio.to_thread(
                self._store.ledger.write, rows, findings, batch.folded, batch.snapshots
            )
        except StorageError as error:
            logger.warning("the ledger lags behind the log: %s", error)
            self._driver.written(kept=False)
        else:
            self._driver.written(kept=True)

    def lag_seconds(self, newest_us: int) -> float:
        """How far judgement is behind the newest tick."""
        return max(0, newest_us - self._driver.now_us) / 1_000_000


def own_samples(
    store: Store, ingest: Ingest, judging: Judging, newest_us: int
) -> Iterator[tuple[Metric, Sequence[str], int | float]]:
    """What the collector says of itself on `/metrics`."""
    for result, count in sorted(ingest.counts.items()):
        yield metrics.REPORTS, (result,), count
    yield metrics.LOG_ENTRIES, (), store.log.size
    yield metrics.JUDGE_LAG, (), judging.lag_seconds(newest_us)
