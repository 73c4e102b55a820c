import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from weighbridge.challenge import arithmetic
from weighbridge.challenge.keystream import draw_indices, keystream
from weighbridge.challenge.links import Row
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.profiles import F16, I8, PROFILES, SMALLEST_EXPONENT, size_is_exact

CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""

KEY, KEY_OF_B = b"a" * 32, b"b" * 32
keys = st.binary(min_size=32, max_size=32)


def whole(profile: Any, size: Any) -> Any:
    rows = [Row(KEY, row) for row in range(size)]
    left = arithmetic.rows_of_a(profile, size, rows, 0, size)
    return left, arithmetic.rows_of_b(profile, size, KEY_OF_B, 0, size)


def exact_product(left: Any, right: Any) -> Any:
    """Of integers, in float64: exact, since no sum reaches 2^53, and multiplied on the fast path."""
    return np.rint(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)


def test_the_keystream_is_chacha20_of_rfc_8439() -> None:
    """RFC 8439, appendix A.1, test vectors 1 (block 0) and 2 (block 1) of the zero key."""
    first = bytes.fromhex("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    second = bytes.fromhex("9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed")
    assert keystream(bytes(32), 0, 32) == first
    assert keystream(bytes(32), 64, 32) == second


@settings(CALM)
@given(keys, st.integers(0, 1 << 20), st.integers(1, 200))
def test_any_part_of_the_keystream_can_be_made_alone(key: Any, block: Any, length: Any) -> None:
    assert keystream(key, 64 * block, 64 + length)[64:] == keystream(key, 64 * (block + 1), length)


@settings(CALM)
@given(keys, st.integers(1, 50), st.integers(1, 1 << 40))
def test_drawn_indices_are_in_range_and_repeatable(key: Any, count: Any, below: Any) -> None:
    drawn = draw_indices(key, count, below)
    assert len(drawn) == count
    assert all(0 <= index < below for index in drawn)
    assert drawn[: count - 1] == draw_indices(key, count - 1, below)


def test_drawn_indices_are_even_where_the_range_does_not_divide_a_word() -> None:
    drawn = draw_indices(KEY, 3_000, 3 << 62)
    assert 900 < sum(index < 1 << 62 for index in drawn) < 1100


def test_drawn_indices_are_even() -> None:
    counts = np.bincount(draw_indices(KEY, 30_000, 30), minlength=30)
    assert abs(counts - 1000).max() < 5 * 31


@pytest.mark.parametrize("profile", PROFILES.values())
def test_operands_have_the_range_and_the_mean_square_that_the_bound_assumes(profile: Any) -> None:
    left, right = whole(profile, 1024)
    assert abs(left).max() == profile.largest_a
    assert abs(right).max() == profile.largest_b
    assert abs(float((left**2).mean()) / float(profile.mean_square_a) - 1) < 0.01
    assert abs(float((right**2).mean()) / float(profile.mean_square_b) - 1) < 0.01


def test_f16_operands_survive_fp16() -> None:
    left, right = whole(F16, 256)
    for operand in (left, right):
        assert np.array_equal(operand.astype(np.float16).astype(np.float32), operand)


@pytest.mark.parametrize("profile", PROFILES.values())
@pytest.mark.parametrize("size", [128, 640, 1024])
def test_every_entry_equals_the_64_bit_integer_product(profile: Any, size: Any) -> None:
    left, right = whole(profile, size)
    exact = exact_product(left, right)
    rows = arithmetic.product_rows(profile, size, KEY_OF_B, [Row(KEY, row) for row in range(size)])
    assert np.array_equal(np.stack(list(rows)), exact)
    assert np.array_equal((left @ right).astype(np.int64), exact)


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES.values())
def test_rows_of_the_largest_size_equal_the_64_bit_integer_product(profile: Any) -> None:
    """In every 31st column, the first and the last among them; smaller products are compared whole."""
    size, rows = 32768, [Row(KEY, 0), Row(KEY, 32767)]
    left = arithmetic.rows_of_a(profile, size, rows, 0, size)
    exact = np.zeros((2, 1058), dtype=np.int64)
    for first in range(0, size, 512):
        right = arithmetic.rows_of_b(profile, size, KEY_OF_B, first, 512)
        exact += exact_product(left[:, first : first + 512], right[:, ::31])
    found = np.stack(list(arithmetic.product_rows(profile, size, KEY_OF_B, rows)))
    assert found.shape == (2, size)
    assert np.array_equal(found[:, ::31], exact)


def test_batches_do_not_change_a_row(monkeypatch: Any) -> None:
    rows = [Row(KEY, row) for row in (0, 5, 127, 5)]
    together = np.stack(list(arithmetic.product_rows(I8, 128, KEY_OF_B, rows)))
    monkeypatch.setattr(arithmetic, "BATCH_BYTES", 1)
    assert np.array_equal(
        np.stack(list(arithmetic.product_rows(I8, 128, KEY_OF_B, rows))), together
    )


def test_sizes_are_allowed_only_where_sums_are_exact() -> None:
    for profile in PROFILES.values():
        assert profile.exactness_exponent(32768) >= SMALLEST_EXPONENT
        allowed = [size for size in range(0, 70_000, 64) if size_is_exact(profile, size)]
        assert allowed == list(range(128, 32769, 128))
    for size in (0, 100, 192, 32896, 65536):
        with pytest.raises(ValueError, match="size"):
            Policy(profile="f16", size=size, rounds=1, samples=1)


