"""A device is in one place at a time, and a contract whose nodes never report is found."""

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode, contract_text, spans
from weighbridge.contract.local_days import day_start
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import Finding
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.registry import DEVICES_KEPT, Change, Registry
from weighbridge.judge.snapshot import Key


class TwinNode(ScriptedNode):
    """Shows the first device of another node beside its own second one."""

    @property
    def devices(self) -> list[str]:
        return ["GPU-n1-0", "GPU-n2-1"]


def two_contracts(**changes: Any) -> Log:
    log = Log()
    log.tick(0)
    for name, node in (("K1", "n1"), ("K2", "n2")):
        log.contract(contract_text(name, **changes), name)
        log.assign(node, name)
    return log


def feed(log: Log, nodes: list[ScriptedNode], seconds: range) -> None:
    for second in seconds:
        log.tick(second)
        for node in nodes:
            log.report(node.report([second]))


def duplicates(log: Log) -> set[tuple[str, str, str]]:
    return {(f.contract, f.node, f.device) for f in log.findings("duplicate_device")}


def test_devices_of_two_nodes_that_differ_are_no_conflict() -> None:
    log = two_contracts()
    feed(log, [ScriptedNode("n1"), ScriptedNode("n2")], range(0, 51, 10))
    assert log.findings() == []


def test_contested_time_ends_now_whatever_two_nodes_say_of_the_future() -> None:
    """Two lying clocks once made a row for each hour of two centuries, from two reports of a kilobyte."""
    log = Log()
    log.tick(0)
    nodes = [ScriptedNode("n1"), TwinNode("n2")]
    feed(log, list(nodes), range(0, 11, 10))
    for node in nodes:
        node.boot, node.wall_offset_us = "another", 2**52
    feed(log, list(nodes), range(20, 41, 10))
    laid = [row for row in log.rows("") if row.node == "n1"]
    edges = [START_US + second * SECOND for second in range(0, 41, 10)]
    assert [(row.start_us, row.end_us) for row in laid] == list(pairwise(edges))


def test_one_device_on_two_nodes_is_contested_for_both_while_both_show_it() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 21, 10))
    feed(log, [first, twin], range(30, 61, 10))
    feed(log, [first], range(70, 91, 10))
    assert duplicates(log) == {("K1", "n1", "GPU-n1-0"), ("K2", "n2", "GPU-n1-0")}
    told = [finding for finding in log.findings("duplicate_device") if finding.contract == "K1"]
    assert not any("K2" in finding.observed or "n2" in finding.observed for finding in told)
    assert spans(log.timelines(90)["n1", 0]) == [
        (0, 30, "up", ""),
        (30, 60, "contested", "duplicate_device"),
        (60, 90, "up", ""),
    ]
    assert spans(log.timelines(90)["n1", 1]) == [(0, 90, "up", "")]
    assert spans(log.timelines(60, "K2")["n2", 0])[-1] == (
        30,
        60,
        "contested",
        "duplicate_device",
    )


def test_a_card_that_was_elsewhere_while_its_node_was_silent_is_not_contested_for_that_time() -> (
    None
):
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 31, 10))
    feed(log, [twin], range(100, 131, 10))
    feed(log, [first], range(200, 231, 10))
    assert duplicates(log) == set()


@given(st.data())
def test_contested_time_is_the_same_in_whatever_order_the_nodes_are_heard(
    data: st.DataObject,
) -> None:
    seconds = {
        name: sorted(data.draw(st.sets(st.integers(0, 60), min_size=1, max_size=25)))
        for name in ("n1", "n2")
    }
    reference: object = None
    for order in (["n1"] * 99, ["n2"] * 99, data.draw(st.lists(st.sampled_from(["n1", "n2"])))):
        log = two_contracts()
        log.tick(10_000)
        nodes = {"n1": ScriptedNode("n1"), "n2": TwinNode("n2")}
        waiting = {name: list(times) for name, times in seconds.items()}
        for name in [*order, *["n1", "n2"] * 99]:
            if waiting[name]:
                log.report(nodes[name].report([waiting[name].pop(0) * 10]))
        contested = {
            (contract, place): [span for span in spans(line) if span[2] == "contested"]
            for contract in ("K1", "K2")
            for place, line in log.timelines(700, contract).items()
        }
        reference = contested if reference is None else reference
        assert contested == reference


