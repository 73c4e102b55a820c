"""Builds the fake libnvidia-ml.so.1 with gcc and writes its scenario: shared by tests and benchmarks."""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("fake_nvml.c")
GIBIBYTE: Final = 1 << 30

SINCE: Final = {
    "nvmlDeviceGetMemoryInfo_v2": 510,
    "nvmlDeviceGetComputeRunningProcesses_v3": 510,
    "nvmlDeviceGetGraphicsRunningProcesses_v3": 510,
    "nvmlDeviceGetGspFirmwareVersion": 510,
    "nvmlDeviceGetGspFirmwareMode": 510,
    "nvmlDeviceGetNumGpuCores": 510,
    "nvmlDeviceGetMemoryBusWidth": 510,
    "nvmlDeviceGetIrqNum": 510,
    "nvmlGpmMetricsGet": 525,
    "nvmlGpmSampleGet": 525,
    "nvmlGpmSampleAlloc": 525,
    "nvmlGpmSampleFree": 525,
    "nvmlGpmQueryDeviceSupport": 525,
    "nvmlDeviceGetGpuFabricInfo": 525,
    "nvmlDeviceGetCurrentClocksEventReasons": 535,
    "nvmlDeviceGetGpuFabricInfoV": 535,
    "nvmlDeviceGetModuleId": 535,
    "nvmlDeviceGetNumaNodeId": 535,
    "nvmlSystemGetConfComputeState": 535,
    "nvmlDeviceGetConfComputeGpuAttestationReport": 535,
    "nvmlDeviceGetConfComputeGpuCertificate": 535,
    "nvmlDeviceGetSramEccErrorStatus": 550,
    "nvmlDeviceGetTemperatureV": 570,
    "nvmlDeviceGetPlatformInfo": 565,
    "nvmlDeviceGetMarginTemperature": 570,
    "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles": 570,
    "nvmlDeviceGetPdi": 575,
    "nvmlDeviceGetUnrepairableMemoryFlag_v1": 590,
    "nvmlDeviceGetBankRemapperStatus_v1": 615,
    "nvmlDeviceGetMemoryLimits_v1": 615,
    "nvmlDeviceGetAdaptiveTgpModeInfo_v1": 615,
    "nvmlDeviceGetGpuFabricInfo_v4": 615,
    "nvmlEventSetRegisterGpuOperationalEvents_v1": 615,
    "nvmlEventSetWait_v3": 615,
    "nvmlEventSetGetContextCount_v1": 615,
    "nvmlEventSetGetContextInfo_v1": 615,
    "nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1": 615,
}
"""The driver branch from which a function is exported; the others are in all."""

FIELDS_SINCE: Final = {
    186: 535,
    192: 535,
    197: 535,
    198: 535,
    230: 570,
    269: 550,
    270: 550,
    271: 550,
}


def symbols() -> list[str]:
    """Every function of the fake."""
    text = SOURCE.read_text()
    macros = r"(?:UINT|UINT_ELSE|UINT_OF|WIDE|STRING|PAIR|PROCESSES)\((nvml\w+)"
    return sorted(
        {
            *re.findall(macros, text),
            *re.findall(r"^(?:int|const char \*)\s?(nvml\w+)\(", text, re.M),
        }
    )


def build(directory: Path, *, branch: int = 580, without: Iterable[str] = ()) -> Path:
    """The directory of a libnvidia-ml.so.1 that exports what a driver branch exports, less `without`."""
    missing = {name for name, since in SINCE.items() if since > branch} | set(without)
    exported = [name for name in symbols() if name not in missing] + ["fake_layout"]
    script = directory / "exports.map"
    script.write_text("{ global: " + "; ".join(exported) + "; local: *; };\n")
    target = directory / "libnvidia-ml.so.1"
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    linker = [f"-Wl,--version-script={script}", "-Wl,-soname,libnvidia-ml.so.1", "-Wl,--build-id"]
    subprocess.run(["gcc", *options, *linker, "-o", str(target), str(SOURCE)], check=True)
    return directory


