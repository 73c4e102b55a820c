"""What the child heard from the driver, as events of a report. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from weighbridge.wire.report import MAX_INTEGER, Event, EventKind, OperationalEvent


class Gathered:
    """Events between two looks. What is told again in the same words is counted, at the time of the first: a card in
    trouble may tell of it a thousand times in a second."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._alike: dict[Event, int] = {}

    def add(self, *events: Event) -> None:
        """Each stands by itself."""
        self._events.extend(events)

    def count(self, event: Event) -> None:
        """One that may be told again."""
        place = self._alike.setdefault(_words(event), len(self._events))
        if place == len(self._events):
            self._events.append(event)
        else:
            known = self._events[place]
            self._events[place] = replace(known, count=known.count + 1)

    def take(self) -> list[Event]:
        """All of them, in the order in which they came first."""
        told, self._events = self._events, []
        self._alike.clear()
        return told


def _words(event: Event) -> Event:
    """Without the time, and what numbers the telling."""
    record = event.operational
    unnumbered = None if record is None else replace(record, trace="0")
    return replace(event, boottime_us=0, operational=unnumbered)


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
