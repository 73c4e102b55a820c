"""What is owed besides credits for availability: for repairs, capacity, maintenance and events."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from weighbridge.contract import Availability
from weighbridge.contract.money import (
    AnomalyHours,
    CapacityDeduction,
    CreditTerms,
    LostWork,
    MaintenanceCount,
    RepairSteps,
)
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.quality import Repair, Response
from weighbridge.settlement.availability import Measurement
from weighbridge.settlement.capacity import shortfall
from weighbridge.settlement.credits import Capped, Earned, Fact, capped, steps_in
from weighbridge.settlement.fees import capacity_of, gpus_of_unit
from weighbridge.settlement.intervals import Intervals, union
from weighbridge.settlement.periods import HOUR_S, Period, calendar_year, local_date, served_part_s
from weighbridge.settlement.record import ToldEvent, Window
from weighbridge.settlement.remedy_context import RemedyContext
from weighbridge.settlement.repair import Clocked, clocks, earn_repair


def remedies(context: RemedyContext) -> Iterator[Capped]:
    """Credits that are given each time something happens: a repair, a window, an event, a line item."""
    for credit in context.contract.credits:
        reckon = RECKON.get(type(credit))
        if reckon is not None:
            yield from reckon(context, credit)


def _repairs(context: RemedyContext, credit: RepairSteps) -> Iterator[Capped]:
    spent = dict(context.spent)
    for clocked in timed(context):
        terms, mending = clocked.terms, clocked.mending
        key = (credit.id, mending.unit)
        if terms.id == credit.repair and mending.end_s is not None:
            base = context.fees.base(credit.base, terms.unit if isinstance(terms, Repair) else None)
            given = spent.get(key, Fraction(0))
            seconds = mending.seconds if context.held == "down" else mending.least_s
            earned = earn_repair(credit, terms, seconds, base)
            part = capped(credit, mending.unit, base, earned, given)
            spent[key] = given + (part.exact or 0)
            yield replace(part, incident=(mending.start_s, mending.end_s))


def timed(context: RemedyContext) -> Iterator[Clocked]:
    """Every clock of a response or repair objective that was started in the period."""
    contract = context.contract
    promises: tuple[Repair | Response, ...] = (*contract.response, *contract.repair)
    for terms in promises:
        found = clocks(
            terms,
            context.record.events,
            context.as_of_s,
            contract.working_hours,
            contract.calendar,
        )
        yield from (Clocked(terms, one) for one in found if context.holds(one.start_s))


def _maintenance(context: RemedyContext, credit: MaintenanceCount) -> Iterator[Capped]:
    zone = context.contract.time_zone
    year = calendar_year(f"{local_date(context.period.start_s, zone):%Y}", zone)
    base = Fraction(credit.base_amount)
    for window, earned in excess_maintenance(credit, context.record.windows, year):
        if context.holds(window.start_s):
            yield capped(credit, window.id, base, earned)


def _anomalies(context: RemedyContext, credit: AnomalyHours) -> Iterator[Capped]:
    for event, seconds in _lasting_s(context, credit.event):
        earned = context.doubted(event, "provider", _anomaly(credit, seconds))
        yield _by_the_hour(credit, event, earned)


def _lost_work(context: RemedyContext, credit: LostWork) -> Iterator[Capped]:
    for event, seconds in _lasting_s(context, credit.event):
        earned = context.doubted(event, "provider", _work_lost(credit, seconds))
        yield _by_the_hour(credit, event, earned)


def _anomaly(credit: AnomalyHours, seconds: int) -> Earned:
    """The factor applies first, and the result is rounded up."""
    steps = steps_in(seconds * credit.factor, credit.round_up_to_s, "ceil")
    hours = Fraction(steps * credit.round_up_to_s, HOUR_S)
    facts: dict[str, Fact] = {
        "anomaly_seconds": seconds,
        "compensated_hours": exact_text(hours),
    }
    return Earned(seconds > 0, hours * Fraction(credit.hour_price), facts=facts)


def _work_lost(credit: LostWork, seconds: int) -> Earned:
    """From the last start to the crash, up to the cap."""
    hours = Fraction(min(seconds, credit.cap_s), HOUR_S)
    facts: dict[str, Fact] = {"work_seconds": seconds, "compensated_hours": exact_text(hours)}
    return Earned(seconds > 0, hours * Fraction(credit.hour_price), facts=facts)


def excess_maintenance(
    credit: MaintenanceCount, windows: Iterable[Window], year: Period
) -> Iterator[tuple[Window, Earned]]:
    """Each window of the year past the allowed number."""
    inside = sorted(
        (window for window in windows if year.start_s <= window.start_s < year.end_s),
        key=lambda window: (window.start_s, window.id),
    )
    for number, window in enumerate(inside, start=1):
        if number > credit.allowed_per_year:
            yield window, _excess(credit, window.end_s - window.start_s)


def _excess(credit: MaintenanceCount, seconds: int) -> Earned:
    hours = steps_in(seconds, HOUR_S, credit.partial)
    return Earned(
        breach=True,
        exact=Fraction(credit.base_amount) * credit.fraction_per_hour * hours,
        facts={"maintenance_seconds": seconds, "hours_counted": hours},
        flags=("maintenance_count_exceeded",),
    )


def _lasting_s(context: RemedyContext, kind: str) -> Iterator[tuple[ToldEvent, int]]:
    for event in context.record.events:
        if event.kind == kind and event.since_s is not None and context.holds(event.at_s):
            seconds = event.at_s - event.since_s
            yield event, seconds if context.believes(event, "provider") else 0


def _by_the_hour(credit: CreditTerms, event: ToldEvent, earned: Earned) -> Capped:
    """A credit by the hour: it has no base, so only an amount can cap it."""
    cap = credit.cap.model_copy(update={"pct": None})
    uncapped = credit.model_copy(update={"cap": cap})
    part = capped(uncapped, f"{event.kind}@{event.at_s}", Fraction(0), earned)
    since_s = event.at_s if event.since_s is None else event.since_s
    return replace(part, incident=(since_s, event.at_s))


def _capacity(context: RemedyContext, credit: CapacityDeduction) -> Iterator[Capped]:
    contract = context.contract
    resource = next(item for item in contract.resources if item.id == credit.resource)
    promise = contract.counts_capacity_of(resource.id)
    if promise is None or resource.capacity is None:
        return
    per_unit = capacity_of(resource, gpus_of_unit(resource, promise.unit))
    units = context.units[promise.id]
    contracted = resource.capacity.contracted
    if contracted is None:
        contracted = capacity_of(resource, gpus_of_unit(resource, None))
    served = served_part_s(context.period, context.fees.service)
    short = shortfall(contracted, per_unit, len(units), _downs(context, promise), served)
    fee = contracted * Fraction(credit.price)
    share = short.missing / (contracted * context.fees.period.seconds)
    facts = {"shortfall_seconds": exact_text(short.missing)}
    earned = Earned(short.missing > 0, fee * share * credit.multiple, facts=facts)
    spent = context.spent.get((credit.id, resource.id), Fraction(0))
    yield capped(credit, resource.id, fee, earned, spent)


def _downs(context: RemedyContext, promise: Availability) -> Iterator[Intervals]:
    """The counted bad time of each unit."""
    alone = promise.model_copy(update={"scope": "per_unit", "k": None})
    measurement = Measurement(
        context.contract,
        alone,
        context.record,
        context.period,
        context.units[promise.id],
        context.fees.service,
        context.fees.period,
    )
    for one in measurement.measures():
        outcome = one.low if context.held == "down" else one.high
        yield union(*(incident.inside for incident in outcome.incidents if incident.counted))


RECKON: Mapping[type[CreditTerms], Callable[..., Iterator[Capped]]] = {
    RepairSteps: _repairs,
    MaintenanceCount: _maintenance,
    AnomalyHours: _anomalies,
    LostWork: _lost_work,
    CapacityDeduction: _capacity,
}
