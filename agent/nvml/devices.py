"""Which devices there are, whose processes hold their memory, what the driver says of itself. In the child process."""

import ctypes
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from ctypes import byref, c_int, c_ubyte, c_uint, create_string_buffer
from dataclasses import dataclass, field
from typing import Any

from agent.nvml.binding import INVALID_ARGUMENT, ComputeState, Device, Handle, Library, NvmlError
from agent.nvml.frames import (
    FUNCTION_NOT_FOUND,
    NO_SUCH_GPU,
    NODE,
    NOT_SUPPORTED,
    OUT_OF_RANGE,
    QUARANTINED,
    UNDECODABLE,
    status_of,
)
from agent.nvml.layouts import ProcessInfo1, ProcessInfo2, WideProcessInfo
from agent.nvml.readers import PCI_2, PCI_3, bus_id
from agent.nvml.sweeper import Sweeper

INSUFFICIENT_SIZE = 7
UUID_BYTES = 96
UUID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/-]*")
MOST_DEVICES = 1024
MOST_PROCESSES = 1 << 16
NO_MEMORY_FIGURE = 2**64 - 1
UNTOUCHED = b"\xa5"
Entries = tuple[type[ctypes.Structure], ...]
"""The structures in which a function may write its list, by the release of the driver."""
ATTEMPTS = 4
WITHOUT_GRAPHICS = (INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, 25, 26)
"""A device that has no list of graphics processes has none; any other failure may hide some."""
WITHOUT_SLICES = WITHOUT_GRAPHICS
"""A device that has no MIG mode has no slices."""
NO_SLICE = (*WITHOUT_SLICES, 6)
"""There is no slice of that number."""


@dataclass(slots=True)
class Enumeration:
    """GPUs in the order of their PCI addresses, each followed by its MIG devices. `places`: the index of each GPU.

    `unreadable`: by index, the code by which a GPU would not tell who it is; `uncut`: by UUID, the code by which one
    would not tell all of its MIG devices.
    """

    count: int = 0
    handles: list[Handle] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)
    unreadable: dict[int, int] = field(default_factory=dict)
    uncut: dict[str, int] = field(default_factory=dict)


def enumerate_devices(library: Library, sweeper: Sweeper) -> Enumeration:
    """Every device that tells its UUID; one that fails hides no other. Raises NvmlError if none is counted."""
    count = c_uint()
    if not sweeper.mark(NODE, "nvmlDeviceGetCount_v2"):
        raise NvmlError(QUARANTINED)
    code = library.first("nvmlDeviceGetCount_v2", "nvmlDeviceGetCount", arguments=(byref(count),))
    if code:
        raise NvmlError(code)
    if count.value > MOST_DEVICES:
        raise NvmlError(OUT_OF_RANGE)
    found = Enumeration(count.value)
    gpus: list[Handle] = []
    for index in range(count.value):
        try:
            gpu = _gpu(library, sweeper, index)
            if any(gpu.uuid == other.uuid for other in gpus):
                raise NvmlError(NO_SUCH_GPU)
            gpus.append(gpu)
            found.places[gpu.uuid] = index
        except NvmlError as error:
            found.unreadable[index] = error.code
    gpus.sort(key=lambda handle: handle.pci_bus_id)
    for gpu in gpus:
        gpu.peers = [other for other in gpus if other is not gpu]
        found.handles.append(gpu)
        try:
            for slice_ in _mig_devices(library, sweeper, gpu):
                found.handles.append(slice_)
        except NvmlError as error:
            found.uncut[gpu.uuid] = error.code
    sweeper.idle()
    return found


def _gpu(library: Library, sweeper: Sweeper, index: int) -> Handle:
    """Each call under a name of its own: one that hangs is left out alone, and without its address a GPU is read."""
    pointer, place = Device(), f"#{index}"
    _announce(sweeper, place, "nvmlDeviceGetHandleByIndex_v2")
    code = library.first(
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetHandleByIndex",
        arguments=(index, byref(pointer)),
    )
    if code:
        raise NvmlError(code)
    uuid = _uuid(library, sweeper, pointer, place)
    return Handle(uuid, pointer, pci_bus_id=_bus_id(library, sweeper, pointer, place))


