"""What the kernel and the driver tell of cards and switches: what it means, whose it is, and what ends it."""

from typing import Any

import pytest

from tests.weighbridge.scripted import SECOND, Log, ScriptedNode, contract_text, spans
from weighbridge.judge.latest_readings import LatestReadings
from weighbridge.judge.snapshot import dump, restore

GPU, OTHER = "GPU-n1-0", "GPU-n1-1"
ADDRESS = "0000:3b:00"
Identity = dict[str, dict[str, int | str]]
AT: Identity = {GPU: {"pci_bus_id": "00000000:3B:00.0"}, OTHER: {"pci_bus_id": "00000000:86:00.0"}}
Changes = dict[int, dict[str, dict[str, int | str]]]


def standing(devices: list[str] | None = None, **changes: Any) -> Log:
    log = Log()
    log.tick(0)
    log.contract(contract_text(**changes))
    log.assign("n1", devices=devices)
    log.introduce()
    return log


def told(second: int, code: int | None, device: str | None = GPU, **more: Any) -> dict[str, Any]:
    event = {"kind": "xid", "source": "kernel", "detail": "", "code": code, "device": device}
    return event | {"boottime_us": (1000 + second) * SECOND} | more


def seen(*events: dict[str, Any], changes: Changes | None = None, until: int = 50) -> Log:
    """Samples each 10 s; the events come with the sample at 20 s."""
    log, node = standing(), ScriptedNode(identity=dict(AT))
    for second in range(0, until + 1, 10):
        log.tick(second)
        log.report(node.report([second], changes, events=list(events) if second == 20 else []))
    return log


def slot(log: Log, end: int = 50, number: int = 0) -> tuple[str, str]:
    """The state and cause at the end."""
    return spans(log.timelines(end)["n1", number])[-1][2:]


UP, DOWN, OPEN = ("up", ""), ("down", "xid_fatal"), ("unknown", "xid_open")


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (told(15, 79), DOWN),
        (told(15, 31), UP),
        (told(15, 109), OPEN),
        (told(15, 4711), UP),
        (told(15, 145), UP),
        (told(15, 145, severity="nonfatal"), UP),
        (told(15, 145, severity="fatal"), DOWN),
        (told(15, 94, severity="contained"), UP),
        (told(15, 94, severity="uncontained"), DOWN),
        (told(15, 95, severity="contained"), UP),
        (told(15, 154, recovery_action=0, recovery_action_before=1), UP),
        (told(15, 154, recovery_action=1, recovery_action_before=0), OPEN),
        (told(15, 154, recovery_action=3), UP),
        (told(15, 45, caused_by=79), UP),
        (told(15, 43, severity="fatal"), UP),
    ],
)
def test_what_an_xid_means_is_said_by_the_table_and_by_its_own_text(
    event: dict[str, Any], state: tuple[str, str]
) -> None:
    assert slot(seen(event)) == state


def test_an_open_fault_names_nobody() -> None:
    log = seen(told(15, 109))
    found = log.open()["xid_open", GPU]
    assert (found.verdict, found.answerable, found.observed) == (
        "unknown",
        "open",
        "XID 109 (context switch timeout)",
    )
    assert {finding.answerable for finding in log.findings()} == {"open"}


def test_where_the_provider_is_named_too_the_device_is_down() -> None:
    assert slot(seen(told(15, 109), told(16, 79))) == DOWN


def test_a_code_that_no_table_has_is_kept_and_shown() -> None:
    found = seen(told(15, 4711)).open()["xid_degraded", GPU]
    assert (found.answerable, found.observed) == ("open", "XID 4711 (unknown XID)")


def test_repeats_that_were_counted_together_are_so_many() -> None:
    log = seen(told(15, 31, count=4000), told(16, 31))
    assert log.fold.states["n1"].view.devices[GPU].xids == {31: 4001}


def energies(*values: tuple[int, int]) -> Changes:
    return {second: {GPU: {"energy_millijoules": value}} for second, value in values}


