"""What the kernel and the driver told of the cards and switches of a node, beside how often they told of an XID."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from weighbridge.catalogue.tables import XidAction, severity_of, xid
from weighbridge.wire.report import Event, SaidSeverity

WORST_LAST = tuple(XidAction)
KEPT = 1024
"""Cards, switches and addresses of which something is kept: no node has so many."""


_OLDER = re.compile(r"GPU instance (\d{1,9})")


@dataclass(slots=True)
class XidTold:
    """One code of one device. `severity`: the worst that an occurrence asked for. `instances`: the MIG GPU instances
    that it was attributed to; None where one was of the whole GPU."""

    severity: XidAction
    instances: list[int] | None = field(default_factory=list)

    def see(self, severity: XidAction, instance: int | None) -> None:
        if severity is not self.severity:
            self.severity = max(self.severity, severity, key=WORST_LAST.index)
        if instance is None or self.instances is None:
            self.instances = None
        elif instance not in self.instances:
            self.instances = [*self.instances, instance][-KEPT:]

    def merge(self, other: "XidTold") -> None:
        """Both are of one device."""
        for instance in [None] if other.instances is None else other.instances:
            self.see(other.severity, instance)


@dataclass(slots=True)
class ToldFaults:
    """`xids` by device, or by the address at which none was shown, and code; `ended`: the codes of faults that ended.

    `sxids` by the address of a switch and code: whether one was fatal. `names`: the UUID and the serial that the kernel
    gave the card at an address; empty where it gave none.
    """

    xids: dict[str, dict[int, XidTold]] = field(default_factory=dict)
    ended: dict[str, list[int]] = field(default_factory=dict)
    sxids: dict[str, dict[int, bool]] = field(default_factory=dict)
    names: dict[str, tuple[str, str]] = field(default_factory=dict)

    def see_xid(self, where: str, event: Event) -> None:
        """One more occurrence, or several alike."""
        code = event.code or 0
        returned = code in self.ended.get(where, ())
        severity = severity_of(code, event.severity, event.recovery_action, repeated=returned)
        codes = self.xids.setdefault(where, {})
        told = codes.get(code)
        if told is None:
            told = codes[code] = XidTold(severity)
        told.see(severity, _instance(event))

    def told(self, where: str, code: int) -> XidTold:
        """Of a code that is counted; the table alone speaks of what nothing more is known of."""
        known = self.xids.get(where, {}).get(code) or self.xids.get("", {}).get(code)
        return known or XidTold(severity_of(code, None, None), None)

    def move(self, old: str, new: str) -> None:
        """What was told of one is told of the other, as far as there is room."""
        held = self.xids.setdefault(new, {})
        for code, told in self.xids.pop(old, {}).items():
            if code in held:
                held[code].merge(told)
            elif len(held) < KEPT or xid(code).known:
                held[code] = told

    def drop(self, where: str, code: int) -> None:
        """It never was."""
        self.xids.get(where, {}).pop(code, None)

    def end(self, wheres: Iterable[str]) -> None:
        """The faults of these are over."""
        for where in wheres:
            codes = self.xids.pop(where, {})
            if codes:
                self.ended[where] = sorted({*self.ended.pop(where, ()), *codes})
        while len(self.ended) > KEPT:
            del self.ended[next(iter(self.ended))]

    def end_all(self) -> None:
        """The node booted, or its driver was loaded anew."""
        self.end(list(self.xids))
        self.sxids, self.names = {}, {}

    def see_sxid(self, event: Event) -> None:
        """A switch spoke."""
        codes = self.sxids.setdefault(event.address or "", {})
        code = event.code or 0
        codes[code] = codes.get(code, False) or event.severity is SaidSeverity.FATAL
        _bound(codes)
        _bound(self.sxids)

    def see_name(self, event: Event) -> None:
        """The kernel named a card."""
        if event.address is not None:
            uuid, serial = self.names.pop(event.address, ("", ""))
            self.names[event.address] = (event.device or uuid, event.detail or serial)
            _bound(self.names)


def _instance(event: Event) -> int | None:
    """Older agents wrote the instance that NVML names into the text."""
    older = _OLDER.fullmatch(event.detail) if event.source == "nvml" else None
    return event.gpu_instance if older is None else int(older[1])


def _bound(held: dict[Any, Any]) -> None:
    """Those that came first go."""
    while len(held) > KEPT:
        del held[next(iter(held))]
