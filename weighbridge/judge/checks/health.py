"""Faults of a card that its driver tells of: what it must have done to it, and what became of its memory.

No contract need name them. The driver's own words, by NVML_GPU_RECOVERY_ACTION_* and the calls that the catalogue
names.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from weighbridge.catalogue.spoken import recovery_action
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Severity,
    sound,
)
from weighbridge.judge.latest_readings import INVENTORY, RECOVERY

Told = Mapping[str, int]

SRAM = "ecc_sram_threshold_exceeded_code"
FAILED = ("remap_failure_code",)
PENDING = ("remap_pending_code", "bank_remap_pending_code", "retired_pending_code")
NONE_LEFT = ("remap_availability_none_banks", "bank_remap_availability_none_banks")
UNREPAIRABLE = ("unrepairable_memory_code",)
TOTAL = "ecc_total_uncorrected_volatile_count"
UNCORRECTED = (
    TOTAL,
    "ecc_dram_uncorrected_volatile_count",
    "ecc_sram_uncorrected_volatile_count",
)


def action(told: Told) -> str:
    """What the driver asks for, by name."""
    code = told.get(RECOVERY, 0)
    return "" if code == 0 else recovery_action(code)


def named(told: Told) -> str:
    """The readings that are not 0, each with its value."""
    return "; ".join(f"{name} {value}" for name, value in told.items() if value)


def uncorrected(told: Told) -> str:
    """The count of all memories, or else those that are told of."""
    return named({TOTAL: told[TOTAL]} if told.get(TOTAL) else told)


def _check(
    code: str,
    expected: str,
    readings: Sequence[str],
    odd: Callable[[Told], str] = named,
    *,
    severity: Severity = Severity.ERROR,
    effect: Effect = Effect.DEGRADED,
) -> Check:
    def judge(context: CheckContext) -> Iterator[Answer]:
        yield from sound(context, expected, readings, odd)

    return Check(
        code=code,
        at_delivery=True,
        watches=frozenset({INVENTORY, *readings}),
        judge=judge,
        severity=severity,
        effect=effect,
        each=True,
    )


RECOVERY_NEEDED = _check("recovery_needed", "no recovery action", (RECOVERY,), action)
"""Open: what a program did can need a reset too. Degraded: whether work still runs the driver does not say; an XID or a
lost device says that it does not."""
REMAP_FAILED = _check("remap_failed", "no remapping of memory that failed", FAILED)
REMAP_PENDING = _check(
    "remap_pending",
    "no remapping of memory that waits for a reset",
    PENDING,
    severity=Severity.WARNING,
    effect=Effect.NONE,
)
"""No effect: the memory in question is out of use until the reset, and the card goes on."""
REMAP_EXHAUSTED = _check(
    "remap_exhausted",
    "spares left in every bank",
    NONE_LEFT,
    severity=Severity.WARNING,
    effect=Effect.NONE,
)
"""No effect: nothing is broken yet, and the next error of that bank cannot be mended."""
MEMORY_UNREPAIRABLE = _check("memory_unrepairable", "no memory past repair", UNREPAIRABLE)
ECC_UNCORRECTED = _check(
    "ecc_uncorrected",
    "no uncorrected ECC error since the driver was loaded",
    UNCORRECTED,
    uncorrected,
    severity=Severity.WARNING,
    effect=Effect.NONE,
)
"""No effect: what an error ended is past; the XID that tells of it says whether the card can go on."""
ECC_SRAM_EXCEEDED = _check(
    "ecc_sram_exceeded", "fewer errors of on-chip memory than the threshold", (SRAM,)
)
"""NVIDIA's threshold for replacing the card."""
