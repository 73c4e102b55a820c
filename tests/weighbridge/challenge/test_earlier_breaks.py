"""Breaks of earlier proof-of-GPU designs. Each attack succeeds against the design it breaks, and fails against ours.

The broken verifiers are the least that shows the break. Where ours becomes the broken one by a single change, the
very same dishonest prover is run against both: it is met by the one, and fails the other.
"""

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agent.probe.cpu import CpuEngine
from tests.weighbridge.challenge.test_cheats import LinearDigest
from weighbridge.challenge import arithmetic, verifier
from weighbridge.challenge.commitment import BadOpening, commit, open_leaf, opened_leaf
from weighbridge.challenge.derivation import b_key, vector_key
from weighbridge.challenge.keystream import keystream
from weighbridge.challenge.links import Row
from weighbridge.challenge.messages import Roots
from weighbridge.challenge.profiles import F16, Profile
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.samples import Committed, Sample
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason
from weighbridge.challenge.verifier import sample_verdicts

TOLERANCE = 5e-4


def close(claimed: Any, expected: Any) -> Any:
    return bool(np.all(np.abs(claimed - expected) <= TOLERANCE * np.abs(expected)))


# Unbound Freivalds: the vector C·r and the opened rows are checked, but never against each other.


def unbound_freivalds_passes(
    left: Any, right: Any, vector: Any, claimed: Any, committed_rows: Any, opened: Any
) -> Any:
    """The broken verifier: `claimed` is compared with A(Br), the opened rows with the committed ones."""
    rows_hold = all(np.array_equal(committed_rows[row], left[row] @ right) for row in opened)
    return rows_hold and bool(np.array_equal(claimed, left @ (right @ vector)))


def test_unbound_freivalds_passes_a_prover_that_skips_rows() -> None:
    size, trials, passed = 64, 400, 0
    random = np.random.default_rng(0)
    left, right = random.integers(-8, 8, (2, size, size))
    rows = left @ right
    for _ in range(trials):
        vector = random.integers(0, 1 << 20, size)
        forged = rows.copy()
        forged[random.permutation(size)[:3]] = 0
        answer = left @ (right @ vector)
        opened = random.integers(0, size, 10)
        passed += unbound_freivalds_passes(left, right, vector, answer, forged, opened)
    expected = trials * (1 - 3 / size) ** 10
    assert abs(passed - expected) <= 4 * (expected * (1 - passed / trials)) ** 0.5


class AnswersTheVector(CpuEngine):
    """Never multiplies matrices: commits to nothing in particular, and opens rows made to fit the vector."""

    known: dict[str, Any]

    def round(self, key: Any, keep: Any) -> Any:  # noqa: ARG002
        return bytes(32 * self._prepared().size)

    def row(self, key: Any, index: Any) -> Any:
        policy, state = self._prepared(), self.known
        left = arithmetic.a_times_vector(
            policy.operands, policy.size, Row(key, index), state["image"]
        )
        row = np.zeros(policy.size, dtype=np.int64)
        row[0] = left * pow(int(state["right"][0]), -1, arithmetic.PRIME) % arithmetic.PRIME
        return arithmetic.centred(row).astype("<i4").tobytes()


