"""From the name of a reading to the calls that answer it: one or more sources, tried in order, so that an older driver
answers by its older call. Runs in the child process alone (`agent.nvml.worker`).
"""

import os
import re
from collections.abc import Mapping
from ctypes import Structure, byref, c_int, c_uint, c_ulong
from dataclasses import replace
from functools import cache, partial
from types import MappingProxyType

from agent.nvml.binding import (
    LOCATION_DRAM,
    LOCATION_SRAM,
    MEMORY_VERSION_2,
    NO_PERMISSION,
    P2P_OK,
    Bar1Memory,
    DeviceAttributes,
    Handle,
    Library,
    Memory1,
    Memory2,
    NvmlError,
    Outputs,
    PciInfo2,
    PciInfo3,
    RowRemapperHistogram,
    SramErrors,
    Utilization,
    ViolationTime,
)
from agent.nvml.calls import (
    TEXT_LIMIT,
    Call,
    CallPart,
    Field,
    GpmCall,
    Member,
    Read,
    Source,
    Whole,
    gpm,
    parts,
    structure,
    text,
    uint,
    uints,
    wide,
)
from agent.nvml.frames import (
    NOT_FOUND,
    NOT_READY,
    UNDECODABLE,
)
from agent.nvml.kernel_words import kernel_words
from agent.nvml.layouts import (
    UNICAST_POINTER,
    AdaptiveTgp,
    BankRemapper,
    FabricInfo1,
    FabricInfo2,
    FabricInfo3,
    FabricInfo4,
    MarginTemperature,
    MemoryLimits,
    Pdi1,
    PlatformInfo,
    PowerProfiles,
    Temperature1,
    UnrepairableMemory,
    versioned,
)
from agent.nvml.links import LinkErrors, LinkStates, link_version
from weighbridge.catalogue.readings import READING

NO_FABRIC, IN_FABRIC = 0, 3
ALL_LINKS = 0xFFFFFFFF
APPLICATION_TARGET = 1
HOTTEST_PLACE = 1
NO_LIMIT = 2**64 - 1
CGROUPS = "/sys/fs/cgroup"
LAST_BUS, LAST_SLOT = 0xFF, 0x1F
P2P_NVLINK = 2
CPU_WORDS = 16


def _hottest() -> Structure:
    asked = versioned(Temperature1, 1)
    asked.sensorType = HOTTEST_PLACE
    return asked


def _pci_pair(name: str) -> Read:
    """NVML's (device << 16 | vendor) as lspci writes it."""

    def read(outputs: Outputs) -> str | None:
        value: int = getattr(_filled(outputs[0]), name)
        return f"{value & 0xFFFF:04x}:{value >> 16:04x}" if value else None

    return read


def _filled(info: Structure) -> Structure:
    """An nvmlPciInfo_t that tells of a place on a bus. Raises NvmlError for one that the library left alone, or
    filled with what is none: taken at its word, all cards of a node would be in one place, and so one card."""
    if not info.pciDeviceId or info.bus > LAST_BUS or info.device > LAST_SLOT:
        raise NvmlError(UNDECODABLE)
    return info


def bus_id(outputs: Outputs) -> str:
    """The PCI address of an nvmlPciInfo_t, with the domain in eight digits. Raises NvmlError where it has none."""
    info = _filled(outputs[0])
    return f"{info.domain:08x}:{info.bus:02x}:{info.device:02x}.0"


def _cpu_mask(outputs: Outputs) -> str:
    return f"{sum(word << (64 * index) for index, word in enumerate(outputs[0])):x}"


def _cluster(outputs: Outputs) -> str | None:
    raw = bytes(outputs[0].clusterUuid)
    return raw.hex() if any(raw) else None


def _fabric(read: Read) -> Read:
    """What only a GPU in a fabric has: the zeros outside are no health, and one that is joining has none yet."""

    def joined(outputs: Outputs) -> int | str | None:
        state: int = outputs[0].state
        if state not in (NO_FABRIC, IN_FABRIC):
            raise NvmlError(NOT_READY)
        return None if state == NO_FABRIC else read(outputs)

    return joined


