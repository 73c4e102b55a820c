"""How one reading is got: the calls of the library with buffers bound once, and what is read out of their outputs."""

import ctypes
import math
from collections.abc import Callable
from ctypes import byref, c_uint, c_ulonglong, create_string_buffer
from dataclasses import dataclass
from typing import Any

from agent.nvml.binding import (
    GpmMetrics,
    GpmSample,
    GpmSupport,
    Handle,
    Hold,
    Library,
    NvmlError,
    Outputs,
)
from agent.nvml.frames import FUNCTION_NOT_FOUND, NOT_READY, NOT_SUPPORTED
from agent.nvml.links import LinkErrors, LinkStates

TEXT_LIMIT = 512

Read = Callable[[Outputs], int | str | None]
"""A reading out of a call's outputs, None for a blank. Raises NvmlError, or UnicodeDecodeError."""


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
        result = GpmMetrics(version=1, numMetrics=len(self.metrics))
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
    support = GpmSupport(version=1)
    library.require("nvmlGpmQueryDeviceSupport", handle.pointer, byref(support))
    if not support.isSupportedDevice:
        raise NvmlError(NOT_SUPPORTED)
    pair = [GpmSample(), GpmSample()]
    for sample in pair:
        library.require("nvmlGpmSampleAlloc", byref(sample))
    samples.extend(pair)


def gpm(index: int) -> Read:
    """Metric `index` of the result, a percentage, in hundredths of one."""

    def read(outputs: Outputs) -> int | None:
        metric = outputs[0].metrics[index]
        usable = metric.nvmlReturn == 0 and math.isfinite(metric.value)
        return round(metric.value * 100) if usable else None

    return read


def uint(symbol: str, *inputs: int) -> CallPart:
    return CallPart(Call(symbol, lambda: (c_uint(),), inputs), Member())


def wide(symbol: str, *inputs: int) -> CallPart:
    return CallPart(Call(symbol, lambda: (c_ulonglong(),), inputs), Member())


def text(symbol: str, size: int = 96, *inputs: int, sized: bool = True) -> CallPart:
    trailing = (size,) if sized else ()
    return CallPart(
        Call(symbol, lambda: (create_string_buffer(size),), inputs, trailing), first_text
    )


def uints(symbol: str, count: int, *inputs: int) -> Call:
    """A call with `count` outputs, each an unsigned int."""
    return Call(symbol, lambda: tuple(c_uint() for _ in range(count)), inputs)


def structure(symbol: str, make: Callable[[], Any], *inputs: int) -> Call:
    return Call(symbol, lambda: (make(),), inputs)


def parts(read: Read, *calls: AnyCall) -> tuple[CallPart, ...]:
    """The same output of a call and of its older forms."""
    return tuple(CallPart(call, read) for call in calls)
