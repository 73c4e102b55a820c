"""Structures of NVML calls that the drivers of 2024 to 2026 brought, laid out as nvml.h has them.

Seen in nvml.h of nvidia-nvml-dev 13.1.68 to 13.4.92. They are ours so that no release of the binding has to know them,
and because nvidia-ml-py 13.615.71 has two of them otherwise: it puts a version before the one member of
nvmlUnrepairableMemoryStatus_v1_t, and reads the GUIDs of nvmlPlatformInfo_t as text.
"""

import ctypes
from ctypes import c_char_p, c_int, c_ubyte, c_uint, c_ulonglong

MOST_CLIQUES = 64
UNICAST_POINTER = 0
MASK_WORDS = 8


class PlatformInfo(ctypes.Structure):
    """nvmlPlatformInfo_v1_t and _v2_t: one layout, whose members changed their names."""

    _fields_ = (
        ("version", c_uint),
        ("ibGuid", c_ubyte * 16),
        ("chassisSerialNumber", c_ubyte * 16),
        ("slotNumber", c_ubyte),
        ("trayIndex", c_ubyte),
        ("hostId", c_ubyte),
        ("peerType", c_ubyte),
        ("moduleId", c_ubyte),
    )


class FabricClique(ctypes.Structure):
    """nvmlGpuFabricClique_v1_t."""

    _fields_ = (("type", c_ubyte), ("id", c_uint))


class Fabric4(ctypes.Structure):
    """nvmlGpuFabricInfo_v4_t: a list of cliques by type in the place of one, and no version."""

    _fields_ = (
        ("clusterUuid", c_ubyte * 16),
        ("status", c_uint),
        ("cliques", FabricClique * MOST_CLIQUES),
        ("numCliques", c_uint),
        ("state", c_ubyte),
        ("healthMask", c_uint),
        ("healthSummary", c_ubyte),
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


class LinkTotals(ctypes.Structure):
    """Ours: NVLinks by state, as one look at all of them counts them."""

    _fields_ = tuple(
        (name, c_uint) for name in ("links", "down", "active", "sleeping", "quiet", "unreadable")
    )
