"""What was heard of the kernel between two looks: a flood becomes few events, and no code of no device is lost."""

from msgspec.structs import replace

from weighbridge.catalogue.tables import UNUSABLE, severity_of
from weighbridge.wire.report import Event, EventKind

REPEAT_US = 1_000_000
"""What is said again within this of the first is one event with a count."""
MOST = 4096
"""Events held until somebody looks: every code of every card of a node, and some."""


class Heard:
    """Events in the order of their first line.

    Once full, what is alike is counted together whenever it was. Only where all that is held is unlike does what asks
    for least give way; how many lines went so is an event too.
    """

    def __init__(self) -> None:
        self._held: dict[int, Event] = {}
        self._same: dict[Event, int] = {}
        self._alike: dict[tuple[object, ...], int] = {}
        self._number = self._lost = 0

    def add(self, event: Event) -> None:
        """Hear one line."""
        same = replace(event, boottime_us=0, count=1)
        number = self._same.get(same, 0)
        full = len(self._held) >= MOST
        if full and number not in self._held:
            number = self._alike.get(_alike(event), 0)
        held = self._held.get(number)
        if held is not None and (full or event.boottime_us - held.boottime_us <= REPEAT_US):
            self._held[number] = replace(held, count=held.count + event.count)
        elif not full or self._makes_room(event):
            self._number += 1
            self._held[self._number] = event
            self._same[same] = self._alike[_alike(event)] = self._number

    def events(self) -> list[Event]:
        """All of it."""
        events = list(self._held.values())
        if self._lost:
            events.append(overrun(self._lost, "agent", events[-1].boottime_us))
        return events

    def _makes_room(self, event: Event) -> bool:
        """Whether something gave way, if only by being counted with its like."""
        for number, held in self._held.items():
            like = self._alike[_alike(held)]
            if like != number:
                del self._held[number]
                self._held[like] = replace(
                    self._held[like], count=self._held[like].count + held.count
                )
                return True
        number, least = min(self._held.items(), key=lambda item: _weight(item[1]))
        if _weight(least) >= _weight(event):
            self._lost += event.count
            return False
        self._lost += least.count
        del self._held[number]
        return True


def overrun(count: int, by: str, boottime_us: int) -> Event:
    """So many lines went unheard, by the kernel's buffer, the journal or the agent."""
    return Event(
        boottime_us=boottime_us,
        code=None,
        count=count,
        detail=by,
        device=None,
        kind=EventKind.KERNEL_LOG_OVERRUN,
        source="kernel",
    )


def _alike(event: Event) -> tuple[object, ...]:
    return event.kind, event.address, event.device, event.code, event.severity, event.detail


def _weight(event: Event) -> int:
    if event.kind is EventKind.KERNEL_LOG_OVERRUN:
        return 2
    worst = severity_of(event.code or 0, event.severity, event.recovery_action)
    said = event.severity in ("fatal", "uncontained")
    return int(said or (event.kind is EventKind.XID and worst in UNUSABLE))