def _kernel_word(name: str) -> Source:
    """A word of the kernel module's own on the GPU."""

    def read(_: Library, handle: Handle) -> str | None:
        try:
            return kernel_words(handle.pci_bus_id).get(name)
        except PermissionError as error:
            raise NvmlError(NO_PERMISSION) from error
        except OSError as error:
            raise NvmlError(NOT_FOUND) from error

    return Whole("/proc/driver/nvidia/gpus", read)


def _topology(library: Library, handle: Handle) -> str:
    level = c_uint()
    found = []
    for peer in handle.peers:
        library.require(
            "nvmlDeviceGetTopologyCommonAncestor", handle.pointer, peer.pointer, byref(level)
        )
        found.append(f"{peer.pci_bus_id}={level.value}")
    return " ".join(found)[:TEXT_LIMIT]


def _nvlink_peers(library: Library, handle: Handle) -> int:
    status = c_uint()
    count = 0
    for peer in handle.peers:
        library.require(
            "nvmlDeviceGetP2PStatus", handle.pointer, peer.pointer, P2P_NVLINK, byref(status)
        )
        count += status.value == P2P_OK
    return count


def _clique(outputs: Outputs) -> int | None:
    """The first by which memory is reached by pointer: what `cliqueId` was before there were several."""
    info = outputs[0]
    cliques = info.cliques[: min(info.numCliques, len(info.cliques))]
    return next((one.id for one in cliques if one.type == UNICAST_POINTER), None)


def _hexadecimal(name: str) -> Read:
    """Bytes, with no zeros behind; None where there is nothing else."""

    def read(outputs: Outputs) -> str | None:
        return bytes(getattr(outputs[0], name)).rstrip(b"\0").hex() or None

    return read


def _serial(outputs: Outputs) -> str | None:
    return bytes(outputs[0].chassisSerialNumber).rstrip(b"\0 ").decode("ascii") or None


def _limit(outputs: Outputs) -> int:
    hard: int = outputs[0].hardLimit
    if hard == NO_LIMIT:
        raise NvmlError(NOT_FOUND)
    return hard


def _adjusted_limit(outputs: Outputs) -> int:
    if not outputs[0].enablementStatus:
        raise NvmlError(NOT_FOUND)
    return int(outputs[0].adjustedLimitMw)


def _unrepairable(outputs: Outputs) -> int:
    """A driver that leaves the version in its place is one that the binding has right."""
    flag = outputs[0]
    return int(flag.second if flag.first == UNREPAIRABLE_VERSION else flag.first)


def _mask(name: str) -> Read:
    """The bits of an nvmlMask255_t."""
    return lambda outputs: sum(
        word << 32 * index for index, word in enumerate(getattr(outputs[0], name))
    )


@cache
def own_cgroup(root: str = "") -> bytes:
    """The directory of this process's control group: where the mount shows no other, that of the mount itself.

    Without pathlib, which would cost this process 0.8 MiB.
    """
    try:
        with open(f"{root}/proc/self/cgroup") as file:  # noqa: PTH123
            lines = file.read().splitlines()
    except OSError:
        lines = []
    own = CGROUPS + next((line[3:] for line in lines if line.startswith("0::")), "").rstrip("/")
    return (own if os.path.isdir(root + own) else CGROUPS).encode()  # noqa: PTH112


