"""What settling a period gives."""

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from weighbridge.codes import Flag
from weighbridge.contract.quality import Performance
from weighbridge.settlement.availability import Measure, Outcome
from weighbridge.settlement.claims import Standing
from weighbridge.settlement.credits import Capped, Line
from weighbridge.settlement.periods import Period
from weighbridge.settlement.probes import Tally
from weighbridge.settlement.repair import Clocked
from weighbridge.verdict import Verdict


@dataclass(frozen=True, slots=True)
class OutcomeBound:
    """The outcome with all held time counted as down, or all as up: whether the promise is broken, and its lines, which
    are the most, or the least, over all readings of that time."""

    outcome: Outcome
    breach: bool
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """One unit (or all together) under one objective. `so_far`: it is judged in another period's statement."""

    measure: Measure
    worst: OutcomeBound
    best: OutcomeBound
    so_far: bool = False

    @property
    def by_share(self) -> tuple[OutcomeBound, OutcomeBound]:
        """The one with the lower availability first: held time that is excluded may take a fault along."""
        worst, best = sorted((self.worst, self.best), key=lambda one: one.outcome.availability)
        return worst, best

    @property
    def verdict(self) -> Verdict:
        """UNKNOWN where the two bounds differ, and of what is not judged here."""
        if self.so_far:
            return Verdict.UNKNOWN
        if self.worst.breach == self.best.breach:
            return Verdict.BREACHED if self.worst.breach else Verdict.MET
        return Verdict.UNKNOWN


def in_order(measure: Measure, worst: OutcomeBound, best: OutcomeBound) -> Result:
    """Of each credit the larger line as the worst: also where held time, being excluded, would take a fault along."""
    pairs = [
        (low, high)
        if low.exact is None or high.exact is None or low.exact >= high.exact
        else (high, low)
        for low, high in zip(worst.lines, best.lines, strict=True)
    ]
    most, least = tuple(one for one, _ in pairs), tuple(one for _, one in pairs)
    return Result(measure, replace(worst, lines=most), replace(best, lines=least))


@dataclass(frozen=True, slots=True)
class Probed:
    """A performance objective: what the probes say, and what it earns. Too few of them give no verdict.

    `so_far`: it is judged in another period's statement.
    """

    terms: Performance
    tally: Tally
    verdict: Verdict
    parts: tuple[Capped, ...]
    so_far: bool = False


@dataclass(frozen=True, slots=True)
class Owed:
    """What one unit earned, all its remedies taken together, and what of it is owed: nothing while it is not claimed.

    `earned` is the most of both bounds of held time; `highest` is of the worst case, `lowest` of the best. `lapsed`:
    some of it was not claimed in time. `credits`: of which alone it is, where others of the unit are claimed otherwise.
    `opens_s`: from when on it can be claimed; None: at any time.
    """

    unit: str
    standing: Standing
    deadline_s: int | None
    earned: Fraction | None
    highest: Fraction | None
    lowest: Fraction | None
    lapsed: bool = False
    credits: tuple[str, ...] = ()
    opens_s: int | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """A period, settled as of an instant. `others`: lines for probes, repairs, capacity, events and deliveries.

    `others_at_best`: the same lines with held time counted as up. `by_lessee`: what the lessee owes, set off
    against nothing; `by_lessee_at_best`: the same where what the provider alone says is not so. `highest` and `lowest`:
    what is owed to the lessee; None: the contract does not say. `exact`: the lowest and the highest before they are
    rounded, to be added to those of other parts of the period.
    """

    period: Period
    as_of_s: int
    final: bool
    results: tuple[Result, ...]
    probed: tuple[Probed, ...]
    others: tuple[Line, ...]
    others_at_best: tuple[Line, ...]
    dues: tuple[Owed, ...]
    highest: Decimal | None
    lowest: Decimal | None
    flags: tuple[Flag, ...]
    clocks: tuple[Clocked, ...] = ()
    by_lessee: tuple[Line, ...] = ()
    by_lessee_at_best: tuple[Line, ...] = ()
    exact: tuple[Fraction | None, Fraction | None] = (None, None)