@dataclass(slots=True)
class FakeDriver:
    """A library and the scenario file that it obeys."""

    directory: Path
    scenario: Path
    branch: int = 580

    def environment(self) -> dict[str, str]:
        """Of a process that is to load the fake."""
        return os.environ | {
            "LD_LIBRARY_PATH": str(self.directory),
            "FAKE_NVML_SCENARIO": str(self.scenario),
        }

    def play(self, *lines: str) -> None:
        """Replace the scenario, all at once."""
        fresh = self.scenario.with_suffix(".new")
        fresh.write_text("\n".join(lines) + "\n")
        fresh.rename(self.scenario)

    def play_node(self, count: int, *more: str) -> None:
        """`count` H100s, then `more`, which wins."""
        self.play(*h100_node(count, self.branch), *more)


def uuid(index: int) -> str:
    """The UUID of a GPU in `h100_node`."""
    return f"GPU-{index:08x}-0000-4000-8000-000000000000"


def h100_node(count: int, branch: int = 580) -> list[str]:
    """The scenario of a node of H100 SXM cards; the fake's order is the reverse of the PCI addresses."""
    lines = [f"count {count}", f"driver {branch}.54.15", f"nvml 12.{branch}.54.15", *_EVERY_GPU]
    for index in range(count):
        lines += [
            f"set {index} nvmlDeviceGetUUID {uuid(index)}",
            f"set {index} nvmlDeviceGetSerial 16500{index:08d}",
            f"set {index} nvmlDeviceGetPdi {81985529216486895 + index}",
            f"set {index} nvmlDeviceGetMinorNumber {index}",
            f"set {index} nvmlDeviceGetPciInfo.busId 0:{0xF0 - index:x}:0",
        ]
    lines += [f"set * nvmlDeviceGetNvLinkState({link}) 1" for link in range(18)]
    lines += [
        f"set * nvmlDeviceGetNvLinkErrorCounter({link},{kind}) 1"
        for link in range(18)
        for kind in range(3)
    ]
    return lines + [line for line in _FIELDS if FIELDS_SINCE.get(int(line.split()[2]), 0) <= branch]