class Triplet(ScriptedNode):
    """A third node that shows the same device."""

    @property
    def devices(self) -> list[str]:
        return ["GPU-n1-0", "GPU-n3-1"]


def test_of_three_places_those_two_that_hold_it_together_are_contested() -> None:
    log = two_contracts()
    log.contract(contract_text("K3"), "K3")
    log.assign("n3", "K3")
    first, twin, third = ScriptedNode("n1"), TwinNode("n2"), Triplet("n3")
    feed(log, [first], range(0, 31, 10))
    feed(log, [first, twin], range(40, 61, 10))
    feed(log, [twin, third], range(100, 121, 10))
    held = {contract: log.timelines(120, contract) for contract in ("K1", "K2", "K3")}
    assert (40, 60, "contested", "duplicate_device") in spans(held["K1"]["n1", 0])
    assert spans(held["K2"]["n2", 0])[1:] == [
        (40, 60, "contested", "duplicate_device"),
        (60, 100, "unknown", "silent"),
        (100, 120, "contested", "duplicate_device"),
    ]
    assert spans(held["K3"]["n3", 0])[-1] == (100, 120, "contested", "duplicate_device")


def test_a_device_that_moved_is_not_contested() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 21, 10))
    feed(log, [twin], range(60, 91, 10))
    assert duplicates(log) == set()


def test_evidence_that_comes_late_still_shows_that_both_had_the_device() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 21, 10))
    feed(log, [twin], range(60, 91, 10))
    for second in range(30, 91, 10):
        log.report(first.report([second]))
    assert len(duplicates(log)) == 2
    assert (60, 90, "contested", "duplicate_device") in spans(log.timelines(90)["n1", 0])


def test_one_node_under_two_exclusive_contracts_is_contested_and_under_shared_ones_not() -> None:
    for mode, contested in (("exclusive", True), ("shared", False)):
        log = Log()
        log.tick(0)
        for name in ("K1", "K2"):
            text = contract_text(name).replace(
                "    bounds:", f'    exclusivity: {{mode: {mode}, max_owners: "1"}}\n    bounds:'
            )
            log.contract(text, name)
            log.assign("n1", name)
        feed(log, [ScriptedNode("n1")], range(0, 51, 10))
        assert bool(duplicates(log)) is contested


def test_two_contracts_that_split_a_node_between_them_are_no_conflict() -> None:
    log = Log()
    log.tick(0)
    for name, device in (("K1", "GPU-n1-0"), ("K2", "GPU-n1-1")):
        log.contract(contract_text(name, per_node=1), name)
        log.assign("n1", name, [device])
    feed(log, [ScriptedNode("n1")], range(0, 51, 10))
    assert log.findings() == []
    assert spans(log.timelines(50, "K2")["n1", 0]) == [(0, 50, "up", "")]


def absences(log: Log) -> list[tuple[str, bool]]:
    found: list[Finding] = log.findings("never_reported", "under_reported")
    return [(finding.code, finding.until_us is None) for finding in found]


def test_a_contract_whose_nodes_never_report_is_found_when_its_time_is_over() -> None:
    log = Log()
    log.tick(0)
    log.contract(contract_text(nodes=2))
    log.tick(599)
    assert absences(log) == []
    log.tick(600)
    assert absences(log) == [("never_reported", True)]
    assert log.findings("never_reported")[0].since_us == START_US + 600 * SECOND
    log.assign("n1")
    log.report(ScriptedNode().report([601]))
    log.tick(602)
    assert absences(log)[1:] == [("never_reported", False), ("under_reported", True)]


BATCHES = """\
    delivery:
      - {id: A, nodes: "1", due: "2026-10-05", value: "100"}
      - {id: B, nodes: "1", due: "2026-10-07", value: "100"}
"""
SHANGHAI = "Asia/Shanghai"


def in_batches() -> Log:
    """Two nodes that are due on days of their own, as the contract's zone has them; the log begins on the first."""
    log = Log()
    log.tick(0)
    text = contract_text(nodes=2, more=BATCHES)
    log.contract(text.replace("time_zone: UTC", f"time_zone: {SHANGHAI}"))
    return log


def due_s(day: int) -> int:
    """The end of a day of October, and the time to report first."""
    return day_start(date(2026, 10, day + 1), SHANGHAI) - START_US // SECOND + 600


