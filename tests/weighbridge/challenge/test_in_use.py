"""A GPU that somebody works on: what it is slow at is nobody's failure, what it gets wrong is."""

from dataclasses import replace
from typing import Any

import pytest

from tests.weighbridge.challenge.test_cheats import skipping
from weighbridge.challenge.messages import IN_USE, HostFact, Openings, Ready, Roots
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason

GPUS = ("GPU-a", "GPU-b")


def in_use(message: Any) -> Any:
    if not isinstance(message, Ready):
        return message
    return replace(message, facts=(*message.facts, HostFact(IN_USE, "GPU-b")))


def silent_at(kind: type) -> Any:
    return lambda message: None if isinstance(message, kind) else in_use(message)


def run(bench: Any, after: Any = in_use, **how: Any) -> Any:
    policy = bench.policy(samples=64, **how.pop("policy", {}))
    return bench.run(bench.plan(policy, GPUS), after=after, **how)[0]


def test_what_is_fast_enough_all_the_same_is_met(bench: Any) -> None:
    assert run(bench).verdict is ChallengeVerdict.MET


@pytest.mark.parametrize(
    ("after", "policy"),
    [
        (in_use, {"required_flops_per_second": 1 << 50}),
        (in_use, {"deadline_ms": 1}),
        (silent_at(Roots), {}),
    ],
    ids=["slow", "late", "no roots"],
)
def test_what_is_too_slow_is_not_assessed(bench: Any, after: Any, policy: Any) -> None:
    result = run(bench, after=after, policy=policy)
    assert (result.verdict, result.reason) == (ChallengeVerdict.NOT_ASSESSED, VerdictReason.BUSY)


@pytest.mark.parametrize("policy", [{"required_flops_per_second": 1 << 50}, {"deadline_ms": 1}])
def test_the_same_of_a_gpu_that_nobody_uses_is_a_failure(bench: Any, policy: Any) -> None:
    assert (
        run(bench, after=lambda message: message, policy=policy).verdict is ChallengeVerdict.FAILED
    )


def test_a_wrong_answer_is_a_failure_whoever_works_there(bench: Any) -> None:
    result = run(bench, engine=skipping(0.5))
    assert (result.verdict, result.reason) == (ChallengeVerdict.FAILED, VerdictReason.WRONG_ANSWER)


def test_silence_once_the_samples_are_known_is_a_failure_whoever_works_there(bench: Any) -> None:
    assert run(bench, after=silent_at(Openings)).verdict is ChallengeVerdict.FAILED