def actions(*values: tuple[int, int]) -> Changes:
    return {second: {GPU: {"recovery_action_code": value}} for second, value in values}


@pytest.mark.parametrize(
    ("changes", "stays"),
    [
        (energies((0, 5), (10, 6), (20, 7), (30, 8), (40, 9), (50, 10)), True),
        (energies((0, 5), (10, 6), (20, 7), (30, 1), (40, 2), (50, 3)), False),
        (actions((0, 0), (10, 0), (20, 1), (30, 1), (40, 0), (50, 0)), False),
        (actions((0, 0), (10, 0), (20, 1), (30, 1), (40, 1), (50, 1)), True),
        (actions((0, 0), (10, 0), (20, 2), (30, 2), (40, 1), (50, 1)), True),
        (actions((0, 0), (10, 0), (20, 0), (30, 0), (40, 0), (50, 0)), True),
    ],
)
def test_a_reset_that_readings_show_ends_a_fault(changes: Changes, stays: bool) -> None:
    assert (("xid_fatal", GPU) in seen(told(15, 79), changes=changes).open()) is stays


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        ({"driver_version": "580.1"}, {"driver_version": "580.2"}, False),
        ({"driver_version": "580.1"}, {"driver_version": "580.1"}, True),
        ({}, {"driver_version": "580.1"}, True),
        ({"driver_version": "580.1"}, {}, True),
    ],
)
def test_a_driver_of_another_version_was_loaded_anew(
    before: dict[str, str], after: dict[str, str], stays: bool
) -> None:
    log, node = standing(), ScriptedNode()
    for second, driver in ((0, before), (10, after)):
        node.driver = {"readings": driver, "unavailable": {}}
        events = [told(0, 79)] if second == 0 else []
        log.report(node.report([second], inventory=node.inventory(), events=events))
    assert (("xid_fatal", GPU) in log.open()) is stays


def test_a_fault_that_comes_again_after_a_reset_asks_for_more() -> None:
    changes = energies((0, 5), (10, 6), (20, 7), (30, 1), (40, 2), (50, 3), (60, 4))
    log, node = standing(), ScriptedNode(identity=dict(AT))
    events = {20: [told(15, 145), told(16, 145)], 50: [told(45, 145)]}
    states = []
    for second in range(0, 61, 10):
        log.tick(second)
        log.report(node.report([second], changes, events=events.get(second, [])))
        states.append(("xid_fatal", GPU) in log.open())
    assert states == [False] * 5 + [True] * 2


def test_an_application_error_that_comes_again_is_still_one() -> None:
    log, node = standing(), ScriptedNode(identity=dict(AT))
    log.report(node.report([0], events=[told(0, 31)]))
    node.boot = "boot-2"
    log.report(node.report([10], events=[told(10, 31)]))
    assert log.findings("xid_degraded", "xid_fatal", "xid_open") == []


def test_what_was_told_before_the_devices_were_enumerated_is_of_the_device_at_its_address() -> None:
    log, node = standing(), ScriptedNode(identity=dict(AT))
    log.report(node.report([], inventory=None, events=[told(0, 79, None, address=ADDRESS)]))
    log.report(node.report([10], inventory=node.inventory()))
    log.report(node.report([20]))
    assert (slot(log, 20), slot(log, 20, 1)) == (DOWN, UP)
    assert ("xid_unplaced", "") not in log.open()


def test_what_is_told_of_an_address_is_of_the_device_that_is_shown_there() -> None:
    log = seen(told(15, 79, None, address="0000:86:00"))
    assert (slot(log), slot(log, 50, 1)) == (UP, DOWN)


def test_what_is_told_of_an_address_of_nobody_is_shown_until_somebody_is_there() -> None:
    log, node = standing(), ScriptedNode(identity={GPU: dict(AT[GPU])})
    log.report(node.report([0], events=[told(0, 79, None, address="0000:86:00")]))
    log.report(node.report([10]))
    found = log.open()["xid_unplaced", ""]
    assert (found.verdict, found.observed) == ("unknown", "XID 79 at 0000:86:00")
    assert slot(log, 10) == UP
    node.identity = dict(AT)
    log.report(node.report([20], inventory=node.inventory()))
    assert ("xid_unplaced", "") not in log.open()
    assert ("xid_fatal", OTHER) in log.open()


