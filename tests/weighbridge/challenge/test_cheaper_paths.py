"""What else multiplies the operands exactly: a bound is a rate of exact products on whatever path, and names no card.

Each path is carried out with integers of the width that its hardware has, and refused where a number does not fit.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from weighbridge.catalogue.tables import sku, skus
from weighbridge.challenge.arithmetic import rows_of_a, rows_of_b
from weighbridge.challenge.ceiling import ceiling_flops_per_second
from weighbridge.challenge.links import Row
from weighbridge.challenge.policy import PolicyError
from weighbridge.challenge.profiles import PROFILES
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason
from weighbridge.challenge.work import require_work

N = 256
Matrix = np.ndarray[Any, np.dtype[np.int64]]
Product = Callable[[Matrix, Matrix], Matrix]
F16_EXACT = 2048
"""Up to here every integer is a float16."""
F32_EXACT = 1 << 24


def operands(name: str) -> tuple[Matrix, Matrix]:
    """Whole matrices of a profile, as the keystream makes them."""
    profile = PROFILES[name]
    rows = [Row(bytes(32), row) for row in range(N)]
    a, b = rows_of_a(profile, N, rows, 0, N), rows_of_b(profile, N, bytes(32), 0, N)
    return a.astype(np.int64), b.astype(np.int64)


def integers(low: int, high: int) -> Product:
    """A path whose left operand is an integer in that range, and whose right one is an int8; it sums in 32 bits."""

    def multiply(a: Matrix, b: Matrix) -> Matrix:
        if a.min() < low or a.max() > high or b.min() < -128 or b.max() > 127:
            raise OverflowError(f"no integers from {low} to {high}")
        return a @ b

    return multiply


INT8, UINT4 = integers(-128, 127), integers(0, 15)


def halves(a: Matrix, b: Matrix) -> Matrix:
    """fp16 into fp32: exact while operands are float16 and sums stay below 2^24."""
    if max(abs(a).max(), abs(b).max()) > F16_EXACT:
        raise OverflowError("no float16")
    product = a @ b
    if abs(product).max() >= F32_EXACT:
        raise OverflowError("no float32")
    return product


def sliced(bits: int, high: Product, low: Product) -> Product:
    """A = 2^bits h + l: two products of narrower operands."""

    def multiply(a: Matrix, b: Matrix) -> Matrix:
        h = a >> bits
        return (high(h, b) << bits) + low(a - (h << bits), b)

    return multiply


def strassen(multiply: Product, levels: int) -> Product:
    """Seven products of half the size in the place of eight, `levels` deep."""
    if levels == 0:
        return multiply
    deeper = strassen(multiply, levels - 1)

    def product(a: Matrix, b: Matrix) -> Matrix:
        h = len(a) // 2
        (a1, a2), (a3, a4) = (a[:h, :h], a[:h, h:]), (a[h:, :h], a[h:, h:])
        (b1, b2), (b3, b4) = (b[:h, :h], b[:h, h:]), (b[h:, :h], b[h:, h:])
        p = deeper(a1 + a4, b1 + b4)
        q, r = deeper(a3 + a4, b1), deeper(a1, b2 - b4)
        s, t = deeper(a4, b3 - b1), deeper(a1 + a2, b4)
        u, v = deeper(a3 - a1, b1 + b2), deeper(a2 - a4, b3 + b4)
        return np.block([[p + s - t + v, r + t], [q + s, p - q + r + u]])

    return product


CARRIED = {
    "fp16": halves,
    "two slices of int8": sliced(4, INT8, INT8),
    "int8 and int4": sliced(4, INT8, UINT4),
    "two slices of int8 under two levels of Strassen": strassen(sliced(7, INT8, INT8), 2),
}


@pytest.mark.parametrize("path", CARRIED)
def test_cheaper_paths_carry_the_f16_profile_exactly(path: str) -> None:
    a, b = operands("f16")
    assert np.array_equal(CARRIED[path](a, b), a @ b)


@pytest.mark.parametrize(
    ("profile", "path"),
    [
        ("f16", INT8),
        ("f16", sliced(4, UINT4, UINT4)),
        ("f16", strassen(halves, 1)),
        ("f16", strassen(sliced(7, INT8, INT8), 4)),
        ("i8", strassen(INT8, 1)),
    ],
)
def test_what_does_not_fit_is_no_path(profile: str, path: Product) -> None:
    a, b = operands(profile)
    with pytest.raises(OverflowError):
        path(a, b)


@pytest.mark.parametrize(
    ("card", "profile", "path"),
    [
        ("H100-SXM-80GB", "f16", Fraction(1979, 2)),
        ("A100-SXM4-80GB", "f16", 1 / (Fraction(1, 624) + Fraction(1, 1248))),
        ("RTX4090-24GB", "f16", 1 / (Fraction(1, 661) + Fraction(1, 1321))),
    ],
)
def test_the_ceiling_of_f16_is_the_fastest_path_that_carries_it(
    card: str, profile: str, path: Fraction
) -> None:
    row = sku(card)
    assert row is not None
    expected = path * Fraction(64, 49) * Fraction(11, 10) * 10**12
    assert ceiling_flops_per_second(row, profile) == int(expected)


def test_a_cheaper_card_on_a_cheaper_path_makes_the_products_of_a_dearer_one() -> None:
    """So a rate of exact products names no class. The second profile and bytes a second tell the two apart."""
    cheap, dear = sku("RTX4090-24GB"), sku("A100-SXM4-80GB")
    assert cheap is not None
    assert dear is not None
    honest = (dear.dense_f16_teraops or 0) * 10**12
    assert (ceiling_flops_per_second(cheap, "f16") or 0) > honest
    assert (cheap.memory_bus_width_bits or 0) < (dear.memory_bus_width_bits or 0) // 8


def test_a_card_whose_row_has_no_rates_has_no_ceiling() -> None:
    without = [row for row in skus().values() if row.dense_i8_teraops is None]
    assert without
    assert [ceiling_flops_per_second(row, "f16") for row in without] == [None] * len(without)


def test_products_faster_than_a_card_of_the_class_are_no_cards(bench: Any) -> None:
    """Four cards answer for one: each sample is right, and the bound is no card's."""
    policy = bench.policy(samples=64, rounds=4, ceiling_flops_per_second=500_000_000)
    alone, _ = bench.run(bench.plan(policy))
    four, _ = bench.run(bench.plan(policy), devices=[bench.Device(round_ns=2_500_000)])
    assert alone.verdict is ChallengeVerdict.MET
    assert four.gpus[0].wrong_samples == 0
    assert (four.verdict, four.reason) == (ChallengeVerdict.UNKNOWN, VerdictReason.ABOVE_CEILING)


