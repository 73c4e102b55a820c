"""Reads every device once per sweep, by plans made from `agent.nvml.readers.sources_of`. Runs in the child process.

Before each call its number is written to the shared mark, so that the parent can name a call that never answers. What a
card does not support is remembered per device and reading, and asked again each hour.
"""

import ctypes
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence
from typing import Any

from agent.nvml.binding import INVALID_ARGUMENT, Handle, Library, Outputs
from agent.nvml.calls import (
    AnyCall,
    CallPart,
    Field,
    GpmCall,
    Read,
    Source,
    Whole,
    function_not_found,
)
from agent.nvml.frames import (
    ANY_DEVICE,
    EVENTS,
    EVERY_CALL,
    FUNCTION_NOT_FOUND,
    GPM_APART_SECONDS,
    GPU_IS_LOST,
    NOT_READY,
    NOT_SUPPORTED,
    OK,
    OTHER,
    QUARANTINED,
    RESET_REQUIRED,
    Mark,
    rows,
)
from agent.nvml.plan import (
    UNKNOWN_ERROR,
    Arena,
    FieldBatch,
    SweepPlan,
    Tape,
    read_parts,
    read_whole,
)
from agent.nvml.readers import READERS, sources_of
from weighbridge.catalogue.readings import Reading, Scope, Tier

Bound = tuple[Callable[..., int], tuple[Any, ...], Outputs]
Measured = tuple[int, Outputs, int]

PROBE_AGAIN_SECONDS = 3600
UNSUPPORTED = frozenset({INVALID_ARGUMENT, NOT_SUPPORTED, FUNCTION_NOT_FOUND, 25, 26})
GONE = (GPU_IS_LOST, RESET_REQUIRED)


class Sweeper:
    """The devices of one child. `quarantine`: calls that ended an earlier one, by UUID (or ANY_DEVICE) and label (or
    EVERY_CALL)."""

    def __init__(
        self,
        library: Library,
        mark: Mark,
        quarantine: Iterable[tuple[str, str]],
        probe_seconds: float = PROBE_AGAIN_SECONDS,
    ) -> None:
        self.handles: list[Handle] = []
        self.sources = READERS
        self._library = library
        self._mark = mark
        self._quarantine = frozenset(quarantine)
        self._choice: dict[tuple[str, str], int] = {}
        self._plans: dict[tuple[str, Tier], SweepPlan] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._bound: dict[tuple[str, AnyCall], Bound] = {}
        self._arenas: dict[str, Arena] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._probed = time.monotonic()
        self._probe_seconds = probe_seconds

    def replace(self, handles: list[Handle]) -> None:
        """Take over a new enumeration; plans of unchanged handles stay."""
        if [_key(handle) for handle in handles] != [_key(handle) for handle in self.handles]:
            self._plans.clear()
            self._bound.clear()
            self._arenas.clear()
            self.handles = handles

    def number_fields(self, driver: str) -> None:
        """Ask for fields by the numbers that this release of the driver has. To be said before the first sweep."""
        self.sources = sources_of(driver)

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

    def waits(self, *labels: str) -> dict[str, int]:
        """The numbers by which those ways to wait for events are marked that are not quarantined."""
        return {
            label: self._number(EVENTS, label)
            for label in labels
            if not self._quarantined(EVENTS, label)
        }

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

    def _run(self, plan: SweepPlan, handle: Handle, tape: Tape) -> None:
        plan.run(self._mark.slot, self._library, handle, tape)

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
        """Remember that a source is not supported. True if the reading has another, or is known to be unsupported."""
        key = (handle.uuid, row.name)
        source = self._source(handle, row)
        if status not in UNSUPPORTED or source is None:
            return False
        index = self._choice.get(key, 0) + 1
        if (
            index >= len(self.sources[row.name])
            and status == INVALID_ARGUMENT
            and not isinstance(source, Field)
        ):
            return False
        self._choice[key] = index
        self._refused[key] = NOT_SUPPORTED if status == INVALID_ARGUMENT else status
        return True

    def _forget_refusals(self) -> None:
        if time.monotonic() - self._probed >= self._probe_seconds:
            self._probed = time.monotonic()
            self._choice.clear()
            self._refused.clear()
            self._plans.clear()
            self._arenas.clear()
            self._bound = {
                key: bound for key, bound in self._bound.items() if isinstance(key[1], GpmCall)
            }

    def _source(self, handle: Handle, row: Reading) -> Source | None:
        """The source in use; None where there is none left, or none at all on a device of this kind."""
        if row.scope is (Scope.MIG if handle.parent is None else Scope.GPU):
            return None
        sources = self.sources[row.name]
        index = self._choice.get((handle.uuid, row.name), 0)
        return sources[index] if index < len(sources) else None

    def _plan(
        self, handle: Handle, wanted: Iterable[Reading], layout: Sequence[Reading], base: int
    ) -> SweepPlan:
        plan = SweepPlan(self._arena(handle))
        fields: list[tuple[int, Field]] = []
        parts: dict[AnyCall, list[tuple[int, Read]]] = {}
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
                parts.setdefault(source.call, []).append((position, source.read))
        self._plan_calls(plan, handle, parts)
        if fields:
            self._plan_fields(plan, handle, fields)
        return plan

    def _plan_calls(
        self, plan: SweepPlan, handle: Handle, parts: dict[AnyCall, list[tuple[int, Read]]]
    ) -> None:
        for call, reads in parts.items():
            number = self._number(handle.uuid, call.label)
            function, arguments, outputs = self._bind(handle, call)
            plan.steps.append((number, function, arguments))
            plan.reads.append((number, outputs, reads))

    def _plan_fields(
        self, plan: SweepPlan, handle: Handle, fields: Sequence[tuple[int, Field]]
    ) -> None:
        label = fields[0][1].label
        plan.batch = FieldBatch.of(fields, plan.arena.hold)
        plan.batch_number = self._number(handle.uuid, label)
        function = self._library.function(label) or function_not_found
        plan.steps.append((plan.batch_number, function, plan.batch.arguments(handle)))

    def _arena(self, handle: Handle) -> Arena:
        return self._arenas.setdefault(handle.uuid, Arena())

    def _bind(self, handle: Handle, call: AnyCall) -> Bound:
        """Bound once per device: what GPM measures lies between two sweeps of the same binding."""
        key = (handle.uuid, call)
        if key not in self._bound:
            hold = itself if isinstance(call, GpmCall) else self._arena(handle).hold
            self._bound[key] = call.bind(self._library, handle, hold)
        return self._bound[key]

    def _quarantined(self, device: str, label: str) -> bool:
        kept = ((device, label), (device, EVERY_CALL), (ANY_DEVICE, label))
        return not self._quarantine.isdisjoint(kept)

    def _number(self, device: str, label: str) -> int:
        key = (device, label)
        if key not in self._numbers:
            self._numbers[key] = self._mark.register(device, label)
        return self._numbers[key]


