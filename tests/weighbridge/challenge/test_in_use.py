"""A GPU on which somebody works, as its prober says: the word alone excuses nothing."""

from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge.challenge.test_cheats import skipping
from weighbridge.challenge.messages import Roots
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason

GPUS = ("GPU-a", "GPU-b")


def in_use(message: Any) -> Any:
    return replace(message, in_use=("GPU-b",)) if isinstance(message, Roots) else message


def run(bench: Any, after: Any = in_use, **how: Any) -> Any:
    policy = bench.policy(samples=64, **how.pop("policy", {}))
    return bench.run(bench.plan(policy, GPUS), after=after, **how)[0]


def test_what_is_fast_enough_all_the_same_is_met(bench: Any) -> None:
    assert run(bench).verdict is ChallengeVerdict.MET


@pytest.mark.parametrize("policy", [{"required_flops_per_second": 1 << 50}, {"deadline_ms": 1}])
@pytest.mark.parametrize("said", [in_use, lambda message: message], ids=["in use", "free"])
def test_what_is_too_slow_has_failed_whatever_the_prover_says(
    bench: Any, said: Any, policy: Any
) -> None:
    assert run(bench, after=said, policy=policy).verdict is ChallengeVerdict.FAILED


def test_a_wrong_answer_is_a_failure_whoever_works_there(bench: Any) -> None:
    result = run(bench, engine=skipping(0.5))
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.WRONG_ANSWER)
