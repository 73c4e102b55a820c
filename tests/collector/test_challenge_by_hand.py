"""Which policy `weighbridge challenge` asks for."""

from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

from collector.cli.challenge import policy_of, required
from weighbridge.challenge.calibration import calibrated, demanding
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.verdict import AttemptResult, ChallengeVerdict, GpuMeasure, GpuResult

POLICY = Policy("i8", 8192, 12_000, 256, links=2)
MET = ChallengeVerdict.MET
RUN = AttemptResult(
    "c", MET, None, (GpuResult("GPU-a", MET, None, 256, 0, GpuMeasure(1, 0, 10**15)),)
)


def test_numbers_beside_a_calibration_change_those_alone(tmp_path: Path) -> None:
    """Requirements hold for the sizes that they were measured with."""
    found = calibrated(bytes(32), (), POLICY, [RUN])
    file, own = tmp_path / "class.json", tmp_path / "own.json"
    file.write_bytes(found.encode())
    own.write_text('{"deadline_ms": 90000, "attempts_allowed": 2}')
    asked = required(file, "0.95")
    assert asked == asdict(demanding(found, Fraction(95, 100)))
    given = {"attempts_allowed": 1, "size": None}
    assert policy_of(None, asked, given) == asked | {"attempts_allowed": 1}
    assert policy_of(own, asked, given) == asked | {"attempts_allowed": 1, "deadline_ms": 90000}


def test_without_numbers_those_of_the_contract_hold() -> None:
    assert policy_of(None, {}, {"size": None}) is None
    by_hand = policy_of(None, {}, {"size": 8192})
    assert by_hand is not None
    assert (by_hand["size"], by_hand["rounds"], by_hand["links"]) == (8192, 64, 4)