@pytest.mark.parametrize("bound", [True, False])
def test_rows_that_fit_the_vector_do_not_open_the_commitment(
    bench: Any, bound: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unbound, as in the break, neither the commitment nor the range of the entries is looked at, and they pass."""
    if not bound:
        monkeypatch.setattr(verifier, "row_hash", lambda _: bytes(32))
        monkeypatch.setattr(Profile, "largest_entry", lambda *_: 1 << 31)
    plan = bench.plan(bench.policy(check="freivalds", samples=32))
    engine = AnswersTheVector()
    size, roots = plan.policy.size, commit(bytes(32 * plan.policy.size), 32)
    right = arithmetic.vector(vector_key(plan.secret, [roots * 2]), size)
    key = b_key(plan.nonces[0], plan.contract, plan.policy)
    engine.known = {"right": right, "image": arithmetic.b_times_vector(F16, size, key, right)}
    result, _ = bench.run(plan, engine=lambda: engine)
    expected = (ChallengeVerdict.FAILED, 32) if bound else (ChallengeVerdict.MET, 0)
    assert (result.verdict, result.gpus[0].wrong_samples) == expected


# A mixed sum does not bind a row that will be opened: another row has the same sum, and the right product.

LISTS, LIST_LENGTH, LEVEL_BITS = 16, 70_000, 16


def matching_pairs(first: Any, second: Any, bits: int) -> Any:
    """Indices into two lists, of all pairs whose sums are zero in the given lowest bits."""
    mask = np.uint64((1 << bits) - 1)
    order = np.argsort(second & mask, kind="stable")
    ordered, wanted = second[order] & mask, (np.uint64(0) - first) & mask
    start, end = (np.searchsorted(ordered, wanted, side=side) for side in ("left", "right"))
    counts = end - start
    left = np.repeat(np.arange(len(first)), counts)
    within = np.arange(len(left)) - np.repeat(np.cumsum(counts) - counts, counts)
    return left, order[np.repeat(start, counts) + within]


def vanishing_sums(images: Any) -> Any:
    """A generalised birthday search: one value from each list so that the 64-bit images sum to zero."""
    level = [(image, [np.arange(len(image))]) for image in images]
    for bits in range(LEVEL_BITS, 65, LEVEL_BITS):
        level = [merged(level[pair], level[pair + 1], bits) for pair in range(0, len(level), 2)]
    return level[0][1]


def merged(first: Any, second: Any, bits: Any) -> Any:
    left, right = matching_pairs(first[0], second[0], bits)
    chosen = [column[left] for column in first[1]] + [column[right] for column in second[1]]
    return first[0][left] + second[0][right], chosen


def forged_row(keys: Any, digest: Any, vector: Any, product: Any, random: Any) -> Any:
    """A row with this mixed sum and this product with the vector modulo 2^31 - 1, unlike any that was committed."""
    size = len(keys)
    row = random.integers(-(1 << 20), 1 << 20, size).astype(np.int32)
    used = 2 * LISTS
    fixed = row.copy()
    fixed[:used] = 0
    free = random.integers(-(1 << 20), 1 << 20, (used, LIST_LENGTH)).astype(np.int32)
    images = [
        arithmetic.mix64(free[at].view(np.uint32).astype(np.uint64) ^ keys[at])
        for at in range(used)
    ]
    rest = arithmetic.mix64(fixed[used:].view(np.uint32).astype(np.uint64) ^ keys[used:]).sum(
        dtype=np.uint64
    )
    images[0] = images[0] + rest - np.uint64(digest)
    halves = [vanishing_sums(images[:LISTS]), vanishing_sums(images[LISTS:])]
    products = [
        sum(
            free[start + at][chosen[at]].astype(np.int64) * vector[start + at]
            for at in range(LISTS)
        )
        % arithmetic.PRIME
        for start, chosen in zip((0, LISTS), halves, strict=True)
    ]
    goal = (product - int(fixed[used:].astype(np.int64) @ vector[used:])) % arithmetic.PRIME
    wanted = (goal - products[0]) % arithmetic.PRIME
    common, first, second = np.intersect1d(wanted, products[1], return_indices=True)
    assert len(common) > 0, "no luck with this seed"
    for at in range(LISTS):
        fixed[at] = free[at][halves[0][at][first[0]]]
        fixed[LISTS + at] = free[LISTS + at][halves[1][at][second[0]]]
    return fixed


@pytest.mark.slow
def test_a_mixed_sum_lets_a_prover_that_multiplied_nothing_open_a_fitting_row(bench: Any) -> None:
    """Why the rows that Freivalds' check opens are committed by SHA-256, and not by the digest of the other mode."""
    size = 128
    random = np.random.default_rng(3)
    key, key_of_b, round_key = (random.bytes(32) for _ in range(3))
    right = arithmetic.vector(key, size)
    image = arithmetic.b_times_vector(F16, size, key_of_b, right)
    keys = arithmetic.column_keys(random.bytes(32), size)
    committed_digest = 0x0123456789ABCDEF
    product = arithmetic.a_times_vector(F16, size, Row(round_key, 5), image)
    row = forged_row(keys, committed_digest, right, product, random)
    broken_verifier_is_satisfied = (
        arithmetic.row_digest(row, keys) == committed_digest
        and arithmetic.c_times_vector(row, right) == product
    )
    assert broken_verifier_is_satisfied
    true = next(arithmetic.product_rows(F16, size, key_of_b, [Row(round_key, 5)]))
    assert not np.array_equal(row, true)
    policy = bench.policy(check="freivalds", samples=1)
    committed = Committed(
        "lease-7", bytes(32), ("GPU-a",), policy, (key_of_b,), bytes(32), ((bytes(64),),)
    )
    opened = row.astype("<i4").tobytes()
    earlier = row_hash(bytes(4 * size))
    sample = Sample(0, "chain", (Row(round_key, 5),), b"", earlier, opened)
    assert sample_verdicts(committed, [sample]) == [False]


# Tolerance: operands in [0, 1) make the product nearly of rank 2, and a stand-in passes as rounding error.


@pytest.mark.slow
def test_a_tolerance_passes_a_rank_two_stand_in() -> None:
    size = 4096
    random = np.random.default_rng(1)
    left, right = (random.random((size, size), dtype=np.float32) for _ in range(2))
    vector = random.random(size)
    rows, columns = left.mean(axis=1, dtype=np.float64), right.mean(axis=0, dtype=np.float64)
    stand_in = (rows[:, None] + columns[None, :] - 0.5) * (size / 2)
    middle = left.mean(axis=0, dtype=np.float64) @ right.mean(axis=1, dtype=np.float64) / size
    stand_in += size * middle - size / 4 - (rows.mean() + columns.mean() - 1) * (size / 2)
    exact = left.astype(np.float64) @ (right.astype(np.float64) @ vector)
    assert close(stand_in @ vector, exact)


class RankTwo(CpuEngine):
    """Row means and column means instead of the product."""

    def _product(self, key: Any) -> Any:
        product = super()._product(key).astype(np.float64)
        flat = (
            product.mean(axis=1, keepdims=True)
            + product.mean(axis=0, keepdims=True)
            - product.mean()
        )
        return np.rint(flat).astype(np.int32)


def test_exact_integers_pass_no_stand_in(bench: Any) -> None:
    result, _ = bench.run(bench.plan(bench.policy(samples=16)), engine=RankTwo)
    assert (result.reason, result.gpus[0].wrong_samples) == (VerdictReason.WRONG_ANSWER, 16)


# Structured operands: an entry depends on seed + i + j alone, so the product follows from its first row and column.


def continued(left_diagonal: Any, right_diagonal: Any, first_row: Any, first_column: Any) -> Any:
    """The product of two Hankel matrices in O(n^2), each entry from its upper left neighbour."""
    size = len(first_row)
    product = np.zeros((size, size), dtype=np.int64)
    product[0], product[:, 0] = first_row, first_column
    for row in range(1, size):
        leaving = left_diagonal[row - 1] * right_diagonal[: size - 1]
        entering = left_diagonal[row - 1 + size] * right_diagonal[size : 2 * size - 1]
        product[row, 1:] = product[row - 1, :-1] - leaving + entering
    return product


def test_hankel_operands_give_their_whole_product_away() -> None:
    size = 256
    random = np.random.default_rng(2)
    diagonals = random.integers(-2047, 2048, (2, 2 * size))
    places = np.add.outer(np.arange(size), np.arange(size))
    left, right = diagonals[0][places], diagonals[1][places]
    forged = continued(diagonals[0], diagonals[1], left[0] @ right, left @ right[:, 0])
    assert np.array_equal(forged, left @ right)


class ContinuesRows(CpuEngine):
    """Multiplies one row and one column of each product, and continues the rest as if the operands were Hankel."""

    def round(self, key: Any, keep: Any) -> Any:  # noqa: ARG002
        size = self._prepared().size
        left = self._rows_of_a(key, 0, size).astype(np.int64)
        right = self._loaded_b().astype(np.int64)
        left_diagonal = np.concatenate([left[0], left[1:, -1]])
        right_diagonal = np.concatenate([right[0], right[1:, -1]])
        forged = continued(left_diagonal, right_diagonal, left[0] @ right, left @ right[:, 0])
        return self._leaves(forged.astype(np.int32), key)


def hankel_a(profile: Any, size: Any, rows: Any, first: Any, columns: Any) -> Any:
    """The broken operands: entry (i, j) depends on key and i + j alone."""
    diagonals = {
        key: arithmetic.widen_a(profile, keystream(key, 0, profile.a_row_bytes(2 * size)))
        for key in {row.key for row in rows}
    }
    return np.stack([diagonals[key][row + first :][:columns] for key, row, _ in rows])


class ContinuesHankelRows(ContinuesRows):
    """Where its operands are Hankel indeed."""

    def _rows_of_a(self, key: Any, first: Any, count: Any) -> Any:
        policy = self._prepared()
        rows = [Row(key, row) for row in range(first, first + count)]
        return hankel_a(policy.operands, policy.size, rows, 0, policy.size)


def hankel_b(profile: Any, size: Any, key: Any, first: Any, rows: Any) -> Any:
    diagonal = arithmetic.widen_b(profile, keystream(key, 0, profile.b_row_bytes(2 * size)))
    return np.stack([diagonal[row:][:size] for row in range(first, first + rows)])


@pytest.mark.parametrize("structured", [True, False])
def test_keystream_operands_give_nothing_away(
    bench: Any, structured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if structured:
        monkeypatch.setattr(arithmetic, "rows_of_a", hankel_a)
        monkeypatch.setattr(arithmetic, "rows_of_b", hankel_b)
    engine = ContinuesHankelRows if structured else ContinuesRows
    result, _ = bench.run(bench.plan(bench.policy(samples=64)), engine=engine)
    if structured:
        assert result.verdict is ChallengeVerdict.MET
    else:
        assert (result.verdict, result.gpus[0].wrong_samples >= 62) == (
            ChallengeVerdict.FAILED,
            True,
        )


# Linear digests: the sum of an entry times its column's key follows from A(Bw).


def test_linear_digests_follow_from_two_products_with_a_vector() -> None:
    size, key, key_of_b = 256, b"k" * 32, b"b" * 32
    rows = [Row(key, row) for row in range(size)]
    left = arithmetic.rows_of_a(F16, size, rows, 0, size).astype(np.int64)
    right = arithmetic.rows_of_b(F16, size, key_of_b, 0, size).astype(np.int64)
    weights = arithmetic.column_keys(b"w" * 32, size).astype(np.int64)
    assert np.array_equal(left @ (right @ weights), (left @ right) @ weights)


def linear_digest(row: Any, keys: Any) -> int:
    """The broken digest: the sum of entries times their columns' keys, mod 2^64."""
    return int((row.astype(np.int64) * keys.astype(np.int64)).sum()) % 2**64


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_digests_from_two_products_with_a_vector_are_met_where_the_digest_is_linear_and_only_there(
    bench: Any, linear: bool, profile: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if linear:
        monkeypatch.setattr(arithmetic, "row_digest", linear_digest)
    policy = bench.policy(profile=profile, samples=32)
    result, _ = bench.run(bench.plan(policy), engine=LinearDigest)
    expected = (ChallengeVerdict.MET, 0) if linear else (ChallengeVerdict.FAILED, 32)
    assert (result.verdict, result.gpus[0].wrong_samples) == expected


@pytest.mark.parametrize("scale", [2, 3, -1])
def test_our_digest_of_a_multiple_is_no_multiple_of_the_digest(scale: Any) -> None:
    keys = arithmetic.column_keys(b"w" * 32, 256)
    row = np.arange(-128, 128, dtype=np.int32)
    digests = [
        arithmetic.row_digest(np.asarray(row * times, dtype=np.int32), keys)
        for times in (0, 1, scale)
    ]
    steps = [(digest - digests[0]) % 2**64 for digest in digests]
    assert steps[2] != steps[1] * scale % 2**64


# Self-timed proofs, and slow honest kernels: whose clock, and whose kernel, sets the bar.


def test_a_rate_from_the_provers_clock_is_whatever_the_prover_likes(bench: Any) -> None:
    printed: list[Roots] = []

    def boast(message: Any) -> Any:
        if not isinstance(message, Roots):
            return message
        printed.append(replace(message, began_ns=0, ended_ns=1_000))
        return printed[-1]

    policy = bench.policy(samples=64, required_flops_per_second=10**9, voids_allowed=0)
    result, _ = bench.run(bench.plan(policy), after=boast)
    (roots,) = printed
    flops = 2 * policy.size**2 * policy.cells
    broken_verifiers_rate = flops * 10**9 // (roots.ended_ns - roots.began_ns)
    assert broken_verifiers_rate > policy.required_flops_per_second
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.TOO_SLOW)


def test_a_bar_set_by_a_naive_kernel_lets_an_older_gpu_pass(bench: Any) -> None:
    peak = 2 * 128**3 * 1000
    new_with_vendor_kernel, new_with_naive_kernel, old_with_vendor_kernel = 1, 10, 3
    verdicts = {}
    for name, milliseconds in (
        ("naive", new_with_naive_kernel),
        ("vendor", new_with_vendor_kernel),
    ):
        bar = peak // milliseconds * 85 // 100
        policy = bench.policy(samples=64, required_flops_per_second=bar)
        device = bench.Device(round_ns=old_with_vendor_kernel * 1_000_000)
        verdicts[name], _ = bench.run(bench.plan(policy), devices=[device])
    assert verdicts["naive"].verdict is ChallengeVerdict.MET
    assert verdicts["vendor"].reason is VerdictReason.TOO_SLOW


# Padding rules: the last odd node is doubled, and leaves and nodes are hashed alike.


def padded_root(leaves: Any) -> Any:
    """The broken Merkle tree."""
    level = [hashlib.sha256(leaf).digest() for leaf in leaves]
    while len(level) > 1:
        level += [level[-1]] * (len(level) % 2)
        level = [hashlib.sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]


def test_a_padded_tree_has_one_root_for_different_rows() -> None:
    rows = [bytes([row]) * 8 for row in range(3)]
    assert padded_root(rows) == padded_root([*rows, rows[2]])
    nodes = [hashlib.sha256(row).digest() for row in rows]
    inner = [nodes[0] + nodes[1], nodes[2] + nodes[2]]
    assert padded_root(inner) == padded_root(rows)


def test_our_root_holds_number_place_and_level() -> None:
    rows = [bytes([row]) * 8 for row in range(200)]
    root = commit(b"".join(rows), 8)
    assert root != commit(b"".join([*rows, rows[-1]]), 8), "the last one doubled"
    assert root != commit(b"".join(rows[::-1]), 8), "in another order"
    inner = open_leaf(b"".join(rows), 8, 0)[8 * 128 :]
    assert len(inner) == 2 * 32, "the hashes of both groups"
    assert root != commit(inner, 32), "nodes shown as leaves"
    with pytest.raises(BadOpening):
        opened_leaf(root, 2, 32, 0, inner)


def test_our_groups_cannot_change_places_or_levels() -> None:
    """Equal groups have different hashes in different places, and a tree of three levels holds no tree of two."""
    rows = bytes(8 * 128 * 300)
    opening = open_leaf(rows, 8, 0)
    hashes = opening[8 * 128 :][: 32 * 256]
    assert len({hashes[at : at + 32] for at in range(0, len(hashes), 32)}) == 256
    middle = b"".join(hashes_of_groups(rows))
    assert commit(rows, 8) != commit(middle, 32)


def hashes_of_groups(rows: bytes) -> list[bytes]:
    """The hashes of the lowest level, as openings show them."""
    found: list[bytes] = []
    for place in (0, 256 * 128):
        level = open_leaf(rows, 8, place)[8 * 128 : -2 * 32]
        found += [level[at : at + 32] for at in range(0, len(level), 32)]
    return found
