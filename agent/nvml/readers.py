"""The only door to NVML: from the name of a reading to the calls that answer it.

Functions are called as the library has them, through the binding's loader and structures, with buffers bound once: a
return code is data here, never an exception. Of the binding only names are used that each of its releases since 12.560
has; `agent.nvml.layouts` has the rest. A reading has one or more sources, tried in order, so that an older driver
answers by its older call. Runs in the child process alone (`agent.nvml.worker`).
"""

import ctypes
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from ctypes import Structure, byref, c_int, c_uint, c_ulong, c_ulonglong, create_string_buffer
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import pynvml

from agent.nvml.frames import (
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    LIFE_CYCLE,
    NOT_FOUND,
    NOT_READY,
    NOT_SUPPORTED,
    RESET_REQUIRED,
)
from agent.nvml.kernel_words import kernel_words
from agent.nvml.layouts import (
    UNICAST_POINTER,
    AdaptiveTgp,
    BankRemapper,
    FabricInfo1,
    FabricInfo2,
    FabricInfo3,
    FabricInfo4,
    MarginTemperature,
    MemoryLimits,
    Pdi1,
    PlatformInfo,
    PowerProfiles,
    Temperature1,
    UnrepairableMemory,
    versioned,
)
from weighbridge.catalogue.readings import READING

INVALID_ARGUMENT = 2
NO_FABRIC, IN_FABRIC = 0, 3
ALL_LINKS = 0xFFFFFFFF
MOST_LINKS = 36
LINK_COUNT, LINK_STATE = 91, 165
DEPRECATED = 26
NO_PERMISSION = 4
UNKNOWN = 999
APPLICATION_TARGET = 1
HOTTEST_PLACE = 1
NO_LIMIT = 2**64 - 1
CGROUPS = "/sys/fs/cgroup"
P2P_NVLINK = 2
CPU_WORDS = 16
TEXT_LIMIT = 512

Device = pynvml.c_nvmlDevice_t
EventData = pynvml.c_nvmlEventData_t
EventSet = pynvml.c_nvmlEventSet_t
FieldValue = pynvml.c_nvmlFieldValue_t
ComputeState = pynvml.c_nvmlConfComputeSystemState_t
AttestationReport = pynvml.c_nvmlConfComputeGpuAttestationReport_t
Certificate = pynvml.c_nvmlConfComputeGpuCertificate_t

Outputs = tuple[Any, ...]
Read = Callable[[Outputs], int | str | None]
"""A reading out of a call's outputs, None for a blank. Raises NvmlError, or UnicodeDecodeError."""
Hold = Callable[[Any], Any]


class NvmlError(Exception):
    """A call answered with a code other than success."""

    def __init__(self, code: int) -> None:
        super().__init__(f"NVML code {code}")
        self.code = code


class Library:
    """The loaded libnvidia-ml.so.1. A function that it lacks answers FUNCTION_NOT_FOUND like any other failure."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[..., int] | None] = {}

    def start(self) -> int:
        """Load and initialize. Returns an NVML code: 12 no library, 9 no driver, 18 library older than the driver."""
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError_FunctionNotFound:
            return self.first("nvmlInit_v2", "nvmlInit")
        except pynvml.NVMLError as error:
            return int(error.value)
        return 0

    def function(self, symbol: str) -> Callable[..., int] | None:
        """The function of that name, None where the library has none."""
        if symbol not in self._functions:
            self._functions[symbol] = getattr(pynvml.nvmlLib, symbol, None)
        return self._functions[symbol]

    def call(self, symbol: str, *arguments: Any) -> int:
        """The return code of a function."""
        function = self.function(symbol)
        return FUNCTION_NOT_FOUND if function is None else function(*arguments)

    def first(self, *symbols: str, arguments: tuple[Any, ...] = ()) -> int:
        """The return code of the first of these functions that the library has and has not given up."""
        code = FUNCTION_NOT_FOUND
        for symbol in symbols:
            code = self.call(symbol, *arguments)
            if code not in (FUNCTION_NOT_FOUND, DEPRECATED):
                break
        return code

    def require(self, symbol: str, *arguments: Any) -> None:
        """Raises NvmlError unless the call succeeds."""
        code = self.call(symbol, *arguments)
        if code:
            raise NvmlError(code)


@dataclass(eq=False, slots=True)
class Handle:
    """A device of this process's NVML. `uuid` is its identity; the handle is worth nothing once the GPU is lost.

    `links`: how many NVLinks there are to ask, once that is known.
    """

    uuid: str
    pointer: Any
    parent: str | None = None
    pci_bus_id: str = ""
    peers: list["Handle"] = field(default_factory=list)
    links: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """symbol(handle, *inputs, *outputs, *trailing), with buffers from `outputs`."""

    symbol: str
    outputs: Callable[[], Outputs]
    inputs: tuple[int, ...] = ()
    trailing: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The name by which a hanging call is reported."""
        inputs = ",".join(str(value) for value in self.inputs)
        return f"{self.symbol}({inputs})" if inputs else self.symbol

    def bind(
        self, library: Library, handle: Handle, hold: Hold
    ) -> tuple[Callable[..., int], tuple[Any, ...], Outputs]:
        """(function, its arguments, its outputs): made once, called each sweep. `hold` says where outputs live."""
        outputs = tuple(hold(output) for output in self.outputs())
        references = (out if isinstance(out, ctypes.Array) else byref(out) for out in outputs)
        function = library.function(self.symbol) or function_not_found
        return function, (handle.pointer, *self.inputs, *references, *self.trailing), outputs


