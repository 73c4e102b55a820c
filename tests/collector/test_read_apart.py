"""Many rows of a contract are read in a thread; what is judged meanwhile is among them."""

from pathlib import Path

import pytest

from collector.judging import current_figures
from collector.judging.live import LiveFleet
from collector.judging.writer import LedgerWriter
from collector.storage.store import Indexed
from tests.collector.building import make_store, opened
from tests.weighbridge.test_quarantine import planted, story


def test_what_comes_while_the_ledger_is_read_is_taken_over_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(current_figures, "AT_ONCE_ROWS", 1)
    planted(monkeypatch)
    log = story()
    entries = log.entries
    with opened(make_store(tmp_path / "store")) as store:
        store.log.append(log.leaves[store.log.size :])
        store.index.record([Indexed(entry.index, entry.kind) for entry in entries])
        writer = LedgerWriter(store)
        fleet = LiveFleet(writer.judgement)
        for entry in entries[:450]:
            writer.fold(entry)
        store.ledger.write(*writer.take())
        writer.written(kept=True)
        work = fleet.reading("K1")
        assert work is not None
        for entry in entries[450:]:
            writer.fold(entry)
        store.ledger.write(*writer.take())
        work()
        fleet.take_over("K1")
        assert fleet.reading("K1") is None
        monkeypatch.setattr(current_figures, "AT_ONCE_ROWS", 1_000)
        again = LiveFleet(LedgerWriter(store).judgement)
        assert again.reading("K1") is None
        assert fleet.figures("K1") == again.figures("K1")
