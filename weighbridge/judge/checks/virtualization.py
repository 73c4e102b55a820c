"""Delivered in another form than promised: a virtual machine or a share of a card in place of the metal."""

from collections.abc import Iterator

from weighbridge.judge.checks.check import Answer, Check, CheckContext, Effect, is_code
from weighbridge.judge.latest_readings import INVENTORY

MODES = {"bare_metal": 0, "container": 0, "vm_passthrough": 1, "vgpu": 2}
"""NVML_GPU_VIRTUALIZATION_MODE_*: none, pass-through, vGPU. A MIG lease is judged by its devices."""


def as_promised(context: CheckContext) -> Iterator[Answer]:
    """What the driver sees from inside."""
    promised = context.promise.resource.virtualization
    if promised in MODES:
        yield from is_code(context, "virtualization_mode_code", MODES[promised], promised)


VIRTUALIZATION_MISMATCH = Check(
    code="virtualization_mismatch",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=as_promised,
)
