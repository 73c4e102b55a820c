"""Reads every device once per sweep, by plans made from `agent.nvml.READERS`. Runs in the child process.

Before each call its number is written to the shared mark, so that the parent can name a call that never answers. What a
card does not support is remembered per device and reading, and asked again each hour.
"""

import ctypes
import struct
import time
from array import array
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.frames import (
    EVERY_CALL,
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    NOT_SUPPORTED,
    OK,
    OTHER,
    OUT_OF_RANGE,
    QUARANTINED,
    RESET_REQUIRED,
    UNDECODABLE,
    Mark,
    rows,
    status_of,
)
from agent.nvml import (
    INVALID_ARGUMENT,
    READERS,
    Call,
    Field,
    FieldValue,
    GpmCall,
    Handle,
    Library,
    NvmlError,
    Outputs,
    Part,
    Source,
    Whole,
    first_uint,
    function_not_found,
)
from weighbridge.readings import Reading, Scope, Tier

MAX_INTEGER = 2**53 - 1
BLANK_UINT = 0xFFFFFFFF
PROBE_AGAIN_SECONDS = 3600
UNSUPPORTED = frozenset({INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, 25, 26})
UNKNOWN_ERROR = 999
GONE = (GPU_IS_LOST, RESET_REQUIRED)

