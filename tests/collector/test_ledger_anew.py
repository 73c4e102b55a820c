"""A ledger whose snapshots are damaged or gone is made anew from the log, as one of another form is."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from collector.judging.writer import LedgerWriter
from collector.log.commits import CommitBatch
from collector.storage.store import Store
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    Agent,
    log_signer,
    make_store,
    opened,
)

SILENT = 360
"""Samples."""


def filled(directory: Path) -> Path:
    """A store of a contract and a node that reported, was silent for an hour and reported again."""
    agent = Agent("a")
    store = make_store(directory, [agent], CONTRACT)
    with opened(store) as kept:
        for number in range(12):
            agent.sampled += SILENT if number == 6 else 0
            more = {"inventory": agent.inventory()} if number == 0 else {}
            report = agent.next(2, **more)
            now_us = agent.start_us + agent.sampled * INTERVAL_US
            batch = CommitBatch(kept, log_signer(store), now_us)
            batch.leaves.append(report)
            kept.log.append(batch.leaves)
    return store


def folded(store: Store, limit: int = 2**20) -> tuple[Any, ...]:
    """What the ledger says when the log is folded, or so many entries more of it."""
    writer = LedgerWriter(store)
    writer.catch_up(limit)
    store.ledger.write(*writer.take())
    writer.written(kept=True)
    ledger = store.ledger
    return (
        list(ledger.rows("lease", 0, 2**53)),
        ledger.findings().findings,
        dict(ledger.snapshots()),
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE snapshots SET state = x'00'", "cannot be read"),
        (
            "UPDATE snapshots SET state = replace(state, '/', '-') WHERE name = 'judges'",
            "not those that were written",
        ),
        (
            "UPDATE snapshots SET state = replace(state, 'a', 'b') WHERE name = 'node/a'",
            "not those that were written",
        ),
        ("DELETE FROM snapshots WHERE name = 'node/a'", "not those that were written"),
        ("UPDATE progress SET value = value - 1 WHERE name = 'folded'", "not those"),
        ("UPDATE progress SET value = value + 1000 WHERE name = 'folded'", "the log has fewer"),
        (
            "DELETE FROM snapshots",
            "lacks the snapshots chips, credit, judges, reach, registry, seal, watch",
        ),
        ("DELETE FROM snapshots WHERE name = 'seal'", "lacks the snapshots seal"),
        ("DELETE FROM snapshots WHERE name = 'watch'", "lacks the snapshots watch"),
    ],
)
def test_what_cannot_be_gone_on_from_is_made_anew_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str, said: str
) -> None:
    directory = filled(tmp_path / "store")
    with opened(directory) as store:
        before = folded(store)
    assert before[0]
    assert caplog.text == ""
    with sqlite3.connect(directory / "index.sqlite") as ledger:
        ledger.execute(damage)
        ledger.execute("UPDATE rows SET state = 'down'")
    ledger.close()
    with opened(directory) as store:
        assert folded(store) == before
    assert "the ledger is made anew from the log: " in caplog.text
    assert said in caplog.text
