"""The keeper of the log takes a report out of it: the agent tells its side and everybody. The honest twin restarts."""

from tests.collector.building import leaves_of, rewritten
from tests.e2e.stage import Collector, Node, Stage, wait_for
from weighbridge.log.entries import EntryKind, entry


def kinds(leaves: list[bytes]) -> list[EntryKind]:
    return [entry(index, leaf).kind for index, leaf in enumerate(leaves)]


def a_report_is_taken_out(collector: Collector) -> None:
    """A tick stands in its place, so that the log is no shorter."""
    leaves = leaves_of(collector.directory)
    found = kinds(leaves)
    taken = [at for at, kind in enumerate(found) if kind is EntryKind.REPORT][2]
    leaves[taken] = leaves[found.index(EntryKind.TICK)]
    rewritten(collector.directory, leaves)


def with_both_stopped(stage: Stage) -> tuple[Collector, Node]:
    collector = stage.serving()
    node = stage.reporting(collector)
    wait_for(lambda: len(node.receipts()) > 5, "some reports")
    assert node.facts()["log"].startswith("stands by what it signed")
    node.stop()
    collector.stop()
    return collector, node


def test_a_report_that_is_taken_out_of_the_log_is_missed(stage: Stage) -> None:
    collector, node = with_both_stopped(stage)
    a_report_is_taken_out(collector)
    collector.start()
    node.start()
    wait_for(lambda: "log_forked" in collector.codes(), "the finding")
    found = collector.pages("/v1/contracts/lease/findings")
    proven = [row for row in found if row["code"] == "log_forked" and row["node"] == ""]
    assert [row["level"] for row in proven] == ["E1"]
    assert node.facts()["status"].startswith("log_forked")
    assert "log_forked" in node.log()


def test_a_log_that_was_cut_to_nothing_under_its_own_key_has_shrunk(stage: Stage) -> None:
    """Nothing on that machine can tell it from a log that was just begun; who holds a head of it can."""
    collector, node = with_both_stopped(stage)
    rewritten(collector.directory, [])
    collector.start()
    node.start()
    wait_for(lambda: "log_shrank" in node.log(), "the agent's word")
    assert node.facts()["status"].startswith("log_shrank")
    refused = collector.request("POST", "/v1/reports", b"")
    assert "head" not in refused.json


def test_a_collector_that_only_restarts_is_accused_of_nothing(stage: Stage) -> None:
    collector, node = with_both_stopped(stage)
    (collector.directory / "index.sqlite").unlink()
    collector.start()
    node.start()
    before = len(node.receipts())
    wait_for(lambda: len(node.receipts()) > before + 5, "more reports")
    assert not [code for code in collector.codes() if code.startswith("log_")]
    assert node.facts()["log"].startswith("stands by what it signed")
