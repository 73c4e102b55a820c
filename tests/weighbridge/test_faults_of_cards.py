"""Faults that a driver tells of: each by name, unknown where it cannot be read, and nothing where a card has it not."""

from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge.judged import DEVICE, answers, facts, promise, view
from tests.weighbridge.scripted import SECOND, START_US, ScriptedNode, spans
from tests.weighbridge.test_judge import feed, standing
from weighbridge.judge.checks import CHECKS, CheckContext, Effect
from weighbridge.judge.checks.health import REMAP_FAILED
from weighbridge.judge.latest_readings import LatestDevice
from weighbridge.verdict import Verdict
from weighbridge.wire.report import DeviceState, Reason

NVLINK: dict[str, Any] = {"interconnect": {"nvlink_links": "18"}}


@pytest.mark.parametrize(
    ("reading", "value", "code", "observed"),
    [
        ("recovery_action_code", 1, "recovery_needed", "gpu_reset"),
        ("recovery_action_code", 2, "recovery_needed", "node_reboot"),
        ("recovery_action_code", 3, "recovery_needed", "drain_p2p"),
        ("recovery_action_code", 4, "recovery_needed", "drain_and_reset"),
        ("recovery_action_code", 5, "recovery_needed", "recover_imex_domain"),
        ("recovery_action_code", 6, "recovery_needed", "bus_reset"),
        ("recovery_action_code", 7, "recovery_needed", "system_reboot"),
        ("recovery_action_code", 8, "recovery_needed", "action 8"),
        ("remap_failure_code", 1, "remap_failed", "remap_failure_code 1"),
        ("remap_pending_code", 1, "remap_pending", "remap_pending_code 1"),
        ("bank_remap_pending_code", 1, "remap_pending", "bank_remap_pending_code 1"),
        ("retired_pending_code", 1, "remap_pending", "retired_pending_code 1"),
        ("remap_availability_none_banks", 2, "remap_exhausted", "remap_availability_none_banks 2"),
        (
            "bank_remap_availability_none_banks",
            1,
            "remap_exhausted",
            "bank_remap_availability_none_banks 1",
        ),
        ("unrepairable_memory_code", 1, "memory_unrepairable", "unrepairable_memory_code 1"),
        (
            "ecc_total_uncorrected_volatile_count",
            3,
            "ecc_uncorrected",
            "ecc_total_uncorrected_volatile_count 3",
        ),
        (
            "ecc_sram_uncorrected_volatile_count",
            1,
            "ecc_uncorrected",
            "ecc_sram_uncorrected_volatile_count 1",
        ),
        (
            "ecc_sram_threshold_exceeded_code",
            1,
            "ecc_sram_exceeded",
            "ecc_sram_threshold_exceeded_code 1",
        ),
    ],
)
def test_a_fault_is_named_and_its_absence_is_met(
    reading: str, value: int, code: str, observed: str
) -> None:
    found = answers({}, view({reading: value}))[code]
    assert (found.device, found.verdict, found.observed) == (DEVICE, Verdict.BREACHED, observed)
    assert answers({}, view({reading: 0}))[code].verdict is Verdict.MET


@pytest.mark.parametrize(
    ("links", "verdict", "observed"),
    [
        ({"active": 18}, Verdict.MET, "18"),
        ({"active": 17, "sleeping": 1}, Verdict.MET, "18"),
        ({"active": 0, "sleeping": 18, "quiet": 0}, Verdict.MET, "18"),
        ({"active": 17, "quiet": 1}, Verdict.BREACHED, "17"),
        ({"active": 17, "down": 1}, Verdict.BREACHED, "17"),
        ({"active": 17, "unreadable": 1}, Verdict.UNKNOWN, Reason.ERROR),
        ({"active": 16, "sleeping": 1, "unreadable": 1}, Verdict.UNKNOWN, Reason.ERROR),
        ({"active": 16, "down": 1, "unreadable": 1}, Verdict.BREACHED, "16"),
        ({"active": 18, "unreadable": 1}, Verdict.MET, "18"),
    ],
)
def test_links_that_sleep_are_up_and_those_that_tell_no_state_are_not_called_down(
    links: dict[str, int], verdict: Verdict, observed: str
) -> None:
    told = {f"nvlink_{state}_links": count for state, count in links.items()}
    found = answers(NVLINK, view(told))["nvlink_down"]
    assert (found.verdict, found.observed) == (verdict, observed)


OF_CARDS = {
    "recovery_action_code": "recovery_needed",
    "remap_failure_code": "remap_failed",
    "unrepairable_memory_code": "memory_unrepairable",
    "ecc_total_uncorrected_volatile_count": "ecc_uncorrected",
    "fabric_state_code": "fabric_not_joined",
    "fabric_health_flags": "fabric_unhealthy",
}


