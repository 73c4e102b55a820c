"""How long repairs took, and what late ones earn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract.money import RepairSteps
from weighbridge.contract.quality import Repair
from weighbridge.settlement.credits import Earned, steps_in
from weighbridge.settlement.record import Event

STARTS = {
    "detection": "fault_detected",
    "report": "fault_reported",
    "confirmation": "fault_confirmed",
    "identification": "fault_identified",
}
ENDS = {
    "replaced": ("gpu_replaced", "hardware_replaced"),
    "restored": ("burn_in_passed", "restored"),
}
"""Kinds of events that start and stop the clock of a repair."""


@dataclass(frozen=True, slots=True)
class Mending:
    """One repair of a unit, by the clock that the contract names."""

    unit: str
    start_s: int
    end_s: int

    @property
    def seconds(self) -> int:
        return self.end_s - self.start_s


def repairs(terms: Repair, events: Iterable[Event]) -> Iterator[Mending]:
    """Each start of the clock with the first end after it; a clock that still runs is left out."""
    running: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.at_s):
        if event.kind == STARTS[terms.clock_from]:
            running.setdefault(event.unit, event.at_s)
        elif event.kind in ENDS[terms.clock_to] and event.unit in running:
            yield Mending(event.unit, running.pop(event.unit), event.at_s)


def earn_repair(credit: RepairSteps, terms: Repair, repair: Mending, base: Fraction) -> Earned:
    """Nothing in time; then the first percentage, and one for each step of lateness."""
    late = max(0, repair.seconds - terms.objective_s)
    steps = steps_in(late, credit.step_s, credit.partial)
    pct = credit.first_pct + credit.step_pct * steps if late else Fraction(0)
    capped = pct if credit.cap.pct is None else min(pct, credit.cap.pct)
    return Earned(
        breach=late > 0,
        exact=base * capped / 100,
        pct=capped,
        facts={"repair_seconds": repair.seconds, "late_seconds": late, "steps": steps},
        flags=("cap_applied",) if capped < pct else (),
    )
