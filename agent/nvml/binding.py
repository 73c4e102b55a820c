"""The one door to NVML: the loaded library, and of the binding only names that each release since 12.560 has.

Functions are called as the library has them, through the binding's loader and structures: a return code is data here,
never an exception. `agent.nvml.layouts` has the structures that the binding lacks or has wrong. Runs in the child
process alone (`agent.nvml.worker`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pynvml

from agent.nvml.frames import FUNCTION_NOT_FOUND

INVALID_ARGUMENT = 2
NO_PERMISSION = 4
DEPRECATED = 26
UNKNOWN = 999

Device = pynvml.c_nvmlDevice_t
EventData = pynvml.c_nvmlEventData_t
EventSet = pynvml.c_nvmlEventSet_t
FieldValue = pynvml.c_nvmlFieldValue_t
ComputeState = pynvml.c_nvmlConfComputeSystemState_t
AttestationReport = pynvml.c_nvmlConfComputeGpuAttestationReport_t
Certificate = pynvml.c_nvmlConfComputeGpuCertificate_t
Memory1, Memory2 = pynvml.c_nvmlMemory_t, pynvml.c_nvmlMemory_v2_t
MEMORY_VERSION_2 = pynvml.nvmlMemory_v2
PciInfo2, PciInfo3 = pynvml.nvmlPciInfo_v2_t, pynvml.nvmlPciInfo_t
Bar1Memory = pynvml.c_nvmlBAR1Memory_t
Utilization = pynvml.c_nvmlUtilization_t
RowRemapperHistogram = pynvml.c_nvmlRowRemapperHistogramValues
DeviceAttributes = pynvml.c_nvmlDeviceAttributes
ViolationTime = pynvml.c_nvmlViolationTime_t
SramErrors = pynvml.c_nvmlEccSramErrorStatus_v1_t
GpmSupport, GpmSample = pynvml.c_nvmlGpmSupport_t, pynvml.c_nvmlGpmSample_t
GpmMetrics = pynvml.c_nvmlGpmMetricsGet_t
P2P_OK = pynvml.NVML_P2P_STATUS_OK
LOCATION_DRAM = pynvml.NVML_MEMORY_LOCATION_DRAM
LOCATION_SRAM = pynvml.NVML_MEMORY_LOCATION_SRAM

Outputs = tuple[Any, ...]
Hold = Callable[[Any], Any]
"""Says where an output lives."""


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