@pytest.mark.parametrize(("reading", "code"), OF_CARDS.items())
def test_a_fault_that_could_not_be_read_is_unknown_and_a_card_without_it_is_not_spoken_of(
    reading: str, code: str
) -> None:
    unread = answers(NVLINK, view({reading: Reason.TIMEOUT}))[code]
    assert (unread.verdict, unread.observed) == (Verdict.UNKNOWN, "timeout")
    bridged = {**NVLINK, "accelerator": {"sku": "H100-PCIe-80GB"}}
    for lacking in (Reason.NOT_SUPPORTED, Reason.FUNCTION_NOT_FOUND):
        assert code not in answers(bridged, view({reading: lacking}))
    assert code not in answers(bridged, view())
    assert code not in answers(NVLINK, view({reading: Reason.NOT_SUPPORTED}))


@pytest.mark.parametrize(
    ("sku", "spoken_of"),
    [
        ("H100-SXM-80GB", True),
        ("H20-SXM-96GB", True),
        ("B300-SXM-270GB", True),
        ("GB200-186GB", True),
        ("A100-SXM4-80GB", False),
        ("V100-SXM2-32GB", False),
        ("H100-PCIe-80GB", False),
        ("H200-NVL-141GB", False),
        ("RTX5090-32GB", False),
    ],
)
@pytest.mark.parametrize("said", [None, Reason.FUNCTION_NOT_FOUND])
def test_a_fabric_of_which_nobody_can_tell_is_unknown_where_the_promised_card_may_have_one(
    sku: str, spoken_of: bool, said: Reason | None
) -> None:
    terms = {**NVLINK, "accelerator": {"sku": sku}}
    seen = view({"nvlink_active_links": 18} | ({"fabric_state_code": said} if said else {}))
    found = answers(terms, seen).get("fabric_not_joined")
    assert (found is not None) == spoken_of
    if found is not None:
        assert (found.verdict, found.observed) == (Verdict.UNKNOWN, said or "not_reported")
    without = {"accelerator": {"sku": sku}}
    assert "fabric_not_joined" not in answers(without, seen)


def test_a_driver_that_says_that_there_is_no_fabric_has_said_it() -> None:
    for state in (0, Reason.NOT_SUPPORTED):
        found = answers(NVLINK, view({"fabric_state_code": state})).get("fabric_not_joined")
        assert found is None or found.verdict is Verdict.MET


@pytest.mark.parametrize(
    ("state", "status", "observed"),
    [
        (0, None, None),
        (1, None, "not_started"),
        (2, None, "in_progress"),
        (3, 0, None),
        (3, None, None),
        (3, 999, "completed with status 999"),
        (4, None, "state 4"),
    ],
)
def test_links_that_are_up_are_no_nvlink_before_the_fabric_is_joined(
    state: int, status: int | None, observed: str | None
) -> None:
    told = {"nvlink_active_links": 18, "fabric_state_code": state}
    shown = view(told if status is None else told | {"fabric_status_code": status})
    found = answers(NVLINK, shown)
    assert found["nvlink_down"].verdict is Verdict.MET
    assert (found["fabric_not_joined"].verdict is Verdict.MET) == (observed is None)
    if observed is not None:
        assert found["fabric_not_joined"].observed == observed
    assert "fabric_not_joined" not in answers({}, shown)


def test_a_slice_has_the_faults_of_the_card_that_it_is_cut_from() -> None:
    seen = view({"remap_failure_code": 1})
    sliced = LatestDevice("MIG-1", DEVICE, DeviceState.OK, facts({}))
    seen.devices["MIG-1"] = sliced
    leased = replace(promise({}), devices=frozenset({"MIG-1"}))
    found = {one.device: one.verdict for one in REMAP_FAILED.judge(CheckContext(leased, seen))}
    assert found == {"MIG-1": Verdict.BREACHED}


HEALTHY = 0b10 | 0b10 << 2 | 0b10 << 4 | 0b10 << 6 | 1 << 8 | 1 << 12 | 1 << 14


