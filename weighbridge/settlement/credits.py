"""What a missed objective earns: one function for each kind of credit, exact until the line is rounded.

ratio -> tier -> base -> cap -> (stack) -> minimum amount -> rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import partial

from weighbridge.codes import Flag
from weighbridge.contract import Availability, Contract
from weighbridge.contract.money import (
    BeyondAllowance,
    Cap,
    ClockHour,
    CreditTerms,
    DailyRate,
    Increment,
    Judged,
    LinearShortfall,
    OutageMultiple,
    PerEvent,
    Rounding,
    RoundShare,
    Steps,
    TierRow,
    Tiers,
)
from weighbridge.contract.numerals import exact_text
from weighbridge.settlement.availability import Incident, Outcome, Worth
from weighbridge.settlement.intervals import Interval, clip, total, union
from weighbridge.settlement.money import rounded
from weighbridge.settlement.outage_values import PaidByEvent, PaidBySecond
from weighbridge.settlement.periods import HOUR_S, Period, instant_text, local_hours

Fact = int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UsedBefore:
    """What a credit gave for a unit in the parts before: free seconds, outages that were counted, an amount, and hours
    that are not charged."""

    free_s: Fraction = Fraction(0)
    events: int = 0
    amount: Fraction = Fraction(0)
    hours: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CreditInputs:
    """What a credit is reckoned from: the outcome of one unit over one period, and the fee.

    `day_fee`: of the fee, for a day of service; `second_fee`: for a second of a unit. `before`: what the
    parts before used up of what there is once. `rule`: how the share is rounded before it is compared.
    """

    period: Period
    zone: str
    target: Fraction
    base: Fraction
    availability: Fraction
    downtime_s: int = 0
    denominator_s: int = 0
    incidents: tuple[Incident, ...] = ()
    rounding: Rounding = field(default_factory=Rounding)
    day_fee: Fraction = Fraction(0)
    second_fee: Fraction = Fraction(0)
    before: UsedBefore = UsedBefore()
    rule: RoundShare | None = None

    @property
    def compared(self) -> Fraction:
        """The availability as it is compared: exact, unless the contract has it rounded."""
        return compared(self.availability, self.rule)

    @property
    def missed(self) -> bool:
        """At the target itself nothing is missed."""
        return self.compared < self.target


@dataclass(frozen=True, slots=True)
class Earned:
    """Before cap, minimum and rounding. `exact` None: the contract gives no answer, and a flag says so.

    `free_s`: seconds that were free. `events`: outages that were counted.
    """

    breach: bool
    exact: Fraction | None
    pct: Fraction | None = None
    tier: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    flags: tuple[Flag, ...] = ()
    free_s: Fraction = Fraction(0)
    events: int = 0


@dataclass(frozen=True, slots=True)
class Capped:
    """What a credit gives for a unit under its own cap, exact. `incident`: the repair or event that it is given for."""

    credit: CreditTerms
    unit: str
    base: Fraction
    earned: Earned
    exact: Fraction | None
    flags: tuple[Flag, ...]
    incident: Interval | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the statement. `exact` is not rounded; `amount` is what is issued; None: the contract does not say."""

    credit: str
    unit: str
    base: Fraction
    earned: Earned
    exact: Fraction | None
    before_minimum: Decimal | None
    amount: Decimal | None
    flags: tuple[Flag, ...]
    incident: Interval | None = None


NOTHING_DUE = Fraction(0)
HOURS = "hours_not_charged"
"""The fact of a credit that says which."""


def rounding_of(contract: Contract, objective: str) -> RoundShare | None:
    """How the share of an objective is rounded before it is compared, wherever it is; None: it is compared exactly."""
    rules = (
        credit.round_share
        for credit in contract.credits
        if isinstance(credit, Tiers) and credit.objective == objective
    )
    return next((rule for rule in rules if rule is not None), None)


def compared(share: Fraction, rule: RoundShare | None) -> Fraction:
    """The share as a contract compares it."""
    return share if rule is None else Fraction(rounded(share * 100, rule.decimals, rule.mode)) / 100


def facts_of(
    outcome: Outcome,
    contract: Contract,
    period: Period,
    promise: Availability,
    base: Fraction,
    before: UsedBefore = UsedBefore(),
) -> CreditInputs:
    """The facts of an availability outcome."""
    return CreditInputs(
        period=period,
        zone=contract.time_zone,
        target=promise.target,
        base=base,
        availability=outcome.availability,
        downtime_s=outcome.downtime_s,
        denominator_s=outcome.denominator_s,
        incidents=outcome.incidents,
        rounding=contract.rounding,
        before=before,
        rule=rounding_of(contract, promise.id),
    )