@dataclass(frozen=True, slots=True)
class GpmCall:
    """GPM metrics between this call and the one before it on the same device; NOT_READY at the first.

    It costs two calls and a structure of 19 KB per GPU and is a mean over the time between, so it is no fast reading.
    """

    metrics: tuple[int, ...]
    label: str = "nvmlGpmMetricsGet"

    def bind(
        self, library: Library, handle: Handle, hold: Hold
    ) -> tuple[Callable[..., int], tuple[Any, ...], Outputs]:
        """As `Call.bind`; the output is an nvmlGpmMetricsGet_t whose first metrics are `metrics`."""
        result = pynvml.c_nvmlGpmMetricsGet_t(version=1, numMetrics=len(self.metrics))
        for index, number in enumerate(self.metrics):
            result.metrics[index].metricId = number
        samples: list[Any] = []
        held = hold(result)

        def measure() -> int:
            try:
                return _measure(library, handle, samples, held)
            except NvmlError as error:
                return error.code

        return measure, (), (held,)


class LinkTotals(Structure):
    """NVLinks by state, as one look at all of them counts them."""

    _fields_ = tuple(
        (name, c_uint) for name in ("links", "down", "active", "sleeping", "quiet", "unreadable")
    )


@dataclass(frozen=True, slots=True)
class LinkStates:
    """The state of each NVLink, counted: a `LinkTotals`.

    nvmlDeviceGetNvLinkState knows up and down; that a link sleeps or lets no traffic through, the field of its state
    tells beside it. A link whose call fails is counted as unreadable where one behind it answers, or the driver counts
    it; a card of which no link answers has the code of its first.
    """

    label: str = "nvmlDeviceGetNvLinkState"

    def bind(
        self, library: Library, handle: Handle, hold: Hold
    ) -> tuple[Callable[..., int], tuple[Any, ...], Outputs]:
        """As `Call.bind`."""
        totals = hold(LinkTotals())

        def look() -> int:
            try:
                states = _link_states(library, handle)
            except NvmlError as error:
                return error.code
            named = [_STATE_NAMES.get(state, "unreadable") for state in states]
            for name in (*_STATE_NAMES.values(), "unreadable"):
                setattr(totals, name, named.count(name))
            totals.links = len(states)
            return 0

        return look, (), (totals,)


@dataclass(frozen=True, slots=True)
class LinkErrors:
    """The sum of one error counter over the NVLinks that have it; NOT_SUPPORTED where none has."""

    counter: int

    @property
    def label(self) -> str:
        """The name by which a hanging call is reported."""
        return f"nvmlDeviceGetNvLinkErrorCounter({self.counter})"

    def bind(
        self, library: Library, handle: Handle, hold: Hold
    ) -> tuple[Callable[..., int], tuple[Any, ...], Outputs]:
        """As `Call.bind`."""
        total, value = hold(c_ulonglong()), c_ulonglong()
        symbol = "nvmlDeviceGetNvLinkErrorCounter"

        def add() -> int:
            total.value, answered = 0, False
            for link in range(_links(library, handle)):
                code = library.call(symbol, handle.pointer, link, self.counter, byref(value))
                if code not in (0, NOT_SUPPORTED, INVALID_ARGUMENT):
                    return code
                answered = answered or code == 0
                total.value += value.value if code == 0 else 0
            return 0 if answered else NOT_SUPPORTED

        return add, (), (total,)


@dataclass(frozen=True, slots=True)
class Member:
    """A number in the outputs of a call: an output, or a member of one, divided down. All ones is NVML's blank."""

    output: int = 0
    name: str = ""
    signed: bool = False
    divisor: int = 1

    def __call__(self, outputs: Outputs) -> int | None:
        """The number at an address; None for the value that the driver writes where it has none."""
        holder = outputs[self.output]
        value: int = getattr(holder, self.name) if self.name else holder.value
        blank = not self.signed and value == (1 << 8 * self.place(outputs)[1]) - 1
        return None if blank else value // self.divisor

    def place(self, outputs: Outputs) -> tuple[int, int]:
        """(address, bytes) of the number."""
        holder = outputs[self.output]
        if not self.name:
            return ctypes.addressof(holder), ctypes.sizeof(holder)
        member = getattr(type(holder), self.name)
        return ctypes.addressof(holder) + member.offset, member.size


AnyCall = Call | GpmCall | LinkStates | LinkErrors


@dataclass(frozen=True, slots=True)
class CallPart:
    """One reading out of the outputs of a call; None from `read` is a blank: the card has no such thing."""

    call: AnyCall
    read: Read

    @property
    def label(self) -> str:
        """The name of its call."""
        return self.call.label


@dataclass(frozen=True, slots=True)
class Field:
    """One entry of nvmlDeviceGetFieldValues; the reading is value // divisor."""

    number: int
    scope: int = 0
    divisor: int = 1

    @property
    def label(self) -> str:
        """The name of the call of the whole batch."""
        return "nvmlDeviceGetFieldValues"


@dataclass(frozen=True, slots=True)
class Whole:
    """A reading that takes several calls. `read` raises NvmlError, or returns None for a blank."""

    label: str
    read: Callable[[Library, Handle], int | str | None]


Source = CallPart | Field | Whole


def first_text(outputs: Outputs) -> str:
    """The first output, a string. Raises UnicodeDecodeError."""
    text: bytes = outputs[0].value
    return text.decode()[:TEXT_LIMIT]


