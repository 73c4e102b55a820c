"""How one device is read in one tier: the calls, where their answers lie in memory, and how they become readings.

The answers of a device lie in one arena. While all is as last time, its numbers are taken out in one move; whatever is
out of the ordinary (a code, a blank, another type) is read one by one, with the same result.
"""

import ctypes
import struct
from array import array
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from agent.nvml.binding import FieldValue, Handle, Library, NvmlError, Outputs
from agent.nvml.calls import Field, Member, Read, Whole
from agent.nvml.frames import NOT_SUPPORTED, OUT_OF_RANGE, UNDECODABLE, status_of

MAX_INTEGER = 2**53 - 1
BLANK_UINT = 0xFFFFFFFF
BLANKS = (BLANK_UINT, 0xFFFFFFFFFFFFFFFF)
ARENA_BYTES = 1 << 15
UNKNOWN_ERROR = 999

DOUBLE_KIND = 0
SIGNED_KINDS = {4: "<q", 5: "<i4x"}
PLAIN_KINDS = {1: "I", 2: "Q", 3: "Q", 6: "H"}
"""How much of the eight bytes is the number: what a driver leaves in the others is anybody's."""
CODES = {4: "I", 8: "Q"}
FIELD_BYTES = 40
FIELD_SIGNATURE = 24
FIELD_NUMBER = 32


@dataclass(slots=True)
class Tape:
    """One tier of all devices, device by device: a value and a status for each reading."""

    values: MutableSequence[Any]
    statuses: bytearray
    failures: list[tuple[int, int]] = field(default_factory=list)

    def fail(self, position: int, status: int) -> None:
        """Marks a reading as without a value, for a reason."""
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


class Arena:
    """Memory in which the outputs of a device's calls lie side by side."""

    def __init__(self) -> None:
        self.memory = bytearray(ARENA_BYTES)
        self.start = ctypes.addressof((ctypes.c_char * ARENA_BYTES).from_buffer(self.memory))
        self._end = 0

    def hold(self, output: Any) -> Any:
        """A copy of an output inside; the output itself once the arena is full."""
        at = (self._end + 7) // 8 * 8
        size = ctypes.sizeof(output)
        if at + size > ARENA_BYTES:
            return output
        held = type(output).from_buffer(self.memory, at)
        ctypes.memmove(ctypes.addressof(held), ctypes.addressof(output), size)
        self._end = at + size
        return held


