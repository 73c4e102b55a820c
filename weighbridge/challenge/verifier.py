"""The check with arithmetic: recompute each sampled cell and compare. Needs numpy; all samples share a slab of B."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from weighbridge.challenge import arithmetic
from weighbridge.challenge.derivation import b_key, vector_key
from weighbridge.challenge.policy import CHAIN, FREIVALDS
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.samples import Committed, Sample


def sample_verdicts(committed: Committed, samples: Sequence[Sample]) -> list[bool]:
    """Per sample: does the committed leaf hold what the cell's rows multiply to?"""
    by_vector = [_is_by_vector(committed, sample) for sample in samples]
    recomputed = [s for s, vector in zip(samples, by_vector, strict=True) if not vector]
    opened = [s for s, vector in zip(samples, by_vector, strict=True) if vector]
    first, second = _recompute(committed, recomputed), _multiply_vector(committed, opened)
    return [next(second) if vector else next(first) for vector in by_vector]


def _is_by_vector(committed: Committed, sample: Sample) -> bool:
    return committed.policy.check == FREIVALDS and sample.phase == CHAIN


def _key_of_b(committed: Committed) -> bytes:
    return b_key(committed.nonces[0], committed.contract, committed.policy)


def _recompute(committed: Committed, samples: Sequence[Sample]) -> Iterator[bool]:
    policy = committed.policy
    wanted = [row for sample in samples for row in sample.rows]
    rows = arithmetic.product_rows(policy.operands, policy.size, _key_of_b(committed), wanted)
    for sample in samples:
        yield sample.leaf == leaf_of_rows(sample, policy.size, [next(rows) for _ in sample.rows])


def leaf_of_rows(sample: Sample, size: int, rows: Sequence[arithmetic.Int32]) -> bytes:
    """The 8 bytes that commit to these product rows in the sample's phase."""
    if sample.phase == CHAIN:
        keys = arithmetic.column_keys(sample.key, size)
        return arithmetic.row_digest(rows[0], keys).to_bytes(8, "little")
    keys = arithmetic.block_keys(sample.key, size)
    return arithmetic.block_digests(arithmetic.low_halves(rows), keys).astype("<u8").tobytes()


def _multiply_vector(committed: Committed, samples: Sequence[Sample]) -> Iterator[bool]:
    if not samples:
        return
    policy = committed.policy
    key = vector_key(committed.secret, committed.roots[0])
    right = arithmetic.vector(key, policy.size)
    image = arithmetic.b_times_vector(policy.operands, policy.size, _key_of_b(committed), right)
    check = _vector_check(committed, right, image)
    for sample in samples:
        yield check(sample)


def _vector_check(
    committed: Committed, right: arithmetic.Int64, image: arithmetic.Int64
) -> Callable[[Sample], bool]:
    policy, profile = committed.policy, committed.policy.operands
    largest = profile.largest_entry(policy.size)

    def holds(sample: Sample) -> bool:
        if len(sample.row) != 4 * policy.size or row_hash(sample.row) != sample.leaf:
            return False
        row = np.frombuffer(sample.row, dtype="<i4").astype(np.int32)
        if int(row.max()) > largest or int(row.min()) < -largest:
            return False
        expected = arithmetic.a_times_vector(profile, policy.size, sample.rows[0], image)
        return arithmetic.c_times_vector(row, right) == expected

    return holds
