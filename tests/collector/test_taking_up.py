"""What an older judge failed at is judged again behind open doors, beside what comes in."""

import asyncio
from itertools import count
from pathlib import Path

import pytest

from collector.judging.follower import LogFollower
from collector.judging.live import LiveFleet
from collector.judging.writer import LedgerWriter
from collector.log.commits import CommittedEntry
from collector.storage.store import Store
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import Log, ScriptedNode
from tests.weighbridge.test_quarantine import judged_by, planted, story
from weighbridge.judge.ledger import JUDGING_FAILED


def failed(writer: LedgerWriter) -> int:
    found = LiveFleet(writer.judgement).findings()
    return sum(one.code == JUDGING_FAILED for one in found)


async def level(follower: LogFollower) -> None:
    for _ in range(100_000):
        if not list(follower.remarks()):
            return
        await asyncio.sleep(0)


async def test_a_report_that_comes_meanwhile_is_judged_before_all_of_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = count()
    with opened(make_store(tmp_path / "store")) as store:
        with monkeypatch.context() as broken:
            planted(broken)
            log = story()
            store.log.append(log.leaves[store.log.size :])
            older = LogFollower(LedgerWriter(store), store)
            await older.catch_up()
        judged_by(monkeypatch, "judge/next")
        writer = LedgerWriter(store)
        # A clock that moves by a slice whenever it is looked at: no time at all to judge before the doors open.
        follower = LogFollower(writer, store, monotonic_s=lambda: next(turns))
        await follower.catch_up(0)
        assert failed(writer) == 1
        assert [line for line in follower.remarks() if "judged again" in line]
        working = asyncio.create_task(follower.run())
        comes(log, follower, store)
        assert writer.folded == len(log.entries)
        assert failed(writer) == 1
        await level(follower)
        assert failed(writer) == 0
        follower.close()
        await working


def comes(log: Log, follower: LogFollower, store: Store) -> None:
    """One more tick and report of the other node."""
    before = len(log.entries)
    log.tick(1800)
    log.report(ScriptedNode("n2", gpus=1, seq=999).report([1800]))
    store.log.append(log.leaves[before:])
    follower.follow([CommittedEntry(entry, 0, None) for entry in log.entries[before:]])