MEMORY_2 = structure("nvmlDeviceGetMemoryInfo_v2", lambda: Memory2(version=MEMORY_VERSION_2))
MEMORY_1 = structure("nvmlDeviceGetMemoryInfo", Memory1)
PCI_3 = structure("nvmlDeviceGetPciInfo_v3", PciInfo3)
PCI_2 = structure("nvmlDeviceGetPciInfo_v2", PciInfo2)
UTILIZATION = structure("nvmlDeviceGetUtilizationRates", Utilization)
LIMITS = uints("nvmlDeviceGetPowerManagementLimitConstraints", 2)
ECC = uints("nvmlDeviceGetEccMode", 2)
MIG = uints("nvmlDeviceGetMigMode", 2)
REMAPPED = uints("nvmlDeviceGetRemappedRows", 4)
HISTOGRAM = structure("nvmlDeviceGetRowRemapperHistogram", RowRemapperHistogram)
ATTRIBUTES = structure("nvmlDeviceGetAttributes_v2", DeviceAttributes)
FABRIC_4 = structure("nvmlDeviceGetGpuFabricInfo_v4", FabricInfo4)
FABRIC_3 = structure("nvmlDeviceGetGpuFabricInfoV", lambda: versioned(FabricInfo3, 3))
FABRIC_2 = structure("nvmlDeviceGetGpuFabricInfoV", lambda: versioned(FabricInfo2, 2))
FABRIC_1 = structure("nvmlDeviceGetGpuFabricInfo", FabricInfo1)
FABRIC = (FABRIC_4, FABRIC_3, FABRIC_2, FABRIC_1)
TEMPERATURE = structure("nvmlDeviceGetTemperatureV", lambda: versioned(Temperature1, 1))
HOTTEST = structure("nvmlDeviceGetTemperatureV", _hottest)
LINKS = LinkStates()
PLATFORM_2, PLATFORM_1 = (
    structure("nvmlDeviceGetPlatformInfo", partial(versioned, PlatformInfo, number))
    for number in (2, 1)
)
MARGIN = structure("nvmlDeviceGetMarginTemperature", partial(versioned, MarginTemperature, 1))
PROFILES = structure(
    "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles", partial(versioned, PowerProfiles, 1)
)
ADAPTIVE_TGP = structure("nvmlDeviceGetAdaptiveTgpModeInfo_v1", AdaptiveTgp)
BANKS = structure("nvmlDeviceGetBankRemapperStatus_v1", BankRemapper)
MEMORY_LIMITS = structure(
    "nvmlDeviceGetMemoryLimits_v1", lambda: MemoryLimits(nameSpace=own_cgroup())
)
UNREPAIRABLE_VERSION: int = versioned(UnrepairableMemory, 1).first
UNREPAIRABLE = structure(
    "nvmlDeviceGetUnrepairableMemoryFlag_v1",
    lambda: UnrepairableMemory(first=UNREPAIRABLE_VERSION),
)
CAPABILITY = Call("nvmlDeviceGetCudaComputeCapability", lambda: (c_int(), c_int()))
AFFINITY = Call("nvmlDeviceGetCpuAffinity", lambda: ((c_ulong * CPU_WORDS)(),), (CPU_WORDS,))
GPM = GpmCall((1, 2, 3, 5, 10))


def _violation(policy: int) -> CallPart:
    call = structure("nvmlDeviceGetViolationStatus", ViolationTime, policy)
    return CallPart(call, Member(name="violationTime", divisor=1000))


