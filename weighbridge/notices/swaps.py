"""GPUs that were replaced as telemetry saw it: a slot goes on with another device, whether or not anybody said so."""

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from weighbridge.contract.condition import JOINED
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.ledger import Row
from weighbridge.settlement.record import ToldEvent

REPLACED = "gpu_replaced"
STRANGER = DEVICE_EXCHANGED.code

Place = tuple[str, int]
"""A node and a slot."""

Shown = tuple[str, str, bool]
"""A device, the chain that showed it, and whether it was a stranger."""


def is_stranger(row: Row) -> bool:
    """Whether nobody had announced the device of a row."""
    return STRANGER in row.cause.split(JOINED)


@dataclass(slots=True)
class Swaps:
    """Found among rows as they go by: of each its start and its end are kept, because a contract may have a million."""

    _times: dict[Place, dict[Shown, "array[int]"]] = field(default_factory=dict)

    def watching(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for row in rows:
            if row.of_a_slot and row.device:
                shown = self._times.setdefault((row.node, row.slot), {})
                times = shown.setdefault((row.device, row.chain, is_stranger(row)), array("q"))
                times.extend((row.start_us, row.end_us))
            yield row

    def found(self) -> Iterator[ToldEvent]:
        """By node and slot, in the order of time."""
        for (node, slot), shown in sorted(self._times.items()):
            if len({device for device, *_ in shown}) > 1:
                yield from _of_slot(f"{node}.{slot}", shown)


def _of_slot(unit: str, shown: dict[Shown, "array[int]"]) -> Iterator[ToldEvent]:
    """What begins before the last has ended is seen beside it, and follows nothing."""
    before, end_us = "", None
    for start_us, until_us, device, _, strange in sorted(
        (start_us, until_us, *one)
        for one, times in shown.items()
        for start_us, until_us in zip(times[::2], times[1::2], strict=True)
    ):
        if end_us is not None and start_us < end_us:
            continue
        if end_us is not None and before != device:
            details = {"new": device, "old": before, "seen_by": "telemetry"}
            kind = STRANGER if strange else REPLACED
            yield ToldEvent(kind, start_us // MICROSECONDS, unit, details)
        before, end_us = device, until_us
