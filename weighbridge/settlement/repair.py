"""How long answers and repairs took by the contract's clocks, and what late ones earn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract.exclusions import LocalHours
from weighbridge.contract.money import RepairSteps
from weighbridge.contract.quality import Repair, Response
from weighbridge.settlement.credits import Earned, steps_in
from weighbridge.settlement.hours import inside
from weighbridge.settlement.intervals import total
from weighbridge.settlement.record import ToldEvent
from weighbridge.verdict import Verdict

STARTS = {
    "detection": "fault_detected",
    "report": "fault_reported",
    "confirmation": "fault_confirmed",
    "identification": "fault_identified",
}
ANSWERED = ("answered",)
SWAPPED = "spare_swapped"
ENDS = {
    "replaced": ("gpu_replaced", "hardware_replaced"),
    "restored": ("burn_in_passed", "restored"),
}
"""Kinds of events that start and stop the clock of a repair. The severity of a fault is in the details of its start."""


@dataclass(frozen=True, slots=True)
class Mending:
    """A clock of a unit. `end_s` None: it still runs. `seconds`: of the contract's hours, so far or to the end."""

    unit: str
    start_s: int
    end_s: int | None
    seconds: int


@dataclass(frozen=True, slots=True)
class Clocked:
    """A clock beside what was promised. A clock that runs is late or open, and never in time."""

    terms: Repair | Response
    mending: Mending

    @property
    def verdict(self) -> Verdict:
        if self.mending.seconds > self.terms.objective_s:
            return Verdict.BREACHED
        return Verdict.UNKNOWN if self.mending.end_s is None else Verdict.MET


def clocks(
    terms: Repair | Response,
    events: Iterable[ToldEvent],
    until_s: int,
    hours: LocalHours | None = None,
) -> Iterator[Mending]:
    """Each start of the clock with the first end after it, or, where it still runs, with none."""
    running: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.at_s):
        if event.kind == STARTS[terms.clock_from] and _is_meant(terms, event):
            running.setdefault(event.unit, event.at_s)
        elif event.kind in _ends(terms) and event.unit in running:
            start = running.pop(event.unit)
            yield Mending(
                event.unit, start, event.at_s, _elapsed_s(terms, start, event.at_s, hours)
            )
    for unit, start in running.items():
        yield Mending(unit, start, None, _elapsed_s(terms, start, max(start, until_s), hours))


def _is_meant(terms: Repair | Response, event: ToldEvent) -> bool:
    return terms.severity is None or event.details.get("severity") == terms.severity


def _ends(terms: Repair | Response) -> tuple[str, ...]:
    if isinstance(terms, Response):
        return ANSWERED
    ends = ENDS[terms.clock_to]
    return (*ends, SWAPPED) if terms.spare_swap_allowed else ends


def _elapsed_s(terms: Repair | Response, start_s: int, end_s: int, hours: LocalHours | None) -> int:
    if terms.calendar == "24x7" or hours is None:
        return end_s - start_s
    within = (start_s, end_s)
    return total(inside((hours,), within)) if start_s < end_s else 0


def earn_repair(
    credit: RepairSteps, terms: Repair | Response, repair: Mending, base: Fraction
) -> Earned:
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
