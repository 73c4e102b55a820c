"""A statement drafted: a pure function of contract versions, ledger rows, notices, period and as-of."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import tzinfo
from decimal import Decimal
from fractions import Fraction
from typing import Final

from weighbridge.catalogue.currencies import currencies
from weighbridge.codes import Flag
from weighbridge.contract import Contract, Policy
from weighbridge.contract.calendars import calendar_version
from weighbridge.contract.coherence import counts_working_days
from weighbridge.contract.evidence import Late
from weighbridge.contract.zone_data import ZONE_DATA, time_zone
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import Row, Use
from weighbridge.judge.slot_history import Holder
from weighbridge.log.entries import JudgedBy
from weighbridge.settlement.case import (
    Case,
    Notices,
    case_of,
    cutoff_us,
    no_probes,
    no_series,
    of_year,
    so_far_since_s,
)
from weighbridge.settlement.coverage import covered_too_little
from weighbridge.settlement.credits import money
from weighbridge.settlement.exits import FLAGS as EXIT_FLAGS
from weighbridge.settlement.exits import exits
from weighbridge.settlement.intervals import clip, union
from weighbridge.settlement.invariants import check_statement
from weighbridge.settlement.limits import under_limits
from weighbridge.settlement.longer_service import longer_service
from weighbridge.settlement.money import ordered
from weighbridge.settlement.parts import Settled, part_of
from weighbridge.settlement.periods import Period, instant_text, moment_of, term_of_s
from weighbridge.settlement.record import Claim, Record, ToldEvent, Window
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.service import silence_accepted_s
from weighbridge.settlement.settle import PartSettlement
from weighbridge.settlement.statement import LateEvidence, Part, Statement, SwapLine
from weighbridge.settlement.unseen import as_claimed, has_unseen, with_unseen, without_late
from weighbridge.settlement.usage import Totals, totals
from weighbridge.verdict import Verdict

ENGINE = "settlement/3"
"""Changes with any change of a result for the same inputs."""

SWAPS = ("gpu_replaced", "node_replaced", "device_exchanged")
"""Events that a statement lists as replacements; the last is one that nobody announced."""

UNDER_WAY: Final = "period_under_way"
"""The flag of a statement of a period of which some is still to come."""

PAID = ("credits", "performance", "response", "repair", "liquidated_damages", "pricing")
"""What of a contract follows objectives, or stands beside them."""

NOT_NAMED = JudgedBy()
SPELLED: Mapping[type[Window | Claim | ToldEvent], str] = {
    Window: "maintenance",
    Claim: "claim",
    ToldEvent: "event",
}
"""What a digest of the inputs calls each kind of notice."""


def draft(
    versions: Sequence[Version],
    holders: Sequence[Holder],
    rows: Iterable[Row],
    notices: Notices,
    period: Period,
    as_of_us: int,
) -> Statement:
    """The statement of `period` alone. `versions`: of one contract, the newest last; `holders`: of its places."""
    return statement_of(case_of(versions, holders, rows, notices, period, as_of_us))


def statement_of(
    case: Case,
    simulated: bool = False,
    earlier: Sequence[Statement] | None = (),
    judged: JudgedBy = NOT_NAMED,
    uses: Iterable[Use] = (),
) -> Statement:
    """The statement of a case. `earlier`: statements of the periods before, for rights and limits that need several;
    None: of this period alone, for such a right or limit. `judged`: by whom the rows were made. `uses`: by hour and
    node, as known then.
    """
    return _Drafting(case, judged).statement(simulated, earlier, uses)


@dataclass(frozen=True)
class _Drafting:
    case: Case
    judged: JudgedBy

    @property
    def newest(self) -> Contract:
        return self.case.newest

    @property
    def period(self) -> Period:
        return self.case.period

    def statement(
        self, simulated: bool, earlier: Sequence[Statement] | None, uses: Iterable[Use]
    ) -> Statement:
        ruled = self.case.parts()
        used = totals(uses, [self.case.served(version, part) for version, part in ruled])
        settled = self._all(list(zip(ruled, used, strict=True)))
        parts = tuple(map(part_of, settled))
        drafted = self._statement(simulated, settled, parts)
        check_statement(drafted, settled)
        rights = tuple(exits(self.case, drafted, earlier or ()))
        flags: set[Flag] = {
            EXIT_FLAGS[one.standing] for one in rights if one.standing in EXIT_FLAGS
        }
        flags |= {"base_of_zero" for one in rights if one.amount and not Decimal(one.amount)}
        if earlier is not None:
            found = under_limits(self.newest, drafted, self.period, earlier)
            drafted = replace(
                drafted, lowest=found.lowest, highest=found.highest, limits=found.lines
            )
            flags |= {*found.flags}
            longer = tuple(longer_service(self.case, drafted, earlier))
            drafted = replace(drafted, longer=longer)
        return replace(drafted, exits=rights, flags=tuple(sorted({*drafted.flags, *flags})))

    def _statement(
        self, simulated: bool, ruled: Sequence[Settled], parts: tuple[Part, ...]
    ) -> Statement:
        lowest, highest = _owed(ruled)
        late = self._late(ruled, parts)
        zone = time_zone(self.newest.time_zone)
        flags = {flag for one in ruled for flag in one.settlement.flags}
        flags |= {"heard_late"} if late is not None else set()
        flags |= {*self._flags(ruled, parts)}
        return Statement(
            contract=self.newest.contract_id,
            period=self.period.label,
            start=instant_text(self.period.start_s),
            end=instant_text(self.period.end_s),
            local_start=_local(self.period.start_s, zone),
            local_end=_local(self.period.end_s, zone),
            time_zone=self.newest.time_zone,
            currency=self.newest.currency,
            as_of=instant_text(self.case.as_of_s),
            final=self.case.as_of_us >= cutoff_us(self.newest, self.period),
            simulated=simulated,
            engine=ENGINE,
            judged=self.judged,
            inputs_digest=self._digest(ruled),
            parts=parts,
            swaps=self._swaps(),
            highest=highest,
            lowest=lowest,
            flags=tuple(sorted(flags)),
            late=late,
            currencies=currencies().published,
            zone_data=ZONE_DATA,
            calendars=self._calendars(ruled),
        )

    def _flags(self, ruled: Sequence[Settled], parts: Sequence[Part]) -> Iterator[Flag]:
        """What is to be known of the whole besides what its settlements say."""
        case, period = self.case, self.period
        if case.under_way:
            yield UNDER_WAY
        if self._rests_on_unseen(ruled):
            yield "unknown_time"
        if case.known.late or clip(union(case.notices.late), period.interval_s):
            yield "data_after_cutoff"
        silent_s = silence_accepted_s(self.newest, case.events, case.last_s)
        if silent_s is not None and period.start_s <= silent_s < period.end_s:
            yield "accepted_by_silence"
        begins_s, _ = case.service(self.newest)
        if begins_s >= term_of_s(self.newest)[1]:
            yield "service_not_begun"
        if any(map(_in_parts, ruled)):
            yield "partly_accepted"
        pairs = zip(ruled, parts, strict=True)
        if any(covered_too_little(one.contract, part.cadence) for one, part in pairs):
            yield "below_least_coverage"
        floors = (floor for part in parts for floor in part.floors)
        if any(Verdict[floor.verdict] is Verdict.BREACHED for floor in floors):
            yield "capacity_floor_missed"

    def _calendars(self, ruled: Sequence[Settled]) -> str:
        """Those by which working days are counted here, each with what knows it."""
        counting = [one.contract for one in ruled if any(counts_working_days(one.contract))]
        named = sorted({contract.calendar for contract in counting})
        return ", ".join(f"{name} {calendar_version(name)}".strip() for name in named)

    def _late(self, ruled: Sequence[Settled], parts: Sequence[Part]) -> LateEvidence | None:
        """Settles again, with the other answers and as if all were claimed, where there is such time."""
        seconds = sum(line.late_seconds for part in parts for line in part.evidence)
        seconds += sum(line.late_gpu_seconds for part in parts for line in part.reach)
        if not seconds:
            return None
        given = [((one.version, one.part), one.used) for one in ruled]
        return LateEvidence(
            self.newest.evidence.late,
            seconds,
            _owed(self._all(given, "counted")),
            _owed(self._all(given, "refused")),
        )

    def _rests_on_unseen(self, ruled: Sequence[Settled]) -> bool:
        """Whether time that nobody saw decides a verdict or an amount. Where there is such time it settles twice more,
        and no further than to the first unit that fares otherwise."""
        if not any(has_unseen(one.record, one.part) for one in ruled):
            return False
        up: list[Settlement] = []
        down: list[Settlement] = []
        for one in ruled:
            as_up, as_down = self._as_if(one, "up", up), self._as_if(one, "down", down)
            pairs = zip(as_up.each_result(), as_down.each_result(), strict=True)
            if any(better.verdict != worse.verdict for better, worse in pairs):
                return True
            up.append(as_up.settlement())
            down.append(as_down.settlement())
            if (up[-1].lowest, up[-1].highest) != (down[-1].lowest, down[-1].highest):
                return True
        return False

    def _as_if(self, one: Settled, unseen: Policy, before: Sequence[Settlement]) -> PartSettlement:
        """As if that time counted so, and all were claimed."""
        contract = as_claimed(with_unseen(one.version.contract, unseen))
        record = without_late(one.weighed.record)
        return self._part(contract, record, one.part, one.weighed.units, before)

    def _all(
        self, ruled: Sequence[tuple[tuple[Version, Period], Totals]], late: Late | None = None
    ) -> list[Settled]:
        settled: list[Settled] = []
        for (version, part), used in ruled:
            settled.append(self._settled(version, part, used, settled, late))
        return settled

    def _settled(
        self,
        version: Version,
        part: Period,
        used: Totals,
        before: Sequence[Settled],
        late: Late | None,
    ) -> Settled:
        contract, case = version.contract, self.case
        weighed = case.weighed(version, part, late)
        record = weighed.record
        if late is not None:
            contract = as_claimed(contract)
        return Settled(
            version=version,
            whole=self.period,
            part=part,
            service=case.service(contract),
            served=case.served(version, part),
            settlement=self._part(
                contract, record, part, weighed.units, [one.settlement for one in before]
            ).settlement(),
            record=replace(record, windows=record.windows_by(case.cutoff_s)),
            units=weighed.units,
            weighed=weighed,
            used=used,
            known=case.known,
            so_far=self._so_far(version, used) if late is None else None,
        )

    def _so_far(self, version: Version, used: Totals) -> Settled | None:
        """The part of the year that a version rules, up to the period's end, for the objectives of a year alone."""
        since_s = so_far_since_s(version.contract, self.period)
        if since_s == self.period.start_s:
            return None
        year = replace(self.period, start_s=since_s)
        plain = replace(self.case.notices, probes=no_probes, series=no_series)
        longer = replace(self, case=replace(self.case, period=year, notices=plain))
        [ruled] = (part for one, part in longer.case.parts() if one is version)
        promises = {"availability": of_year(version.contract)}
        nothing: tuple[object, ...] = ()
        bare = version.contract.model_copy(update=dict.fromkeys(PAID, nothing) | promises)
        return longer._settled(replace(version, contract=bare), ruled, used, (), None)

    def _part(
        self,
        contract: Contract,
        record: Record,
        part: Period,
        units: Mapping[str, tuple[str, ...]],
        before: Sequence[Settlement],
    ) -> PartSettlement:
        return PartSettlement(
            contract,
            record,
            part,
            units,
            self.case.as_of_s,
            self.case.service(contract),
            self.period,
            tuple(before),
        )

    def _swaps(self) -> tuple[SwapLine, ...]:
        """A replacement that was told of in the same words twice is one."""
        found: dict[tuple[object, ...], SwapLine] = {}
        for event in self.case.events:
            swapped = event.kind in SWAPS
            if swapped and self.period.start_s <= event.at_s < self.period.end_s:
                details = dict(sorted(event.details.items()))
                line = SwapLine(event.kind, instant_text(event.at_s), event.unit, details)
                found.setdefault((line.event, line.at, line.unit, *details.items()), line)
        return tuple(found.values())

    def _digest(self, ruled: Iterable[Settled]) -> str:
        """Over everything that went in, in an order that does not depend on how it came."""
        parts = [version.text for version in self.case.versions]
        parts += [
            json.dumps([asdict(one) for one in self.case.holders]),
            repr(self.period),
            str(self.case.as_of_us),
        ]
        parts += self.case.known.spelled()
        parts += sorted(map(_spelled, self.case.notices.everything))
        parts += [repr(sorted(self.case.notices.late))]
        for one in ruled:
            parts += [repr(item) for item in sorted(one.record.probes.items())]
            parts += [f"{node} {total!r}" for node, total in sorted(one.used.items())]
        digest = hashlib.sha256()
        for part in parts:
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "big") + encoded)
        return digest.hexdigest()