@dataclass(slots=True)
class FieldBatch:
    """One nvmlDeviceGetFieldValues. Its buffer is cleared before each call: no old answer can pass for a new one."""

    buffer: Any
    cleared: bytes
    wanted: Sequence[tuple[int, Field]]

    @staticmethod
    def of(wanted: Sequence[tuple[int, Field]], hold: Callable[[Any], Any]) -> "FieldBatch":
        """A batch of fields, each with the position of its reading."""
        buffer = (FieldValue * len(wanted))()
        for entry, (_, source) in zip(buffer, wanted, strict=True):
            entry.fieldId, entry.scopeId, entry.nvmlReturn = (
                source.number,
                source.scope,
                UNKNOWN_ERROR,
            )
        held = hold(buffer)
        return FieldBatch(held, bytes(held), wanted)

    def arguments(self, handle: Handle) -> tuple[Any, ...]:
        """The arguments of nvmlDeviceGetFieldValues."""
        return handle.pointer, len(self.wanted), self.buffer

    def clear(self) -> None:
        """Sets every entry to `unknown error`, so that no old answer can pass for a new one."""
        ctypes.memmove(self.buffer, self.cleared, len(self.cleared))

    def read(self, code: int, tape: Tape) -> None:
        """Puts each entry's value, or why it has none, on the tape."""
        for entry, (position, source) in zip(self.buffer, self.wanted, strict=True):
            found = code or entry.nvmlReturn
            if found:
                tape.fail(position, status_of(found))
                continue
            raw = ctypes.string_at(ctypes.addressof(entry) + FIELD_NUMBER, 8)
            value = field_value(entry.valueType, int.from_bytes(raw, "little"))
            tape.put(position, None if value is None else value // source.divisor)


def field_value(kind: int, number: int) -> int | None:
    """The integer in the eight bytes of an nvmlValue_t; None for a blank (all ones), and for a type that NVML lacks."""
    raw = number.to_bytes(8, "little")
    if kind in SIGNED_KINDS:
        return int(struct.unpack(SIGNED_KINDS[kind], raw)[0])
    if kind == DOUBLE_KIND:
        value: float = struct.unpack("<d", raw)[0]
        return round(value) if abs(value) <= MAX_INTEGER else None
    if kind not in PLAIN_KINDS:
        return None
    plain = int(struct.unpack_from("<" + PLAIN_KINDS[kind], raw)[0])
    return None if plain in BLANKS else plain


@dataclass(slots=True)
class SweepPlan:
    """`steps` are made in order, `reads` say what they answered; `fixed` is known without asking."""

    arena: Arena
    steps: list[tuple[int, Any, tuple[Any, ...]]] = field(default_factory=list)
    reads: list[tuple[int, Outputs, list[tuple[int, Read]]]] = field(default_factory=list)
    batch: FieldBatch | None = None
    batch_number: int = 0
    wholes: list[tuple[int, Whole, int]] = field(default_factory=list)
    fixed: list[tuple[int, int]] = field(default_factory=list)
    quick: "QuickMove | None" = None

    def run(self, slot: Any, library: Library, handle: Handle, tape: Tape) -> None:
        """Make every call, and write what it answered to the tape."""
        failed: dict[int, int] = {}
        if self.batch is not None:
            self.batch.clear()
        for number, function, arguments in self.steps:
            slot[0] = number
            code = function(*arguments)
            if code:
                failed[number] = code
        for position, status in self.fixed:
            tape.statuses[position] = status
        if failed or self.quick is None or not self.quick.move(tape.values):
            self._read(failed, tape)
            self.quick = None if failed else QuickMove.of(self, tape)
        for number, whole, position in self.wholes:
            slot[0] = number
            read_whole(whole, library, handle, position, tape)

    def _read(self, failed: dict[int, int], tape: Tape) -> None:
        for number, outputs, parts in self.reads:
            read_parts(failed.get(number, 0), outputs, parts, tape)
        if self.batch is not None:
            self.batch.read(failed.get(self.batch_number, 0), tape)


@dataclass(frozen=True, slots=True)
class Number:
    """Where a number lies in the arena, and where it goes."""

    at: int
    code: str
    position: int
    divisor: int


@dataclass(frozen=True, slots=True)
class QuickMove:
    """All numbers of a device in one move, as long as none is a blank and the fields are of the types they were."""

    memory: bytearray
    numbers: struct.Struct
    numbers_at: int
    signatures: struct.Struct
    signatures_at: int
    expected: tuple[int, ...]
    pick: Callable[[tuple[int, ...]], tuple[int, ...]]
    divisors: tuple[tuple[int, int], ...]
    target: slice

    @staticmethod
    def of(plan: SweepPlan, tape: Tape) -> "QuickMove | None":
        """None where the plan, or what it just answered, is not made of plain numbers alone."""
        fields, fields_at, expected = _signatures(plan)
        if any(signature >> 32 or signature not in PLAIN_KINDS for signature in expected):
            return None
        found = _numbers(plan, expected)
        if found is None or len(found) < 2 or not isinstance(tape.values, array):
            return None
        first, last = min(item.position for item in found), max(item.position for item in found)
        order = sorted(found, key=lambda item: item.at)
        index = {item.position: place for place, item in enumerate(order)}
        divisors = ((item.position - first, item.divisor) for item in order if item.divisor > 1)
        return QuickMove(
            memory=plan.arena.memory,
            numbers=_packed(order),
            numbers_at=order[0].at,
            signatures=fields,
            signatures_at=fields_at,
            expected=expected,
            pick=itemgetter(
                *(index.get(position, len(order)) for position in range(first, last + 1))
            ),
            divisors=tuple(divisors),
            target=slice(first, last + 1),
        )

    def move(self, values: MutableSequence[Any]) -> bool:
        """Copies all numbers. Returns False and copies none if one is a blank or of another type than before."""
        numbers = self.numbers.unpack_from(self.memory, self.numbers_at)
        if max(numbers) > MAX_INTEGER or BLANK_UINT in numbers:
            return False
        if self.signatures.unpack_from(self.memory, self.signatures_at) != self.expected:
            return False
        line = array("q", self.pick((*numbers, 0)))
        for index, divisor in self.divisors:
            line[index] //= divisor
        values[self.target] = line
        return True


def _numbers(plan: SweepPlan, kinds: Sequence[int]) -> list[Number] | None:
    """Every number of the plan, None if one is no plain number or lies outside the arena. `kinds`: of its fields."""
    found: list[Number] = []
    for _, outputs, parts in plan.reads:
        for position, read in parts:
            if not isinstance(read, Member):
                return None
            address, size = read.place(outputs)
            if size not in CODES:
                return None
            code = CODES[size].lower() if read.signed else CODES[size]
            found.append(Number(address - plan.arena.start, code, position, read.divisor))
    if plan.batch is not None:
        start = ctypes.addressof(plan.batch.buffer) - plan.arena.start + FIELD_NUMBER
        for place, (position, source) in enumerate(plan.batch.wanted):
            code = PLAIN_KINDS[kinds[place]]
            found.append(Number(start + place * FIELD_BYTES, code, position, source.divisor))
    inside = all(0 <= item.at <= ARENA_BYTES - 8 for item in found)
    return found if inside and not plan.wholes else None


def _signatures(plan: SweepPlan) -> tuple[struct.Struct, int, tuple[int, ...]]:
    """How the (type, code) pairs of the fields are read, from where, and what they are now."""
    if plan.batch is None:
        return struct.Struct(""), 0, ()
    packed = struct.Struct("<" + "Q32x" * (len(plan.batch.wanted) - 1) + "Q")
    at = ctypes.addressof(plan.batch.buffer) - plan.arena.start + FIELD_SIGNATURE
    return packed, at, packed.unpack_from(plan.arena.memory, at)


def _packed(order: Iterable[Number]) -> struct.Struct:
    """One structure over all the numbers, with padding between them."""
    text, end = "<", None
    for item in order:
        text += f"{item.at - end}x" if end is not None and item.at > end else ""
        text += item.code
        end = item.at + struct.calcsize(item.code)
    return struct.Struct(text)


def read_parts(code: int, outputs: Outputs, parts: Iterable[tuple[int, Read]], tape: Tape) -> None:
    """The readings of one call that answered with `code`."""
    for position, read in parts:
        if code:
            tape.fail(position, status_of(code))
            continue
        try:
            tape.put(position, read(outputs))
        except UnicodeDecodeError:
            tape.fail(position, UNDECODABLE)
        except NvmlError as error:
            tape.fail(position, status_of(error.code))


def read_whole(whole: Whole, library: Library, handle: Handle, position: int, tape: Tape) -> None:
    """A reading that makes its own calls."""
    try:
        tape.put(position, whole.read(library, handle))
    except NvmlError as error:
        tape.fail(position, status_of(error.code))
