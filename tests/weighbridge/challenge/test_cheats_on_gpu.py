"""Dishonest provers on a real GPU, each caught as often as the arithmetic says: the cheats that a device can carry out.

The others differ from these in messages and times alone, and run on the CPU (`test_cheats.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from agent.probe.worker import open_engine
from tests.agent.probe.cards import NO_GPU, gpus
from weighbridge.challenge.verdict import ChallengeVerdict

pytestmark = [pytest.mark.gpu, pytest.mark.slow, NO_GPU]
SEEDS = 60
SIZE = 256


class Honest:
    """One prepared engine for many exchanges."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def prepare(self, policy: Any) -> None:
        """It is."""

    def close(self) -> None:
        """It is needed again."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)


class SkipsRows(Honest):
    share = 0.25

    def round(self, key: bytes, keep: int | None) -> bytes:
        return made_up(self.engine.round(key, keep), self.engine_width(), self.share, key)

    def engine_width(self) -> int:
        return int(self.engine._prepared().leaf_bytes)


class SkipsFewRows(SkipsRows):
    share = 0.0625


class WrongSeed(Honest):
    def round(self, key: bytes, keep: int | None) -> Any:
        return self.engine.round(key[::-1], keep)


class IgnoresLinks(Honest):
    def round(self, key: bytes, keep: int | None) -> Any:
        self.engine.unlink()
        return self.engine.round(key, keep)


class SkipsBlocks(Honest):
    def scan(self, key: bytes, first: int, tiles: int, peer: int | None) -> bytes:
        return made_up(self.engine.scan(key, first, tiles, peer), 8, 0.25, key)


class ForgetsTiles(Honest):
    def round(self, key: bytes, keep: int | None) -> Any:
        return self.engine.round(key, 0 if keep == 0 else None)


def made_up(leaves: bytes, width: int, share: float, key: bytes) -> bytes:
    """With a share of the leaves guessed."""
    random = np.random.default_rng(int.from_bytes(key[:8], "little"))
    rows = np.frombuffer(leaves, dtype=np.uint8).reshape(-1, width).copy()
    chosen = random.permutation(len(rows))[: round(share * len(rows))]
    rows[chosen] = random.integers(0, 256, (len(chosen), width), dtype=np.uint8)
    return rows.tobytes()


@pytest.fixture
def prepared() -> Iterator[Callable[[Any], Any]]:
    """Makes an engine ready for a policy."""
    made = []

    def prepare(policy: Any) -> Any:
        engine = open_engine("cuda", gpus("cuda")[0])
        made.append(engine)
        engine.prepare(policy)
        return engine

    yield prepare
    for engine in made:
        engine.close()


def met(bench: Any, policy: Any, engine: Any, kind: Any, seeds: int) -> int:
    plans = [bench.plan(policy, seed=seed) for seed in range(seeds)]
    results = [bench.run(plan, engine=lambda: kind(engine))[0] for plan in plans]
    assert {result.verdict for result in results} <= {ChallengeVerdict.MET, ChallengeVerdict.FAILED}
    return sum(result.verdict is ChallengeVerdict.MET for result in results)


def as_predicted(count: int, trials: int, probability: float) -> bool:
    """Within four standard deviations."""
    deviation = (trials * probability * (1 - probability)) ** 0.5
    return bool(abs(count - trials * probability) <= 4 * deviation + 1)


@pytest.mark.parametrize("profile", ["f16", "i8"])
@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize("links", [0, 4])
def test_an_honest_gpu_is_met_every_time(
    bench: Any, prepared: Any, profile: str, check: str, links: int
) -> None:
    policy = bench.passes_policy(profile=profile, check=check, size=SIZE, links=links)
    assert met(bench, policy, prepared(policy), Honest, 20) == 20


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize(("kind", "samples"), [(SkipsFewRows, 8), (SkipsRows, 4), (SkipsRows, 16)])
def test_skipped_rows_pass_as_often_as_the_samples_miss_them(
    bench: Any, prepared: Any, check: str, kind: Any, samples: int
) -> None:
    policy = bench.policy(check=check, samples=samples, size=SIZE)
    passed = met(bench, policy, prepared(policy), kind, SEEDS)
    assert as_predicted(passed, SEEDS, (1 - kind.share) ** samples)


def test_unread_memory_passes_as_often_as_the_samples_miss_it(bench: Any, prepared: Any) -> None:
    policy = bench.passes_policy(memory_samples=3, size=SIZE)
    passed = met(bench, policy, prepared(policy), SkipsBlocks, SEEDS)
    assert as_predicted(passed, SEEDS, 0.75**3)


def test_links_that_are_ignored_pass_in_the_first_round_alone(bench: Any, prepared: Any) -> None:
    policy = bench.policy(samples=2, size=SIZE, links=4)
    passed = met(bench, policy, prepared(policy), IgnoresLinks, SEEDS)
    assert as_predicted(passed, SEEDS, 0.5**2)


@pytest.mark.parametrize("kind", [WrongSeed, ForgetsTiles])
def test_another_seed_and_memory_that_was_never_filled_are_always_caught(
    bench: Any, prepared: Any, kind: Any
) -> None:
    policy = bench.passes_policy(memory_samples=32, size=SIZE)
    assert met(bench, policy, prepared(policy), kind, 10) == 0
