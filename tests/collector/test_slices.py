"""A large entry is judged in many slices: everything else gets its turn, and the ledger is written between entries."""

import asyncio
import threading
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from collector import app
from collector.config import load_config
from collector.judging import follower as follower_module
from collector.judging import writer as writer_module
from collector.judging.follower import LogFollower
from collector.judging.writer import LedgerWriter
from collector.log.commits import CommitBatch, CommittedEntry
from collector.storage.store import ChainKey
from tests.collector.building import SECOND_US, Agent, log_signer, make_store, opened
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.wire.report import decode, digest
from weighbridge.wire.signing import open_envelope

SAMPLES = 1100


def story() -> Log:
    node, log = ScriptedNode(gpus=2), Log()
    log.tick(0)
    log.contract(contract_text())
    log.assign(node.name)
    log.tick(SAMPLES)
    log.report(node.report(range(SAMPLES)))
    return log


def test_an_entry_of_many_samples_gives_way_and_is_written_whole(tmp_path: Path) -> None:
    log, turns = story(), count()

    async def judged(follower: LogFollower) -> int:
        working = asyncio.create_task(follower.run())
        committed = [CommittedEntry(entry, 0, None) for entry in log.entries]
        committed[-1] = CommittedEntry(log.entries[-1], 0, decode(log.entries[-1].envelope.payload))
        follower.follow(committed)
        given = 0
        while follower.behind:
            given += 1
            await asyncio.sleep(0)
        follower.close()
        await working
        return given

    with opened(make_store(tmp_path / "store")) as store:
        store.log.append(log.leaves[store.log.size :])
        writer = LedgerWriter(store)
        # A clock that moves by a slice whenever it is looked at: each step is a slice of its own.
        follower = LogFollower(writer, store, monotonic_s=lambda: next(turns))
        given = asyncio.run(judged(follower))
        assert given > SAMPLES
        assert store.ledger.folded() == len(log.entries)
        assert writer.judgement.folds.states["n1"].last_sample_us is not None


def test_what_an_entry_brings_is_taken_in_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, log = ScriptedNode(gpus=2), Log()
    log.tick(0)
    log.contract(contract_text())
    log.assign(node.name)
    log.report(node.report([20], events=[stepped(second) for second in range(20)]))
    steps, found = [], []
    for at_once in (1, 1000):
        monkeypatch.setattr(writer_module, "TAKEN_AT_ONCE", at_once)
        with opened(make_store(tmp_path / str(at_once))) as store:
            writer = LedgerWriter(store)
            for one in log.entries[:-1]:
                writer.fold(one)
            writer.begin(log.entries[-1])
            steps.append(0)
            while writer.midway:
                writer.go_on()
                steps[-1] += 1
            found.append((writer.folded, list(writer.judgement.findings)))
    assert found[0] == found[1]
    assert len(found[0][1]) >= 20
    assert steps[0] - steps[1] >= 19


async def level(follower: LogFollower) -> None:
    for _ in count():
        if not follower.behind or follower.failure is not None:
            return
        await asyncio.sleep(0)


async def test_what_was_read_before_it_was_told_of_is_judged_once(tmp_path: Path) -> None:
    """Commits are durable before judging hears of them, so the log may be read further than that."""
    log, node = story(), ScriptedNode(seq=1, prev="0" * 64)
    large = len(log.entries)
    for second in range(2):
        log.tick(SAMPLES + second)
    small = len(log.entries)
    log.report(node.report(range(SAMPLES, 2 * SAMPLES)))
    committed = [CommittedEntry(entry, 0, None) for entry in log.entries]
    with opened(make_store(tmp_path / "store")) as store:
        follower = LogFollower(LedgerWriter(store), store, held_samples=0)
        working = asyncio.create_task(follower.run())
        store.log.append(log.leaves[:small])
        for start, stop in ((0, large), (large, small), (small, len(committed))):
            store.log.append(log.leaves[store.log.size : stop])
            follower.follow(committed[start:stop])
            await level(follower)
        follower.close()
        await working
        assert follower.failure is None
        assert store.ledger.folded() == len(committed)


async def test_nothing_is_begun_while_as_much_as_may_wait_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is slower than the judge would fill the memory with findings."""
    monkeypatch.setattr(follower_module, "MOST_UNWRITTEN", 1)
    monkeypatch.setattr(follower_module, "AT_ONCE_SAMPLES", -1)
    log, begun, ended = Log(), threading.Event(), threading.Event()
    log.tick(0)
    log.contract(contract_text())
    node = ScriptedNode(gpus=2)
    log.assign(node.name)
    for second in range(100):
        log.tick(second + 1)
        log.report(node.report([second], events=[stepped(second)]))
    with opened(make_store(tmp_path / "store")) as store:
        store.log.append(log.leaves[store.log.size :])
        writer, write = LedgerWriter(store), store.ledger.write

        def slow(*batch: Any) -> None:
            begun.set()
            ended.wait()
            write(*batch)

        monkeypatch.setattr(store.ledger, "write", slow)
        turns = count()
        follower = LogFollower(writer, store, monotonic_s=lambda: next(turns))
        working = asyncio.create_task(follower.run())
        follower.follow([CommittedEntry(entry, 0, None) for entry in log.entries])
        await asyncio.to_thread(begun.wait)
        folded = writer.folded
        for _ in range(1000):
            await asyncio.sleep(0)
        waiting = writer.folded
        ended.set()
        assert waiting == folded < len(log.entries)
        await level(follower)
        follower.close()
        await working
        assert store.ledger.folded() == len(log.entries)


async def test_a_collector_opens_its_doors_before_all_that_it_finds_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "START_SECONDS", 0)
    agent = Agent("n1", gpus=8)
    directory = make_store(tmp_path / "store", [agent])
    with opened(directory) as store:
        batch = CommitBatch(store, log_signer(directory), 1_700_000_001 * SECOND_US)
        for _ in range(20):
            enter(batch, agent, samples=400)
        store.log.append(batch.leaves)
        store.index.record(batch.indexed)
    config = load_config(directory / "config.toml", {})
    async with app.running(config, public=True) as collector:
        assert collector.url
        assert collector.store.ledger.folded() == 0
    with opened(directory) as store:
        assert store.ledger.folded() > 0


def stepped(second: int) -> dict[str, Any]:
    """An event that is a finding by itself."""
    instant_us = (1000 + second) * SECOND_US
    told = {"boottime_us": instant_us, "code": None, "detail": "", "device": None}
    return told | {"kind": "clock_stepped", "source": "agent"}


def enter(batch: CommitBatch, agent: Agent, samples: int) -> None:
    """A large report."""
    leaf = agent.next(samples)
    envelope = open_envelope(leaf)
    report = decode(envelope.payload)
    chain = ChainKey(envelope.key_id, report.chain, report.stream)
    batch.add_report(chain, leaf, envelope, report, digest(envelope.payload))
