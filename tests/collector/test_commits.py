"""Group commit: one order, one tick before each batch, an answer for everyone, and a clock that never goes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from collector.api.contracts import ContractAddition
from collector.api.health import HealthApi
from collector.judging.follower import HELD_SAMPLES, MOST_UNWRITTEN, LogFollower
from collector.judging.live import LiveFleet
from collector.judging.writer import LedgerWriter
from collector.log.anchor import AnchorFile, load_anchor
from collector.log.commits import CommitBatch, CommittedEntry, Committer
from collector.log.ingest import Ingest, Limits
from collector.log.keys import KeyRing
from collector.log.own_keys import OwnKeys
from collector.log.ticks import SystemClocks, TickClock
from collector.serving import problems
from collector.storage.embedded import create_store, open_embedded
from collector.storage.store import (
    ChainKey,
    EvidenceLog,
    StorageError,
    Store,
    StoreFull,
    StoreInfo,
    StoreLost,
)
from tests.collector.building import CONTRACT, Agent, enrolled
from weighbridge.log.checkpoint import Head
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.report import decode, digest
from weighbridge.wire.signing import Signer, generate_private_key, open_envelope

SIGNER = Signer(generate_private_key())
HOUR_US = 3_600_000_000
NEVER_SECONDS = 3600.0
OneStore = Callable[[], Store]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    create_store(tmp_path / "store", StoreInfo("weighbridge/test"), SIGNER)
    return open_embedded(tmp_path / "store")


def committer(store: Store, queue_bytes: int = 1 << 20) -> Committer:
    clock = TickClock(SystemClocks(lambda: 1_000_000, lambda: 0))
    return Committer(store, OwnKeys.sole(SIGNER), KeyRing(), clock, NEVER_SECONDS, queue_bytes)


@asynccontextmanager
async def running(committing: Committer) -> AsyncIterator[None]:
    task = asyncio.create_task(committing.run())
    yield
    committing.close()
    await task


class Assigning:
    """A plan that enters one assignment."""

    closes = False
    size_bytes = 100

    def __init__(self, node: str) -> None:
        self.assignment = Assignment(contract="lease", node=node, devices=None)

    def enter(self, batch: CommitBatch) -> int:
        return batch.add_record(EntryKind.ASSIGNMENT, self.assignment)


def kinds(store: Store) -> list[EntryKind]:
    return [entry.kind for entry in store.log.read(0, 1000)]


async def test_an_anchor_that_cannot_be_kept_stops_no_commit_and_is_kept_later(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "gone" / "clock"
    clock = TickClock(SystemClocks(lambda: 1_000_000, lambda: 0))
    committing = Committer(
        store, OwnKeys.sole(SIGNER), KeyRing(), clock, NEVER_SECONDS, keep=AnchorFile(file).keep
    )
    async with running(committing), asyncio.timeout(60):
        for node in ("n0", "n1"):
            await committing.submit(Assigning(node))
        assert caplog.text.count("anchor is not kept") == 1
        file.parent.mkdir()
        await committing.submit(Assigning("n2"))
    assert load_anchor(file) == clock.anchor
    store.close()


async def test_what_waits_together_is_committed_together_behind_one_tick(store: Store) -> None:
    committing = committer(store)
    followed: list[Sequence[CommittedEntry]] = []
    committing.follow(followed.append)
    waiting = [asyncio.create_task(committing.submit(Assigning(f"n{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    async with running(committing):
        answers = await asyncio.gather(*waiting)
    assert [answer.outcome for answer in answers] == [1, 2, 3]
    assert {answer.head.size for answer in answers} == {4}
    assert kinds(store) == [EntryKind.TICK] + [EntryKind.ASSIGNMENT] * 3
    assert [[one.entry.index for one in batch] for batch in followed] == [[0, 1, 2, 3]]
    assert {assignment.node for assignment in committing.ring.assignments()} == {"n0", "n1", "n2"}
    store.close()


async def test_a_plan_that_closes_is_seen_by_the_next_one(store: Store) -> None:
    committing = committer(store)
    closing = Assigning("n0")
    closing.closes = True
    waiting = [asyncio.create_task(committing.submit(one)) for one in (closing, Assigning("n1"))]
    await asyncio.sleep(0)
    async with running(committing):
        await asyncio.gather(*waiting)
    assert kinds(store) == [EntryKind.TICK, EntryKind.ASSIGNMENT] * 2
    store.close()


class Failing(Assigning):
    """A plan with a fault that nobody foresaw."""

    def enter(self, batch: CommitBatch) -> int:
        return super().enter(batch) // 0


async def test_a_plan_that_fails_is_refused_and_stops_nobody(store: Store) -> None:
    committing = committer(store)
    plans = (Assigning("n0"), Failing("n1"), Assigning("n2"))
    waiting = [asyncio.create_task(committing.submit(one)) for one in plans]
    await asyncio.sleep(0)
    async with running(committing):
        before, failed, after = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(failed, Problem)
    assert failed.code == "internal"
    assert [getattr(one, "outcome", None) for one in (before, after)] == [1, 3]
    store.close()


async def test_a_caller_that_goes_away_takes_nothing_with_it(store: Store) -> None:
    committing = committer(store)
    gone = asyncio.create_task(committing.submit(Assigning("gone")))
    stays = asyncio.create_task(committing.submit(Assigning("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    async with running(committing):
        assert (await stays).outcome == 2
    store.close()


async def test_too_much_that_waits_is_refused_with_a_wait_that_differs(store: Store) -> None:
    committing = committer(store, queue_bytes=150)
    committing.refuse_if_congested()
    waiting = [asyncio.create_task(committing.submit(Assigning("n"))) for _ in range(2)]
    await asyncio.sleep(0)
    waits = set()
    for _ in range(50):
        with pytest.raises(Problem) as caught:
            committing.refuse_if_congested()
        assert caught.value.code == "overloaded"
        waits.add(caught.value.retry_after_seconds)
    assert len(waits) > 2
    async with running(committing):
        await asyncio.gather(*waiting)
        committing.refuse_if_congested()
    store.close()


class Repeating:
    """A plan that enters nothing, as a duplicate report does."""

    closes = False
    size_bytes = 100

    def enter(self, batch: CommitBatch) -> None:
        del batch


async def test_plans_that_enter_nothing_do_not_stop_the_clock(store: Store) -> None:
    clock = TickClock(SystemClocks(lambda: 1_000_000, lambda: 0))
    committing = Committer(store, OwnKeys.sole(SIGNER), KeyRing(), clock, tick_seconds=0.02)
    async with running(committing), asyncio.timeout(60):
        while store.log.size < 3:
            await committing.submit(Repeating())
    assert set(kinds(store)) == {EntryKind.TICK}
    store.close()


async def test_once_closing_it_takes_nothing_more(store: Store) -> None:
    committing = committer(store)
    async with running(committing):
        await committing.enter(EntryKind.ASSIGNMENT, Assigning("n").assignment)
    with pytest.raises(Problem, match="overloaded"):
        await committing.submit(Assigning("late"))
    store.close()


class FullLog:
    """A log without room."""

    def __init__(self, store: Store) -> None:
        self.size = store.log.size
        self.root = store.log.root

    def hand_out(self, head: Head) -> None:
        """There is room for that."""

    def append(self, leaves: Sequence[bytes]) -> int:
        raise StoreFull(f"no room for {len(leaves)} leaves")


async def test_a_failed_commit_answers_everyone_and_folds_nothing(store: Store) -> None:
    full = Store(store.info, FullLog(store), store.index, store.ledger)  # type: ignore[arg-type]
    committing = committer(full)
    async with running(committing):
        with pytest.raises(Problem) as caught:
            await committing.submit(Assigning("n"))
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after_seconds is not None
    assert committing.failure == "no room for 2 leaves"
    assert committing.ring.assignments() == []
    store.close()


async def test_a_writer_that_lost_the_store_answers_everyone_and_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the batch that it tried, those that wait behind it, and who comes later."""

    def lost(_: EvidenceLog, leaves: Sequence[bytes]) -> int:
        raise StoreLost(f"another process writes it: {len(leaves)} leaves are not kept")

    monkeypatch.setattr(type(store.log), "append", lost)
    committing = committer(store)
    closing = Assigning("n0")
    closing.closes = True
    waiting = [asyncio.create_task(committing.submit(one)) for one in (closing, Assigning("n1"))]
    await asyncio.sleep(0)
    with pytest.raises(StoreLost):
        await committing.run()
    for refused in (*waiting, committing.submit(Assigning("n2"))):
        with pytest.raises(Problem) as problem:
            await refused
        assert problem.value.status == 503
    store.close()


