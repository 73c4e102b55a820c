"""What a period of a contract is settled from: versions, holders, rows and notices, as known at an instant."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from weighbridge.contract import Availability, Contract
from weighbridge.contract.evidence import Late
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.judge.slot_history import Holder
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.one_sided import without_one_sided
from weighbridge.settlement.period_labels import margin_s
from weighbridge.settlement.periods import Period, calendar_year, local_date, served_part_s
from weighbridge.settlement.phases import AT_ONCE, phases
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Record, ToldEvent, Window
from weighbridge.settlement.service import service_of_s
from weighbridge.settlement.statement import SeriesLine
from weighbridge.settlement.units import (
    NEVER,
    JoinedRows,
    Proven,
    Slot,
    Timelines,
    coming_of,
    has_reach,
    joined_rows,
    set_apart,
    spans_of,
    timelines,
    unit_lines,
)

Probes = Callable[[Contract, Period, Period, Interval], Mapping[str, tuple[Samples, ...]]]
"""What the probes of each objective of a version found in its part of the period, which is second, in service, last."""
Series = Callable[[Contract, Period, Period, Interval], tuple[SeriesLine, ...]]
"""The series of challenges of a part of the period, as the statement shows them."""


BEGINNING_S = -(2**62)


def no_probes(
    _contract: Contract, _part: Period, _whole: Period, _service: Interval
) -> Mapping[str, tuple[Samples, ...]]:
    """The probes where there are none."""
    return {}


def no_series(
    _contract: Contract, _part: Period, _whole: Period, _service: Interval
) -> tuple[SeriesLine, ...]:
    """The series of challenges where there are none."""
    return ()


@dataclass(frozen=True, slots=True)
class Notices:
    """What people said: maintenance, claims, events such as a replaced GPU; and what the probes found.

    `late`: times of which something was said too late to count.
    """

    windows: tuple[Window, ...] = ()
    claims: tuple[Claim, ...] = ()
    events: tuple[ToldEvent, ...] = ()
    probes: Probes = no_probes
    series: Series = no_series
    late: tuple[Interval, ...] = ()

    @property
    def everything(self) -> tuple[Window | Claim | ToldEvent, ...]:
        return (*self.windows, *self.claims, *self.events)


@dataclass(frozen=True, slots=True)
class KnownUnits:
    """What is known of each contracted slot, and of the units of each objective, by its id.

    `found`: as it is judged; `told`: with all that was heard late; `in_time`: without.
    """

    found: Timelines
    told: Timelines
    in_time: Timelines
    record: Record
    units: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Case:
    """`versions`: of one contract, the newest last; `holders`: of its places."""

    versions: tuple[Version, ...]
    holders: Sequence[Holder]
    known: JoinedRows
    notices: Notices
    period: Period
    as_of_us: int

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    @property
    def as_of_s(self) -> int:
        return self.as_of_us // MICROSECONDS

    @property
    def cutoff_s(self) -> int:
        return cutoff_us(self.newest, self.period) // MICROSECONDS

    @property
    def under_way(self) -> bool:
        """Whether some of the period is still to come."""
        return self.as_of_s < self.period.end_s

    def parts(self) -> list[tuple[Version, Period]]:
        return parts_of(self.versions, self.period)

    def served(self, version: Version, part: Period) -> Interval:
        return served_part_s(part, self.service(version.contract))

    def service(self, contract: Contract) -> Interval:
        return service_of_s(contract, self.events, self.last_s)

    @cached_property
    def served_whole(self) -> Interval:
        """From the first to the last instant of service in the period, by the versions that rule it."""
        served = [self.served(version, part) for version, part in self.parts()]
        some = [one for one in served if one[0] < one[1]] or served
        return some[0][0], some[-1][1]

    @property
    def last_s(self) -> int:
        """What comes later, silence too, changes nothing of the period."""
        return min(self.as_of_s, self.cutoff_s)

    @cached_property
    def events(self) -> tuple[ToldEvent, ...]:
        """The events that happened and were told of by the cut-off."""
        told = (one for one in self.notices.events if one.told_by(self.cutoff_s))
        return tuple(one for one in told if one.at_s <= self.last_s)

    def weighed(self, version: Version, part: Period, late: Late | None = None) -> KnownUnits:
        """Over the part of the period that a version rules. `late`: other than the contract says."""
        contract = version.contract
        late = contract.evidence.late if late is None else late
        told = in_time = self._timelines(contract, part, self.known)
        if self.known.in_time is not None:
            in_time = self._timelines(contract, part, self.known.without_late)
        found = without_one_sided(contract, in_time if late == "refused" else told)
        least = without_one_sided(contract, told if late == "counted" else in_time, held=True)
        lines = {promise.id: unit_lines(promise, found) for promise in contract.availability}
        if least is not found:
            lines = {
                promise.id: _held(lines[promise.id], unit_lines(promise, least))
                for promise in contract.availability
            }
            found = replace(found, slots=_open(found, least))
        return KnownUnits(
            found,
            told,
            in_time,
            self._record(lines, found, version, part),
            {name: tuple(units) for name, units in lines.items()},
        )

    def _timelines(self, contract: Contract, part: Period, known: JoinedRows) -> Timelines:
        margin = margin_s(contract)
        within = (part.start_s - margin, part.end_s + margin)
        found = timelines(contract, self.holders, known, within, part.interval_s)
        started = phases(contract, self.events, self.last_s, found.resource_of)
        return replace(found, phases=started)

    def _record(
        self,
        lines: Mapping[str, Mapping[str, Sequence[Stretch]]],
        found: Timelines,
        version: Version,
        part: Period,
    ) -> Record:
        coming: dict[str, int] = {}
        for promise in version.contract.availability:
            coming |= coming_of(promise, found)
        promises = version.contract.availability
        service = self.service(version.contract)
        apart = frozenset(one.id for one in promises if has_reach(one, found))
        spans = {
            (unit, name if name in apart else ""): line
            for name, units in lines.items()
            for unit, line in units.items()
        }
        record = Record(
            spans=tuple(
                replace(span, objective=objective)
                for unit, objective in sorted(spans)
                for span in spans_of(unit, spans[unit, objective], coming_s=coming.get(unit))
            ),
            apart=apart,
            windows=self.notices.windows,
            claims=self.notices.claims,
            events=self.notices.events,
            probes=self.notices.probes(version.contract, part, self.period, service),
            series=self.notices.series(version.contract, part, self.period, service),
            coming=coming,
            marks=self.known.marks,
            steps=found.phases.steps,
            service=self.served_whole,
        )
        return record if found.phases == AT_ONCE else self._accepted(record, lines, found, version)

    def _accepted(
        self,
        record: Record,
        lines: Mapping[str, Mapping[str, Sequence[Stretch]]],
        found: Timelines,
        version: Version,
    ) -> Record:
        """Each node, and each slot, in its own service alone: before it, it is neither up nor down."""
        begins_s, ends_s = self.service(version.contract)
        accepted: dict[str, int] = {}
        for promise in version.contract.availability:
            alone = promise.unit in ("gpu", "node")
            for unit in lines[promise.id] if alone else ():
                accepted[unit] = max(begins_s, found.phases.start_s(unit, ends_s))
        for unit, start_s in accepted.items():
            record = record.without((unit,), ((BEGINNING_S, start_s),))
        return replace(record, accepted=accepted)


def parts_of(versions: Sequence[Version], period: Period) -> list[tuple[Version, Period]]:
    """The versions that rule a part of a period; or the newest of them for the whole, if it says so."""
    ruled = [(one, _ruled(versions, number, period)) for number, one in enumerate(versions)]
    ruling = [(version, part) for version, part in ruled if part.seconds > 0]
    if ruling[-1][0].contract.amendments == "whole_period":
        return [(ruling[-1][0], period)]
    return ruling


def _ruled(versions: Sequence[Version], number: int, period: Period) -> Period:
    """Split at the instants from which later versions hold; nothing is left out before the first."""
    later = versions[number + 1 :]
    start_s = period.start_s if number == 0 else versions[number].from_us // MICROSECONDS
    end_s = later[0].from_us // MICROSECONDS if later else period.end_s
    return Period(period.label, *served_part_s(period, (start_s, end_s)))


def _held(
    told: Mapping[str, Sequence[Stretch]], in_time: Mapping[str, Sequence[Stretch]]
) -> dict[str, Sequence[Stretch]]:
    return {unit: list(set_apart(line, in_time[unit])) for unit, line in told.items()}


def _open(told: Timelines, least: Timelines) -> dict[Slot, Sequence[Stretch]]:
    """The lines of slots, what is held between two words, as of what was told late, by the one that says less."""
    return {
        slot: [
            one
            if one.unheard is None
            else replace(one, state=one.unheard[0], cause=one.unheard[1], unheard=None)
            for one in set_apart(line, least.slots[slot])
        ]
        for slot, line in told.slots.items()
    }


def case_of(
    versions: Sequence[Version],
    holders: Sequence[Holder],
    rows: Iterable[Row],
    notices: Notices,
    period: Period,
    as_of_us: int,
    proven: Proven = NEVER,
) -> Case:
    """`rows`: read once, and over the time that matters at least."""
    newest, reach = versions[-1].contract, reach_us(versions, period)
    within = (reach[0] // MICROSECONDS, reach[1] // MICROSECONDS)
    known = joined_rows(
        rows,
        as_of_us,
        cutoff_us(newest, period),
        within,
        newest.sampling.max_gap_us,
        newest.sampling.cadence_us,
        under_way=as_of_us < period.end_s * MICROSECONDS,
        proven=proven,
    )
    return Case(tuple(versions), holders, known, notices, period, as_of_us)


def of_year(contract: Contract) -> tuple[Availability, ...]:
    """The objectives of a year."""
    return tuple(one for one in contract.availability if one.period == "calendar_year")


def so_far_since_s(contract: Contract, period: Period) -> int:
    """From when on objectives of a year are shown in a statement that does not judge them: the year's first day."""
    if period.kind in (None, "calendar_year") or not of_year(contract):
        return period.start_s
    last = local_date(period.end_s - 1, contract.time_zone)
    return calendar_year(f"{last.year:04}", contract.time_zone).start_s


def reach_us(versions: Sequence[Version], period: Period) -> tuple[int, int]:
    """The time whose rows matter: outages are measured whole, beyond the period's borders too."""
    margin = max(margin_s(version.contract) for version in versions)
    since_s = min(so_far_since_s(version.contract, period) for version in versions)
    start_s, end_s = min(period.start_s, since_s) - margin, period.end_s + margin
    return start_s * MICROSECONDS, end_s * MICROSECONDS


def cutoff_us(contract: Contract, period: Period) -> int:
    """What is recorded later changes nothing."""
    return (period.end_s + contract.evidence.correction_window_s) * MICROSECONDS
