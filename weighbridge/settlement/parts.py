"""A settled part of a period as lines of a statement."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cached_property

from weighbridge.codes import Note, Value
from weighbridge.contract import Availability, Contract, explain
from weighbridge.contract.condition import JOINED
from weighbridge.contract.money import CreditTerms
from weighbridge.contract.numerals import exact_text
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import State
from weighbridge.settlement.availability import Incident, Measure, Measurement, Outcome
from weighbridge.settlement.case import KnownUnits
from weighbridge.settlement.claims import NEVER_S
from weighbridge.settlement.coverage import cadence_lines
from weighbridge.settlement.credits import Line, money
from weighbridge.settlement.damages import EARLY_EXIT
from weighbridge.settlement.delivery import delivered, fee_lines, floor_lines
from weighbridge.settlement.evidence import evidence_lines, reach_lines
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.intervals import Interval, Intervals, Touching, clip, total
from weighbridge.settlement.maintenance import as_units_fare
from weighbridge.settlement.money import fraction_text, ordered, share_text
from weighbridge.settlement.periods import (
    Period,
    day_start,
    exact_instant,
    instant_text,
    local_date,
    months_later,
)
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.repair import Clocked
from weighbridge.settlement.results import OutcomeBound, Owed, Probed, Result, Settlement
from weighbridge.settlement.statement import (
    SO_FAR,
    TO_COME,
    Cause,
    ClockLine,
    CreditLine,
    Due,
    MaintenanceLine,
    Outage,
    Part,
    ProbeLine,
    UnitLine,
    UnitTime,
)
from weighbridge.settlement.units import Entries, JoinedRows, Timelines
from weighbridge.settlement.usage import Totals


@dataclass(frozen=True)
class Settled:
    """One version over its part of a period, and what it was settled from. `served`: of the `service`, in that part.

    `so_far`: from the first day of the year on, for the objectives of a year that this period does not judge.
    """

    version: Version
    whole: Period
    part: Period
    served: Interval
    settlement: Settlement
    record: Record
    units: Mapping[str, Sequence[str]]
    weighed: KnownUnits
    used: Totals
    known: JoinedRows
    service: Interval
    so_far: "Settled | None" = None

    @property
    def found(self) -> Timelines:
        return self.weighed.found

    @property
    def contract(self) -> Contract:
        return self.version.contract

    @cached_property
    def not_up(self) -> Mapping[tuple[str, str], Mapping[State, Intervals]]:
        """By objective and unit."""
        found: dict[tuple[str, str], Mapping[State, Intervals]] = {}
        for promise in self.contract.availability:
            units = self.units[promise.id]
            measurement = Measurement(
                self.contract, promise, self.record, self.part, units, self.service, self.whole
            )
            found |= {(promise.id, unit): measurement.alone(unit).not_up(unit) for unit in units}
        return found


def part_of(settled: Settled) -> Part:
    """Everything that the statement says of this part of the period."""
    contract, found = settled.contract, settled.settlement
    fees = Fees(
        contract,
        settled.whole,
        settled.served,
        settled.part,
        settled.record.steps,
        settled.record.service,
    )
    return Part(
        version=contract.version,
        text_digest=hashlib.sha256(settled.version.text.encode()).hexdigest(),
        start=instant_text(settled.part.start_s),
        end=instant_text(settled.part.end_s),
        units=tuple(_units(settled)),
        probes=tuple(_probe(one) for one in found.probed),
        series=settled.record.series,
        others=tuple(
            _credit(settled, *pair) for pair in zip(found.others, found.others_at_best, strict=True)
        ),
        maintenance=_maintenance(settled),
        delivery=tuple(
            delivered(item, settled.served, settled.found, settled.used)
            for item in contract.resources
        ),
        fees=tuple(fee_lines(contract, fees, settled.found)),
        dues=tuple(_due(contract, one) for one in found.dues),
        terms=explain(contract),
        clocks=tuple(_clock(one) for one in found.clocks),
        floors=tuple(floor_lines(contract, settled.served, settled.found)),
        by_lessee=tuple(
            _credit(settled, *pair)
            for pair in zip(found.by_lessee, found.by_lessee_at_best, strict=True)
        ),
        service=_instants(_so_far_s(settled, settled.served)),
        times=tuple(_time(*unit, states) for unit, states in settled.not_up.items()),
        evidence=tuple(
            evidence_lines(settled.served, settled.weighed.told, settled.weighed.in_time)
        ),
        cadence=tuple(
            cadence_lines(contract, settled.served, found.as_of_s, settled.found, settled.used)
        ),
        reach=tuple(reach_lines(settled.served, settled.weighed.told, settled.weighed.in_time)),
    )


def _units(settled: Settled) -> Iterator[UnitLine]:
    longer = settled.so_far
    yearly = () if longer is None else longer.settlement.results
    told = {result.measure.objective.id for result in yearly}
    for result in settled.settlement.results:
        if result.measure.objective.id not in told:
            yield _unit(settled, result)
    if longer is not None:
        yield from (_unit(longer, result) for result in yearly)


def _instants(interval_s: Interval) -> tuple[str, str]:
    return instant_text(interval_s[0]), instant_text(interval_s[1])


def _so_far_s(settled: Settled, within: Interval) -> Interval:
    """Of a period under way, what is not to come."""
    start_s, end_s = within
    return start_s, max(start_s, min(end_s, settled.settlement.as_of_s))


def _unit(settled: Settled, result: Result) -> UnitLine:
    measured, promise = result.measure, result.measure.objective
    worst, best = result.by_share
    shares = (worst.outcome.availability, best.outcome.availability)
    best_case, worst_case = sorted(
        (result.best.outcome, measured.so_far), key=lambda outcome: outcome.downtime_s
    )
    pairs = zip(result.worst.lines, result.best.lines, strict=True)
    return UnitLine(
        objective=promise.id,
        unit=measured.unit,
        verdict=SO_FAR if result.so_far else result.verdict.name,
        target=exact_text(promise.target),
        service_seconds=measured.service_s,
        denominator_seconds=worst.outcome.denominator_s,
        counted_seconds=(best_case.downtime_s, worst_case.downtime_s),
        raw_down_seconds=measured.raw_down_s,
        excluded_seconds=measured.so_far.excluded_s,
        unknown_seconds=measured.unknown_s,
        contested_seconds=measured.contested_s,
        seconds=_seconds(settled, measured),
        availability=(share_text(shares[0]), share_text(shares[1])),
        availability_fraction=(fraction_text(shares[0]), fraction_text(shares[1])),
        outages=_outages(settled, promise, measured.unit, worst_case),
        credits=tuple(_credit(settled, *pair) for pair in pairs),
        window=_window(worst),
        breaches=_breaches(worst),
        uncounted_seconds=measured.so_far.hidden_s,
    )


def _probe(found: Probed) -> ProbeLine:
    return ProbeLine(
        objective=found.terms.id,
        verdict=SO_FAR if found.so_far else found.verdict.name,
        target=exact_text(found.terms.target),
        scheduled=found.tally.scheduled,
        valid=found.tally.valid,
        good=exact_text(found.tally.good),
        share=share_text(found.tally.share),
        share_fraction=fraction_text(found.tally.share),
    )


def _clock(found: Clocked) -> ClockLine:
    mending = found.mending
    return ClockLine(
        objective=found.terms.id,
        unit=mending.unit,
        start=instant_text(mending.start_s),
        end=None if mending.end_s is None else instant_text(mending.end_s),
        seconds=mending.seconds,
        objective_seconds=found.terms.objective_s,
        verdict=found.verdict.name,
    )


def _seconds(settled: Settled, measured: Measure) -> dict[str, int]:
    """By state, and `to_come` while there is such time."""
    if measured.objective.scope != "per_unit":
        return {}
    found = settled.not_up[measured.objective.id, measured.unit]
    seconds = {str(state): total(intervals) for state, intervals in found.items()}
    up = measured.service_s - measured.to_come_s - sum(seconds.values())
    coming = {TO_COME: measured.to_come_s} if measured.to_come_s else {}
    return {**seconds, str(State.UP): up, **coming}


def _time(objective: str, unit: str, states: Mapping[State, Intervals]) -> UnitTime:
    held = sorted((*interval, str(state)) for state, found in states.items() for interval in found)
    return UnitTime(
        objective,
        unit,
        tuple((instant_text(start), instant_text(end), state) for start, end, state in held),
    )


def _outages(
    settled: Settled, promise: Availability, unit: str, outcome: Outcome
) -> tuple[Outage, ...]:
    units = (unit,) if promise.scope == "per_unit" else tuple(settled.units[promise.id])
    known = settled.record.under(promise.id)
    spans = Touching(
        ((span.start_s, span.end_s), span) for one in units for span in known.seen(one)
    )
    return tuple(
        _outage(settled, promise, incident, spans(incident.whole)) for incident in outcome.incidents
    )


def _outage(
    settled: Settled, promise: Availability, incident: Incident, spans: Sequence[Span]
) -> Outage:
    return Outage(
        start=instant_text(incident.whole[0]),
        end=instant_text(incident.whole[1]),
        seconds_in_period=total(incident.inside),
        counted=incident.counted,
        causes=_causes(spans),
        entries=_entries(settled, promise, spans, incident.whole),
        held=tuple(_instants(stretch) for stretch in incident.held),
        certain=incident.certain,
    )


def _causes(spans: Iterable[Span]) -> tuple[Cause, ...]:
    """Of a span that has several, each by itself; of one that rests on what was heard late, that too."""
    found = {
        (span.unit, str(state), cause)
        for span in spans
        for state, causes in ((span.state, span.cause), span.unheard or (State.UP, ""))
        for cause in causes.split(JOINED)
        if state is not State.UP
    }
    return tuple(Cause(*one) for one in sorted(found))


def _entries(
    settled: Settled, promise: Availability, spans: Iterable[Span], within: Interval
) -> Entries | None:
    """Of the nodes that were bad, from the lowest index to the highest."""
    units = {span.unit for span in spans}
    nodes = {unit.rpartition(".")[0] for unit in units} if promise.unit == "gpu" else units
    if promise.unit not in ("gpu", "node"):
        nodes = {node for node, _ in settled.found.slots}
    held_by = settled.found.held_by
    return settled.known.entries({name for node in nodes for name in held_by.get(node, ())}, within)


def _window(bound: OutcomeBound) -> tuple[str, str] | None:
    moving = bound.outcome.moving
    return None if moving is None else _instants(moving.window)


def _breaches(bound: OutcomeBound) -> tuple[tuple[str, str], ...]:
    moving = bound.outcome.moving
    found = () if moving is None else moving.breaches
    return tuple((exact_instant(start), exact_instant(end)) for start, end in found)


def _credit(settled: Settled, as_down: Line, as_up: Line) -> CreditLine:
    """Held time that is down may use up a cap in the part before, and so earn less than up."""
    highest, lowest = as_down, as_up
    if highest.exact is not None and lowest.exact is not None and highest.exact < lowest.exact:
        highest, lowest = lowest, highest
    earned = highest.earned
    kinds = {credit.id: credit for credit in settled.contract.credits}
    terms = kinds.get(highest.credit)
    return CreditLine(
        credit=highest.credit,
        formula=Note(_kind(settled.contract, highest.credit), _formula(highest)),
        base=exact_text(highest.base),
        highest=_amount(highest.amount),
        lowest=_amount(lowest.amount),
        tier=earned.tier,
        flags=highest.flags,
        form="cash" if terms is None else terms.form,
        expires=None if terms is None else _expiry(settled, terms),
    )


def _kind(contract: Contract, name: str) -> str:
    damages = (one.id for one in contract.liquidated_damages)
    kinds: dict[str, str] = dict.fromkeys(damages, "liquidated_damages")
    kinds |= {credit.id: credit.kind for credit in contract.credits}
    return kinds.get(name, EARLY_EXIT)


def _expiry(settled: Settled, terms: CreditTerms) -> str | None:
    """The days are counted from the date on which the period ended, as those of a claim are."""
    if terms.expiry_days is None and terms.expiry_months is None:
        return None
    zone = settled.contract.time_zone
    ended = months_later(local_date(settled.whole.end_s, zone), terms.expiry_months or 0)
    return instant_text(day_start(ended + timedelta(days=terms.expiry_days or 0), zone))


def _formula(line: Line) -> dict[str, Value]:
    """A percentage of the base, or an amount, both exact; neither where the contract gives no answer."""
    earned = line.earned
    facts: dict[str, Value] = {**earned.facts}
    if earned.pct is not None:
        return facts | {"pct": exact_text(earned.pct)}
    return facts | ({} if earned.exact is None else {"exact": exact_text(earned.exact)})


def _maintenance(settled: Settled) -> tuple[MaintenanceLine, ...]:
    contract, part = settled.contract, settled.part
    past = _so_far_s(settled, part.interval_s)
    units = {unit for names in settled.units.values() for unit in names}
    windows, zone = settled.record.windows, contract.time_zone
    terms, service = contract.maintenance, settled.service
    ruled = as_units_fare(terms, windows, units, settled.whole, zone, service)
    return tuple(
        MaintenanceLine(
            id=one.window.id,
            start=instant_text(one.window.start_s),
            end=instant_text(one.window.end_s),
            notice_received=instant_text(one.window.received_s),
            ruling=one.ruling,
            excluded_seconds=total(clip(one.excluded, past)),
        )
        for one in ruled
        if one.window.start_s < part.end_s and one.window.end_s > part.start_s
    )


def _due(contract: Contract, due: Owed) -> Due:
    lowest, highest = ordered(due.lowest, due.highest)
    return Due(
        unit=due.unit,
        standing=due.standing,
        deadline=None if due.deadline_s is None else instant_text(due.deadline_s),
        earned=_amount(money(due.earned, contract.rounding)),
        highest=_amount(money(highest, contract.rounding)),
        lowest=_amount(money(lowest, contract.rounding)),
        credits=due.credits,
        opens=None if due.opens_s is None or due.opens_s == NEVER_S else instant_text(due.opens_s),
    )


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
