"""What the agent knows of its devices outlives children, drivers and losses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.nvml.device_inventory import KnownDevices, changed, device_of, reason
from weighbridge.wire.report import Device, DeviceState, EventKind, Facts, Reason

OK, LOST, RESET, ERROR = b"\x00\x03", b"\x0f\x0f", b"\x10\x10", b"\xff\xff"


def device(uuid: str, parent: str | None = None, **readings: int | str) -> Device:
    return device_of(
        {"uuid": uuid, "parent": parent, "readings": [{"serial": "1", **readings}, {}]}
    )


def gone(uuid: str, status: int = 15) -> Device:
    return device_of({"uuid": uuid, "parent": None, "readings": [{}, {"serial": status}]})


@pytest.fixture
def known() -> KnownDevices:
    known = KnownDevices()
    assert known.enumerated([device("GPU-a"), device("GPU-b")], 1) == []
    return known


def states(known: KnownDevices) -> list[DeviceState]:
    return [each.state for each in known.devices.values()]


def test_a_device_whose_every_call_says_lost_keeps_the_identity_that_it_had(
    known: KnownDevices,
) -> None:
    (event,) = known.enumerated([gone("GPU-a"), device("GPU-b")], 2)
    assert (event.kind, event.device, event.boottime_us) == (EventKind.DEVICE_LOST, "GPU-a", 2)
    assert known.devices["GPU-a"].identity.readings == {"serial": "1"}
    assert states(known) == [DeviceState.LOST, DeviceState.OK]


def test_a_loss_is_told_once_and_a_return_once(known: KnownDevices) -> None:
    assert len(known.swept("GPU-a", LOST, 2)) == 1
    assert known.swept("GPU-a", LOST, 3) == []
    assert known.enumerated([device("GPU-b")], 4) == []
    (event,) = known.enumerated([device("GPU-a"), device("GPU-b")], 5)
    assert event.kind is EventKind.DEVICE_RETURNED
    assert list(known.devices) == ["GPU-a", "GPU-b"]


def test_a_device_that_needs_a_reset_is_not_called_lost(known: KnownDevices) -> None:
    (event,) = known.swept("GPU-b", RESET, 2)
    assert event.detail == "reset_required"
    assert known.reason_of("GPU-b") is Reason.RESET_REQUIRED


def test_three_sweeps_without_any_value_make_a_device_unreadable_and_one_value_mends_it(
    known: KnownDevices,
) -> None:
    for _ in range(2):
        known.swept("GPU-a", ERROR, 2)
        assert states(known)[0] is DeviceState.OK
    known.swept("GPU-a", ERROR, 2)
    assert states(known)[0] is DeviceState.UNREADABLE
    known.swept("GPU-a", OK, 3)
    assert states(known)[0] is DeviceState.OK


def test_a_sweep_with_a_value_in_between_starts_the_count_anew(known: KnownDevices) -> None:
    for statuses in (ERROR, ERROR, OK, ERROR, ERROR):
        known.swept("GPU-a", statuses, 2)
    assert states(known)[0] is DeviceState.OK


def test_without_a_driver_nothing_is_well_and_the_lost_stay_lost(known: KnownDevices) -> None:
    known.swept("GPU-a", LOST, 2)
    known.silenced()
    assert states(known) == [DeviceState.LOST, DeviceState.UNREADABLE]


def test_a_slice_goes_with_its_parent_or_by_itself(known: KnownDevices) -> None:
    known.enumerated([device("GPU-a"), device("MIG-1", parent="GPU-a"), device("GPU-b")], 2)
    (event,) = known.enumerated([device("GPU-a"), device("GPU-b")], 3)
    assert (event.kind, event.device) == (EventKind.IDENTITY_CHANGED, "GPU-a")
    known.enumerated([device("GPU-a"), device("MIG-1", parent="GPU-a"), device("GPU-b")], 4)
    events = known.enumerated([device("GPU-b")], 5)
    assert [(event.kind, event.device) for event in events] == [
        (EventKind.DEVICE_LOST, "GPU-a"),
        (EventKind.DEVICE_LOST, "MIG-1"),
    ]


def test_a_change_names_old_and_new_and_leaves_out_what_follows_from_others() -> None:
    before = Facts(
        readings={"serial": "1", "topology_peers": "x", "name": "n", "gpu_cores": 1}, unavailable={}
    )
    after = Facts(
        readings={"serial": "2", "topology_peers": "y", "name": "n"},
        unavailable={"gpu_cores": Reason.ERROR},
    )
    assert changed(before, after) == "serial: 1 -> 2"


@given(st.integers(1, 255))
def test_every_status_but_success_has_a_reason(status: int) -> None:
    assert isinstance(reason(status), Reason)


def test_an_unknown_code_is_an_error_and_no_excuse() -> None:
    assert reason(77) is Reason.ERROR
    assert reason(255) is Reason.ERROR
