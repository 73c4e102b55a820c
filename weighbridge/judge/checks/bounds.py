"""A bound that the contract sets on a reading: data, not a new check."""

from collections.abc import Iterator

from weighbridge.contract import Bound
from weighbridge.judge.checks.check import (
    HOUR,
    Answer,
    BoundTally,
    Check,
    CheckContext,
    Effect,
    decide,
)


def kept(context: CheckContext) -> Iterator[Answer]:
    """Each device over the last whole UTC hour; an hour in which no sample of a bound counted says nothing of it."""
    devices = sorted({device for (_, device), tally in context.tallies.items() if tally.counted})
    for device in devices:
        counted = [
            (context.promise.resource.bounds[place], tally)
            for (place, subject), tally in sorted(context.tallies.items())
            if subject == device and tally.counted
        ]
        broken = [(bound, tally) for bound, tally in counted if not _enough(bound, tally)]
        named = broken or counted
        expected = "; ".join(describe(bound) for bound, _ in named)
        observed = "; ".join(f"{tally.held} of {tally.counted}" for _, tally in named)
        yield decide(device, expected, observed, holds=not broken)


def _enough(bound: Bound, tally: BoundTally) -> bool:
    return tally.held >= bound.for_share * tally.counted


def describe(bound: Bound) -> str:
    """The bound as a sentence; two bounds of one contract read differently."""
    least = [] if bound.at_least is None else [f"at least {bound.at_least}"]
    most = [] if bound.at_most is None else [f"at most {bound.at_most}"]
    limits = " and ".join([*least, *most])
    return f"{bound.reading} {limits} while {bound.while_}, for {bound.for_share} of samples"


def holds(bound: Bound, value: int) -> bool:
    """Whether one sample keeps the bound."""
    above = bound.at_least is None or value >= bound.at_least
    return above and (bound.at_most is None or value <= bound.at_most)


BOUND_BROKEN = Check(
    code="bound_broken",
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({HOUR}),
    judge=kept,
)
"""No effect on availability: an hour is judged when it is over, and the state of the next hour is its own."""
