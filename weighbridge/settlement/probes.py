"""Objectives over probes: a share of good ones, or one minus the mean error rate of slices."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract.quality import Performance
from weighbridge.settlement.periods import Period


@dataclass(frozen=True, slots=True)
class Samples:
    """So many probes, or slices, with one value; None: no answer, or no requests."""

    count: int
    value: Fraction | None


@dataclass(frozen=True, slots=True)
class Tally:
    """What the probes of a period say. `scheduled`: one for each slice of the period; `valid`: those that count."""

    scheduled: int
    answered: int
    valid: int
    good: Fraction

    @property
    def share(self) -> Fraction:
        """Good over valid. Where nothing is valid nothing was missed: 1."""
        return self.good / self.valid if self.valid else Fraction(1)


def tally(terms: Performance, samples: Sequence[Samples], period: Period) -> Tally:
    """Counts the probes; those that are scheduled and not in the samples are missing."""
    scheduled = period.seconds // terms.slice_s
    answered = [sample for sample in samples if sample.value is not None]
    present = sum(sample.count for sample in answered)
    missing = max(0, scheduled - present)
    good = sum((_good(terms, sample) for sample in answered), Fraction(0))
    if terms.missing == "excluded":
        return Tally(scheduled, present, present, good)
    good += missing if terms.missing == "good" else 0
    return Tally(scheduled, present, present + missing, good)


def _good(terms: Performance, sample: Samples) -> Fraction:
    value = Fraction(0) if sample.value is None else sample.value
    if terms.threshold is None:
        return sample.count * (1 - value)
    passes = value > terms.threshold or (terms.op == ">=" and value == terms.threshold)
    return Fraction(sample.count if passes else 0)