def test_an_older_agent_wrote_the_address_into_the_text() -> None:
    log = seen(told(15, 79, None, detail="PCI 0000:86:00"))
    assert slot(log, 50, 1) == DOWN


def test_the_kernel_knows_the_address_of_a_device_whose_address_nobody_else_says() -> None:
    named = told(5, None, OTHER, kind="kernel_identity", address="0000:99:00")
    log, node = standing(), ScriptedNode(identity={GPU: AT[GPU]})
    log.report(node.report([0, 10], events=[named, told(6, 79, None, address="0000:99:00")]))
    assert ("xid_fatal", OTHER) in log.open()


def test_an_unplaced_xid_bears_the_name_that_the_kernel_gave_the_card() -> None:
    named = told(15, None, "GPU-away", kind="kernel_identity", address="0000:99:00", detail="1650")
    log = seen(named, told(16, 79, None, address="0000:99:00"))
    assert log.open()["xid_unplaced", ""].observed == "XID 79 at 0000:99:00 (GPU-away 1650)"


def test_of_two_devices_at_one_address_neither_is_accused() -> None:
    log, node = standing(), ScriptedNode(identity={GPU: dict(AT[GPU]), OTHER: dict(AT[GPU])})
    log.report(node.report([0], events=[told(0, 79, None, address=ADDRESS)]))
    log.report(node.report([10]))
    assert log.findings("xid_fatal") == []
    assert ("xid_unplaced", "") in log.open()


def test_what_was_told_of_a_device_that_is_away_waits_for_it() -> None:
    log, node = standing(), ScriptedNode()
    whole = node.inventory()
    without = {**whole, "devices": whole["devices"][1:]}
    log.report(node.report([0], inventory=without, events=[told(0, 79)]))
    log.report(node.report([10], inventory=whole))
    assert ("xid_fatal", GPU) in log.open()


def sliced(node: ScriptedNode, instances: dict[str, int | None]) -> dict[str, Any]:
    """GPU cut into these MIG devices."""
    inventory = node.inventory()
    whole = inventory["devices"][0]
    for uuid, instance in instances.items():
        told_of = {} if instance is None else {"mig_gpu_instance_number": instance}
        identity = {"readings": told_of, "unavailable": {}}
        inventory["devices"].append(
            {"identity": identity, "parent": whole["uuid"], "state": "ok", "uuid": uuid}
        )
    return inventory


@pytest.mark.parametrize(
    ("event", "faulty"),
    [
        (told(0, 79), {"MIG-a": "breached", "MIG-b": "breached", "MIG-c": "breached"}),
        (told(0, 95, gpu_instance=1), {"MIG-a": "breached", "MIG-c": "unknown"}),
        (
            told(0, 95, source="nvml", detail="GPU instance 2"),
            {"MIG-b": "breached", "MIG-c": "unknown"},
        ),
        (told(0, 31, gpu_instance=1), {}),
        (told(0, 79, OTHER), {}),
    ],
)
def test_an_xid_of_a_gpu_reaches_the_slices_that_are_leased_of_it(
    event: dict[str, Any], faulty: dict[str, str]
) -> None:
    log, node = standing(["MIG-a", "MIG-b", "MIG-c"], per_node=3, floors="{}"), ScriptedNode()
    cut = sliced(node, {"MIG-a": 1, "MIG-b": 2, "MIG-c": None})
    log.report(node.report([0], inventory=cut, events=[event]))
    log.report(node.report([10]))
    found = {
        device: one.verdict for (code, device), one in log.open().items() if code == "xid_fatal"
    }
    assert found == faulty


OPERATIONAL = (
    "attributes category chiplet group_attributes group_index group_size log_level module_code"
    " module_instance originator scope severity"
)


