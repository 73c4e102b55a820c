"""Waiting for the driver's events, in a thread of the child process.

The event bits are there on every driver. One that has GPU operational events (R615 on, a preview) tells them in the
same set, and bits and events are then waited for together; where that wait fails from the first, for bits alone.
"""

import ctypes
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from ctypes import byref, c_uint, c_ulonglong
from typing import Any

from agent.nvml.binding import EventData, EventSet, Handle, Library
from agent.nvml.layouts import ContextInfo1, EventWait3, LegacyXid1, OperationalConfig1

WAIT_MILLISECONDS = 1000
TIMEOUT = 10
XID = 0x8
GPU_UNAVAILABLE = 0x4000
NO_INSTANCE = 0xFFFFFFFF
LONGEST_PAUSE_SECONDS = 30.0

SUBSCRIBE = "nvmlEventSetRegisterGpuOperationalEvents_v1"
WAIT = "nvmlEventSetWait_v3"
WAIT_FOR_BITS = "nvmlEventSetWait_v2"
OPERATIONAL = 1
LEGACY_XID = 1
NOTICE = 30
"""Telemetry and diagnosis are below: they are for the driver's own tools, and may come by the thousand."""
MOST_CONTEXTS = 64
RECORD = {
    "attributes": "attributes",
    "category": "categoryId",
    "chiplet": "chipletId",
    "group_attributes": "groupAttributes",
    "group_index": "groupIndex",
    "group_size": "groupSize",
    "log_level": "logLevel",
    "module_code": "moduleEventCode",
    "module_instance": "moduleInstance",
    "originator": "originator",
    "scope": "scope",
    "severity": "severity",
}
"""Our name of each number of an operational event, and NVML's."""

Told = dict[str, Any]
Tell = Callable[[Told], None]
Wait = Callable[[Any], tuple[int, Told | None]]
"""Waits on a set: the code, and what was told, if that is for anybody."""


class EventWatch:
    """Waits for events of all GPUs. UUIDs are resolved when a GPU is registered: a lost one tells nothing."""

    def __init__(
        self, library: Library, tell: Tell, mark: memoryview, waits: Mapping[str, int]
    ) -> None:
        """`waits`: the ways to wait that may be tried, each with the number that stands in `mark` while it is."""
        self._library = library
        self._tell = tell
        self._mark = mark
        self._waits = waits
        self._wanted: dict[int, Handle] = {}
        self._changed = threading.Event()
        there = all(library.function(symbol) for symbol in (SUBSCRIBE, WAIT))
        self._operational = there and WAIT in waits

    def follow(self, gpus: Sequence[Handle]) -> None:
        """Watches these GPUs, from the next wait on."""
        wanted = {_address(gpu.pointer): gpu for gpu in gpus}
        if wanted.keys() != self._wanted.keys():
            self._wanted = wanted
            self._changed.set()

    def run(self) -> None:
        """For the life of the process: a set that answers with an error is made anew, less and less often."""
        pause = 1.0
        while self._operational or WAIT_FOR_BITS in self._waits:
            self._changed.clear()
            started = time.monotonic()
            self._wait_on_one_set(dict(self._wanted))
            pause = 1.0 if time.monotonic() - started > LONGEST_PAUSE_SECONDS else pause * 2
            self._changed.wait(min(pause, LONGEST_PAUSE_SECONDS))

    def _wait_on_one_set(self, wanted: Mapping[int, Handle]) -> None:
        events = EventSet()
        self._mark[0] = self._waits[WAIT if self._operational else WAIT_FOR_BITS]
        if self._library.call("nvmlEventSetCreate", byref(events)):
            return
        wait, code, waits = self._register(events, wanted), 0, 0
        while code in (0, TIMEOUT) and not self._changed.is_set():
            code, told = wait(events)
            waits += 1
            if told is not None:
                self._tell(told)
        failed_at_once = waits == 1 and code not in (0, TIMEOUT)
        self._operational = self._operational and not failed_at_once
        self._library.call("nvmlEventSetFree", events)
        self._mark[0] = 0

    def _register(self, events: Any, wanted: Mapping[int, Handle]) -> Wait:
        for gpu in wanted.values():
            supported = c_ulonglong()
            self._library.call("nvmlDeviceGetSupportedEventTypes", gpu.pointer, byref(supported))
            types = supported.value & (XID | GPU_UNAVAILABLE) or XID
            self._library.call("nvmlDeviceRegisterEvents", gpu.pointer, c_ulonglong(types), events)
        subscribed = self._operational and [self._subscribe(events, gpu) for gpu in wanted.values()]
        if subscribed and any(subscribed):
            return EventsOfBothKinds(self._library, {gpu.uuid for gpu in wanted.values()})
        return EventBits(self._library, {place: gpu.uuid for place, gpu in wanted.items()})

    def _subscribe(self, events: Any, gpu: Handle) -> bool:
        wanted = OperationalConfig1(gpu.uuid.encode(), NOTICE)
        return self._library.call(SUBSCRIBE, events, byref(wanted)) == 0