def function_not_found(*_: Any) -> int:
    """In the place of a function that the library lacks."""
    return FUNCTION_NOT_FOUND


def _measure(library: Library, handle: Handle, samples: list[Any], result: Any) -> int:
    if not samples:
        _prepare_samples(library, handle, samples)
        library.require("nvmlGpmSampleGet", handle.pointer, samples[1])
        return NOT_READY
    samples.reverse()
    library.require("nvmlGpmSampleGet", handle.pointer, samples[1])
    result.sample1, result.sample2 = samples
    return library.call("nvmlGpmMetricsGet", byref(result))


def _prepare_samples(library: Library, handle: Handle, samples: list[Any]) -> None:
    support = pynvml.c_nvmlGpmSupport_t(version=1)
    library.require("nvmlGpmQueryDeviceSupport", handle.pointer, byref(support))
    if not support.isSupportedDevice:
        raise NvmlError(NOT_SUPPORTED)
    pair = [pynvml.c_nvmlGpmSample_t(), pynvml.c_nvmlGpmSample_t()]
    for sample in pair:
        library.require("nvmlGpmSampleAlloc", byref(sample))
    samples.extend(pair)


def _gpm(index: int) -> Read:
    """Metric `index` of the result, a percentage, in hundredths of one."""

    def read(outputs: Outputs) -> int | None:
        metric = outputs[0].metrics[index]
        usable = metric.nvmlReturn == 0 and math.isfinite(metric.value)
        return round(metric.value * 100) if usable else None

    return read


def _uint(symbol: str, *inputs: int) -> CallPart:
    return CallPart(Call(symbol, lambda: (c_uint(),), inputs), Member())


def _wide(symbol: str, *inputs: int) -> CallPart:
    return CallPart(Call(symbol, lambda: (c_ulonglong(),), inputs), Member())


def _text(symbol: str, size: int = 96, *inputs: int, sized: bool = True) -> CallPart:
    trailing = (size,) if sized else ()
    return CallPart(
        Call(symbol, lambda: (create_string_buffer(size),), inputs, trailing), first_text
    )


def _uints(symbol: str, count: int, *inputs: int) -> Call:
    """A call with `count` outputs, each an unsigned int."""
    return Call(symbol, lambda: tuple(c_uint() for _ in range(count)), inputs)


def _struct(symbol: str, make: Callable[[], Any], *inputs: int) -> Call:
    return Call(symbol, lambda: (make(),), inputs)


def _hottest() -> Structure:
    asked = versioned(Temperature1, 1)
    asked.sensorType = HOTTEST_PLACE
    return asked


def _pci_pair(name: str) -> Read:
    """NVML's (device << 16 | vendor) as lspci writes it."""

    def read(outputs: Outputs) -> str | None:
        value: int = getattr(outputs[0], name)
        return f"{value & 0xFFFF:04x}:{value >> 16:04x}" if value else None

    return read


def bus_id(outputs: Outputs) -> str:
    """The PCI address of an nvmlPciInfo_t, with the domain in eight digits."""
    info = outputs[0]
    return f"{info.domain:08x}:{info.bus:02x}:{info.device:02x}.0"


def _cpu_mask(outputs: Outputs) -> str:
    return f"{sum(word << (64 * index) for index, word in enumerate(outputs[0])):x}"


def _cluster(outputs: Outputs) -> str | None:
    raw = bytes(outputs[0].clusterUuid)
    return raw.hex() if any(raw) else None


def _fabric(read: Read) -> Read:
    """What only a GPU in a fabric has: the zeros outside are no health, and one that is joining has none yet."""

    def joined(outputs: Outputs) -> int | str | None:
        state: int = outputs[0].state
        if state not in (NO_FABRIC, IN_FABRIC):
            raise NvmlError(NOT_READY)
        return None if state == NO_FABRIC else read(outputs)

    return joined


def _kernel_word(name: str) -> Source:
    """A word of the kernel module's own on the GPU."""

    def read(_: Library, handle: Handle) -> str | None:
        try:
            return kernel_words(handle.pci_bus_id).get(name)
        except PermissionError as error:
            raise NvmlError(NO_PERMISSION) from error
        except OSError as error:
            raise NvmlError(NOT_FOUND) from error

    return Whole("/proc/driver/nvidia/gpus", read)


def _topology(library: Library, handle: Handle) -> str:
    level = c_uint()
    found = []
    for peer in handle.peers:
        library.require(
            "nvmlDeviceGetTopologyCommonAncestor", handle.pointer, peer.pointer, byref(level)
        )
        found.append(f"{peer.pci_bus_id}={level.value}")
    return " ".join(found)[:TEXT_LIMIT]


def _nvlink_peers(library: Library, handle: Handle) -> int:
    status = c_uint()
    count = 0
    for peer in handle.peers:
        library.require(
            "nvmlDeviceGetP2PStatus", handle.pointer, peer.pointer, P2P_NVLINK, byref(status)
        )
        count += status.value == pynvml.NVML_P2P_STATUS_OK
    return count


_DOWN, _ACTIVE, _SLEEPING, _QUIET = range(4)
_STATE_NAMES: Mapping[int | None, str] = {
    _DOWN: "down",
    _ACTIVE: "active",
    _SLEEPING: "sleeping",
    _QUIET: "quiet",
}
_NO_LINK = frozenset({INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, DEPRECATED})
_NO_DEVICE = frozenset({GPU_IS_LOST, RESET_REQUIRED, *LIFE_CYCLE})


