"""A period settled: every objective of a contract, what it earns, what stacks, what is claimed, what to look at.

A pure function of the contract, the record and the instant as of which it is asked. Where the contract holds unknown
time, each result has a worst and a best bound; they are the same where nothing is held.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from itertools import chain

from weighbridge.codes import Flag
from weighbridge.contract import Availability, Contract, Policy
from weighbridge.contract.money import (
    AnomalyHours,
    ClaimTerms,
    Judged,
    LostWork,
    MaintenanceCount,
    RepairSteps,
    Stacking,
)
from weighbridge.contract.quality import Performance
from weighbridge.settlement import flags
from weighbridge.settlement.availability import Measure, Measurement, Outcome
from weighbridge.settlement.claims import (
    TOGETHER,
    ClaimState,
    deadline_s,
    opens_s,
    payable,
    standing,
    together,
)
from weighbridge.settlement.credits import (
    NOTHING_DUE,
    Capped,
    CreditInputs,
    Line,
    UsedBefore,
    capped,
    compared,
    earn,
    facts_of,
    line,
    money,
    rounding_of,
    worth,
)
from weighbridge.settlement.damages import damages
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.intervals import Interval, union
from weighbridge.settlement.invariants import check_settlement
from weighbridge.settlement.money import ordered
from weighbridge.settlement.periods import Period, days_within, served_part_s, term_of_s
from weighbridge.settlement.probes import Tally, tally
from weighbridge.settlement.record import Record, Side
from weighbridge.settlement.remedies import remedies, timed
from weighbridge.settlement.remedy_context import RemedyContext
from weighbridge.settlement.results import OutcomeBound, Owed, Probed, Result, Settlement, in_order
from weighbridge.settlement.spent import SpentCredits, spent
from weighbridge.settlement.stacking import Remedy, stack
from weighbridge.verdict import Verdict

FOLLOWS_EVENTS = (AnomalyHours, LostWork, MaintenanceCount)
"""Credits of which all lines of a period are one remedy, whatever they are of."""

Remedies = tuple[str, Fraction | None]
"""The id of a credit, and the amount it gives."""

CLAIMED = frozenset({"automatic", "filed"})
"""How a credit stands that is owed."""


@dataclass(frozen=True, slots=True)
class CreditShare:
    """What a credit gives a unit, with held time down and up: earned, and as far as it is claimed owed."""

    unit: str
    credit: str
    terms: ClaimTerms
    state: ClaimState
    earned_worst: Fraction | None
    earned_best: Fraction | None
    highest: Fraction | None
    lowest: Fraction | None


def settle(
    contract: Contract,
    record: Record,
    period: Period,
    units: Mapping[str, Sequence[str]],
    as_of_s: int,
    service: Interval | None = None,
    whole: Period | None = None,
    before: Sequence[Settlement] = (),
) -> Settlement:
    """Settles one period. `units`: those of each objective, by its id. `service`: default the term.

    `whole`: the period that `period` is a part of, where an amendment splits it; fees, claims and the cut-off are those
    of the whole. `before`: the parts of it that were settled already; what they gave of what there is once for a
    period is used up.
    """
    served = service or term_of_s(contract)
    return PartSettlement(
        contract, record, period, units, as_of_s, served, whole or period, tuple(before)
    ).settlement()


@dataclass(frozen=True)
class PartSettlement:
    """The inputs of `settle`, and the steps from them to a settlement."""

    contract: Contract
    given: Record
    period: Period
    units: Mapping[str, Sequence[str]]
    as_of_s: int
    service: Interval
    whole: Period
    before: tuple[Settlement, ...]

    @cached_property
    def spent(self) -> tuple[SpentCredits, SpentCredits]:
        return spent(self.before)

    @property
    def cutoff_s(self) -> int:
        return self.whole.end_s + self.contract.evidence.correction_window_s

    @cached_property
    def record(self) -> Record:
        known = self.given.as_of(self.as_of_s, self.cutoff_s)
        return known.corrected(self.contract.evidence.clock.max_abs_skew_s)

    @cached_property
    def fees(self) -> Fees:
        return Fees(
            self.contract,
            self.whole,
            served_part_s(self.period, self.service),
            self.period,
            self.given.steps,
            self.given.service,
        )

    @cached_property
    def whole_fees(self) -> Fees:
        """The fees of the whole period, as if there were service throughout."""
        return Fees(self.contract, self.whole, self.whole.interval_s, self.whole)

    @cached_property
    def days(self) -> int:
        """Local days that the whole period touches."""
        return sum(1 for _ in days_within(self.whole.interval_s, self.contract.time_zone))

    @cached_property
    def _judged(self) -> tuple[list[Result], Iterator[Result]]:
        """The results so far, and those to come."""
        return [], self.results(frozenset(one.id for one in self.contract.availability))

    def each_result(self) -> Iterator[Result]:
        """Of each unit, judged when it is asked for, and once."""
        judged, others = self._judged
        yield from judged
        for result in others:
            judged.append(result)
            yield result

    def settlement(self) -> Settlement:
        """Raises BrokenInvariantError where it would contradict itself."""
        found = self._settlement()
        check_settlement(self.contract, found)
        return found

    def _settlement(self) -> Settlement:
        results = list(self.each_result())
        probed = [self._probed(terms) for terms in self.contract.performance]
        worst, best = self.spent
        context, better = self._context("down", worst), self._context("up", best)
        parts = [part for one in probed for part in one.parts]
        others = self._lines([*parts, *self._owed_for_events(context)])
        at_best = self._lines([*parts, *self._owed_for_events(better)])
        by_lessee = self._lines(_damages(context, "lessee") if self.bills else [])
        dues, clocks = self._dues(results, others, at_best), tuple(timed(context))
        raised = [*self._flags(), *flags.of_results(results, [*others, *by_lessee], dues)]
        raised += flags.of_repairs(self.contract, self.record, clocks)
        highest, capped_high = self._total([due.highest for due in dues], worst.together)
        lowest, _ = self._total([due.lowest for due in dues], best.together)
        return Settlement(
            period=self.period,
            as_of_s=self.as_of_s,
            final=self.as_of_s >= self.cutoff_s,
            results=tuple(results),
            probed=tuple(probed),
            others=others,
            others_at_best=at_best,
            by_lessee=by_lessee,
            by_lessee_at_best=self._lines(_damages(better, "lessee") if self.bills else []),
            dues=tuple(dues),
            highest=money(highest, self.contract.rounding),
            lowest=money(lowest, self.contract.rounding),
            exact=(lowest, highest),
            flags=tuple(sorted({*raised, *capped_high})),
            clocks=clocks,
        )

    @property
    def bills(self) -> bool:
        """Whether what has no period of its own is paid here."""
        return self.contract.bills_by(self.whole.kind)

    def _owed_for_events(self, context: RemedyContext) -> list[Capped]:
        return [*remedies(context), *_damages(context, "provider")] if self.bills else []

    def results(self, objectives: frozenset[str]) -> Iterator[Result]:
        """The results of the units of these objectives, each judged when it is asked for."""
        promises = (one for one in self.contract.availability if one.id in objectives)
        return (result for promise in promises for result in self._results(promise))

    def _flags(self) -> list[Flag]:
        units = {unit for names in self.units.values() for unit in names}
        return flags.of_record(
            self.contract,
            self.given,
            self.record,
            units,
            self.period,
            self.whole,
            self.service,
            self.cutoff_s,
        )

    def _context(self, held: Policy, spent: SpentCredits) -> RemedyContext:
        return RemedyContext(
            self.contract,
            self.record,
            self.period,
            self.units,
            self.fees,
            self.service,
            min(self.as_of_s, self.cutoff_s),
            spent.amounts,
            held,
        )

    def _lines(self, parts: Sequence[Capped]) -> tuple[Line, ...]:
        """The minimum amount is tested on what a credit gives a unit together; what follows events, everybody."""
        together: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for part in parts:
            together[_remedy_of(part)] += part.exact or 0
        return tuple(
            line(part, together[_remedy_of(part)], self.contract.rounding) for part in parts
        )

    def _results(self, promise: Availability, record: Record | None = None) -> Iterator[Result]:
        """`record`: other than what is known."""
        measurement = Measurement(
            self.contract,
            promise,
            self.record if record is None else record,
            self.period,
            self.units[promise.id],
            self.service,
            self.whole,
            (self.spent[0].free_of_objectives, self.spent[1].free_of_objectives),
        )
        return map(self._result, measurement.measures())

    def _result(self, one: Measure) -> Result:
        if self.whole.kind not in (None, self.contract.judged_over(one.objective)):
            low, high = (OutcomeBound(outcome, False, ()) for outcome in (one.low, one.high))
            return Result(one, low, high, so_far=True)
        worst = self._bound(one, one.low, self.spent[0], most=True)
        if not one.held and self.spent[0] == self.spent[1]:
            return Result(one, worst, worst)
        best = self._bound(one, one.high, self.spent[1], most=False)
        return Result(one, worst, best) if self.before else in_order(one, worst, best)

    def _bound(
        self, one: Measure, outcome: Outcome, spent: SpentCredits, *, most: bool
    ) -> OutcomeBound:
        credits = self._credits(one.objective.id)
        parts = [self._earned(credit, one, outcome, spent, most=most) for credit in credits]
        together = self._stacked([(part.credit.id, part.exact) for part in parts])
        rule = rounding_of(self.contract, one.objective.id)
        missed = compared(outcome.availability, rule) < one.objective.target
        breach = missed or any(part.earned.breach for part in parts)
        lines = tuple(line(part, together, self.contract.rounding) for part in parts)
        return OutcomeBound(outcome, breach, lines)

    def _credits(self, objective: str) -> list[Judged]:
        judged = [credit for credit in self.contract.credits if isinstance(credit, Judged)]
        return [credit for credit in judged if credit.objective == objective]

    def _probed(self, terms: Performance) -> Probed:
        given = self.record.probes.get(terms.id, ())
        found = tally(terms, given, served_part_s(self.period, self.service))
        if not self.bills or found.answered < terms.min_samples:
            return Probed(terms, found, Verdict.UNKNOWN, (), so_far=not self.bills)
        parts = tuple(
            self._earned_by_probes(credit, terms, found) for credit in self._credits(terms.id)
        )
        share = compared(found.share, rounding_of(self.contract, terms.id))
        return Probed(
            terms, found, Verdict.BREACHED if share < terms.target else Verdict.MET, parts
        )

    def _earned_by_probes(self, credit: Judged, terms: Performance, found: Tally) -> Capped:
        base = self.fees.base(credit.base, None)
        facts = CreditInputs(
            self.period,
            self.contract.time_zone,
            terms.target,
            base,
            found.share,
            rounding=self.contract.rounding,
            rule=rounding_of(self.contract, terms.id),
        )
        given = self.spent[0].amounts.get((credit.id, terms.id), NOTHING_DUE)
        return capped(credit, terms.id, base, earn(credit, facts), given)

    def _earned(
        self,
        credit: Judged,
        one: Measure,
        outcome: Outcome,
        spent: SpentCredits,
        *,
        most: bool,
    ) -> Capped:
        promise = one.objective
        unit = promise.unit if promise.scope == "per_unit" else None
        fees = self.fees if unit is None else self._fees_of(one.unit)
        base = fees.base(credit.base, unit, promise.resource)
        before = spent.before.get((credit.id, one.unit), UsedBefore())
        whole = self.whole_fees.base(credit.base, unit, promise.resource)
        units = len(self.units[promise.id]) if promise.scope == "pooled" else 1
        facts = replace(
            facts_of(outcome, self.contract, self.period, promise, base, before),
            day_fee=whole / self.days,
            second_fee=whole / (self.whole.seconds * units),
        )
        adds, exact = worth(credit, self.period), True
        if one.readings is not None and adds is not None:
            owed = self._owed_by(credit, one, facts) if most else None
            chosen, exact = one.readings.incidents(adds, most=most, owed=owed)
            facts = replace(facts, incidents=tuple(chain.from_iterable(chosen)))
        earned = earn(credit, facts)
        if not exact and earned.exact:
            earned = replace(earned, flags=(*earned.flags, "highest_of_many_readings"))
        return capped(credit, one.unit, base, earned, before.amount)

    def _owed_by(
        self, credit: Judged, one: Measure, facts: CreditInputs
    ) -> Callable[[int], bool] | None:
        """With which bad time of a reading the objective is missed; None: the credit is owed in every reading.

        Of whole intervals no outage has bad time of its own, so that the most is of all readings.
        """
        found, whole = one.readings, one.objective.counting.intervals is not None
        met = not replace(facts, availability=one.high.availability).missed
        if found is None or whole or not met or credit.owed_when != "missed":
            return None
        return lambda bad_s: replace(facts, availability=found.availability(bad_s)).missed

    def _fees_of(self, unit: str) -> Fees:
        """Over the unit's own service, where that starts later than the contract's."""
        start_s = self.fees.service[0]
        own_s = self.given.accepted.get(unit, start_s)
        return self.fees if own_s <= start_s else self._fees_since(own_s)

    @cached_property
    def _fees_since(self) -> Callable[[int], Fees]:
        """One for all units that start at an instant."""
        return cache(self.fees.since)

    def _dues(
        self, results: list[Result], others: Sequence[Line], at_best: Sequence[Line]
    ) -> list[Owed]:
        """One for each unit and way to claim. A repair belongs to its unit, or to that which its unit is a part of."""
        results = [result for result in results if not result.so_far]
        names = list(dict.fromkeys(result.measure.unit for result in results))
        shares: dict[str, list[CreditShare]] = {}
        for result in results:
            shares.setdefault(result.measure.unit, []).extend(self._of_result(result))
        repairs = {one.id for one in self.contract.credits if isinstance(one, RepairSteps)}
        for part, better in zip(others, at_best, strict=True):
            name = _around(part.unit, names) if part.credit in repairs else part.unit
            shares.setdefault(name, []).append(self._of_other(name, part, better))
        return [due for unit, mine in shares.items() for due in self._of_unit(unit, mine)]

    def _of_result(self, result: Result) -> Iterator[CreditShare]:
        """What each credit gives a unit, and how much of it is claimed."""
        unit = result.measure.unit
        by_terms: dict[ClaimTerms, tuple[ClaimState, Result]] = {}
        for number, part in enumerate(result.worst.lines):
            terms = self._claim_terms(part.credit)
            if terms not in by_terms:
                by_terms[terms] = self._claimed(terms, result)
            state, claimed = by_terms[terms]
            earned = [one.lines[number].exact for one in (result.worst, result.best)]
            owed = [one.lines[number].exact for one in (claimed.worst, claimed.best)]
            yield self._share(unit, part.credit, terms, state, earned, owed)

    def _of_other(self, unit: str, part: Line, better: Line) -> CreditShare:
        terms = self._claim_terms(part.credit)
        state = self._state(terms, unit, part.incident if terms.by_incident else None)
        earned = [part.exact, better.exact]
        owed = [payable(exact, state.standing) for exact in earned]
        return self._share(unit, part.credit, terms, state, earned, owed)

    def _claimed(self, terms: ClaimTerms, result: Result) -> tuple[ClaimState, Result]:
        """How the credits under these terms stand, and what the unit earns by what was claimed in time."""
        unit = result.measure.unit
        if not terms.by_incident:
            state = self._state(terms, unit, None)
            return state, result if state.standing in CLAIMED else _without_credits(result)
        outages = {one.whole for one in result.worst.outcome.incidents if one.counted}
        states = {outage: self._state(terms, unit, outage) for outage in sorted(outages)}
        missing = [outage for outage, one in states.items() if one.standing not in CLAIMED]
        found = together(list(states.values()))
        return found, self._without(result, missing) if missing else result

    def _without(self, result: Result, outages: Sequence[Interval]) -> Result:
        """What a unit gives as if it had been up in these outages."""
        promise, unit = result.measure.objective, result.measure.unit
        units = [unit] if promise.scope == "per_unit" else self.units[promise.id]
        record = self.record.without(units, union(outages))
        [found] = (one for one in self._results(promise, record) if one.measure.unit == unit)
        return found

    def _state(self, terms: ClaimTerms, unit: str, incident: Interval | None) -> ClaimState:
        """Of an incident that lasts nobody knows yet until when it can be claimed."""
        opens = opens_s(terms, self.whole, self.contract)
        since_s = max(opens or 0, 0 if incident is None else incident[0])
        lasts = incident is not None and incident[1] >= min(self.as_of_s, self.cutoff_s)
        waits = lasts and terms.counted_from == "incident_end"
        until_s = None if waits else deadline_s(terms, self.whole, self.contract, incident)
        claims, period = self.record.claims, self.period
        found = standing(terms, until_s, claims, period, unit, self.as_of_s, since_s)
        return ClaimState(found, until_s, found == "lapsed", opens)

    def _share(
        self,
        unit: str,
        credit: str,
        terms: ClaimTerms,
        state: ClaimState,
        earned: Sequence[Fraction | None],
        owed: Sequence[Fraction | None],
    ) -> CreditShare:
        rounded = [self._owed(exact) for exact in (*earned, *owed)]
        return CreditShare(unit, credit, terms, state, *rounded)

    def _of_unit(self, unit: str, shares: Sequence[CreditShare]) -> Iterator[Owed]:
        """What the unit's credits give together, by the way in which they are claimed."""
        earned = [
            self._kept((one.credit, one.earned_worst) for one in shares),
            self._kept((one.credit, one.earned_best) for one in shares),
        ]
        highest = self._kept((one.credit, one.highest) for one in shares)
        lowest = self._kept((one.credit, one.lowest) for one in shares)
        ways = dict.fromkeys(one.terms for one in shares)
        for terms in ways:
            mine = [one for one in shares if one.terms == terms]
            credits = tuple(dict.fromkeys(one.credit for one in mine))
            state = together([one.state for one in mine])
            most = ordered(*(_of_these(credits, one) for one in earned))[1]
            yield Owed(
                unit,
                state.standing,
                state.deadline_s,
                most,
                _of_these(credits, highest),
                _of_these(credits, lowest),
                state.lapsed,
                credits if len(ways) > 1 else (),
                state.opens_s,
            )

    def _owed(self, exact: Fraction | None) -> Fraction | None:
        """What a line adds to the rest: what it shows, or the exact amount where only the sum is rounded."""
        rounded = money(exact, self.contract.rounding)
        if rounded is None or self.contract.rounding.place == "invoice":
            return exact
        return Fraction(rounded)

    def _claim_terms(self, credit: str) -> ClaimTerms:
        return self._own_claims.get(credit) or self.contract.claim

    @cached_property
    def _own_claims(self) -> Mapping[str, ClaimTerms | None]:
        return {one.id: one.claim for one in self.contract.credits}

    def _stacked(self, remedies: list[Remedies]) -> Fraction | None:
        kept = self._kept(remedies)
        return None if kept is None else sum(kept.values(), NOTHING_DUE)

    def _kept(self, remedies: Iterable[Remedies]) -> Mapping[str, Fraction] | None:
        """By credit what stands beside each other. Lines of one credit, as for two late repairs, are one remedy."""
        of_credits: dict[str, Fraction] = {}
        for credit, exact in remedies:
            if exact is None:
                return None
            of_credits[credit] = of_credits.get(credit, NOTHING_DUE) + exact
        amounts = [Remedy("", credit, exact) for credit, exact in of_credits.items()]
        found = stack(self._beside, amounts)
        return {one.objective: one.amount for one in found.kept}

    @cached_property
    def _beside(self) -> Stacking:
        """Which remedies of a unit stand beside each other: their cap is that of all units together."""
        return self.contract.stacking.model_copy(update={"cap": None})

    def _total(
        self, amounts: list[Fraction | None], spent: Fraction
    ) -> tuple[Fraction | None, tuple[Flag, ...]]:
        """Under what the parts before left of the cap of all credits together."""
        whole = _sum(amounts)
        if whole is None:
            return None, ()
        every = self.contract.stacking.model_copy(update={"rule": "sum"})
        under_cap = stack(every, [Remedy("", "", spent + whole)])
        return max(NOTHING_DUE, under_cap.paid - spent), under_cap.flags


