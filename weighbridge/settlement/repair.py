"""How long answers and repairs took by the contract's clocks, and what late ones earn."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract.calendars import WEEKDAYS
from weighbridge.contract.exclusions import LocalHours
from weighbridge.contract.money import RepairSteps
from weighbridge.contract.quality import Repair, Response
from weighbridge.settlement.credits import Earned, steps_in
from weighbridge.settlement.hours import working
from weighbridge.settlement.intervals import Interval, total
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
    """A clock of a unit. `end_s` None: it still runs. `seconds`: of the contract's hours, so far or to the end.

    `least_s`: without the hours of days that the calendar does not know.
    """

    unit: str
    start_s: int
    end_s: int | None
    seconds: int
    least_s: int


@dataclass(frozen=True, slots=True)
class Clocked:
    """A clock beside what was promised. A clock that runs is late or open, and never in time."""

    terms: Repair | Response
    mending: Mending

    @property
    def verdict(self) -> Verdict:
        if self.mending.least_s > self.terms.objective_s:
            return Verdict.BREACHED
        if self.mending.seconds > self.terms.objective_s:
            return Verdict.UNKNOWN
        return Verdict.UNKNOWN if self.mending.end_s is None else Verdict.MET


def clocks(
    terms: Repair | Response,
    events: Iterable[ToldEvent],
    until_s: int,
    hours: Sequence[LocalHours] = (),
    calendar: str = WEEKDAYS,
) -> Iterator[Mending]:
    """Each start of the clock with the first end after it, or, where it still runs, with none."""
    running: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.at_s):
        if event.kind == STARTS[terms.clock_from] and _is_meant(terms, event):
            running.setdefault(event.unit, event.at_s)
        elif event.kind in _ends(terms) and event.unit in running:
            start = running.pop(event.unit)
            elapsed = _elapsed_s(terms, (start, event.at_s), hours, calendar)
            yield Mending(event.unit, start, event.at_s, *elapsed)
    for unit, start in running.items():
        elapsed = _elapsed_s(terms, (start, max(start, until_s)), hours, calendar)
        yield Mending(unit, start, None, *elapsed)


def _is_meant(terms: Repair | Response, event: ToldEvent) -> bool:
    return terms.severity is None or event.details.get("severity") == terms.severity


def _ends(terms: Repair | Response) -> tuple[str, ...]:
    if isinstance(terms, Response):
        return ANSWERED
    ends = ENDS[terms.clock_to]
    return (*ends, SWAPPED) if terms.spare_swap_allowed else ends


def _elapsed_s(
    terms: Repair | Response, within: Interval, hours: Sequence[LocalHours], calendar: str
) -> tuple[int, int]:
    """At most, and at least."""
    start_s, end_s = within
    if terms.calendar == "24x7" or not hours or start_s == end_s:
        return end_s - start_s, end_s - start_s
    most, least = (total(working(hours, within, calendar, unknown)) for unknown in (True, False))
    return most, least


def earn_repair(
    credit: RepairSteps, terms: Repair | Response, seconds: int, base: Fraction
) -> Earned:
    """Nothing in time; then the first percentage, and one for each step of lateness."""
    late = max(0, seconds - terms.objective_s)
    steps = steps_in(late, credit.step_s, credit.partial)
    pct = credit.first_pct + credit.step_pct * steps if late else Fraction(0)
    capped = pct if credit.cap.pct is None else min(pct, credit.cap.pct)
    return Earned(
        breach=late > 0,
        exact=base * capped / 100,
        pct=capped,
        facts={"repair_seconds": seconds, "late_seconds": late, "steps": steps},
        flags=("cap_applied",) if capped < pct else (),
    )