IDENTITY: Mapping[str, tuple[Source, ...]] = {
    "name": (text("nvmlDeviceGetName"),),
    "memory_total_bytes": parts(Member(name="total"), MEMORY_2, MEMORY_1),
    "memory_reserved_bytes": parts(Member(name="reserved"), MEMORY_2),
    "mig_gpu_instance_number": (uint("nvmlDeviceGetGpuInstanceId"),),
    "mig_compute_instance_number": (uint("nvmlDeviceGetComputeInstanceId"),),
    "mig_multiprocessors_count": parts(Member(name="multiprocessorCount"), ATTRIBUTES),
    "mig_gpu_slices_count": parts(Member(name="gpuInstanceSliceCount"), ATTRIBUTES),
    "serial": (text("nvmlDeviceGetSerial"),),
    "board_part_number": (text("nvmlDeviceGetBoardPartNumber"),),
    "board_number": (uint("nvmlDeviceGetBoardId"),),
    "minor_number": (uint("nvmlDeviceGetMinorNumber"),),
    "module_number": (uint("nvmlDeviceGetModuleId"),),
    "irq_number": (uint("nvmlDeviceGetIrqNum"),),
    "numa_node_number": (uint("nvmlDeviceGetNumaNodeId"),),
    "cpu_affinity": parts(_cpu_mask, AFFINITY),
    "topology_peers": (Whole("nvmlDeviceGetTopologyCommonAncestor", _topology),),
    "p2p_nvlink_peers_count": (Whole("nvmlDeviceGetP2PStatus", _nvlink_peers),),
    "brand_code": (uint("nvmlDeviceGetBrand"),),
    "architecture_code": (uint("nvmlDeviceGetArchitecture"),),
    "pci_bus_id": parts(bus_id, PCI_3, PCI_2),
    "pci_device_id": parts(_pci_pair("pciDeviceId"), PCI_3, PCI_2),
    "pci_subsystem_id": parts(_pci_pair("pciSubSystemId"), PCI_3, PCI_2),
    "pdi": (
        CallPart(
            structure("nvmlDeviceGetPdi", lambda: versioned(Pdi1, 1)),
            lambda outputs: f"{outputs[0].value:016x}" if outputs[0].value else None,
        ),
    ),
    "kernel_uuid": (_kernel_word("GPU UUID"),),
    "kernel_name": (_kernel_word("Model"),),
    "cuda_compute_capability": parts(
        lambda outputs: f"{outputs[0].value}.{outputs[1].value}", CAPABILITY
    ),
    "gpu_cores": (uint("nvmlDeviceGetNumGpuCores"),),
    "memory_bus_width_bits": (uint("nvmlDeviceGetMemoryBusWidth"),),
    "bar1_total_bytes": parts(
        Member(name="bar1Total"),
        structure("nvmlDeviceGetBAR1MemoryInfo", Bar1Memory),
    ),
    "sm_clock_max_megahertz": (uint("nvmlDeviceGetMaxClockInfo", 1),),
    "memory_clock_max_megahertz": (uint("nvmlDeviceGetMaxClockInfo", 2),),
    "power_limit_default_milliwatts": (
        uint("nvmlDeviceGetPowerManagementDefaultLimit"),
        Field(189),
    ),
    "power_limit_min_milliwatts": (CallPart(LIMITS, Member(0)), Field(187)),
    "power_limit_max_milliwatts": (CallPart(LIMITS, Member(1)), Field(188)),
    "pcie_link_max_generation": (uint("nvmlDeviceGetMaxPcieLinkGeneration"),),
    "pcie_gpu_max_generation": (uint("nvmlDeviceGetGpuMaxPcieLinkGeneration"),),
    "pcie_link_width_max_lanes": (uint("nvmlDeviceGetMaxPcieLinkWidth"),),
    "vbios_version": (text("nvmlDeviceGetVbiosVersion", 32),),
    "inforom_image_version": (text("nvmlDeviceGetInforomImageVersion"),),
    "inforom_checksum_number": (uint("nvmlDeviceGetInforomConfigurationChecksum"),),
    "gsp_firmware_version": (text("nvmlDeviceGetGspFirmwareVersion", 128, sized=False),),
    "gsp_mode_code": parts(Member(0), uints("nvmlDeviceGetGspFirmwareMode", 2)),
    "ecc_mode_code": parts(Member(0), ECC),
    "ecc_mode_pending_code": parts(Member(1), ECC),
    "mig_mode_code": parts(Member(0), MIG),
    "mig_mode_pending_code": parts(Member(1), MIG),
    "mig_devices_max_count": (uint("nvmlDeviceGetMaxMigDeviceCount"),),
    "persistence_mode_code": (uint("nvmlDeviceGetPersistenceMode"),),
    "compute_mode_code": (uint("nvmlDeviceGetComputeMode"),),
    "virtualization_mode_code": (uint("nvmlDeviceGetVirtualizationMode"),),
    "host_vgpu_mode_code": (uint("nvmlDeviceGetHostVgpuMode"),),
    "platform_ib_guid": parts(_hexadecimal("ibGuid"), PLATFORM_2, PLATFORM_1),
    "platform_chassis_serial": parts(_serial, PLATFORM_2),
    "platform_slot_number": parts(Member(name="slotNumber"), PLATFORM_2, PLATFORM_1),
    "platform_tray_number": parts(Member(name="trayIndex"), PLATFORM_2, PLATFORM_1),
    "platform_host_number": parts(Member(name="hostId"), PLATFORM_2, PLATFORM_1),
    "platform_peer_type_code": parts(Member(name="peerType"), PLATFORM_2, PLATFORM_1),
    "platform_module_number": parts(Member(name="moduleId"), PLATFORM_2, PLATFORM_1),
    "nvlink_links": parts(Member(name="links"), LINKS),
    "nvlink_version_code": (
        uint("nvmlDeviceGetNvLinkVersion", 0),
        Whole("nvmlDeviceGetNvLinkVersion", link_version),
        Field(166),
    ),
    "fabric_cluster_uuid": parts(_fabric(_cluster), *FABRIC),
    "fabric_clique_number": (
        *parts(_fabric(_clique), FABRIC_4),
        *parts(_fabric(Member(name="cliqueId")), *FABRIC[1:]),
    ),
    "temperature_shutdown_celsius": (uint("nvmlDeviceGetTemperatureThreshold", 0),),
    "temperature_slowdown_celsius": (uint("nvmlDeviceGetTemperatureThreshold", 1),),
    "temperature_memory_max_celsius": (uint("nvmlDeviceGetTemperatureThreshold", 2),),
    "temperature_gpu_max_celsius": (uint("nvmlDeviceGetTemperatureThreshold", 3),),
    "temperature_margin_shutdown_celsius": (Field(193),),
    "temperature_margin_slowdown_celsius": (Field(194),),
    "temperature_margin_memory_max_celsius": (Field(195),),
    "temperature_margin_gpu_max_celsius": (Field(196),),
}

