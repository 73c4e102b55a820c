"""Liquidated damages, and what leaving early costs: on either side, which need not be the same.

Events say what happened: `batch_accepted` and `not_delivered` of a batch; `cancelled` of a batch, or of everything
where it names no unit, by the party in its details, with `since_s` as the instant of its notice.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from weighbridge.codes import DamageKind, Flag
from weighbridge.contract import Contract
from weighbridge.contract.calendars import WEEKDAYS
from weighbridge.contract.money import CreditTerms, LiquidatedDamages
from weighbridge.contract.parties import EarlyExit
from weighbridge.contract.resources import Batch
from weighbridge.settlement.credits import Capped, Earned
from weighbridge.settlement.periods import local_date
from weighbridge.settlement.record import Side, ToldEvent
from weighbridge.settlement.remedy_context import RemedyContext
from weighbridge.settlement.working_days import least_and_most

KINDS = {
    "late_delivery": "batch_accepted",
    "non_delivery": "not_delivered",
    "cancellation": "cancelled",
}
"""The kind of event for each trigger."""

CALENDAR_UNKNOWN: Flag = "calendar_year_unknown"
NOTHING = Earned(False, Fraction(0), facts={"days_late": 0})
EARLY_EXIT: DamageKind = "early_exit"
"""Name of the line for the fee of leaving early, and its kind."""


def days_late(
    terms: LiquidatedDamages, due: date, done: date, calendar: str = WEEKDAYS
) -> tuple[int, int]:
    """Days after the due date up to the day on which it was done, which counts: at least, and at most."""
    after = [due + timedelta(days=step) for step in range(1, (done - due).days + 1)]
    if terms.day_count == "calendar_days":
        return len(after), len(after)
    return least_and_most(calendar, after)


def earn_damages(terms: LiquidatedDamages, value: Fraction, days: int) -> Earned:
    """The flat part of the value, and a share of it for each day."""
    full = value * (terms.flat_pct / 100 + terms.daily_rate * days)
    limit = full if terms.cap_pct is None else min(full, value * terms.cap_pct / 100)
    return Earned(
        breach=True,
        exact=limit,
        facts={"days_late": days},
        flags=("cap_applied",) if limit < full else (),
    )


def damages(context: RemedyContext) -> Iterator[tuple[Side, Capped]]:
    """What each event of the period costs, and which side pays it."""
    for event in _once(context.record.events):
        if context.holds(event.at_s):
            for terms in context.contract.liquidated_damages:
                if event.kind == KINDS[terms.trigger]:
                    found = _of_event(context, terms, event)
                    yield from ((terms.side, part) for part in found)
            yield from _leaving(context.contract, event)


def _once(events: Iterable[ToldEvent]) -> Iterator[ToldEvent]:
    """What happens to a batch happens once, whenever and by whomever it is told again."""
    first: dict[tuple[str, str], ToldEvent] = {}
    for event in sorted(events, key=lambda event: event.at_s):
        if event.kind == KINDS["cancellation"]:
            yield event
            continue
        known = first.setdefault((event.kind, event.unit), event)
        first[event.kind, event.unit] = replace(known, sides=known.sides | event.sides)
    yield from first.values()


def _of_event(
    context: RemedyContext, terms: LiquidatedDamages, event: ToldEvent
) -> Iterator[Capped]:
    contract, believed = context.contract, context.believes(event, terms.side)
    if terms.trigger == "cancellation" and _side(contract, event) != terms.side:
        return
    for batch in _batches(contract, event):
        value, (least, most) = Fraction(batch.value), _days(contract, terms, batch, event)
        late = most if context.held == "down" else least
        in_time = terms.trigger == "late_delivery" and late == 0
        earned = NOTHING if in_time or not believed else earn_damages(terms, value, late)
        if least < most:
            earned = replace(earned, flags=(*earned.flags, CALENDAR_UNKNOWN))
        yield _line(terms.id, batch.id, value, context.doubted(event, terms.side, earned))


def _days(
    contract: Contract, terms: LiquidatedDamages, batch: Batch, event: ToldEvent
) -> tuple[int, int]:
    if terms.trigger == "cancellation":
        return 0, 0
    done = local_date(event.at_s, contract.time_zone)
    return days_late(terms, batch.due, done, contract.calendar)


def _batches(contract: Contract, event: ToldEvent) -> list[Batch]:
    every = [batch for item in contract.resources for batch in item.delivery]
    whole = event.kind == KINDS["cancellation"] and not event.unit
    return [batch for batch in every if whole or batch.id == event.unit]


def _side(contract: Contract, event: ToldEvent) -> Side:
    """Of the party that the event names. Owner and operator stand on the provider's side."""
    roles = {party.id: party.role for party in contract.parties}
    return "lessee" if roles.get(event.details.get("party", "")) == "lessee" else "provider"


def _leaving(contract: Contract, event: ToldEvent) -> Iterator[tuple[Side, Capped]]:
    if event.kind != KINDS["cancellation"]:
        return
    for terms in contract.term.early_exit:
        if terms.party == event.details.get("party"):
            in_time = _in_time(contract, terms, event)
            flags: tuple[Flag, ...] = () if in_time else ("late_exit_notice",)
            earned = Earned(True, Fraction(terms.fee), facts={"party": terms.party}, flags=flags)
            line = _line(EARLY_EXIT, event.unit or terms.party, Fraction(terms.fee), earned)
            yield _side(contract, event), line


def _in_time(contract: Contract, terms: EarlyExit, event: ToldEvent) -> bool:
    given = event.at_s if event.since_s is None else event.since_s
    days = [local_date(instant, contract.time_zone) for instant in (given, event.at_s)]
    return (days[1] - days[0]).days >= terms.notice_days


def _line(name: str, unit: str, value: Fraction, earned: Earned) -> Capped:
    """Under the cap of the damages alone."""
    return Capped(CreditTerms(id=name), unit, value, earned, earned.exact, earned.flags)
