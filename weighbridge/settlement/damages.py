"""Liquidated damages, and what leaving early costs: on either side, which need not be the same.

Events say what happened: `batch_accepted` and `not_delivered` of a batch; `cancelled` of a batch, or of everything
where it names no unit, by the party in its details, with `since_s` as the instant of its notice. Damages that accrue
follow the days of a period, and need no event.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction

from weighbridge.codes import DamageKind, Flag
from weighbridge.contract import Contract
from weighbridge.contract.calendars import WEEKDAYS
from weighbridge.contract.money import CreditTerms
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.parties import EarlyExit
from weighbridge.contract.remedies import LiquidatedDamages, LongerService
from weighbridge.contract.resources import Batch
from weighbridge.settlement.credits import Capped, Earned, Fact
from weighbridge.settlement.damage_bases import base_of
from weighbridge.settlement.periods import day_start, local_date, term_of_s
from weighbridge.settlement.record import Side, ToldEvent
from weighbridge.settlement.remedy_context import RemedyContext
from weighbridge.settlement.service import BATCH_ACCEPTED, came_s, start_of_s
from weighbridge.settlement.working_days import least_and_most

KINDS = {
    "late_delivery": BATCH_ACCEPTED,
    "non_delivery": "not_delivered",
    "cancellation": "cancelled",
}
"""The kind of event for each trigger."""

OVER = (BATCH_ACCEPTED, KINDS["non_delivery"], KINDS["cancellation"])
"""What of a batch ends its lateness, besides the start of its service."""

TEN_THOUSAND = 10_000

CALENDAR_UNKNOWN: Flag = "calendar_year_unknown"
NOTHING = Earned(False, Fraction(0), facts={"days_late": 0})
EARLY_EXIT: DamageKind = "early_exit"
"""Name of the line for the fee of leaving early, and its kind."""


def days_late(
    terms: LiquidatedDamages | LongerService, due: date, done: date, calendar: str = WEEKDAYS
) -> tuple[int, int]:
    """Days after the due date up to the day on which it was done, which counts: at least, and at most."""
    after = [due + timedelta(days=step) for step in range(1, (done - due).days + 1)]
    if terms.day_count == "calendar_days":
        return len(after), len(after)
    return least_and_most(calendar, after)


def earn_damages(terms: LiquidatedDamages, base: Fraction, days: int, before: int = 0) -> Earned:
    """The flat part of the base, and a share of it for each day; less what was owed for the days `before`."""
    counted = days if terms.most_days is None else min(days, terms.most_days)
    full, owed = (
        base * (terms.flat_pct / 100 + terms.rate_of_day * one) for one in (days, counted)
    )
    limit = owed if terms.cap_pct is None else min(owed, base * terms.cap_pct / 100)
    given = Fraction(0) if before == 0 else earn_damages(terms, base, before).exact or Fraction(0)
    facts: dict[str, Fact] = {"days_late": days}
    facts |= {"days_late_before": before} if before else {}
    if terms.rate_of_day:
        facts["ten_thousandths"] = exact_text(terms.rate_of_day * TEN_THOUSAND)
    flags: tuple[Flag, ...] = ("cap_applied",) if limit < full else ()
    if base == 0:
        flags = (*flags, "base_of_zero")
    return Earned(breach=True, exact=limit - given, facts=facts, flags=flags)


def damages(context: RemedyContext) -> Iterator[tuple[Side, Capped]]:
    """What each event of the period costs, and each day that a batch is late, and which side pays it."""
    terms = context.contract.liquidated_damages
    for one in terms:
        if one.accrues:
            yield from ((one.side, part) for part in _accrued(context, one))
    for event in _once(context.record.events):
        if context.holds(event.at_s):
            for one in terms:
                if event.kind == KINDS.get(one.trigger) and not one.accrues:
                    found = _of_event(context, one, event)
                    yield from ((one.side, part) for part in found)
            yield from _leaving(context.contract, event)


def _accrued(context: RemedyContext, terms: LiquidatedDamages) -> Iterator[Capped]:
    """For the late days of the period, of each batch that is late in it; in the first of the term for those before."""
    contract = context.contract
    first = context.period.start_s <= term_of_s(contract)[0]
    ends_s = min(context.period.end_s, context.service[1], context.known_until_s)
    for item in contract.resources:
        for batch in item.delivery:
            over_s = _over_s(context, batch)
            last_s = ends_s - 1 if over_s is None else min(over_s, ends_s - 1)
            before_s = context.period.start_s - 1
            last, before = (local_date(at_s, contract.time_zone) for at_s in (last_s, before_s))
            before = batch.due if first else before
            late, known = (
                days_late(terms, batch.due, day, contract.calendar) for day in (last, before)
            )
            most = int(context.held == "down")
            if late[1] > known[1] and last_s >= context.period.start_s:
                base = base_of(contract, terms, batch, last_s, context.service)
                earned = earn_damages(terms, base, late[most], known[most])
                flags = (*earned.flags, CALENDAR_UNKNOWN) if late[0] < late[1] else earned.flags
                yield _line(terms.id, batch.id, base, replace(earned, flags=flags))


def _over_s(context: RemedyContext, batch: Batch) -> int | None:
    """When the batch is late no more; None: it is. Where nothing that was told started service, it never was."""
    contract, events = context.contract, context.record.events
    ends = [one.at_s for one in events if one.unit == batch.id and one.kind in OVER]
    ends += [one.at_s for one in events if one.kind == KINDS["cancellation"] and not one.unit]
    came = came_s(contract, events, context.known_until_s)
    ends += [at_s for unit, at_s in came if unit in ("", batch.id)]
    if not ends and start_of_s(contract, events, context.known_until_s) is None:
        return day_start(batch.due, contract.time_zone)
    return min(ends, default=None)


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
    for batch in _batches(contract, terms, event):
        value = base_of(contract, terms, batch, event.at_s, context.service)
        least, most = (0, 0) if batch is None else _days(contract, terms, batch, event)
        late = most if context.held == "down" else least
        in_time = terms.trigger == "late_delivery" and late == 0
        earned = NOTHING if in_time or not believed else earn_damages(terms, value, late)
        if least < most:
            earned = replace(earned, flags=(*earned.flags, CALENDAR_UNKNOWN))
        unit = event.details.get("party", "") if batch is None else batch.id
        yield _line(terms.id, unit, value, context.doubted(event, terms.side, earned))


def _days(
    contract: Contract, terms: LiquidatedDamages, batch: Batch, event: ToldEvent
) -> tuple[int, int]:
    if terms.trigger == "cancellation":
        return 0, 0
    done = local_date(event.at_s, contract.time_zone)
    return days_late(terms, batch.due, done, contract.calendar)


def _batches(
    contract: Contract, terms: LiquidatedDamages, event: ToldEvent
) -> Sequence[Batch | None]:
    """Of what the event is; None: of everything, where that has a base of its own."""
    every = [batch for item in contract.resources for batch in item.delivery]
    whole = event.kind == KINDS["cancellation"] and not event.unit
    if whole and terms.base != "value":
        return [None]
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