def _link_states(library: Library, handle: Handle) -> list[int | None]:
    """The state of each NVLink, None of one that does not tell. Raises NvmlError where none of them tells."""
    codes, states = _asked_states(library, handle)
    for link, state in enumerate(_field_states(library, handle, len(states))):
        if state is not None and (states[link] is None or state in (_SLEEPING, _QUIET)):
            states[link] = state
    if not handle.links:
        there = [
            code not in _NO_LINK or state is not None
            for code, state in zip(codes, states, strict=True)
        ]
        handle.links = len(there) - next(
            (behind for behind, one in enumerate(reversed(there)) if one), len(there)
        )
        states = states[: handle.links]
    if all(state is None for state in states):
        raise NvmlError(codes[0])
    return states


def _asked_states(library: Library, handle: Handle) -> tuple[list[int], list[int | None]]:
    codes: list[int] = []
    states: list[int | None] = []
    state = c_uint()
    for link in range(_links(library, handle)):
        code = library.call("nvmlDeviceGetNvLinkState", handle.pointer, link, byref(state))
        if code in _NO_DEVICE:
            raise NvmlError(code)
        codes.append(code)
        states.append(None if code else state.value)
    return codes, states


def _field_states(library: Library, handle: Handle, links: int) -> Iterator[int | None]:
    entries = (FieldValue * links)()
    for link, entry in enumerate(entries):
        entry.fieldId, entry.scopeId, entry.nvmlReturn = LINK_STATE, link, UNKNOWN
    code = library.call("nvmlDeviceGetFieldValues", handle.pointer, links, entries)
    for entry in entries:
        yield None if code or entry.nvmlReturn else entry.value.uiVal


def _links(library: Library, handle: Handle) -> int:
    """How many NVLinks to ask: as many as the driver counts or were found; until then all that NVML can name."""
    if handle.links is None:
        entry = FieldValue(fieldId=LINK_COUNT, nvmlReturn=UNKNOWN)
        code = library.call("nvmlDeviceGetFieldValues", handle.pointer, 1, byref(entry))
        counted = 0 if code or entry.nvmlReturn else entry.value.uiVal
        handle.links = counted if counted <= MOST_LINKS else 0
    return handle.links or MOST_LINKS


def _link_version(library: Library, handle: Handle) -> int:
    """Of the first NVLink that tells."""
    version = c_uint()
    for link in range(_links(library, handle)):
        code = library.call("nvmlDeviceGetNvLinkVersion", handle.pointer, link, byref(version))
        if code == 0:
            return version.value
        if code not in _NO_LINK:
            raise NvmlError(code)
    raise NvmlError(NOT_SUPPORTED)


def _clique(outputs: Outputs) -> int | None:
    """The first by which memory is reached by pointer: what `cliqueId` was before there were several."""
    info = outputs[0]
    cliques = info.cliques[: min(info.numCliques, len(info.cliques))]
    return next((one.id for one in cliques if one.type == UNICAST_POINTER), None)


def _hexadecimal(name: str) -> Read:
    """Bytes, with no zeros behind; None where there is nothing else."""

    def read(outputs: Outputs) -> str | None:
        return bytes(getattr(outputs[0], name)).rstrip(b"\0").hex() or None

    return read


def _serial(outputs: Outputs) -> str | None:
    return bytes(outputs[0].chassisSerialNumber).rstrip(b"\0 ").decode("ascii") or None


def _limit(outputs: Outputs) -> int:
    hard: int = outputs[0].hardLimit
    if hard == NO_LIMIT:
        raise NvmlError(NOT_FOUND)
    return hard


def _adjusted_limit(outputs: Outputs) -> int:
    if not outputs[0].enablementStatus:
        raise NvmlError(NOT_FOUND)
    return int(outputs[0].adjustedLimitMw)


def _unrepairable(outputs: Outputs) -> int:
    """A driver that leaves the version in its place is one that the binding has right."""
    flag = outputs[0]
    return int(flag.second if flag.first == UNREPAIRABLE_VERSION else flag.first)


def _mask(name: str) -> Read:
    """The bits of an nvmlMask255_t."""
    return lambda outputs: sum(
        word << 32 * index for index, word in enumerate(getattr(outputs[0], name))
    )


@cache
def own_cgroup(root: str = "") -> bytes:
    """The directory of this process's control group: where the mount shows no other, that of the mount itself.

    Without pathlib, which would cost this process 0.8 MiB.
    """
    try:
        with open(f"{root}/proc/self/cgroup") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        lines = []
    own = CGROUPS + next((line[3:] for line in lines if line.startswith("0::")), "").rstrip("/")
    return (own if os.path.isdir(root + own) else CGROUPS).encode()  # noqa: PTH112


