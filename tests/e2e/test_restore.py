"""The collector's disk is lost and a backup restored while a node is away: its agent brings what the backup lacks."""

import shutil
from pathlib import Path

from tests.e2e.stage import Collector, Node, Stage, wait_for
from weighbridge.log.merkle import leaf_hash


def lost_after(collector: Collector, node: Node, backup: Path, *, more: int) -> None:
    """Everything that came after the backup is lost with the disk, at least so many reports."""
    made = collector.cli("backup", str(backup))
    assert made.returncode == 0, made.stderr
    before = len(node.receipts())
    wait_for(lambda: len(node.receipts()) > before + more, "reports that no backup holds")
    node.stop()
    collector.kill()


def restored(collector: Collector, backup: Path, head: Path) -> None:
    """In place of the store that was lost."""
    shutil.rmtree(collector.directory)
    done = collector.cli("restore", str(backup), str(collector.directory), "--head", str(head))
    assert done.returncode == 0, done.stderr
    collector.start()


def leaves(collector: Collector) -> set[str]:
    return {leaf_hash(leaf).hex() for _, leaf in collector.leaves()}


def test_an_agent_that_was_away_brings_each_report_that_the_restored_log_lacks(
    stage: Stage,
) -> None:
    collector = stage.serving()
    node = stage.reporting(collector)
    backup = stage.directory / "backup"
    lost_after(collector, node, backup, more=5)
    acknowledged = set(node.receipts().values())
    (head,) = node.state.glob("heads/*/newest-head")
    restored(collector, backup, head)
    missing = acknowledged - leaves(collector)
    assert len(missing) > 5
    node.start()
    wait_for(lambda: not acknowledged - leaves(collector), "every report that had a receipt")
    caught = {"log_shrank", "log_forked"}
    wait_for(lambda: caught & set(collector.codes()), "the agent's word on the log")
    assert "log_restored" in collector.codes()
    assert "log_hole" not in collector.codes()
    assert node.facts()["status"].startswith(("log_shrank", "log_forked"))
    collector.healthy(2)
