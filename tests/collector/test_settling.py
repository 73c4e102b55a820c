"""What a live statement is settled from: the ledger, the book, and the statements of the periods before."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.driver import Driver
from collector.settling import Settling
from tests.collector.building import make_store, opened
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text

DAY = 86_400
BEFORE = 1
"""Entries that a new store begins with."""
Settle = Callable[[Log], Settling]


@pytest.fixture
def settle(tmp_path: Path) -> Iterator[Settle]:
    """A log's entries in a store, judged."""
    with ExitStack() as stack:

        def settled(log: Log) -> Settling:
            directory = tmp_path / f"store-{len(log.entries)}"
            with opened(make_store(directory)) as store:
                store.log.append(log.leaves)
            store = stack.enter_context(opened(directory))
            driver = Driver(store)
            while driver.catch_up():
                pass
            return Settling(store, driver)

        yield settled


def terms(*more: str) -> str:
    return "".join([contract_text().replace("policy: hold", "policy: down"), *more])


RIGHT = (
    "exit_rights: [{objective: gpus, party: lessee, missed: 2, of_periods: 3, remedy: leaves}]\n"
)


def test_a_right_to_leave_looks_back_over_the_periods_of_the_term(settle: Settle) -> None:
    log = Log()
    log.contract(terms(RIGHT))
    log.claim("n1")
    log.tick(100 * DAY)
    settling = settle(log)
    (first,) = settling.ask("K1", "2026-10").statement().exits
    assert (first.standing, first.missed, first.open) == ("not_met", ("2026-10",), ())
    (second,) = settling.ask("K1", "2026-11").statement().exits
    assert (second.standing, second.missed) == ("met", ("2026-11", "2026-10"))
    third = settling.ask("K1", "2026-12").statement()
    assert third.exits[0].missed == ("2026-12", "2026-11", "2026-10")
    assert "exit_right" in third.flags


def test_an_amendment_of_december_changes_nothing_of_october(settle: Settle) -> None:
    log = Log()
    log.contract(terms())
    log.claim("n1")
    log.tick(10)
    for second in range(0, 100, 10):
        log.report(ScriptedNode(seq=second // 10).report([second]))
    log.tick(40 * DAY)
    before = settle(log).ask("K1", "2026-10").statement()
    amended = contract_text(
        version=2, supersedes='supersedes: "1"\n', effective="2026-12-01T00:00:00Z"
    )
    log.contract(amended.replace("time_zone: UTC", "time_zone: Asia/Tokyo"), version=2)
    log.tick(41 * DAY)
    later = settle(log)
    after = later.ask("K1", "2026-10").statement()
    assert (after.start, after.end, after.parts) == (before.start, before.end, before.parts)
    changed = later.ask("K1", "2026-12").statement()
    assert (changed.start, changed.end) == ("2026-12-01T00:00:00Z", "2026-12-31T15:00:00Z")


def test_an_outage_names_the_entries_of_the_log_that_hold_its_evidence(settle: Settle) -> None:
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.claim("n1")
    held: dict[int, int] = {}
    capped = {node.devices[0]: {"power_limit_enforced_milliwatts": 400_000}}
    for second in (*range(0, 60, 10), 600, 610):
        log.tick(second)
        held[second] = len(log.entries) + BEFORE
        log.report(node.report([second], {second: capped if second in (20, 30) else {}}))
    log.tick(40 * DAY)
    (part,) = settle(log).ask("K1", "2026-10").statement().parts
    lines = {line.unit: line.outages for line in part.units if line.objective == "gpus"}
    (degraded, silent) = lines["n1.0"][:2]
    assert degraded.entries == (held[20], held[40])
    assert silent.entries == (held[50], held[600])
    assert lines["n1.1"][0].entries == (held[50], held[600])
