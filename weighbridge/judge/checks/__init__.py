"""The checks: one file per check, and the tuple that lists them. To add a check, add a file and a line.

A check is a pure function of the promise and of what a node last showed. It answers for each subject it can name:
met, breached, or unknown. It runs only when something it watches has changed.
"""

from weighbridge.judge.checks.bounds import BOUND_BROKEN
from weighbridge.judge.checks.check import (
    Answer,
    BoundTally,
    Check,
    CheckContext,
    Effect,
    Promise,
    Severity,
)
from weighbridge.judge.checks.clocks import CLOCK_CAPPED, MEMORY_CLOCK_CAPPED
from weighbridge.judge.checks.consistency import CARD_INCONSISTENT
from weighbridge.judge.checks.driver import DRIVER_NOT_ALLOWED
from weighbridge.judge.checks.ecc import ECC_OFF
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.checks.exclusivity import FOREIGN_PROCESS
from weighbridge.judge.checks.fabric import FABRIC_NOT_JOINED, FABRIC_UNHEALTHY
from weighbridge.judge.checks.health import (
    ECC_SRAM_EXCEEDED,
    ECC_UNCORRECTED,
    MEMORY_UNREPAIRABLE,
    RECOVERY_NEEDED,
    REMAP_EXHAUSTED,
    REMAP_FAILED,
    REMAP_PENDING,
)
from weighbridge.judge.checks.host import CPU_MISMATCH, HOST_MEMORY_SHORT, NVME_SHORT
from weighbridge.judge.checks.hours import (
    COUNTERS_BACKWARDS,
    ENERGY_IMPLAUSIBLE,
    MEMORY_UNACCOUNTED,
    READINGS_BEYOND,
    READINGS_CONSTANT,
    READINGS_COPIED,
    READINGS_DISCORDANT,
)
from weighbridge.judge.checks.identity import SKU_MISMATCH
from weighbridge.judge.checks.interconnect import NVLINK_APART, NVLINK_DOWN, NVLINK_OLD
from weighbridge.judge.checks.kernel_identity import IDENTITY_DISPUTED
from weighbridge.judge.checks.memory import MEMORY_PARTITIONED, MEMORY_SHORT
from weighbridge.judge.checks.mig import MIG_ON
from weighbridge.judge.checks.pcie import PCIE_NARROW, PCIE_SLOW
from weighbridge.judge.checks.ports import FABRIC_PORT_FLAPPED, FABRIC_PORTS_DOWN
from weighbridge.judge.checks.power import POWER_CAPPED
from weighbridge.judge.checks.presence import GPU_LOST, GPU_MISSING
from weighbridge.judge.checks.second_source import SOURCES_DISAGREE
from weighbridge.judge.checks.throttling import THROTTLED
from weighbridge.judge.checks.twins import IDENTITY_SHARED
from weighbridge.judge.checks.virtualization import VIRTUALIZATION_MISMATCH
from weighbridge.judge.checks.xid import (
    SXID_FATAL,
    XID_DEGRADED,
    XID_FATAL,
    XID_OPEN,
    XID_UNPLACED,
)

CHECKS: tuple[Check, ...] = (
    GPU_MISSING,
    GPU_LOST,
    DEVICE_EXCHANGED,
    XID_FATAL,
    XID_OPEN,
    XID_DEGRADED,
    XID_UNPLACED,
    SXID_FATAL,
    SKU_MISMATCH,
    MEMORY_SHORT,
    MEMORY_PARTITIONED,
    POWER_CAPPED,
    CLOCK_CAPPED,
    MEMORY_CLOCK_CAPPED,
    PCIE_NARROW,
    PCIE_SLOW,
    NVLINK_DOWN,
    NVLINK_OLD,
    NVLINK_APART,
    FABRIC_NOT_JOINED,
    FABRIC_UNHEALTHY,
    RECOVERY_NEEDED,
    REMAP_FAILED,
    REMAP_PENDING,
    REMAP_EXHAUSTED,
    MEMORY_UNREPAIRABLE,
    ECC_UNCORRECTED,
    ECC_SRAM_EXCEEDED,
    ECC_OFF,
    MIG_ON,
    VIRTUALIZATION_MISMATCH,
    FOREIGN_PROCESS,
    THROTTLED,
    DRIVER_NOT_ALLOWED,
    CPU_MISMATCH,
    HOST_MEMORY_SHORT,
    NVME_SHORT,
    FABRIC_PORTS_DOWN,
    FABRIC_PORT_FLAPPED,
    BOUND_BROKEN,
    CARD_INCONSISTENT,
    IDENTITY_SHARED,
    SOURCES_DISAGREE,
    IDENTITY_DISPUTED,
    READINGS_CONSTANT,
    READINGS_COPIED,
    READINGS_BEYOND,
    READINGS_DISCORDANT,
    ENERGY_IMPLAUSIBLE,
    COUNTERS_BACKWARDS,
    MEMORY_UNACCOUNTED,
)

__all__ = [
    "CHECKS",
    "Answer",
    "BoundTally",
    "Check",
    "CheckContext",
    "Effect",
    "Promise",
    "Severity",
]
