"""The clock of the collector is wrong for a while: what was received then is marked, and nothing else is."""

from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode, contract_text
from weighbridge.judge.checks import Severity
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import ClockChecked, ClockReason, EntryKind
from weighbridge.verdict import Verdict

CODE = "collector_clock_stepped"
DAY = 86_400


def leases() -> Log:
    """Three nodes, each under a contract of its own."""
    log = Log()
    log.tick(0)
    for number in (1, 2, 3):
        log.contract(contract_text(f"K{number}"), f"K{number}")
        log.assign(f"n{number}", f"K{number}")
    return log


def stepped(log: Log, ahead_s: int) -> None:
    tick_us = log.fold.watch.now_us
    wall_us = tick_us + ahead_s * SECOND
    checked("stepped", log, tick_us, wall_us, "", 0)


def followed(log: Log, reason: ClockReason, wrong_s: int = 0) -> None:
    tick_us = log.fold.watch.now_us
    checked("followed", log, tick_us, tick_us, reason, wrong_s * SECOND)


def checked(
    action: str, log: Log, tick_us: int, wall_us: int, reason: ClockReason, wrong_us: int
) -> None:
    said = ClockChecked(
        action=action,  # type: ignore[arg-type]
        reason=reason,
        synchronized=None,
        tick_us=tick_us,
        wall_us=wall_us,
        wrong_us=wrong_us,
    )
    log.add(EntryKind.CLOCK, said)


def test_contracts_whose_nodes_were_heard_meanwhile_are_marked_and_no_others() -> None:
    log = leases()
    before, during, after = (ScriptedNode(f"n{number}") for number in (1, 2, 3))
    log.report(before.report([0]))
    log.tick(10)
    stepped(log, 2 * DAY)
    log.report(during.report([10]))
    log.tick(20)
    log.report(during.report([20]))
    followed(log, "corrected")
    log.report(after.report([20]))
    opened, closed = log.findings(CODE)
    assert (opened.contract, opened.node, opened.until_us) == ("K2", "", None)
    assert (opened.severity, opened.verdict) == (Severity.WARNING, Verdict.UNKNOWN)
    assert f"stepped by {2 * DAY * SECOND} us" in opened.observed
    assert (closed.since_us, closed.until_us) == (opened.since_us, START_US + 20 * SECOND)
    assert (closed.severity, closed.observed[-14:]) == (Severity.WARNING, "they are right")


def test_receipts_that_were_wrong_are_an_error_that_says_by_how_much() -> None:
    log, node = leases(), ScriptedNode("n1")
    stepped(log, -DAY)
    log.report(node.report([0]))
    followed(log, "synchronized", wrong_s=DAY)
    closed = log.findings(CODE)[-1]
    assert closed.severity is Severity.ERROR
    assert f"they are {DAY * SECOND} us ahead" in closed.observed


def test_a_step_outlives_a_restart_of_the_folds() -> None:
    log, node = leases(), ScriptedNode("n1")
    stepped(log, DAY)
    log.report(node.report([0]))
    again = FleetFold()
    again.restore(log.fold.snapshots(), log.entries)
    log.fold = again
    log.report(node.report([10]))
    followed(log, "corrected")
    assert [finding.until_us is None for finding in log.findings(CODE)] == [True, False]


def test_a_clock_that_is_right_says_nothing() -> None:
    log, node = leases(), ScriptedNode("n1")
    for second in range(0, 60, 10):
        log.tick(second)
        log.report(node.report([second]))
    assert log.findings(CODE) == []
