"""A device's numbers taken out in one move are the numbers read one by one."""

import ctypes
from array import array
from ctypes import c_int, c_uint, c_ulonglong
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.nvml.binding import Library
from agent.nvml.calls import Field, Member
from agent.nvml.frames import NOT_SUPPORTED, OUT_OF_RANGE
from agent.nvml.plan import Arena, FieldBatch, SweepPlan, Tape, field_value

SIGNED, UINT, WIDE, FIELD, SCALED = range(5)

uints = st.integers(0, 2**32 - 1) | st.sampled_from([0, 2**32 - 1])
wides = st.integers(0, 2**53 - 1) | st.sampled_from([2**53, 2**63, 2**64 - 1, 2**32 - 1])
codes = st.sampled_from([0, 0, 0, 3, 15, 999])
kinds = st.sampled_from([1, 2, 3, 3, 5, 6, 99])


class FakeCalls:
    """Three outputs and two fields, filled as told when the calls are made."""

    def __init__(self) -> None:
        self.plan = SweepPlan(Arena())
        hold = self.plan.arena.hold
        self.outputs = (hold(c_int()), hold(c_uint()), hold(c_ulonglong()))
        parts: list[Any] = [
            (SIGNED, Member(0, signed=True)),
            (UINT, Member(1)),
            (WIDE, Member(2, divisor=10)),
        ]
        self.plan.steps = [(1, self._answer, ()), (2, self._fill, ())]
        self.plan.reads = [(1, self.outputs, parts)]
        self.plan.batch = FieldBatch.of([(FIELD, Field(7)), (SCALED, Field(8, divisor=1000))], hold)
        self.plan.batch_number = 2
        self.numbers: tuple[int, int, int] = (0, 0, 0)
        self.fields: list[tuple[int, int, int]] = []
        self.code = 0
        self.dirt = 0

    def sweep(self, *, quick: bool) -> tuple[list[int], bytes]:
        if not quick:
            self.plan.quick = None
        tape = Tape(array("q", bytes(40)), bytearray(5))
        slot = [0]
        self.plan.run(slot, Library(), None, tape)  # type: ignore[arg-type]
        return list(tape.values), bytes(tape.statuses)

    def _answer(self) -> int:
        for output, number in zip(self.outputs, self.numbers, strict=True):
            output.value = number
        return self.code

    def _fill(self) -> int:
        assert self.plan.batch is not None
        for entry, (kind, code, number) in zip(self.plan.batch.buffer, self.fields, strict=True):
            entry.valueType, entry.nvmlReturn = kind, code
            size = {1: 4, 5: 4, 6: 2}.get(kind, 8)
            ctypes.memset(ctypes.addressof(entry) + 32, self.dirt, 8)
            ctypes.memmove(ctypes.addressof(entry) + 32, number.to_bytes(8, "little"), size)
        return 0


@given(
    st.lists(
        st.tuples(st.integers(-(2**31), 2**31 - 1), uints, wides, codes, kinds, codes, kinds),
        min_size=2,
    )
)
def test_the_quick_way_and_the_long_way_agree_whatever_the_library_answers(
    answers: list[Any],
) -> None:
    quick, long = FakeCalls(), FakeCalls()
    for signed, uint, wide, code, kind, other_code, other_kind in answers:
        for calls in (quick, long):
            calls.numbers = (signed, uint, wide)
            calls.fields = [(kind, code, uint), (other_kind, other_code, wide)]
            calls.code = 0
        assert quick.sweep(quick=True) == long.sweep(quick=False)


def test_a_second_plain_sweep_takes_the_quick_way() -> None:
    calls = FakeCalls()
    calls.fields = [(1, 0, 5), (3, 0, 5999)]
    calls.sweep(quick=True)
    assert calls.plan.quick is not None
    calls.numbers = (-4, 7, 129)
    assert calls.sweep(quick=True) == ([-4, 7, 12, 5, 5], bytes(5))


@pytest.mark.parametrize("kind", [1, 6])
def test_what_a_library_leaves_beside_a_short_number_is_no_part_of_it(kind: int) -> None:
    calls = FakeCalls()
    calls.dirt = 0x5A
    calls.fields = [(kind, 0, 5), (kind, 0, 5999)]
    for _ in range(2):
        values, statuses = calls.sweep(quick=True)
        assert (values[FIELD:], statuses) == ([5, 5], bytes(5))
    assert calls.plan.quick is not None


def test_a_type_that_nvml_does_not_have_gives_no_number() -> None:
    calls = FakeCalls()
    calls.fields = [(99, 0, 5), (1, 0, 5999)]
    values, statuses = calls.sweep(quick=True)
    assert (values[FIELD:], statuses[FIELD:]) == ([0, 5], bytes([NOT_SUPPORTED, 0]))


def test_an_entry_that_the_library_leaves_alone_is_an_error_and_not_the_last_answer() -> None:
    calls = FakeCalls()
    calls.fields = [(1, 0, 5), (3, 0, 5999)]
    calls.sweep(quick=True)
    calls.plan.steps = calls.plan.steps[:1]
    values, statuses = calls.sweep(quick=True)
    assert values[FIELD:] == [0, 0]
    assert all(statuses[FIELD:])


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        (1, 2**32 - 1, None),
        (3, 2**64 - 1, None),
        (3, 12, 12),
        (5, 2**32 - 3, -3),
        (4, 2**64 - 5, -5),
        (0, int.from_bytes(b"\0\0\0\0\0\0\xf8\x7f", "little"), None),
    ],
)
def test_the_eight_bytes_of_a_field_are_read_by_their_type(
    kind: int, number: int, expected: int | None
) -> None:
    assert field_value(kind, number) == expected


def test_a_number_too_large_for_the_wire_and_a_blank_are_told_apart() -> None:
    tape = Tape(array("q", bytes(16)), bytearray(2))
    tape.put(0, 2**53)
    tape.put(1, None)
    assert tape.statuses == bytes([OUT_OF_RANGE, NOT_SUPPORTED])
    assert list(tape.values) == [0, 0]
