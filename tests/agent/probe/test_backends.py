"""Every back end against 64-bit integers, and through a whole challenge. The same tests for all."""

from typing import Any

import numpy as np
import pytest

from agent.probe.worker import NoBackend, open_engine
from tests.agent.probe.cards import BACKENDS, NO_GPU, gpus
from weighbridge.challenge import arithmetic
from weighbridge.challenge.derivation import digest_key
from weighbridge.challenge.links import Row
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.rowhash import row_hash
from weighbridge.challenge.verdict import ChallengeVerdict

KEY, KEY_OF_B = bytes(range(32)), bytes(range(32, 64))
SIZE = 384


def policy(**changes: Any) -> Policy:
    base: dict[str, Any] = {
        "profile": "f16",
        "size": SIZE,
        "rounds": 4,
        "samples": 16,
        "deadline_ms": 20_000,
    }
    return Policy(**(base | changes))


def passes(**changes: Any) -> Policy:
    kept = {"tiles": 3, "memory_passes": 3, "memory_samples": 8, "ceiling_flops_per_second": 10**15}
    return policy(**(kept | changes))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(backend: str) -> Any:
    engine = open_engine(backend, gpus(backend)[0])
    yield engine
    engine.close()


def exact(profile: Any, size: int, key: bytes = KEY) -> Any:
    """The product in 64-bit integers."""
    left = arithmetic.rows_of_a(profile, size, [Row(key, row) for row in range(size)], 0, size)
    right = arithmetic.rows_of_b(profile, size, KEY_OF_B, 0, size)
    return (left.astype(np.int64) @ right.astype(np.int64)).astype(np.int32)


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_row_digests_are_those_of_the_64_bit_product(engine: Any, profile: str) -> None:
    chosen = policy(profile=profile)
    engine.prepare(chosen)
    engine.load_b(KEY_OF_B)
    keys = arithmetic.column_keys(digest_key(KEY), SIZE)
    expected = b"".join(
        arithmetic.row_digest(row, keys).to_bytes(8, "little")
        for row in exact(chosen.operands, SIZE)
    )
    assert engine.round(KEY, None) == expected


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_row_hashes_and_reopened_rows_are_those_of_the_64_bit_product(
    engine: Any, profile: str
) -> None:
    chosen = policy(profile=profile, check="freivalds")
    engine.prepare(chosen)
    engine.load_b(KEY_OF_B)
    rows = [row.astype("<i4").tobytes() for row in exact(chosen.operands, SIZE)]
    assert engine.round(KEY, None) == b"".join(row_hash(row) for row in rows)
    assert engine.row(KEY, 7) == rows[7]


@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_kept_tiles_hold_the_low_halves(engine: Any, profile: str) -> None:
    chosen = passes(profile=profile)
    engine.prepare(chosen)
    engine.load_b(KEY_OF_B)
    engine.round(KEY, 0)
    engine.round(KEY_OF_B, 1)
    keys = arithmetic.block_keys(b"p" * 32, SIZE)
    tiles = b"".join(
        arithmetic.low_halves(list(exact(chosen.operands, SIZE, key))) for key in (KEY, KEY_OF_B)
    )
    assert engine.scan(b"p" * 32, 0, 2, None) == arithmetic.block_digests(tiles, keys).tobytes()
    engine.attach([engine.address()])
    second = engine.scan(b"p" * 32, 1, 1, 0)
    assert second == engine.scan(b"p" * 32, 0, 2, None)[-len(second) :]


def test_all_back_ends_name_their_program(engine: Any) -> None:
    assert len(engine.program()) == 32
    assert engine.facts()[0].name == "backend"


@pytest.mark.parametrize(
    ("profile", "check", "links"),
    [
        ("f16", "recompute", 0),
        ("f16", "recompute", 4),
        ("f16", "freivalds", 2),
        ("i8", "recompute", 8),
        ("i8", "freivalds", 0),
    ],
)
def test_a_whole_challenge_is_met(
    agent: Any, backend: str, profile: str, check: str, links: int
) -> None:
    there = gpus(backend)
    peers = (
        {"peer_tiles": 1, "peer_passes": 2, "peer_samples": 8, "device_memory_bytes": 1}
        if len(there) > 1
        else {}
    )
    chosen = passes(profile=profile, check=check, links=links, deadline_ms=40_000, **peers)
    grant = agent.grant(*there, backend=backend, budget_ms=300_000, memory_limit_bytes=1 << 40)
    assert agent.challenge(chosen, grant).verdict is ChallengeVerdict.MET


@pytest.mark.gpu
@pytest.mark.slow
@NO_GPU
@pytest.mark.parametrize("profile", ["f16", "i8"])
def test_every_row_of_a_full_product_is_exact_on_the_gpu(profile: str) -> None:
    """n = 16384: 268 million entries through their row digests, against float64 products of exact integers."""
    size, chosen = 16384, policy(profile=profile, size=16384, rounds=1)
    engine = open_engine("cuda", gpus("cuda")[0])
    engine.prepare(chosen)
    engine.load_b(KEY_OF_B)
    leaves, keys = engine.round(KEY, None), arithmetic.column_keys(digest_key(KEY), size)
    right = arithmetic.rows_of_b(chosen.operands, size, KEY_OF_B, 0, size).astype(np.float64)
    for first in range(0, size, 512):
        rows = [Row(KEY, row) for row in range(first, first + 512)]
        left = arithmetic.rows_of_a(chosen.operands, size, rows, 0, size).astype(np.float64)
        expected = [
            arithmetic.row_digest(row, keys).to_bytes(8, "little")
            for row in (left @ right).astype(np.int32)
        ]
        assert leaves[8 * first : 8 * (first + 512)] == b"".join(expected)
    engine.close()


def test_an_unknown_back_end_is_refused() -> None:
    with pytest.raises(NoBackend):
        open_engine("abacus", "GPU-a")
