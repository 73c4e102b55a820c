"""Structures of nvml.h that are laid out here, and not taken from the binding.

Some release of nvidia-ml-py that may be installed lacks each of them, or has it otherwise than drivers write it:
nvmlGpuFabricInfo_t up to 13.610.43, nvmlUnrepairableMemoryStatus_v1_t and the GUIDs of nvmlPlatformInfo_t in 13.615.71.
A structure says by its `version` how large it is; one without is fixed for the life of its function. Source: nvml.h of
CUDA 11.4 to 13.4, and of driver 615 for the events.
"""

import ctypes
from ctypes import c_char, c_char_p, c_int, c_ubyte, c_uint, c_ulonglong, c_ushort

VERSION_SHIFT = 24
UUID_BYTES = 96
GUID_BYTES = 16
MOST_CLIQUES = 64
UNICAST_POINTER = 0
MASK_WORDS = 8


def versioned(structure: type[ctypes.Structure], version: int) -> ctypes.Structure:
    """One that asks for this version of itself: NVML_STRUCT_VERSION."""
    return structure(ctypes.sizeof(structure) | version << VERSION_SHIFT)


class FabricInfo1(ctypes.Structure):
    """nvmlGpuFabricInfo_t. The binding gave it a UUID of 80 bytes, and so wrong numbers, up to 13.610.43."""

    _fields_ = (
        ("clusterUuid", c_ubyte * GUID_BYTES),
        ("status", c_int),
        ("cliqueId", c_uint),
        ("state", c_ubyte),
    )


class FabricInfo2(ctypes.Structure):
    """nvmlGpuFabricInfo_v2_t. Not by this name in the binding before 13.580.65."""

    _fields_ = (("version", c_uint), *FabricInfo1._fields_, ("healthMask", c_uint))


class FabricInfo3(ctypes.Structure):
    """nvmlGpuFabricInfo_v3_t. Not in the binding before 13.580.65."""

    _fields_ = (*FabricInfo2._fields_, ("healthSummary", c_ubyte))


class FabricClique(ctypes.Structure):
    """nvmlGpuFabricClique_v1_t."""

    _fields_ = (("type", c_ubyte), ("id", c_uint))


class FabricInfo4(ctypes.Structure):
    """nvmlGpuFabricInfo_v4_t: a list of cliques by type in the place of one, and no version."""

    _fields_ = (
        ("clusterUuid", c_ubyte * GUID_BYTES),
        ("status", c_uint),
        ("cliques", FabricClique * MOST_CLIQUES),
        ("numCliques", c_uint),
        ("state", c_ubyte),
        ("healthMask", c_uint),
        ("healthSummary", c_ubyte),
    )


class Pdi1(ctypes.Structure):
    """nvmlPdi_v1_t. Not in the binding before 13.580.65."""

    _fields_ = (("version", c_uint), ("value", c_ulonglong))


class Temperature1(ctypes.Structure):
    """nvmlTemperature_v1_t. Not in the binding before 12.570.86."""

    _fields_ = (("version", c_uint), ("sensorType", c_uint), ("temperature", c_int))


class PlatformInfo(ctypes.Structure):
    """nvmlPlatformInfo_v1_t and _v2_t: one layout, whose members changed their names."""

    _fields_ = (
        ("version", c_uint),
        ("ibGuid", c_ubyte * GUID_BYTES),
        ("chassisSerialNumber", c_ubyte * GUID_BYTES),
        ("slotNumber", c_ubyte),
        ("trayIndex", c_ubyte),
        ("hostId", c_ubyte),
        ("peerType", c_ubyte),
        ("moduleId", c_ubyte),
    )


class MemoryLimits(ctypes.Structure):
    """nvmlGetMemoryLimits_v1_t."""

    _fields_ = (
        ("nameSpace", c_char_p),
        ("softLimit", c_ulonglong),
        ("hardLimit", c_ulonglong),
        ("currentUsed", c_ulonglong),
    )


class AdaptiveTgp(ctypes.Structure):
    """nvmlAdaptiveTgpModeInfo_v1_t."""

    _fields_ = (
        ("inBandEnableRequest", c_uint),
        ("featureAllowedByAdmin", c_uint),
        ("adminOverrideEnabled", c_uint),
        ("enablementStatus", c_uint),
        ("adjustedLimitMw", c_uint),
    )


