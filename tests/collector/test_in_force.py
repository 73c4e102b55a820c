"""What the collector shows of a contract is the version in force."""

from pathlib import Path

from collector.judging.live import LiveFleet
from collector.judging.writer import LedgerWriter
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import Log, contract_text


def test_an_amendment_is_shown_from_when_it_takes_effect(tmp_path: Path) -> None:
    log = Log()
    log.contract(contract_text("K1"), "K1")
    change = {"version": 2, "supersedes": 'supersedes: "1"\n', "nodes": 3}
    log.contract(contract_text("K1", effective="2026-10-01T00:10:00Z", **change), "K1", 2)
    log.tick(599)
    log.tick(600)
    with opened(make_store(tmp_path / "store")) as store:
        writer = LedgerWriter(store)
        fleet = LiveFleet(writer.judgement)
        for entry in log.entries[:3]:
            writer.fold(entry)
        assert (fleet.contracts["K1"].version, fleet.counts("K1").contracted) == (1, 2)
        for entry in log.entries[3:]:
            writer.fold(entry)
        assert (fleet.contracts["K1"].version, fleet.counts("K1").contracted) == (2, 6)
