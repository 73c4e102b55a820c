"""What the parts before gave of allowances that a contract has once for a period, where an amendment splits it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.settlement.credits import HOURS, Line, UsedBefore
from weighbridge.settlement.results import Settlement

CreditKey = tuple[str, str]
"""Key: the id of a credit or of an objective, and a unit."""


@dataclass(frozen=True, slots=True)
class SpentCredits:
    """In one case of held time: amounts and `before` by credit and unit, free seconds by objective and unit."""

    amounts: Mapping[CreditKey, Fraction]
    before: Mapping[CreditKey, UsedBefore]
    free_of_objectives: Mapping[CreditKey, int]
    together: Fraction


def spent(before: Sequence[Settlement]) -> tuple[SpentCredits, SpentCredits]:
    """With held time counted as down and as up. `before`: the parts of the same period that were settled already."""
    worst = [line for one in before for line in _lines(one, best=False)]
    best = [line for one in before for line in _lines(one, best=True)]
    frees: tuple[dict[CreditKey, int], dict[CreditKey, int]] = (defaultdict(int), defaultdict(int))
    for result in (result for one in before for result in one.results):
        key = (result.measure.objective.id, result.measure.unit)
        for free, outcome in zip(frees, (result.measure.low, result.measure.high), strict=True):
            free[key] += outcome.free_s
    return (
        _spent(worst, frees[0], [one.exact[1] for one in before]),
        _spent(best, frees[1], [one.exact[0] for one in before]),
    )


def _lines(one: Settlement, best: bool) -> Iterator[Line]:
    for result in one.results:
        yield from (result.best if best else result.worst).lines
    yield from one.others_at_best if best else one.others


def _spent(
    lines: Sequence[Line], free: Mapping[CreditKey, int], owed: Sequence[Fraction | None]
) -> SpentCredits:
    amounts: dict[CreditKey, Fraction] = defaultdict(Fraction)
    before: dict[CreditKey, UsedBefore] = defaultdict(UsedBefore)
    for line in lines:
        key, used = (line.credit, line.unit), before[line.credit, line.unit]
        amounts[key] += line.exact or 0
        earned, hours = line.earned, line.earned.facts.get(HOURS, ())
        before[key] = UsedBefore(
            used.free_s + earned.free_s,
            used.events + earned.events,
            amounts[key],
            used.hours.union(hours if isinstance(hours, tuple) else ()),
        )
    together = sum((amount for amount in owed if amount is not None), Fraction(0))
    return SpentCredits(dict(amounts), dict(before), dict(free), together)