def worth(credit: Judged, period: Period) -> Worth | None:
    """What each outage adds to a credit that less bad time may earn more of, since it parts outages; None: no such."""
    match credit:
        case OutageMultiple():
            price = Fraction(credit.hour_price) * credit.multiple / HOUR_S
            cap = None if credit.incident_cap is None else Fraction(credit.incident_cap)
            return partial(PaidBySecond, second_price=price, cap=cap)
        case PerEvent():
            longer = credit.longer_than_s
            return partial(PaidByEvent, period_start_s=period.start_s, longer_than_s=longer)
        case _:
            return None


def earn(credit: Judged, facts: CreditInputs) -> Earned:
    """What this kind of credit gives for these facts: nothing under an objective that is met, unless it says otherwise.

    What it used up of free seconds and outages is used up in any case.
    """
    found = EARN[type(credit)](credit, facts)
    if facts.missed or credit.owed_when == "below_threshold" or not found.exact:
        return found
    pct = None if found.pct is None else NOTHING_DUE
    return Earned(False, NOTHING_DUE, pct=pct, free_s=found.free_s, events=found.events)


def capped(
    credit: CreditTerms,
    unit: str,
    base: Fraction,
    earned: Earned,
    spent: Fraction = NOTHING_DUE,
    of_base: Fraction = NOTHING_DUE,
) -> Capped:
    """What a credit earns under its own cap. `spent`: what was given of its amount elsewhere; `of_base`: of its pct."""
    exact, cut = limited(earned.exact, credit.cap, base, spent, of_base)
    flags = earned.flags if not cut else (*earned.flags, "cap_applied")
    if earned.breach and base == 0 and (credit.needs_base or credit.cap.pct is not None):
        flags = (*flags, "base_of_zero")
    return Capped(credit, unit, base, earned, exact, flags)


def line(part: Capped, together: Fraction | None, rounding: Rounding) -> Line:
    """The minimum amount, tested on what the remedies of a unit give together, and then the rounding."""
    issued = part.exact if _enough(part.credit, together) else NOTHING_DUE
    flags = part.flags if issued == part.exact else (*part.flags, "below_minimum_credit")
    return Line(
        credit=part.credit.id,
        unit=part.unit,
        base=part.base,
        earned=part.earned,
        exact=issued,
        before_minimum=money(part.exact, rounding),
        amount=money(issued, rounding),
        flags=flags,
        incident=part.incident,
    )


def money(exact: Fraction | None, rounding: Rounding) -> Decimal | None:
    """Rounded as the contract says; None stays None."""
    return None if exact is None else rounded(exact, rounding.decimals, rounding.mode)


def limited(
    exact: Fraction | None,
    cap: Cap,
    base: Fraction,
    spent: Fraction = NOTHING_DUE,
    of_base: Fraction = NOTHING_DUE,
) -> tuple[Fraction | None, bool]:
    """The amount under the cap, and whether the cap took something. What was given elsewhere: `spent` of the cap's
    amount, `of_base` of its percentage."""
    if exact is None:
        return None, False
    limits = [] if cap.pct is None else [max(NOTHING_DUE, base * cap.pct / 100 - of_base)]
    limits += [] if cap.amount is None else [max(NOTHING_DUE, Fraction(cap.amount) - spent)]
    least = min([exact, *limits])
    return least, least < exact


def _enough(credit: CreditTerms, together: Fraction | None) -> bool:
    if together is None or together == 0 or credit.min_amount is None:
        return True
    minimum = Fraction(credit.min_amount)
    return together > minimum or (credit.min_op == ">=" and together == minimum)


def tier_text(row: TierRow) -> str:
    """`[0.99,0.995)`, with the digits of the contract's numbers."""
    close = ")" if row.below is not None else "]"
    return f"[{exact_text(row.at_or_above)},{exact_text(row.upper)}{close}"


def _tiers(credit: Tiers, facts: CreditInputs) -> Earned:
    if not facts.missed:
        return Earned(False, NOTHING_DUE, pct=Fraction(0))
    row = next((row for row in credit.tiers if row.holds(facts.compared)), None)
    if row is None:
        return Earned(True, None, flags=("tier_gap",))
    return Earned(True, facts.base * row.pct / 100, pct=row.pct, tier=tier_text(row))


def _linear(credit: LinearShortfall, facts: CreditInputs) -> Earned:
    threshold = facts.target if credit.threshold is None else credit.threshold
    shortfall = max(NOTHING_DUE, threshold - facts.availability)
    return Earned(facts.missed, facts.base * shortfall)


def _increment(credit: Increment, facts: CreditInputs) -> Earned:
    down = _beyond(facts) if credit.beyond_target else facts.downtime_s
    free = max(NOTHING_DUE, credit.free_s - facts.before.free_s)
    beyond = max(NOTHING_DUE, down - free)
    steps = steps_in(beyond, credit.increment_s, credit.partial)
    pct = credit.pct * steps
    if credit.cap.pct is not None:
        pct = min(pct, credit.cap.pct)
    flags: tuple[Flag, ...] = ("cap_applied",) if pct < credit.pct * steps else ()
    exact = facts.base * pct / 100
    return Earned(
        facts.missed and beyond > 0,
        exact,
        pct=pct,
        facts={"increments": steps},
        flags=flags,
        free_s=down - beyond,
    )