MEMORY_2 = _struct(
    "nvmlDeviceGetMemoryInfo_v2", lambda: pynvml.c_nvmlMemory_v2_t(version=pynvml.nvmlMemory_v2)
)
MEMORY_1 = _struct("nvmlDeviceGetMemoryInfo", pynvml.c_nvmlMemory_t)
PCI_3 = _struct("nvmlDeviceGetPciInfo_v3", pynvml.nvmlPciInfo_t)
PCI_2 = _struct("nvmlDeviceGetPciInfo_v2", pynvml.nvmlPciInfo_v2_t)
UTILIZATION = _struct("nvmlDeviceGetUtilizationRates", pynvml.c_nvmlUtilization_t)
LIMITS = _uints("nvmlDeviceGetPowerManagementLimitConstraints", 2)
ECC = _uints("nvmlDeviceGetEccMode", 2)
MIG = _uints("nvmlDeviceGetMigMode", 2)
REMAPPED = _uints("nvmlDeviceGetRemappedRows", 4)
HISTOGRAM = _struct("nvmlDeviceGetRowRemapperHistogram", pynvml.c_nvmlRowRemapperHistogramValues)
ATTRIBUTES = _struct("nvmlDeviceGetAttributes_v2", pynvml.c_nvmlDeviceAttributes)
FABRIC_4 = _struct("nvmlDeviceGetGpuFabricInfo_v4", FabricInfo4)
FABRIC_3 = _struct("nvmlDeviceGetGpuFabricInfoV", lambda: versioned(FabricInfo3, 3))
FABRIC_2 = _struct("nvmlDeviceGetGpuFabricInfoV", lambda: versioned(FabricInfo2, 2))
FABRIC_1 = _struct("nvmlDeviceGetGpuFabricInfo", FabricInfo1)
FABRIC = (FABRIC_4, FABRIC_3, FABRIC_2, FABRIC_1)
TEMPERATURE = _struct("nvmlDeviceGetTemperatureV", lambda: versioned(Temperature1, 1))
HOTTEST = _struct("nvmlDeviceGetTemperatureV", _hottest)
LINKS = LinkStates()
PLATFORM_2, PLATFORM_1 = (
    _struct("nvmlDeviceGetPlatformInfo", partial(versioned, PlatformInfo, number))
    for number in (2, 1)
)
MARGIN = _struct("nvmlDeviceGetMarginTemperature", partial(versioned, MarginTemperature, 1))
PROFILES = _struct(
    "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles", partial(versioned, PowerProfiles, 1)
)
ADAPTIVE_TGP = _struct("nvmlDeviceGetAdaptiveTgpModeInfo_v1", AdaptiveTgp)
BANKS = _struct("nvmlDeviceGetBankRemapperStatus_v1", BankRemapper)
MEMORY_LIMITS = _struct(
    "nvmlDeviceGetMemoryLimits_v1", lambda: MemoryLimits(nameSpace=own_cgroup())
)
UNREPAIRABLE_VERSION: int = versioned(UnrepairableMemory, 1).first
UNREPAIRABLE = _struct(
    "nvmlDeviceGetUnrepairableMemoryFlag_v1",
    lambda: UnrepairableMemory(first=UNREPAIRABLE_VERSION),
)
CAPABILITY = Call("nvmlDeviceGetCudaComputeCapability", lambda: (c_int(), c_int()))
AFFINITY = Call("nvmlDeviceGetCpuAffinity", lambda: ((c_ulong * CPU_WORDS)(),), (CPU_WORDS,))
GPM = GpmCall((1, 2, 3, 5, 10))


def _parts(read: Read, *calls: AnyCall) -> tuple[CallPart, ...]:
    """The same output of a call and of its older forms."""
    return tuple(CallPart(call, read) for call in calls)


def _violation(policy: int) -> CallPart:
    call = _struct("nvmlDeviceGetViolationStatus", pynvml.c_nvmlViolationTime_t, policy)
    return CallPart(call, Member(name="violationTime", divisor=1000))


