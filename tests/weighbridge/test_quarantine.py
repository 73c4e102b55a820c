"""One node whose evidence the judge fails at stops nobody else, and is not blamed for it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge import everything
from tests.weighbridge.scripted import START_US, Log, ScriptedNode, contract_text, spans
from weighbridge.judge import fleet, node, quarantine
from weighbridge.judge.assignments import Assignments, Version
from weighbridge.judge.checks import CHECKS
from weighbridge.judge.checks.check import Answer, CheckContext
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import JUDGING_FAILED, Finding, Row, State
from weighbridge.judge.node import Change
from weighbridge.judge.registry import Registry
from weighbridge.judge.track import EVERYTHING
from weighbridge.log.entries import ContractAdded
from weighbridge.settlement.case import Notices

SECOND = 1_000_000
POISON = 66
"""A temperature at which the check that is planted here fails."""


def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails at a reading which a node may well show."""

    def judge(context: CheckContext) -> Iterator[Answer]:
        for device in context.view.devices:
            if context.view.value(device, "temperature_gpu_celsius") == POISON:
                raise ZeroDivisionError(device)
        yield from ()

    one = CHECKS[0]
    watched = frozenset({"temperature_gpu_celsius"})
    checks = (*CHECKS, replace(one, watches=watched, judge=judge))
    monkeypatch.setattr("weighbridge.judge.track.CHECKS", checks)
    monkeypatch.setattr(node, "WATCHED", node.WATCHED | watched)
    monkeypatch.setattr("weighbridge.judge.node.EVERYTHING", EVERYTHING | watched)


def judged_by(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    for module in (node, fleet, quarantine):
        monkeypatch.setattr(module, "JUDGE", version)


def taken_up(log: Log) -> list[Change]:
    """The first node is judged again from the first entry on, and goes on from there."""
    alone = log.fold.anew("n1")
    judged = [change for entry in log.entries for change in alone.fold(entry)]
    return log.fold.take_over("n1", alone, judged)


def story(second: int = 40) -> Log:
    """Two nodes, of which the first shows what the judge fails at; both go on for half an hour."""
    log, nodes = Log(), [ScriptedNode("n1", gpus=1), ScriptedNode("n2", gpus=1)]
    log.tick(0)
    log.contract(contract_text(per_node=1, nodes=2))
    for one in nodes:
        log.assign(one.name)
    for now in range(0, 1800, 10):
        log.tick(now)
        for one in nodes:
            hot = one.name == "n1" and now == second
            changes = {now: {"GPU-n1-0": {"temperature_gpu_celsius": POISON}}} if hot else None
            log.report(one.report([now], changes))
    return log


def test_the_time_of_the_node_is_unknown_from_then_on_and_everybody_else_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch)
    log = story()
    lines = log.timelines(1790)
    assert spans(lines["n2", 0])[0] == (0, 1790, "up", "")
    assert spans(lines["n1", 0])[:2] == [(0, 30, "up", ""), (30, 1240, "unknown", "judging_failed")]


def test_a_finding_names_the_entry_and_the_judge_and_none_blames_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch)
    log = story()
    (found,) = log.open().values()
    assert (found.code, found.node, found.verdict.value) == ("judging_failed", "n1", "unknown")
    entry = next(
        index
        for index, leaf in enumerate(log.entries)
        if f'"temperature_gpu_celsius":[[{POISON}]]'.encode() in leaf.envelope.payload
    )
    assert f"{node.JUDGE} fails at entry {entry} (ZeroDivisionError)" in found.observed
    assert "nothing against the node" in found.observed


def test_a_fold_that_was_kept_and_restored_anywhere_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch)
    log = story()
    for cut in (5, 12, 14, 15, 16, 200):
        first, second = FleetFold(), FleetFold()
        changes = [change for entry in log.entries[:cut] for change in first.fold(entry)]
        kept = [one for one in log.entries[:cut] if one.kind in fleet.REMEMBERED]
        second.restore(first.snapshots(), kept)
        changes += [change for entry in log.entries[cut:] for change in second.fold(entry)]
        assert changes == log.changes


def test_the_next_version_judges_what_was_skipped_and_the_finding_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        planted(broken)
        log = story()
    judged_by(monkeypatch, "judge/next")
    assert log.fold.outdated() == ["n1"]
    log.changes += taken_up(log)
    assert log.fold.outdated() == []
    assert log.open() == {}
    assert spans(log.timelines(1790)["n1", 0]) == [(0, 1790, "up", "")]
    again = [row for row in log.rows() if isinstance(row, Row) and row.node == "n1"]
    assert again
    log.tick(1800)
    log.report(ScriptedNode("n1", gpus=1, seq=999).report([1800]))
    assert log.findings("judging_failed")[-1].until_us is not None


def test_a_release_that_fails_too_leaves_the_entry_and_the_error_that_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch)
    log = story()
    before = log.open()

    def failing(*_: object) -> None:
        raise KeyError

    monkeypatch.setattr(fleet, "judge_release", failing)
    log.assign("n1", devices=[])
    assert log.open() == before