def operational(group_attributes: int) -> dict[str, Any]:
    numbers = dict.fromkeys(OPERATIONAL.split(), 0)
    return (
        numbers
        | {"driver": "615.71", "module": "GSP", "trace": "0"}
        | {"group_attributes": group_attributes}
    )


@pytest.mark.parametrize(("attributes", "state"), [(0, DOWN), (1, DOWN), (2, UP), (4, UP), (5, UP)])
def test_what_was_injected_or_was_before_this_boot_is_never_judged(
    attributes: int, state: tuple[str, str]
) -> None:
    event = told(15, 79, source="nvml", operational=operational(attributes))
    assert slot(seen(event)) == state


def test_what_was_counted_and_then_said_to_be_injected_is_taken_back() -> None:
    late = told(16, 79, kind="gpu_event", source="nvml", operational=operational(4))
    assert slot(seen(told(15, 79), late)) == UP
    assert slot(seen(told(15, 79, count=2), late)) == DOWN
    assert slot(seen(told(15, 79), late | {"operational": operational(0)})) == DOWN


def test_a_fatal_sxid_is_the_nodes_until_it_boots() -> None:
    switch = {"kind": "sxid", "address": "0000:c1:00", "device": None}
    harmless = told(15, 28006, severity="nonfatal", **switch)
    assert seen(harmless).findings("sxid_fatal") == []
    log, node = standing(), ScriptedNode()
    log.report(node.report([0], events=[told(0, 24007, severity="fatal", **switch)]))
    log.report(node.report([10]))
    assert log.open()["sxid_fatal", ""].observed == "SXid 24007 at 0000:c1:00"
    assert slot(log, 10) == UP
    node.boot = "boot-2"
    log.report(node.report([20]))
    assert ("sxid_fatal", "") not in log.open()


def test_lines_that_nobody_could_read_are_found_with_their_number() -> None:
    overrun = told(15, None, None, kind="kernel_log_overrun", detail="kernel", count=1920)
    (found,) = seen(overrun).findings("kernel_log_overrun")
    assert (found.observed, found.severity) == ("the node: kernel (1920 times)", "warning")


def test_no_flood_of_codes_hides_one_that_is_known() -> None:
    flood = [told(15, 10_000 + number) for number in range(2000)]
    log = seen(*flood, told(16, 79))
    assert slot(log) == DOWN
    assert len(log.fold.states["n1"].view.devices[GPU].xids) == 1025


NAMED = "GPU-f1906b9b-557a-e961-045c-9fe4be3ce012"


@pytest.mark.parametrize(
    ("uuid", "serial", "observed"),
    [
        (GPU, "1650", None),
        (GPU, "", None),
        (None, "1650", None),
        (NAMED, "", f"the kernel calls it {NAMED}"),
        (GPU, "1699", "the kernel reads serial 1699"),
        (GPU, "1651", None),
    ],
)
def test_the_kernels_name_for_a_card_is_held_against_nvmls(
    uuid: str | None, serial: str, observed: str | None
) -> None:
    identity: Identity = {
        GPU: {**AT[GPU], "serial": "1650"},
        OTHER: {**AT[OTHER], "serial": "1651"},
    }
    log, node = standing(), ScriptedNode(identity=identity)
    event = told(0, None, uuid, kind="kernel_identity", address=ADDRESS, detail=serial)
    log.report(node.report([0], events=[event]))
    log.report(node.report([10]))
    found = [finding.observed for finding in log.findings("identity_disputed")]
    assert found == ([] if observed is None else [observed])


def test_what_was_told_is_remembered_over_a_restart_of_the_collector() -> None:
    events = [
        told(15, 95, gpu_instance=3, severity="uncontained"),
        told(15, 79, None, address="0000:99:00"),
        told(15, 24007, None, kind="sxid", address="0000:c1:00", severity="fatal"),
        told(15, None, NAMED, kind="kernel_identity", address="0000:99:00", detail="1650"),
    ]
    log = seen(*events)
    view = log.fold.states["n1"].view
    assert view.faults.ended == {}
    assert restore(dump(view), LatestReadings) == view
