"""A replay in several processes says what one process says, of a sound log and of one that is not."""

import multiprocessing
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.judging.replay import Replay
from collector.log.commits import CommitBatch
from collector.storage.store import StorageError, Store, StoreInfo
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    Agent,
    log_signer,
    make_store,
    opened,
    wait_for,
)
from weighbridge.judge.ledger import State
from weighbridge.log.entries import EntryKind, KeyChanged

REPORTS = 12
SLICE = 4
HOUR = 360
"""Samples that nobody took, in the middle: what was known before is written then."""
BOTH = pytest.mark.parametrize("workers", [0, 2])


@dataclass
class Log:
    """A store with the reports of two nodes, and how more comes into it."""

    directory: Path
    agents: list[Agent]
    state: Path
    now_us: int = 0

    def commit(self, store: Store, *leaves: bytes, record: KeyChanged | None = None) -> int:
        """Behind a tick; the index of the last entry."""
        self.now_us = self.agents[0].start_us + self.agents[0].sampled * INTERVAL_US
        batch = CommitBatch(store, log_signer(self.directory), self.now_us)
        batch.leaves.extend(leaves)
        if record is not None:
            batch.add_record(EntryKind.KEY, record)
        return store.log.append(batch.leaves) + len(batch.leaves) - 1

    def add(self, *leaves: bytes, record: KeyChanged | None = None) -> int:
        with opened(self.directory) as store:
            return self.commit(store, *leaves, record=record)

    def replay(self, name: str = "state") -> Replay:
        key = log_signer(self.directory).public_key
        as_of_s = self.now_us // 1_000_000 + 60
        info = StoreInfo("test")
        return Replay(f"embedded:{self.directory}", info, key, self.state / name, as_of_s)

    def error(self, workers: int) -> str:
        """What a replay of it says is wrong."""
        again = self.replay()
        try:
            with pytest.raises(StorageError) as raised:
                again.run(quietly, workers, slice_entries=SLICE)
        finally:
            again.close()
        return str(raised.value)

    def ledger(self, workers: int) -> tuple[Any, ...]:
        again = self.replay(f"state-{workers}")
        again.run(quietly, workers, slice_entries=SLICE)
        return kept(again)


def quietly(folded: int) -> None:
    del folded


def kept(again: Replay) -> tuple[Any, ...]:
    """Everything that a replay has written, which is closed."""
    ledger = again.store.ledger
    said = (list(ledger.rows("lease", 0, 2**53)), ledger.findings().findings, ledger.folded())
    states = dict(ledger.snapshots())
    again.close()
    return *said, states


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Log:
    agents, state = [Agent("a"), Agent("b")], tmp_path_factory.mktemp("written")
    terms = CONTRACT.replace("nodes: 1", "nodes: 2")
    log = Log(make_store(state / "store", agents, terms), agents, state)
    with opened(log.directory) as store:
        for number in range(REPORTS):
            for agent in agents:
                more = {"inventory": agent.inventory()} if number == 0 else {}
                agent.sampled += HOUR if number == REPORTS // 2 else 0
                log.commit(store, agent.next(2, **more))
    return log


@pytest.fixture
def log(written: Log, tmp_path: Path) -> Iterator[Log]:
    shutil.copytree(written.directory, tmp_path / "store")
    yield Log(tmp_path / "store", list(map(copy, written.agents)), tmp_path, written.now_us)
    assert not multiprocessing.active_children()


def test_two_workers_and_none_write_the_same_ledger(log: Log) -> None:
    rows, findings, folded, states = written = log.ledger(workers=2)
    assert {row.state for row in rows} == {State.UP, State.UNKNOWN}
    assert findings
    assert folded > 2 * REPORTS
    assert {"node/a", "node/b"} < states.keys()
    assert log.ledger(workers=0) == written


class Interrupted(Exception):
    """Stops a replay on its way."""


def test_what_two_workers_began_one_process_ends_and_the_other_way_round(log: Log) -> None:
    def stop(folded: int) -> None:
        if folded >= 15:
            raise Interrupted

    for before, after in ((2, 0), (0, 2)):
        first = log.replay(f"resumed-{before}")
        with pytest.raises(Interrupted):
            first.run(stop, before, slice_entries=SLICE, slices_per_write=1)
        first.close()
        second = log.replay(f"resumed-{before}")
        come: list[int] = []
        second.run(come.append, after, slice_entries=SLICE)
        assert 15 < come[0] < 15 + 2 * SLICE
        assert kept(second) == log.ledger(workers=0)


