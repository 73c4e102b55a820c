"""The NVLink fabric behind switches: links that are up carry nothing until the card has joined it.

States and the health mask are those of nvmlGpuFabricInfo_v3_t (NVML_GPU_FABRIC_STATE_*, NVML_GPU_FABRIC_HEALTH_MASK_*).
"""

from collections.abc import Iterator, Mapping, Sequence

from weighbridge.catalogue.tables import sku
from weighbridge.judge.checks.check import Answer, Check, CheckContext, of_card, sound, unseen
from weighbridge.judge.latest_readings import INVENTORY
from weighbridge.wire.report import Reason

STATE, STATUS, HEALTH = "fabric_state_code", "fabric_status_code", "fabric_health_flags"
COMPLETED = 3
STATES: Mapping[int, str] = {1: "not_started", 2: "in_progress", COMPLETED: "completed"}

NOBODY_SAID = {None, Reason.FUNCTION_NOT_FOUND}
"""Of an agent that does not read it, and of a driver that has no call for it."""

FIELDS: Sequence[tuple[int, int, Mapping[int, str]]] = (
    (0, 0x3, {1: "degraded_bandwidth"}),
    (2, 0x3, {1: "route_recovery"}),
    (4, 0x3, {1: "route_unhealthy"}),
    (6, 0x3, {1: "access_timeout_recovery"}),
    (
        8,
        0xF,
        {
            2: "incorrect_system_guid",
            3: "incorrect_chassis_serial",
            4: "no_partition",
            5: "insufficient_nvlinks",
            6: "incompatible_firmware",
            7: "invalid_location",
            8: "invalid_gpu_state",
        },
    ),
    (12, 0x3, {2: "partition_not_assigned"}),
    (14, 0x3, {2: "fabric_manager_disconnected"}),
)
"""Of the health mask: where a field begins, its mask, and which of its values are faults. 0 is not supported."""


JOINED = "joined its fabric"
FIRST = "9.0"
"""The compute capability from which on a card joins a fabric, and its driver says whether it has."""


def joined(context: CheckContext) -> Iterator[Answer]:
    """Each device of a contract that promises NVLink. A card without switches has no fabric: its state is 0 or not
    supported. Where the promised card may have one, a driver or an agent that cannot tell leaves it unknown."""
    if _promised(context):
        yield from sound(context, JOINED, (STATE, STATUS), _missing)
        if _behind_switches(context):
            yield from _untold(context)


def _behind_switches(context: CheckContext) -> bool:
    """Whether the promised card may be one: boards with a bridge between two of them are none."""
    promised = sku(context.promise.resource.accelerator.sku)
    if promised is None or promised.compute_capability is None:
        return False
    late = _ordered(promised.compute_capability) >= _ordered(FIRST)
    return late and bool(promised.nvlink_links)


def _ordered(capability: str) -> tuple[int, ...]:
    return tuple(map(int, capability.split(".")))


def _untold(context: CheckContext) -> Iterator[Answer]:
    for device in context.devices():
        state, status = (of_card(context, device, name) for name in (STATE, STATUS))
        if {state, status} <= NOBODY_SAID:
            yield unseen(device.uuid, JOINED, state if isinstance(state, Reason) else None)


def healthy(context: CheckContext) -> Iterator[Answer]:
    """The same devices, by the health mask."""
    if _promised(context):
        yield from sound(context, "a healthy fabric", (HEALTH,), _ailing)


def _promised(context: CheckContext) -> bool:
    terms = context.promise.resource.interconnect
    return any((terms.nvlink_links, terms.nvlink_version, terms.nvlink_domain))


def _missing(told: Mapping[str, int]) -> str:
    state, status = told.get(STATE, 0), told.get(STATUS, 0)
    if state not in (0, COMPLETED):
        return STATES.get(state, f"state {state}")
    return f"completed with status {status}" if state and status else ""


def _ailing(told: Mapping[str, int]) -> str:
    flags = told.get(HEALTH, 0)
    found = (faults.get(flags >> shift & mask) for shift, mask, faults in FIELDS)
    return ", ".join(fault for fault in found if fault is not None)


FABRIC_NOT_JOINED = Check(
    code="fabric_not_joined",
    at_delivery=True,
    watches=frozenset({INVENTORY, STATE, STATUS}),
    judge=joined,
    each=True,
)
FABRIC_UNHEALTHY = Check(
    code="fabric_unhealthy",
    at_delivery=True,
    watches=frozenset({INVENTORY, HEALTH}),
    judge=healthy,
    each=True,
)
