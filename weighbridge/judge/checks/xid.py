"""What the driver and the kernel told of: XIDs of devices and of slices, XIDs of nobody's address, SXids of switches.

A slice of a GPU bears the GPU's XIDs that name no instance, and those that name its own.
"""

from collections.abc import Callable, Iterable, Iterator

from weighbridge.catalogue.tables import UNUSABLE, Fault, XidAction, xid
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    Severity,
    breached,
    doubted,
    met,
)
from weighbridge.judge.latest_readings import INVENTORY, XIDS, LatestDevice, LatestReadings
from weighbridge.judge.told_faults import XidTold
from weighbridge.wire.pci_address import normal_address

INSTANCE = "mig_gpu_instance_number"
WATCHED = frozenset({INVENTORY, XIDS, INSTANCE})
MOST_NAMED = 8
Told = tuple[int, XidTold]


def unusable(context: CheckContext) -> Iterator[Answer]:
    """By the severity of each occurrence, where the table names the provider for it."""
    return _judged(context, "no XID that makes it unusable", _is_the_providers, breached)


def unusable_for_an_open_reason(context: CheckContext) -> Iterator[Answer]:
    """The device is as unusable; who is answerable cannot be told from the code."""
    return _judged(context, "no XID that makes it unusable", _is_open, doubted)


def worn(context: CheckContext) -> Iterator[Answer]:
    """It can be used, and is to be watched; a code that no table has is among them."""
    return _judged(context, "no XID that asks to watch it", _is_to_watch, breached)


def _is_the_providers(code: int, told: XidTold) -> bool:
    return told.severity in UNUSABLE and xid(code).fault is Fault.PROVIDER


def _is_open(code: int, told: XidTold) -> bool:
    return told.severity in UNUSABLE and xid(code).fault is not Fault.PROVIDER


def _is_to_watch(_code: int, told: XidTold) -> bool:
    return told.severity is XidAction.DEGRADED


def _judged(
    context: CheckContext,
    expected: str,
    asks: Callable[[int, XidTold], bool],
    found: Callable[[str, str, str], Answer],
) -> Iterator[Answer]:
    """Each device by those of its XIDs of which `asks` holds."""
    for device in context.devices():
        told = [one for one in _borne(context.view, device) if asks(*one)]
        reach = {code: _reaches(context.view, device, one) for code, one in told}
        own = [code for code, reached in reach.items() if reached]
        if own:
            yield found(device.uuid, expected, _spelled(own))
        elif None in reach.values():
            unclear = f"of some instance of its GPU: {_spelled(reach)}"
            yield doubted(device.uuid, expected, unclear)
        else:
            yield met(device.uuid, expected, "none")


def _borne(view: LatestReadings, device: LatestDevice) -> Iterator[Told]:
    """Its own, and those of the GPU that it is cut from."""
    for uuid, counted in _counted(view, device).items():
        for code in sorted(counted):
            yield code, view.faults.told(uuid, code)


def _counted(view: LatestReadings, device: LatestDevice) -> dict[str, dict[int, int]]:
    found = {device.uuid: device.xids}
    if device.parent is not None:
        whole = view.devices.get(device.parent)
        found[device.parent] = (
            view.xids_away.get(device.parent, {}) if whole is None else whole.xids
        )
    return found


def _reaches(view: LatestReadings, device: LatestDevice, told: XidTold) -> bool | None:
    """Whether what was told is of this device; None where its instance is not known."""
    if device.parent is None or told.instances is None:
        return True
    instance = view.value(device.uuid, INSTANCE)
    return instance in told.instances if isinstance(instance, int) else None


def _spelled(codes: Iterable[int]) -> str:
    return ", ".join(f"XID {code} ({xid(code).text})" for code in sorted(codes))


def unplaced(context: CheckContext) -> Iterator[Answer]:
    """At an address where no device is shown: it may be any of those that are missing."""
    view, expected = context.view, "every XID at the address of a device"
    found = [
        f"XID {code} at {where}{_called(view, where)}"
        for where, counted in sorted(view.xids_away.items())
        if normal_address(where) == where
        for code in sorted(counted)
        if view.faults.told(where, code).severity not in (XidAction.IGNORE, XidAction.APPLICATION)
    ]
    if found:
        yield doubted("", expected, _named(found))


def _called(view: LatestReadings, address: str) -> str:
    uuid, serial = view.faults.names.get(address, ("", ""))
    named = " ".join(filter(None, (uuid, serial)))
    return f" ({named})" if named else ""


def switches(context: CheckContext) -> Iterator[Answer]:
    """Of the node: a switch that told of a fatal error."""
    found = [
        f"SXid {code} at {address}"
        for address, codes in sorted(context.view.faults.sxids.items())
        for code, fatal in sorted(codes.items())
        if fatal
    ]
    if found:
        yield breached("", "no fatal SXid", _named(found))


def _named(found: list[str]) -> str:
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return ", ".join(found[:MOST_NAMED]) + more


XID_FATAL = Check(
    code="xid_fatal",
    effect=Effect.DOWN,
    at_delivery=False,
    watches=WATCHED,
    judge=unusable,
)
XID_OPEN = Check(
    code="xid_open",
    effect=Effect.NONE,
    at_delivery=False,
    watches=WATCHED,
    judge=unusable_for_an_open_reason,
    blind=Severity.ERROR,
)
XID_DEGRADED = Check(
    code="xid_degraded",
    effect=Effect.NONE,
    at_delivery=False,
    watches=WATCHED,
    judge=worn,
    severity=Severity.WARNING,
)
XID_UNPLACED = Check(
    code="xid_unplaced",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY, XIDS}),
    judge=unplaced,
    blind=Severity.WARNING,
)
SXID_FATAL = Check(
    code="sxid_fatal",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({INVENTORY, XIDS}),
    judge=switches,
    severity=Severity.WARNING,
)
