"""NVLinks: how many a card has, the state of each, and what their counters of errors come to."""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from ctypes import byref, c_uint, c_ulonglong
from dataclasses import dataclass
from typing import Any

from agent.nvml.binding import (
    DEPRECATED,
    INVALID_ARGUMENT,
    UNKNOWN,
    FieldValue,
    Handle,
    Hold,
    Library,
    NvmlError,
    Outputs,
)
from agent.nvml.frames import (
    FUNCTION_NOT_FOUND,
    GPU_IS_LOST,
    LIFE_CYCLE,
    NOT_SUPPORTED,
    RESET_REQUIRED,
)

MOST_LINKS = 36
LINK_COUNT, LINK_STATE = 91, 165


class LinkTotals(ctypes.Structure):
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


def link_version(library: Library, handle: Handle) -> int:
    """Of the first NVLink that tells."""
    version = c_uint()
    for link in range(_links(library, handle)):
        code = library.call("nvmlDeviceGetNvLinkVersion", handle.pointer, link, byref(version))
        if code == 0:
            return version.value
        if code not in _NO_LINK:
            raise NvmlError(code)
    raise NvmlError(NOT_SUPPORTED)