FAST: Mapping[str, tuple[Source, ...]] = {
    "memory_used_bytes": parts(Member(name="used"), MEMORY_2, MEMORY_1),
    "utilization_gpu_percent": parts(Member(name="gpu"), UTILIZATION),
    "utilization_memory_percent": parts(Member(name="memory"), UTILIZATION),
    "sm_clock_megahertz": (uint("nvmlDeviceGetClockInfo", 1),),
    "memory_clock_megahertz": (uint("nvmlDeviceGetClockInfo", 2),),
    "temperature_gpu_celsius": (
        CallPart(TEMPERATURE, Member(name="temperature", signed=True)),
        uint("nvmlDeviceGetTemperature", 0),
    ),
    "temperature_memory_celsius": (Field(82),),
    "power_draw_milliwatts": (uint("nvmlDeviceGetPowerUsage"), Field(185)),
    "power_draw_instant_milliwatts": (Field(186),),
    "power_limit_enforced_milliwatts": (uint("nvmlDeviceGetEnforcedPowerLimit"), Field(190)),
    "power_limit_requested_milliwatts": (Field(192), uint("nvmlDeviceGetPowerManagementLimit")),
    "energy_millijoules": (Field(83), wide("nvmlDeviceGetTotalEnergyConsumption")),
    "clocks_event_reasons_flags": (
        wide("nvmlDeviceGetCurrentClocksEventReasons"),
        wide("nvmlDeviceGetCurrentClocksThrottleReasons"),
    ),
    "clocks_event_sw_power_cap_microseconds": (Field(74, divisor=1000), _violation(0)),
    "clocks_event_sync_boost_microseconds": (Field(76, divisor=1000), _violation(2)),
    "clocks_event_sw_thermal_microseconds": (Field(269, divisor=1000),),
    "clocks_event_hw_thermal_microseconds": (Field(270, divisor=1000),),
    "clocks_event_hw_power_brake_microseconds": (Field(271, divisor=1000),),
    "pcie_link_generation": (uint("nvmlDeviceGetCurrPcieLinkGeneration"),),
    "pcie_link_width_lanes": (uint("nvmlDeviceGetCurrPcieLinkWidth"),),
    "pcie_replay_count": (Field(94), uint("nvmlDeviceGetPcieReplayCounter")),
    "pcie_transmitted_kibibytes": (Field(197, divisor=1024),),
    "pcie_received_kibibytes": (Field(198, divisor=1024),),
    "nvlink_transmitted_kibibytes": (Field(138, scope=ALL_LINKS),),
    "nvlink_received_kibibytes": (Field(139, scope=ALL_LINKS),),
    "recovery_action_code": (Field(230),),
}

_CORRECTED, _UNCORRECTED, _VOLATILE, _AGGREGATE = 0, 1, 0, 1
_ERRORS = {"corrected": _CORRECTED, "uncorrected": _UNCORRECTED}
_SINCE = {"volatile": _VOLATILE, "aggregate": _AGGREGATE}
_PLACES = {
    "dram": LOCATION_DRAM,
    "sram": LOCATION_SRAM,
}


