"""The main job, whole: every planted fault is found, and a fault that is not planted is not found."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import pytest

from demo.plan import FAULTS, Expected
from demo.verdicts import against_the_honest, compare

ROOT = Path(__file__).parents[2]
SECONDS = 28
AT_ONCE = 3
pytestmark = pytest.mark.slow


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As `scripts/demo` starts it, wide enough that no line is folded."""
    command = [sys.executable, "-m", "demo", "--port", "0", "--seconds", str(SECONDS), *arguments]
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        check=False,
    )


def left_out() -> tuple[frozenset[str], ...]:
    """The faults that each run leaves out: none, then four of ten, and each fault in two runs of five.

    No two faults in the same two: of any two there is a run with the one and without the other, which shows that what
    is found of a fault does not come from another one, and does not need it.
    """
    absent = dict(zip((fault.name for fault in FAULTS), combinations(range(5), 2), strict=True))
    return frozenset(), *(
        frozenset(name for name, numbers in absent.items() if number in numbers)
        for number in range(5)
    )


@pytest.fixture(scope="module")
def runs() -> Mapping[frozenset[str], subprocess.CompletedProcess[str]]:
    """By the names of the faults that each left out."""
    wanted = left_out()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = pool.map(lambda names: demo(*(f"--without={name}" for name in names)), wanted)
        return dict(zip(wanted, done, strict=True))


def finds(output: str, expected: Expected) -> bool:
    """Whether it says when it found this."""
    subject = " ".join(part for part in (expected.contract, expected.node) if part)
    device = r" (GPU|MIG)-\S+" if expected.device else ""
    return bool(re.search(rf"found\s+{expected.code} on {subject}{device}: ", output))


def test_every_planted_fault_is_named_when_it_is_planted_and_when_it_is_found(
    runs: Mapping[frozenset[str], subprocess.CompletedProcess[str]],
) -> None:
    whole = runs[frozenset()]
    assert whole.returncode == 0, whole.stdout + whole.stderr
    for fault in FAULTS:
        assert not fault.scenario or re.search(rf"planted\s+{re.escape(fault.told)}", whole.stdout)
        assert all(finds(whole.stdout, expected) for expected in fault.expected), fault.name
    assert "nothing against the honest contract" in whole.stdout
    assert re.search(r"K-HONEST\b.* met ", whole.stdout.rpartition("K-PAPER")[0])


@pytest.mark.parametrize("without", left_out()[1:], ids=lambda names: "+".join(sorted(names)))
def test_faults_that_are_left_out_are_not_found_and_all_others_are(
    without: frozenset[str], runs: Mapping[frozenset[str], subprocess.CompletedProcess[str]]
) -> None:
    run = runs[without]
    assert run.returncode == 0, run.stdout + run.stderr
    for fault in FAULTS:
        found = [finds(run.stdout, expected) for expected in fault.expected]
        assert found == [fault.name not in without] * len(found), fault.name


def finding(contract: str, code: str, node: str, gpu: str = "") -> dict[str, str]:
    return {
        "contract": contract,
        "code": code,
        "node": node,
        "gpu": gpu,
        "verdict": "breached",
        "observed": "",
    }


def test_a_finding_of_another_code_or_subject_or_verdict_is_not_the_one() -> None:
    fault = next(fault for fault in FAULTS if fault.name == "power_cap")
    event = {"planted": "power_cap", "node": "north-2", "device": "GPU-6"}
    right = finding("K-NORTH", "power_capped", "north-2", "GPU-6")
    assert compare([fault], [event], [right])[0].is_found
    assert not compare([fault], [], [right])[0].is_found
    for changed in ("contract", "code", "node", "gpu", "verdict"):
        assert not compare([fault], [event], [{**right, changed: "another"}])[0].is_found


def test_anything_against_the_honest_contract_counts() -> None:
    late = finding("K-HONEST", "evidence_late", "honest-1")
    assert against_the_honest([late, finding("K-NORTH", "node_silent", "north-4")]) == [late]
