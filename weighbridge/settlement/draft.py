"""A statement drafted: a pure function of contract versions, ledger rows, notices, period and as-of."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from weighbridge.codes import Flag
from weighbridge.contract import Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, Use
from weighbridge.judge.slot_history import Holder
from weighbridge.settlement.exits import FLAGS as EXIT_FLAGS
from weighbridge.settlement.exits import exits
from weighbridge.settlement.intervals import Interval, clip
from weighbridge.settlement.parts import Settled, part_of
from weighbridge.settlement.period_labels import margin_s
from weighbridge.settlement.periods import Period, instant_text, moment_of, served_part
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Event, Record, Span, Window
from weighbridge.settlement.service import service_of, silence_accepted
from weighbridge.settlement.settle import settle
from weighbridge.settlement.statement import UNNAMED, Judged, Part, Statement, SwapLine
from weighbridge.settlement.units import Known, known_of, spans_of, timelines, unit_lines
from weighbridge.settlement.usage import Totals, totals

ENGINE = "settlement/1"
"""Changes with any change of a result for the same inputs."""

NOT_NAMED = Judged(UNNAMED, UNNAMED)
SPELLED: Mapping[type[Window | Claim | Event], str] = {
    Window: "maintenance",
    Claim: "claim",
    Event: "event",
}
"""What a digest of the inputs calls each kind of notice."""


Probes = Callable[[Contract, Period], Mapping[str, tuple[Samples, ...]]]
"""What the probes of each objective of a version found in a part of the period."""


def no_probes(_contract: Contract, _period: Period) -> Mapping[str, tuple[Samples, ...]]:
    """Nobody probed."""
    return {}


@dataclass(frozen=True, slots=True)
class Notices:
    """What people said: maintenance, claims, events such as a replaced GPU; and what the probes found.

    `late`: times of which something was said too late to count.
    """

    windows: tuple[Window, ...] = ()
    claims: tuple[Claim, ...] = ()
    events: tuple[Event, ...] = ()
    probes: Probes = no_probes
    late: tuple[Interval, ...] = ()

    @property
    def everything(self) -> tuple[Window | Claim | Event, ...]:
        return (*self.windows, *self.claims, *self.events)


def draft(
    versions: Sequence[Version],
    holders: Sequence[Holder],
    rows: Iterable[Row],
    notices: Notices,
    period: Period,
    as_of_us: int,
    simulated: bool = False,
    earlier: Sequence[Statement] = (),
    judged: Judged = NOT_NAMED,
    uses: Iterable[Use] = (),
) -> Statement:
    """The statement of `period`. `versions`: of one contract, the newest last; `holders`: of its places.

    `earlier`: statements of the periods before, for rights that need several. `judged`: by whom the rows were
    made. `uses`: by hour and node, as known then.
    """
    margin = max(margin_s(version.contract) for version in versions)
    within = (period.start_s - margin, period.end_s + margin)
    cutoff = cutoff_us(versions[-1].contract, period)
    known = known_of(rows, as_of_us, cutoff, within)
    job = _Job(tuple(versions), holders, known, notices, period, as_of_us, judged)
    return job.statement(simulated, earlier, uses)


@dataclass(frozen=True)
class _Job:
    versions: tuple[Version, ...]
    holders: Sequence[Holder]
    known: Known
    notices: Notices
    period: Period
    as_of_us: int
    judged: Judged

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    def statement(
        self, simulated: bool, earlier: Sequence[Statement], uses: Iterable[Use]
    ) -> Statement:
        ruled = self._parts()
        used = totals(uses, [self._served(version, part) for version, part in ruled])
        settled: list[Settled] = []
        for (version, part), mine in zip(ruled, used, strict=True):
            settled.append(self._settled(version, part, mine, settled))
        parts = tuple(map(part_of, settled))
        drafted = self._statement(simulated, settled, parts)
        rights = tuple(exits(self.newest, self.period.label, drafted.start, parts, earlier))
        flags = {EXIT_FLAGS[one.standing] for one in rights if one.standing in EXIT_FLAGS}
        return replace(drafted, exits=rights, flags=tuple(sorted({*drafted.flags, *flags})))

    def _statement(
        self, simulated: bool, ruled: Sequence[Settled], parts: tuple[Part, ...]
    ) -> Statement:
        settled = [one.settlement for one in ruled]
        zone = ZoneInfo(self.newest.time_zone)
        flags: set[Flag] = {flag for one in settled for flag in one.flags}
        late = self.known.late or any(clip(self.notices.late, self.period.interval))
        flags |= {"data_after_cutoff"} if late else set()
        silent_s = silence_accepted(self.newest, self._events, self._as_of_s)
        if silent_s is not None and self.period.start_s <= silent_s < self.period.end_s:
            flags.add("accepted_by_silence")
        floors = [floor for part in parts for floor in part.floors]
        missed = any(floor.verdict == "BREACHED" for floor in floors)
        flags |= {"capacity_floor_missed"} if missed else set()
        return Statement(
            contract=self.newest.contract_id,
            period=self.period.label,
            start=instant_text(self.period.start_s),
            end=instant_text(self.period.end_s),
            local_start=_local(self.period.start_s, zone),
            local_end=_local(self.period.end_s, zone),
            time_zone=self.newest.time_zone,
            currency=self.newest.currency,
            as_of=instant_text(self._as_of_s),
            final=self.as_of_us >= cutoff_us(self.newest, self.period),
            simulated=simulated,
            engine=ENGINE,
            judged=self.judged,
            inputs_digest=self._digest(ruled),
            parts=parts,
            swaps=self._swaps(),
            highest=_sum_text([one.highest for one in settled]),
            lowest=_sum_text([one.lowest for one in settled]),
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

    def _settled(
        self, version: Version, part: Period, used: Totals, before: Sequence[Settled]
    ) -> Settled:
        contract = version.contract
        margin = margin_s(contract)
        within = (part.start_s - margin, part.end_s + margin)
        found = timelines(contract, self.holders, self.known, within, part.interval)
        lines = {promise.id: unit_lines(promise, found) for promise in contract.availability}
        record, units = (
            self._record(lines, version, part),
            {name: tuple(units) for name, units in lines.items()},
        )
        return Settled(
            version=version,
            whole=self.period,
            part=part,
            served=self._served(version, part),
            settlement=settle(
                contract=contract,
                record=record,
                period=part,
                units=units,
                as_of_s=self._as_of_s,
                service=self._service(contract),
                whole=self.period,
                before=[one.settlement for one in before],
            ),
            record=replace(record, windows=record.windows_by(self._cutoff_s)),
            units=units,
            found=found,
            used=used,
            known=self.known,
        )

    @property
    def _as_of_s(self) -> int:
        return self.as_of_us // MICROSECONDS

    @property
    def _cutoff_s(self) -> int:
        return cutoff_us(self.newest, self.period) // MICROSECONDS

    def _served(self, version: Version, part: Period) -> Interval:
        return served_part(part, self._service(version.contract))

    def _service(self, contract: Contract) -> Interval:
        return service_of(contract, self._events, self._as_of_s)

    @cached_property
    def _events(self) -> tuple[Event, ...]:
        """Those that happened, and were told of, in time."""
        last_s = min(self._as_of_s, self._cutoff_s)
        told = (one for one in self.notices.events if one.told_by(self._cutoff_s))
        return tuple(one for one in told if one.at_s <= last_s)

    def _record(
        self, lines: Mapping[str, Mapping[str, Iterable[Any]]], version: Version, part: Period
    ) -> Record:
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
            probes=self.notices.probes(version.contract, part),
        )

    def _swaps(self) -> tuple[SwapLine, ...]:
        """A replacement that was told of in the same words twice is one."""
        found: list[SwapLine] = []
        for event in self._events:
            swapped = event.kind in ("gpu_replaced", "node_replaced")
            if swapped and self.period.start_s <= event.at_s < self.period.end_s:
                details = dict(sorted(event.details.items()))
                line = SwapLine(event.kind, instant_text(event.at_s), event.unit, details)
                found += [] if line in found else [line]
        return tuple(found)

    def _digest(self, ruled: Iterable[Settled]) -> str:
        """Over everything that went in, in an order that does not depend on how it came."""
        parts = [version.text for version in self.versions]
        parts += [
            json.dumps([asdict(one) for one in self.holders]),
            repr(self.period),
            str(self.as_of_us),
        ]
        parts += self.known.spelled()
        parts += sorted(map(_spelled, self.notices.everything))
        parts += [repr(sorted(self.notices.late))]
        for one in ruled:
            parts += [repr(item) for item in sorted(one.record.probes.items())]
            parts += [f"{node} {total!r}" for node, total in sorted(one.used.items())]
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()


def _spelled(notice: Window | Claim | Event) -> str:
    return json.dumps([SPELLED[type(notice)], asdict(notice)], sort_keys=True, default=sorted)


def _local(seconds: int, zone: ZoneInfo) -> str:
    return moment_of(seconds).astimezone(zone).isoformat()


def cutoff_us(contract: Contract, period: Period) -> int:
    """What is recorded later changes nothing."""
    return (period.end_s + contract.evidence.correction_window_s) * MICROSECONDS


def _sum_text(amounts: Sequence[Decimal | None]) -> str | None:
    known = [amount for amount in amounts if amount is not None]
    return f"{sum(known, Decimal(0)):f}" if len(known) == len(amounts) else None
