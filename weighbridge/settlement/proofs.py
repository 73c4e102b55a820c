"""Challenges as probes of performance objectives: of each GPU the rate that it proved, against what was promised."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.challenge.record import ChallengeOutcome, Weighed
from weighbridge.challenge.verdict import ChallengeVerdict
from weighbridge.contract import Contract
from weighbridge.contract.quality import Performance
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.hours import inside
from weighbridge.settlement.periods import Period
from weighbridge.settlement.probes import Samples

PROBE = "challenge"
"""The `probe` of an objective that challenges judge."""

TERA = 10**12


@dataclass(frozen=True, slots=True)
class ProvenRates:
    """The end of a series at a node: what each GPU proved, in FLOP/s; None: not assessed, void or unknown."""

    node: str
    received_us: int
    rates: tuple[int | None, ...]


def proven(ended: ChallengeOutcome, received_us: int) -> ProvenRates | None:
    """What the series proved; None while another attempt follows."""
    if not ended.final:
        return None
    return ProvenRates(ended.node, received_us, tuple(_rate(gpu) for gpu in ended.weighing.gpus))


def _rate(gpu: Weighed) -> int | None:
    """A GPU that failed proved what it was measured at, and nothing where it was not."""
    if gpu.verdict == ChallengeVerdict.MET:
        return gpu.flops_per_second
    if gpu.verdict == ChallengeVerdict.FAILED:
        return gpu.flops_per_second or 0
    return None


def samples(
    contract: Contract,
    nodes: Mapping[str, str | None],
    found: Sequence[ProvenRates],
    period: Period,
) -> dict[str, tuple[Samples, ...]]:
    """One probe for each GPU of each challenge that ended in the objective's schedule, by objective.

    With `of_reference` the value is a share of the resource's `at_least_flops_per_second`, and none where that asks for
    nothing; else TFLOP/s.
    """
    return {
        one.id: tuple(_samples(contract, nodes, _due(one, found, period), one.of_reference))
        for one in contract.performance
        if one.probe == PROBE
    }


def _due(
    objective: Performance, found: Iterable[ProvenRates], period: Period
) -> Iterator[ProvenRates]:
    due = inside(objective.schedule, period.interval_s)
    for one in found:
        at_s = one.received_us // MICROSECONDS
        if any(start_s <= at_s < end_s for start_s, end_s in due):
            yield one


def _samples(
    contract: Contract, nodes: Mapping[str, str | None], found: Iterable[ProvenRates], shares: bool
) -> Iterator[Samples]:
    for one in found:
        reference = _reference(contract, nodes.get(one.node)) if shares else TERA
        for rate in one.rates:
            known = rate is not None and reference > 0
            yield Samples(1, Fraction(rate or 0, reference) if known else None)


def _reference(contract: Contract, resource: str | None) -> int:
    """FLOP/s that each GPU of a line item must reach; 0: not stated."""
    chosen = [one for one in contract.resources if resource in (None, one.id)]
    terms = chosen[0].challenges
    return terms[0].at_least_flops_per_second if terms else 0
