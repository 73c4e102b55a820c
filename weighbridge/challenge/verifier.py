"""The check with arithmetic: recompute each sampled cell and compare. Needs numpy; all samples share a slab of B."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from weighbridge.challenge import arithmetic
from weighbridge.challenge.derivation import b_key, digest_key, vector_key
from weighbridge.challenge.policy import CHAIN, FREIVALDS, Policy
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.samples import Committed, Sample
from weighbridge.challenge.siphash import window_digests


def sample_verdicts(committed: Committed, samples: Sequence[Sample]) -> list[bool]:
    """Per sample: does the committed leaf hold what the cell's rows multiply to?"""
    took = _took_what_was_committed(committed.policy, samples)
    opened = [one.leaf is not None and right for one, right in zip(samples, took, strict=True)]
    sound = [one for one, right in zip(samples, opened, strict=True) if right]
    by_vector = [one for one in sound if _is_by_vector(committed, one)]
    recomputed = [one for one in sound if not _is_by_vector(committed, one)]
    first, second = _recompute(committed, recomputed), _multiply_vector(committed, by_vector)
    return [
        right and next(second if _is_by_vector(committed, one) else first)
        for one, right in zip(samples, opened, strict=True)
    ]


def _took_what_was_committed(policy: Policy, samples: Sequence[Sample]) -> list[bool]:
    """Per sample: whether the low bytes that its row took are those that the round before committed."""
    linked = [one.taken for one in samples if one.leaf is not None and one.taken is not None]
    rows = [taken.low for taken in linked]
    digests = iter(window_digests([taken.key for taken in linked], rows, policy.links))
    return [
        one.leaf is not None and (one.taken is None or next(digests) == b"".join(one.taken.digests))
        for one in samples
    ]


def _is_by_vector(committed: Committed, sample: Sample) -> bool:
    return committed.policy.check == FREIVALDS and sample.phase == CHAIN


def _key_of_b(committed: Committed) -> bytes:
    return b_key(committed.nonces[0], committed.contract, committed.policy)


def _recompute(committed: Committed, samples: Sequence[Sample]) -> Iterator[bool]:
    policy = committed.policy
    wanted = [row for sample in samples for row in sample.rows]
    rows = arithmetic.product_rows(policy.operands, policy.size, _key_of_b(committed), wanted)
    heads, low = [], []
    for sample in samples:
        made = [next(rows) for _ in sample.rows]
        heads.append(_digest_of_rows(policy, sample, made))
        low.append(arithmetic.low_bytes(made[0]).tobytes())
    windows = _windows(policy, samples, low)
    for sample, head, ends in zip(samples, heads, windows, strict=True):
        yield sample.leaf == head + ends


def _digest_of_rows(policy: Policy, sample: Sample, rows: Sequence[arithmetic.Int32]) -> bytes:
    """The 8 bytes that commit to these product rows in the sample's phase."""
    if sample.phase == CHAIN:
        keys = arithmetic.column_keys(digest_key(sample.key), policy.size)
        return arithmetic.row_digest(rows[0], keys).to_bytes(8, "little")
    keys = arithmetic.block_keys(sample.key, policy.size)
    return arithmetic.block_digests(arithmetic.low_halves(rows), keys).astype("<u8").tobytes()


def _windows(policy: Policy, samples: Sequence[Sample], low: Sequence[bytes]) -> list[bytes]:
    """Per sample: the window digests that its leaf ends with; none but in the chain, and with links."""
    if policy.links == 0:
        return [b""] * len(samples)
    of_chain = [
        (sample.key, row) for sample, row in zip(samples, low, strict=True) if sample.phase == CHAIN
    ]
    digests = iter(window_digests([k for k, _ in of_chain], [r for _, r in of_chain], policy.links))
    return [next(digests) if sample.phase == CHAIN else b"" for sample in samples]


def _multiply_vector(committed: Committed, samples: Sequence[Sample]) -> Iterator[bool]:
    if not samples:
        return
    policy = committed.policy
    key = vector_key(committed.secret, committed.roots[0])
    right = arithmetic.vector(key, policy.size)
    image = arithmetic.b_times_vector(policy.operands, policy.size, _key_of_b(committed), right)
    check = _vector_check(committed, right, image)
    whole = [len(sample.row) == 4 * policy.size for sample in samples]
    sound = [sample for sample, right_size in zip(samples, whole, strict=True) if right_size]
    low = [np.frombuffer(sample.row, dtype="<i4").astype(np.uint8).tobytes() for sample in sound]
    windows = iter(_windows(policy, sound, low))
    for sample, right_size in zip(samples, whole, strict=True):
        yield right_size and check(sample, next(windows))


def _vector_check(
    committed: Committed, right: arithmetic.Int64, image: arithmetic.Int64
) -> Callable[[Sample, bytes], bool]:
    policy, profile = committed.policy, committed.policy.operands
    largest = profile.largest_entry(policy.size)

    def holds(sample: Sample, windows: bytes) -> bool:
        if row_hash(sample.row) + windows != sample.leaf:
            return False
        row = np.frombuffer(sample.row, dtype="<i4").astype(np.int32)
        if int(row.max()) > largest or int(row.min()) < -largest:
            return False
        expected = arithmetic.a_times_vector(profile, policy.size, sample.rows[0], image)
        return arithmetic.c_times_vector(row, right) == expected

    return holds
