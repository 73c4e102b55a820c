"""One event for what several channels tell of one occurrence: the kernel log, NVML's events, its operational events."""

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from agent.host.kernel_log.gathering import REPEAT_US
from weighbridge.wire.report import Event, EventKind, SaidSeverity

WINDOW_US = 2_000_000
KEPT, KEPT_OF_ONE = 4096, 16
_RAISED = (SaidSeverity.FATAL, SaidSeverity.UNCONTAINED)
_TOLD_BY_ONE = (
    "caused_by",
    "compute_instance",
    "gpu_instance",
    "link",
    "operational",
    "recovery_action",
    "recovery_action_before",
    "severity",
)

Channel = tuple[str, bool]


@dataclass(slots=True)
class _Sighting:
    """Occurrences of one code of one device at about one time: how many of them each channel told of.

    `event` was handed on with the batch of this number, in this place.
    """

    event: Event
    told: dict[Channel, int]
    batch: int
    place: int

    def pair(self, event: Event, channel: Channel, count: int) -> int:
        """How many of `count` are occurrences that other channels told of already."""
        if abs(self.event.boottime_us - event.boottime_us) > WINDOW_US:
            return 0
        before = self.told.get(channel, 0)
        paired = min(count, max(self.told.values()) - before)
        self.told[channel] = before + paired
        return paired

    def repeat(self, event: Event, channel: Channel, count: int) -> bool:
        """Whether `count` more are occurrences at about the same time, of which this channel told first."""
        first = self.told.get(channel, 0) == max(self.told.values())
        if not first or abs(self.event.boottime_us - event.boottime_us) > REPEAT_US:
            return False
        self.told[channel] += count
        return True


class XidMerger:
    """Same device and code, at most 2 s apart. Each sighting pairs once with one of each other channel.

    Repeats within one channel are repeats of the fault and all count, those of a second in one event. The first to
    arrive is kept, with its source, and bears what those that arrive with it know beside. Of those that arrive later,
    what says worse than the first did is handed on too, and a GPU operational event as what it is.
    """

    def __init__(self) -> None:
        self._sightings: dict[tuple[str | None, int | None], list[_Sighting]] = {}
        self._batch = 0

    def merge(self, events: Sequence[Event]) -> list[Event]:
        """The events that say something new, in order."""
        self._batch += 1
        found: list[Event] = []
        for event in events:
            if event.kind is EventKind.XID:
                self._take(event, found)
            else:
                found.append(event)
        return found

    def _take(self, event: Event, found: list[Event]) -> None:
        channel, left = (event.source, event.operational is not None), event.count
        known = self._sightings.setdefault((event.device or event.address, event.code), [])
        for sighting in known:
            left -= sighting.pair(event, channel, left)
            if not left:
                self._join(sighting, event, found)
                return
        new = replace(event, count=left)
        if known and known[-1].repeat(event, channel, left):
            self._count(known[-1], new, found)
            return
        known.append(_Sighting(new, {channel: left}, self._batch, len(found)))
        del known[:-KEPT_OF_ONE]
        found.append(new)
        if len(self._sightings) > KEPT:
            del self._sightings[next(iter(self._sightings))]

    def _count(self, sighting: _Sighting, event: Event, found: list[Event]) -> None:
        first = sighting.event
        known = all(getattr(event, name) in (None, getattr(first, name)) for name in _TOLD_BY_ONE)
        if known and sighting.batch == self._batch:
            count = first.count + event.count
            found[sighting.place] = sighting.event = replace(first, count=count)
        else:
            found.append(event)

    def _join(self, sighting: _Sighting, event: Event, found: list[Event]) -> None:
        first = sighting.event
        more = {name: getattr(event, name) for name in _TOLD_BY_ONE if getattr(first, name) is None}
        if sighting.batch == self._batch:
            found[sighting.place] = sighting.event = replace(first, **more)
        elif event.operational is not None:
            found.append(replace(event, kind=EventKind.GPU_EVENT))
        elif event.severity in _RAISED and first.severity not in _RAISED:
            found.append(event)
