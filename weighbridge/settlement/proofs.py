"""Challenges as probes of performance objectives: of each GPU the rate that it proved, against what was promised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from weighbridge.challenge.policy import Policy
from weighbridge.challenge.record import SCHEDULE, ChallengeOutcome, Weighed
from weighbridge.challenge.telemetry import BothSides, may_be_unmade
from weighbridge.challenge.verdict import ChallengeVerdict
from weighbridge.contract import Contract
from weighbridge.contract.challenge import ChallengeTerms
from weighbridge.contract.quality import Performance
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.assignments import Version, in_force
from weighbridge.settlement.hours import inside
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import Period, instant_text, served_part_s
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.statement import SeriesLine

PROBE = "challenge"
"""The `probe` of an objective that challenges judge."""

TERA = 10**12


@dataclass(frozen=True, slots=True)
class ProvenRates:
    """A series at a node: what each of `gpus` proved, in FLOP/s; None: not assessed, void or unknown.

    `policy` and `cause` as the outcome names them. `final`: no further attempt follows. `failed`: GPUs that failed in
    some attempt, also where the last one was given up and names none. `borne_out`: the telemetry of both sides showed
    somebody else's use before anybody could know of the challenge. `began_us`: when it was committed to; 0: an older
    record does not say. `challenge`: its last attempt.
    """

    node: str
    received_us: int
    verdict: ChallengeVerdict
    rates: tuple[int | None, ...]
    cause: str
    policy: Policy | None
    final: bool
    series: str = ""
    gpus: tuple[str, ...] = ()
    failed: frozenset[str] = frozenset()
    excusable: bool = False
    borne_out: bool = False
    began_us: int = 0
    challenge: str = ""


@dataclass(frozen=True, slots=True)
class KnownSeries:
    """Every series of a contract that is known at an instant, with its versions, and the line item of each node."""

    versions: Sequence[Version]
    nodes: Mapping[str, str | None]
    found: Sequence[ProvenRates]


def proven(before: ProvenRates | None, ended: ChallengeOutcome, received_us: int) -> ProvenRates:
    """What the series has proven with this attempt: a failure counts as one, whatever came to no judgement after it."""
    judged = ended.weighing.verdict in (ChallengeVerdict.MET, ChallengeVerdict.FAILED)
    rates = tuple(_rate(gpu) for gpu in ended.weighing.gpus)
    if not judged and before is not None:
        rates = before.rates
    verdict = ChallengeVerdict(ended.series_verdict)
    failed = [gpu.gpu for gpu in ended.weighing.gpus if gpu.verdict == ChallengeVerdict.FAILED]
    return ProvenRates(
        ended.node,
        received_us,
        verdict,
        rates,
        ended.cause,
        ended.policy,
        ended.final,
        ended.series,
        tuple(gpu.gpu for gpu in ended.weighing.gpus),
        frozenset(failed) | (before.failed if before is not None else frozenset()),
        may_be_unmade(ended),
        began_us=ended.began_us if before is None else before.began_us,
        challenge=ended.challenge,
    )


def excused(one: ProvenRates, both: BothSides) -> ProvenRates:
    """The series with what both sides' telemetry bears out: a GPU that somebody else used was not assessed."""
    if not one.excusable or not both.busy:
        return one
    rates = tuple(
        None if gpu in both.busy else rate for gpu, rate in zip(one.gpus, one.rates, strict=True)
    )
    if not one.failed <= both.busy:
        return replace(one, rates=rates)
    before = frozenset(both.busy_before)
    borne_out = one.failed <= before if one.failed else bool(before)
    verdict = ChallengeVerdict.NOT_ASSESSED
    return replace(one, rates=rates, verdict=verdict, borne_out=borne_out)


def rebooted(one: ProvenRates) -> ProvenRates:
    """The series where the node was rebooted in the run: void, and not silent."""
    silent = one.verdict is ChallengeVerdict.NOT_ASSESSED
    return replace(one, verdict=ChallengeVerdict.VOID) if silent else one


def _rate(gpu: Weighed) -> int | None:
    """A GPU that failed proved what it was measured at, and nothing where it was not."""
    if gpu.verdict == ChallengeVerdict.MET:
        return gpu.flops_per_second
    if gpu.verdict == ChallengeVerdict.FAILED:
        return gpu.flops_per_second or 0
    return None


def proves_node(known: KnownSeries, contract: Contract, one: ProvenRates) -> bool:
    """Whether every GPU that a node owes passed one of the contract's own: some of them prove nothing of the others."""
    resource = known.nodes.get(one.node)
    owed = [item.per_node for item in contract.resources if resource in (None, item.id)]
    passed = one.verdict is ChallengeVerdict.MET and len(one.rates) >= max(owed, default=1)
    return passed and _proof(known, contract, one) is not None


