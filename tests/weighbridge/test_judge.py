"""Samples become intervals, and findings open and close, as the judge promises."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.weighbridge.scripted import (
    SECOND,
    START_US,
    Log,
    ScriptedNode,
    contract_text,
    spans,
)
from weighbridge.catalogue.findings import reason_said
from weighbridge.judge.fleet import FleetFold
from weighbridge.judge.ledger import PRECEDENCE, Finding, Row, State, timeline
from weighbridge.judge.track import grown
from weighbridge.log.entries import Reached
from weighbridge.verdict import Verdict

GPU = "GPU-n1-0"


def standing(heard: bool = True, **changes: Any) -> Log:
    """A log with one contract that node n1, which was `heard`, is assigned to."""
    log = Log()
    log.tick(0)
    log.contract(contract_text(**changes))
    log.assign("n1")
    if heard:
        log.introduce()
    return log


def feed(log: Log, node: ScriptedNode, seconds: range, changes: Any = None) -> None:
    """One report per sample, heard as it is taken."""
    for second in seconds:
        log.tick(second)
        log.report(node.report([second], changes))


def test_an_honest_node_is_up_and_nothing_is_found() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 101, 10))
    assert spans(log.timelines(100)["n1", 0]) == [(0, 100, "up", "")]
    assert log.findings() == []


def test_a_power_cap_degrades_from_the_sample_that_shows_it_until_the_one_that_does_not() -> None:
    log, node = standing(), ScriptedNode()
    capped = {s: {GPU: {"power_limit_enforced_milliwatts": 350_000}} for s in (30, 40)}
    feed(log, node, range(0, 101, 10), capped)
    assert spans(log.timelines(100)["n1", 0]) == [
        (0, 30, "up", ""),
        (30, 50, "degraded", "power_capped"),
        (50, 100, "up", ""),
    ]
    assert spans(log.timelines(100)["n1", 1]) == [(0, 100, "up", "")]
    (opened, closed) = log.findings("power_capped")
    assert (opened.device, opened.observed) == (GPU, "350000")
    assert opened.since_us == closed.since_us == START_US + 30 * SECOND
    assert closed.until_us == START_US + 50 * SECOND


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        ({"pci_device_id": "10de:2331", "name": "NVIDIA H100 PCIe"}, "sku_mismatch"),
        ({"gpu_cores": 14592}, "sku_mismatch"),
        ({"memory_total_bytes": 40 << 30}, "memory_short"),
        ({"ecc_mode_code": 0}, "ecc_off"),
        ({"mig_mode_code": 1}, "mig_on"),
    ],
)
def test_a_device_that_is_not_what_was_promised_is_named(
    identity: dict[str, int | str], code: str
) -> None:
    log, node = standing(), ScriptedNode(identity={GPU: identity})
    feed(log, node, range(0, 31, 10))
    assert {place for place, finding in log.open().items() if finding.verdict == "breached"} == {
        (code, GPU)
    }


def test_a_lost_gpu_is_down_and_keeps_its_slot() -> None:
    log, node = standing(), ScriptedNode()
    lost = {s: {GPU: dict.fromkeys(FAST_NAMES, "gpu_is_lost")} for s in range(20, 101)}
    feed(log, node, range(0, 51, 10), lost)
    assert spans(log.timelines(50)["n1", 0]) == [(0, 20, "up", ""), (20, 50, "down", "gpu_lost")]
    assert ("gpu_lost", GPU) in log.open()
    unknown = {code for (code, _), found in log.open().items() if found.verdict == "unknown"}
    assert unknown == {"power_capped", "pcie_narrow"}


def test_the_cause_of_a_gpu_of_which_no_sign_is_told_is_a_code() -> None:
    log, node = standing(), ScriptedNode()
    for second in range(0, 31, 10):
        busy = {
            "tier": "fast",
            "boottime_us": [(1000 + second) * SECOND],
            "devices": node.devices,
            "readings": {"utilization_gpu_percent": [[90, 90]]},
            "unavailable": [],
        }
        log.tick(second)
        log.report(node.report([second], blocks=[busy]))
    assert spans(log.timelines(30)["n1", 0]) == [(0, 30, "unknown", "not_reported")]
    assert log.open()["gpu_lost", GPU].observed == "not_reported"


FAST_NAMES = (
    "power_draw_milliwatts",
    "memory_used_bytes",
    "temperature_gpu_celsius",
    "power_limit_enforced_milliwatts",
    "pcie_link_width_lanes",
    "utilization_gpu_percent",
    "sm_clock_megahertz",
)


def test_a_device_that_nobody_can_read_is_unknown_and_neither_up_nor_down() -> None:
    log, node = standing(), ScriptedNode()
    blind = {s: {GPU: dict.fromkeys(FAST_NAMES, "quarantined")} for s in range(20, 101)}
    feed(log, node, range(0, 51, 10), blind)
    assert spans(log.timelines(50)["n1", 0]) == [
        (0, 20, "up", ""),
        (20, 50, "unknown", "quarantined"),
    ]


def test_a_fatal_xid_takes_the_device_down_until_the_node_has_rebooted() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    xid = {
        "boottime_us": 1025 * SECOND,
        "kind": "xid",
        "device": GPU,
        "code": 79,
        "source": "kernel",
        "detail": "",
    }
    log.tick(60)
    log.report(node.report([30], events=[xid]))
    log.report(node.report([40]))
    node.boot = "boot-2"
    log.report(node.report([50]))
    assert spans(log.timelines(50)["n1", 0]) == [(0, 30, "up", ""), (30, 50, "down", "xid_fatal")]
    assert [finding.until_us for finding in log.findings("xid_fatal")] == [
        None,
        START_US + 50 * SECOND,
    ]
    assert len(log.findings("node_rebooted")) == 1


def event(second: int, kind: str, code: int | None = None) -> dict[str, Any]:
    """Of GPU, as a report holds it."""
    told = {"device": GPU if code or kind == "device_returned" else None, "code": code}
    at_us = (1000 + second) * SECOND
    return {"boottime_us": at_us, "kind": kind, "source": "kernel", "detail": "", **told}


def with_energy(seconds: range, first: int) -> dict[int, Any]:
    """Samples of GPU whose counter of energy shows `first` millijoules, and one more each second."""
    return {
        second: {GPU: {"energy_millijoules": first + second - seconds[0]}} for second in seconds
    }


def faulty(**fields: Any) -> tuple[Log, ScriptedNode]:
    """GPU has told of XID 79 at 25 s; its counter of energy stood at 1,030 mJ at 30 s."""
    log, node = standing(**fields), ScriptedNode()
    feed(log, node, range(0, 21, 10), with_energy(range(0, 21), 1000))
    log.tick(30)
    counted = with_energy(range(30, 31), 1030)
    log.report(node.report([30], counted, events=[event(25, "xid", 79)]))
    return log, node


def slot_0(log: Log, end: int) -> list[tuple[int, int, str, str]]:
    return spans(log.timelines(end)["n1", 0])


@pytest.mark.parametrize("kinds", [("paused", "resumed"), ("device_returned",), ("agent_started",)])
def test_no_word_ends_a_fault(kinds: tuple[str, ...]) -> None:
    log, node = faulty()
    log.tick(50)
    told = [event(40, kind) for kind in kinds]
    log.report(node.report([40, 50], with_energy(range(40, 51), 1040), events=told))
    assert slot_0(log, 50) == [(0, 30, "up", ""), (30, 50, "down", "xid_fatal")]


def test_a_device_that_left_the_inventory_and_came_back_is_as_faulty_as_before() -> None:
    log, node = faulty()
    whole, without = node.inventory(), node.inventory()
    del without["devices"][0]
    for second, inventory in ((40, without), (50, whole), (60, None)):
        log.tick(second)
        log.report(node.report([second], inventory=inventory))
    assert slot_0(log, 60)[-1] == (50, 60, "down", "xid_fatal")


def test_a_new_chain_of_the_same_boot_inherits_the_fault_and_one_of_another_boot_does_not() -> None:
    for boot, state in (("boot-1", "down"), ("boot-2", "up")):
        log, _ = faulty()
        again = ScriptedNode(chain="chain-2", boot=boot)
        feed(log, again, range(40, 61, 10), with_energy(range(40, 61), 1040))
        assert [span[2] for span in slot_0(log, 60)][-1] == state, boot


@pytest.mark.parametrize(("energy", "state"), [(1030, "down"), (1029, "up")])
def test_a_counter_that_begins_anew_shows_the_reset_that_ends_a_fault(
    energy: int, state: str
) -> None:
    log, node = faulty()
    feed(log, node, range(40, 61, 10), with_energy(range(40, 61), energy))
    assert [span[2] for span in slot_0(log, 60)][-1] == state


def test_a_counter_is_compared_across_chains_and_across_readings_that_have_no_value() -> None:
    log, _ = faulty()
    again = ScriptedNode(chain="chain-2")
    lost = dict.fromkeys(FAST_NAMES, "gpu_is_lost") | {"energy_millijoules": "gpu_is_lost"}
    feed(log, again, range(40, 51, 10), {second: {GPU: lost} for second in (40, 50)})
    feed(log, again, range(60, 81, 10), with_energy(range(60, 81), 0))
    assert slot_0(log, 80)[-2:] == [(40, 60, "down", "gpu_lost+xid_fatal"), (60, 80, "up", "")]


@pytest.mark.parametrize(("reason", "state"), [("driver_not_loaded", "up"), ("timeout", "down")])
def test_a_driver_that_was_gone_and_counts_again_was_loaded_anew(reason: str, state: str) -> None:
    log, node = faulty()
    uncounted = {"readings": {}, "unavailable": {"gpus_enumerated_count": reason}}
    inventory = {**node.inventory(), "devices": [], "driver": uncounted}
    for second, told in ((40, inventory), (50, node.inventory()), (60, None)):
        log.tick(second)
        log.report(node.report([second], inventory=told))
    assert slot_0(log, 60)[-1][2] == state


@pytest.mark.parametrize(
    ("tick", "line"),
    [
        (30, [(0, 30, "unknown", ""), (30, 50, "up", "")]),
        (31, [(0, 31, "unknown", ""), (31, 50, "up", "")]),
        (40, [(0, 40, "unknown", ""), (40, 50, "up", "")]),
    ],
)
def test_a_new_chain_fills_nothing_before_it_was_first_heard(
    tick: int, line: list[tuple[int, int, str, str]]
) -> None:
    log, node = standing(heard=False), ScriptedNode()
    log.tick(tick)
    log.report(node.report([0, 10, 20, 30]))
    log.tick(50)
    log.report(node.report([40, 50]))
    assert slot_0(log, 50) == line


@pytest.mark.parametrize("between", [False, True])
def test_a_device_keeps_its_slot_in_the_next_chain(between: bool) -> None:
    """Also where a chain without a sample lies `between`."""
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    if between:
        log.introduce(chain="chain-2")
    again = ScriptedNode(chain="chain-3")
    alone = again.inventory()
    del alone["devices"][0]
    for second, inventory in ((40, alone), (50, None), (60, None)):
        log.tick(second)
        log.report(again.report([second], inventory=inventory))
    assert slot_0(log, 60)[-1] == (40, 60, "down", "gpu_missing")
    assert spans(log.timelines(60)["n1", 1])[-1] == (40, 60, "up", "")


def test_a_row_names_every_cause_of_its_state() -> None:
    log, node = standing(), ScriptedNode(identity={GPU: {"ecc_mode_code": 0}})
    capped = {second: {GPU: {"power_limit_enforced_milliwatts": 1}} for second in (20, 30)}
    feed(log, node, range(0, 41, 10), capped)
    assert spans(log.timelines(40)["n1", 0]) == [
        (0, 20, "degraded", "ecc_off"),
        (20, 40, "degraded", "ecc_off+power_capped"),
    ]


def test_an_application_xid_takes_nothing_down() -> None:
    log, node = standing(), ScriptedNode()
    xid = {
        "boottime_us": 1005 * SECOND,
        "kind": "xid",
        "device": GPU,
        "code": 31,
        "source": "nvml",
        "detail": "",
    }
    log.tick(20)
    log.report(node.report([10], events=[xid]))
    log.report(node.report([20]))
    assert spans(log.timelines(20)["n1", 0])[-1] == (10, 20, "up", "")


def test_a_slot_that_no_device_fills_is_down() -> None:
    log, node = standing(), ScriptedNode(gpus=1)
    feed(log, node, range(0, 31, 10))
    assert spans(log.timelines(30)["n1", 1]) == [(0, 30, "down", "gpu_missing")]
    assert log.open()["gpu_missing", ""].observed == "1 GPUs"


NOT_COUNTED = {"readings": {}, "unavailable": {"gpus_enumerated_count": "driver_not_loaded"}}


@pytest.mark.parametrize("told", ["readings", "unavailable"])
def test_a_slot_that_no_driver_could_count_is_unknown(told: str) -> None:
    host = {
        "readings": {"nvidia_pci_functions_count": 2},
        "unavailable": {"nvidia_pci_functions_count": "error"},
    }
    silent: dict[str, Any] = {"readings": {}, "unavailable": {}}
    log = standing()
    node = ScriptedNode(gpus=0, driver=NOT_COUNTED, host=silent | {told: host[told]})
    feed(log, node, range(0, 31, 10))
    for slot in (0, 1):
        assert spans(log.timelines(30)["n1", slot]) == [(0, 30, "unknown", "driver_not_loaded")]
    found = log.open()["gpu_missing", ""]
    assert (found.verdict, found.observed) == ("unknown", "driver_not_loaded")
    assert found.severity == "error"


def counted(unread: int, *why: str, count: int = 2) -> dict[str, Any]:
    """What the driver says of GPUs that it counts and does not open."""
    return {
        "readings": {"gpus_enumerated_count": count, "gpus_unreadable_count": unread},
        "unavailable": {f"gpu_unreadable.{index}": reason for index, reason in enumerate(why)},
    }


@pytest.mark.parametrize(
    ("driver", "state", "cause", "verdict"),
    [
        (counted(1, "no_permission"), "unknown", "no_permission", "unknown"),
        (counted(1, "quarantined"), "unknown", "quarantined", "unknown"),
        (counted(1), "unknown", "not_reported", "unknown"),
        (counted(1, "gpu_is_lost"), "down", "gpu_missing", "breached"),
        (counted(1, "reset_required"), "down", "gpu_missing", "breached"),
        (counted(1, "not_found"), "down", "gpu_missing", "breached"),
        (counted(0), "down", "gpu_missing", "breached"),
        (counted(1, "no_permission", count=1), "down", "gpu_missing", "breached"),
    ],
)
def test_a_gpu_that_the_driver_counts_and_does_not_open_is_unknown_unless_it_says_that_it_is_lost(
    driver: dict[str, Any], state: str, cause: str, verdict: str
) -> None:
    log, node = standing(), ScriptedNode(gpus=1, driver=driver)
    feed(log, node, range(0, 31, 10))
    assert spans(log.timelines(30)["n1", 0]) == [(0, 30, "up", "")]
    assert spans(log.timelines(30)["n1", 1]) == [(0, 30, state, cause)]
    assert log.open()["gpu_missing", ""].verdict == verdict


def test_of_three_gpus_that_are_not_shown_the_one_that_is_hidden_is_unknown() -> None:
    node = ScriptedNode(gpus=1, driver=counted(2, "gpu_is_lost", "no_permission", count=4))
    log = standing(per_node=4)
    feed(log, node, range(0, 31, 10))
    shown = sorted(spans(log.timelines(30)["n1", slot])[0][2] for slot in range(4))
    assert shown == ["down", "down", "unknown", "up"]
    assert log.open()["gpu_missing", ""].observed == "2 GPUs"


def test_a_gpu_keeps_its_slot_while_the_driver_does_not_open_it() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 11, 10))
    other = ScriptedNode(gpus=1, driver=counted(1, "no_permission"))
    log.report(node.report([20], inventory=other.inventory()))
    log.report(node.report([30], inventory=other.inventory()))
    assert spans(log.timelines(30)["n1", 1])[-1] == (20, 30, "unknown", "no_permission")
    log.report(node.report([40], inventory=node.inventory()))
    assert {row.device for row in log.rows() if row.slot == 1} == {"GPU-n1-1"}


def test_what_the_bus_does_not_show_is_missing_though_no_driver_counts() -> None:
    log = standing()
    host = {"readings": {"nvidia_pci_functions_count": 1}, "unavailable": {}}
    feed(log, ScriptedNode(gpus=0, driver=NOT_COUNTED, host=host), range(0, 31, 10))
    assert spans(log.timelines(30)["n1", 0]) == [(0, 30, "unknown", "driver_not_loaded")]
    assert spans(log.timelines(30)["n1", 1]) == [(0, 30, "down", "gpu_missing")]
    found = log.open()["gpu_missing", ""]
    assert (found.verdict, found.observed) == ("breached", "1 GPUs (driver_not_loaded)")
    said = reason_said(found.observed)
    assert said is not None
    assert said.en == "the driver is not loaded"


def test_devices_keep_their_slots_while_no_driver_counts_them() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    bare = ScriptedNode(gpus=0, driver=NOT_COUNTED, seq=node.seq, prev=node.prev)
    log.tick(30)
    log.report(bare.report([30], inventory=bare.inventory()))
    back = ScriptedNode(seq=bare.seq, prev=bare.prev, states={GPU: "lost"})
    shown = back.inventory()
    shown["devices"].pop(0)
    lost = {second: {GPU: dict.fromkeys(FAST_NAMES, "gpu_is_lost")} for second in range(40, 61)}
    for second in (40, 50, 60):
        log.tick(second)
        log.report(back.report([second], lost, inventory=shown if second == 40 else None))
    last = [log.timelines(60)["n1", slot][-1] for slot in (0, 1)]
    assert [str(span.state) for span in last] == ["down", "up"]


@pytest.mark.parametrize(("cards", "state"), [(1, "unknown"), (0, "down")])
def test_slices_that_no_driver_counted_may_be_on_any_card_that_the_bus_shows(
    cards: int, state: str
) -> None:
    log = Log()
    log.tick(0)
    log.contract(contract_text())
    log.assign("n1", devices=["MIG-a", "MIG-b"])
    host = {"readings": {"nvidia_pci_functions_count": cards}, "unavailable": {}}
    feed(log, ScriptedNode(gpus=0, driver=NOT_COUNTED, host=host), range(0, 31, 10))
    for slot in (0, 1):
        assert [span[2] for span in spans(log.timelines(30)["n1", slot])] == [state]


def test_a_replaced_device_takes_the_slot_that_it_found_vacant() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    other = ScriptedNode(gpus=3, seq=node.seq, prev=node.prev)
    swapped = [other.inventory()["devices"][2], other.inventory()["devices"][1]]
    inventory = {**other.inventory(), "devices": swapped}
    log.report(node.report([40], inventory=inventory))
    log.report(node.report([50]))
    devices = {(row.slot, row.device) for row in log.rows() if row.end_us > START_US + 40 * SECOND}
    assert devices == {(0, "GPU-n1-2"), (1, "GPU-n1-1")}


def test_a_gap_within_max_gap_is_bridged_and_a_longer_one_is_unknown() -> None:
    log, node = standing(), ScriptedNode()
    for second in (0, 30, 61):
        log.report(node.report([second]))
    log.report(node.report([70]))
    assert spans(log.timelines(70)["n1", 0]) == [
        (0, 30, "up", ""),
        (30, 61, "unknown", "silent"),
        (61, 70, "up", ""),
    ]


def test_silence_is_found_by_ticks_alone_and_ends_when_the_node_is_heard() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    assert log.tick_through(21, 49) == []
    said = [change.code for change in log.tick_through(50, 55) if isinstance(change, Finding)]
    assert said == ["node_silent"]
    assert log.open()["node_silent", ""].since_us == START_US + 20 * SECOND
    log.report(node.report([60]))
    assert ("node_silent", "") not in log.open()


def test_a_spool_that_comes_late_turns_unknown_into_known_and_says_that_it_was_late() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    log.tick_through(21, 600)
    before = spans(log.timelines(600)["n1", 0])
    assert before == [(0, 20, "up", ""), (20, 600, "unknown", "")]
    for second in range(30, 601, 10):
        log.report(node.report([second]))
    assert spans(log.timelines(600)["n1", 0]) == [(0, 600, "up", "")]
    assert late_times(log) == [(20, 290)]
    late = log.findings("evidence_late")
    assert [finding.until_us is None for finding in late] == [True, False]


def test_the_collectors_own_stall_is_nobodys_silence() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    log.tick(500)
    assert log.findings() == []
    log.tick_through(501, 529)
    assert log.findings() == []
    log.tick(530)
    assert [finding.code for finding in log.findings()] == ["node_silent"]


def test_an_agent_that_stopped_cleanly_or_paused_says_so() -> None:
    for kind, cause in (
        ("agent_stopped", "agent_stopped_by_provider"),
        ("paused", "paused_by_provider"),
    ):
        log, node = standing(), ScriptedNode()
        event = {
            "boottime_us": 1021 * SECOND,
            "kind": kind,
            "device": None,
            "code": None,
            "source": "agent",
            "detail": "maintenance",
        }
        log.tick(20)
        log.report(node.report([0, 10, 20], events=[event]))
        log.tick_through(21, 80)
        assert (cause, "") in log.open()
        feed(log, node, range(90, 101, 10))
        assert spans(log.timelines(100)["n1", 0])[1] == (20, 90, "unknown", cause)
        assert log.open() == {}


def test_a_stepped_clock_moves_nothing() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    for step in (3600, -3600):
        node.wall_offset_us = step * SECOND
        for second in range(40, 71, 10) if step > 0 else range(80, 111, 10):
            log.tick(second)
            log.report(node.report([second]))
    assert spans(log.timelines(110)["n1", 0]) == [(0, 110, "up", "")]
    assert "clock_skew" in {finding.code for finding in log.findings()}


def test_a_spool_that_is_emptied_at_once_is_no_clock_that_is_behind() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    log.tick(60)
    for _ in range(20):
        log.report(node.report([40]))
    assert log.findings("clock_skew") == []
    for second in range(70, 151, 10):
        log.tick(second + 10)
        log.report(node.report([second]))
    assert len(log.findings("clock_skew")) == 1


def test_a_chain_that_has_not_shown_its_devices_says_nothing_of_them() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    other = ScriptedNode(chain="chain-2")
    for second, inventory in ((40, None), (50, None), (60, other.inventory()), (70, None)):
        log.tick(second)
        log.report(other.report([second], inventory=inventory))
    assert spans(log.timelines(70)["n1", 0]) == [
        (0, 30, "up", ""),
        (30, 50, "unknown", ""),
        (50, 70, "up", ""),
    ]
    assert log.findings("gpu_missing") == []


def test_a_clock_that_is_ahead_buys_no_time_that_has_not_come() -> None:
    log, node = standing(), ScriptedNode(wall_offset_us=80_000 * SECOND)
    feed(log, node, range(0, 31, 10))
    log.tick_through(31, 70)
    assert spans(log.timelines(90_000)["n1", 0]) == [(0, 30, "up", ""), (30, 90_000, "unknown", "")]
    assert {("clock_skew", ""), ("node_silent", "")} <= log.open().keys()


def test_what_a_report_says_that_it_covers_puts_silence_off_by_no_more_than_its_pace() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 31, 10))
    node.wall_offset_us = -79_000 * SECOND
    log.tick(40)
    log.report(node.report(range(50, 79_050, 10)))
    log.tick_through(41, 79)
    assert ("node_silent", "") not in log.open()
    log.tick_through(80, 81)
    assert ("node_silent", "") in log.open()


def test_time_that_a_node_fills_in_after_its_silence_counts_and_is_said_to_be_late() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    log.tick_through(21, 400)
    log.report(node.report(range(30, 401, 10)))
    assert ("evidence_late", "") in log.open()
    feed(log, node, range(410, 431, 10))
    assert ("evidence_late", "") not in log.open()
    assert spans(log.timelines(430)["n1", 0]) == [(0, 430, "up", "")]
    assert late_times(log) == [(20, 90)]


def stall(second: int, kind: str = "nvml_stalled") -> dict[str, Any]:
    return event(second, kind)


@pytest.mark.parametrize(
    "kind", ["nvml_stalled", "nvml_crashed", "nvml_restarted", "call_quarantined"]
)
def test_time_that_a_hanging_driver_left_without_samples_has_that_cause(kind: str) -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 11, 10))
    log.tick(20)
    log.report(node.report([], events=[stall(15, kind)]))
    log.tick(50)
    log.report(node.report([50]))
    assert spans(log.timelines(50)["n1", 0]) == [
        (0, 10, "up", ""),
        (10, 50, "unknown", "nvml_stalled"),
    ]
    assert log.findings("node_silent") == []


def test_a_stall_before_the_last_sample_is_no_cause_of_the_time_after_it() -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 11, 10))
    log.report(node.report([20], events=[stall(20)]))
    log.tick(60)
    log.report(node.report([60]))
    assert spans(log.timelines(60)["n1", 0])[-1] == (20, 60, "unknown", "silent")


@pytest.mark.parametrize(
    ("stalled", "made", "named"),
    [
        (30, 330, "the network"),
        (30, 331, "a call of the driver"),
        (29, 331, "the network"),
    ],
)
def test_what_a_hanging_driver_held_up_is_not_laid_to_the_network(
    stalled: int, made: int, named: str
) -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    log.report(node.report([], events=[stall(stalled)], clock=clock(stalled)))
    log.tick_through(31, 400)
    log.report(node.report([30], clock=clock(made)))
    assert named in log.open()["evidence_late", ""].observed


def clock(second: int) -> dict[str, Any]:
    """Of a report that was made then."""
    return {
        "wall_us": START_US + second * SECOND,
        "boottime_us": (1000 + second) * SECOND,
        "synchronized": True,
    }


def late_times(log: Log) -> list[tuple[int, int]]:
    """Of the first slot, in seconds since START_US."""
    rows = (row for row in log.rows() if row.late and row.slot == 0)
    return [
        ((row.start_us - START_US) // SECOND, (row.end_us - START_US) // SECOND) for row in rows
    ]


@pytest.mark.parametrize(("received", "late"), [(310, []), (311, [(0, 10)])])
def test_what_is_heard_at_the_last_instant_is_in_time(
    received: int, late: list[tuple[int, int]]
) -> None:
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 1, 10))
    log.tick_through(1, received)
    log.report(node.report([10, 20]))
    assert late_times(log) == late


@pytest.mark.parametrize(
    ("asleep", "awake", "received", "late"),
    [
        (100, 500, 1200, []),
        (100, 500, 1201, [(0, 100)]),
        (310, 500, 990, []),
        (311, 500, 989, [(0, 10)]),
    ],
)
def test_what_nobody_could_hear_while_the_collector_stalled_is_in_time_for_as_long_again(
    asleep: int, awake: int, received: int, late: list[tuple[int, int]]
) -> None:
    """Of samples at 10 to 100 s. What was late when the stall began stays so."""
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 1, 10))
    log.tick_through(1, asleep)
    log.tick_through(awake, received)
    log.report(node.report(range(10, 101, 10)))
    assert late_times(log) == late


def test_a_boot_with_an_unset_clock_is_placed_when_the_clock_was_set() -> None:
    log = standing(heard=False)
    node = ScriptedNode(synchronized=False, wall_offset_us=-7200 * SECOND)
    log.report(node.report([0]))
    log.tick(20)
    node.synchronized, node.wall_offset_us = True, 0
    for second in (10, 20):
        log.report(node.report([second]))
    assert spans(log.timelines(20)["n1", 0])[-1] == (10, 20, "up", "")


def test_a_second_chain_beside_the_first_is_told_and_what_either_saw_down_is_down() -> None:
    log, node = standing(), ScriptedNode()
    log.introduce(chain="chain-2")
    feed(log, node, range(0, 51, 10))
    other = ScriptedNode(chain="chain-2")
    lost = {20: {GPU: {"power_draw_milliwatts": "gpu_is_lost"}}}
    log.report(other.report([10, 20, 30], lost))
    feed(log, node, range(60, 61))
    assert spans(log.timelines(50)["n1", 0]) == [
        (0, 20, "contested", "key_shared"),
        (20, 30, "down", "gpu_lost"),
        (30, 50, "contested", "key_shared"),
    ]
    assert len(log.findings("chain_started")) == len(log.findings("key_shared")) == 1


def test_a_foreign_process_is_found_when_a_second_owner_holds_memory() -> None:
    log, node = standing(), ScriptedNode()
    process = {"boottime_us": 1, "device": GPU, "memory_bytes": 1, "class": "container"}
    system = {**process, "owner": "root-daemon", "class": "system"}
    log.report(node.report([0], processes=[{**process, "owner": "a"}, system]))
    assert ("foreign_process", "") not in log.open()
    log.report(node.report([10], processes=[{**process, "owner": "a"}, {**process, "owner": "b"}]))
    assert log.open()["foreign_process", ""].observed == "owners a, b"
    log.report(node.report([20], processes=[{**process, "owner": "b"}]))
    assert ("foreign_process", "") not in log.open()


def owner(name: str, kind: str, device: str = GPU) -> dict[str, Any]:
    return {"boottime_us": 1, "device": device, "memory_bytes": 1, "class": kind, "owner": name}


@pytest.mark.parametrize(
    ("held", "verdict", "observed"),
    [
        ([owner("x", "unknown")], "unknown", "owners none; an owner that could not be read"),
        (
            [owner("a", "user"), owner("x", "unknown")],
            "unknown",
            "owners a; an owner that could not be read",
        ),
        (
            [owner("a", "user"), owner("b", "user"), owner("x", "unknown")],
            "breached",
            "owners a, b",
        ),
        (
            [owner("a", "user"), owner("b", "user"), owner("mps", "system")],
            "breached",
            "owners a, b; services mps",
        ),
        ([owner("a", "user"), owner("x", "unknown", "GPU-elsewhere")], None, None),
        ([owner("a", "user"), owner("display_server", "system")], None, None),
        ([], None, None),
    ],
)
def test_an_owner_whom_nobody_could_read_leaves_it_open_who_uses_a_gpu(
    held: list[dict[str, Any]], verdict: str | None, observed: str | None
) -> None:
    log, node = standing(), ScriptedNode()
    log.report(node.report([0], processes=held))
    found = log.open().get(("foreign_process", ""))
    assert (found and found.verdict, found and found.observed) == (verdict, observed)


def test_who_uses_a_gpu_that_cannot_be_asked_or_is_seen_from_a_container_is_unknown() -> None:
    hidden = ScriptedNode(gpus=1, driver=counted(1, "no_permission"))
    unread = ScriptedNode(states={GPU: "unreadable"})
    inside = ScriptedNode(host={"readings": {"pid_namespace_code": 1}, "unavailable": {}})
    outside = ScriptedNode(host={"readings": {"pid_namespace_code": 0}, "unavailable": {}})
    told = []
    for node in (hidden, unread, inside, outside):
        log = standing()
        log.report(node.report([0]))
        found = log.open().get(("foreign_process", ""))
        told.append(found and (found.verdict, found.observed))
    assert told == [
        ("unknown", "owners none; 1 GPUs that could not be asked"),
        ("unknown", "owners none; 1 GPUs that could not be asked"),
        ("unknown", "owners none; an agent that does not see the machine's processes"),
        None,
    ]


def test_processes_that_no_driver_could_list_are_unknown_for_the_drivers_reason() -> None:
    log = standing()
    uncounted = {"readings": {}, "unavailable": {"gpus_enumerated_count": "library_not_found"}}
    node = ScriptedNode(gpus=0, driver=uncounted)
    log.report(node.report([0], processes=None))
    found = log.open()["foreign_process", ""]
    assert (found.verdict, found.observed) == (Verdict.UNKNOWN, "library_not_found")


def test_processes_that_can_no_longer_be_listed_are_unknown_not_gone() -> None:
    log, node = standing(), ScriptedNode()
    process = {"boottime_us": 1, "device": GPU, "memory_bytes": 1, "class": "container"}
    log.report(node.report([0], processes=[{**process, "owner": "a"}]))
    log.report(node.report([], processes=None))
    assert ("foreign_process", "") not in log.open()
    log.report(node.report([10], processes=None))
    assert log.open()["foreign_process", ""].verdict is Verdict.UNKNOWN
    log.report(node.report([20], processes=[{**process, "owner": "a"}]))
    assert ("foreign_process", "") not in log.open()


def test_a_bound_is_judged_over_whole_hours_and_only_where_it_applies() -> None:
    bound = '[{reading: sm_clock_megahertz, at_least: "1500", while: busy, for_share: "0.95"}]'
    log, node = standing(bounds=bound), ScriptedNode()
    slow = {
        second: {
            GPU: {"sm_clock_megahertz": 800},
            "GPU-n1-1": {"sm_clock_megahertz": 800, "utilization_gpu_percent": 0},
        }
        for second in range(0, 3600, 10)
        if second % 100 < 10
    }
    log.tick(3600)
    for start in range(0, 3600, 300):
        log.report(node.report(range(start, start + 300, 10), slow))
    assert ("bound_broken", GPU) not in log.open()
    log.report(node.report([3600]))
    assert {place for place in log.open() if place[0] == "bound_broken"} == {("bound_broken", GPU)}
    assert log.open()["bound_broken", GPU].observed == "324 of 360"


def test_an_amendment_judges_from_its_instant_on_and_the_old_terms_before() -> None:
    log, node = standing(), ScriptedNode()
    capped = {
        second: {GPU: {"power_limit_enforced_milliwatts": 600_000}} for second in range(0, 200)
    }
    feed(log, node, range(0, 51, 10), capped)
    lower = contract_text(
        version=2,
        supersedes="supersedes: '1'\n",
        effective="2026-10-01T00:01:15Z",
        floors='{power_limit_milliwatts: "500000"}',
    )
    log.contract(lower, version=2)
    feed(log, node, range(60, 121, 10), capped)
    assert spans(log.timelines(120)["n1", 0]) == [
        (0, 75, "degraded", "power_capped"),
        (75, 120, "up", ""),
    ]
    assert log.open() == {}


def test_time_outside_the_term_is_not_judged() -> None:
    log = Log()
    log.contract(contract_text(effective="2026-10-01T00:00:25Z"))
    log.assign("n1")
    feed(log, ScriptedNode(), range(0, 51, 10))
    assert spans(log.timelines(50)["n1", 0]) == [(0, 25, "unknown", ""), (25, 50, "up", "")]


EVENTS = st.dictionaries(
    st.integers(1, 400).map(lambda place: place * 10),
    st.sampled_from(["capped", "lost", "blind", "absent"]),
    max_size=40,
)


def script(events: dict[int, str]) -> tuple[list[int], dict[int, Any]]:
    """Seconds of samples, those `absent` left out, and what each shows."""
    shown: dict[str, dict[str, int | str]] = {
        "capped": {"power_limit_enforced_milliwatts": 1},
        "lost": dict.fromkeys(FAST_NAMES, "gpu_is_lost"),
        "blind": dict.fromkeys(FAST_NAMES, "timeout"),
    }
    seconds = [s for s in range(0, 4010, 10) if events.get(s) != "absent"]
    return seconds, {s: {GPU: shown[kind]} for s, kind in events.items() if kind in shown}


@given(EVENTS, st.data())
def test_once_a_chain_was_heard_its_rows_are_the_same_for_any_split_delay_and_restart(
    events: dict[int, str], data: st.DataObject
) -> None:
    seconds, changes = script(events)
    whole, node = standing(), ScriptedNode()
    whole.tick(4010)
    whole.report(node.report(seconds, changes))
    split, node = standing(), ScriptedNode()
    cuts = sorted(data.draw(st.sets(st.sampled_from(seconds), max_size=12)))
    edges = [0, *(seconds.index(cut) for cut in cuts), len(seconds)]
    for first, last in pairwise(edges):
        if first == last:
            continue
        split.tick(data.draw(st.integers(seconds[last - 1], seconds[last - 1] + 5000)))
        if data.draw(st.booleans()):
            restarted = FleetFold()
            restarted.restore(split.fold.snapshots(), split.entries)
            split.fold = restarted
        split.report(node.report(seconds[first:last], changes))
    split.tick(20_000)
    split.tick_through(20_001, 20_004)
    split.tick(20_300)
    assert split.timelines(4000) == whole.timelines(4000)


ROWS = st.lists(
    st.builds(
        lambda start, length, state, cause: Row(
            "K", "n", 0, "G", "c", start, start + length, state, cause, 0
        ),
        st.integers(0, 100),
        st.integers(0, 60),
        st.sampled_from(State),
        st.sampled_from(["", "a", "b"]),
    ),
    max_size=12,
)


@given(ROWS, st.randoms())
def test_a_timeline_tiles_its_window_and_shows_the_first_by_precedence_at_every_instant(
    rows: list[Row], random: Any
) -> None:
    line = timeline(rows, 10, 90)
    assert [span.start_us for span in line] == [10, *(span.end_us for span in line[:-1])]
    assert line[-1].end_us == 90
    for instant in range(10, 90):
        held = [
            (PRECEDENCE.index(row.state), row.cause)
            for row in rows
            if row.start_us <= instant < row.end_us
        ]
        rank, cause = min(held, default=(PRECEDENCE.index(State.UNKNOWN), ""))
        (shown,) = [span for span in line if span.start_us <= instant < span.end_us]
        assert (shown.state, shown.cause) == (PRECEDENCE[rank], cause)
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert timeline(shuffled, 10, 90) == line


def test_a_sample_of_the_future_is_not_judged_and_keeps_no_one_waiting() -> None:
    """One report could else stand for a node that is gone."""
    log, node = standing(), ScriptedNode()
    feed(log, node, range(0, 21, 10))
    log.tick(30)
    made = {"wall_us": START_US + 30 * SECOND, "boottime_us": 1030 * SECOND, "synchronized": True}
    log.report(node.report([*range(30, 3000, 10)], clock=made))
    log.tick_through(31, 100)
    assert spans(log.timelines(3000)["n1", 0]) == [(0, 30, "up", ""), (30, 3000, "unknown", "")]
    assert len(log.findings("sample_foretold")) == 1
    assert ("node_silent", "") in log.open()


def test_two_samples_far_apart_put_silence_off_no_longer_than_they_cover() -> None:
    log, node = standing(), ScriptedNode()
    log.tick(5000)
    log.report(node.report([0, 5000]))
    log.tick_through(5001, 5070)
    assert ("node_silent", "") in log.open()


def test_a_clock_that_was_ahead_and_is_put_right_loses_no_time() -> None:
    log, node = standing(), ScriptedNode(synchronized=False, wall_offset_us=86_400 * SECOND)
    feed(log, node, range(0, 21, 10))
    node.synchronized, node.wall_offset_us = True, 0
    feed(log, node, range(30, 101, 10))
    assert spans(log.timelines(100)["n1", 0]) == [(0, 100, "up", "")]


def test_of_rows_written_later_what_was_known_is_cut_at_what_the_chain_had_reached() -> None:
    """A row that began with a later entry was not known, whatever time its clock gives it."""

    def row(first: int, start: int, end: int, recorded: int = 99) -> Row:
        return Row("K1", "n1", 0, "g", "c", start, end, State.UP, "", recorded, first, first + 9)

    ends = [Reached(node="n1", chain="c", until_us=50, entry=5)]
    rows = [row(4, 10, 80), row(6, 10, 80), row(5, 50, 80), row(4, 0, 10, recorded=60)]
    assert list(grown(rows, ends, 60)) == [row(4, 10, 50, recorded=60)]
    assert [one.last_entry for one in grown(rows, ends, 60)] == [5]
    assert list(grown(rows, [], 60)) == []
