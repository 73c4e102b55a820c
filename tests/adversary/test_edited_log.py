"""The keeper of the log takes reports out of it, and writes everything else anew so that it fits."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.collector.building import (
    CONTRACT,
    Agent,
    make_store,
    opened,
    rewritten,
    serving,
    wait_for,
    weighbridge,
)
from tests.weighbridge.scripted import Log, ScriptedNode, contract_text
from tests.weighbridge.test_quarantine import POISON, planted
from weighbridge.judge.chains import ENDS_KEPT
from weighbridge.judge.checks import Severity
from weighbridge.judge.fleet import FleetFold
from weighbridge.log.entries import Assignment, EntryKind, entry
from weighbridge.wire.report import Report, decode
from weighbridge.wire.signing import open_envelope

OUT = range(3, 12)
"""The nine reports that are taken out."""
REPORTS = 20
MISSING = "reports 3 to 11 are missing, and no gap says why"


def reports(node: ScriptedNode) -> list[Report]:
    return [node.report([10 * number]) for number in range(REPORTS)]


def holes(told: Sequence[Report]) -> Log:
    """A log that holds these."""
    log = Log()
    log.tick(0)
    log.contract(contract_text())
    log.assign("n1")
    for report in told:
        log.report(report)
    return log


def without(told: Sequence[Report]) -> list[Report]:
    return [report for report in told if report.seq not in OUT]


def test_reports_that_were_taken_out_are_a_hole_that_names_chain_and_numbers() -> None:
    (found,) = holes(without(reports(ScriptedNode()))).findings("log_hole")
    assert (found.contract, found.node, found.severity) == ("K1", "n1", Severity.ERROR)
    assert found.observed == f"chain chain-1/node: {MISSING}"
    assert (found.answerable, found.until_us) == ("collector", None)


def test_reports_that_the_node_says_it_lost_are_none() -> None:
    node = ScriptedNode()
    told = [node.report([10 * number]) for number in range(12)]
    gap = {"first_seq": 3, "last_seq": 11, "last_hash": node.prev, "reason": "spool full"}
    honest = [*without(told), node.report([120], gaps=[gap]), node.report([130])]
    assert holes(honest).findings("log_hole") == []


def other(told: list[Report]) -> list[Report]:
    """Number 5 is signed anew, with a sample of another time."""
    again = ScriptedNode(seq=5, prev=told[5].prev)
    return [*told[:5], again.report([51]), *told[6:]]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda told: told[2:], "reports 0 to 1 are missing, and no gap says why"),
        (lambda told: [*told[:4], *told[2:]], "report 2 stands behind report 3"),
        (other, "report 6 follows another report 5"),
    ],
    ids=["the beginning", "told twice", "one replaced"],
)
def test_other_edits_of_a_chain_are_found_too(
    edit: Callable[[list[Report]], list[Report]], said: str
) -> None:
    (found, *_) = holes(edit(reports(ScriptedNode()))).findings("log_hole")
    assert found.observed == f"chain chain-1/node: {said}"


def test_each_hole_is_told_and_the_first_stays_open() -> None:
    told = [report for report in reports(ScriptedNode()) if report.seq not in (4, 9)]
    first, second = holes(told).findings("log_hole")
    assert "reports 4 to 4" in first.observed
    assert "reports 9 to 9" in second.observed
    assert first.until_us is None
    assert second.until_us == second.since_us


def test_no_amendment_closes_it_and_a_release_does() -> None:
    told = reports(ScriptedNode())
    log = holes(without(told[:16]))
    terms = contract_text(
        version=2, supersedes="supersedes: '1'\n", effective="2026-10-01T00:02:40Z"
    )
    log.contract(terms, version=2)
    for report in told[16:]:
        log.report(report)
    assert ("log_hole", "") in log.open()
    log.add(EntryKind.ASSIGNMENT, Assignment(contract="K1", node="n1", devices=[]))
    assert log.open() == {}


def test_a_judge_that_fails_at_the_node_does_not_close_it(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch)
    node = ScriptedNode()
    log = holes(without(reports(node)))
    log.report(node.report([200], {200: {node.devices[0]: {"temperature_gpu_celsius": POISON}}}))
    assert {code for code, _ in log.open()} == {"log_hole", "judging_failed"}


def test_chains_that_take_turns_are_whole_each_for_itself() -> None:
    chains = [ScriptedNode(chain=f"chain-{number}") for number in range(6)]
    told = [node.report([10 * turn]) for turn in range(5) for node in chains]
    assert holes(told).findings("log_hole") == []


def test_of_a_chain_that_is_no_longer_known_nothing_is_said() -> None:
    chains = [ScriptedNode(chain=f"chain-{number}") for number in range(ENDS_KEPT + 1)]
    told = [node.report([10]) for node in chains]
    assert holes([*told, chains[0].report([20])]).findings("log_hole") == []
    assert len(holes([*told, *without(reports(chains[-1]))]).findings("log_hole")) == 1


def test_a_hole_is_found_by_folds_that_were_restored_in_between() -> None:
    told = without(reports(ScriptedNode()))
    log = holes(told[:3])
    again = FleetFold()
    again.restore(log.fold.snapshots(), log.entries)
    log.fold = again
    log.report(told[3])
    (found,) = log.findings("log_hole")
    assert MISSING in found.observed


def edited(directory: Path) -> None:
    """The log without those reports, as its keeper would write it: nothing is left that tells of them."""
    with opened(directory) as store:
        leaves = list(store.log.leaves(0, store.log.size))
    kept = [leaf for index, leaf in enumerate(leaves) if not taken(index, leaf)]
    assert len(kept) == len(leaves) - len(OUT)
    rewritten(directory, kept)


def taken(index: int, leaf: bytes) -> bool:
    if entry(index, leaf).kind is not EntryKind.REPORT:
        return False
    return decode(open_envelope(leaf).payload).seq in OUT


def test_a_replay_of_an_edited_log_is_no_longer_equal_and_the_collector_says_so(
    tmp_path: Path,
) -> None:
    agent = Agent("n1", gpus=8)
    directory = make_store(tmp_path / "store", [agent], CONTRACT)
    with serving(directory) as server:
        first = agent.next(inventory=agent.inventory())
        answer = server.report(first, *(agent.next() for _ in range(19)))
        assert answer.status == 200
        size = answer.json["receipts"][-1]["index"] + 1
        wait_for(
            lambda: server.get("/v1/log/head").json["size"] > size + 2, "a second that is over"
        )
        assert server.stop() == 0
    month = f"{datetime.fromtimestamp(agent.start_us / 1_000_000, UTC):%Y-%m}"
    words = ("replay", "lease", "--period", month, "--config", directory / "config.toml")
    assert weighbridge(*words, check=False).returncode == 0
    edited(directory)
    done = weighbridge(*words, check=False)
    assert done.returncode == 1
    assert f"the log has a hole: n1, lease: chain {agent.chain}/node: {MISSING}" in done.stderr
    assert "equal to the byte" in done.stdout
    with serving(directory) as server:
        found = server.get("/v1/contracts/lease/findings").json["items"]
    assert [row["observed"] for row in found if row["code"] == "log_hole"] == [
        f"chain {agent.chain}/node: {MISSING}"
    ]