def _beyond_allowance(credit: BeyondAllowance, facts: CreditInputs) -> Earned:
    beyond = _beyond(facts)
    shown = {"beyond_seconds": exact_text(beyond)}
    return Earned(facts.missed, facts.second_fee * beyond * credit.multiple, facts=shown)


def _outage_multiple(credit: OutageMultiple, facts: CreditInputs) -> Earned:
    paid = [_of_incident(credit, incident) for incident in facts.incidents]
    shown = tuple(
        f"{rounded(amount, facts.rounding.decimals, facts.rounding.mode):f}" for amount in paid
    )
    return Earned(facts.missed, sum(paid, NOTHING_DUE), facts={"incidents": shown})


def _of_incident(credit: OutageMultiple, incident: Incident) -> Fraction:
    if not incident.counted:
        return NOTHING_DUE
    until_s = incident.before_s + total(incident.inside)
    return _of_outage(credit, until_s) - _of_outage(credit, incident.before_s)


def _of_outage(credit: OutageMultiple, seconds: int) -> Fraction:
    """By all of its seconds, before the period too: an outage that crosses a border has its cap once."""
    amount = Fraction(credit.hour_price) * Fraction(seconds, HOUR_S) * credit.multiple
    return amount if credit.incident_cap is None else min(amount, Fraction(credit.incident_cap))


def _clock_hour(credit: ClockHour, facts: CreditInputs) -> Earned:
    """Free hours by themselves are no breach: the month may still be above the target."""
    bad = union(*(incident.inside for incident in facts.incidents if incident.counted))
    hours = {hour for outage in bad for hour in local_hours(outage, facts.zone)}
    free = [
        hour
        for hour in sorted(hours)
        if _passes(total(clip(bad, hour)), credit.threshold_s, credit.op)
    ]
    every = (instant_text(start) for start, _ in free)
    shown = tuple(hour for hour in every if hour not in facts.before.hours)
    exact = Fraction(credit.hour_price) * len(shown)
    return Earned(facts.missed, exact, facts={HOURS: shown})


def _per_event(credit: PerEvent, facts: CreditInputs) -> Earned:
    """An outage that crosses a border is one event: it is paid for where it begins.

    What is paid once for a period, not for each outage, is not paid again in a later part of it.
    """
    counted = [one for one in facts.incidents if one.counted and _begins_in(facts.period, one)]
    longer = [incident for incident in counted if _is_long(credit, incident)]
    events = facts.before.events + len(counted)
    many = credit.more_than_events is not None and events > credit.more_than_events
    once = (bool(longer) or many) and not facts.before.amount
    times = len(longer) if credit.each and longer else int(once)
    trigger: dict[str, Fact] = {"trigger": "duration" if longer else "event_count"} if times else {}
    exact = Fraction(credit.amount) * credit.quantity * times
    return Earned(times > 0, exact, facts=trigger, events=len(counted))


def _begins_in(period: Period, incident: Incident) -> bool:
    """Whether an outage begins in the period, or begins to count in it, since service starts in its midst."""
    first_s = incident.inside[0][0] if incident.inside else incident.whole[0]
    return incident.whole[0] >= period.start_s or first_s > period.start_s


def _is_long(credit: PerEvent, incident: Incident) -> bool:
    length = incident.whole[1] - incident.whole[0]
    return credit.longer_than_s is not None and length > credit.longer_than_s


def _daily_rate(credit: DailyRate, facts: CreditInputs) -> Earned:
    steps = steps_in(_beyond(facts), credit.step_s, credit.partial)
    return Earned(facts.missed, facts.day_fee * credit.days * steps, facts={"steps": steps})


def _beyond(facts: CreditInputs) -> Fraction:
    allowed = (1 - facts.target) * facts.denominator_s
    return max(NOTHING_DUE, facts.downtime_s - allowed)


def steps_in(length: int | Fraction, step: int, partial: Steps) -> int:
    """Whole steps, or with `ceil` started ones."""
    return int(length // step) if partial == "floor" else int(-(-length // step))


def _passes(value: int, threshold: int, op: str) -> bool:
    return value > threshold or (op == ">=" and value == threshold)


EARN: Mapping[type[Judged], Callable[..., Earned]] = {
    Tiers: _tiers,
    LinearShortfall: _linear,
    Increment: _increment,
    BeyondAllowance: _beyond_allowance,
    OutageMultiple: _outage_multiple,
    ClockHour: _clock_hour,
    PerEvent: _per_event,
    DailyRate: _daily_rate,
}
