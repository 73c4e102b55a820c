"""Group commit: one task through which everything enters the log.

Whoever wants to enter something submits a plan. The task gathers the plans that wait, lets each one write into
a batch in turn, puts a tick before them, makes the batch durable in a thread, signs one head over it, and
answers them all. While one batch is being made durable, the next one gathers. Plans run one after another, and
none while a batch is under way, so a plan sees exactly what is in the log and in the batch before it.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from collector.log.keys import KINDS, KeyRing
from collector.log.own_keys import OwnKeys
from collector.log.ticks import Anchor, TickClock
from collector.storage.store import (
    Accepted,
    ChainKey,
    EvidenceLog,
    Indexed,
    StorageError,
    Store,
    StoreLost,
)
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import Entry, EntryKind, Tick, entry, payload_type
from weighbridge.wire.clocks import ToldClocks
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import Model, Report, WirePart, encode
from weighbridge.wire.signing import Envelope, Signer, open_envelope

logger = logging.getLogger("weighbridge.commits")

GROUP_BYTES = 8 << 20
FLUSH_ENTRIES = 4096
RETRY_SECONDS = (2, 10)
Outcome = TypeVar("Outcome")
OutcomeOf = TypeVar("OutcomeOf", covariant=True)


@dataclass(frozen=True, slots=True)
class CommittedEntry:
    """An entry that is durable, the tick before it, and the report that ingest read out of it already."""

    entry: Entry
    received_us: int
    report: Report | None


class CommitPlan(Protocol[OutcomeOf]):
    """What one caller wants to enter. `closes`: later plans must see it folded, so it ends its batch."""

    closes: bool
    size_bytes: int

    def enter(self, batch: "CommitBatch") -> OutcomeOf:
        """Write into the batch. May raise Problem; what it wrote before that stays."""
        ...


class OwnEntry:
    """The plan that enters one thing in the collector's own name. Its outcome is the entry's index."""

    closes = True

    def __init__(self, kind: EntryKind, record: Model | WirePart) -> None:
        self.size_bytes = len(encode(record))
        self._kind = kind
        self._record = record

    def enter(self, batch: "CommitBatch") -> int:
        return batch.add_record(self._kind, self._record)


class Leaf:
    """The plan that enters an envelope as it was signed. Its outcome is the entry's index."""

    closes = False

    def __init__(self, kind: EntryKind, leaf: bytes) -> None:
        self.size_bytes = len(leaf)
        self._kind = kind
        self._leaf = leaf

    def enter(self, batch: "CommitBatch") -> int:
        return batch.add_leaf(self._kind, self._leaf)


class CommitBatch:
    """Entries that will become durable together, and the log as they see it."""

    def __init__(self, store: Store, signer: Signer, tick_us: int) -> None:
        self._store = store
        self._signer = signer
        self.first = store.log.size
        self._newest: dict[ChainKey, Accepted] = {}
        self._reports: dict[tuple[ChainKey, int], Accepted] = {}
        self._told: dict[ChainKey, ToldClocks] = {}
        self.tick_us = tick_us
        self.leaves: list[bytes] = []
        self.committed: list[CommittedEntry] = []
        self.indexed: list[Indexed] = []
        self.size_bytes = 0
        self.refusals: dict[str, tuple[str, str]] = {}
        """The last refusal of each key that was entered here, as `RefusalBook` compares them."""
        self._when_durable: list[Callable[[], None]] = []
        self.add_record(EntryKind.TICK, Tick(wall_us=tick_us))

    @property
    def empty(self) -> bool:
        """Whether there is nothing but the tick."""
        return len(self.leaves) == 1

    def _add(self, leaf: bytes, entry: Entry, report: Report | None) -> None:
        self.leaves.append(leaf)
        self.size_bytes += len(leaf)
        self.committed.append(CommittedEntry(entry, self.tick_us, report))

    def add_record(self, kind: EntryKind, record: Model | WirePart) -> int:
        """Enter something in the collector's own name; return its index."""
        leaf = self._signer.seal(payload_type(kind), encode(record))
        index = self.first + len(self.leaves)
        self._add(leaf, entry(index, leaf), None)
        self.indexed.append(Indexed(index, kind, received_us=self.tick_us))
        return index

    def add_leaf(self, kind: EntryKind, leaf: bytes) -> int:
        """Enter an envelope that somebody else signed and the caller has judged; return its index."""
        index = self.first + len(self.leaves)
        self._add(leaf, entry(index, leaf), None)
        self.indexed.append(Indexed(index, kind, received_us=self.tick_us))
        return index

    def add_report(
        self,
        chain: ChainKey,
        leaf: bytes,
        envelope: Envelope,
        report: Report,
        payload_hash: str,
        *,
        whole: bool = True,
    ) -> Accepted:
        """Enter a report that was found to be the next one of its chain; `whole`: as it is to be judged."""
        index = self.first + len(self.leaves)
        self._add(leaf, Entry(index, EntryKind.REPORT, envelope), report if whole else None)
        accepted = Accepted(report.seq, payload_hash, index, self.tick_us)
        self.indexed.append(Indexed(index, EntryKind.REPORT, chain, accepted))
        self._newest[chain] = self._reports[chain, report.seq] = accepted
        self._told[chain] = ToldClocks.of(report)
        return accepted

    def when_durable(self, act: Callable[[], None]) -> None:
        """Do this once the batch is in the log; never, if it cannot be stored. It must be quick, and must not raise."""
        self._when_durable.append(act)

    def became_durable(self) -> None:
        """Runs the callbacks that wait for durability, in order."""
        for act in self._when_durable:
            act()

    def last(self, chain: ChainKey) -> Accepted | None:
        """The newest report of a chain, in the log or in this batch."""
        return self._newest.get(chain) or self._store.index.last(chain)

    def find(self, chain: ChainKey, seq: int) -> Accepted | None:
        return self._reports.get((chain, seq)) or self._store.index.find(chain, seq)

    def told(self, chain: ChainKey) -> ToldClocks | None:
        """What the newest report of a chain said of time, if that is in this batch."""
        return self._told.get(chain)

    def told_before(self, accepted: Accepted) -> ToldClocks:
        """The same of a report that the log holds."""
        [leaf] = self._store.log.leaves(accepted.index, 1)
        return ToldClocks.read(open_envelope(leaf).payload)


