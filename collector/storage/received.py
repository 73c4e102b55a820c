"""When entries of a log were received: at the tick before them."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from collector.storage.store import EntryIndex, EvidenceLog, StoreInfo
from weighbridge.log.entries import Entry, EntryKind, Tick, payload_type
from weighbridge.wire.report import encode, read
from weighbridge.wire.signing import Envelope


def tick_before_us(log: EvidenceLog, index: int) -> int:
    """The time of the last tick before a log index; 0 where there is none."""
    tick = _last_tick(log, index)
    return 0 if tick is None else wall_us(tick)


def next_tick_us(log: EvidenceLog, info: StoreInfo, clock_us: int) -> int:
    """What the next tick says of a store that no collector serves: of a logical clock what the last one said."""
    before_us = tick_before_us(log, log.size)
    return before_us if info.simulation else max(before_us, clock_us)


def received_us(log: EvidenceLog, index: EntryIndex, place: int) -> int:
    """When an entry was received that the index lists; where that does not say, as the log has it."""
    known = index.received_us(place)
    return tick_before_us(log, place) if known is None else known


def received(log: EvidenceLog, index: EntryIndex, places: Iterable[int]) -> Iterator[Entry]:
    """Listed entries, each behind a tick of when it was received, where that is another than of the one before."""
    last_us = 0
    for place in places:
        at_us = received_us(log, index, place)
        if at_us != last_us:
            last_us = at_us
            said = encode(Tick(wall_us=at_us))
            yield Entry(
                place, EntryKind.TICK, Envelope(payload_type(EntryKind.TICK), said, "", b"")
            )
        yield from log.read(place, 1)


def _last_tick(log: EvidenceLog, index: int) -> Entry | None:
    while index > 0:
        index -= 1
        entry = next(iter(log.read(index, 1)))
        if entry.kind is EntryKind.TICK:
            return entry
    return None


def first_tick_after(log: EvidenceLog, us: int) -> int:
    """The index of the first tick that is later than an instant; the log's size where there is none yet."""
    return bisect_right(range(log.size), us, key=lambda index: tick_before_us(log, index + 1))


def wall_us(entry: Entry) -> int:
    """The time of a tick."""
    return read(Tick, entry.envelope.payload).wall_us
