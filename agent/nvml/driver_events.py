"""What the child heard from the driver, as an event of a report. Pure."""

from collections.abc import Mapping
from typing import Any

from weighbridge.wire.report import MAX_INTEGER, Event, EventKind, OperationalEvent


def driver_event(told: Mapping[str, Any], driver: str) -> Event:
    """An XID, by whichever way it was told; else a GPU operational event, or a GPU that became unavailable.

    `driver`: its version, by which the numbers of an operational event are to be read.
    """
    record, xid = told["record"], told["xid"]
    lost = record is None and xid is None
    return Event(
        boottime_us=told["boottime_us"],
        kind=EventKind.DEVICE_LOST if lost else _kind(xid),
        device=told["device"],
        code=xid if xid is not None and xid <= MAX_INTEGER else None,
        compute_instance=told["compute_instance"],
        gpu_instance=told["gpu_instance"],
        operational=None if record is None else OperationalEvent(driver=driver, **record),
        source="agent" if lost else "nvml",
        detail="GPU unavailable" if lost else "",
    )


def _kind(xid: int | None) -> EventKind:
    return EventKind.GPU_EVENT if xid is None else EventKind.XID
