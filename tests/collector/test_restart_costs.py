"""What it costs to open a store does not grow with its log: counted in steps of the database, and in entries read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from collector.judging.statements import load_book
from collector.log.commits import CommitBatch
from collector.storage.derived import open_derived
from collector.storage.index import SqlIndex
from collector.storage.received import received, received_us
from collector.storage.store import Accepted, ChainKey, Indexed, Store
from tests.collector.building import Agent, enrolled, log_signer, make_store, opened
from weighbridge.judge.fleet import REMEMBERED
from weighbridge.log.entries import Entry, EntryKind, Tick
from weighbridge.wire.report import read

CHAIN = ChainKey("key", "chain", "node")


def written(path: Path, reports: int) -> Path:
    """An index of one chain of so many reports."""
    engine = open_derived(path)
    index = SqlIndex(engine)
    accepted = [Accepted(seq, "ab" * 32, seq, seq) for seq in range(reports)]
    index.record([Indexed(one.seq, EntryKind.REPORT, CHAIN, one) for one in accepted])
    index.close()
    engine.dispose()
    return path


def steps_to_open(path: Path) -> int:
    """Instructions of SQLite's machine."""
    engine, counted = open_derived(path), 0

    def count() -> None:
        nonlocal counted
        counted += 1

    engine.dispose()
    event.listen(engine, "connect", lambda driver, _: driver.set_progress_handler(count, 1))
    index = SqlIndex(engine)
    assert index.last(CHAIN) is not None
    engine.dispose()
    return counted


def test_to_know_the_newest_of_each_chain_no_other_report_is_read(tmp_path: Path) -> None:
    few, many = (steps_to_open(written(tmp_path / str(count), count)) for count in (100, 10_000))
    assert many < 2 * few


class Counted:
    """A log, and how many entries of it were read."""

    def __init__(self, log: Any) -> None:
        self._log, self.entries = log, 0

    def read(self, start: int, limit: int) -> Iterator[Entry]:
        for one in self._log.read(start, limit):
            self.entries += 1
            yield one


REPORTS = 40


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Keys that were entered in two commits, behind many reports."""
    directory, agents = (
        make_store(tmp_path / "store"),
        [Agent(f"n{place}", 1) for place in range(4)],
    )
    with opened(directory) as kept:
        for second, pair in enumerate((agents[:2], agents[2:]), start=5):
            batch = CommitBatch(kept, log_signer(directory), second)
            for agent in pair:
                for _ in range(REPORTS):
                    batch.add_leaf(EntryKind.REPORT, agent.next(blocks=[]))
                batch.add_record(EntryKind.KEY, enrolled(agent))
            kept.log.append(batch.leaves)
            kept.index.record([one for one in batch.indexed if one.kind is not EntryKind.REPORT])
        yield kept


def test_when_a_record_was_received_the_index_says(store: Store) -> None:
    places = store.index.of_kinds({EntryKind.KEY})
    log: Any = Counted(store.log)
    told = [received_us(log, store.index, place) for place in places]
    assert (told[-4:], log.entries) == ([5, 5, 6, 6], 0)


def test_what_a_start_reads_of_the_log_are_the_records_alone(store: Store) -> None:
    places = store.index.of_kinds(REMEMBERED)
    log: Any = Counted(store.log)
    entries = list(received(log, store.index, places[-4:]))
    kinds = [one.kind for one in entries]
    tick, key = EntryKind.TICK, EntryKind.KEY
    assert kinds == [tick, key, key, tick, key, key]
    assert [read(Tick, one.envelope.payload).wall_us for one in entries if one.kind is tick] == [
        5,
        6,
    ]
    load_book(log, store.index)
    assert log.entries == 4


def test_an_index_that_was_made_anew_says_the_same(store: Store, tmp_path: Path) -> None:
    engine = open_derived(tmp_path / "anew")
    index = SqlIndex(engine)
    index.catch_up(store.log)
    again = SqlIndex(engine)
    for place in store.index.of_kinds({EntryKind.KEY}):
        assert index.received_us(place) == again.received_us(place)
        assert again.received_us(place) == received_us(store.log, store.index, place)
    engine.dispose()


def test_a_record_of_which_nobody_said_when_is_looked_for_in_the_log(store: Store) -> None:
    place = store.index.of_kinds({EntryKind.KEY})[-1]
    index: Any = type("Silent", (), {"received_us": lambda *_: None})()
    assert received_us(store.log, index, place) == 6
