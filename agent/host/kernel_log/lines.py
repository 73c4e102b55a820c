"""What a line of the kernel log says of GPUs and NVSwitches, as events.

Only codes, numbers, the UUID and the serial of a card leave this file, never other text: a line names the tenant's
process. Shapes: `krcReportXid` and `_krcLogUuidOnce` of kernel_rc.c and `NVSWITCH_PRINT_SXID` of common_nvswitch.h
(NVIDIA/open-gpu-kernel-modules, 595.45.04). A record is the driver's only where it begins as the driver writes it:
other records quote paths and names that a tenant chose.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from weighbridge.wire.pci_address import normal_address
from weighbridge.wire.report import Event, EventKind, SaidSeverity

FELL_OFF_THE_BUS = 79
_NAME_LONGEST = 15
"""TASK_COMM_LEN less its end: so many characters of the tenant's choosing follow `name=`."""
_BEGIN = r"(?:\[\s*[TC]?[\d.]+\]\s*){0,2}"
"""A time, and who wrote, where something put them before the text."""
_ADDRESS = r"([0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}(?:\.[0-9a-fA-F])?)"
_INSTANCES = r"(?: GPU-I:(\d{1,9}))?(?: GPU-CI:(\d{1,9}))?"
_CODE = r"(-?\d{1,10})\b"
_XID = re.compile(
    rf"{_BEGIN}NVRM: Xid \((?:PCI:)?{_ADDRESS}{_INSTANCES}[^)]*\): {_CODE}(.*)", re.DOTALL
)
_SXID = re.compile(
    rf"{_BEGIN}nvidia-\S+ SXid \(PCI:{_ADDRESS}\): {_CODE}(?!, (?:Severity|Data) )(.*)", re.DOTALL
)
"""Not the lines that follow with its registers."""
_FALLEN = re.compile(
    rf"{_BEGIN}NVRM: (?:The NVIDIA )?GPU (?:at PCI:)?{_ADDRESS}\b.*fallen off the bus", re.DOTALL
)
_NAMED = re.compile(rf"{_BEGIN}NVRM: GPU at PCI:{_ADDRESS}: (GPU-[0-9a-fA-F-]{{8,64}})\s*")
_SERIAL = re.compile(
    rf"{_BEGIN}NVRM: GPU {_ADDRESS}: GPU serial number is ([A-Za-z0-9]{{4,64}})\.\s*"
)
_BOARD_SERIAL = re.compile(rf"{_BEGIN}NVRM: GPU Board Serial Number: ([A-Za-z0-9]{{4,64}})\s*")

_SAYS_SEVERITY = frozenset({94, 95, *range(144, 151)})
_PROCESS = re.compile(r",? ?pid=[^,]*, name=")
_SEVERITY = re.compile(r"\b(Fatal|Non-?fatal|Contained|Uncontained)\b")
_LINK = re.compile(r"\b[Ll]ink (\d{1,4})\b")
_CAUSE = re.compile(r"\bcaused by previous Xid (\d{1,10})\s*\Z")
_ACTION = re.compile(r"action changed from 0x([0-9a-fA-F]{1,8})\b.*\bto 0x([0-9a-fA-F]{1,8})\b")


def parse_line(text: str, boottime_us: int) -> Event | None:
    """What the kernel said, if it said something of a GPU or a switch: of an address, never yet of a device."""
    if found := _XID.match(text):
        address, gpu_instance, compute_instance, code, rest = found.groups()
        instances = {"gpu_instance": gpu_instance, "compute_instance": compute_instance}
        more = {name: int(number) for name, number in instances.items() if number is not None}
        return _event(
            EventKind.XID, boottime_us, address, int(code), **more, **_said(_own(int(code), rest))
        )
    if found := _SXID.match(text):
        address, code, rest = found.groups()
        return _event(EventKind.SXID, boottime_us, address, int(code), **_said(rest))
    if found := _FALLEN.match(text):
        return _event(EventKind.XID, boottime_us, found[1], FELL_OFF_THE_BUS)
    if found := _NAMED.fullmatch(text):
        return _event(EventKind.KERNEL_IDENTITY, boottime_us, found[1], None, device=found[2])
    if found := _SERIAL.fullmatch(text):
        return _event(EventKind.KERNEL_IDENTITY, boottime_us, found[1], None, detail=found[2])
    return None


def board_serial(text: str) -> str | None:
    """The serial in the line that follows the one of a UUID and names no address."""
    found = _BOARD_SERIAL.fullmatch(text)
    return None if found is None else found[1]


def _event(kind: EventKind, boottime_us: int, address: str, code: int | None, **more: Any) -> Event:
    told: dict[str, Any] = {"detail": "", "device": None, **more}
    return Event(
        address=normal_address(address),
        boottime_us=boottime_us,
        code=code,
        kind=kind,
        source="kernel",
        **told,
    )


def _own(code: int, rest: str) -> str:
    """The driver's own text: what follows the process, whose name may hold any character, commas too.

    The name ends as late as it can, but not behind the severity that a text of this code begins with.
    """
    found = _PROCESS.match(rest)
    if found is None:
        return rest
    after = rest[found.end() :]
    end = after.rfind(", ", 0, _NAME_LONGEST + 2)
    if code in _SAYS_SEVERITY and end >= 0 and _SEVERITY.search(after, end) is None:
        end = after.find(", ")
    return after[end + 2 :] if end >= 0 else after.partition(", ")[2]


def _said(text: str) -> dict[str, Any]:
    """Severity, link, cause and recovery actions, where the text names them."""
    said: dict[str, Any] = {}
    if found := _SEVERITY.search(text):
        said["severity"] = SaidSeverity(found[1].lower().replace("-", ""))
    if found := _LINK.search(text):
        said["link"] = int(found[1])
    if found := _CAUSE.search(text):
        said["caused_by"] = int(found[1])
    if found := _ACTION.search(text):
        said["recovery_action_before"] = int(found[1], 16)
        said["recovery_action"] = int(found[2], 16)
    return said


def placed(event: Event, known: Mapping[str, str]) -> Event:
    """An XID against the device at its address; where none is known there, the address stays all there is to tell."""
    device = known.get(event.address or "") if event.kind is EventKind.XID else None
    return event if device is None else replace(event, address=None, device=device)
