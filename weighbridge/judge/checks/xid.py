"""A device that reported an XID after which it cannot be used until it is reset, rebooted or replaced."""

from collections.abc import Iterator

from weighbridge.catalogue.tables import XidAction, xid
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    breached,
    met,
)
from weighbridge.judge.latest_readings import INVENTORY, XIDS

UNUSABLE = (XidAction.RESET, XidAction.HARDWARE)


def unusable(context: CheckContext) -> Iterator[Answer]:
    """By the XID table's severity, never by the code's number alone."""
    expected = "no XID that makes it unusable"
    for device in context.devices():
        fatal = sorted(code for code in device.xids if xid(code).severity in UNUSABLE)
        if fatal:
            observed = ", ".join(f"XID {code} ({xid(code).text})" for code in fatal)
            yield breached(device.uuid, expected, observed)
        else:
            yield met(device.uuid, expected, "none")


XID_FATAL = Check(
    code="xid_fatal",
    effect=Effect.DOWN,
    at_delivery=False,
    watches=frozenset({INVENTORY, XIDS}),
    judge=unusable,
)