def itself(output: Any) -> Any:
    """Outputs that live on their own."""
    return output


def _key(handle: Handle) -> tuple[str, int | None]:
    return handle.uuid, ctypes.cast(handle.pointer, ctypes.c_void_p).value


def answers(
    sweeper: Sweeper, library: Library, handle: Handle
) -> Iterator[tuple[str, str, int, Any, int]]:
    """Every source of every reading once, alone: (reading, call, code, value, nanoseconds) as the library answers.

    The metrics of GPM are measured together, between two looks.
    """
    measured: dict[GpmCall, Measured] = {}
    for name, sources in sweeper.sources.items():
        for source in sources:
            if not sweeper.mark(handle.uuid, source.label):
                continue
            if isinstance(source, CallPart) and isinstance(source.call, GpmCall):
                if source.call not in measured:
                    measured[source.call] = _measure(library, handle, source.call)
                yield name, *_read(source, *measured[source.call])
            else:
                yield name, *_answer(library, handle, source)
    sweeper.idle()


def _measure(library: Library, handle: Handle, call: GpmCall) -> Measured:
    function, arguments, outputs = call.bind(library, handle, itself)
    code, elapsed = _timed(function, arguments)
    if code == NOT_READY:
        time.sleep(GPM_APART_SECONDS)
        code, elapsed = _timed(function, arguments)
    return code, outputs, elapsed


def _timed(function: Callable[..., int], arguments: tuple[Any, ...]) -> tuple[int, int]:
    start = time.monotonic_ns()
    code = function(*arguments)
    return code, time.monotonic_ns() - start


def _read(source: CallPart, code: int, outputs: Outputs, elapsed: int) -> tuple[str, int, Any, int]:
    tape = Tape([None], bytearray(1))
    read_parts(code, outputs, [(0, source.read)], tape)
    return source.label, *_told(code, tape), elapsed


def _told(code: int, tape: Tape) -> tuple[int, Any]:
    """(code, value) of one answer; a blank has the code by which it is no value."""
    status = UNKNOWN_ERROR if tape.statuses[0] == OTHER else tape.statuses[0]
    return code or status, None if status else tape.values[0]


def _answer(library: Library, handle: Handle, source: Source) -> tuple[str, int, Any, int]:
    if isinstance(source, CallPart):
        function, arguments, outputs = source.call.bind(library, handle, itself)
        code, elapsed = _timed(function, arguments)
        return _read(source, code, outputs, elapsed)
    tape = Tape([None], bytearray(1))
    label = source.label
    start = time.monotonic_ns()
    if isinstance(source, Whole):
        read_whole(source, library, handle, 0, tape)
    else:
        label = f"{source.label}({source.number})"
        batch = FieldBatch.of([(0, source)], itself)
        function = library.function(source.label) or function_not_found
        start = time.monotonic_ns()
        batch.read(function(*batch.arguments(handle)), tape)
    elapsed = time.monotonic_ns() - start
    return label, *_told(OK, tape), elapsed