def test_its_time_is_written_down_to_the_instant_at_which_it_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Statements that were issued before that are made again from it."""
    with monkeypatch.context() as broken:
        planted(broken)
        released, again = story(), story()
    released.tick(1800)
    released.assign("n1", devices=[])
    judged_by(monkeypatch, "judge/next")
    again.changes += taken_up(again)
    for log, until in ((released, 1800), (again, 1790)):
        rows = [row for row in log.changes if isinstance(row, Row) and row.cause == JUDGING_FAILED]
        assert max(row.end_us for row in rows) == START_US + until * SECOND


def test_a_newer_judge_that_fails_too_leaves_the_node_where_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planted(monkeypatch)
    log = story()
    judged_by(monkeypatch, "judge/next")
    log.changes += taken_up(log)
    (found,) = log.open().values()
    assert found.observed.startswith("judge/next fails at entry")


def test_a_number_that_no_ledger_holds_is_caught_with_its_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wild(*given: object) -> list[object]:
        changes = node.judge_report(*given)  # type: ignore[arg-type]
        return [
            replace(one, since_us=2**63) if isinstance(one, Finding) and one.node == "n1" else one
            for one in changes
        ]

    monkeypatch.setattr("weighbridge.judge.fleet.judge_report", wild)
    node_1, node_2 = ScriptedNode("n1", gpus=1), ScriptedNode("n2", gpus=1)
    log = Log()
    log.tick(0)
    log.contract(contract_text(per_node=1, nodes=2))
    for one in (node_1, node_2):
        log.assign(one.name)
        log.report(one.report([0], events=[], boot="b1"))
        log.report(one.report([10], boot="b2"))
    (found,) = log.findings("judging_failed")
    assert (found.node, found.since_us) == ("n1", START_US)


@pytest.mark.parametrize("policy", ["up", "down", "excluded"])
def test_a_statement_holds_its_time_for_both_sides_whatever_the_contract_makes_of_unknown_time(
    policy: str,
) -> None:
    """Nobody is blamed, and no 0.00 is printed over it: what is owed lies between two amounts."""
    tiers = [everything.credit("tiers", tiers=everything.LEAST)]
    unseen = everything.row("n1", 0, 0, everything.DAY, State.UNKNOWN, JUDGING_FAILED)
    ups = [one for one in everything.month() if (one.node, one.slot) != ("n1", 0)]
    rest = everything.row("n1", 0, everything.DAY, everything.MAY.seconds, State.UP)
    terms: dict[str, Any] = {"unknown": {"policy": policy}, "credits": tiers}
    statement = everything.drafted([*ups, unseen, rest], Notices(), **terms)
    assert "judging_failed" in statement.flags
    assert statement.lowest == "0.00"
    assert statement.highest not in (None, "0.00")


def half_judged(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The story with a second contract, of which neither entries nor absences can be judged."""
    add, absences = Assignments.add, Registry.absences

    def failing_add(self: Assignments, added: ContractAdded) -> None:
        if added.contract == "K2":
            raise ZeroDivisionError
        add(self, added)

    def failing_absences(
        self: Registry, name: str, version: Version, assignments: Assignments, now_us: int
    ) -> Iterator[Finding]:
        if name == "K1":
            raise KeyError(name)
        return absences(self, name, version, assignments, now_us)

    monkeypatch.setattr(Assignments, "add", failing_add)
    monkeypatch.setattr(Registry, "absences", failing_absences)
    log = Log()
    log.tick(0)
    log.contract(contract_text("K2", per_node=1), name="K2")
    log.contract(contract_text(per_node=1))
    one = ScriptedNode("n1", gpus=1)
    log.assign(one.name)
    for now in range(0, 300, 10):
        log.tick(now)
        log.report(one.report([now]))
    return log


def test_what_fails_in_a_contract_or_in_looking_for_its_nodes_is_skipped_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = half_judged(monkeypatch)
    assert spans(log.timelines(290)["n1", 0])[0] == (0, 290, "up", "")
    said = [one for one in log.changes if isinstance(one, Finding) and one.code == JUDGING_FAILED]
    assert [(one.contract, one.node, one.answerable) for one in said] == [
        ("K2", "", "collector"),
        ("K1", "", "collector"),
    ]
    assert "entry 1, contract (ZeroDivisionError)" in said[0].observed


def test_a_restart_skips_it_too_and_the_next_judge_looks_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = half_judged(monkeypatch)
    remembered = [one for one in log.entries if one.kind in fleet.REMEMBERED]
    again = FleetFold()
    again.restore(log.fold.snapshots(), remembered)
    assert set(again.watch.failed.open) == {("K2", "contract"), ("K1", "tick")}
    monkeypatch.undo()
    judged_by(monkeypatch, "judge/next")
    newer = FleetFold()
    newer.restore(log.fold.snapshots(), remembered)
    log.tick(400)
    closed = [one for one in newer.fold(log.entries[-1]) if isinstance(one, Finding)]
    assert {(one.contract, one.code) for one in closed if one.until_us is not None} == {
        ("K1", JUDGING_FAILED),
        ("K2", JUDGING_FAILED),
    }