@BOTH
def test_a_signature_that_does_not_verify_is_named_by_its_entry(log: Log, workers: int) -> None:
    one, other = log.agents[0].next(), log.agents[0].next()
    place = log.add(one[:-90] + other[-90:])
    assert log.error(workers) == f"entry {place}: the signature does not verify"


@BOTH
def test_a_report_by_a_key_that_nobody_enrolled_is_named(log: Log, workers: int) -> None:
    place = log.add(Agent("a").next())
    assert log.error(workers) == f"entry {place}: a report by a key that may not sign it"


@BOTH
def test_a_report_by_the_collectors_own_key_is_named(log: Log, workers: int) -> None:
    log.agents[0].signer = log_signer(log.directory)
    place = log.add(log.agents[0].next())
    assert log.error(workers) == f"entry {place}: a report by a key that may not sign it"


@BOTH
def test_a_report_after_its_key_was_revoked_is_named(log: Log, workers: int) -> None:
    agent = log.agents[0]
    revoked = KeyChanged(
        action="revoked",
        key_id=agent.signer.key_id,
        public_key=agent.signer.public_key.hex(),
        node=agent.node,
        side="provider",
        secret_hash=None,
        reason="stolen",
    )
    log.add(record=revoked)
    place = log.add(agent.next())
    assert log.error(workers) == f"entry {place}: a report by a key that may not sign it"


@BOTH
def test_a_report_of_another_node_than_its_keys_is_named(log: Log, workers: int) -> None:
    place = log.add(log.agents[0].next(node="b"))
    assert log.error(workers) == f"entry {place}: a report of b by another's key"


@BOTH
def test_a_report_that_cannot_be_read_is_named(log: Log, workers: int) -> None:
    place = log.add(log.agents[0].next(seq=-1))
    assert log.error(workers).startswith(f"entry {place}: Expected `int` >= 0 - at `$.seq`")


@BOTH
def test_bytes_that_are_no_envelope_are_named(log: Log, workers: int) -> None:
    place = log.add(b"rubbish")
    assert log.error(workers).startswith(f"entry {place} is no entry: not an envelope")


@BOTH
def test_a_byte_that_changed_on_the_disk_is_named_by_file_and_offset(
    log: Log, workers: int
) -> None:
    (segment,) = (log.directory / "evidence" / "segments").glob("*.seg")
    content = bytearray(segment.read_bytes())
    content[-5] ^= 1
    segment.write_bytes(content)
    assert f"{segment}: offset " in log.error(workers)


def test_a_worker_that_was_killed_is_missed_and_the_replay_goes_on_later(log: Log) -> None:
    def kill(folded: int) -> None:
        del folded
        for worker in multiprocessing.active_children():
            worker.kill()
            worker.join()

    first = log.replay()
    with pytest.raises(StorageError, match="a process that checks signatures has ended"):
        first.run(kill, workers=2, slice_entries=SLICE, slices_per_write=1)
    first.close()
    second = log.replay()
    second.run(quietly, workers=2, slice_entries=SLICE)
    assert kept(second) == log.ledger(workers=0)


HANGING = """
import multiprocessing, signal, sys, time
from pathlib import Path
from collector.judging.replay import Replay
from collector.storage.store import StoreInfo

def hang(folded):
    print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
    time.sleep(600)

signal.signal(signal.SIGINT, signal.default_int_handler)  # not so where the tests run in the background
directory, state, key = sys.argv[1:]
info = StoreInfo("test")
again = Replay(f"embedded:{directory}", info, bytes.fromhex(key), Path(state), 2**40)
again.run(hang, workers=2, slice_entries=1)
"""


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_process_that_asks_them_however_it_ends(
    log: Log, end: signal.Signals
) -> None:
    key = log_signer(log.directory).public_key.hex()
    arguments = [str(log.directory), str(log.state / "state"), key]
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as asking:
        assert asking.stdout is not None
        pids = [int(word) for word in asking.stdout.readline().split()]
        assert len(pids) == 2
        assert all(map(runs, pids))
        asking.send_signal(end)
    wait_for(lambda: not any(map(runs, pids)), "end of the workers")