async def test_a_judge_that_fails_never_stops_the_evidence(store: Store) -> None:
    writer = LedgerWriter(store)
    writer.folded = 99
    judging = LogFollower(writer, store)
    committing = committer(store)
    committing.follow(judging.follow)
    async with running(committing):
        await committing.submit(Assigning("n0"))
        assert (await committing.submit(Assigning("n1"))).outcome == 3
    assert judging.failure is not None
    store.close()


class Reporting:
    """A plan that enters an agent's key and large reports of it."""

    closes = False
    size_bytes = 100

    def __init__(self, reports: int, samples: int) -> None:
        self.agent = Agent("n1", gpus=1)
        self.leaves = [self.agent.next(samples) for _ in range(reports)]

    def enter(self, batch: CommitBatch) -> int:
        index = batch.add_record(EntryKind.KEY, enrolled(self.agent))
        for leaf in self.leaves:
            envelope = open_envelope(leaf)
            report = decode(envelope.payload)
            chain = ChainKey(envelope.key_id, report.chain, report.stream)
            batch.add_report(chain, leaf, envelope, report, digest(envelope.payload))
        return index


@asynccontextmanager
async def judged(
    store: Store, writer: LedgerWriter, held_samples: int = HELD_SAMPLES
) -> AsyncIterator[tuple[LogFollower, Committer]]:
    """A commit loop that a judge follows; the judge's own task is for the test to start.

    Its clock moves by a slice whenever it is looked at: each step is a slice of its own.
    """
    turns = count()
    judging = LogFollower(writer, store, held_samples, lambda: next(turns))
    committing = committer(store)
    committing.follow(judging.follow)
    async with running(committing):
        yield judging, committing


