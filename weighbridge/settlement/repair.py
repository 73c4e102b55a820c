"""How long answers and repairs took by the contract's clocks, and what late ones earn."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract import Policy
from weighbridge.contract.calendars import WEEKDAYS
from weighbridge.contract.exclusions import LocalHours
from weighbridge.contract.money import RepairSteps
from weighbridge.contract.quality import Repair, Response
from weighbridge.settlement.credits import Earned, steps_in
from weighbridge.settlement.hours import working
from weighbridge.settlement.intervals import Interval, Intervals, clip, total, union
from weighbridge.settlement.periods import Period
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
    """A clock of a unit. `end_s` None: it still runs. `runs`: the contract's hours of service, so far or to the end.

    `at_least`: without the hours of days that the calendar does not know.
    """

    unit: str
    start_s: int
    end_s: int | None
    runs: Intervals
    at_least: Intervals

    @property
    def seconds(self) -> int:
        return total(self.runs)

    @property
    def least_s(self) -> int:
        return total(self.at_least)

    def runs_where(self, held: Policy) -> Intervals:
        """Its hours, where those of days that the calendar does not know count against the provider, or do not."""
        return self.runs if held == "down" else self.at_least


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

    def seconds_by(self, until_s: int, held: Policy) -> int:
        """Those up to an instant."""
        return total(clip(self.mending.runs_where(held), (self.mending.start_s, until_s)))

    def runs_in(self, period: Period) -> bool:
        """Whether it starts in a period, or still runs in it."""
        start_s, end_s = self.mending.start_s, self.mending.end_s
        begun = start_s >= period.start_s or end_s is None or end_s > period.start_s
        return begun and start_s < period.end_s


def clocks(
    terms: Repair | Response,
    events: Iterable[ToldEvent],
    service: Interval,
    hours: Sequence[LocalHours] = (),
    calendar: str = WEEKDAYS,
) -> Iterator[Mending]:
    """Each start of the clock with the first end after it, or, where it still runs, with none.

    A clock runs in the time of `service` alone, which ends at what is known; one that would run outside it is none.
    """
    for unit, start_s, end_s in _told(terms, events):
        within = (max(start_s, service[0]), service[1] if end_s is None else min(end_s, service[1]))
        if start_s <= service[1] and (end_s is None or end_s > service[0]):
            yield Mending(unit, within[0], end_s, *_hours(terms, within, hours, calendar))


def _told(
    terms: Repair | Response, events: Iterable[ToldEvent]
) -> Iterator[tuple[str, int, int | None]]:
    """Units, with the start and the end that was told of."""
    running: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.at_s):
        if event.kind == STARTS[terms.clock_from] and _is_meant(terms, event):
            running.setdefault(event.unit, event.at_s)
        elif event.kind in _ends(terms) and event.unit in running:
            yield event.unit, running.pop(event.unit), event.at_s
    for unit, start_s in running.items():
        yield unit, start_s, None


def _is_meant(terms: Repair | Response, event: ToldEvent) -> bool:
    return terms.severity is None or event.details.get("severity") == terms.severity


def _ends(terms: Repair | Response) -> tuple[str, ...]:
    if isinstance(terms, Response):
        return ANSWERED
    ends = ENDS[terms.clock_to]
    return (*ends, SWAPPED) if terms.spare_swap_allowed else ends


def _hours(
    terms: Repair | Response, within: Interval, hours: Sequence[LocalHours], calendar: str
) -> tuple[Intervals, Intervals]:
    """At most, and at least."""
    if terms.calendar == "24x7" or not hours or within[0] >= within[1]:
        return union((within,)), union((within,))
    most, least = (working(hours, within, calendar, unknown) for unknown in (True, False))
    return most, least


def earn_repair(
    credit: RepairSteps,
    clocked: Clocked,
    period: Interval,
    base: Fraction,
    given_pct: Fraction,
    held: Policy,
) -> Earned:
    """Nothing in time; then the first percentage, and one for each step of lateness: what of it came in the period.

    `given_pct`: what of the cap other clocks of the unit used up in the same part.
    """
    seconds = [clocked.seconds_by(at_s, held) for at_s in period]
    before, late = (max(0, one - clocked.terms.objective_s) for one in seconds)
    paid = [
        one if credit.longest_s is None else min(one, credit.longest_s) for one in (before, late)
    ]
    steps = [steps_in(one, credit.step_s, credit.partial) for one in paid]
    pct = credit.step_pct * (steps[1] - steps[0]) + credit.first_pct * (before == 0 < late)
    left = pct if credit.cap.pct is None else max(Fraction(0), credit.cap.pct - given_pct)
    capped = min(pct, left)
    return Earned(
        breach=late > before,
        exact=base * capped / 100,
        pct=capped,
        facts={
            "repair_seconds": seconds[1],
            "late_seconds": late,
            "steps": steps[1] - steps[0],
        },
        flags=("cap_applied",) if capped < pct or paid[1] < late else (),
    )
