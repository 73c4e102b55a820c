"""The catalogue of readings: one row per named quantity.

To add a reading, add a row here and a reader in `agent/nvml/readers.py`.

A reading's name ends in its unit, and its value is an integer in that unit (text for `TEXT`) from the driver to the
verdict. Only `/metrics` converts to Prometheus base units, by `UNITS`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Tier(StrEnum):
    """How often a reading is taken: at start and on change; each sampling interval; each minute."""

    IDENTITY = "identity"
    FAST = "fast"
    SLOW = "slow"


class Kind(StrEnum):
    """GAUGE moves both ways; COUNTER only rises until its source resets; CODE and FLAGS are enumerations."""

    GAUGE = "gauge"
    COUNTER = "counter"
    CODE = "code"
    FLAGS = "flags"
    TEXT = "text"


class Scope(StrEnum):
    """What has the reading: a GPU, a MIG device, either of them, the node, or what a witness watches."""

    GPU = "gpu"
    MIG = "mig"
    DEVICE = "device"
    NODE = "node"
    TARGET = "target"


OF_GPUS = frozenset({Scope.GPU, Scope.MIG, Scope.DEVICE})
"""What has the readings that a driver answers for each device."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """No value of a reading lies outside [least, most]; `source` says why not."""

    least: int
    most: int
    source: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One row. `name` ends in `unit` (where it has one); `source` names the NVML call, field id, or host file.

    `bounds` are of its values; None for text."""

    name: str
    unit: str
    kind: Kind
    tier: Tier
    scope: Scope
    source: str
    help: str
    bounds: Bounds | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit's Prometheus base unit ("" for a bare number): base value = value * multiplier / divisor, exactly."""

    base: str
    multiplier: int
    divisor: int


UNITS: Mapping[str, Unit] = MappingProxyType(
    {
        "": Unit("", 1, 1),
        "banks": Unit("", 1, 1),
        "bits": Unit("", 1, 1),
        "bytes": Unit("bytes", 1, 1),
        "celsius": Unit("celsius", 1, 1),
        "code": Unit("", 1, 1),
        "cores": Unit("", 1, 1),
        "count": Unit("", 1, 1),
        "flags": Unit("", 1, 1),
        "generation": Unit("", 1, 1),
        "kibibytes": Unit("bytes", 1024, 1),
        "lanes": Unit("", 1, 1),
        "links": Unit("", 1, 1),
        "megahertz": Unit("hertz", 1_000_000, 1),
        "microseconds": Unit("seconds", 1, 1_000_000),
        "millijoules": Unit("joules", 1, 1000),
        "milliseconds": Unit("seconds", 1, 1000),
        "milliwatts": Unit("watts", 1, 1000),
        "number": Unit("", 1, 1),
        "pages": Unit("", 1, 1),
        "percent": Unit("ratio", 1, 100),
        "permyriad": Unit("ratio", 1, 10_000),
        "rows": Unit("", 1, 1),
        "watts": Unit("watts", 1, 1),
    }
)

_UNSIGNED = 2**32 - 1
_WIRE = 2**53 - 1
_YEAR_S = 366 * 86_400
_DRAW_MILLIWATTS = 10_000_000
_WIRED = "an unsigned 64-bit number of NVML, as far as a report can hold it"
_TYPED = "an unsigned 32-bit number of NVML"