@asynccontextmanager
async def at_work(judging: LogFollower) -> AsyncIterator[None]:
    task = asyncio.create_task(judging.run())
    yield
    judging.close()
    await task


async def until(condition: Callable[[], bool]) -> None:
    """Let the others go on until it is so; within the caller's timeout."""
    while not condition():  # noqa: ASYNC110  # the judge tells nobody of each entry
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "held_samples", [HELD_SAMPLES, 0], ids=["held in memory", "read from the log again"]
)
async def test_a_large_commit_is_judged_piece_by_piece_behind_those_who_wait(
    store: Store, held_samples: int
) -> None:
    writer = LedgerWriter(store)
    async with judged(store, writer, held_samples) as (judging, committing):
        await committing.submit(Reporting(14, 400))
        assert (writer.folded, judging.behind) == (0, True)
        await committing.submit(Assigning("small-behind-the-large"))
        assert writer.folded == 0
        seen = set()
        async with at_work(judging), asyncio.timeout(60):
            while judging.behind:
                seen.add(writer.folded)
                await asyncio.sleep(0)
        assert len(seen) >= 14
        assert writer.folded == store.log.size == store.ledger.folded()
        assert judging.failure is None
        await committing.submit(Assigning("small"))
        assert writer.folded == store.log.size
    store.close()


async def test_told_to_end_it_writes_what_it_judged_and_leaves_the_rest_to_the_next_start(
    store: Store,
) -> None:
    writer = LedgerWriter(store)
    async with judged(store, writer) as (judging, committing):
        await committing.submit(Reporting(8, 400))
        async with at_work(judging), asyncio.timeout(60):
            await until(lambda: writer.folded >= 3)
        assert 3 <= writer.folded < store.log.size
        assert store.ledger.folded() == writer.folded
    again = LedgerWriter(store)
    await LogFollower(again, store).catch_up()
    assert again.folded == store.log.size
    store.close()


async def test_a_start_judges_for_so_long_and_the_rest_beside_what_comes_in(store: Store) -> None:
    async with judged(store, LedgerWriter(store)) as (_, committing):
        await committing.submit(Reporting(8, 400))
        size = store.log.size
        again = LedgerWriter(store)
        later = LogFollower(again, store)
        await later.catch_up(within_seconds=0)
        left = f"judging is behind the log by {size - again.folded} entries"
        assert (later.behind, list(later.remarks())) == (True, [left])
        committing.follow(later.follow)
        await committing.submit(Assigning("meanwhile"))
        assert again.folded < size < store.log.size
        async with at_work(later), asyncio.timeout(60):
            await later.caught_up()
        assert (again.folded, list(later.remarks())) == (store.log.size, [])
        assert store.ledger.folded() == store.log.size
    store.close()


@pytest.mark.parametrize(
    ("unwritten", "written"), [(MOST_UNWRITTEN - 1, False), (MOST_UNWRITTEN, True)]
)
async def test_a_ledger_that_lags_by_much_is_written_before_its_turn(
    store: Store, monkeypatch: pytest.MonkeyPatch, unwritten: int, written: bool
) -> None:
    monkeypatch.setattr(LedgerWriter, "unwritten", unwritten)
    async with judged(store, LedgerWriter(store)) as (judging, committing):
        await committing.submit(Reporting(8, 400))
        async with at_work(judging), asyncio.timeout(60):
            await until(lambda: not judging.behind)
            assert (store.ledger.folded() > 0) == written
    store.close()


