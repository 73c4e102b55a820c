"""When entries of a log were received: at the tick before them."""

from bisect import bisect_right

from collector.storage.store import EvidenceLog, StoreInfo
from weighbridge.log.entries import Entry, EntryKind, Tick
from weighbridge.wire.report import read


def tick_before_us(log: EvidenceLog, index: int) -> int:
    """The time of the last tick before a log index; 0 where there is none."""
    tick = _last_tick(log, index)
    return 0 if tick is None else wall_us(tick)


def next_tick_us(log: EvidenceLog, info: StoreInfo, clock_us: int) -> int:
    """What the next tick says of a store that no collector serves: of a logical clock what the last one said."""
    before_us = tick_before_us(log, log.size)
    return before_us if info.simulation else max(before_us, clock_us)


def received(log: EvidenceLog, index: int) -> list[Entry]:
    """An entry after the tick at which it was received, if there is one."""
    tick, entry = _last_tick(log, index), next(iter(log.read(index, 1)))
    return [entry] if tick is None else [tick, entry]


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
