"""What the agent knows of its devices, over the lives of NVML children: who was ever there, and what became of them.

Pure: it is told what a child enumerated and what a sweep answered, and says which events follow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from agent.nvml.frames import (
    DRIVER_AWAY,
    GPU_IS_LOST,
    LIBRARY_MISSING,
    LIBRARY_OF_ANOTHER_VERSION,
    NO_SUCH_GPU,
    OK,
    OTHER,
    OUT_OF_RANGE,
    QUARANTINED,
    RESET_REQUIRED,
    UNDECODABLE,
)
from weighbridge.wire.report import Device, DeviceState, Event, EventKind, Facts, Reason

UNREADABLE_AFTER = 3
DETAIL_LIMIT = 512

CHANGING = frozenset({"memory_reserved_bytes", "topology_peers", "p2p_nvlink_peers_count"})
"""Identity readings that follow from other devices or from load: a change in them is no change of identity."""

_REASONS = {
    3: Reason.NOT_SUPPORTED,
    4: Reason.NO_PERMISSION,
    6: Reason.NOT_FOUND,
    10: Reason.TIMEOUT,
    LIBRARY_MISSING: Reason.LIBRARY_NOT_FOUND,
    13: Reason.FUNCTION_NOT_FOUND,
    14: Reason.CORRUPTED,
    GPU_IS_LOST: Reason.GPU_IS_LOST,
    RESET_REQUIRED: Reason.RESET_REQUIRED,
    LIBRARY_OF_ANOTHER_VERSION: Reason.VERSIONS_DIFFER,
    22: Reason.NOT_SUPPORTED,
    25: Reason.FUNCTION_NOT_FOUND,
    26: Reason.NOT_SUPPORTED,
    27: Reason.NOT_READY,
    28: Reason.NOT_FOUND,
    UNDECODABLE: Reason.CORRUPTED,
    OUT_OF_RANGE: Reason.ERROR,
    QUARANTINED: Reason.QUARANTINED,
    OTHER: Reason.ERROR,
} | dict.fromkeys(DRIVER_AWAY, Reason.DRIVER_NOT_LOADED)


def reason(status: int) -> Reason:
    """Why there is no value, from an NVML code or a status of the child."""
    return _REASONS.get(status, Reason.ERROR)


GONE = {
    6: DeviceState.LOST,
    GPU_IS_LOST: DeviceState.LOST,
    RESET_REQUIRED: DeviceState.RESET_REQUIRED,
    NO_SUCH_GPU: DeviceState.LOST,
}
"""Statuses by which the driver says that a GPU is not there, or not to be used. All others hide one that may be."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What an enumeration could not list: `unreadable` GPUs by the library's index, each with its status, and the GPUs
    that would not tell their slices (`uncut`). `places`: the index of each GPU that it lists; `count`: of all."""

    count: int = 0
    places: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[int, int] = field(default_factory=dict)
    uncut: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class KnownDevices:
    """Every device once enumerated, in the order in which they were first seen: a lost one keeps its place."""

    devices: dict[str, Device] = field(default_factory=dict)
    _silent: dict[str, int] = field(default_factory=dict)
    _why: dict[str, Reason] = field(default_factory=dict)
    _places: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def enumerated(
        self, found: Sequence[Device], now_us: int, hidden: Hidden = Hidden()
    ) -> list[Event]:
        """Takes in a new enumeration of the devices."""
        events: list[Event] = []
        for device in found:
            events += self._seen(device, now_us)
        present = {device.uuid for device in found}
        for uuid in [uuid for uuid in self.devices if uuid not in present]:
            events += self._missing(uuid, present, hidden, now_us)
        moved = self._count != hidden.count
        self._places = {**({} if moved else self._places), **hidden.places}
        self._count = hidden.count
        return events

    def swept(self, uuid: str, statuses: bytes, now_us: int) -> list[Event]:
        """A sweep answered with these statuses for the device."""
        states = {GPU_IS_LOST: DeviceState.LOST, RESET_REQUIRED: DeviceState.RESET_REQUIRED}
        if statuses and statuses[0] in states and statuses.count(statuses[0]) == len(statuses):
            return self._move(uuid, states[statuses[0]], now_us)
        answered = OK in statuses or not statuses
        self._silent[uuid] = 0 if answered else self._silent.get(uuid, 0) + 1
        if self._silent[uuid] >= UNREADABLE_AFTER:
            return self._move(uuid, DeviceState.UNREADABLE, now_us)
        if answered and self.devices[uuid].state is DeviceState.UNREADABLE:
            return self._move(uuid, DeviceState.OK, now_us)
        return []

    def silenced(self) -> None:
        """The driver does not answer: the state of every device is unknown, but lost ones stay lost."""
        for uuid, device in self.devices.items():
            if device.state is DeviceState.OK:
                self.devices[uuid] = _with_state(device, DeviceState.UNREADABLE)

    def reason_of(self, uuid: str) -> Reason:
        """Why a device that the child does not list has no values."""
        match self.devices[uuid].state:
            case DeviceState.LOST:
                return Reason.GPU_IS_LOST
            case DeviceState.RESET_REQUIRED:
                return Reason.RESET_REQUIRED
            case _:
                return self._why.get(uuid, Reason.ERROR)

    def why_none(self) -> Reason:
        """Why no device is listed: one that may be there counts before those that are gone."""
        reasons = [self.reason_of(uuid) for uuid in self.devices]
        gone = (Reason.GPU_IS_LOST, Reason.RESET_REQUIRED)
        return next((why for why in reasons if why not in gone), Reason.GPU_IS_LOST)

    def _seen(self, device: Device, now_us: int) -> list[Event]:
        before = self.devices.get(device.uuid)
        if before is not None and device.state is not DeviceState.OK:
            return self._move(device.uuid, device.state, now_us)
        self.devices[device.uuid] = device
        self._silent[device.uuid] = 0
        self._why.pop(device.uuid, None)
        if before is None:
            return []
        events = []
        if before.state in (DeviceState.LOST, DeviceState.RESET_REQUIRED):
            events.append(
                _event(now_us, EventKind.DEVICE_RETURNED, device.uuid, before.state.value)
            )
        changes = changed(before.identity, device.identity)
        if changes:
            events.append(_event(now_us, EventKind.IDENTITY_CHANGED, device.uuid, changes))
        return events

    def _missing(self, uuid: str, present: set[str], hidden: Hidden, now_us: int) -> list[Event]:
        """A slice was taken away if its GPU lists all of its own. Any other device is lost, unless it may be hidden."""
        parent = self.devices[uuid].parent
        if parent is not None and parent in present and parent not in hidden.uncut:
            del self.devices[uuid]
            return [
                _event(now_us, EventKind.IDENTITY_CHANGED, parent, f"MIG device {uuid} is gone")
            ]
        status = hidden.uncut.get(parent or "", self._status(parent or uuid, hidden))
        state = GONE.get(status, DeviceState.UNREADABLE)
        if state is DeviceState.UNREADABLE:
            self._why[uuid] = reason(status)
            lost = self.devices[uuid].state is not DeviceState.OK
            return [] if lost else self._move(uuid, state, now_us)
        return self._move(uuid, state, now_us)

    def _status(self, gpu: str, hidden: Hidden) -> int:
        """By which the driver hides a GPU that it does not list; where it counts others than before, any may be it."""
        place = self._places.get(gpu)
        if place is not None and self._count == hidden.count:
            return hidden.unreadable.get(place, GPU_IS_LOST)
        hiding = [status for status in hidden.unreadable.values() if status not in GONE]
        return min(hiding, default=GPU_IS_LOST)

    def _move(self, uuid: str, state: DeviceState, now_us: int) -> list[Event]:
        before = self.devices[uuid]
        if before.state is state:
            return []
        self.devices[uuid] = _with_state(before, state)
        if state in (DeviceState.LOST, DeviceState.RESET_REQUIRED):
            return [_event(now_us, EventKind.DEVICE_LOST, uuid, state.value)]
        return []


def changed(before: Facts, after: Facts) -> str:
    """ "name: old -> new" for each identity reading that has another value now; "" where none has."""
    pairs = [
        f"{name}: {old} -> {after.readings[name]}"
        for name, old in sorted(before.readings.items())
        if name not in CHANGING and name in after.readings and after.readings[name] != old
    ]
    return "; ".join(pairs)[:DETAIL_LIMIT]


def facts(values: Mapping[str, int | str], statuses: Mapping[str, int]) -> Facts:
    """Readings and the reasons of those without a value."""
    return Facts(
        readings=dict(values),
        unavailable={name: reason(status) for name, status in statuses.items()},
    )


def device_of(item: Mapping[str, Any]) -> Device:
    """A device as a child lists it: {"uuid", "parent", "readings": [values, statuses]}."""
    values, statuses = item["readings"]
    gone = {GPU_IS_LOST: DeviceState.LOST, RESET_REQUIRED: DeviceState.RESET_REQUIRED}
    state = DeviceState.OK
    if not values and statuses:
        state = gone.get(next(iter(statuses.values())), DeviceState.UNREADABLE)
    return Device(
        uuid=item["uuid"], parent=item["parent"], state=state, identity=facts(values, statuses)
    )


def _with_state(device: Device, state: DeviceState) -> Device:
    return replace(device, state=state)


def _event(now_us: int, kind: EventKind, device: str | None, detail: str) -> Event:
    return Event(
        boottime_us=now_us, kind=kind, device=device, code=None, source="nvml", detail=detail
    )