@dataclass(frozen=True, slots=True)
class CommitAnswer(Generic[Outcome]):
    """What a plan came to, and the signed head that covers it."""

    outcome: Outcome
    head: Head


def forget(_: Anchor) -> None:
    """Nothing is kept of the clock: it is a simulation's."""


class Committer:
    """The task. `follow` is told of every committed batch, in order, on the event loop.

    `keep` is given the anchor of the clock once the log holds what moved it, in a thread; it must not raise.
    """

    def __init__(
        self,
        store: Store,
        own: OwnKeys,
        ring: KeyRing,
        clock: TickClock,
        tick_seconds: float = 1.0,
        queue_bytes: int = 64 << 20,
        keep: Callable[[Anchor], None] = forget,
    ) -> None:
        self._store = store
        self.own = own
        self.ring = ring
        self.clock = clock
        self._tick_seconds = tick_seconds
        self._queue_bytes = queue_bytes
        self._keep = keep
        self._queue: deque[tuple[CommitPlan[Any], asyncio.Future[CommitAnswer[Any]]]] = deque()
        self._queued_bytes = 0
        self._unflushed = 0
        self._wake = asyncio.Event()
        self._closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._followers: list[Callable[[Sequence[CommittedEntry]], None]] = []
        self._beats: list[Callable[[], None]] = []
        self.head = self._hand_out()
        self.failure: str | None = None

    @property
    def newest_us(self) -> int:
        """The newest tick."""
        return self.clock.newest_us

    @property
    def log(self) -> EvidenceLog:
        """What is durable. Only this task appends to it."""
        return self._store.log

    def last(self, chain: ChainKey) -> Accepted | None:
        """The newest report of a chain that is durable."""
        return self._store.index.last(chain)

    def follow(self, follower: Callable[[Sequence[CommittedEntry]], None]) -> None:
        """Call this with every batch from now on. It must be quick, and must not raise."""
        self._followers.append(follower)

    def on_beat(self, beat: Callable[[], None]) -> None:
        """Call this after each turn of the loop, whether or not it could commit."""
        self._beats.append(beat)

    def refuse_if_congested(self) -> None:
        """Raises Problem while more waits than may wait."""
        if self._queued_bytes > self._queue_bytes:
            raise overloaded("too many reports are waiting")

    async def submit(self, plan: CommitPlan[Outcome]) -> CommitAnswer[Outcome]:
        """Returns when what the plan entered is durable. Raises Problem."""
        if self._closing:
            raise overloaded("the collector is stopping")
        future: asyncio.Future[CommitAnswer[Outcome]] = asyncio.get_running_loop().create_future()
        self._queue.append((plan, future))
        self._queued_bytes += plan.size_bytes
        self._wake.set()
        return await future

    async def enter(self, kind: EntryKind, record: Model | WirePart) -> int:
        """Log something in the collector's own name; durable when it returns its index. Raises Problem."""
        return (await self.submit(OwnEntry(kind, record))).outcome

    async def run(self) -> None:
        """Commit until `close` was called and nothing waits any more. Raises StoreLost: what waits then is refused."""
        try:
            await self._run()
        except StoreLost as error:
            self._closing = True
            while self._queue:
                _resolve(self._queue.popleft()[1], overloaded(str(error)), self.head)
            raise
        finally:
            await self._flush()
            self._thread.shutdown()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + self._tick_seconds
        while self._queue or not self._closing:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()
            # By the clock, not by the want of plans: duplicates and refusals enter nothing, and time must not stop.
            ticks = loop.time() >= due
            if await self._commit(self._gather(), ticks):
                due = loop.time() + self._tick_seconds
            for beat in self._beats:
                beat()

    def close(self) -> None:
        """Take nothing more, and let `run` end when it has answered what waits."""
        self._closing = True
        self._wake.set()

    def _gather(self) -> list[tuple[CommitPlan[Any], asyncio.Future[CommitAnswer[Any]]]]:
        group = []
        size_bytes = 0
        while self._queue and size_bytes < GROUP_BYTES:
            plan, future = self._queue.popleft()
            size_bytes += plan.size_bytes
            group.append((plan, future))
            if plan.closes:
                break
        self._queued_bytes -= size_bytes
        if not self._queue and not self._closing:
            self._wake.clear()
        return group

    async def _commit(
        self,
        group: Sequence[tuple[CommitPlan[Any], asyncio.Future[CommitAnswer[Any]]]],
        ticks: bool,
    ) -> bool:
        """Whether a batch was tried: one of plans that enter nothing only if it `ticks`."""
        batch = CommitBatch(self._store, self.own.signer, self.clock.next_us())
        anchor = self.clock.anchor
        if self.clock.due is not None:
            batch.add_record(EntryKind.CLOCK, self.clock.due)
            batch.when_durable(partial(self.clock.told, self.clock.due))
        entered = [(future, _enter(plan, batch)) for plan, future in group]
        tried = ticks or not batch.empty
        lost: StoreLost | None = None
        try:
            if tried:
                await self._in_thread(self._make_durable, batch, anchor)
                self._publish(batch)
            batch.became_durable()
        except StorageError as error:
            self._fail(str(error))
            lost = error if isinstance(error, StoreLost) else None
            problem = overloaded(f"nothing can be stored: {error}")
            entered = [(future, problem) for future, _ in entered]
        for future, outcome in entered:
            _resolve(future, outcome, self.head)
        if lost is not None:
            raise lost
        if self._unflushed >= FLUSH_ENTRIES:
            await self._flush()
        return tried

    def _make_durable(self, batch: CommitBatch, anchor: Anchor) -> None:
        self._store.log.append(batch.leaves)
        self.head = self._hand_out()
        self._keep(anchor)

    def _hand_out(self) -> Head:
        """The head over the whole log, kept beside it before anybody is told."""
        log = self._store.log
        origin, now_us = self._store.info.origin, self.clock.newest_us
        head = self.own.sign_head(origin, log.size, log.root(), now_us)
        log.hand_out(head)
        return head

    def _publish(self, batch: CommitBatch) -> None:
        if self.failure is not None:
            logger.warning("storing again after: %s", self.failure)
            self.failure = None
        self._store.index.record(batch.indexed)
        self._unflushed += len(batch.indexed)
        for committed in batch.committed:
            if committed.entry.kind in KINDS:
                self.ring.fold(committed.entry)
        for follower in self._followers:
            follower(batch.committed)

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            logger.error("nothing can be stored: %s", reason)
        self.failure = reason

    async def _flush(self) -> None:
        try:
            await self._in_thread(self._store.index.flush)
        except StorageError as error:
            logger.warning("the index lags behind the log: %s", error)
        self._unflushed = 0

    async def _in_thread(self, call: Callable[..., None], *arguments: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


def overloaded(detail: str) -> Problem:
    """503, to be tried again after a while that differs from caller to caller."""
    return Problem("overloaded", detail, retry_after_seconds=random.randint(*RETRY_SECONDS))  # noqa: S311


def _enter(plan: CommitPlan[Outcome], batch: CommitBatch) -> Outcome | Problem:
    try:
        return plan.enter(batch)
    except Problem as problem:
        return problem
    except Exception as error:
        logger.exception("a plan failed, and is refused; everybody else's goes on")
        return Problem("internal", f"it cannot be entered: {type(error).__name__}")


def _resolve(future: "asyncio.Future[CommitAnswer[Any]]", outcome: object, head: Head) -> None:
    """Answer, unless the caller went away."""
    if future.done():
        return
    if isinstance(outcome, Problem):
        future.set_exception(outcome)
    else:
        future.set_result(CommitAnswer(outcome, head))