_EVERY_GPU: Final = """
set * nvmlDeviceGetName NVIDIA H100 80GB HBM3
set * nvmlDeviceGetBoardPartNumber 692-2G520-0200-000
set * nvmlDeviceGetBoardId 6144
set * nvmlDeviceGetModuleId 1
set * nvmlDeviceGetIrqNum 120
set * nvmlDeviceGetNumaNodeId 0
set * nvmlDeviceGetCpuAffinity 65535
set * nvmlDeviceGetTopologyCommonAncestor 50
set * nvmlDeviceGetP2PStatus(2) 0
set * nvmlDeviceGetBrand 14
set * nvmlDeviceGetArchitecture 9
set * nvmlDeviceGetPciInfo.pciDeviceId 0x233010DE
set * nvmlDeviceGetPciInfo.pciSubSystemId 0x16C110DE
set * nvmlDeviceGetCudaComputeCapability.0 9
set * nvmlDeviceGetCudaComputeCapability.1 0
set * nvmlDeviceGetNumGpuCores 16896
set * nvmlDeviceGetMemoryBusWidth 5120
set * nvmlDeviceGetBAR1MemoryInfo.bar1Total 137438953472
set * nvmlDeviceGetMemoryInfo.total 85520809984
set * nvmlDeviceGetMemoryInfo.reserved 502267904
set * nvmlDeviceGetMemoryInfo.used 1048576
set * nvmlDeviceGetMaxClockInfo(1) 1980
set * nvmlDeviceGetMaxClockInfo(2) 2619
set * nvmlDeviceGetClockInfo(1) 1965
set * nvmlDeviceGetClockInfo(2) 2619
set * nvmlDeviceGetApplicationsClock(1) 1980
set * nvmlDeviceGetApplicationsClock(2) 2619
set * nvmlDeviceGetPowerManagementDefaultLimit 700000
set * nvmlDeviceGetPowerManagementLimitConstraints.0 200000
set * nvmlDeviceGetPowerManagementLimitConstraints.1 700000
set * nvmlDeviceGetPowerUsage 69800
set * nvmlDeviceGetEnforcedPowerLimit 700000
set * nvmlDeviceGetPowerManagementLimit 700000
set * nvmlDeviceGetTotalEnergyConsumption 123456789
set * nvmlDeviceGetCurrentClocksEventReasons 1
set * nvmlDeviceGetCurrentClocksThrottleReasons 1
set * nvmlDeviceGetMaxPcieLinkGeneration 5
set * nvmlDeviceGetGpuMaxPcieLinkGeneration 5
set * nvmlDeviceGetMaxPcieLinkWidth 16
set * nvmlDeviceGetCurrPcieLinkGeneration 5
set * nvmlDeviceGetCurrPcieLinkWidth 16
set * nvmlDeviceGetPcieReplayCounter 0
set * nvmlDeviceGetVbiosVersion 96.00.A5.00.01
set * nvmlDeviceGetInforomImageVersion G520.0200.00.05
set * nvmlDeviceGetInforomConfigurationChecksum 3735928559
set * nvmlDeviceGetGspFirmwareVersion 550.54.15
set * nvmlDeviceGetGspFirmwareMode.0 1
set * nvmlDeviceGetGspFirmwareMode.1 1
set * nvmlDeviceGetEccMode.0 1
set * nvmlDeviceGetEccMode.1 1
set * nvmlDeviceGetMigMode.0 0
set * nvmlDeviceGetMigMode.1 0
set * nvmlDeviceGetMaxMigDeviceCount 7
set * nvmlDeviceGetPersistenceMode 1
set * nvmlDeviceGetComputeMode 0
set * nvmlDeviceGetVirtualizationMode 0
set * nvmlDeviceGetNvLinkVersion(0) 6
set * nvmlDeviceGetGpuFabricInfo.state 3
set * nvmlDeviceGetGpuFabricInfo.clusterUuid 193
set * nvmlDeviceGetGpuFabricInfo.status 0
set * nvmlDeviceGetGpuFabricInfo.cliqueId 1
set * nvmlDeviceGetGpuFabricInfo.healthMask 4
set * nvmlDeviceGetUtilizationRates.gpu 37
set * nvmlDeviceGetUtilizationRates.memory 0
set * nvmlDeviceGetTemperature(0) 31
set * nvmlDeviceGetTotalEccErrors(0,0) 3
set * nvmlDeviceGetTotalEccErrors(1,0) 0
set * nvmlDeviceGetTotalEccErrors(0,1) 5
set * nvmlDeviceGetTotalEccErrors(1,1) 1
set * nvmlDeviceGetMemoryErrorCounter(0,0,2) 3
set * nvmlDeviceGetMemoryErrorCounter(1,0,7) 0
set * nvmlDeviceGetSramEccErrorStatus.bThresholdExceeded 0
set * nvmlDeviceGetRemappedRows.0 0
set * nvmlDeviceGetRemappedRows.1 2
set * nvmlDeviceGetRemappedRows.2 0
set * nvmlDeviceGetRemappedRows.3 0
set * nvmlDeviceGetRowRemapperHistogram.max 2560
set * nvmlDeviceGetPerformanceState 0
set * nvmlDeviceGetEncoderUtilization.0 0
set * nvmlDeviceGetDecoderUtilization.0 0
set * nvmlGpmQueryDeviceSupport.isSupportedDevice 1
set * nvmlGpmMetricsGet(1) 9950
set * nvmlGpmMetricsGet(2) 9801
set * nvmlGpmMetricsGet(3) 5025
set * nvmlGpmMetricsGet(5) 4210
set * nvmlGpmMetricsGet(10) 6133
""".strip().splitlines()

_FIELDS: Final = """
field * 82 0 uint 40
field * 83 0 ull 123456789
field * 185 0 uint 69800
field * 186 0 uint 70100
field * 190 0 uint 700000
field * 192 0 uint 700000
field * 74 0 ull 5000000
field * 76 0 ull 0
field * 269 0 ull 1999
field * 270 0 ull 0
field * 271 0 ull 0
field * 94 0 uint 0
field * 95 0 uint 0
field * 197 0 ull 1048576
field * 198 0 ull 2047
field * 138 0 ull 512
field * 139 0 ull 1024
field * 230 0 uint 0
field * 193 0 int -3
field * 194 0 int -2
field * 195 0 int 0
field * 196 0 int 0
field * 173 0 uint 0
""".strip().splitlines()
