"""The agent reads the same with the oldest and the newest release of the binding that may be installed beside it."""

import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from agent.nvml.client import NvmlSource
from agent.nvml.layouts import FabricInfo1
from tests.agent.conftest import MakeDriver, MakeSource
from weighbridge.catalogue.readings import Tier

START = "import sys; sys.path.insert(0, {!r}); from agent.nvml.worker import main; main()"
BRANCHES = (470, 525, 535, 580)


def floor() -> str:
    """The oldest release that the package's `agent` extra allows."""
    wanted = next(line for line in metadata.requires("weighbridge") or () if "nvidia-ml-py" in line)
    found = re.search(r">=([\d.]+)", wanted)
    assert found is not None, wanted
    return found[1]


@pytest.fixture(scope="module", params=["oldest", "newest"])
def binding(request: pytest.FixtureRequest) -> Path:
    """The folder of a release of nvidia-ml-py, kept in pytest's cache; skips where it cannot be had."""
    folder = request.config.cache.mkdir(f"nvidia-ml-py-{request.param}")
    wanted = f"nvidia-ml-py=={floor()}.*" if request.param == "oldest" else "nvidia-ml-py"
    if not (folder / "pynvml.py").exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--retries=0"]
        options = ["--timeout=10", "--only-binary=:all:", f"--dest={folder}", wanted]
        fetched = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        if fetched.returncode:
            pytest.skip(f"{wanted} cannot be had: {fetched.stderr.strip()[-200:]}")
        with zipfile.ZipFile(next(folder.glob("nvidia_ml_py-*.whl"))) as wheel:
            wheel.extract("pynvml.py", folder)
    return folder


async def everything(source: NvmlSource) -> list[object]:
    """What a source has to say of its devices."""
    tiers = [(await source.sweep(tier)).readings for tier in (Tier.FAST, Tier.SLOW)]
    return [(await source.identify()).devices, *tiers, await source.processes()]


@pytest.mark.parametrize("branch", BRANCHES)
async def test_every_release_that_is_allowed_reads_as_the_one_beside_it(
    make_driver: MakeDriver, make_source: MakeSource, binding: Path, branch: int
) -> None:
    driver = make_driver(branch)
    driver.play_node(2, "process 0 7 4096", "process 0 8 -")
    command = (sys.executable, "-c", START.format(str(binding)))
    assert await everything(make_source(driver, command=command)) == await everything(
        make_source(driver)
    )


async def test_a_driver_before_535_tells_its_fabric_by_the_structure_that_it_has(
    make_driver: MakeDriver, make_source: MakeSource
) -> None:
    driver = make_driver(525)
    driver.play_node(1, "set * nvmlDeviceGetGpuFabricInfo.status 3")
    slow = (await make_source(driver).sweep(Tier.SLOW)).readings
    assert (slow["fabric_state_code"], slow["fabric_status_code"]) == ([3], [3])
    identity = (await make_source(driver).identify()).devices[0].identity.readings
    assert identity["fabric_clique_number"] == 1
    assert identity["fabric_cluster_uuid"] == "c1" * FabricInfo1.clusterUuid.size
