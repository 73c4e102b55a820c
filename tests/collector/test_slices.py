"""A large entry is judged in many slices: everything else gets its turn, and the ledger is written between entries."""

import asyncio
from itertools import count
from pathlib import Path

from collector.judging.follower import LogFollower
from collector.judging.writer import LedgerWriter
from collector.log.commits import CommittedEntry
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from weighbridge.wire.report import decode

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
        writer = LedgerWriter(store)
        # A clock that moves by a slice whenever it is looked at: each step is a slice of its own.
        follower = LogFollower(writer, store, monotonic_s=lambda: next(turns))
        given = asyncio.run(judged(follower))
        assert given > SAMPLES
        assert store.ledger.folded() == len(log.entries)
        assert writer.judgement.folds.states["n1"].last_sample_us is not None