def test_the_exactness_bound_is_bernsteins() -> None:
    assert 240 < F16.exactness_exponent(16384) < 243
    assert 130 < F16.exactness_exponent(32768) < 132


@settings(CALM)
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=128, max_size=128), keys)
def test_the_row_digest_is_the_sum_of_mixed_words(entries: Any, key: Any) -> None:
    def mix(word: Any) -> Any:
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = (word ^ word >> shift) * factor % 2**64
        return word ^ word >> 31

    columns = [int(column) for column in arithmetic.column_keys(key, 128)]
    expected = (
        sum(mix(entry % 2**32 ^ column) for entry, column in zip(entries, columns, strict=True))
        % 2**64
    )
    row = np.array(entries, dtype=np.int32)
    assert arithmetic.row_digest(row, arithmetic.column_keys(key, 128)) == expected


@given(st.binary(min_size=8 * 128 * 2, max_size=8 * 128 * 2), keys)
@settings(CALM, max_examples=25)
def test_the_block_digest_is_the_sum_of_folded_words(block: Any, key: Any) -> None:
    words = [int.from_bytes(block[at : at + 8], "little") for at in range(0, len(block), 8)]
    columns = [int(column) for column in arithmetic.block_keys(key, 128)]
    folded = [
        (word ^ column) * 0x9E3779B97F4A7C15 % 2**64
        for word, column in zip(words, columns, strict=True)
    ]
    expected = sum(value ^ value >> 32 for value in folded) % 2**64
    assert int(arithmetic.block_digests(block, arithmetic.block_keys(key, 128))[0]) == expected


@pytest.mark.parametrize("profile", PROFILES.values())
def test_the_vector_check_is_exact_at_the_largest_operands(profile: Any) -> None:
    size = 384
    right = arithmetic.vector(KEY, size)
    assert abs(right).max() < 1 << 30
    left, b = whole(profile, size)
    big = [int(value) for value in right]
    image = arithmetic.b_times_vector(profile, size, KEY_OF_B, right)
    for row in (0, size - 1):
        exact = sum(int(b[row, column]) * big[column] for column in range(size)) % arithmetic.PRIME
        assert int(image[row]) % arithmetic.PRIME == exact
    product = (left @ b).astype(np.int32)
    for row in (0, 17):
        expected = (
            sum(int(product[row, column]) * big[column] for column in range(size))
            % arithmetic.PRIME
        )
        assert arithmetic.c_times_vector(product[row], right) == expected
        assert arithmetic.a_times_vector(profile, size, Row(KEY, row), image) == expected


def test_a_row_with_the_largest_entries_does_not_overflow_the_vector_check() -> None:
    row = np.full(32768, -(2**31), dtype=np.int32)
    right = np.full(32768, (1 << 30) - 1, dtype=np.int64)
    exact = -(2**31) * ((1 << 30) - 1) * 32768 % arithmetic.PRIME
    assert arithmetic.c_times_vector(row, right) == exact


WITHOUT_NUMPY = """
import sys
sys.modules["numpy"] = None
from weighbridge.challenge.judgement import verify_transcript
import weighbridge.challenge.challenger, weighbridge.challenge.prover
result = verify_transcript(sys.stdin.buffer.read())
print(result.verdict, "|", result.reason)
"""


def test_without_numpy_the_answer_is_unknown_and_names_the_extra(bench: Any) -> None:
    _, challenger = bench.run(bench.plan(bench.policy()))
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMPY],
        input=challenger.transcript().encode(),
        capture_output=True,
        timeout=300,
    )
    assert done.stdout.decode().strip() == (
        "unknown | verification needs numpy: install weighbridge[challenge]"
    ), done.stderr


PEAK_MEMORY = """
import sys
from pathlib import Path
from weighbridge.challenge import arithmetic
from weighbridge.challenge.links import Row
from weighbridge.challenge.profiles import PROFILES

name, size, rows, slabs = sys.argv[1], *map(int, sys.argv[2:])
rows_of_b, given = arithmetic.rows_of_b, []

class EnoughError(Exception):
    pass

def first_rows_of_b(*place):
    if len(given) == slabs:
        raise EnoughError
    given.append(place)
    return rows_of_b(*place)

arithmetic.rows_of_b = first_rows_of_b
try:
    for row in arithmetic.product_rows(PROFILES[name], size, b"b" * 32, [Row(b"a" * 32, row) for row in range(rows)]):
        pass
except EnoughError:
    pass
assert len(given) == slabs, given
lines = Path("/proc/self/status").read_text().splitlines()
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("size", "rows", "slabs"), [(32768, 320, 6), (512, 60_000, 4)])
def test_the_verifier_stays_below_256_megabytes_whatever_the_size_and_the_number_of_rows(
    profile: str, size: int, rows: int, slabs: int
) -> None:
    """The largest B to its sixth slab, as six that were kept would pass the bound; four batches of small rows."""
    command = [sys.executable, "-c", PEAK_MEMORY, profile, *map(str, (size, rows, slabs))]
    threads = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(command, env=threads, capture_output=True, timeout=300)
    assert int(done.stdout) * 1024 < 256_000_000, done.stderr