def _in_parts(settled: Settled) -> bool:
    """Whether nodes are contracted that were not in service yet by the end of the part."""
    for item in settled.contract.resources:
        steps = settled.found.phases.steps.get(item.id)
        if steps is not None:
            accepted = sum(nodes for nodes, start_s in steps if start_s < settled.part.end_s)
            if accepted < item.nodes:
                return True
    return False


def _spelled(notice: Window | Claim | ToldEvent) -> str:
    return json.dumps([SPELLED[type(notice)], asdict(notice)], sort_keys=True, default=sorted)


def _local(seconds: int, zone: tzinfo) -> str:
    return moment_of(seconds).astimezone(zone).isoformat()


def _owed(ruled: Sequence[Settled]) -> tuple[str | None, str | None]:
    """Lowest and highest: the parts are added, and the sum is rounded, as the newest version says."""
    exact = [
        _sum(amounts) for amounts in zip(*(one.settlement.exact for one in ruled), strict=True)
    ]
    low, high = (money(amount, ruled[-1].contract.rounding) for amount in ordered(*exact))
    return None if low is None else f"{low:f}", None if high is None else f"{high:f}"


def _sum(amounts: Sequence[Fraction | None]) -> Fraction | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Fraction(0)) if len(known) == len(amounts) else None