class EventBits:
    """XIDs, and GPUs that became unavailable. `uuids`: by the address of the handle."""

    def __init__(self, library: Library, uuids: Mapping[int, str]) -> None:
        self._library, self._uuids, self._data = library, uuids, EventData()

    def __call__(self, events: Any) -> tuple[int, Told | None]:
        code = self._library.first(
            WAIT_FOR_BITS,
            "nvmlEventSetWait",
            arguments=(events, byref(self._data), WAIT_MILLISECONDS),
        )
        device = self._uuids.get(_address(self._data.device))
        return code, None if code else _bit(self._data, device)


class EventsOfBothKinds:
    """The bits, and GPU operational events: each as it came, with the XID that it stands for."""

    def __init__(self, library: Library, uuids: Collection[str]) -> None:
        self._library, self._uuids, self._data = library, uuids, EventWait3()

    def __call__(self, events: Any) -> tuple[int, Told | None]:
        data = self._data
        ctypes.memset(byref(data), 0, ctypes.sizeof(data))
        data.timeoutMs = WAIT_MILLISECONDS
        code = self._library.call(WAIT, events, byref(data))
        if code:
            return code, None
        uuid = data.uuid.decode("ascii", "replace")
        device = uuid if uuid in self._uuids else None
        if data.dataType != OPERATIONAL:
            return code, _bit(data, device)
        return code, _told(data, device, self._xid(events)) | {"record": _record(data)}

    def _xid(self, events: Any) -> int | None:
        """Of what the newest event of the set carries, the first XID."""
        count = c_uint()
        if self._library.call("nvmlEventSetGetContextCount_v1", events, byref(count)):
            count.value = MOST_CONTEXTS
        for index in range(min(count.value, MOST_CONTEXTS)):
            found = LegacyXid1(index)
            symbol = "nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1"
            if self._may_be_xid(events, index) and not self._library.call(
                symbol, events, byref(found)
            ):
                return int(found.xidCode)
        return None

    def _may_be_xid(self, events: Any, index: int) -> bool:
        info = ContextInfo1(index)
        code = self._library.call("nvmlEventSetGetContextInfo_v1", events, byref(info))
        return bool(code) or info.nvmlGpuOperationalEventContextType == LEGACY_XID


def _bit(data: Any, device: str | None) -> Told | None:
    if data.eventType not in (XID, GPU_UNAVAILABLE):
        return None
    return _told(data, device, data.eventData if data.eventType == XID else None)


def _told(data: Any, device: str | None, xid: int | None) -> Told:
    instances = (data.gpuInstanceId, data.computeInstanceId)
    gpu, compute = (None if number == NO_INSTANCE else number for number in instances)
    return {
        "boottime_us": time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000,
        "device": device,
        "xid": xid,
        "gpu_instance": gpu,
        "compute_instance": compute,
        "record": None,
    }


def _record(data: Any) -> dict[str, int | str]:
    """Its numbers as they came: what they mean, the driver's release says."""
    numbers = {ours: getattr(data, theirs) for ours, theirs in RECORD.items()}
    module = data.sourceModule.decode("ascii", "replace")
    return {**numbers, "module": module, "trace": f"{data.traceId:x}"}


def _address(pointer: Any) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value or 0
