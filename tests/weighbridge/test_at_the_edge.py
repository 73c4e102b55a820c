"""Exactly at the edge, and one beside it on both sides: the folds, the registry, the book and the sums of use."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.weighbridge.scripted import (
    FAST,
    SECOND,
    START_US,
    Log,
    ScriptedNode,
    contract_text,
    spans,
)
from tests.weighbridge.test_notice_book import cause, record_of, row
from weighbridge.judge.ledger import HOUR_US, PRECEDENCE, Row, State, StateSpan, Use, timeline
from weighbridge.settlement.usage import totals, usage_of

GPU = "GPU-n1-0"
HOUR = 3600
MAX_GAP = 30
Values = Mapping[str, int | str]


def standing(*names: str, **changes: Any) -> Log:
    """A log with a contract for each of these nodes, of which no sample was heard yet."""
    log = Log()
    log.tick(0)
    for number, node in enumerate(names or ("n1",), start=1):
        log.contract(contract_text(f"K{number}", **changes), f"K{number}")
        log.assign(node, f"K{number}")
        log.introduce(node)
    return log


# --- what a device that cannot be seen is, beside what is known of it

BLIND: Values = dict.fromkeys(FAST, "timeout")
NEARLY_BLIND: Values = {**BLIND, "temperature_gpu_celsius": 50}


@pytest.mark.parametrize(
    ("ecc", "fatal", "values", "state"),
    [
        (1, False, {}, ("up", "")),
        (0, False, {}, ("degraded", "ecc_off")),
        (0, False, NEARLY_BLIND, ("degraded", "ecc_off")),
        (1, False, NEARLY_BLIND, ("up", "")),
        (1, False, BLIND, ("unknown", "timeout")),
        (0, False, BLIND, ("unknown", "timeout")),
        (0, True, BLIND, ("down", "ecc_off+xid_fatal")),
        (0, True, {}, ("down", "ecc_off+xid_fatal")),
    ],
)
def test_a_device_that_nobody_sees_is_unknown_whatever_degrades_it_and_down_if_it_is_down(
    ecc: int, values: Values, state: tuple[str, str], *, fatal: bool
) -> None:
    log, node = standing(per_node=1), ScriptedNode(gpus=1, identity={GPU: {"ecc_mode_code": ecc}})
    xid = {
        "boottime_us": 1000 * SECOND,
        "kind": "xid",
        "code": 79,
        "device": GPU,
        "source": "kernel",
        "detail": "",
    }
    changes = {second: {GPU: values} for second in (0, 10)}
    log.tick(10)
    log.report(node.report([0, 10], changes, events=[xid] if fatal else []))
    assert spans(log.timelines(10)["n1", 0]) == [(0, 10, *state)]


# --- a GPU is busy at half of the time


@pytest.mark.parametrize(("percent", "judged"), [(49, False), (50, True), (51, True)])
def test_a_bound_under_load_counts_from_half_of_the_time_at_work(
    percent: int, *, judged: bool
) -> None:
    bound = '[{reading: sm_clock_megahertz, at_least: "1500", while: busy, for_share: "1"}]'
    log, node = standing(per_node=1, bounds=bound), ScriptedNode(gpus=1)
    slow = {GPU: {"sm_clock_megahertz": 1499, "utilization_gpu_percent": percent}}
    log.tick(HOUR)
    log.report(node.report([HOUR - 10, HOUR], {HOUR - 10: slow}))
    assert (("bound_broken", GPU) in log.open()) is judged


@pytest.mark.parametrize(
    ("limits", "clock", "broken"),
    [
        ('at_least: "1500"', 1499, True),
        ('at_least: "1500"', 1500, False),
        ('at_most: "1500"', 1500, False),
        ('at_most: "1500"', 1501, True),
    ],
)
def test_a_bound_is_kept_at_the_bound(limits: str, clock: int, *, broken: bool) -> None:
    bound = f'[{{reading: sm_clock_megahertz, {limits}, for_share: "1"}}]'
    log, node = standing(per_node=1, bounds=bound), ScriptedNode(gpus=1)
    log.tick(HOUR)
    log.report(node.report([HOUR - 10, HOUR], {HOUR - 10: {GPU: {"sm_clock_megahertz": clock}}}))
    assert (("bound_broken", GPU) in log.open()) is broken


@pytest.mark.parametrize(("bad", "broken"), [(0, False), (1, False), (2, True)])
def test_a_bound_is_kept_by_exactly_its_share_of_the_samples(bad: int, *, broken: bool) -> None:
    """Nine of ten."""
    bound = '[{reading: sm_clock_megahertz, at_least: "1500", for_share: "0.9"}]'
    log, node = standing(per_node=1, bounds=bound), ScriptedNode(gpus=1)
    seconds = range(HOUR - 100, HOUR + 1, 10)
    slow = {second: {GPU: {"sm_clock_megahertz": 1}} for second in seconds[:bad]}
    log.tick(HOUR)
    log.report(node.report(seconds, slow))
    assert (("bound_broken", GPU) in log.open()) is broken


@pytest.mark.parametrize(("lanes", "state"), [(15, "degraded"), (16, "up"), (17, "up")])
def test_a_floor_is_kept_at_the_floor(lanes: int, state: str) -> None:
    log, node = standing(per_node=1), ScriptedNode(gpus=1)
    log.tick(10)
    values = {second: {GPU: {"pcie_link_width_lanes": lanes}} for second in (0, 10)}
    log.report(node.report([0, 10], values))
    assert [line[2] for line in spans(log.timelines(10)["n1", 0])] == [state]


# --- time between two samples


@pytest.mark.parametrize(
    ("gap", "lines"),
    [
        (MAX_GAP - 1, [(0, 29, "up", "")]),
        (MAX_GAP, [(0, 30, "up", "")]),
        (MAX_GAP + 1, [(0, 31, "unknown", "silent")]),
    ],
)
def test_a_sample_covers_the_time_up_to_the_next_one_within_the_largest_gap(
    gap: int, lines: list[tuple[int, int, str, str]]
) -> None:
    log, node = standing(per_node=1), ScriptedNode(gpus=1)
    log.tick(gap)
    log.report(node.report([0, gap]))
    assert spans(log.timelines(gap)["n1", 0]) == lines


@pytest.mark.parametrize(("last", "silent"), [(29, False), (30, True), (31, True)])
def test_a_node_is_silent_when_it_was_not_heard_for_the_largest_gap(
    last: int, *, silent: bool
) -> None:
    log, node = standing(per_node=1), ScriptedNode(gpus=1)
    log.report(node.report([0]))
    log.tick_through(1, last)
    assert (("node_silent", "") in log.open()) is silent


# --- the registry


class Elsewhere(ScriptedNode):
    """Shows the device of node n1."""

    @property
    def devices(self) -> list[str]:
        return [GPU]


@pytest.mark.parametrize(
    ("gap", "contested"), [(MAX_GAP - 1, True), (MAX_GAP, True), (MAX_GAP + 1, False)]
)
def test_a_place_holds_its_device_over_a_gap_of_exactly_the_nodes_patience(
    gap: int, *, contested: bool
) -> None:
    """Another node shows it in between."""
    log = standing("n1", "n2", per_node=1)
    mine, other = ScriptedNode("n1", gpus=1), Elsewhere("n2", gpus=1)
    log.tick(gap)
    for node, second in ((mine, 0), (other, 10), (other, 20), (mine, gap)):
        log.report(node.report([second]))
    rows = {(row.start_us, row.end_us) for row in log.rows() if row.state is State.CONTESTED}
    assert rows == ({(START_US + 10 * SECOND, START_US + 20 * SECOND)} if contested else set())


@pytest.mark.parametrize(("start", "contested"), [(19, True), (20, False), (21, False)])
def test_a_device_that_comes_as_it_leaves_another_place_is_in_one_at_a_time(
    start: int, *, contested: bool
) -> None:
    log = standing("n1", "n2", per_node=1)
    log.tick(40)
    mine, other = ScriptedNode("n1", gpus=1), Elsewhere("n2", gpus=1)
    for node, second in ((mine, 0), (mine, 20), (other, start), (other, 40)):
        log.report(node.report([second]))
    assert bool(log.findings("duplicate_device")) is contested


@pytest.mark.parametrize(("second", "late"), [(599, False), (600, True), (601, True)])
def test_a_contract_has_never_reported_once_its_time_to_report_first_is_over(
    second: int, *, late: bool
) -> None:
    log = standing()
    log.tick(second)
    assert (("never_reported", "") in log.open()) is late


@pytest.mark.parametrize(
    ("reporting", "code"), [(0, "never_reported"), (1, "under_reported"), (2, None)]
)
def test_a_contract_is_whole_once_every_node_that_it_promises_has_reported(
    reporting: int, code: str | None
) -> None:
    """Two nodes; the time to report first is over already."""
    log = standing("n1", nodes=2, per_node=1)
    log.assign("n2")
    log.tick(600)
    for second, name in ((610, "n1"), (620, "n2"))[:reporting]:
        log.tick(second)
        log.report(ScriptedNode(name, gpus=1).report([second]))
    log.tick_through(621, 700)
    found = {code for code, _ in log.open()} & {"never_reported", "under_reported"}
    assert found == ({code} if code else set())


# --- what was said by when


@pytest.mark.parametrize(("cutoff", "counts"), [(10, False), (11, True), (12, True)])
def test_a_cause_that_is_told_at_the_cut_off_counts_and_is_not_late(
    cutoff: int, *, counts: bool
) -> None:
    """It came at 11."""
    known = record_of(cause("L"))
    explained = {one.cause for one in known.explained([row(0, 3, State.DOWN)], cutoff)}
    assert explained == ({"gpu_lost", "lessee_fault"} if counts else {"gpu_lost"})
    assert bool(known.notices([], cutoff).late) is not counts


@pytest.mark.parametrize(
    ("hours", "causes"),
    [
        ((0, 1), ["gpu_lost"]),
        ((0, 2), ["gpu_lost", "lessee_fault"]),
        ((1, 2), ["lessee_fault"]),
        ((1, 3), ["lessee_fault", "gpu_lost"]),
        ((2, 3), ["gpu_lost"]),
    ],
)
def test_a_cause_explains_the_hour_that_it_names_and_no_part_of_the_next(
    hours: tuple[int, int], causes: list[str]
) -> None:
    found = record_of(cause("L")).explained([row(*hours, State.DOWN)], 100)
    assert [one.cause for one in found] == causes


# --- use and energy


class Exchanged(ScriptedNode):
    """Its card can be exchanged."""

    card = GPU

    @property
    def devices(self) -> list[str]:
        return [self.card]


def energy(*told: tuple[int, str, int]) -> tuple[int, int]:
    """(second, card, counter) -> seconds for which energy is known, and how much."""
    log, node = standing(per_node=1), Exchanged(gpus=1)
    for second, card, counter in told:
        node.card = card
        log.tick(second)
        values = {second: {card: {"energy_millijoules": counter}}}
        log.report(node.report([second], values, inventory=node.inventory()))
    log.assign("n1", devices=[])
    found = {use.key: use for use in log.changes if isinstance(use, Use)}
    (use,) = found.values()
    return use.energy_known // SECOND, use.energy_millijoules


@pytest.mark.parametrize(
    ("told", "known"),
    [
        ([(0, "A", 100), (10, "A", 150), (20, "A", 160)], (20, 60)),
        ([(0, "A", 100), (10, "B", 150), (20, "B", 160)], (10, 10)),
        ([(0, "A", 100), (10, "A", 150), (20, "B", 160)], (10, 50)),
        ([(0, "A", 100), (10, "A", 100)], (10, 0)),
        ([(0, "A", 100), (10, "A", 99)], (0, 0)),
        ([(0, "A", 100), (10, "A", 101)], (10, 1)),
    ],
)
def test_energy_is_what_one_cards_counter_rose_by_and_no_difference_of_two_cards(
    told: list[tuple[int, str, int]], known: tuple[int, int]
) -> None:
    assert energy(*told) == known


@pytest.mark.parametrize(("milliwatts", "percent", "in_use"), [(120_000, 100, 0), (120_001, 0, 10)])
def test_a_card_is_in_use_above_its_idle_band_and_not_at_its_top(
    milliwatts: int, percent: int, in_use: int
) -> None:
    log, node = standing(per_node=1), ScriptedNode(gpus=1)
    values = {"power_draw_milliwatts": milliwatts, "utilization_gpu_percent": percent}
    log.tick(10)
    log.report(node.report([0, 10], {second: {GPU: values} for second in (0, 10)}, processes=None))
    log.assign("n1", devices=[])
    (use,) = (change for change in log.changes if isinstance(change, Use))
    assert (use.known // SECOND, use.in_use // SECOND) == (10, in_use)


def use(chain: str, start: int, end: int, seen: int, hour: int = 0) -> Use:
    """What a chain tells of seconds of an hour; energy says which chain it was."""
    edge = hour * HOUR_US
    told = {"a": 1000, "b": 10_000, "c": 100_000}[chain]
    edges = (edge, edge + start * SECOND, edge + end * SECOND)
    return Use("K", "n1", chain, *edges, seen, 0, 0, 0, 0, 1, told, 0)


@pytest.mark.parametrize(
    ("uses", "joules"),
    [
        ([use("a", 0, 10, 8), use("b", 0, 10, 9)], 10),
        ([use("a", 0, 10, 9), use("b", 0, 10, 8)], 1),
        ([use("b", 0, 10, 8), use("a", 0, 10, 8)], 1),
        ([use("a", 0, 10, 8), use("b", 10, 20, 9)], 11),
        ([use("a", 0, 10, 8), use("b", 9, 20, 9)], 10),
        ([use("b", 10, 20, 8), use("a", 0, 10, 9)], 11),
        ([use("b", 10, 20, 8), use("a", 0, 11, 9)], 1),
        ([use("a", 0, 10, 7), use("b", 5, 15, 8), use("c", 15, 20, 1)], 110),
    ],
)
def test_of_two_chains_that_tell_of_the_same_time_the_one_that_saw_more_is_believed(
    uses: list[Use], joules: int
) -> None:
    (found,) = totals(uses, [(0, HOUR)])
    assert usage_of(found, ["n1"]).energy_joules == joules


def test_an_hour_belongs_to_the_part_in_which_it_begins() -> None:
    uses = [use("a", 0, 10, 1, hour) for hour in (0, 1, 2, 3)]
    found = totals(uses, [(HOUR, 2 * HOUR), (2 * HOUR, 3 * HOUR)])
    assert [usage_of(one, ["n1"]).energy_joules for one in found] == [1, 1]
    assert totals(uses[:1], [(1, HOUR)]) == [{}]


# --- rows as one timeline


@pytest.mark.parametrize(
    ("end", "lines"),
    [
        (9, [(0, 9, "up"), (9, 10, "unknown"), (10, 20, "up")]),
        (10, [(0, 20, "up")]),
        (11, [(0, 20, "up")]),
    ],
)
def test_rows_that_touch_leave_no_time_between_them(
    end: int, lines: list[tuple[int, int, str]]
) -> None:
    rows = [StateSpan(0, end, State.UP, ""), StateSpan(10, 20, State.UP, "")]
    found = timeline(rows, 0, 20, PRECEDENCE)
    assert [(one.start_us, one.end_us, str(one.state)) for one in found] == lines


def at_an_edge(start: int, end: int) -> Row:
    return Row("K", "n", 0, "G", "c", start, end, State.DOWN, "", 0)


@pytest.mark.parametrize(
    ("edges", "down"),
    [((-5, 0), 0), ((-5, 1), 1), ((9, 15), 1), ((10, 15), 0), ((3, 3), 0)],
)
def test_a_row_that_ends_as_the_time_begins_or_begins_as_it_ends_is_no_part_of_it(
    edges: tuple[int, int], down: int
) -> None:
    found = timeline([at_an_edge(*edges)], 0, 10)
    assert sum(one.end_us - one.start_us for one in found if one.state is State.DOWN) == down
    assert (found[0].start_us, found[-1].end_us) == (0, 10)