def _ecc_readers() -> dict[str, tuple[Source, ...]]:
    found: dict[str, tuple[Source, ...]] = {}
    for error, kind in _ERRORS.items():
        for since, counter in _SINCE.items():
            found[f"ecc_total_{error}_{since}_count"] = (
                wide("nvmlDeviceGetTotalEccErrors", kind, counter),
            )
            for place, location in _PLACES.items():
                found[f"ecc_{place}_{error}_{since}_count"] = (
                    wide("nvmlDeviceGetMemoryErrorCounter", kind, counter, location),
                )
    return found


def _power_smoothing() -> dict[str, tuple[Source, ...]]:
    """As the rows of the catalogue number them."""
    return {
        name: (Field(int(row.source.removeprefix("field "))),)
        for name, row in READING.items()
        if name.startswith("power_smoothing_")
    }


SLOW: Mapping[str, tuple[Source, ...]] = {
    **_ecc_readers(),
    "ecc_sram_threshold_exceeded_code": parts(
        Member(name="bThresholdExceeded"),
        structure("nvmlDeviceGetSramEccErrorStatus", SramErrors),
    ),
    "remapped_correctable_rows": (CallPart(REMAPPED, Member(0)), Field(142)),
    "remapped_uncorrectable_rows": (CallPart(REMAPPED, Member(1)), Field(143)),
    "remap_pending_code": (CallPart(REMAPPED, Member(2)), Field(144)),
    "remap_failure_code": (CallPart(REMAPPED, Member(3)), Field(145)),
    "remap_availability_max_banks": parts(Member(name="max"), HISTOGRAM),
    "remap_availability_high_banks": parts(Member(name="high"), HISTOGRAM),
    "remap_availability_partial_banks": parts(Member(name="partial"), HISTOGRAM),
    "remap_availability_low_banks": parts(Member(name="low"), HISTOGRAM),
    "remap_availability_none_banks": parts(Member(name="none"), HISTOGRAM),
    "retired_corrected_pages": (Field(29),),
    "retired_uncorrected_pages": (Field(30),),
    "retired_pending_code": (Field(31),),
    "unrepairable_memory_code": parts(_unrepairable, UNREPAIRABLE),
    "bank_remap_active_banks": (CallPart(BANKS, Member(name="activeRemappings")), Field(303)),
    "bank_remap_inactive_banks": (CallPart(BANKS, Member(name="inactiveRemappings")), Field(304)),
    "bank_remap_pending_code": (CallPart(BANKS, Member(name="bPending")), Field(307)),
    "bank_remap_availability_max_banks": (
        CallPart(BANKS, Member(name="maxSpareGroupCount")),
        Field(305),
    ),
    "bank_remap_availability_none_banks": (
        CallPart(BANKS, Member(name="noSpareGroupCount")),
        Field(306),
    ),
    "memory_limit_bytes": parts(_limit, MEMORY_LIMITS),
    "nvlink_active_links": parts(Member(name="active"), LINKS),
    "nvlink_down_links": parts(Member(name="down"), LINKS),
    "nvlink_sleeping_links": parts(Member(name="sleeping"), LINKS),
    "nvlink_quiet_links": parts(Member(name="quiet"), LINKS),
    "nvlink_unreadable_links": parts(Member(name="unreadable"), LINKS),
    "nvlink_replay_count": parts(Member(), LinkErrors(0)),
    "nvlink_recovery_count": parts(Member(), LinkErrors(1)),
    "nvlink_crc_flit_count": parts(Member(), LinkErrors(2)),
    "pcie_replay_rollover_count": (Field(95),),
    "pcie_recovery_count": (Field(169),),
    "pcie_correctable_errors_count": (Field(173),),
    "pcie_naks_received_count": (Field(174),),
    "pcie_receiver_errors_count": (Field(175),),
    "pcie_bad_tlp_count": (Field(176),),
    "pcie_naks_sent_count": (Field(177),),
    "pcie_bad_dllp_count": (Field(178),),
    "pcie_non_fatal_errors_count": (Field(179),),
    "pcie_fatal_errors_count": (Field(180),),
    "pcie_unsupported_requests_count": (Field(181),),
    "pcie_lcrc_errors_count": (Field(182),),
    "pcie_lane_errors_count": (Field(183),),
    "fabric_state_code": parts(Member(name="state"), *FABRIC),
    "fabric_status_code": parts(_fabric(Member(name="status")), *FABRIC),
    "fabric_health_flags": parts(_fabric(Member(name="healthMask")), *FABRIC[:3]),
    "fabric_health_code": parts(_fabric(Member(name="healthSummary")), *FABRIC[:2]),
    "clocks_event_thermal_microseconds": (Field(75, divisor=1000), _violation(1)),
    "clocks_event_board_limit_microseconds": (Field(77, divisor=1000), _violation(3)),
    "clocks_event_reliability_microseconds": (Field(79, divisor=1000), _violation(5)),
    "temperature_gpu_hottest_celsius": parts(Member(name="temperature", signed=True), HOTTEST),
    "temperature_margin_celsius": parts(Member(name="marginTemperature", signed=True), MARGIN),
    "adaptive_tgp_code": parts(Member(name="enablementStatus"), ADAPTIVE_TGP),
    "adaptive_tgp_limit_milliwatts": parts(_adjusted_limit, ADAPTIVE_TGP),
    "edpp_multiplier_percent": (Field(274),),
    "power_profiles_requested_flags": parts(_mask("requestedProfilesMask"), PROFILES),
    "power_profiles_enforced_flags": parts(_mask("enforcedProfilesMask"), PROFILES),
    **_power_smoothing(),
    "performance_state_code": (uint("nvmlDeviceGetPerformanceState"),),
    "encoder_utilization_percent": parts(Member(0), uints("nvmlDeviceGetEncoderUtilization", 2)),
    "decoder_utilization_percent": parts(Member(0), uints("nvmlDeviceGetDecoderUtilization", 2)),
    "fan_speed_percent": (
        uint("nvmlDeviceGetFanSpeed_v2", 0),
        uint("nvmlDeviceGetFanSpeed"),
    ),
    "sm_clock_application_megahertz": (
        uint("nvmlDeviceGetApplicationsClock", 1),
        uint("nvmlDeviceGetClock", 1, APPLICATION_TARGET),
    ),
    "memory_clock_application_megahertz": (
        uint("nvmlDeviceGetApplicationsClock", 2),
        uint("nvmlDeviceGetClock", 2, APPLICATION_TARGET),
    ),
    "graphics_active_permyriad": (CallPart(GPM, gpm(0)),),
    "sm_active_permyriad": (CallPart(GPM, gpm(1)),),
    "sm_occupancy_permyriad": (CallPart(GPM, gpm(2)),),
    "tensor_active_permyriad": (CallPart(GPM, gpm(3)),),
    "dram_active_permyriad": (CallPart(GPM, gpm(4)),),
}

