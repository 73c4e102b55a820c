"""GPU operational events: heard beside the event bits, kept as they came; a driver without them is heard as before."""

from typing import Any

import pytest

from agent.host.kernel_log import XidMerger
from agent.nvml.client import NvmlSource
from agent.nvml.driver_events import Gathered, driver_event
from tests.agent.conftest import MakeDriver, MakeSource, eventually
from tests.agent.fake_nvml.fixture import FakeDriver, uuid
from weighbridge.wire.report import Event, EventKind, OperationalEvent

FATAL, RECOVERABLE = 40, 30
SIMULATED = 4


@pytest.fixture
def newer(make_driver: MakeDriver) -> FakeDriver:
    return make_driver(615)


async def heard(source: NvmlSource, count: int) -> list[Event]:
    """So many events, in the order in which they came."""
    events: list[Event] = []

    async def enough() -> bool:
        events.extend(source.events())
        return len(events) >= count

    await eventually(enough)
    return events


def shown(event: Event) -> tuple[Any, ...]:
    return event.kind, event.device, event.code, event.source, event.operational is not None


async def test_an_operational_event_comes_with_its_numbers_and_the_drivers_version(
    newer: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, "operational 1 GPU-RAS 2 61 40 33 0 -")
    (event,) = await heard(source, 1)
    assert shown(event) == (EventKind.GPU_EVENT, uuid(1), None, "nvml", True)
    record = event.operational
    assert record is not None
    assert (record.driver, record.module) == ("615.54.15", "GPU-RAS")
    assert (record.category, record.module_code, record.severity) == (2, 61, FATAL)
    assert (record.attributes, record.group_attributes, record.log_level) == (33, 0, 50)
    assert (record.group_index, record.group_size) == (0, 1)
    assert record.trace.startswith("feed")
    assert event.gpu_instance is None
    assert event.happened


async def test_what_no_table_knows_is_kept_as_it_came(
    newer: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, f"operational 0 SIXTEEN-LETTERS! {2**16} {2**32 - 1} 77 {2**31} 1024 -")
    (event,) = await heard(source, 1)
    record = event.operational
    assert record is not None
    assert record.module == "SIXTEEN-LETTERS!"
    assert (record.category, record.module_code, record.severity) == (2**16, 2**32 - 1, 77)
    assert (record.attributes, record.group_attributes) == (2**31, 1024)


async def test_one_that_stands_for_an_xid_says_which_and_the_bits_are_still_heard(
    newer: FakeDriver, make_source: MakeSource
) -> None:
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, "xid 1 79", "operational 1 GPU-BUS 3 3 40 32 0 79", "xid 0 31")
    events = await heard(source, 3)
    assert sorted(map(shown, events), key=str) == sorted(
        [
            (EventKind.XID, uuid(1), 79, "nvml", False),
            (EventKind.XID, uuid(1), 79, "nvml", True),
            (EventKind.XID, uuid(0), 31, "nvml", False),
        ],
        key=str,
    )


@pytest.mark.parametrize("group_attributes", [0, SIMULATED])
async def test_what_three_ways_tell_is_one_occurrence_with_all_that_they_tell(
    newer: FakeDriver, make_source: MakeSource, group_attributes: int
) -> None:
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, "xid 1 79", f"operational 1 GPU-BUS 3 3 40 32 {group_attributes} 79")
    events = await heard(source, 2)
    line = Event(
        boottime_us=events[0].boottime_us,
        kind=EventKind.XID,
        device=uuid(1),
        code=79,
        source="kernel",
        detail="",
    )
    (one,) = XidMerger().merge([line, *events])
    assert (one.kind, one.device, one.code, one.count) == (EventKind.XID, uuid(1), 79, 1)
    assert one.operational is not None
    assert one.operational.module == "GPU-BUS"
    assert one.happened is (group_attributes == 0)


async def test_an_injected_event_says_so(newer: FakeDriver, make_source: MakeSource) -> None:
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, f"operational 1 GPU-BUS 3 3 40 32 {SIMULATED} 79")
    (event,) = await heard(source, 1)
    assert event.operational is not None
    assert event.operational.group_attributes == SIMULATED
    assert not event.happened


@pytest.mark.parametrize("code", [3, 13, 25, 999])
@pytest.mark.parametrize("symbol", ["RegisterGpuOperationalEvents_v1", "Wait_v3"])
async def test_where_operational_events_only_seem_to_be_there_xids_are_heard_as_before(
    newer: FakeDriver, make_source: MakeSource, symbol: str, code: int
) -> None:
    newer.play_node(2, f"code * nvmlEventSet{symbol} {code}")
    source = make_source(newer)
    await source.identify()
    newer.play_node(2, f"code * nvmlEventSet{symbol} {code}", "xid 0 31", "xid 1 48")
    assert {shown(event)[1:3] for event in await heard(source, 2)} == {(uuid(0), 31), (uuid(1), 48)}


@pytest.mark.parametrize(
    "missing", ["nvmlEventSetWait_v3", "nvmlEventSetRegisterGpuOperationalEvents_v1"]
)
async def test_a_library_with_half_of_the_functions_is_asked_for_bits_alone(
    make_driver: MakeDriver, make_source: MakeSource, missing: str
) -> None:
    driver = make_driver(615, (missing,))
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "operational 1 GPU-RAS 2 61 40 33 0 -", "xid 0 31")
    assert [shown(event) for event in await heard(source, 1)] == [
        (EventKind.XID, uuid(0), 31, "nvml", False)
    ]


@pytest.mark.parametrize(
    "missing", ["nvmlEventSetGetContextCount_v1", "nvmlEventSetGetContextInfo_v1"]
)
async def test_an_xid_is_looked_for_where_the_contexts_cannot_be_counted_or_told_apart(
    make_driver: MakeDriver, make_source: MakeSource, missing: str
) -> None:
    driver = make_driver(615, (missing,))
    source = make_source(driver)
    await source.identify()
    driver.play_node(2, "operational 1 GPU-BUS 3 3 40 32 0 79")
    (event,) = await heard(source, 1)
    assert shown(event) == (EventKind.XID, uuid(1), 79, "nvml", True)


def told(xid: int | None, **changes: Any) -> dict[str, Any]:
    """What a child sends of an event."""
    return {
        "boottime_us": 1,
        "device": uuid(0),
        "xid": xid,
        "gpu_instance": None,
        "compute_instance": None,
        "record": None,
    } | changes


def record(trace: str) -> dict[str, Any]:
    numbers = dict.fromkeys(OperationalEvent.__struct_fields__, 1)
    del numbers["driver"]
    return {**numbers, "module": "GPU-RAS", "trace": trace}


def test_what_is_told_a_thousand_times_between_two_looks_is_one_event_with_its_number() -> None:
    gathered = Gathered()
    for second in range(1000):
        gathered.count(driver_event(told(31, boottime_us=second), "615"))
        gathered.count(driver_event(told(None, record=record(f"{second:x}")), "615"))
        gathered.count(driver_event(told(31, gpu_instance=second % 2), "615"))
    gathered.count(driver_event(told(79), "615"))
    events = gathered.take()
    assert [(event.code, event.gpu_instance, event.count) for event in events] == [
        (31, None, 1000),
        (None, None, 1000),
        (31, 0, 500),
        (31, 1, 500),
        (79, None, 1),
    ]
    assert events[0].boottime_us == 0
    gathered.count(driver_event(told(31), "615"))
    assert [event.count for event in gathered.take()] == [1]
