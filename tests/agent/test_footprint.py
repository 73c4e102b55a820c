"""The benchmark of the agent measures the driver of the machine that it runs on: here a card that plays its capture."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.agent.conftest import MakeDriver
from tests.agent.fake_nvml.played import scenario_of

ROOT: Final = Path(__file__).parents[2]
CAPTURE: Final = Path(__file__).parent / "captures" / "nvidia-h200-580.159.04.json"
GPU: Final = Path("/dev/nvidiactl")


def benchmark(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.agent", "--real", "--rounds", "1", *options],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture
def environment(make_driver: MakeDriver) -> dict[str, str]:
    driver = make_driver()
    driver.play(*scenario_of(json.loads(CAPTURE.read_text())))
    return driver.environment()


def measured(environment: dict[str, str], result: Path, *options: str) -> tuple[Any, str]:
    done = benchmark(environment, "--json", str(result), *options)
    assert done.returncode == 0, done.stderr
    return json.loads(result.read_text()), done.stdout


def test_the_card_of_this_machine_is_named_and_measured_without_what_it_lacks(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told, text = measured(environment, tmp_path / "result.json", "--footprint", "0")
    assert (told["cards"], told["driver"]) == (["NVIDIA H200"], "580.159.04")
    (sweep,) = told["sweeps"]
    assert sweep["calls"] == 11
    assert sweep["ratio"] > 0
    assert "NVIDIA H200, driver 580.159.04" in text
    assert told["footprint"] == []


def test_the_daemon_loads_nothing_of_contracts() -> None:
    loaded = "import sys, agent.app; print('weighbridge.contract' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", loaded], capture_output=True, text=True)
    assert done.stdout == "False\n"


@pytest.mark.slow
def test_the_footprint_stands_beside_its_targets(
    environment: dict[str, str], tmp_path: Path
) -> None:
    told, text = measured(environment, tmp_path / "result.json", "--footprint", "3")
    (found,) = told["footprint"]
    assert found["target"] == {"cpu_percent_beyond_driver": 0.4, "pss_mebibytes": 64}
    assert len(found["pss_mebibytes_by_process"]) == 2
    assert found["cpu_percent"] >= found["cpu_percent_beyond_driver"]
    assert "(target 0.4)" in text


@pytest.mark.skipif(GPU.exists(), reason="this machine has a GPU")
def test_a_machine_without_gpus_is_said_to_have_none() -> None:
    done = benchmark(dict(os.environ))
    assert done.returncode != 0
    assert "no GPU" in done.stderr