def samples(
    known: KnownSeries, contract: Contract, part: Period, whole: Period, service: Interval
) -> dict[str, tuple[Samples, ...]]:
    """One probe for each GPU of each series of the contract's own that ended in the objective's schedule, by objective.

    The contract's own are those that its schedule began, by one of its proofs, in the version that was in force when
    the series was committed to. `part` is what a version rules of the `whole` period; what ended outside the time of
    `service` is no probe. With `of_reference` the value is a share of what was asked for, and none where nothing was;
    else TFLOP/s.
    """
    own = list(_within(_own(known, contract), part, whole))
    served = served_part_s(whole, service)
    return {
        one.id: tuple(_samples(_due(one, own, served), one.of_reference))
        for one in contract.performance
        if one.probe == PROBE
    }


def series_lines(
    known: KnownSeries, contract: Contract, part: Period, whole: Period, service: Interval
) -> tuple[SeriesLine, ...]:
    """Every series of a part, whether it is a probe of an objective or not; none where no objective asks for any."""
    judging = [one for one in contract.performance if one.probe == PROBE]
    served = served_part_s(whole, service)
    return tuple(
        SeriesLine(
            at=instant_text(one.received_us // MICROSECONDS),
            node=one.node,
            cause=one.cause,
            verdict=one.verdict.value,
            gpus=len(one.rates),
            least=min((rate for rate in one.rates if rate is not None), default=None),
            counts=_proof(known, contract, one) is not None
            and any(list(_due(terms, [one], served)) for terms in judging),
        )
        for one in _within(known.found, part, whole)
        if judging
    )


def _within(found: Iterable[ProvenRates], part: Period, whole: Period) -> Iterator[ProvenRates]:
    """A series is of the period in which it ended, and there of the version under which it was committed to."""
    start_us, end_us = (edge_s * MICROSECONDS for edge_s in whole.interval_s)
    from_us, until_us = (edge_s * MICROSECONDS for edge_s in part.interval_s)
    for one in found:
        at_us = max(one.began_us or one.received_us, start_us)
        if start_us <= one.received_us < end_us and from_us <= at_us < until_us:
            yield one


def _own(known: KnownSeries, contract: Contract) -> Iterator[ProvenRates]:
    """The contract's own series. Those not assessed have their consequence once there are as many of a proof in a row.

    A row goes on over the end of a month. It ends with a series that is met or failed: one that is void or unknown
    neither counts in it nor ends it, and as little does one whose GPUs were in use, as both sides show, before it was
    asked for. What another proof of the line item found ends none.
    """
    in_a_row: dict[tuple[str, int], int] = {}
    for one in known.found:
        proof = _proof(known, contract, one)
        if proof is None:
            continue
        if one.borne_out:
            yield one
            continue
        place, terms = proof
        unassessed = one.verdict is ChallengeVerdict.NOT_ASSESSED
        row = in_a_row.get((one.node, place), 0)
        ends = one.verdict in (ChallengeVerdict.MET, ChallengeVerdict.FAILED)
        row = in_a_row[one.node, place] = 0 if ends else row + unassessed
        counted = unassessed and terms.unassessed == "failed" and row >= terms.unassessed_in_a_row
        yield replace(one, rates=(0,) * len(one.rates)) if counted else one


def _proof(
    known: KnownSeries, contract: Contract, one: ProvenRates
) -> tuple[int, ChallengeTerms] | None:
    """By which of the line item's proofs a series was asked for; None: by none of them, or not by the schedule.

    `contract`: the version for a series of which nobody says when it was committed to.
    """
    if one.cause != SCHEDULE or one.policy is None:
        return None
    agreed = in_force(known.versions, one.began_us).contract if one.began_us else contract
    resource = known.nodes.get(one.node)
    for item in agreed.resources:
        place = item.proof(one.policy) if resource in (None, item.id) else None
        if place is not None:
            return place, item.challenges[place]
    return None


def _due(
    objective: Performance, found: Iterable[ProvenRates], served: Interval
) -> Iterator[ProvenRates]:
    due = inside(objective.schedule, served)
    for one in found:
        at_s = one.received_us // MICROSECONDS
        if any(start_s <= at_s < end_s for start_s, end_s in due):
            yield one


def _samples(found: Iterable[ProvenRates], shares: bool) -> Iterator[Samples]:
    for one in found:
        asked = 0 if one.policy is None else one.policy.required_flops_per_second
        reference = asked if shares else TERA
        for rate in one.rates:
            known = rate is not None and reference > 0
            yield Samples(1, Fraction(rate or 0, reference) if known else None)