SIGNED_KINDS = {4: "<q", 5: "<i4x"}
DOUBLE_KIND = 0
FIELD_BLANKS = (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


@dataclass(slots=True)
class Tape:
    """One tier of all devices, device by device: a value and a status for each of `rows(tier)`."""

    values: MutableSequence[Any]
    statuses: bytearray
    failures: list[tuple[int, int]] = field(default_factory=list)

    def fail(self, position: int, status: int) -> None:
        """No value here, and why."""
        self.values[position] = 0
        self.statuses[position] = status
        self.failures.append((position, status))

    def put(self, position: int, value: Any) -> None:
        """A value, or a failure where it is a blank or too large for the wire."""
        if value is None:
            self.fail(position, NOT_SUPPORTED)
        elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            self.fail(position, OUT_OF_RANGE)
        else:
            self.values[position] = value


@dataclass(slots=True)
class FieldBatch:
    """One nvmlDeviceGetFieldValues with its buffer, cleared before each call so that no old answer can pass for new."""

    number: int
    function: Any
    arguments: tuple[Any, ...]
    buffer: Any
    clear: bytes
    unpack: struct.Struct
    positions: list[int]
    divisors: list[tuple[int, int]]
    run_of_positions: bool
    signatures: tuple[int, ...] = ()

    @staticmethod
    def of(
        function: Any, number: int, handle: Handle, wanted: Sequence[tuple[int, Field]]
    ) -> "FieldBatch":
        """A batch of the fields, each with the position of its reading."""
        buffer = (FieldValue * len(wanted))()
        for entry, (_, source) in zip(buffer, wanted, strict=True):
            entry.fieldId, entry.scopeId, entry.nvmlReturn = source.number, source.scope, 999
        positions = [position for position, _ in wanted]
        return FieldBatch(
            number=number,
            function=function,
            arguments=(handle.pointer, len(wanted), buffer),
            buffer=buffer,
            clear=bytes(buffer),
            unpack=struct.Struct("<" + "24xQQ" * len(wanted)),
            positions=positions,
            divisors=[
                (i, source.divisor) for i, (_, source) in enumerate(wanted) if source.divisor > 1
            ],
            run_of_positions=positions == list(range(positions[0], positions[0] + len(positions))),
        )

    def read(self, tape: Tape) -> None:
        """Call, and put each entry in its place. When all is as last time, in one move."""
        ctypes.memmove(self.buffer, self.clear, len(self.clear))
        code = self.function(*self.arguments)
        if code:
            for position in self.positions:
                tape.fail(position, status_of(code))
            return
        raw = self.unpack.unpack(self.buffer)
        if raw[0::2] == self.signatures and self.run_of_positions and max(raw[1::2]) <= MAX_INTEGER:
            self._move(raw[1::2], tape)
        else:
            self._sort(raw, tape)

    def _move(self, numbers: tuple[int, ...], tape: Tape) -> None:
        scaled = array("q", numbers)
        for index, divisor in self.divisors:
            scaled[index] //= divisor
        tape.values[self.positions[0] : self.positions[-1] + 1] = scaled

    def _sort(self, raw: tuple[int, ...], tape: Tape) -> None:
        """Entry by entry; afterwards `signatures` says whether the next time may be one move."""
        plain = isinstance(tape.values, array)
        divisors = dict(self.divisors)
        for index, position in enumerate(self.positions):
            signature, number = raw[2 * index], raw[2 * index + 1]
            kind, code = signature & 0xFFFFFFFF, signature >> 32
            if code:
                tape.fail(position, status_of(code))
                continue
            value = field_value(kind, number)
            plain = plain and value == number
            tape.put(position, value if value is None else value // divisors.get(index, 1))
        whole = plain and not tape.failures
        self.signatures = raw[0::2] if whole else ()


def field_value(kind: int, number: int) -> int | None:
    """The integer in the eight bytes of an nvmlValue_t; None for a blank (all ones in its type)."""
    raw = number.to_bytes(8, "little")
    if kind in SIGNED_KINDS:
        return int(struct.unpack(SIGNED_KINDS[kind], raw)[0])
    if kind == DOUBLE_KIND:
        value: float = struct.unpack("<d", raw)[0]
        return round(value) if value == value and abs(value) <= MAX_INTEGER else None
    return None if number in FIELD_BLANKS else number


@dataclass(slots=True)
class Plan:
    """The calls of one device and tier: single numbers, calls with several readings, one batch of fields, others."""

    singles: list[tuple[int, Any, tuple[Any, ...], Any, int]] = field(default_factory=list)
    groups: list[tuple[int, Any, tuple[Any, ...], Outputs, list[tuple[int, Any]]]] = field(
        default_factory=list
    )
    batch: FieldBatch | None = None
    wholes: list[tuple[int, Whole, int]] = field(default_factory=list)
    fixed: list[tuple[int, int]] = field(default_factory=list)


class Sweeper:
    """The devices of one child. `quarantine`: (uuid, label or EVERY_CALL) of calls that hung in an earlier child."""

    def __init__(self, library: Library, mark: Mark, quarantine: Iterable[tuple[str, str]]) -> None:
        self.handles: list[Handle] = []
        self._library = library
        self._mark = mark
        self._quarantine = frozenset(quarantine)
        self._choice: dict[tuple[str, str], int] = {}
        self._plans: dict[tuple[str, Tier], Plan] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._bound: dict[tuple[str, str], tuple[Any, tuple[Any, ...], Outputs]] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._probed = time.monotonic()

    def replace(self, handles: list[Handle]) -> None:
        """Take over a new enumeration; plans of unchanged handles stay."""
        if [_key(handle) for handle in handles] != [_key(handle) for handle in self.handles]:
            self._plans.clear()
            self._bound.clear()
            self.handles = handles

    def sweep(self, tier: Tier) -> Tape:
        """Every reading of the tier once, for every device."""
        self._forget_refusals()
        width = len(rows(tier))
        size = width * len(self.handles)
        numbers: MutableSequence[Any] = (
            [0] * size if tier is Tier.IDENTITY else array("q", bytes(8 * size))
        )
        tape = Tape(numbers, bytearray(size))
        for index, handle in enumerate(self.handles):
            self._device(handle, tier, index * width, tape)
        self._mark.slot[0] = 0
        return tape

    def mark(self, device: str, label: str) -> bool:
        """Announce a call on a device; False if that call is quarantined."""
        self._mark.slot[0] = self._number(device, label)
        return not self._quarantined(device, label)

    def idle(self) -> None:
        """No call is in progress."""
        self._mark.slot[0] = 0

    def _device(self, handle: Handle, tier: Tier, base: int, tape: Tape) -> None:
        plan = self._plans.get((handle.uuid, tier))
        if plan is None:
            plan = self._plans[handle.uuid, tier] = self._plan(handle, rows(tier), rows(tier), base)
        self._run(plan, handle, tape)
        while tape.failures:
            again = self._learn(handle, tier, base, tape)
            tape.failures.clear()
            if again:
                for row in again:
                    tape.statuses[base + rows(tier).index(row)] = OK
                self._run(self._plan(handle, again, rows(tier), base), handle, tape)

    def _run(self, plan: Plan, handle: Handle, tape: Tape) -> None:
        slot, values = self._mark.slot, tape.values
        for position, status in plan.fixed:
            tape.statuses[position] = status
        for number, function, arguments, output, position in plan.singles:
            slot[0] = number
            code = function(*arguments)
            value = output.value
            if code:
                tape.fail(position, status_of(code))
            elif value == BLANK_UINT:
                tape.fail(position, NOT_SUPPORTED)
            else:
                values[position] = value
        for number, function, arguments, outputs, parts in plan.groups:
            slot[0] = number
            _read_group(function(*arguments), outputs, parts, tape)
        if plan.batch is not None:
            slot[0] = plan.batch.number
            plan.batch.read(tape)
        for number, whole, position in plan.wholes:
            slot[0] = number
            _read_whole(whole, self._library, handle, position, tape)

    def _learn(self, handle: Handle, tier: Tier, base: int, tape: Tape) -> list[Reading]:
        """Draw the conclusions of this device's failures. Returns the readings to try again by their next source."""
        gone = next((status for _, status in tape.failures if status in GONE), None)
        if gone is not None:
            width = len(rows(tier))
            tape.statuses[base : base + width] = bytes([gone]) * width
            return []
        again = []
        for position, status in tape.failures:
            row = rows(tier)[position - base]
            if self._refuse(handle, row, status):
                again.append(row)
        if again:
            self._plans.pop((handle.uuid, tier), None)
        return again

    def _refuse(self, handle: Handle, row: Reading, status: int) -> bool:
        """Remember that a source is not supported. True if the reading has another, or is settled as unsupported."""
        key = (handle.uuid, row.name)
        source = self._source(handle, row)
        if status not in UNSUPPORTED or source is None:
            return False
        index = self._choice.get(key, 0) + 1
        if (
            index >= len(READERS[row.name])
            and status == INVALID_ARGUMENT
            and not isinstance(source, Field)
        ):
            return False
        self._choice[key] = index
        self._refused[key] = NOT_SUPPORTED if status == INVALID_ARGUMENT else status
        return True

    def _forget_refusals(self) -> None:
        if time.monotonic() - self._probed >= PROBE_AGAIN_SECONDS:
            self._probed = time.monotonic()
            self._choice.clear()
            self._refused.clear()
            self._plans.clear()

    def _source(self, handle: Handle, row: Reading) -> Source | None:
        """The source in use; None where there is none left, or none at all on a MIG device."""
        if handle.parent is not None and row.scope is Scope.GPU:
            return None
        sources = READERS[row.name]
        index = self._choice.get((handle.uuid, row.name), 0)
        return sources[index] if index < len(sources) else None

    def _plan(
        self, handle: Handle, wanted: Iterable[Reading], layout: Sequence[Reading], base: int
    ) -> Plan:
        plan = Plan()
        fields: list[tuple[int, Field]] = []
        parts: dict[Call | GpmCall, list[tuple[int, Part]]] = {}
        for row in wanted:
            position = base + layout.index(row)
            source = self._source(handle, row)
            if source is None:
                refused = self._refused.get((handle.uuid, row.name), NOT_SUPPORTED)
                plan.fixed.append((position, refused))
            elif self._quarantined(handle.uuid, source.label):
                plan.fixed.append((position, QUARANTINED))
            elif isinstance(source, Field):
                fields.append((position, source))
            elif isinstance(source, Whole):
                plan.wholes.append((self._number(handle.uuid, source.label), source, position))
            else:
                parts.setdefault(source.call, []).append((position, source))
        self._plan_calls(plan, handle, parts)
        if fields:
            self._plan_fields(plan, handle, fields)
        return plan

    def _plan_calls(
        self, plan: Plan, handle: Handle, parts: dict[Call | GpmCall, list[tuple[int, Part]]]
    ) -> None:
        for call, wanted in parts.items():
            number = self._number(handle.uuid, call.label)
            function, arguments, outputs = self._bind(handle, call)
            if len(wanted) == 1 and wanted[0][1].read is first_uint:
                plan.singles.append((number, function, arguments, outputs[0], wanted[0][0]))
            else:
                reads = [(position, part.read) for position, part in wanted]
                plan.groups.append((number, function, arguments, outputs, reads))

    def _plan_fields(self, plan: Plan, handle: Handle, fields: Sequence[tuple[int, Field]]) -> None:
        label = fields[0][1].label
        function = self._library.function(label) or function_not_found
        plan.batch = FieldBatch.of(function, self._number(handle.uuid, label), handle, fields)

    def _bind(self, handle: Handle, call: Call | GpmCall) -> tuple[Any, tuple[Any, ...], Outputs]:
        """Bound once per device: what GPM measures lies between two sweeps of the same binding."""
        key = (handle.uuid, f"{call.label}{id(call)}")
        if key not in self._bound:
            self._bound[key] = call.bind(self._library, handle)
        return self._bound[key]

    def _quarantined(self, device: str, label: str) -> bool:
        return (device, label) in self._quarantine or (device, EVERY_CALL) in self._quarantine

    def _number(self, device: str, label: str) -> int:
        key = (device, label)
        if key not in self._numbers:
            self._numbers[key] = self._mark.register(device, label)
        return self._numbers[key]


def _key(handle: Handle) -> tuple[str, int | None]:
    return handle.uuid, ctypes.cast(handle.pointer, ctypes.c_void_p).value


def _read_group(code: int, outputs: Outputs, parts: list[tuple[int, Any]], tape: Tape) -> None:
    if code:
        for position, _ in parts:
            tape.fail(position, status_of(code))
        return
    for position, read in parts:
        try:
            tape.put(position, read(outputs))
        except UnicodeDecodeError:
            tape.fail(position, UNDECODABLE)


def _read_whole(whole: Whole, library: Library, handle: Handle, position: int, tape: Tape) -> None:
    try:
        tape.put(position, whole.read(library, handle))
    except NvmlError as error:
        tape.fail(position, status_of(error.code))


def answers(
    sweeper: Sweeper, library: Library, handle: Handle
) -> Iterator[tuple[str, str, int, Any, int]]:
    """Every source of every reading once, alone: (reading, call, code, value, nanoseconds) as the library answers."""
    for name, sources in READERS.items():
        for source in sources:
            if sweeper.mark(handle.uuid, source.label):
                yield name, *_answer(library, handle, source)
    sweeper.idle()


def _answer(library: Library, handle: Handle, source: Source) -> tuple[str, int, Any, int]:
    tape = Tape([None], bytearray(1))
    code = OK
    start = time.monotonic_ns()
    if isinstance(source, Field):
        _record_field(library, handle, source, tape)
        label = f"{source.label}({source.number})"
    elif isinstance(source, Whole):
        _read_whole(source, library, handle, 0, tape)
        label = source.label
    else:
        function, arguments, outputs = source.call.bind(library, handle)
        start = time.monotonic_ns()
        code, label = function(*arguments), source.label
        _read_group(code, outputs, [(0, source.read)], tape)
    elapsed = time.monotonic_ns() - start
    status = UNKNOWN_ERROR if tape.statuses[0] == OTHER else tape.statuses[0]
    return label, code or status, None if status else tape.values[0], elapsed


def _record_field(library: Library, handle: Handle, source: Field, tape: Tape) -> None:
    function = library.function(source.label) or function_not_found
    FieldBatch.of(function, 0, handle, [(0, source)]).read(tape)
