"""What the agent knows of its devices outlives children, drivers and losses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.nvml.device_inventory import Hidden, KnownDevices, changed, device_of, reason
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


NO_PERMISSION, HUNG, UNKNOWN_ERROR = 4, 242, 255
PLACES = {"GPU-a": 0, "GPU-b": 1}


@pytest.fixture
def placed() -> KnownDevices:
    placed = KnownDevices()
    both = [device("GPU-a"), device("GPU-b")]
    assert placed.enumerated(both, 1, Hidden(2, PLACES)) == []
    return placed


@pytest.mark.parametrize(
    ("status", "state", "why"),
    [
        (NO_PERMISSION, DeviceState.UNREADABLE, Reason.NO_PERMISSION),
        (HUNG, DeviceState.UNREADABLE, Reason.QUARANTINED),
        (UNKNOWN_ERROR, DeviceState.UNREADABLE, Reason.ERROR),
        (15, DeviceState.LOST, Reason.GPU_IS_LOST),
        (16, DeviceState.RESET_REQUIRED, Reason.RESET_REQUIRED),
        (28, DeviceState.LOST, Reason.GPU_IS_LOST),
    ],
)
def test_a_gpu_that_the_driver_does_not_open_is_lost_only_where_it_says_so(
    placed: KnownDevices, status: int, state: DeviceState, why: Reason
) -> None:
    events = placed.enumerated([device("GPU-a")], 2, Hidden(2, {"GPU-a": 0}, {1: status}))
    assert states(placed) == [DeviceState.OK, state]
    assert placed.reason_of("GPU-b") is why
    assert len(events) == (state is not DeviceState.UNREADABLE)
    back = placed.enumerated([device("GPU-a"), device("GPU-b")], 3, Hidden(2, PLACES))
    assert len(back) == len(events)
    assert states(placed) == [DeviceState.OK] * 2


def test_of_two_gpus_that_are_not_listed_the_lost_one_is_told_from_the_hidden_one(
    placed: KnownDevices,
) -> None:
    placed.enumerated([], 2, Hidden(2, {}, {0: NO_PERMISSION, 1: 15}))
    assert states(placed) == [DeviceState.UNREADABLE, DeviceState.LOST]


def test_where_another_number_is_counted_any_gpu_may_be_the_hidden_one(
    placed: KnownDevices,
) -> None:
    placed.enumerated([], 2, Hidden(1, {}, {0: NO_PERMISSION}))
    assert states(placed) == [DeviceState.UNREADABLE] * 2
    placed.enumerated([device("GPU-a")], 3, Hidden(1, {"GPU-a": 0}))
    assert states(placed) == [DeviceState.OK, DeviceState.LOST]


def test_a_lost_gpu_that_is_hidden_too_stays_lost(placed: KnownDevices) -> None:
    placed.enumerated([device("GPU-a")], 2, Hidden(1, {"GPU-a": 0}))
    placed.enumerated([device("GPU-a")], 3, Hidden(2, {"GPU-a": 0}, {1: NO_PERMISSION}))
    assert states(placed) == [DeviceState.OK, DeviceState.LOST]


def test_slices_that_their_gpu_does_not_list_are_hidden_and_not_taken_away(
    placed: KnownDevices,
) -> None:
    cut = [device("GPU-a"), device("MIG-a", "GPU-a"), device("GPU-b")]
    placed.enumerated(cut, 2, Hidden(2, PLACES))
    both = [device("GPU-a"), device("GPU-b")]
    assert placed.enumerated(both, 3, Hidden(2, PLACES, {}, {"GPU-a": NO_PERMISSION})) == []
    assert placed.devices["MIG-a"].state is DeviceState.UNREADABLE
    assert placed.reason_of("MIG-a") is Reason.NO_PERMISSION
    (event,) = placed.enumerated(both, 4, Hidden(2, PLACES))
    assert event.kind is EventKind.IDENTITY_CHANGED
    assert "MIG-a" not in placed.devices


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
