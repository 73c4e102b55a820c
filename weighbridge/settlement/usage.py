"""How much of a line item was used, from the sums that were kept by hour. Aggregates: no single GPU is told of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby

from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Use
from weighbridge.settlement.intervals import Interval

MILLI = 1000


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the GPUs of a line item, where they were read: time in use, energy, and mean utilisation."""

    in_use_gpu_seconds: int | None = None
    energy_joules: int | None = None
    utilization: Fraction | None = None


@dataclass(slots=True)
class Total:
    """Of one node over one part of a period, in device-microseconds, as in `Use`."""

    known: int = 0
    in_use: int = 0
    busy_known: int = 0
    busy: int = 0
    energy_known: int = 0
    energy_millijoules: int = 0
    seen: int = 0
    sampled: int = 0

    def add(self, more: "Use | Total") -> None:
        """Adds the fields of another sum."""
        self.known += more.known
        self.in_use += more.in_use
        self.busy_known += more.busy_known
        self.busy += more.busy
        self.energy_known += more.energy_known
        self.energy_millijoules += more.energy_millijoules
        self.seen += more.seen
        self.sampled += more.sampled


Totals = Mapping[str, Total]
"""The totals by node."""


def totals(uses: Iterable[Use], parts: Sequence[Interval]) -> list[Totals]:
    """Of each part (in seconds) what the hours sum up to that begin in it. `uses`: by hour and node; read once."""
    found: list[dict[str, Total]] = [{} for _ in parts]
    for (hour_us, node), told in groupby(uses, key=lambda use: (use.hour_us, use.node)):
        for number, (start_s, end_s) in enumerate(parts):
            if start_s * MICROSECONDS <= hour_us < end_s * MICROSECONDS:
                total = found[number].setdefault(node, Total())
                for use in _apart(told):
                    total.add(use)
    return list(found)


def _apart(told: Iterable[Use]) -> Iterator[Use]:
    """Where several chains tell of the same time of a node, the one that saw most is believed."""
    taken: list[Interval] = []
    for use in sorted(told, key=lambda use: (-use.seen, use.chain)):
        if all(use.until_us <= start or end <= use.from_us for start, end in taken):
            taken.append((use.from_us, use.until_us))
            yield use


def usage_of(found: Totals, nodes: Iterable[str]) -> Usage:
    """Of some nodes together. What was not read is None, and not nothing."""
    total = Total()
    for node in sorted(nodes):
        total.add(found.get(node, Total()))
    return Usage(
        in_use_gpu_seconds=total.in_use // MICROSECONDS if total.known else None,
        energy_joules=total.energy_millijoules // MILLI if total.energy_known else None,
        utilization=Fraction(total.busy, 100 * total.busy_known) if total.busy_known else None,
    )