def _damages(context: RemedyContext, side: Side) -> list[Capped]:
    return [part for payer, part in damages(context) if payer == side]


def _of_these(credits: Sequence[str], kept: Mapping[str, Fraction] | None) -> Fraction | None:
    if kept is None:
        return None
    return sum((kept.get(credit, NOTHING_DUE) for credit in credits), NOTHING_DUE)


def _without_credits(result: Result) -> Result:
    """The same, with nothing owed: what the contract does not say stays open."""
    worst, best = (
        replace(
            bound,
            lines=tuple(replace(one, exact=payable(one.exact, "open")) for one in bound.lines),
        )
        for bound in (result.worst, result.best)
    )
    return Result(result.measure, worst, best)


def _remedy_of(part: Capped) -> tuple[str, str]:
    return part.credit.id, "" if isinstance(part.credit, FOLLOWS_EVENTS) else part.unit


def _around(unit: str, names: list[str]) -> str:
    """The unit that is judged and holds this one: itself, its node, or all together."""
    for name in names:
        if unit == name or unit.startswith(f"{name}."):
            return name
    together = [name for name in names if name in TOGETHER]
    return together[0] if together else unit


def _sum(amounts: Sequence[Fraction | None]) -> Fraction | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Fraction(0)) if len(known) == len(amounts) else None
