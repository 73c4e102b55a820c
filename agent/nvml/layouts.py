"""Structures of nvml.h that the binding lacks in some release that may be installed, or has had wrong in one.

They are what drivers write and no more: a structure says by its `version` how large it is, and the ones without are
fixed for the life of their function. Source: nvml.h of CUDA 11.4 to 13.3, and of driver 615 for the events.
"""

import ctypes
from ctypes import c_char, c_int, c_ubyte, c_uint, c_ulonglong, c_ushort

VERSION_SHIFT = 24
FABRIC_UUID_BYTES = 16
UUID_BYTES = 96


def versioned(structure: type[ctypes.Structure], version: int) -> ctypes.Structure:
    """One that asks for this version of itself: NVML_STRUCT_VERSION."""
    return structure(ctypes.sizeof(structure) | version << VERSION_SHIFT)


class FabricInfo1(ctypes.Structure):
    """nvmlGpuFabricInfo_t. The binding gave it a UUID of 80 bytes, and so wrong numbers, up to 13.610.43."""

    _fields_ = (
        ("clusterUuid", c_ubyte * FABRIC_UUID_BYTES),
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


class Pdi1(ctypes.Structure):
    """nvmlPdi_v1_t. Not in the binding before 13.580.65."""

    _fields_ = (("version", c_uint), ("value", c_ulonglong))


class Temperature1(ctypes.Structure):
    """nvmlTemperature_v1_t. Not in the binding before 12.570.86."""

    _fields_ = (("version", c_uint), ("sensorType", c_uint), ("temperature", c_int))


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
