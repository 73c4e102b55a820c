"""A statement drafted: a pure function of contract versions, ledger rows, notices, period and as-of."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from weighbridge.claims import Version
from weighbridge.contract import Availability, Contract, Resource, explain
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.ledger import Row, State
from weighbridge.ledger import Span as Stretch
from weighbridge.settlement.availability import accounts
from weighbridge.settlement.capacity import Metered, metered
from weighbridge.settlement.credits import Line, money
from weighbridge.settlement.fees import capacity_of
from weighbridge.settlement.intervals import Interval, clip, total
from weighbridge.settlement.maintenance import rulings
from weighbridge.settlement.money import fraction_text, round_half_up, share_text
from weighbridge.settlement.periods import (
    HOUR_S,
    Period,
    exact_instant,
    instant_text,
    moment_of,
    served_part,
)
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Event, Record, Span, Window
from weighbridge.settlement.results import Due as Owed
from weighbridge.settlement.results import Probed, Reading, Result, Settlement
from weighbridge.settlement.service import service_of
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import (
    CreditLine,
    Delivery,
    Due,
    FeeLine,
    MaintenanceLine,
    Outage,
    Part,
    ProbeLine,
    Statement,
    UnitLine,
)
from weighbridge.settlement.units import (
    Known,
    Timelines,
    known_of,
    seconds_in,
    spans_of,
    timelines,
    unit_lines,
)

ENGINE = "settlement/1"
"""Changes with any change of a result for the same inputs."""


@dataclass(frozen=True, slots=True)
class Notices:
    """What people said: maintenance, claims, events such as a replaced GPU; and what the probes found."""

    windows: tuple[Window, ...] = ()
    claims: tuple[Claim, ...] = ()
    events: tuple[Event, ...] = ()
    probes: Mapping[str, tuple[Samples, ...]] = field(default_factory=dict)

    @property
    def everything(self) -> tuple[Window | Claim | Event, ...]:
        return (*self.windows, *self.claims, *self.events)


def draft(
    versions: Sequence[Version],
    nodes: Mapping[str, str | None],
    rows: Iterable[Row],
    notices: Notices,
    period: Period,
    as_of_us: int,
    simulated: bool = False,
) -> Statement:
    """The statement of `period`. `versions`: of one contract, the newest last; `nodes`: the resource of each node."""
    margin = max(margin_s(version.contract) for version in versions)
    cutoff_us = _cutoff_us(versions[-1].contract, period)
    within = (period.start_s - margin, period.end_s + margin)
    known = known_of(rows, as_of_us, cutoff_us, within)
    job = _Job(tuple(versions), nodes, known, notices, period, as_of_us)
    return job.statement(simulated)


@dataclass(frozen=True)
class _Job:
    versions: tuple[Version, ...]
    nodes: Mapping[str, str | None]
    known: Known
    notices: Notices
    period: Period
    as_of_us: int

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    def statement(self, simulated: bool) -> Statement:
        settled = [self._settled(version, part) for version, part in self._parts()]
        zone = ZoneInfo(self.newest.time_zone)
        flags = {flag for _, one, _ in settled for flag in one.flags}
        flags |= {"data_after_cutoff"} if self.known.late else set()
        return Statement(
            contract=self.newest.contract_id,
            period=self.period.label,
            start=instant_text(self.period.start_s),
            end=instant_text(self.period.end_s),
            local_start=_local(self.period.start_s, zone),
            local_end=_local(self.period.end_s, zone),
            time_zone=self.newest.time_zone,
            currency=self.newest.currency,
            as_of=instant_text(self.as_of_us // MICROSECONDS),
            final=self.as_of_us >= _cutoff_us(self.newest, self.period),
            simulated=simulated,
            engine=ENGINE,
            inputs_digest=self._digest(),
            parts=tuple(part for part, _, _ in settled),
            swaps=self._swaps(),
            highest=_sum_text([one.highest for _, one, _ in settled]),
            lowest=_sum_text([one.lowest for _, one, _ in settled]),
            flags=tuple(sorted(flags)),
        )

    def _parts(self) -> list[tuple[Version, Period]]:
        """The versions that rule a part of the period; or the newest of them for the whole, if it says so."""
        ruled = [(version, self._ruled(number)) for number, version in enumerate(self.versions)]
        ruling = [(version, part) for version, part in ruled if part.seconds > 0]
        if ruling[-1][0].contract.amendments == "whole_period":
            return [(ruling[-1][0], self.period)]
        return ruling

    def _ruled(self, number: int) -> Period:
        """Split at the instants from which later versions hold; nothing is left out before the first."""
        later = self.versions[number + 1 :]
        start = (
            self.period.start_s if number == 0 else self.versions[number].from_us // MICROSECONDS
        )
        end = later[0].from_us // MICROSECONDS if later else self.period.end_s
        served = served_part(self.period, (start, end))
        return Period(self.period.label, *served)

    def _settled(self, version: Version, part: Period) -> tuple[Part, Settlement, Timelines]:
        contract = version.contract
        margin = margin_s(contract)
        within = (part.start_s - margin, part.end_s + margin)
        found = timelines(contract, self.nodes, self.known, within)
        lines = {promise.id: unit_lines(promise, found) for promise in contract.availability}
        record = self._record(lines)
        settled = settle(
            contract=contract,
            record=record,
            period=part,
            units={promise: tuple(units) for promise, units in lines.items()},
            as_of_s=self.as_of_us // MICROSECONDS,
            service=self._service(contract),
            whole=self.period,
        )
        served = served_part(part, self._service(contract))
        return _part(version, part, served, settled, record, found), settled, found

    def _service(self, contract: Contract) -> Interval:
        return service_of(contract, self.notices.events)

    def _record(self, lines: Mapping[str, Mapping[str, Iterable[Any]]]) -> Record:
        spans = {
            unit: tuple(spans_of(unit, line))
            for units in lines.values()
            for unit, line in units.items()
        }
        flat: tuple[Span, ...] = tuple(span for unit in sorted(spans) for span in spans[unit])
        return Record(
            spans=flat,
            windows=self.notices.windows,
            claims=self.notices.claims,
            events=self.notices.events,
            probes=self.notices.probes,
        )

    def _swaps(self) -> tuple[str, ...]:
        swaps = [
            event
            for event in self.notices.events
            if event.kind == "gpu_replaced"
            and self.period.start_s <= event.at_s < self.period.end_s
        ]
        return tuple(
            f"{instant_text(event.at_s)} {event.unit} {_details(event)}".rstrip() for event in swaps
        )

    def _digest(self) -> str:
        """Over everything that went in, in an order that does not depend on how it came."""
        parts = [version.text for version in self.versions]
        parts += [json.dumps(self.nodes, sort_keys=True), repr(self.period), str(self.as_of_us)]
        parts += self.known.spelled()
        parts += sorted(map(_spelled, self.notices.everything))
        parts += [repr(item) for item in sorted(self.notices.probes.items())]
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()


def _spelled(notice: Window | Claim | Event) -> str:
    return json.dumps([type(notice).__name__, asdict(notice)], sort_keys=True, default=sorted)


def _details(event: Event) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(event.details.items()))


def _local(seconds: int, zone: ZoneInfo) -> str:
    return moment_of(seconds).astimezone(zone).isoformat()


def margin_s(contract: Contract) -> int:
    """How far beyond the borders of a period rows matter: outages are measured whole, and a window may look back."""
    counts = [promise.counting for promise in contract.availability]
    minimums = [0 if one.min_outage is None else one.min_outage.seconds for one in counts]
    outage = max(minimums, default=0) + max((one.merge_gap_s for one in counts), default=0)
    return outage + max((promise.window_s or 0 for promise in contract.availability), default=0)


def _cutoff_us(contract: Contract, period: Period) -> int:
    """What is recorded later changes nothing."""
    return (period.end_s + contract.evidence.correction_window_s) * MICROSECONDS


def _amount(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def _sum_text(amounts: Sequence[Decimal | None]) -> str | None:
    known = [amount for amount in amounts if amount is not None]
    return f"{sum(known, Decimal(0)):f}" if len(known) == len(amounts) else None


def _part(
    version: Version,
    part: Period,
    served: Interval,
    settled: Settlement,
    record: Record,
    found: Timelines,
) -> Part:
    contract = version.contract
    kinds = {credit.id: credit for credit in contract.credits}
    formulas = {name: type(credit).__name__ for name, credit in kinds.items()}
    formulas |= {damages.id: type(damages).__name__ for damages in contract.liquidated_damages}
    return Part(
        version=contract.version,
        text_digest=hashlib.sha256(version.text.encode()).hexdigest(),
        start=instant_text(part.start_s),
        end=instant_text(part.end_s),
        units=tuple(
            _unit(contract, part, served, record, one, formulas) for one in settled.results
        ),
        probes=tuple(_probe(one) for one in settled.probed),
        others=tuple(_credit(line, line, formulas) for line in settled.others),
        maintenance=_maintenance(contract, record, part),
        delivery=tuple(_delivered(item, served, found) for item in contract.resources),
        fees=tuple(_fee_lines(contract, served, found)),
        dues=tuple(_due(contract, one) for one in settled.dues),
        terms=explain(contract),
    )


def _unit(
    contract: Contract,
    part: Period,
    served: Interval,
    record: Record,
    result: Result,
    formulas: Mapping[str, str],
) -> UnitLine:
    measured, worst, best = result.measure, result.worst, result.best
    promise = measured.objective
    shares = (worst.outcome.availability, best.outcome.availability)
    pairs = zip(worst.lines, best.lines, strict=True)
    return UnitLine(
        objective=promise.id,
        unit=measured.unit,
        verdict=result.verdict,
        target=exact_text(promise.target),
        service_seconds=measured.service_s,
        denominator_seconds=worst.outcome.denominator_s,
        counted_seconds=(best.outcome.downtime_s, worst.outcome.downtime_s),
        raw_down_seconds=measured.raw_down_s,
        excluded_seconds=worst.outcome.excluded_s,
        unknown_seconds=measured.unknown_s,
        contested_seconds=measured.contested_s,
        seconds=_seconds(contract, promise, record, part, served, measured.unit),
        availability=(share_text(shares[0]), share_text(shares[1])),
        availability_fraction=(fraction_text(shares[0]), fraction_text(shares[1])),
        outages=_outages(record, measured.unit, worst),
        window=_window(worst),
        breaches=_breaches(worst),
        credits=tuple(_credit(high, low, formulas) for high, low in pairs),
    )


def _probe(found: Probed) -> ProbeLine:
    return ProbeLine(
        objective=found.terms.id,
        verdict=found.verdict,
        target=exact_text(found.terms.target),
        scheduled=found.tally.scheduled,
        valid=found.tally.valid,
        good=exact_text(found.tally.good),
        share=share_text(found.tally.share),
        share_fraction=fraction_text(found.tally.share),
    )


def _seconds(
    contract: Contract,
    promise: Availability,
    record: Record,
    part: Period,
    served: Interval,
    unit: str,
) -> dict[str, int]:
    if promise.scope != "per_unit":
        return {}
    found = accounts(contract, promise, record, part, unit, served)
    return {str(state): seconds for state, seconds in found.items()}


def _outages(record: Record, unit: str, reading: Reading) -> tuple[Outage, ...]:
    spans = record.by_unit.get(unit, ())
    return tuple(
        Outage(
            start=instant_text(incident.whole[0]),
            end=instant_text(incident.whole[1]),
            seconds_in_period=total(incident.inside),
            counted=incident.counted,
            causes=_causes(spans, incident.whole),
        )
        for incident in reading.outcome.incidents
    )


def _window(reading: Reading) -> tuple[str, str] | None:
    moving = reading.outcome.moving
    return (
        None if moving is None else (instant_text(moving.window[0]), instant_text(moving.window[1]))
    )


def _breaches(reading: Reading) -> tuple[tuple[str, str], ...]:
    moving = reading.outcome.moving
    found = () if moving is None else moving.breaches
    return tuple((exact_instant(start), exact_instant(end)) for start, end in found)


def _causes(spans: Iterable[Span], within: Interval) -> tuple[str, ...]:
    touching = (span for span in spans if span.start_s < within[1] and span.end_s > within[0])
    return tuple(sorted({f"{span.state}:{span.cause}".rstrip(":") for span in touching}))


def _credit(highest: Line, lowest: Line, formulas: Mapping[str, str]) -> CreditLine:
    earned = highest.earned
    return CreditLine(
        credit=highest.credit,
        formula=_formula(formulas[highest.credit], highest),
        base=exact_text(highest.base),
        highest=_amount(highest.amount),
        lowest=_amount(lowest.amount),
        tier=earned.tier,
        flags=highest.flags,
    )


def _formula(kind: str, line: Line) -> str:
    """In words and exact numbers, before rounding."""
    earned = line.earned
    if earned.exact is None:
        return f"{kind}: no row of the contract holds this availability"
    if earned.pct is not None:
        return f"{kind}: {exact_text(earned.pct)} % x {exact_text(line.base)}"
    facts = ", ".join(f"{name} {value}" for name, value in earned.facts.items())
    return f"{kind}: {exact_text(earned.exact)}" + (f" ({facts})" if facts else "")


def _maintenance(contract: Contract, record: Record, part: Period) -> tuple[MaintenanceLine, ...]:
    ruled = rulings(contract.maintenance, record.windows, part, contract.time_zone)
    return tuple(
        MaintenanceLine(
            id=one.window.id,
            start=instant_text(one.window.start_s),
            end=instant_text(one.window.end_s),
            notice_received=instant_text(one.window.received_s),
            ruling=one.ruling,
            excluded_seconds=total(clip(one.excluded, part.interval)),
        )
        for one in ruled
        if one.window.start_s < part.end_s and one.window.end_s > part.start_s
    )


def _delivered(resource: Resource, served: Interval, found: Timelines) -> Delivery:
    length = served[1] - served[0]
    lines = _lines_of(resource, found)
    unknown = sum(seconds_in(line, State.UNKNOWN, served) for line in lines)
    healthy = sum(seconds_in(line, State.UP, served) for line in lines)
    contracted = resource.nodes * resource.per_node * length
    return Delivery(
        resource=resource.id,
        contracted_gpu_seconds=contracted,
        reporting_gpu_seconds=len(lines) * length - unknown,
        healthy_gpu_seconds=healthy,
        contracted_p_hours=_p_hours(resource, contracted),
        healthy_p_hours=_p_hours(resource, healthy),
    )


def _fee_lines(contract: Contract, served: Interval, found: Timelines) -> Iterator[FeeLine]:
    """What is billed by the hour; time that was seen down is not, where only healthy time is paid."""
    for price in contract.pricing:
        chosen = [item for item in contract.resources if price.resource in (None, item.id)]
        for resource in chosen if price.unit == "gpu_hour" else ():
            lines = _lines_of(resource, found)
            down = sum(seconds_in(line, State.DOWN, served) for line in lines)
            bill = metered(
                resource.nodes,
                resource.per_node,
                Fraction(price.price),
                served[1] - served[0],
                down if contract.pay_only_healthy else 0,
            )
            yield _fee_line(contract, resource, bill)


def _fee_line(contract: Contract, resource: Resource, bill: Metered) -> FeeLine:
    amounts = [money(amount, contract.rounding) for amount in (bill.gross, bill.unbilled, bill.net)]
    gross, unbilled, net = (f"{amount:f}" for amount in amounts)
    return FeeLine(resource.id, gross, unbilled, net)


def _lines_of(resource: Resource, found: Timelines) -> list[Sequence[Stretch]]:
    return [
        line for slot, line in found.slots.items() if found.resource_of[slot.node] == resource.id
    ]


def _p_hours(resource: Resource, gpu_seconds: int) -> str | None:
    if resource.capacity is None:
        return None
    return f"{round_half_up(capacity_of(resource, gpu_seconds) / HOUR_S, 4):f}"


def _due(contract: Contract, due: Owed) -> Due:
    return Due(
        unit=due.unit,
        standing=due.standing,
        deadline=None if due.deadline_s is None else instant_text(due.deadline_s),
        earned=_amount(money(due.earned, contract.rounding)),
        highest=_amount(money(due.highest, contract.rounding)),
        lowest=_amount(money(due.lowest, contract.rounding)),
    )
