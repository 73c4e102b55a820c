"""How the objectives of a contract stand in the periods that are under way: what their statements would say now."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract import Availability, Contract
from weighbridge.judge.assignments import Version
from weighbridge.judge.checks import Severity
from weighbridge.judge.counts import Counts
from weighbridge.judge.ledger import Finding
from weighbridge.settlement.availability import FATES, Measurement
from weighbridge.settlement.case import Case
from weighbridge.settlement.periods import Period, periods_of_term, periods_within
from weighbridge.settlement.results import Result, Settlement
from weighbridge.settlement.settle import PartSettlement
from weighbridge.verdict import Verdict, worst


@dataclass(frozen=True, slots=True)
class Figure:
    """An objective in its period under way. `results`: of each unit, in each part of the period in which it holds.

    `low` and `high`: the share of the unit that stands worst, in the worst and the best case; `verdict`: the worst.
    `target`: what is promised for that share; an amendment may move it, and then this is that of the part that stands
    worst. `seconds`: of all units so far, by what became of them: met, breached, unknown, excluded.
    """

    unit: str
    verdict: Verdict
    target: Fraction
    low: Fraction
    high: Fraction
    seconds: Mapping[str, int]
    results: tuple[Result, ...] = ()


def label_at(contract: Contract, promise: Availability, now_s: int) -> str:
    """The period of an objective that an instant lies in; of a moving window, the month that is billed."""
    kind = contract.judged_over(promise)
    found = list(periods_within(kind, contract, now_s, now_s + 1))
    if not found:
        every = periods_of_term(kind, contract)
        found = [one for one in every if one.start_s <= now_s] or every[:1]
    return found[-1].label


def labels_at(
    contract: Contract, versions: Iterable[Version], now_s: int
) -> dict[str, tuple[str, ...]]:
    """By the label of a period that is under way, the objectives of all versions that may be shown in it.

    `contract`: the version in force, which has the periods and, of an objective that others have too, its kind.
    """
    others = (promise for version in versions for promise in version.contract.availability)
    promises = {one.id: one for one in (*others, *contract.availability)}
    found: dict[str, tuple[str, ...]] = {}
    for name, promise in promises.items():
        label = label_at(contract, promise, now_s)
        found[label] = (*found.get(label, ()), name)
    return found


def promised_in(
    parts: Iterable[tuple[Version, Period]], wanted: Collection[str]
) -> dict[str, Availability]:
    """Those objectives that the versions of these parts have, as the newest of them has it."""
    promises = (one for version, _ in parts for one in version.contract.availability)
    return {one.id: one for one in promises if one.id in wanted}


def figures(case: Case, wanted: Collection[str]) -> Iterator[tuple[str, Figure]]:
    """By name, for the period of the case: of those objectives that hold in a part of it."""
    promises = promised_in(case.parts(), wanted)
    parts = list(_parts(case, frozenset(promises)))
    for promise in promises.values():
        seconds = dict.fromkeys(FATES, 0)
        for _, spent in parts:
            for fate, length in spent.get(promise.id, {}).items():
                seconds[fate] += length
        found = (one for settled, _ in parts for one in settled)
        mine = tuple(one for one in found if one.measure.objective.id == promise.id)
        yield promise.id, _figure(promise, mine, seconds)


def _figure(
    promise: Availability, results: tuple[Result, ...], seconds: Mapping[str, int]
) -> Figure:
    verdict = worst((one.verdict for one in results), empty=Verdict.UNKNOWN)
    target = min(map(_standing, results), default=(False, Fraction(0), promise.target))[-1]
    shares = [_shares(one) for one in results if one.measure.objective.target == target]
    low, high = map(min, zip(*shares, strict=True)) if shares else (Fraction(0), Fraction(1))
    return Figure(promise.unit, verdict, target, low, high, seconds, results)


def _standing(result: Result) -> tuple[bool, Fraction, Fraction]:
    """Sorts what is missed whatever comes first, then by what is left to the target, which comes last."""
    (low, high), target = _shares(result), result.measure.objective.target
    return high >= target, low - target, target


def _shares(result: Result) -> tuple[Fraction, Fraction]:
    low, high = result.by_share
    return low.outcome.availability, high.outcome.availability


def _parts(
    case: Case, wanted: frozenset[str]
) -> Iterator[tuple[Sequence[Result], Mapping[str, Mapping[str, int]]]]:
    """The results of each part of the period, and the seconds of each objective by what became of them.

    Parts before the last are settled whole: what they used up is missing in those that follow.
    """
    ruled, before = case.parts(), list[Settlement]()
    for version, part in ruled:
        weighed, contract = case.weighed(version, part), version.contract
        record, units, service = weighed.record, weighed.units, case.service(contract)
        judging = PartSettlement(
            contract, record, part, units, case.as_of_s, service, case.period, tuple(before)
        )
        if len(before) + 1 < len(ruled):
            before.append(judging.settlement())
            found: Sequence[Result] = before[-1].results
        else:
            found = list(judging.results(wanted))
        measured = (
            Measurement(contract, promise, record, part, units[promise.id], service, case.period)
            for promise in contract.availability
            if promise.id in wanted
        )
        yield found, {one.objective.id: one.seconds() for one in measured}


def verdict_now(figures: Iterable[Figure], findings: Iterable[Finding], counts: Counts) -> Verdict:
    """Of a contract, now and in its periods under way together: a GPU that does not report is unknown."""
    verdicts = [row.verdict for row in findings if _decides(row)]
    verdicts += [figure.verdict for figure in figures]
    if counts.reporting < counts.contracted:
        verdicts.append(Verdict.UNKNOWN)
    return worst(verdicts, empty=Verdict.MET)


def _decides(row: Finding) -> bool:
    """A breach counts if it is an error; what could not be seen always does, or it would pass for met."""
    return row.severity is Severity.ERROR or row.verdict is Verdict.UNKNOWN