@pytest.mark.parametrize(
    ("flags", "observed"),
    [
        (0, ""),
        (HEALTHY, ""),
        (HEALTHY ^ 0b11, "degraded_bandwidth"),
        (HEALTHY ^ 0b11 << 2, "route_recovery"),
        (HEALTHY ^ 0b11 << 4, "route_unhealthy"),
        (HEALTHY ^ 0b11 << 6, "access_timeout_recovery"),
        (HEALTHY ^ 0b11 << 8, "incorrect_system_guid"),
        (0b1 | 4 << 8, "degraded_bandwidth, no_partition"),
        (5 << 8, "insufficient_nvlinks"),
        (HEALTHY ^ 0b11 << 12, "partition_not_assigned"),
        (HEALTHY ^ 0b11 << 14, "fabric_manager_disconnected"),
        (HEALTHY | 1 << 40, ""),
    ],
)
def test_the_health_mask_of_the_fabric_is_read_field_by_field(flags: int, observed: str) -> None:
    found = answers(NVLINK, view({"fabric_health_flags": flags}))["fabric_unhealthy"]
    assert (found.verdict is Verdict.MET) == (not observed)
    assert found.observed == (observed or "none")


@pytest.mark.parametrize(("code", "generation"), [(1, 1), (3, 2), (5, 3), (6, 4), (7, 5), (8, 6)])
def test_the_generation_of_nvlink_is_that_of_its_version(code: int, generation: int) -> None:
    def judged(promised: int) -> Verdict:
        terms = {"interconnect": {"nvlink_version": str(promised)}}
        return answers(terms, view({"nvlink_version_code": code}))["nvlink_old"].verdict

    assert judged(generation) is Verdict.MET
    assert judged(generation + 1) is Verdict.BREACHED


def test_a_version_that_no_table_has_is_unknown() -> None:
    terms = {"interconnect": {"nvlink_version": "4"}}
    found = answers(terms, view({"nvlink_version_code": 99}))["nvlink_old"]
    assert (found.verdict, found.observed) == (Verdict.UNKNOWN, "out_of_range")


@pytest.mark.parametrize(("peers", "verdict"), [(7, "met"), (6, "breached")])
def test_a_domain_is_judged_as_far_as_the_node_shows_it(peers: int, verdict: str) -> None:
    terms = {
        "per_node": "8",
        "nodes": "9",
        "interconnect": {"nvlink_domain": "72"},
    }
    found = answers(terms, view({"p2p_nvlink_peers_count": peers}))["nvlink_apart"]
    assert (found.verdict, found.expected) == (verdict, "8 GPUs of the node joined by NVLink")


def test_each_new_count_of_uncorrected_errors_is_a_finding_of_its_own() -> None:
    log, node = standing(), ScriptedNode()
    counts = {0: 0, 10: 1, 20: 1, 30: 2, 40: 0}
    name = "ecc_total_uncorrected_volatile_count"
    feed(
        log,
        node,
        range(0, 41, 10),
        {s: {g: {name: n} for g in node.devices} for s, n in counts.items()},
    )
    told = [
        (one.since_us - START_US, one.until_us and one.until_us - START_US, one.observed)
        for one in log.findings("ecc_uncorrected")
        if one.device == node.devices[0]
    ]
    assert told == [
        (10 * SECOND, None, f"{name} 1"),
        (10 * SECOND, 30 * SECOND, f"{name} 1"),
        (30 * SECOND, None, f"{name} 2"),
        (30 * SECOND, 40 * SECOND, f"{name} 2"),
    ]
    assert spans(log.timelines(40)["n1", 0]) == [(0, 40, "up", "")]


def test_a_recovery_action_degrades_the_card_from_the_sample_that_shows_it() -> None:
    log, node = standing(), ScriptedNode()
    gpu = node.devices[0]
    asked = {
        s: {gpu: {"recovery_action_code": 1 if s in (20, 30) else 0}} for s in range(0, 51, 10)
    }
    feed(log, node, range(0, 51, 10), asked)
    assert spans(log.timelines(50)["n1", 0]) == [
        (0, 20, "up", ""),
        (20, 40, "degraded", "recovery_needed"),
        (40, 50, "up", ""),
    ]
    assert spans(log.timelines(50)["n1", 1]) == [(0, 50, "up", "")]


def test_what_a_fault_does_to_availability_is_as_decided() -> None:
    decided = {check.code: check.effect for check in CHECKS}
    costly = {
        "recovery_needed",
        "remap_failed",
        "memory_unrepairable",
        "ecc_sram_exceeded",
        "fabric_not_joined",
        "fabric_unhealthy",
        "fabric_ports_down",
    }
    free = {
        "remap_pending",
        "remap_exhausted",
        "ecc_uncorrected",
        "nvlink_old",
        "nvlink_apart",
        "throttled",
        "driver_not_allowed",
        "cpu_mismatch",
        "host_memory_short",
        "nvme_short",
        "fabric_port_flapped",
    }
    assert {code for code in costly if decided[code] is Effect.DEGRADED} == costly
    assert {code for code in free if decided[code] is Effect.NONE} == free
