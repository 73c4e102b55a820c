"""What is owed besides credits for availability: for repairs, capacity, maintenance and events."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial

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
from weighbridge.contract.objectives import UnitKind
from weighbridge.contract.quality import Repair, Response
from weighbridge.settlement.availability import Measurement
from weighbridge.settlement.capacity import shortfall
from weighbridge.settlement.claims import holds
from weighbridge.settlement.credits import NOTHING_DUE, Capped, Earned, Fact, capped, steps_in
from weighbridge.settlement.fees import capacity_of, gpus_of_unit
from weighbridge.settlement.intervals import Interval, Intervals, union
from weighbridge.settlement.periods import HOUR_S, Period, calendar_year, local_date
from weighbridge.settlement.record import ToldEvent, Window
from weighbridge.settlement.remedy_context import RemedyContext
from weighbridge.settlement.repair import Clocked, clocks, earn_repair

SINGLE: tuple[UnitKind, ...] = ("gpu", "node", "nvlink_domain")
"""Kinds of units of which a contract has several, each with its own fee."""


def remedies(context: RemedyContext) -> Iterator[Capped]:
    """Credits that are given each time something happens: a repair, a window, an event, a line item."""
    for credit in context.contract.credits:
        reckon = RECKON.get(type(credit))
        if reckon is not None:
            yield from reckon(context, credit)


def _repairs(context: RemedyContext, credit: RepairSteps) -> Iterator[Capped]:
    given: dict[str, tuple[Fraction, Fraction]] = {}
    for clocked in timed(context):
        mending = clocked.mending
        if clocked.terms.id != credit.repair:
            continue
        whose = _whose(context, credit, clocked)
        pct, amount = given.get(whose, (NOTHING_DUE, _spent(context, credit, whose)))
        base = context.fees.base(credit.base, _kind(clocked.terms))
        earned = earn_repair(credit, clocked, context.period.interval_s, base, pct, context.held)
        part = capped(credit, mending.unit, base, earned, amount)
        given[whose] = (pct + (earned.pct or 0), amount + (part.exact or 0))
        if mending.end_s is not None or earned.breach:
            end_s = context.known_until_s if mending.end_s is None else mending.end_s
            yield replace(part, incident=(mending.start_s, end_s))


def _kind(terms: Repair | Response) -> UnitKind | None:
    return terms.unit if isinstance(terms, Repair) else None


def _whose(context: RemedyContext, credit: RepairSteps, clocked: Clocked) -> str:
    """Whose cap it is: the unit of the objective that was mended, a node for its GPUs; empty: everybody's together."""
    kind, unit = _kind(clocked.terms), clocked.mending.unit
    fee_of_all = credit.base.amount is None and kind not in SINGLE
    if credit.base.of == "contract" or fee_of_all:
        return ""
    judged = (one for one in context.contract.availability if one.unit == kind == "node")
    nodes = (node for one in judged for node in context.units[one.id])
    return next((node for node in nodes if holds(node, unit)), unit)


def _spent(context: RemedyContext, credit: CreditTerms, whose: str) -> Fraction:
    """What the parts before gave of the amount for a period; `whose` empty: to everybody."""
    return sum(
        (
            amount
            for (name, unit), amount in context.spent.items()
            if name == credit.id and (not whose or holds(whose, unit))
        ),
        NOTHING_DUE,
    )


def _once(
    context: RemedyContext,
    credit: CreditTerms,
    found: Iterable[tuple[str, Fraction, Earned, Interval | None]],
) -> Iterator[Capped]:
    """What follows events has one cap for all of them in a period, used up in order of time."""
    given = _spent(context, credit, "")
    for unit, base, earned, incident in found:
        part = capped(credit, unit, base, earned, given, given)
        given += part.exact or 0
        yield replace(part, incident=incident)


def timed(context: RemedyContext) -> Iterator[Clocked]:
    """Every clock of a response or repair objective that runs in the period."""
    contract = context.contract
    promises: tuple[Repair | Response, ...] = (*contract.response, *contract.repair)
    start_s, end_s = context.service
    known = (start_s, min(end_s, context.known_until_s))
    for terms in promises:
        found = clocks(
            terms, context.record.events, known, contract.working_hours, contract.calendar
        )
        every = (Clocked(terms, one) for one in found if one.start_s < end_s)
        yield from (one for one in every if one.runs_in(context.period))


def _maintenance(context: RemedyContext, credit: MaintenanceCount) -> Iterator[Capped]:
    zone = context.contract.time_zone
    year = calendar_year(f"{local_date(context.period.start_s, zone):%Y}", zone)
    base = Fraction(credit.base_amount)
    served = [
        replace(
            one,
            start_s=max(one.start_s, context.service[0]),
            end_s=min(one.end_s, context.service[1]),
        )
        for one in context.record.windows
        if one.touches(context.service)
    ]
    yield from _once(
        context,
        credit,
        (
            (window.id, base, earned, None)
            for window, earned in excess_maintenance(credit, served, year)
            if context.holds(window.start_s)
        ),
    )


def _anomalies(context: RemedyContext, credit: AnomalyHours) -> Iterator[Capped]:
    yield from _by_the_hour(context, credit, partial(_anomaly, credit))


def _lost_work(context: RemedyContext, credit: LostWork) -> Iterator[Capped]:
    yield from _by_the_hour(context, credit, partial(_work_lost, credit))


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
        (
            window
            for window in windows
            if year.start_s <= window.start_s < year.end_s and not window.called_off
        ),
        key=lambda window: (window.start_s, window.id),
    )
    for number, window in enumerate(inside, start=1):
        if number > credit.allowed_per_year:
            yield window, _excess(credit, window.until_s - window.start_s)


def _excess(credit: MaintenanceCount, seconds: int) -> Earned:
    hours = steps_in(seconds, HOUR_S, credit.partial)
    return Earned(
        breach=True,
        exact=Fraction(credit.base_amount) * credit.fraction_per_hour * hours,
        facts={"maintenance_seconds": seconds, "hours_counted": hours},
        flags=("maintenance_count_exceeded",),
    )


def _lasting_s(context: RemedyContext, kind: str) -> Iterator[tuple[ToldEvent, int]]:
    """Events of a kind with their seconds of service, each whole in the period in which those end."""
    for event in sorted(context.record.events, key=lambda one: one.at_s):
        if event.kind != kind or event.since_s is None:
            continue
        start_s, end_s = context.service
        within = (max(event.since_s, start_s), min(event.at_s, end_s))
        if within[0] < within[1] and context.holds(min(event.at_s, end_s - 1)):
            seconds = within[1] - within[0]
            yield event, seconds if context.believes(event, "provider") else 0


def _by_the_hour(
    context: RemedyContext, credit: AnomalyHours | LostWork, earn: Callable[[int], Earned]
) -> Iterator[Capped]:
    """A credit by the hour: it has no base, so only an amount can cap it."""
    cap = credit.cap.model_copy(update={"pct": None})
    uncapped = credit.model_copy(update={"cap": cap})
    found = (
        (
            f"{event.kind}@{event.at_s}",
            NOTHING_DUE,
            context.doubted(event, "provider", earn(seconds)),
            (event.at_s if event.since_s is None else event.since_s, event.at_s),
        )
        for event, seconds in _lasting_s(context, credit.event)
    )
    yield from _once(context, uncapped, found)


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
    served = context.served
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
        context.service,
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
