"""What a person should look at. A flag proves nothing; it says where the evidence or the contract needs eyes."""

from collections.abc import Iterable, Iterator, Mapping

from weighbridge.codes import Flag
from weighbridge.contract import Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.alternation import ALTERNATES
from weighbridge.judge.attestation_findings import MISSING_CODE, REFUSED_CODE
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.ledger import JUDGING_FAILED, KEY_REVOKED, KEY_SHARED, State
from weighbridge.judge.registry import CLAIMED, DUPLICATE
from weighbridge.judge.two_sides import in_doubt, words_of
from weighbridge.judge.usage import THIN
from weighbridge.settlement.availability import Measure
from weighbridge.settlement.claims import holds
from weighbridge.settlement.credits import Line
from weighbridge.settlement.intervals import Interval, clip
from weighbridge.settlement.maintenance import Admission, as_units_fare
from weighbridge.settlement.periods import Period
from weighbridge.settlement.record import Record, Span
from weighbridge.settlement.repair import ENDS, Clocked
from weighbridge.settlement.results import Owed, Result

OF_RULING: Mapping[str, Flag] = {
    "late_notice": "late_maintenance_notice",
    "cap_used_up": "maintenance_cap_exceeded",
    "count_used_up": "maintenance_count_exceeded",
    "outside_windows": "maintenance_outside_window",
}

OF_MARK: Mapping[str, Flag] = {
    DUPLICATE: "duplicate_gpu_uuid",
    CLAIMED: "gpu_claimed_elsewhere",
    KEY_SHARED: "key_shared",
    ALTERNATES: "gpu_alternates",
    REFUSED_CODE: "attestation_refused",
    MISSING_CODE: "attestation_missing",
}


def of_record(
    contract: Contract,
    given: Record,
    known: Record,
    units: Iterable[str],
    period: Period,
    whole: Period,
    service: Interval,
    cutoff_s: int,
) -> list[Flag]:
    """Flags that the record raises by itself. `given`: all of it; `known`: what the settlement used.

    `whole`: what `period` is a part of; caps on maintenance are those of the whole.
    """
    spans = [
        span for span in given.spans if span.start_s < period.end_s and span.end_s > period.start_s
    ]
    terms, zone = contract.maintenance, contract.time_zone
    found: list[Flag] = [
        *_of_spans(contract, spans),
        *_of_windows(as_units_fare(terms, known.windows, units, whole, zone, service), period),
        *_of_marks(given, period),
    ]
    kinds = {contract.judged_over(promise) for promise in contract.availability}
    if whole.kind is not None and kinds - {whole.kind}:
        found.append("objective_of_another_period")
    came = [*(span.recorded_s for span in spans), *_notices_s(given, period)]
    if any(at_s > cutoff_s for at_s in came):
        found.append("data_after_cutoff")
    if any(event.kind == "gpu_replaced" and _within(event.at_s, period) for event in known.events):
        found.append("gpu_identity_changed")
    return found


def _notices_s(given: Record, period: Period) -> Iterator[int]:
    for window in given.windows:
        if window.start_s < period.end_s and window.end_s > period.start_s:
            yield window.received_s
    for event in given.events:
        if _within(event.at_s, period) and event.received_s is not None:
            yield event.received_s


def _within(instant: int, period: Period) -> bool:
    return period.start_s <= instant < period.end_s


def _of_spans(contract: Contract, spans: Iterable[Span]) -> Iterator[Flag]:
    bound = contract.evidence.clock.max_abs_skew_s
    by_notice = any(promise.clock_start == "notice" for promise in contract.availability)
    for span in spans:
        if span.ahead_s != 0:
            yield (
                "clock_skew_corrected" if abs(span.ahead_s) <= bound else "clock_skew_beyond_bound"
            )
        if span.state == State.CONTESTED:
            yield from _of_contested(span.cause)
        if span.state == State.UNKNOWN and span.cause == DEVICE_EXCHANGED.code:
            yield "device_exchanged"
        if span.state == State.UNKNOWN and span.cause == KEY_REVOKED:
            yield "key_revoked"
        if (span.state, span.cause) == (State.UNKNOWN, JUDGING_FAILED):
            yield "judging_failed"
        if (span.state, span.cause) == (State.UNKNOWN, THIN):
            yield "below_least_coverage"
        if by_notice and span.state == State.DOWN and span.reported_s is None:
            yield "never_reported"
        elif by_notice and span.reported_s is not None and span.reported_s > span.start_s:
            yield "late_report"


def _of_contested(cause: str) -> Iterator[Flag]:
    if words_of(cause) is None:
        yield OF_MARK.get(cause, "duplicate_gpu_uuid")
        return
    yield "sides_contradict"
    if in_doubt(cause):
        yield "key_shared"


def _of_marks(record: Record, period: Period) -> Iterator[Flag]:
    for cause, held in record.marks.items():
        if cause in OF_MARK and clip(held, period.interval_s):
            yield OF_MARK[cause]


def _of_windows(found: Iterable[Admission], period: Period) -> Iterator[Flag]:
    for ruled in found:
        touches = ruled.window.start_s < period.end_s and ruled.window.end_s > period.start_s
        if touches and ruled.ruling in OF_RULING:
            yield OF_RULING[ruled.ruling]


def of_repairs(contract: Contract, record: Record, clocks: Iterable[Clocked]) -> Iterator[Flag]:
    """A unit that was said to be restored while telemetry went on to see it down; a replaced part may still burn in.

    And a clock that ran on days that the calendar does not know.
    """
    patience_s = contract.sampling.max_gap_us // MICROSECONDS
    restored = {(one.unit, one.at_s) for one in record.events if one.kind in ENDS["restored"]}
    for clocked in clocks:
        unit, end_s = clocked.mending.unit, clocked.mending.end_s
        if clocked.mending.least_s < clocked.mending.seconds:
            yield "calendar_year_unknown"
        if end_s is None or (unit, end_s) not in restored:
            continue
        for span in (one for name in record.by_unit for one in record.seen(name)):
            down = span.state == State.DOWN and (holds(unit, span.unit) or holds(span.unit, unit))
            if down and span.start_s <= end_s < span.end_s - patience_s:
                yield "repaired_while_down"


def of_results(
    results: Iterable[Result], others: Iterable[Line], dues: Iterable[Owed]
) -> list[Flag]:
    """Flags of the lines, and of credits that were earned and not claimed in time."""
    found: list[Flag] = []
    for result in results:
        found += _of_uncounted(result.measure)
        for part in result.worst.lines:
            found += part.flags
    for other in others:
        found += other.flags
    lapsed = any(due.lapsed and (due.earned is None or due.earned > 0) for due in dues)
    return [*found, "claim_lapsed"] if lapsed else found


def _of_uncounted(measured: Measure) -> Iterator[Flag]:
    """Where the target is missed once the time counts that short outages, or rounding, leave out."""
    outcome = measured.so_far
    bad = min(outcome.downtime_s + outcome.hidden_s, outcome.denominator_s)
    if outcome.hidden_s and bad > (1 - measured.objective.target) * outcome.denominator_s:
        yield "downtime_uncounted"
