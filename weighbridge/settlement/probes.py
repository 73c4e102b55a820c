"""Objectives over probes: a share of good ones, or one minus the mean error rate of slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract.quality import Performance
from weighbridge.settlement.hours import inside
from weighbridge.settlement.intervals import Interval


@dataclass(frozen=True, slots=True)
class Samples:
    """So many probes, or slices, with one value; None: no answer, or no requests."""

    count: int
    value: Fraction | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the probes of a period say. `scheduled`: one for each slice of the time of service that is whole in the
    contract's schedule; `valid`: those that count."""

    scheduled: int
    answered: int
    valid: int
    good: Fraction

    @property
    def share(self) -> Fraction:
        """Good over valid. Where nothing is valid nothing was missed: 1."""
        return self.good / self.valid if self.valid else Fraction(1)


def tally(terms: Performance, samples: Sequence[Samples], served: Interval) -> Tally:
    """Counts the probes of a time of service; those that are scheduled and not in the samples are missing."""
    due = inside(terms.schedule, served)
    scheduled = sum((end - start) // terms.slice_s for start, end in due)
    answered = [sample for sample in samples if sample.value is not None]
    present = sum(sample.count for sample in answered)
    missing = max(0, scheduled - present)
    good = sum((_good(terms, sample) for sample in answered), Fraction(0))
    if terms.statistic in ("mean", "quantile"):
        whole = present if present and passes(terms, _of_all(terms, answered)) else 0
        return Tally(scheduled, present, present, Fraction(whole))
    if terms.missing == "excluded":
        return Tally(scheduled, present, present, good)
    good += missing if terms.missing == "good" else 0
    return Tally(scheduled, present, present + missing, good)


def _good(terms: Performance, sample: Samples) -> Fraction:
    value = Fraction(0) if sample.value is None else sample.value
    if terms.threshold is None:
        return sample.count * (1 - value)
    return Fraction(sample.count if passes(terms, value) else 0)


def passes(terms: Performance, value: Fraction) -> bool:
    """Whether a value reaches the threshold."""
    threshold = terms.threshold or Fraction(0)
    return value > threshold or (terms.op == ">=" and value == threshold)


def _of_all(terms: Performance, answered: Sequence[Samples]) -> Fraction:
    """The mean of the answers, or their quantile, exact."""
    values = sorted((sample.value or Fraction(0), sample.count) for sample in answered)
    count = sum(number for _, number in values)
    if terms.quantile is None:
        return sum((value * number for value, number in values), Fraction(0)) / count
    below = 0
    for value, number in values:
        below += number
        if below >= terms.quantile * count:
            return value
    return values[-1][0]