def _announce(sweeper: Sweeper, device: str, call: str) -> None:
    """Raises NvmlError where that call is left out."""
    if not sweeper.mark(device, call):
        raise NvmlError(QUARANTINED)


def _uuid(library: Library, sweeper: Sweeper, pointer: Any, device: str) -> str:
    text = create_string_buffer(UUID_BYTES)
    _announce(sweeper, device, "nvmlDeviceGetUUID")
    library.require("nvmlDeviceGetUUID", pointer, text, UUID_BYTES)
    if UUID.fullmatch(text.value) is None:
        raise NvmlError(UNDECODABLE)
    return text.value.decode("ascii")


def _bus_id(library: Library, sweeper: Sweeper, pointer: Any, place: str) -> str:
    """The PCI address, "" where the library will not tell: such a GPU sorts first and stays readable."""
    for call in (PCI_3, PCI_2):
        outputs = call.outputs()
        asked = sweeper.mark(place, call.symbol)
        if asked and library.call(call.symbol, pointer, byref(outputs[0])) == 0:
            with suppress(NvmlError):
                return bus_id(outputs)
    return ""


def _mig_devices(library: Library, sweeper: Sweeper, gpu: Handle) -> Iterator[Handle]:
    """Those that tell their UUIDs. Raises NvmlError behind them if one does not, or the GPU does not say."""
    current, pending, count = c_uint(), c_uint(), c_uint()
    _announce(sweeper, gpu.uuid, "nvmlDeviceGetMigMode")
    code = library.call("nvmlDeviceGetMigMode", gpu.pointer, byref(current), byref(pending))
    if code not in (0, *WITHOUT_SLICES):
        raise NvmlError(code)
    if code or not current.value:
        return
    _announce(sweeper, gpu.uuid, "nvmlDeviceGetMaxMigDeviceCount")
    failed = library.call("nvmlDeviceGetMaxMigDeviceCount", gpu.pointer, byref(count))
    for index in range(min(count.value, MOST_DEVICES)):
        try:
            pointer = Device()
            _announce(sweeper, gpu.uuid, "nvmlDeviceGetMigDeviceHandleByIndex")
            library.require(
                "nvmlDeviceGetMigDeviceHandleByIndex", gpu.pointer, index, byref(pointer)
            )
            uuid = _uuid(library, sweeper, pointer, gpu.uuid)
            yield Handle(uuid, pointer, gpu.uuid, gpu.pci_bus_id)
        except NvmlError as error:
            failed = failed if error.code in NO_SLICE else error.code
    if failed:
        raise NvmlError(failed)


def processes(
    library: Library, sweeper: Sweeper
) -> tuple[list[tuple[str, int, int | None]], dict[str, int]]:
    """(uuid, pid, bytes) of all processes that hold memory, and the status of each device that did not answer.

    A process of a MIG device is not listed again under its GPU.
    """
    found: dict[tuple[str, int], int | None] = {}
    failed: dict[str, int] = {}
    for handle in reversed(sweeper.handles):
        for kind in ("Compute", "Graphics"):
            try:
                held = _held(library, sweeper, handle, f"nvmlDeviceGet{kind}RunningProcesses")
            except NvmlError as error:
                if kind == "Compute" or error.code not in WITHOUT_GRAPHICS:
                    failed[handle.uuid] = status_of(error.code)
                continue
            _merge(found, handle, held, sweeper.handles)
    sweeper.idle()
    return [(uuid, pid, memory) for (uuid, pid), memory in found.items()], failed


def _merge(
    found: dict[tuple[str, int], int | None],
    handle: Handle,
    held: list[tuple[int, int | None]],
    handles: list[Handle],
) -> None:
    children = {other.uuid for other in handles if other.parent == handle.uuid}
    for pid, memory in held:
        if any((child, pid) in found for child in children):
            continue
        known = found.get((handle.uuid, pid))
        found[handle.uuid, pid] = memory if known is None else max(known, memory or 0)


