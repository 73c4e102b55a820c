"""Group commit: one order, one tick before each batch, an answer for everyone, and a clock that never goes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.commits import Batch, Committed, Committer, TickClock
from collector.driver import Driver
from collector.judging import Judging
from collector.keys import KeyRing
from collector.problems import Problem
from collector.storage import Store, StoreFull, StoreInfo
from collector.storage.embedded import create_store, open_embedded
from weighbridge.evidence import Claim, EntryKind
from weighbridge.signing import Signer, generate_private_key

SIGNER = Signer(generate_private_key())
HOUR_US = 3_600_000_000
NEVER_SECONDS = 3600.0
OneStore = Callable[[], Store]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    create_store(tmp_path / "store", StoreInfo("weighbridge/test", simulation=False))
    return open_embedded(tmp_path / "store")


def committer(store: Store, queue_bytes: int = 1 << 20) -> Committer:
    clock = TickClock(lambda: 1_000_000, lambda: 0)
    return Committer(store, SIGNER, KeyRing(), clock, NEVER_SECONDS, queue_bytes)


@asynccontextmanager
async def running(committing: Committer) -> AsyncIterator[None]:
    task = asyncio.create_task(committing.run())
    yield
    committing.close()
    await task


class Claiming:
    """A plan that enters one claim."""

    closes = False
    size_bytes = 100

    def __init__(self, node: str) -> None:
        self.claim = Claim(contract="lease", node=node, devices=None)

    def enter(self, batch: Batch) -> int:
        return batch.add_record(EntryKind.CLAIM, self.claim)


def kinds(store: Store) -> list[EntryKind]:
    return [entry.kind for entry in store.log.read(0, 1000)]


async def test_what_waits_together_is_committed_together_behind_one_tick(store: Store) -> None:
    committing = committer(store)
    followed: list[Sequence[Committed]] = []
    committing.follow(followed.append)
    waiting = [asyncio.create_task(committing.submit(Claiming(f"n{n}"))) for n in range(3)]
    await asyncio.sleep(0)
    async with running(committing):
        answers = await asyncio.gather(*waiting)
    assert [answer.outcome for answer in answers] == [1, 2, 3]
    assert {answer.head.size for answer in answers} == {4}
    assert kinds(store) == [EntryKind.TICK] + [EntryKind.CLAIM] * 3
    assert [[one.entry.index for one in batch] for batch in followed] == [[0, 1, 2, 3]]
    assert {claim.node for claim in committing.ring.claims()} == {"n0", "n1", "n2"}
    store.close()


async def test_a_plan_that_closes_is_seen_by_the_next_one(store: Store) -> None:
    committing = committer(store)
    closing = Claiming("n0")
    closing.closes = True
    waiting = [asyncio.create_task(committing.submit(one)) for one in (closing, Claiming("n1"))]
    await asyncio.sleep(0)
    async with running(committing):
        await asyncio.gather(*waiting)
    assert kinds(store) == [EntryKind.TICK, EntryKind.CLAIM] * 2
    store.close()


async def test_a_caller_that_goes_away_takes_nothing_with_it(store: Store) -> None:
    committing = committer(store)
    gone = asyncio.create_task(committing.submit(Claiming("gone")))
    stays = asyncio.create_task(committing.submit(Claiming("stays")))
    await asyncio.sleep(0)
    gone.cancel()
    async with running(committing):
        assert (await stays).outcome == 2
    store.close()


async def test_too_much_that_waits_is_refused_with_a_wait_that_differs(store: Store) -> None:
    committing = committer(store, queue_bytes=150)
    committing.refuse_if_congested()
    waiting = [asyncio.create_task(committing.submit(Claiming("n"))) for _ in range(2)]
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

    def enter(self, batch: Batch) -> None:
        del batch


async def test_plans_that_enter_nothing_do_not_stop_the_clock(store: Store) -> None:
    clock = TickClock(lambda: 1_000_000, lambda: 0)
    committing = Committer(store, SIGNER, KeyRing(), clock, tick_seconds=0.02)
    async with running(committing), asyncio.timeout(60):
        while store.log.size < 3:
            await committing.submit(Repeating())
    assert set(kinds(store)) == {EntryKind.TICK}
    store.close()


async def test_once_closing_it_takes_nothing_more(store: Store) -> None:
    committing = committer(store)
    async with running(committing):
        await committing.enter(EntryKind.CLAIM, Claiming("n").claim)
    with pytest.raises(Problem, match="overloaded"):
        await committing.submit(Claiming("late"))
    store.close()


class FullLog:
    """A log without room."""

    def __init__(self, store: Store) -> None:
        self.size = store.log.size
        self.root = store.log.root

    def append(self, leaves: Sequence[bytes]) -> int:
        raise StoreFull(f"no room for {len(leaves)} leaves")


async def test_a_failed_commit_answers_everyone_and_folds_nothing(store: Store) -> None:
    full = Store(store.info, FullLog(store), store.index, store.ledger)  # type: ignore[arg-type]
    committing = committer(full)
    async with running(committing):
        with pytest.raises(Problem) as caught:
            await committing.submit(Claiming("n"))
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after_seconds is not None
    assert committing.failure == "no room for 2 leaves"
    assert committing.ring.claims() == []
    store.close()


async def test_a_judge_that_fails_never_stops_the_evidence(store: Store) -> None:
    driver = Driver(store)
    driver.folded = 99
    judging = Judging(driver, store)
    committing = committer(store)
    committing.follow(judging.follow)
    async with running(committing):
        await committing.submit(Claiming("n0"))
        assert (await committing.submit(Claiming("n1"))).outcome == 3
    assert judging.failure is not None
    store.close()


class Clocks:
    """The wall's clock and the monotonic one, set by hand."""

    def __init__(self) -> None:
        self.wall_us = 0
        self.monotonic_us = 0
        self.ticking = TickClock(lambda: self.wall_us, lambda: self.monotonic_us)

    def tick(self, wall_us: int, monotonic_us: int) -> int:
        self.wall_us, self.monotonic_us = wall_us, monotonic_us
        return self.ticking.next()


def ticks(steps: list[tuple[int, int]]) -> list[int]:
    """Ticks of a clock that sees these (wall, monotonic) times."""
    clocks = Clocks()
    return [clocks.tick(*step) for step in steps]


@given(st.lists(st.tuples(st.integers(0, 10 * HOUR_US), st.integers(0, HOUR_US)), max_size=30))
def test_ticks_never_go_back(moves: list[tuple[int, int]]) -> None:
    monotonic = 0
    steps = []
    for wall, passed in moves:
        monotonic += passed
        steps.append((wall, monotonic))
    found = ticks(steps)
    assert found == sorted(found)


def test_a_clock_set_back_is_waited_for_at_half_speed() -> None:
    second = 1_000_000
    wall = 10 * HOUR_US
    steps = [(wall, 0), (wall - HOUR_US, 0)]
    steps += [
        (wall - HOUR_US + after, after) for after in (second, HOUR_US, 2 * HOUR_US, 3 * HOUR_US)
    ]
    found = ticks(steps)
    assert found[:3] == [wall, wall, wall + second // 2]
    assert found[3] == wall + HOUR_US // 2
    assert found[-2:] == [wall + HOUR_US, wall + 2 * HOUR_US]


def test_a_clock_set_forward_is_followed_at_once() -> None:
    assert ticks([(1, 0), (HOUR_US, 1)]) == [1, HOUR_US]