IDENTITY: Mapping[str, tuple[Source, ...]] = {
    "name": (_text("nvmlDeviceGetName"),),
    "memory_total_bytes": _parts(Member(name="total"), MEMORY_2, MEMORY_1),
    "memory_reserved_bytes": _parts(Member(name="reserved"), MEMORY_2),
    "mig_gpu_instance_number": (_uint("nvmlDeviceGetGpuInstanceId"),),
    "mig_compute_instance_number": (_uint("nvmlDeviceGetComputeInstanceId"),),
    "mig_multiprocessors_count": _parts(Member(name="multiprocessorCount"), ATTRIBUTES),
    "mig_gpu_slices_count": _parts(Member(name="gpuInstanceSliceCount"), ATTRIBUTES),
    "serial": (_text("nvmlDeviceGetSerial"),),
    "board_part_number": (_text("nvmlDeviceGetBoardPartNumber"),),
    "board_number": (_uint("nvmlDeviceGetBoardId"),),
    "minor_number": (_uint("nvmlDeviceGetMinorNumber"),),
    "module_number": (_uint("nvmlDeviceGetModuleId"),),
    "irq_number": (_uint("nvmlDeviceGetIrqNum"),),
    "numa_node_number": (_uint("nvmlDeviceGetNumaNodeId"),),
    "cpu_affinity": _parts(_cpu_mask, AFFINITY),
    "topology_peers": (Whole("nvmlDeviceGetTopologyCommonAncestor", _topology),),
    "p2p_nvlink_peers_count": (Whole("nvmlDeviceGetP2PStatus", _nvlink_peers),),
    "brand_code": (_uint("nvmlDeviceGetBrand"),),
    "architecture_code": (_uint("nvmlDeviceGetArchitecture"),),
    "pci_bus_id": _parts(bus_id, PCI_3, PCI_2),
    "pci_device_id": _parts(_pci_pair("pciDeviceId"), PCI_3, PCI_2),
    "pci_subsystem_id": _parts(_pci_pair("pciSubSystemId"), PCI_3, PCI_2),
    "pdi": (
        CallPart(
            _struct("nvmlDeviceGetPdi", lambda: versioned(Pdi1, 1)),
            lambda outputs: f"{outputs[0].value:016x}" if outputs[0].value else None,
        ),
    ),
    "kernel_uuid": (_kernel_word("GPU UUID"),),
    "kernel_name": (_kernel_word("Model"),),
    "cuda_compute_capability": _parts(
        lambda outputs: f"{outputs[0].value}.{outputs[1].value}", CAPABILITY
    ),
    "gpu_cores": (_uint("nvmlDeviceGetNumGpuCores"),),
    "memory_bus_width_bits": (_uint("nvmlDeviceGetMemoryBusWidth"),),
    "bar1_total_bytes": _parts(
        Member(name="bar1Total"),
        _struct("nvmlDeviceGetBAR1MemoryInfo", pynvml.c_nvmlBAR1Memory_t),
    ),
    "sm_clock_max_megahertz": (_uint("nvmlDeviceGetMaxClockInfo", 1),),
    "memory_clock_max_megahertz": (_uint("nvmlDeviceGetMaxClockInfo", 2),),
    "power_limit_default_milliwatts": (
        _uint("nvmlDeviceGetPowerManagementDefaultLimit"),
        Field(189),
    ),
    "power_limit_min_milliwatts": (CallPart(LIMITS, Member(0)), Field(187)),
    "power_limit_max_milliwatts": (CallPart(LIMITS, Member(1)), Field(188)),
    "pcie_link_max_generation": (_uint("nvmlDeviceGetMaxPcieLinkGeneration"),),
    "pcie_gpu_max_generation": (_uint("nvmlDeviceGetGpuMaxPcieLinkGeneration"),),
    "pcie_link_width_max_lanes": (_uint("nvmlDeviceGetMaxPcieLinkWidth"),),
    "vbios_version": (_text("nvmlDeviceGetVbiosVersion", 32),),
    "inforom_image_version": (_text("nvmlDeviceGetInforomImageVersion"),),
    "inforom_checksum_number": (_uint("nvmlDeviceGetInforomConfigurationChecksum"),),
    "gsp_firmware_version": (_text("nvmlDeviceGetGspFirmwareVersion", 128, sized=False),),
    "gsp_mode_code": _parts(Member(0), _uints("nvmlDeviceGetGspFirmwareMode", 2)),
    "ecc_mode_code": _parts(Member(0), ECC),
    "ecc_mode_pending_code": _parts(Member(1), ECC),
    "mig_mode_code": _parts(Member(0), MIG),
    "mig_mode_pending_code": _parts(Member(1), MIG),
    "mig_devices_max_count": (_uint("nvmlDeviceGetMaxMigDeviceCount"),),
    "persistence_mode_code": (_uint("nvmlDeviceGetPersistenceMode"),),
    "compute_mode_code": (_uint("nvmlDeviceGetComputeMode"),),
    "virtualization_mode_code": (_uint("nvmlDeviceGetVirtualizationMode"),),
    "host_vgpu_mode_code": (_uint("nvmlDeviceGetHostVgpuMode"),),
    "platform_ib_guid": _parts(_hexadecimal("ibGuid"), PLATFORM_2, PLATFORM_1),
    "platform_chassis_serial": _parts(_serial, PLATFORM_2),
    "platform_slot_number": _parts(Member(name="slotNumber"), PLATFORM_2, PLATFORM_1),
    "platform_tray_number": _parts(Member(name="trayIndex"), PLATFORM_2, PLATFORM_1),
    "platform_host_number": _parts(Member(name="hostId"), PLATFORM_2, PLATFORM_1),
    "platform_peer_type_code": _parts(Member(name="peerType"), PLATFORM_2, PLATFORM_1),
    "platform_module_number": _parts(Member(name="moduleId"), PLATFORM_2, PLATFORM_1),
    "nvlink_links": _parts(Member(name="links"), LINKS),
    "nvlink_version_code": (
        _uint("nvmlDeviceGetNvLinkVersion", 0),
        Whole("nvmlDeviceGetNvLinkVersion", _link_version),
        Field(166),
    ),
    "fabric_cluster_uuid": _parts(_fabric(_cluster), *FABRIC),
    "fabric_clique_number": (
        *_parts(_fabric(_clique), FABRIC_4),
        *_parts(_fabric(Member(name="cliqueId")), *FABRIC[1:]),
    ),
    "temperature_shutdown_celsius": (_uint("nvmlDeviceGetTemperatureThreshold", 0),),
    "temperature_slowdown_celsius": (_uint("nvmlDeviceGetTemperatureThreshold", 1),),
    "temperature_memory_max_celsius": (_uint("nvmlDeviceGetTemperatureThreshold", 2),),
    "temperature_gpu_max_celsius": (_uint("nvmlDeviceGetTemperatureThreshold", 3),),
    "temperature_margin_shutdown_celsius": (Field(193),),
    "temperature_margin_slowdown_celsius": (Field(194),),
    "temperature_margin_memory_max_celsius": (Field(195),),
    "temperature_margin_gpu_max_celsius": (Field(196),),
}

