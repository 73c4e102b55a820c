"""`weighbridge-agent probe --calibrate`: what a class reaches, over real probers on the CPU back end."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from agent.probe.calibration import WORK_S
from agent.probe.cpu import CpuEngine
from weighbridge.challenge.calibration import (
    CalibrationError,
    calibrated,
    demanding,
    lasting,
    read_calibration,
)
from weighbridge.challenge.policy import Policy, PolicyError
from weighbridge.challenge.verdict import (
    AttemptResult,
    ChallengeVerdict,
    GpuMeasure,
    GpuResult,
    VerdictReason,
)
from weighbridge.challenge.work import require_work

POLICY = Policy(profile="f16", size=128, rounds=4, samples=16)


def run_on(rates: list[int], verdict: ChallengeVerdict = ChallengeVerdict.MET) -> AttemptResult:
    gpus = tuple(
        GpuResult(f"GPU-{place}", verdict, None, 16, 0, GpuMeasure(512, 3, rate))
        for place, rate in enumerate(rates)
    )
    reason = None if verdict is ChallengeVerdict.MET else VerdictReason.BUSY
    return AttemptResult("c", verdict, reason, gpus)


def test_a_calibration_says_what_was_reached_by_which_program(tmp_path: Path) -> None:
    target = tmp_path / "class.json"
    flags = ["--backend", "cpu", "--gpu", "GPU-a", "--gpu", "GPU-b", "--runs", "2"]
    numbers = ["--size", "128", "--rounds", "4", "--samples", "16"]
    done = subprocess.run(
        [sys.executable, "-m", "agent", "probe", "--calibrate", str(target), *flags, *numbers],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    read = read_calibration(target.read_bytes().strip())
    assert read.program == CpuEngine().program()
    assert (read.policy, read.gpus) == (replace(POLICY, links=4), ("GPU-a", "GPU-b"))
    assert [len(rates) for rates in read.flops_per_second] == [2, 2]
    assert 0 < read.rate.least <= read.rate.middle <= read.rate.most


def test_thresholds_are_a_share_of_the_least_that_the_class_reached() -> None:
    found = calibrated(bytes(32), (), POLICY, [run_on([900, 1000]), run_on([1100, 800])])
    assert (found.rate.least, found.rate.most) == (800, 1100)
    policy = demanding(found, Fraction(95, 100))
    assert policy == replace(POLICY, required_flops_per_second=760, program="00" * 32)


def test_a_policy_that_demands_what_a_class_reached_is_not_refused_for_its_length() -> None:
    """A trial of 64 rounds takes less than a second on a card; 10 s are asked for at the least."""
    short = replace(POLICY, size=16384, rounds=64)
    trial = calibrated(bytes(32), (), short, [run_on([650 * 10**12, 660 * 10**12])])
    policy = lasting(trial, WORK_S)
    assert policy.rounds == 1501
    found = calibrated(bytes(32), (), policy, [run_on([690 * 10**12])])
    require_work(demanding(found, Fraction(1)))
    with pytest.raises(PolicyError, match="10000 ms are needed"):
        require_work(demanding(trial, Fraction(1)))


def test_a_run_that_was_not_met_calibrates_nothing() -> None:
    with pytest.raises(CalibrationError, match="busy"):
        calibrated(bytes(32), (), POLICY, [run_on([1]), run_on([1], ChallengeVerdict.NOT_ASSESSED)])
