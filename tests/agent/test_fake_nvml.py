"""The fake library has the layouts of the real one, as the binding or we spell them, and the symbols of its branch."""

import ctypes
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.agent.fake_nvml.fixture import SINCE, FakeDriver, symbols

LAYOUT = """
import ctypes, sys
import pynvml
from agent.nvml import layouts
library = ctypes.CDLL(sys.argv[1])
what, size, index = ctypes.c_char_p(), ctypes.c_uint(), 0
while library.fake_layout(index, ctypes.byref(what), ctypes.byref(size)):
    name, member = what.value.decode().split()
    structure = getattr(layouts, name, None) or getattr(pynvml, name)
    expected = ctypes.sizeof(structure) if member == "-" else getattr(structure, member).offset
    print(name, member, size.value, expected)
    index += 1
"""


def test_every_structure_of_the_fake_is_laid_out_as_the_binding_has_it(
    libraries: Callable[..., Path],
) -> None:
    library = str(libraries() / "libnvidia-ml.so.1")
    told = subprocess.run(
        [sys.executable, "-c", LAYOUT, library], capture_output=True, text=True, check=True
    )
    lines = [line.split() for line in told.stdout.splitlines()]
    assert len(lines) > 40
    assert [line for line in lines if line[2] != line[3]] == []


def test_the_sizes_that_drivers_agree_on_are_pinned(libraries: Callable[..., Path]) -> None:
    library = str(libraries() / "libnvidia-ml.so.1")
    told = subprocess.run(
        [sys.executable, "-c", LAYOUT, library], capture_output=True, text=True, check=True
    )
    sizes = {
        line.split()[0]: int(line.split()[2]) for line in told.stdout.splitlines() if " - " in line
    }
    assert sizes["c_nvmlMemory_v2_t"] == 40
    assert sizes["ProcessInfo1"] == 16
    assert sizes["ProcessInfo2"] == 24
    assert sizes["WideProcessInfo"] == 32
    assert sizes["c_nvmlEventData_t"] == 32
    assert sizes["c_nvmlFieldValue_t"] == 40
    assert sizes["nvmlPciInfo_t"] == 68
    assert sizes["FabricInfo1"] == 28
    assert sizes["FabricInfo3"] == 40
    assert sizes["c_nvmlEccSramErrorStatus_v1_t"] == 104


@pytest.mark.parametrize("branch", [470, 535, 550, 580, 615])
def test_a_branch_exports_what_it_had_and_no_more(
    libraries: Callable[..., Path], branch: int
) -> None:
    library = ctypes.CDLL(str(libraries(branch) / "libnvidia-ml.so.1"))
    for name in symbols():
        assert hasattr(library, name) == (SINCE.get(name, 0) <= branch), name


NAMES = {
    "FabricInfo1": "c_nvmlGpuFabricInfo_t",
    "FabricInfo2": "c_nvmlGpuFabricInfo_v2_t",
    "FabricInfo3": "c_nvmlGpuFabricInfo_v3_t",
    "Pdi1": "c_nvmlPdi_t",
    "Temperature1": "c_nvmlTemperature_v1_t",
    "ProcessInfo2": "c_nvmlProcessInfo_v2_t",
    "WideProcessInfo": "c_nvmlProcessDetail_v1_t",
    "OperationalConfig1": "c_nvmlGpuOperationalEventConfig_v1_t",
    "EventWait3": "c_nvmlEventSetWait_v3_t",
    "ContextInfo1": "c_nvmlEventSetGetContextInfo_v1_t",
    "LegacyXid1": "c_nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1_t",
}
BOTH = """
import ctypes, sys
import pynvml
from agent.nvml import layouts
ours, theirs = getattr(layouts, sys.argv[1]), getattr(pynvml, sys.argv[2], None)
if theirs is not None:
    for one in (ours, theirs):
        print(ctypes.sizeof(one), [(name, getattr(one, name).offset) for name, _ in one._fields_])
"""


@pytest.mark.parametrize("ours", NAMES)
def test_our_own_structures_are_laid_out_as_the_newest_binding_has_them(ours: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", BOTH, ours, NAMES[ours]], capture_output=True, text=True, check=True
    )
    if not told.stdout:
        pytest.skip(f"the binding beside us has no {NAMES[ours]}")
    one, other = told.stdout.splitlines()
    assert one == other


def test_the_real_binding_loads_the_fake_by_the_search_path(driver: FakeDriver) -> None:
    script = "import pynvml; pynvml.nvmlInit(); print(pynvml.nvmlDeviceGetCount(), pynvml.nvmlSystemGetDriverVersion())"
    told = subprocess.run(
        [sys.executable, "-c", script],
        env=driver.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["2", "580.54.15"]