FAST: Mapping[str, tuple[Source, ...]] = {
    "memory_used_bytes": _parts(Member(name="used"), MEMORY_2, MEMORY_1),
    "utilization_gpu_percent": _parts(Member(name="gpu"), UTILIZATION),
    "utilization_memory_percent": _parts(Member(name="memory"), UTILIZATION),
    "sm_clock_megahertz": (_uint("nvmlDeviceGetClockInfo", 1),),
    "memory_clock_megahertz": (_uint("nvmlDeviceGetClockInfo", 2),),
    "temperature_gpu_celsius": (
        CallPart(TEMPERATURE, Member(name="temperature", signed=True)),
        _uint("nvmlDeviceGetTemperature", 0),
    ),
    "temperature_memory_celsius": (Field(82),),
    "power_draw_milliwatts": (_uint("nvmlDeviceGetPowerUsage"), Field(185)),
    "power_draw_instant_milliwatts": (Field(186),),
    "power_limit_enforced_milliwatts": (_uint("nvmlDeviceGetEnforcedPowerLimit"), Field(190)),
    "power_limit_requested_milliwatts": (Field(192), _uint("nvmlDeviceGetPowerManagementLimit")),
    "energy_millijoules": (Field(83), _wide("nvmlDeviceGetTotalEnergyConsumption")),
    "clocks_event_reasons_flags": (
        _wide("nvmlDeviceGetCurrentClocksEventReasons"),
        _wide("nvmlDeviceGetCurrentClocksThrottleReasons"),
    ),
    "clocks_event_sw_power_cap_microseconds": (Field(74, divisor=1000), _violation(0)),
    "clocks_event_sync_boost_microseconds": (Field(76, divisor=1000), _violation(2)),
    "clocks_event_sw_thermal_microseconds": (Field(269, divisor=1000),),
    "clocks_event_hw_thermal_microseconds": (Field(270, divisor=1000),),
    "clocks_event_hw_power_brake_microseconds": (Field(271, divisor=1000),),
    "pcie_link_generation": (_uint("nvmlDeviceGetCurrPcieLinkGeneration"),),
    "pcie_link_width_lanes": (_uint("nvmlDeviceGetCurrPcieLinkWidth"),),
    "pcie_replay_count": (Field(94), _uint("nvmlDeviceGetPcieReplayCounter")),
    "pcie_transmitted_kibibytes": (Field(197, divisor=1024),),
    "pcie_received_kibibytes": (Field(198, divisor=1024),),
    "nvlink_transmitted_kibibytes": (Field(138, scope=ALL_LINKS),),
    "nvlink_received_kibibytes": (Field(139, scope=ALL_LINKS),),
    "recovery_action_code": (Field(230),),
}

_CORRECTED, _UNCORRECTED, _VOLATILE, _AGGREGATE = 0, 1, 0, 1
_ERRORS = {"corrected": _CORRECTED, "uncorrected": _UNCORRECTED}
_SINCE = {"volatile": _VOLATILE, "aggregate": _AGGREGATE}
_PLACES = {
    "dram": pynvml.NVML_MEMORY_LOCATION_DRAM,
    "sram": pynvml.NVML_MEMORY_LOCATION_SRAM,
}


def _ecc_readers() -> dict[str, tuple[Source, ...]]:
    found: dict[str, tuple[Source, ...]] = {}
    for error, kind in _ERRORS.items():
        for since, counter in _SINCE.items():
            found[f"ecc_total_{error}_{since}_count"] = (
                _wide("nvmlDeviceGetTotalEccErrors", kind, counter),
            )
            for place, location in _PLACES.items():
                found[f"ecc_{place}_{error}_{since}_count"] = (
                    _wide("nvmlDeviceGetMemoryErrorCounter", kind, counter, location),
                )
    return found


def _power_smoothing() -> dict[str, tuple[Source, ...]]:
    """As the rows of the catalogue number them."""
    return {
        name: (Field(int(row.source.removeprefix("field "))),)
        for name, row in READING.items()
        if name.startswith("power_smoothing_")
    }


