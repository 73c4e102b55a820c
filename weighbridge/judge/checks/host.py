"""What the cards sit in: another processor, less memory or less local storage than promised."""

import re
from collections.abc import Iterator

from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    breached,
    decide,
    doubted,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, fact
from weighbridge.wire.report import Reason

KEPT_SHARE, KEPT_BYTES = (3, 100), 2 << 30
"""What firmware and kernel may keep of the memory that was promised: 3 % and 2 GiB.

The kernel's page table is 1.6 % (64 bytes a page of 4 KiB), that of encrypted guests 0.4 %; firmware and the memory for
crash dumps are of a fixed size. One module of 32 is 3.1 %, so that one which is missing is found.
"""

NAMELESS = re.compile(r"unknown|0x[0-9a-f]+")
"""What a processor is called that has no name: Arm's show the number of a part."""
_MARKS = re.compile(r"\((?:r|tm|c)\)|[®™]|\bcpu\b|\bprocessor\b|@.*")


def same_processor(context: CheckContext) -> Iterator[Answer]:
    """Every word of the contract's must be a word of the processor's name. In a virtual machine the hypervisor names
    it, so that another name says nothing."""
    promised = context.promise.resource.host.cpu
    if promised is None:
        return
    shown = fact(context.view.host, "cpu_model")
    guest = fact(context.view.host, "hypervisor_code") == 1
    if not isinstance(shown, str) or isinstance(shown, Reason):
        yield unseen("", promised, shown)
    elif _words(promised) <= _words(shown):
        yield met("", promised, shown)
    elif guest or NAMELESS.fullmatch(shown):
        yield doubted("", promised, shown)
    else:
        yield breached("", promised, shown)


def _words(name: str) -> frozenset[str]:
    return frozenset(_MARKS.sub(" ", name.casefold()).split())


def enough_memory(context: CheckContext) -> Iterator[Answer]:
    """What the kernel has to give, and what firmware and kernel may have kept of it."""
    promised = context.promise.resource.host.memory_bytes
    if promised is not None:
        share, whole = KEPT_SHARE
        floor = promised - promised * share // whole - KEPT_BYTES
        yield from _floor(context, "memory_total_bytes", promised, floor)


def enough_storage(context: CheckContext) -> Iterator[Answer]:
    """All namespaces of local NVMe drives, each once."""
    promised = context.promise.resource.host.nvme_bytes
    if promised is not None:
        yield from _floor(context, "nvme_bytes", promised, promised)


def _floor(context: CheckContext, name: str, promised: int, floor: int) -> Iterator[Answer]:
    expected, value = f"{name} of {promised}", fact(context.view.host, name)
    if isinstance(value, int):
        yield decide("", expected, str(value), holds=value >= floor)
    else:
        yield unseen("", expected, value)


CPU_MISMATCH = Check(
    code="cpu_mismatch",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=same_processor,
)
HOST_MEMORY_SHORT = Check(
    code="host_memory_short",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=enough_memory,
)
NVME_SHORT = Check(
    code="nvme_short",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY}),
    judge=enough_storage,
)
"""No effect of all three: availability is that of the cards, which serve in the host as it is."""