BOUNDS: Mapping[str, Bounds] = MappingProxyType(
    {
        "banks": Bounds(0, _UNSIGNED, _TYPED),
        "bits": Bounds(0, 1 << 16, "eight times the widest bus of HBM, 8,192 bits"),
        "bytes": Bounds(0, 1 << 50, "no card has a pebibyte of memory; a B300 has 288 GB"),
        "celsius": Bounds(
            -273, 300, "absolute zero; solder melts at 220, thresholds of NVML are below 130"
        ),
        "code": Bounds(-(2**31), _UNSIGNED, "an enumeration of C: 32 bits, signed or not"),
        "cores": Bounds(0, _UNSIGNED, _TYPED),
        "count": Bounds(0, _WIRE, _WIRED),
        "flags": Bounds(0, _WIRE, _WIRED),
        "generation": Bounds(0, 32, "PCI Express is at generation 7"),
        "kibibytes": Bounds(0, _WIRE, _WIRED),
        "lanes": Bounds(0, 32, "the widest link that PCI Express defined"),
        "links": Bounds(0, 1024, "NVML_NVLINK_MAX_LINKS is 36"),
        "megahertz": Bounds(
            0, 100_000, "no clock of a card is above 100 GHz; memory counts up to 16"
        ),
        "microseconds": Bounds(0, 100 * _YEAR_S * 1_000_000, "no driver is loaded for a century"),
        "millijoules": Bounds(
            0, 20 * _YEAR_S * _DRAW_MILLIWATTS, "twenty years at the most that a card can draw"
        ),
        "milliseconds": Bounds(0, _UNSIGNED, _TYPED),
        "milliwatts": Bounds(0, _DRAW_MILLIWATTS, "10 kW, seven times the 1,400 W of a B300"),
        "number": Bounds(0, _UNSIGNED, _TYPED),
        "pages": Bounds(0, _UNSIGNED, _TYPED),
        "percent": Bounds(0, 100, "a share"),
        "permyriad": Bounds(0, 10_000, "a share"),
        "rows": Bounds(0, _UNSIGNED, _TYPED),
        "watts": Bounds(0, _DRAW_MILLIWATTS // 1000, "10 kW, seven times the 1,400 W of a B300"),
    }
)
"""Of the values of each unit."""

BOUNDS_OF: Mapping[str, Bounds] = MappingProxyType(
    {
        "edpp_multiplier_percent": Bounds(
            0, 1000, "a multiplier: nvml.h names no most, and 100 leaves the limit as it is"
        ),
        "fan_speed_percent": Bounds(
            0, 1000, "of the highest noise-tolerant speed: nvmlDeviceGetFanSpeed_v2 may exceed 100"
        ),
        "gpus_enumerated_count": Bounds(0, 1024, "as many devices as a report can hold"),
        "gpus_unreadable_count": Bounds(0, 1024, "as many devices as a report can hold"),
        "mig_devices_max_count": Bounds(0, 1024, "as many devices as a report can hold"),
        "p2p_nvlink_peers_count": Bounds(0, 1024, "as many devices as a report can hold"),
    }
)
"""Of single readings, where their unit says too much or too little."""

UNREADABLE_GPU, UNREADABLE_SLICES = "gpu_unreadable.", "slices_unreadable."
"""How the names of the driver's facts begin that say, by the library's index of a GPU, why it would not tell who it is,
or which slices it is cut into."""

GAUGE, COUNTER, CODE, FLAGS, TEXT = Kind.GAUGE, Kind.COUNTER, Kind.CODE, Kind.FLAGS, Kind.TEXT

_NODE = (
    ("driver_version", TEXT, "nvmlSystemGetDriverVersion", "Version of the NVIDIA driver"),
    ("nvml_version", TEXT, "nvmlSystemGetNVMLVersion", "Version of the NVML library"),
    ("cuda_driver_version", TEXT, "nvmlSystemGetCudaDriverVersion", "CUDA version of the driver"),
    ("nvml_binding_version", TEXT, "package metadata", "Installed nvidia-ml-py distribution"),
    ("nvml_library_path", TEXT, "/proc/self/maps", "File mapped as libnvidia-ml.so.1"),
    ("nvml_library_bytes", GAUGE, "the mapped file", "Size of that file"),
    ("nvml_library_sha256", TEXT, "the mapped file", "SHA-256 of that file"),
    ("nvml_library_build_id", TEXT, "the mapped file's ELF notes", "GNU build id of that file"),
    ("kernel_module_version", TEXT, "/proc/driver/nvidia/version", "Version of the kernel module"),
    ("ld_preload_code", CODE, "environment", "1 if LD_PRELOAD is set or ld.so.preload has a line"),
    (
        "nvml_environment_names",
        TEXT,
        "environment",
        "What is set of NVML_*, CUDA_* and LD_*, and was kept from NVML's process",
    ),
    ("ld_library_path_code", CODE, "environment", "1 if LD_LIBRARY_PATH is set"),
    ("conf_compute_code", CODE, "nvmlSystemGetConfComputeState", "1 if confidential compute is on"),
    ("gpus_enumerated_count", GAUGE, "nvmlDeviceGetCount_v2", "GPUs that the driver counts"),
    ("gpus_unreadable_count", GAUGE, "nvmlDeviceGetHandleByIndex_v2", "Of those, without identity"),
)

_IDENTITY_DEVICE = (
    ("name", TEXT, "nvmlDeviceGetName", "Marketing name; matching goes by PCI id, not by it"),
    ("memory_total_bytes", GAUGE, "nvmlDeviceGetMemoryInfo", "Memory, the reserved part included"),
    ("memory_reserved_bytes", GAUGE, "nvmlDeviceGetMemoryInfo_v2", "Kept by driver and firmware"),
)

_IDENTITY_MIG = (
    ("mig_gpu_instance_number", GAUGE, "nvmlDeviceGetGpuInstanceId", "Number of its GPU instance"),
    (
        "mig_compute_instance_number",
        GAUGE,
        "nvmlDeviceGetComputeInstanceId",
        "Number of its compute instance",
    ),
    ("mig_multiprocessors_count", GAUGE, "nvmlDeviceGetAttributes_v2", "SMs of a MIG device"),
    ("mig_gpu_slices_count", GAUGE, "nvmlDeviceGetAttributes_v2", "Slices of its GPU instance"),
)

_IDENTITY_GPU = (
    ("serial", TEXT, "nvmlDeviceGetSerial", "Board serial number (data-centre boards)"),
    ("board_part_number", TEXT, "nvmlDeviceGetBoardPartNumber", "Part number in the inforom"),
    ("board_number", GAUGE, "nvmlDeviceGetBoardId", "Shared by the GPUs of one board"),
    ("minor_number", GAUGE, "nvmlDeviceGetMinorNumber", "N of /dev/nvidiaN"),
    ("module_number", GAUGE, "nvmlDeviceGetModuleId", "Position of an SXM module on its baseboard"),
    ("irq_number", GAUGE, "nvmlDeviceGetIrqNum", "Interrupt line"),
    ("numa_node_number", GAUGE, "nvmlDeviceGetNumaNodeId", "NUMA node of the GPU's memory"),
    ("cpu_affinity", TEXT, "nvmlDeviceGetCpuAffinity", "Mask of the nearest CPUs, hexadecimal"),
    (
        "topology_peers",
        TEXT,
        "nvmlDeviceGetTopologyCommonAncestor",
        "PCI address=level of each peer",
    ),
    ("p2p_nvlink_peers_count", GAUGE, "nvmlDeviceGetP2PStatus", "Peers reachable over NVLink"),
    ("brand_code", CODE, "nvmlDeviceGetBrand", "NVML_BRAND_*"),
    ("architecture_code", CODE, "nvmlDeviceGetArchitecture", "7 Ampere, 8 Ada, 9 Hopper"),
    ("pci_bus_id", TEXT, "nvmlDeviceGetPciInfo_v3", "domain:bus:device.function, 8-digit domain"),
    ("pci_device_id", TEXT, "nvmlDeviceGetPciInfo_v3", "vendor:device, as lspci writes it"),
    ("pci_subsystem_id", TEXT, "nvmlDeviceGetPciInfo_v3", "vendor:device of the board"),
    ("pdi", TEXT, "nvmlDeviceGetPdi", "Per-device identifier fused into the chip, hexadecimal"),
    ("kernel_uuid", TEXT, "/proc/driver/nvidia/gpus", "UUID by the kernel module, past NVML"),
    ("kernel_name", TEXT, "/proc/driver/nvidia/gpus", "Name by the kernel module, past NVML"),
    ("cuda_compute_capability", TEXT, "nvmlDeviceGetCudaComputeCapability", "major.minor"),
    ("gpu_cores", GAUGE, "nvmlDeviceGetNumGpuCores", "CUDA cores"),
    ("memory_bus_width_bits", GAUGE, "nvmlDeviceGetMemoryBusWidth", "Width of the memory bus"),
    ("bar1_total_bytes", GAUGE, "nvmlDeviceGetBAR1MemoryInfo", "Window of memory over PCIe"),
    ("sm_clock_max_megahertz", GAUGE, "nvmlDeviceGetMaxClockInfo", "Highest SM clock"),
    ("memory_clock_max_megahertz", GAUGE, "nvmlDeviceGetMaxClockInfo", "Highest memory clock"),
    (
        "power_limit_default_milliwatts",
        GAUGE,
        "nvmlDeviceGetPowerManagementDefaultLimit",
        "As made",
    ),
    ("power_limit_min_milliwatts", GAUGE, "nvmlDeviceGetPowerManagementLimitConstraints", "Lowest"),
    (
        "power_limit_max_milliwatts",
        GAUGE,
        "nvmlDeviceGetPowerManagementLimitConstraints",
        "Highest",
    ),
    ("pcie_link_max_generation", GAUGE, "nvmlDeviceGetMaxPcieLinkGeneration", "GPU and slot"),
    ("pcie_gpu_max_generation", GAUGE, "nvmlDeviceGetGpuMaxPcieLinkGeneration", "GPU alone"),
    ("pcie_link_width_max_lanes", GAUGE, "nvmlDeviceGetMaxPcieLinkWidth", "GPU and slot"),
    ("vbios_version", TEXT, "nvmlDeviceGetVbiosVersion", "Version of the video BIOS"),
    ("inforom_image_version", TEXT, "nvmlDeviceGetInforomImageVersion", "Version of the inforom"),
    (
        "inforom_checksum_number",
        GAUGE,
        "nvmlDeviceGetInforomConfigurationChecksum",
        "Of its settings",
    ),
    ("gsp_firmware_version", TEXT, "nvmlDeviceGetGspFirmwareVersion", "Firmware of the GSP"),
    ("gsp_mode_code", CODE, "nvmlDeviceGetGspFirmwareMode", "1 if the GSP runs the driver's core"),
    ("ecc_mode_code", CODE, "nvmlDeviceGetEccMode", "1 if ECC is on"),
    ("ecc_mode_pending_code", CODE, "nvmlDeviceGetEccMode", "ECC after the next reset"),
    ("mig_mode_code", CODE, "nvmlDeviceGetMigMode", "1 if MIG is on"),
    ("mig_mode_pending_code", CODE, "nvmlDeviceGetMigMode", "MIG after the next reset"),
    (
        "mig_devices_max_count",
        GAUGE,
        "nvmlDeviceGetMaxMigDeviceCount",
        "Most MIG devices, 0 if off",
    ),
    ("persistence_mode_code", CODE, "nvmlDeviceGetPersistenceMode", "1 if on"),
    ("compute_mode_code", CODE, "nvmlDeviceGetComputeMode", "0 default, 2 prohibited, 3 exclusive"),
    ("virtualization_mode_code", CODE, "nvmlDeviceGetVirtualizationMode", "0 none, 1 pass-through"),
    ("host_vgpu_mode_code", CODE, "nvmlDeviceGetHostVgpuMode", "0 non-SR-IOV, 1 SR-IOV"),
    ("platform_ib_guid", TEXT, "nvmlDeviceGetPlatformInfo", "InfiniBand GUID, hexadecimal"),
    ("platform_chassis_serial", TEXT, "nvmlDeviceGetPlatformInfo", "Of its chassis"),
    ("platform_slot_number", GAUGE, "nvmlDeviceGetPlatformInfo", "Slot in the chassis"),
    ("platform_tray_number", GAUGE, "nvmlDeviceGetPlatformInfo", "Tray among those that compute"),
    ("platform_host_number", GAUGE, "nvmlDeviceGetPlatformInfo", "Node in the slot"),
    ("platform_peer_type_code", CODE, "nvmlDeviceGetPlatformInfo", "Kind of its NVLink peers"),
    ("platform_module_number", GAUGE, "nvmlDeviceGetPlatformInfo", "GPU in the node"),
    ("nvlink_links", GAUGE, "nvmlDeviceGetNvLinkState", "NVLinks that the GPU has"),
    ("nvlink_version_code", CODE, "nvmlDeviceGetNvLinkVersion", "NVLink version of link 0"),
    ("fabric_cluster_uuid", TEXT, "nvmlDeviceGetGpuFabricInfoV", "NVLink fabric of the GPU"),
    ("fabric_clique_number", GAUGE, "nvmlDeviceGetGpuFabricInfoV", "Clique inside that fabric"),
    ("temperature_shutdown_celsius", GAUGE, "nvmlDeviceGetTemperatureThreshold", "Threshold 0"),
    ("temperature_slowdown_celsius", GAUGE, "nvmlDeviceGetTemperatureThreshold", "Threshold 1"),
    ("temperature_memory_max_celsius", GAUGE, "nvmlDeviceGetTemperatureThreshold", "Threshold 2"),
    ("temperature_gpu_max_celsius", GAUGE, "nvmlDeviceGetTemperatureThreshold", "Threshold 3"),
    ("temperature_margin_shutdown_celsius", GAUGE, "field 193", "Margin at which it shuts down"),
    ("temperature_margin_slowdown_celsius", GAUGE, "field 194", "Margin at which it slows down"),
    ("temperature_margin_memory_max_celsius", GAUGE, "field 195", "Margin at the memory's maximum"),
    ("temperature_margin_gpu_max_celsius", GAUGE, "field 196", "Margin at the GPU's maximum"),
)

_FAST_DEVICE = (("memory_used_bytes", GAUGE, "nvmlDeviceGetMemoryInfo", "Allocated memory"),)

_FAST_GPU = (
    ("utilization_gpu_percent", GAUGE, "nvmlDeviceGetUtilizationRates", "Some kernel ran"),
    ("utilization_memory_percent", GAUGE, "nvmlDeviceGetUtilizationRates", "Memory was accessed"),
    ("sm_clock_megahertz", GAUGE, "nvmlDeviceGetClockInfo", "SM clock now"),
    ("memory_clock_megahertz", GAUGE, "nvmlDeviceGetClockInfo", "Memory clock now"),
    ("temperature_gpu_celsius", GAUGE, "nvmlDeviceGetTemperatureV", "GPU core"),
    ("temperature_memory_celsius", GAUGE, "field 82", "HBM"),
    (
        "power_draw_milliwatts",
        GAUGE,
        "nvmlDeviceGetPowerUsage",
        "Mean of 1 s, from Ampere (not A100)",
    ),
    ("power_draw_instant_milliwatts", GAUGE, "field 186", "Instantaneous power"),
    ("power_limit_enforced_milliwatts", GAUGE, "nvmlDeviceGetEnforcedPowerLimit", "Lowest limiter"),
    ("power_limit_requested_milliwatts", GAUGE, "field 192", "Limit that an administrator set"),
    ("energy_millijoules", COUNTER, "field 83", "Energy since the driver was loaded"),
    ("clocks_event_reasons_flags", FLAGS, "nvmlDeviceGetCurrentClocksEventReasons", "Limiters now"),
    ("clocks_event_sw_power_cap_microseconds", COUNTER, "field 74", "Held back by the power limit"),
    ("clocks_event_sync_boost_microseconds", COUNTER, "field 76", "Held back by a sync-boost peer"),
    ("clocks_event_sw_thermal_microseconds", COUNTER, "field 269", "Held back by heat, software"),
    ("clocks_event_hw_thermal_microseconds", COUNTER, "field 270", "Held back by heat, hardware"),
    ("clocks_event_hw_power_brake_microseconds", COUNTER, "field 271", "Held back from outside"),
    (
        "pcie_link_generation",
        GAUGE,
        "nvmlDeviceGetCurrPcieLinkGeneration",
        "Falls at idle by design",
    ),
    (
        "pcie_link_width_lanes",
        GAUGE,
        "nvmlDeviceGetCurrPcieLinkWidth",
        "May fall at idle by design",
    ),
    ("pcie_replay_count", COUNTER, "field 94", "Replayed packets"),
    ("pcie_transmitted_kibibytes", COUNTER, "field 197", "Sent over PCIe; may wrap"),
    ("pcie_received_kibibytes", COUNTER, "field 198", "Received over PCIe; may wrap"),
    ("nvlink_transmitted_kibibytes", COUNTER, "field 138", "Data sent over all NVLinks"),
    ("nvlink_received_kibibytes", COUNTER, "field 139", "Data received over all NVLinks"),
    (
        "recovery_action_code",
        CODE,
        "field 230",
        "0 none, 1 reset, 2 reboot, 3 drain, 4 drain + reset, 5 recover IMEX domain, 6 bus reset, 7 system reboot",
    ),
)

_ECC = tuple(
    (f"ecc_{what}_{error}_{since}_count", COUNTER, call, f"{error} ECC errors, {where}, {since}")
    for what, call, where in (
        ("total", "nvmlDeviceGetTotalEccErrors", "all memories"),
        ("dram", "nvmlDeviceGetMemoryErrorCounter", "device memory"),
        ("sram", "nvmlDeviceGetMemoryErrorCounter", "on-chip memory"),
    )
    for error in ("corrected", "uncorrected")
    for since in ("volatile", "aggregate")
)

_PROFILES = "nvmlDeviceWorkloadPowerProfileGetCurrentProfiles"

_POWER_SMOOTHING = tuple(
    (f"power_smoothing_{name}", kind, f"field {number}", text)
    for number, name, kind, text in (
        (251, "code", CODE, "1 if on"),
        (254, "ceiling_watts", GAUGE, "Ceiling in effect"),
        (255, "floor_watts", GAUGE, "Floor in effect"),
        (264, "profile_number", GAUGE, "Preset profile in effect"),
        (275, "primary_floor_watts", GAUGE, "Primary floor now"),
        (276, "secondary_floor_watts", GAUGE, "Floor while there is work"),
        (277, "least_offset_watts", GAUGE, "Least offset that the driver takes"),
        (278, "least_point_watts", GAUGE, "Least power at which the primary floor comes"),
        (279, "window_milliseconds", GAUGE, "What a window counts"),
        (280, "delayed_code", CODE, "1 if delayed power smoothing is supported"),
        (281, "preset_secondary_floor_watts", GAUGE, "Secondary floor of preset profile 0"),
        (
            282,
            "preset_activation_windows_count",
            GAUGE,
            "Windows until the primary floor comes, profile 0",
        ),
        (
            283,
            "preset_target_windows_count",
            GAUGE,
            "Windows that set the primary floor, profile 0",
        ),
        (284, "preset_offset_watts", GAUGE, "Above the secondary floor, profile 0"),
        (285, "override_secondary_floor_watts", GAUGE, "Secondary floor that an administrator set"),
        (
            286,
            "override_activation_windows_count",
            GAUGE,
            "Windows until the primary floor comes, as set",
        ),
        (287, "override_target_windows_count", GAUGE, "Windows that set the primary floor, as set"),
        (288, "override_offset_watts", GAUGE, "Above the secondary floor, as set"),
    )
)

_SLOW_GPU = (
    *_ECC,
    ("ecc_sram_threshold_exceeded_code", CODE, "nvmlDeviceGetSramEccErrorStatus", "1 if exceeded"),
    ("remapped_correctable_rows", COUNTER, "nvmlDeviceGetRemappedRows", "After correctable errors"),
    (
        "remapped_uncorrectable_rows",
        COUNTER,
        "nvmlDeviceGetRemappedRows",
        "After uncorrectable ones",
    ),
    ("remap_pending_code", CODE, "nvmlDeviceGetRemappedRows", "1 if a reset is needed"),
    ("remap_failure_code", CODE, "nvmlDeviceGetRemappedRows", "1 if a remapping failed"),
    ("remap_availability_max_banks", GAUGE, "nvmlDeviceGetRowRemapperHistogram", "All spares left"),
    ("remap_availability_high_banks", GAUGE, "nvmlDeviceGetRowRemapperHistogram", "Most left"),
    ("remap_availability_partial_banks", GAUGE, "nvmlDeviceGetRowRemapperHistogram", "Some left"),
    ("remap_availability_low_banks", GAUGE, "nvmlDeviceGetRowRemapperHistogram", "Few left"),
    ("remap_availability_none_banks", GAUGE, "nvmlDeviceGetRowRemapperHistogram", "None left"),
    ("nvlink_active_links", GAUGE, "nvmlDeviceGetNvLinkState", "NVLinks that are up (state 1)"),
    ("nvlink_replay_count", COUNTER, "nvmlDeviceGetNvLinkErrorCounter", "Replays, all links"),
    ("nvlink_recovery_count", COUNTER, "nvmlDeviceGetNvLinkErrorCounter", "Recoveries, all links"),
    ("nvlink_crc_flit_count", COUNTER, "nvmlDeviceGetNvLinkErrorCounter", "CRC errors, all links"),
    ("pcie_replay_rollover_count", COUNTER, "field 95", "Overflows of the replay counter"),
    ("pcie_recovery_count", COUNTER, "field 169", "Link recoveries out of L0"),
    ("pcie_correctable_errors_count", COUNTER, "field 173", "Correctable errors"),
    ("pcie_naks_received_count", COUNTER, "field 174", "Negative acknowledgements received"),
    ("pcie_receiver_errors_count", COUNTER, "field 175", "Receiver errors"),
    ("pcie_bad_tlp_count", COUNTER, "field 176", "Bad transaction-layer packets"),
    ("pcie_naks_sent_count", COUNTER, "field 177", "Negative acknowledgements sent"),
    ("pcie_bad_dllp_count", COUNTER, "field 178", "Bad link-layer packets"),
    ("pcie_non_fatal_errors_count", COUNTER, "field 179", "Non-fatal errors"),
    ("pcie_fatal_errors_count", COUNTER, "field 180", "Fatal errors"),
    ("pcie_unsupported_requests_count", COUNTER, "field 181", "Unsupported requests"),
    ("pcie_lcrc_errors_count", COUNTER, "field 182", "Link CRC errors"),
    ("pcie_lane_errors_count", COUNTER, "field 183", "Lane errors"),
    (
        "fabric_state_code",
        CODE,
        "nvmlDeviceGetGpuFabricInfoV",
        "0 none, 1 not started, 2 in progress, 3 completed",
    ),
    (
        "fabric_status_code",
        CODE,
        "nvmlDeviceGetGpuFabricInfoV",
        "Registration's error code, once completed",
    ),
    ("fabric_health_flags", FLAGS, "nvmlDeviceGetGpuFabricInfoV", "Health mask of the fabric"),
    ("performance_state_code", CODE, "nvmlDeviceGetPerformanceState", "0 fastest to 15 slowest"),
    ("encoder_utilization_percent", GAUGE, "nvmlDeviceGetEncoderUtilization", "Video encoder"),
    ("decoder_utilization_percent", GAUGE, "nvmlDeviceGetDecoderUtilization", "Video decoder"),
    ("fan_speed_percent", GAUGE, "nvmlDeviceGetFanSpeed_v2", "Fan 0; passive boards have none"),
    (
        "sm_clock_application_megahertz",
        GAUGE,
        "nvmlDeviceGetApplicationsClock",
        "SM clock asked for",
    ),
    ("memory_clock_application_megahertz", GAUGE, "nvmlDeviceGetApplicationsClock", "Memory clock"),
)

_SELDOM_GPU = (
    ("retired_corrected_pages", COUNTER, "field 29", "Retired after single-bit errors (to Volta)"),
    (
        "retired_uncorrected_pages",
        COUNTER,
        "field 30",
        "Retired after double-bit errors (to Volta)",
    ),
    ("retired_pending_code", CODE, "field 31", "1 if pages wait for a reset (to Volta)"),
    ("graphics_active_permyriad", GAUGE, "GPM metric 1", "Mean since the last sweep; Hopper on"),
    ("sm_active_permyriad", GAUGE, "GPM metric 2", "Multiprocessors at work; Hopper on"),
    ("sm_occupancy_permyriad", GAUGE, "GPM metric 3", "Warps resident; Hopper on"),
    ("tensor_active_permyriad", GAUGE, "GPM metric 5", "Tensor pipes at work; Hopper on"),
    ("dram_active_permyriad", GAUGE, "GPM metric 10", "Memory bandwidth in use; Hopper on"),
    (
        "unrepairable_memory_code",
        CODE,
        "nvmlDeviceGetUnrepairableMemoryFlag_v1",
        "1 if there is any",
    ),
    ("bank_remap_active_banks", GAUGE, "nvmlDeviceGetBankRemapperStatus_v1", "Remapped, in effect"),
    ("bank_remap_inactive_banks", GAUGE, "nvmlDeviceGetBankRemapperStatus_v1", "Not in effect"),
    (
        "bank_remap_pending_code",
        CODE,
        "nvmlDeviceGetBankRemapperStatus_v1",
        "1 if a reset is needed",
    ),
    (
        "bank_remap_availability_max_banks",
        GAUGE,
        "nvmlDeviceGetBankRemapperStatus_v1",
        "Groups with all spares left",
    ),
    (
        "bank_remap_availability_none_banks",
        GAUGE,
        "nvmlDeviceGetBankRemapperStatus_v1",
        "Groups with none left",
    ),
    (
        "memory_limit_bytes",
        GAUGE,
        "nvmlDeviceGetMemoryLimits_v1",
        "Most for the agent's own cgroup",
    ),
    ("nvlink_down_links", GAUGE, "nvmlDeviceGetNvLinkState", "NVLinks that are down (state 0)"),
    ("nvlink_sleeping_links", GAUGE, "nvmlDeviceGetNvLinkState", "NVLinks asleep (state 2)"),
    ("nvlink_quiet_links", GAUGE, "nvmlDeviceGetNvLinkState", "Up, and no traffic let (state 3)"),
    ("nvlink_unreadable_links", GAUGE, "nvmlDeviceGetNvLinkState", "NVLinks that tell no state"),
    (
        "fabric_health_code",
        CODE,
        "nvmlDeviceGetGpuFabricInfoV",
        "0 not said, 1 healthy, 2 unhealthy, 3 limited capacity",
    ),
    ("clocks_event_thermal_microseconds", COUNTER, "field 75", "Held back by heat, whoever did"),
    (
        "clocks_event_board_limit_microseconds",
        COUNTER,
        "field 77",
        "Held back by the board's limit",
    ),
    ("clocks_event_reliability_microseconds", COUNTER, "field 79", "Held back to be reliable"),
    (
        "temperature_gpu_hottest_celsius",
        GAUGE,
        "nvmlDeviceGetTemperatureV",
        "Hottest place of the die",
    ),
    (
        "temperature_margin_celsius",
        GAUGE,
        "nvmlDeviceGetMarginTemperature",
        "Left until clocks are lowered",
    ),
    (
        "adaptive_tgp_code",
        CODE,
        "nvmlDeviceGetAdaptiveTgpModeInfo_v1",
        "1 if the power limit moves",
    ),
    (
        "adaptive_tgp_limit_milliwatts",
        GAUGE,
        "nvmlDeviceGetAdaptiveTgpModeInfo_v1",
        "Where it moved the limit",
    ),
    ("edpp_multiplier_percent", GAUGE, "field 274", "Of the peak current that is allowed"),
    ("power_profiles_requested_flags", FLAGS, _PROFILES, "Workload power profiles asked for"),
    ("power_profiles_enforced_flags", FLAGS, _PROFILES, "Workload power profiles in effect"),
    *_POWER_SMOOTHING,
)
"""What some cards and drivers have. Where no device of a node has one of them, its samples do not speak of it."""

_IDENTITY_TARGET = (
    ("target_node_name", TEXT, "the witness's command line", "Node behind the target"),
    ("target_address", TEXT, "the witness's command line", "How the witness tries to reach it"),
)

_FAST_TARGET = (
    ("reached_code", CODE, "one attempt", "1 answered, 0 no answer in 3 s, 2 refused"),
    ("connect_microseconds", GAUGE, "one attempt", "Until TCP or the echo answered"),
    ("handshake_microseconds", GAUGE, "one attempt", "From there to the end of TLS's handshake"),
)


def _rows() -> Iterator[Reading]:
    groups = (
        (Tier.IDENTITY, Scope.NODE, _NODE),
        (Tier.IDENTITY, Scope.DEVICE, _IDENTITY_DEVICE),
        (Tier.IDENTITY, Scope.MIG, _IDENTITY_MIG),
        (Tier.IDENTITY, Scope.GPU, _IDENTITY_GPU),
        (Tier.FAST, Scope.DEVICE, _FAST_DEVICE),
        (Tier.FAST, Scope.GPU, _FAST_GPU),
        (Tier.SLOW, Scope.GPU, _SLOW_GPU),
        (Tier.SLOW, Scope.GPU, _SELDOM_GPU),
        (Tier.IDENTITY, Scope.TARGET, _IDENTITY_TARGET),
        (Tier.FAST, Scope.TARGET, _FAST_TARGET),
    )
    for tier, scope, group in groups:
        for name, kind, source, text in group:
            unit = "" if kind is TEXT else name.rpartition("_")[2]
            bounds = BOUNDS_OF.get(name, BOUNDS.get(unit))
            yield Reading(name, unit, kind, tier, scope, source, text, bounds)


READINGS: tuple[Reading, ...] = tuple(_rows())
READING: Mapping[str, Reading] = MappingProxyType({row.name: row for row in READINGS})
SELDOM = frozenset(name for name, *_ in _SELDOM_GPU)
