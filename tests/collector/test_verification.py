"""Verification in a process of its own says what anybody computes, and UNKNOWN where it does not end."""

import pytest

from collector.challenges import verification
from collector.challenges.verification import verify_apart
from tests.weighbridge.challenge.conftest import Bench
from weighbridge.challenge.record import weighing_of
from weighbridge.challenge.transcript import Transcript
from weighbridge.challenge.verdict import AttemptResult, ChallengeVerdict, VerdictReason


@pytest.fixture
def judged() -> tuple[Transcript, AttemptResult]:
    """An honest exchange and its result."""
    bench = Bench()
    result, challenger = bench.run(bench.plan(bench.policy(), ("GPU-a", "GPU-b")))
    return challenger.transcript(), result


async def test_the_process_says_what_anybody_computes(
    judged: tuple[Transcript, AttemptResult],
) -> None:
    transcript, result = judged
    assert result.verdict is ChallengeVerdict.MET
    assert await verify_apart(transcript) == weighing_of(result)


async def test_a_verification_that_does_not_end_says_nothing_of_the_gpus(
    judged: tuple[Transcript, AttemptResult],
) -> None:
    transcript, _ = judged
    weighing = await verify_apart(transcript, seconds=0.001)
    assert (weighing.verdict, weighing.reason) == (
        ChallengeVerdict.UNKNOWN,
        VerdictReason.NO_VERDICT,
    )
    assert [gpu.verdict for gpu in weighing.gpus] == [
        ChallengeVerdict.UNKNOWN,
        ChallengeVerdict.UNKNOWN,
    ]


async def test_a_machine_that_starts_no_process_says_nothing_of_the_gpus_either(
    judged: tuple[Transcript, AttemptResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    transcript, _ = judged
    monkeypatch.setattr(verification, "COMMAND", ("/no/such/program",))
    weighing = await verify_apart(transcript)
    assert (weighing.verdict, weighing.reason) == (
        ChallengeVerdict.UNKNOWN,
        VerdictReason.NO_VERDICT,
    )
