"""The prober as a process: honest answers, consent, budget, and its certain end."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.frames import Closed, read_frame, write_frame
from tests.agent.probe.cards import BACKENDS, gpus
from weighbridge.challenge.challenger import Challenger
from weighbridge.challenge.messages import (
    Decline,
    Prepare,
    Ready,
    Release,
    decode_message,
    encode_message,
)
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason

SLOW = {"cpu": {"size": 2048, "rounds": 4000}, "cuda": {"size": 4096, "rounds": 65536}}
LONG_MS = 600_000
"""Longer than a test waits: no deadline and no alarm helps out."""


@pytest.mark.parametrize("check", ["recompute", "freivalds"])
def test_a_prober_with_two_workers_meets_every_phase(agent: Any, check: str) -> None:
    result = agent.challenge(agent.passes_policy(check=check), agent.grant("GPU-a", "GPU-b"))
    assert (result.verdict, result.reason) == (ChallengeVerdict.MET, None)
    assert [gpu.samples for gpu in result.gpus] == [32, 32]


def test_after_the_openings_nothing_is_left(agent: Any) -> None:
    result = agent.challenge(agent.policy(), agent.grant("GPU-a", "GPU-b"))
    assert result.verdict is ChallengeVerdict.MET
    probe = agent.probes[0]
    assert probe.process.wait(60) == 0
    assert len(probe.workers) == 2
    assert all(agent.is_gone(worker) for worker in probe.workers)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"consent": "nobody"}, VerdictReason.NO_CONSENT),
        ({"consent": "anything"}, VerdictReason.NO_CONSENT),
        ({"busy": ("GPU-a",)}, VerdictReason.BUSY),
        ({"budget_ms": 0}, VerdictReason.NO_BUDGET),
        ({"budget_ms": 19_999}, VerdictReason.NO_BUDGET),
        ({"memory_limit_bytes": 9 * 128 * 128 - 1}, VerdictReason.NO_MEMORY),
        ({"backend": "abacus"}, VerdictReason.UNSUPPORTED),
    ],
)
def test_what_was_not_granted_is_not_assessed_and_never_failed(
    agent: Any, changes: Any, reason: VerdictReason
) -> None:
    result = agent.challenge(agent.policy(), agent.grant("GPU-a", **changes))
    assert (result.verdict, result.reason) == (ChallengeVerdict.NOT_ASSESSED, reason)


def test_a_busy_gpu_without_leave_gets_no_worker_at_all(agent: Any) -> None:
    agent.challenge(agent.policy(), agent.grant("GPU-a", busy=("GPU-a",)))
    assert agent.probes[0].workers == []


def test_the_lessees_leave_allows_a_busy_gpu(agent: Any) -> None:
    grant = agent.grant("GPU-a", consent="lessee", busy=("GPU-a",))
    assert agent.challenge(agent.policy(), grant).verdict is ChallengeVerdict.MET


def test_a_gpu_in_use_by_its_own_word_fails_below_the_bar_like_any_other(
    agent: Any,
) -> None:
    beyond = agent.policy(required_flops_per_second=1 << 52)
    grant = agent.grant("GPU-a", "GPU-b", consent="lessee", busy=("GPU-b",))
    used = agent.challenge(beyond, grant)
    assert (used.verdict, used.reason) == (ChallengeVerdict.FAILED, VerdictReason.TOO_SLOW)
    assert all(gpu.wrong_samples == 0 for gpu in used.gpus)


def test_exactly_the_granted_memory_is_enough(agent: Any) -> None:
    grant = agent.grant("GPU-a", memory_limit_bytes=9 * 128 * 128)
    assert agent.challenge(agent.policy(), grant).verdict is ChallengeVerdict.MET


def test_other_gpus_than_the_granted_ones_are_declined(agent: Any) -> None:
    probe = agent.start(agent.grant("GPU-a")).granted()
    request = Challenger(agent.plan(agent.policy(), "GPU-b")).next_message(1)
    answer = decode_message(probe.ask(request))
    assert isinstance(answer, Decline)
    assert answer.reason == "unsupported"


def test_a_worker_has_no_gpu_hidden_from_outside_and_finds_the_libraries(
    agent: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "LD_AUDIT", "CUDA_HOME"):
        monkeypatch.setenv(name, "")
    probe = agent.start(agent.grant("GPU-a")).granted()
    message = Challenger(agent.plan(agent.policy(), "GPU-a")).next_message(1)
    assert isinstance(decode_message(probe.ask(message)), Ready)
    around = Path(f"/proc/{probe.workers[0]}/environ").read_bytes().split(b"\0")
    names = {line.partition(b"=")[0].decode() for line in around}
    assert names & {"CUDA_VISIBLE_DEVICES", "CUDA_LAUNCH_BLOCKING", "LD_AUDIT"} == set()
    assert "CUDA_HOME" in names


def ticks(pid: int) -> int:
    """CPU time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def running(agent: Any, backend: str, **changes: Any) -> Any:
    """A prober in the middle of a chain that would take long."""
    policy, there = agent.policy(**SLOW[backend], **changes), gpus(backend)
    limits = {"budget_ms": policy.deadline_ms, "memory_limit_bytes": 1 << 40}
    grant = agent.grant(*there, backend=backend, **limits)
    probe = agent.start(grant).granted()
    challenger = Challenger(agent.plan(policy, *there))
    assert isinstance(decode_message(probe.ask(challenger.next_message(1))), Ready)
    plan = challenger.plan
    before = {worker: ticks(worker) for worker in probe.workers}
    write_frame(probe.to, encode_message(Release(plan.challenge, "chain", plan.nonces[0])))
    assert agent.eventually(lambda: all(ticks(pid) > spent + 20 for pid, spent in before.items()))
    assert len(probe.workers) == len(there)
    return probe