async def test_a_contract_is_not_added_while_judgement_is_behind(store: Store) -> None:
    writer = LedgerWriter(store)
    added = ContractAdded(contract="lease", version=1, text=CONTRACT, from_us=0)
    async with judged(store, writer) as (judging, committing):
        await committing.submit(Reporting(8, 400))
        with pytest.raises(Problem, match="judgement is behind") as caught:
            await committing.submit(ContractAddition(added, LiveFleet(writer.judgement), judging))
        assert caught.value.code == "overloaded"
        assert caught.value.retry_after_seconds is not None
        async with at_work(judging), asyncio.timeout(60):
            await until(lambda: not judging.behind)
        await committing.submit(ContractAddition(added, LiveFleet(writer.judgement), judging))
        assert list(LiveFleet(writer.judgement).contracts) == ["lease"]
        with pytest.raises(Problem, match="conflict"):
            await committing.submit(ContractAddition(added, LiveFleet(writer.judgement), judging))
    store.close()


async def test_a_judge_that_fails_on_what_waited_stops_and_says_where(store: Store) -> None:
    writer = LedgerWriter(store)
    async with judged(store, writer) as (judging, committing):
        await committing.submit(Reporting(8, 400))
        writer.folded = 2
        async with at_work(judging), asyncio.timeout(60):
            await until(lambda: judging.failure is not None)
        assert str(judging.failure).startswith("judging stopped at entry 2: ValueError: entry 0")
        assert judging.behind
        await committing.submit(Assigning("kept-all-the-same"))
    store.close()


class Judge:
    """One that says what it is told to say."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.said: list[str] = []

    def remarks(self) -> list[str]:
        return self.said


async def test_whoever_asks_is_told_what_the_store_cannot_do() -> None:
    async def fails(_: web.Request) -> web.Response:
        raise StorageError("the database is away")

    application = web.Application(middlewares=[problems])
    application.router.add_get("/", fails)
    async with TestClient(TestServer(application)) as client, client.get("/") as answer:
        told = await answer.json()
    assert (answer.status, told["detail"]) == (500, "the database is away")


async def test_it_is_ready_until_judging_stops(store: Store) -> None:
    judge, committing = Judge(), committer(store)
    health = HealthApi(store.log, committing, judge, lambda: 7)
    application = web.Application(middlewares=[problems])
    application.router.add_get("/readyz", health.ready)
    application.router.add_get("/v1/status", health.status)
    async with TestClient(TestServer(application)) as client, running(committing):
        assert await (await client.get("/readyz")).text() == "ok\n"
        judge.said.append("judging is behind the log by 7 entries")
        answer = await client.get("/readyz")
        assert (answer.status, await answer.text()) == (
            200,
            "ok\njudging is behind the log by 7 entries\n",
        )
        judge.failure = "judging stopped at entry 7: KeyError: 'x'"
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert (await answer.json())["detail"] == judge.failure
        told = await (await client.get("/v1/status")).json()
        assert told == {
            "judged_us": 7,
            "newest_us": committing.newest_us,
            "stopped": judge.failure,
            "remarks": judge.said,
        }
    store.close()


class BrokenLedger:
    """A ledger with an error of its own."""

    def write(self, *_: object) -> None:
        raise KeyError("no such column")


async def test_a_ledger_that_breaks_stops_the_judge_and_is_named(store: Store) -> None:
    writer = LedgerWriter(store)
    broken = Store(store.info, store.log, store.index, BrokenLedger())  # type: ignore[arg-type]
    judging = LogFollower(writer, broken)
    await judging.write()
    assert judging.failure is not None
    assert "the ledger cannot be written: KeyError" in judging.failure
    store.close()


async def test_between_large_reports_of_one_request_everybody_else_gets_a_turn(
    store: Store,
) -> None:
    """Whoever is being challenged then is timed by the same loop."""
    agent = Agent("n1", gpus=8)
    committing = committer(store)
    ingest = Ingest(committing, committing.ring, Limits())
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(others())
    async with running(committing):
        await committing.enter(EntryKind.KEY, enrolled(agent))
        reports = [agent.next(samples=2000) for _ in range(8)]
        assert min(map(len, reports)) > 256 << 10
        before = turns
        await ingest._examine(reports)
        assert turns - before >= 8
    beside.cancel()
    store.close()