SLOW: Mapping[str, tuple[Source, ...]] = {
    **_ecc_readers(),
    "ecc_sram_threshold_exceeded_code": _parts(
        Member(name="bThresholdExceeded"),
        _struct("nvmlDeviceGetSramEccErrorStatus", pynvml.c_nvmlEccSramErrorStatus_v1_t),
    ),
    "remapped_correctable_rows": (CallPart(REMAPPED, Member(0)), Field(142)),
    "remapped_uncorrectable_rows": (CallPart(REMAPPED, Member(1)), Field(143)),
    "remap_pending_code": (CallPart(REMAPPED, Member(2)), Field(144)),
    "remap_failure_code": (CallPart(REMAPPED, Member(3)), Field(145)),
    "remap_availability_max_banks": _parts(Member(name="max"), HISTOGRAM),
    "remap_availability_high_banks": _parts(Member(name="high"), HISTOGRAM),
    "remap_availability_partial_banks": _parts(Member(name="partial"), HISTOGRAM),
    "remap_availability_low_banks": _parts(Member(name="low"), HISTOGRAM),
    "remap_availability_none_banks": _parts(Member(name="none"), HISTOGRAM),
    "retired_corrected_pages": (Field(29),),
    "retired_uncorrected_pages": (Field(30),),
    "retired_pending_code": (Field(31),),
    "unrepairable_memory_code": _parts(_unrepairable, UNREPAIRABLE),
    "bank_remap_active_banks": (CallPart(BANKS, Member(name="activeRemappings")), Field(303)),
    "bank_remap_inactive_banks": (CallPart(BANKS, Member(name="inactiveRemappings")), Field(304)),
    "bank_remap_pending_code": (CallPart(BANKS, Member(name="bPending")), Field(307)),
    "bank_remap_availability_max_banks": (
        CallPart(BANKS, Member(name="maxSpareGroupCount")),
        Field(305),
    ),
    "bank_remap_availability_none_banks": (
        CallPart(BANKS, Member(name="noSpareGroupCount")),
        Field(306),
    ),
    "memory_limit_bytes": _parts(_limit, MEMORY_LIMITS),
    "nvlink_active_links": _parts(Member(name="active"), LINKS),
    "nvlink_down_links": _parts(Member(name="down"), LINKS),
    "nvlink_sleeping_links": _parts(Member(name="sleeping"), LINKS),
    "nvlink_quiet_links": _parts(Member(name="quiet"), LINKS),
    "nvlink_unreadable_links": _parts(Member(name="unreadable"), LINKS),
    "nvlink_replay_count": _parts(Member(), LinkErrors(0)),
    "nvlink_recovery_count": _parts(Member(), LinkErrors(1)),
    "nvlink_crc_flit_count": _parts(Member(), LinkErrors(2)),
    "pcie_replay_rollover_count": (Field(95),),
    "pcie_recovery_count": (Field(169),),
    "pcie_correctable_errors_count": (Field(173),),
    "pcie_naks_received_count": (Field(174),),
    "pcie_receiver_errors_count": (Field(175),),
    "pcie_bad_tlp_count": (Field(176),),
    "pcie_naks_sent_count": (Field(177),),
    "pcie_bad_dllp_count": (Field(178),),
    "pcie_non_fatal_errors_count": (Field(179),),
    "pcie_fatal_errors_count": (Field(180),),
    "pcie_unsupported_requests_count": (Field(181),),
    "pcie_lcrc_errors_count": (Field(182),),
    "pcie_lane_errors_count": (Field(183),),
    "fabric_state_code": _parts(Member(name="state"), *FABRIC),
    "fabric_status_code": _parts(_fabric(Member(name="status")), *FABRIC),
    "fabric_health_flags": _parts(_fabric(Member(name="healthMask")), *FABRIC[:3]),
    "fabric_health_code": _parts(_fabric(Member(name="healthSummary")), *FABRIC[:2]),
    "clocks_event_thermal_microseconds": (Field(75, divisor=1000), _violation(1)),
    "clocks_event_board_limit_microseconds": (Field(77, divisor=1000), _violation(3)),
    "clocks_event_reliability_microseconds": (Field(79, divisor=1000), _violation(5)),
    "temperature_gpu_hottest_celsius": _parts(Member(name="temperature", signed=True), HOTTEST),
    "temperature_margin_celsius": _parts(Member(name="marginTemperature", signed=True), MARGIN),
    "adaptive_tgp_code": _parts(Member(name="enablementStatus"), ADAPTIVE_TGP),
    "adaptive_tgp_limit_milliwatts": _parts(_adjusted_limit, ADAPTIVE_TGP),
    "edpp_multiplier_percent": (Field(274),),
    "power_profiles_requested_flags": _parts(_mask("requestedProfilesMask"), PROFILES),
    "power_profiles_enforced_flags": _parts(_mask("enforcedProfilesMask"), PROFILES),
    **_power_smoothing(),
    "performance_state_code": (_uint("nvmlDeviceGetPerformanceState"),),
    "encoder_utilization_percent": _parts(Member(0), _uints("nvmlDeviceGetEncoderUtilization", 2)),
    "decoder_utilization_percent": _parts(Member(0), _uints("nvmlDeviceGetDecoderUtilization", 2)),
    "fan_speed_percent": (
        _uint("nvmlDeviceGetFanSpeed_v2", 0),
        _uint("nvmlDeviceGetFanSpeed"),
    ),
    "sm_clock_application_megahertz": (
        _uint("nvmlDeviceGetApplicationsClock", 1),
        _uint("nvmlDeviceGetClock", 1, APPLICATION_TARGET),
    ),
    "memory_clock_application_megahertz": (
        _uint("nvmlDeviceGetApplicationsClock", 2),
        _uint("nvmlDeviceGetClock", 2, APPLICATION_TARGET),
    ),
    "graphics_active_permyriad": (CallPart(GPM, _gpm(0)),),
    "sm_active_permyriad": (CallPart(GPM, _gpm(1)),),
    "sm_occupancy_permyriad": (CallPart(GPM, _gpm(2)),),
    "tensor_active_permyriad": (CallPart(GPM, _gpm(3)),),
    "dram_active_permyriad": (CallPart(GPM, _gpm(4)),),
}

READERS: Mapping[str, tuple[Source, ...]] = MappingProxyType({**IDENTITY, **FAST, **SLOW})
"""The sources of each reading of a device, in the order in which they are tried."""

_MOVED = {269: 251, 270: 252, 271: 253, 272: 254, 273: 255} | {
    number: number + 5 for number in range(251, 269)
}
"""By their numbers of before and since, those of the fields 251 to 273 in the drivers of `_MOVED_IN`."""

_MOVED_IN = (((575, 0), (580, 0)), ((580, 65), (580, 66)))
_UNTOLD_IN = ((580, 66), (580, 82))
"""Releases [from, to): of nvml.h 12.9 and 13.0.39, and those between it and 13.0.87, which moved the fields back."""


def sources_of(driver: str) -> Mapping[str, tuple[Source, ...]]:
    """READERS for a release of the driver: the same fields by its numbers, less those whose number nobody knows."""
    found = re.match(r"(\d+)\.(\d+)", driver)
    release = (int(found[1]), int(found[2])) if found else None
    return {
        name: tuple(
            placed for source in sources if (placed := _placed(source, release)) is not None
        )
        for name, sources in READERS.items()
    }


def _placed(source: Source, release: tuple[int, int] | None) -> Source | None:
    if not isinstance(source, Field) or source.number not in _MOVED:
        return source
    if release is None or _UNTOLD_IN[0] <= release < _UNTOLD_IN[1]:
        return None
    moved = any(since <= release < until for since, until in _MOVED_IN)
    return replace(source, number=_MOVED[source.number]) if moved else source