class BankRemapper(ctypes.Structure):
    """nvmlEccBankRemapperStatus_v1_t, with its histogram in place."""

    _fields_ = (
        ("activeRemappings", c_uint),
        ("inactiveRemappings", c_uint),
        ("bPending", c_uint),
        ("maxSpareGroupCount", c_uint),
        ("noSpareGroupCount", c_uint),
    )


class UnrepairableMemory(ctypes.Structure):
    """nvmlUnrepairableMemoryStatus_v1_t is `first` alone; the binding hands over a version there and reads `second`."""

    _fields_ = (("first", c_uint), ("second", c_uint))


class MarginTemperature(ctypes.Structure):
    """nvmlMarginTemperature_v1_t."""

    _fields_ = (("version", c_uint), ("marginTemperature", c_int))


class PowerProfiles(ctypes.Structure):
    """nvmlWorkloadPowerProfileCurrentProfiles_v1_t."""

    _fields_ = (
        ("version", c_uint),
        ("perfProfilesMask", c_uint * MASK_WORDS),
        ("requestedProfilesMask", c_uint * MASK_WORDS),
        ("enforcedProfilesMask", c_uint * MASK_WORDS),
    )


class ProcessInfo1(ctypes.Structure):
    """nvmlProcessInfo_v1_t: before GPU instances."""

    _fields_ = (("pid", c_uint), ("usedGpuMemory", c_ulonglong))


class ProcessInfo2(ctypes.Structure):
    """nvmlProcessInfo_v2_t."""

    _fields_ = (*ProcessInfo1._fields_, ("gpuInstanceId", c_uint), ("computeInstanceId", c_uint))


class WideProcessInfo(ctypes.Structure):
    """What drivers 535.43 to 535.86 write under `_v3`, where all others write nvmlProcessInfo_v2_t."""

    _fields_ = (*ProcessInfo2._fields_, ("usedGpuCcProtectedMemory", c_ulonglong))


class OperationalConfig1(ctypes.Structure):
    """nvmlGpuOperationalEventConfig_v1_t, of R615: what of one GPU's operational events a set is told."""

    _fields_ = (
        ("uuid", c_char * UUID_BYTES),
        ("minLogLevel", c_uint),
        ("minSeverity", c_uint),
    )


class EventWait3(ctypes.Structure):
    """nvmlEventSetWait_v3_t, of R615: the time to wait goes in, either kind of event comes out."""

    _fields_ = (
        ("timeoutMs", c_uint),
        ("dataType", c_uint),
        ("uuid", c_char * UUID_BYTES),
        ("sourceModule", c_char * 16),
        ("eventType", c_ulonglong),
        ("eventData", c_ulonglong),
        ("groupCursor", c_ulonglong),
        ("instanceId", c_ulonglong),
        ("timestampUsec", c_ulonglong),
        ("traceId", c_ulonglong),
        ("gpuInstanceId", c_uint),
        ("computeInstanceId", c_uint),
        ("severity", c_uint),
        ("categoryId", c_uint),
        ("moduleEventCode", c_uint),
        ("scope", c_uint),
        ("originator", c_uint),
        ("moduleInstance", c_uint),
        ("chipletId", c_uint),
        ("logLevel", c_uint),
        ("attributes", c_uint),
        ("groupCperSize", c_uint),
        ("groupAttributes", c_uint),
        ("groupSize", c_ubyte),
        ("groupIndex", c_ubyte),
    )


class ContextInfo1(ctypes.Structure):
    """nvmlEventSetGetContextInfo_v1_t, of R615: the kind of one thing that the newest event of a set carries."""

    _fields_ = (
        ("index", c_uint),
        ("nvmlGpuOperationalEventContextType", c_uint),
        ("sourceEventContextType", c_uint),
        ("dataSize", c_uint),
        ("dataFormatVersion", c_ushort),
    )


class LegacyXid1(ctypes.Structure):
    """nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1_t, of R615."""

    _fields_ = (("index", c_uint), ("xidCode", c_uint))
