"""Who sends much at once waits for itself: everybody else's reports are read in between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from collector.log.budgets import Budgets, Costs
from collector.log.commits import Committer
from collector.log.ingest import Ingest, Limits
from collector.log.keys import KeyRing
from collector.log.own_keys import OwnKeys
from collector.log.ticks import SystemClocks, TickClock
from collector.storage.embedded import create_store, open_embedded
from collector.storage.store import StoreInfo
from tests.collector.building import Agent, body, enrolled
from weighbridge.log.entries import EntryKind
from weighbridge.wire.problems import Problem
from weighbridge.wire.signing import Signer, generate_private_key

MANY = 16
ONE, OTHER = Agent("node-1"), Agent("node-2")
HOURLY = Costs(bytes=1 << 30, reports=100, chains=100, findings=100)


@pytest.fixture
async def ingest(tmp_path: Path) -> AsyncIterator[Ingest]:
    create_store(tmp_path / "store", StoreInfo("weighbridge/test"), Signer(generate_private_key()))
    store, signer = open_embedded(tmp_path / "store"), Signer(generate_private_key())
    clock = TickClock(SystemClocks(lambda: 1_000_000, lambda: 0))
    committer = Committer(store, OwnKeys.sole(signer), KeyRing(), clock)
    running = asyncio.create_task(committer.run())
    for agent in (ONE, OTHER):
        agent.start_chain()
        await committer.enter(EntryKind.KEY, enrolled(agent))
    yield Ingest(committer, committer.ring, Limits(), Budgets(HOURLY, lambda: 0.0))
    committer.close()
    await running
    store.close()


async def test_a_tenant_that_sends_much_at_once_makes_no_other_wait(ingest: Ingest) -> None:
    ended: list[str] = []

    async def send(content: bytes, sender: str) -> None:
        with suppress(Problem):
            await ingest.accept(content, None, sender)
        ended.append(sender)

    heavy, honest = body(*[ONE.next(60)] * 8), body(OTHER.next(60))
    sent = [asyncio.create_task(send(heavy, "one")) for _ in range(MANY)]
    await asyncio.sleep(0)
    await asyncio.gather(send(honest, "other"), *sent)
    assert ended.index("other") <= MANY // 4, ended


async def test_of_a_key_that_is_spent_no_large_request_is_read(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ingest.accept(body(*[ONE.next()] * 101), None, "one")
    monkeypatch.setattr("collector.log.ingest.Unpacker.unpack", None)
    with pytest.raises(Problem, match="used up") as caught:
        await ingest.accept(body(ONE.next(60)), None, "one")
    assert caught.value.code == "over_budget"