READERS: Mapping[str, tuple[Source, ...]] = MappingProxyType({**IDENTITY, **FAST, **SLOW})
"""The sources of each reading of a device, in the order in which they are tried."""

_MOVED = {269: 251, 270: 252, 271: 253, 272: 254, 273: 255} | {
    number: number + 5 for number in range(251, 269)
}
"""By their numbers of before and since, those of the fields 251 to 273 in the drivers of `_MOVED_IN`."""

_MOVED_IN = (((575, 0), (580, 0)), ((580, 65), (580, 66)))
_UNTOLD_IN = ((580, 66), (580, 82))
"""Releases [from, to): of nvml.h 12.9 and 13.0.39, and those between it and 13.0.87, which moved the fields back."""


def sources_of(driver: str) -> Mapping[str, tuple[Source, ...]]:
    """READERS for a release of the driver: the same fields by its numbers, less those whose number nobody knows."""
    found = re.match(r"(\d+)\.(\d+)", driver)
    release = (int(found[1]), int(found[2])) if found else None
    return {
        name: tuple(
            placed for source in sources if (placed := _placed(source, release)) is not None
        )
        for name, sources in READERS.items()
    }


def _placed(source: Source, release: tuple[int, int] | None) -> Source | None:
    if not isinstance(source, Field) or source.number not in _MOVED:
        return source
    if release is None or _UNTOLD_IN[0] <= release < _UNTOLD_IN[1]:
        return None
    moved = any(since <= release < until for since, until in _MOVED_IN)
    return replace(source, number=_MOVED[source.number]) if moved else source