def _held(
    library: Library, sweeper: Sweeper, handle: Handle, symbol: str
) -> list[tuple[int, int | None]]:
    """By the newest form of the call that the library has and accepts."""
    if not sweeper.mark(handle.uuid, symbol):
        raise NvmlError(QUARANTINED)
    held: list[tuple[int, int | None]]
    forms: tuple[tuple[str, Entries], ...] = (
        (f"{symbol}_v3", (ProcessInfo2, WideProcessInfo)),
        (f"{symbol}_v2", (ProcessInfo2,)),
        (symbol, (ProcessInfo1,)),
    )
    code, held = FUNCTION_NOT_FOUND, []
    for name, entries in forms:
        code, held = _list(library, handle, name, entries)
        if code not in (FUNCTION_NOT_FOUND, 25, 26):
            break
    if code:
        raise NvmlError(code)
    return held


def _list(
    library: Library, handle: Handle, symbol: str, entries: Entries
) -> tuple[int, list[tuple[int, int | None]]]:
    """The two-call protocol: ask for the size, then with room to spare, again if more came meanwhile."""
    count = c_uint()
    code = library.call(symbol, handle.pointer, byref(count), None)
    for _ in range(ATTEMPTS):
        if code != INSUFFICIENT_SIZE:
            return code, []
        room = min(count.value * 2 + 5, MOST_PROCESSES)
        written = bytearray(UNTOUCHED * (room * ctypes.sizeof(entries[-1])))
        count.value = room
        buffer = (c_ubyte * len(written)).from_buffer(written)
        code = library.call(symbol, handle.pointer, byref(count), buffer)
        if code == 0:
            told = min(count.value, room)
            return 0, [_process(entry) for entry in _entries(written, entries, told, room)]
    return code, []


def _entries(written: bytearray, entries: Entries, count: int, room: int) -> Iterable[Any]:
    """What the library wrote, in entries of the size that it wrote. Raises NvmlError where it wrote in none of these.

    The last byte that it touched tells: it lies in the last entry, or ends the room. No entry ends in UNTOUCHED, being
    a small number, or NVML's blank.
    """
    end = len(written.rstrip(UNTOUCHED))
    for structure in entries if count else ():
        size = ctypes.sizeof(structure)
        if size * (count - 1) < end <= size * count or end == size * room:
            return (structure * count).from_buffer(written)
    if count:
        raise NvmlError(UNDECODABLE)
    return ()


def _process(entry: Any) -> tuple[int, int | None]:
    memory = int(entry.usedGpuMemory)
    return int(entry.pid), None if memory == NO_MEMORY_FIGURE else memory


def _system_text(symbol: str) -> Callable[[Library], str]:
    def read(library: Library) -> str:
        text = create_string_buffer(UUID_BYTES)
        library.require(symbol, text, UUID_BYTES)
        return text.value.decode()

    return read


def _cuda_version(library: Library) -> str:
    version = c_int()
    code = library.first(
        "nvmlSystemGetCudaDriverVersion",
        "nvmlSystemGetCudaDriverVersion_v2",
        arguments=(byref(version),),
    )
    if code:
        raise NvmlError(code)
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


def _compute_state(library: Library) -> int:
    state = ComputeState()
    library.require("nvmlSystemGetConfComputeState", byref(state))
    return int(state.ccFeature)


NODE_READERS: Mapping[str, Callable[[Library], int | str]] = {
    "driver_version": _system_text("nvmlSystemGetDriverVersion"),
    "nvml_version": _system_text("nvmlSystemGetNVMLVersion"),
    "cuda_driver_version": _cuda_version,
    "conf_compute_code": _compute_state,
}


def node_facts(
    library: Library, sweeper: Sweeper, code: int
) -> tuple[dict[str, int | str], dict[str, int]]:
    """(values, statuses) of the driver; with `code` not zero the library is not to be asked."""
    values: dict[str, int | str] = {}
    statuses: dict[str, int] = {}
    for name, read in NODE_READERS.items():
        try:
            if code:
                raise NvmlError(code)
            if not sweeper.mark(NODE, name):
                raise NvmlError(QUARANTINED)
            values[name] = read(library)
        except NvmlError as error:
            statuses[name] = status_of(error.code) or NOT_SUPPORTED
        except UnicodeDecodeError:
            statuses[name] = UNDECODABLE
    sweeper.idle()
    return values, statuses