def test_workers_are_killed_when_the_budget_is_spent(agent: Any, backend: str) -> None:
    probe = running(agent, backend, deadline_ms=5_000)
    answer = decode_message(probe.ask(None))
    assert isinstance(answer, Decline)
    assert (answer.reason, answer.detail) == ("interrupted", "time is up")
    assert probe.process.wait(60) == 0
    assert all(agent.is_gone(worker) for worker in probe.workers)


def test_workers_that_are_stuck_are_killed_all_the_same(agent: Any, backend: str) -> None:
    probe = running(agent, backend, deadline_ms=LONG_MS)
    for worker in probe.workers:
        os.kill(worker, signal.SIGSTOP)
    assert probe.hang_up() == 0
    assert all(agent.is_gone(worker) for worker in probe.workers)


def test_workers_end_when_the_agent_hangs_up(agent: Any, backend: str) -> None:
    probe = running(agent, backend, deadline_ms=LONG_MS)
    assert probe.hang_up() == 0
    assert all(agent.is_gone(worker) for worker in probe.workers)


def test_workers_end_when_the_prober_is_killed(agent: Any, backend: str) -> None:
    probe = running(agent, backend, deadline_ms=LONG_MS)
    probe.process.send_signal(signal.SIGKILL)
    probe.process.wait(60)
    assert agent.eventually(lambda: all(agent.is_gone(worker) for worker in probe.workers))


def test_a_killed_worker_interrupts_the_challenge_and_takes_the_others_along(
    agent: Any, backend: str
) -> None:
    probe = running(agent, backend)
    os.kill(probe.workers[0], signal.SIGKILL)
    answer = decode_message(probe.ask(None))
    assert isinstance(answer, Decline)
    assert answer.reason == "interrupted"
    assert probe.hang_up() == 0
    assert all(agent.is_gone(worker) for worker in probe.workers)


def test_a_worker_that_nobody_waits_for_is_ended_by_its_own_alarm() -> None:
    command = [sys.executable, "-I", "-m", "agent.probe.worker", "cpu", "GPU-a", "1"]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert worker.wait(60) == -signal.SIGALRM
    worker.communicate()


@pytest.mark.parametrize("first", [b"", b"{}", b"\xff\xfe", b'{"backend":"cpu"}'])
def test_a_grant_that_is_none_ends_the_prober(agent: Any, first: bytes) -> None:
    probe = agent.start(first)
    with pytest.raises(Closed):
        probe.ask(None)
    assert probe.process.wait(60) == 2


def test_a_message_out_of_turn_ends_the_prober(agent: Any) -> None:
    probe = agent.start(agent.grant("GPU-a")).granted()
    with pytest.raises(Closed):
        probe.ask(encode_message(Release("challenge-1", "chain", bytes(32))))
    assert probe.process.wait(60) == 2


def test_a_frame_that_is_too_long_is_refused() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\xff\xff\xff\xff")
    with pytest.raises(Closed):
        read_frame(reading)
    os.close(reading)
    with pytest.raises(Closed):
        write_frame(writing, b"x")
    os.close(writing)


def test_a_second_challenge_needs_a_second_prober(agent: Any) -> None:
    probe = agent.start(agent.grant("GPU-a")).granted()
    plan = agent.plan(agent.policy(), "GPU-a")
    prepare = encode_message(
        Prepare(plan.challenge, plan.contract, plan.agent_key, plan.gpus, plan.policy)
    )
    assert isinstance(decode_message(probe.ask(prepare)), Ready)
    with pytest.raises(Closed):
        probe.ask(prepare)