def seen(log: Log, *codes: str) -> set[str]:
    newest = {finding.key: finding for finding in log.findings(*codes)}
    return {finding.code for finding in newest.values() if finding.until_us is None}


ABSENT = ("never_reported", "under_reported", "batch_overdue")


def test_nodes_of_a_batch_are_missed_after_its_day_and_each_late_day_is_a_finding() -> None:
    log = in_batches()
    log.tick(due_s(5) - 1)
    assert seen(log, *ABSENT) == set()
    log.tick(due_s(5))
    assert seen(log, *ABSENT) == {"never_reported", "batch_overdue"}
    [late] = log.findings("batch_overdue")
    assert (late.expected, late.observed) == ("A: 1 nodes that report", "0")
    assert late.since_us == START_US + due_s(5) * SECOND
    log.assign("n1")
    log.report(ScriptedNode().report([due_s(5) + 1]))
    log.tick(due_s(5) + 2)
    assert seen(log, *ABSENT) == set()
    log.tick(due_s(7) - 1)
    assert seen(log, *ABSENT) == set()
    log.tick(due_s(7))
    assert seen(log, *ABSENT) == {"under_reported", "batch_overdue"}
    assert log.findings("batch_overdue")[-1].expected == "B: 2 nodes that report"


def test_a_restart_neither_repeats_nor_forgets_a_conflict() -> None:
    log = two_contracts()
    nodes = [ScriptedNode("n1"), TwinNode("n2")]
    feed(log, nodes, range(0, 31, 10))
    restarted = FleetFold()
    restarted.restore(log.fold.snapshots(), log.entries)
    log.fold = restarted
    feed(log, nodes, range(40, 61, 10))
    assert len(log.findings("duplicate_device")) == 2
    assert spans(log.timelines(60)["n1", 0]) == [(0, 60, "contested", "duplicate_device")]


def test_a_duplicate_closes_for_both_when_one_of_them_shows_the_device_no_more() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first, twin], range(0, 31, 10))
    assert ("duplicate_device", "GPU-n1-0") in log.open()
    honest = ScriptedNode("n2", chain="chain-2")
    feed(log, [first, honest], range(40, 61, 10))
    assert ("duplicate_device", "GPU-n1-0") not in log.open()
    ended = [f for f in log.findings("duplicate_device") if f.until_us is not None]
    assert {(f.contract, f.node) for f in ended} == {("K1", "n1"), ("K2", "n2")}
    assert spans(log.timelines(60)["n1", 0])[-1] == (30, 60, "up", "")


def test_a_card_that_is_lost_here_may_be_shown_elsewhere() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 21, 10))
    first.states["GPU-n1-0"] = "lost"
    log.report(first.report([30], inventory=first.inventory()))
    feed(log, [twin, first], range(40, 71, 10))
    assert duplicates(log) == set()


def test_a_device_that_stays_was_there_before_another_one_came() -> None:
    log = two_contracts()
    first, twin = ScriptedNode("n1"), TwinNode("n2")
    feed(log, [first], range(0, 21, 10))
    first.gpus = 3
    log.report(first.report([30], inventory=first.inventory()))
    feed(log, [first], range(40, 61, 10))
    for second in range(0, 61, 10):
        log.report(twin.report([second]))
    assert (0, 60, "contested", "duplicate_device") in spans(log.timelines(60)["n1", 0])


class Renaming(ScriptedNode):
    """Shows other devices with each report."""

    @property
    def devices(self) -> list[str]:
        return [f"GPU-{self.seq}-{number}" for number in range(self.gpus)]


class Counting(Registry):
    """`steps`: how often it gave way over its last report."""

    steps = 0

    def see(
        self, state: NodeState, assignments: Assignments, now_us: int, entry: int
    ) -> Iterator[Change | None]:
        found = list(super().see(state, assignments, now_us, entry))
        self.steps = found.count(None)
        yield from found


def test_devices_that_come_leave_are_doubted_or_forgotten_are_each_a_step() -> None:
    log, node = Log(), Renaming("n1", gpus=700)
    log.fold.registry = registry = Counting()
    for second in range(4):
        log.tick(second)
        log.report(node.report([second], inventory=node.inventory()))
    assert len(registry.known[Key(("n1", "provider"))]) == DEVICES_KEPT
    assert registry.steps >= 5 * node.gpus
