"""Which nodes a contract weighs: those assigned first, until they are released."""

from tests.weighbridge.scripted import (
    SECOND,
    SIGNER,
    START_US,
    Log,
    ScriptedNode,
    contract_text,
    holders,
)
from weighbridge.contract import load
from weighbridge.judge.assignments import Assignments
from weighbridge.judge.ledger import State, StateSpan
from weighbridge.judge.slot_history import Holder, line_of
from weighbridge.log.entries import Assignment, ContractAdded, EntryKind, entry, payload_type
from weighbridge.notices.book import NoticeBook
from weighbridge.settlement.units import JoinedRows, timelines
from weighbridge.wire.report import encode


def assignment(node: str, devices: list[str] | None = None) -> Assignment:
    return Assignment(contract="K1", node=node, devices=devices)


def test_nodes_stand_in_the_order_of_their_first_assignments() -> None:
    assignments = Assignments()
    for node in ("z", "m", "a", "z"):
        assignments.assign(assignment(node), 0)
    assert list(assignments.nodes("K1")) == ["z", "m", "a"]


def test_an_assignment_of_no_devices_releases_the_node_and_a_new_one_comes_last() -> None:
    assignments = Assignments()
    assignments.add(ContractAdded(contract="K1", version=1, text=contract_text("K1"), from_us=0))
    for said in (assignment("a"), assignment("b"), assignment("a", [])):
        assignments.assign(said, 0)
    assert (list(assignments.nodes("K1")), assignments.promises("a")) == (["b"], [])
    assignments.assign(assignment("a"), 0)
    assert (list(assignments.nodes("K1")), len(assignments.promises("a"))) == (["b", "a"], 1)


def test_a_released_node_is_weighed_up_to_its_last_sample_and_nothing_is_found_after_it() -> None:
    log, node = Log(), ScriptedNode("n1")
    log.tick(0)
    log.contract(contract_text("K1"), "K1")
    log.assign("n1")
    for second in range(0, 51, 10):
        log.tick(second)
        log.report(node.report([second]))
    log.tick_through(51, 200)
    assert ("node_silent", "") in log.open()
    log.assign("n1", devices=[])
    assert ("node_silent", "") not in log.open()
    log.tick(300)
    log.report(node.report([300]))
    log.tick_through(301, 400)
    rows = list(log.rows("K1"))
    assert max(row.end_us for row in rows) == START_US + 50 * SECOND
    assert {row.state for row in rows} == {State.UP}
    assert {finding.contract for finding in log.open().values()} <= {""}


def test_an_amendment_is_in_force_from_when_it_takes_effect() -> None:
    log = Log()
    log.contract(contract_text("K1"), "K1")
    later = "2026-10-01T00:10:00Z"
    log.contract(
        contract_text("K1", version=2, supersedes='supersedes: "1"\n', effective=later, nodes=3),
        "K1",
        2,
    )
    at_us = START_US + 600 * SECOND
    shown = [
        log.fold.assignments.contracts(now_us)["K1"] for now_us in (0, at_us - 1, at_us, 2**52)
    ]
    assert [version.contract.version for version in shown] == [1, 1, 2, 2]


def test_nodes_that_an_amendment_will_add_are_not_missed_before_it() -> None:
    log, node = Log(), ScriptedNode("n1")
    log.tick(0)
    log.contract(contract_text("K1"), "K1")
    later = "2026-10-01T00:50:00Z"
    log.contract(
        contract_text("K1", version=2, supersedes='supersedes: "1"\n', effective=later, nodes=3),
        "K1",
        2,
    )
    log.assign("n1")
    log.tick(10)
    log.report(node.report([10]))
    for second in (700, 3599):
        log.tick(second)
    assert log.findings("under_reported") == []
    log.tick(3601)
    assert [finding.expected for finding in log.findings("under_reported")] == [
        "3 nodes that report"
    ]


def book(*said: Assignment) -> NoticeBook:
    """Assignments received at 1, 2 and so on."""
    made = NoticeBook()
    for at_us, one in enumerate(said, start=1):
        leaf = SIGNER.seal(payload_type(EntryKind.ASSIGNMENT), encode(one))
        made.fold(entry(at_us, leaf), at_us)
    return made


def held(made: NoticeBook, start_us: int, end_us: int, as_of_us: int = 9) -> list[tuple[str, ...]]:
    """Of each place the nodes that held it, the last one first."""
    found = made.holders("K1", start_us, end_us, as_of_us)
    return [(one.node, *(node for node, *_ in one.before)) for one in found]


def test_a_released_node_hands_its_place_on_to_the_next_that_is_assigned() -> None:
    said = book(assignment("z"), assignment("a"), assignment("z", []), assignment("m"))
    assert held(said, 1, 2) == [("z",), ("a",)]
    assert held(said, 1, 3) == [("z",), ("a",)]
    assert held(said, 2, 5) == [("m", "z"), ("a",)]
    assert held(said, 3, 5) == [("m",), ("a",)]
    assert held(said, 2, 5, as_of_us=3) == [("z",), ("a",)]
    assert held(said, 3, 4) == [("a",)]


def test_a_node_that_is_assigned_again_holds_its_place_as_before() -> None:
    assert held(book(assignment("z"), assignment("a"), assignment("z", ["GPU-1"])), 1, 9) == [
        ("z",),
        ("a",),
    ]
    assert held(book(assignment("z"), assignment("z", []), assignment("z")), 1, 9) == [("z", "z")]


def test_a_place_is_of_each_node_what_was_seen_while_it_held_it() -> None:
    up = {name: [StateSpan(0, 100, State.UP, name)] for name in "ab"}
    holder = Holder("b", None, 40, (("a", 0, 30),))
    assert line_of(holder, up, 10, 60) == [
        StateSpan(10, 30, State.UP, "a"),
        StateSpan(30, 40, State.UNKNOWN, ""),
        StateSpan(40, 60, State.UP, "b"),
    ]


def test_settlement_weighs_the_first_nodes_up_to_the_places_of_the_contract() -> None:
    contract = load(contract_text("K1"))
    (item,) = contract.resources
    places = item.nodes + item.spare_nodes
    nodes = [f"n{place}" for place in range(places + 2, 0, -1)]
    found = timelines(
        contract, holders(nodes), JoinedRows({}, late=False, told={}, heard={}), (0, 60)
    )
    assert list(found.resource_of) == list(nodes)[:places]
    assert {slot.node for slot in found.slots} == set(found.resource_of)
