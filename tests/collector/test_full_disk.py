"""What the door for reports remembers when the log had no room for it: nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from collector.log.commits import Committer
from collector.log.ingest import Ingest, Limits
from collector.log.keys import KeyRing
from collector.log.own_keys import OwnKeys
from collector.log.ticks import SystemClocks, TickClock
from collector.storage.embedded import create_store, open_embedded
from collector.storage.store import Store, StoreFull, StoreInfo
from tests.collector.building import Agent, body, enrolled
from weighbridge.log.entries import EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Signer, generate_private_key

NEVER_SECONDS = 3600.0


class FillingLog:
    """A log that has no room while `full`."""

    def __init__(self, store: Store) -> None:
        self._log = store.log
        self.full = False
        self.root, self.read, self.node = self._log.root, self._log.read, self._log.node
        self.hand_out, self.proven = self._log.hand_out, self._log.proven

    @property
    def size(self) -> int:
        return self._log.size

    def append(self, leaves: Sequence[bytes]) -> int:
        if self.full:
            raise StoreFull(f"no room for {len(leaves)} leaves")
        return self._log.append(leaves)


class Bench:
    """The door, the log behind it, and one agent that it knows."""

    def __init__(self, store: Store) -> None:
        self.log = FillingLog(store)
        filling = Store(store.info, self.log, store.index, store.ledger)  # type: ignore[arg-type]
        signer = Signer(generate_private_key())
        clock = TickClock(SystemClocks(lambda: 1_000_000, lambda: 0))
        self.committer = Committer(filling, OwnKeys.sole(signer), KeyRing(), clock, NEVER_SECONDS)
        self.ingest = Ingest(self.committer, self.committer.ring, Limits())
        self.agent = Agent("node-1", gpus=1)

    async def report(self, *envelopes: bytes) -> str:
        """The answer: the problem's code, or which inventory is wanted."""
        try:
            receipts = await self.ingest.accept(body(*envelopes), None)
        except Problem as problem:
            return problem.code
        return "inventory wanted" if receipts.want_inventory else "accepted"

    def refusals(self) -> int:
        kinds = [entry.kind for entry in self.log.read(0, 1000)]
        return kinds.count(EntryKind.REFUSAL)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    create_store(tmp_path / "store", StoreInfo("weighbridge/test"), Signer(generate_private_key()))
    store = open_embedded(tmp_path / "store")
    made = Bench(store)
    running = asyncio.create_task(made.committer.run())
    await made.committer.enter(EntryKind.KEY, enrolled(made.agent))
    yield made
    made.committer.close()
    await running
    store.close()


async def test_a_refusal_that_could_not_be_recorded_is_recorded_when_it_comes_again(
    bench: Bench,
) -> None:
    bench.agent.next()
    late = bench.agent.next()
    bench.log.full = True
    assert await bench.report(late) == "overloaded"
    bench.log.full = False
    assert [await bench.report(late) for _ in range(3)] == ["sequence"] * 3
    assert bench.refusals() == 1


async def test_a_refusal_that_repeats_itself_within_one_batch_is_recorded_once(
    bench: Bench,
) -> None:
    bench.agent.next()
    late = bench.agent.next()
    answers = await asyncio.gather(*(bench.report(late) for _ in range(4)))
    assert answers == ["sequence"] * 4
    assert bench.refusals() == 1


async def test_a_report_that_could_not_be_stored_counts_once_when_it_is(bench: Bench) -> None:
    report = bench.agent.next()
    bench.log.full = True
    assert await bench.report(report) == "overloaded"
    assert bench.ingest.counts == {"overloaded": 1}
    bench.log.full = False
    assert await bench.report(report) == "inventory wanted"
    assert await bench.report(report) == "inventory wanted"
    assert bench.ingest.counts == {"overloaded": 1, "accepted": 1, "duplicate": 1}


async def test_an_inventory_that_could_not_be_stored_is_wanted_still(bench: Bench) -> None:
    showing = bench.agent.payload(inventory=bench.agent.inventory())
    bench.log.full = True
    assert await bench.report(bench.agent.seal(showing)) == "overloaded"
    bench.log.full = False
    assert await bench.report(bench.agent.next()) == "inventory wanted"
    shown = bench.agent.next(inventory=bench.agent.inventory())
    assert await bench.report(shown) == "accepted"
