"""The ledger that a store has beside the one that its log gives, folded again from the first entry."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from collector.judging.writer import JUDGES, SLICE, LedgerWriter
from collector.storage.derived import open_derived
from collector.storage.frozen import FrozenLog
from collector.storage.index import SqlIndex
from collector.storage.ledger import SqlLedger, read_snapshot
from collector.storage.ledgers import differences
from collector.storage.store import Store, StoreInfo
from weighbridge.judge.snapshot import SnapshotError, restore
from weighbridge.settlement.judge_versions import Judges, current

MOST_UNWRITTEN = 20_000
"""Rows, findings and sums of use that wait in memory."""


def other_judge(ledger: Path) -> str | None:
    """Who else than this program's judge wrote a ledger, whose rows it need not give again."""
    state = read_snapshot(ledger, JUDGES)
    try:
        held = restore(state, Judges).held if state is not None else []
    except SnapshotError:
        return None
    mine = current(0)
    others = (one for one in held if (one.judge, one.tables) != (mine.judge, mine.tables))
    return next((f"{one.judge}, tables {one.tables}" for one in others), None)


def unlike_log(directory: Path, info: StoreInfo, folded: int) -> Iterator[str]:
    """In words, how the ledger of a store differs from what its first `folded` entries give. Raises StorageError.

    Nobody may be writing to the store. Signatures are not checked.
    """
    with tempfile.TemporaryDirectory(prefix="weighbridge-ledger-") as temporary:
        given = Path(temporary) / "given.sqlite"
        _refold(directory, info, folded, given)
        yield from differences(directory / "index.sqlite", given)


def _refold(directory: Path, info: StoreInfo, upto: int, given: Path) -> None:
    """Its index stays empty: nothing that was folded before is taken up."""
    engine = open_derived(given)
    log = FrozenLog(directory / "evidence" / "segments")
    store = Store(info, log, SqlIndex(engine), SqlLedger(engine))
    try:
        writer = LedgerWriter(store)
        while writer.folded < upto and writer.catch_up(min(SLICE, upto - writer.folded)):
            if writer.unwritten >= MOST_UNWRITTEN:
                _write(writer, store)
        if writer.folded:
            _write(writer, store)
    finally:
        store.close()


def _write(writer: LedgerWriter, store: Store) -> None:
    store.ledger.write(*writer.take())
    writer.written(kept=True)