def test_a_rate_at_the_ceiling_is_a_cards_own(bench: Any) -> None:
    policy = bench.policy(samples=64, rounds=4)
    free, _ = bench.run(bench.plan(policy))
    rate = free.gpus[0].measure.flops_per_second
    at, one_below = (
        bench.run(bench.plan(bench.policy(samples=64, rounds=4, ceiling_flops_per_second=most)))[0]
        for most in (rate, rate - 1)
    )
    assert at.gpus[0].measure == one_below.gpus[0].measure == free.gpus[0].measure
    assert at.verdict is ChallengeVerdict.MET
    assert one_below.reason is VerdictReason.ABOVE_CEILING


def test_work_of_ten_seconds_or_three_allowances_is_enough_and_less_is_none(bench: Any) -> None:
    rate = 2 * 128**3
    enough = {"rounds": 10, "required_flops_per_second": rate}
    require_work(bench.policy(**enough, stall_allowance_ms=3_333))
    require_work(bench.policy(rounds=12, required_flops_per_second=rate, stall_allowance_ms=4_000))
    for short in (
        enough | {"rounds": 9},
        enough | {"stall_allowance_ms": 3_334},
        enough | {"required_flops_per_second": rate + 1},
    ):
        with pytest.raises(PolicyError, match="ms are needed"):
            require_work(bench.policy(**short))
