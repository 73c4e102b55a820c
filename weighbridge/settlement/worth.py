"""What a statement is worth to the lessee: what can be claimed, what was earned, how far it is to the next tier."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from weighbridge.contract import Contract
from weighbridge.contract.money import RoundShare, Tiers
from weighbridge.settlement.credits import compared, rounding_of
from weighbridge.settlement.statement import SO_FAR, Statement, UnitLine
from weighbridge.verdict import Verdict, worst


@dataclass(frozen=True, slots=True)
class Claimable:
    """Credits of one unit and period: `standing` as in a statement, `amount` if they are claimed.

    It is the most that can be owed: where unknown time is held, as if all of it had been down.
    """

    contract: str
    period: str
    unit: str
    standing: str
    deadline: str | None
    amount: str
    currency: str


def claimable(statement: Statement) -> list[Claimable]:
    """What a statement says that was earned, unit by unit; nothing where nothing was."""
    return [
        Claimable(
            statement.contract,
            statement.period,
            due.unit,
            due.standing,
            due.deadline,
            due.earned,
            statement.currency,
        )
        for part in statement.parts
        for due in part.dues
        if due.earned is not None and Fraction(due.earned) > 0
    ]


def totals(claims: Iterable[Claimable]) -> dict[str, Decimal]:
    """What they are together, by currency, to the last digit."""
    found: dict[str, Decimal] = {}
    for one in claims:
        found[one.currency] = found.get(one.currency, Decimal(0)) + Decimal(one.amount)
    return found


def to_next_tier_s(contract: Contract, statement: Statement) -> int | None:
    """How much longer any unit may be down before it falls into a worse row; None where there is no row below.

    Of the objectives that the statement judges.
    """
    edges = {promise.id: {promise.target} for promise in contract.availability}
    for credit in contract.credits:
        if isinstance(credit, Tiers) and credit.objective in edges:
            edges[credit.objective] |= {row.at_or_above for row in credit.tiers}
    left = [
        _left_s(unit, edges.get(unit.objective, set()), rounding_of(contract, unit.objective))
        for part in statement.parts
        for unit in part.units
        if unit.verdict != SO_FAR
    ]
    return min((seconds for seconds in left if seconds is not None), default=None)


def _left_s(unit: UnitLine, edges: set[Fraction], rule: RoundShare | None) -> int | None:
    """Of what was seen, as bad as it may have been."""
    whole = unit.denominator_seconds
    left = whole - unit.counted_seconds[1]
    share = Fraction(left, whole) if whole else Fraction(1)
    below = [edge for edge in edges if 0 < edge <= compared(share, rule)]
    if not below:
        return None

    def falls(seconds: int) -> bool:
        return compared(Fraction(left - seconds - 1, whole), rule) < max(below)

    return bisect_left(range(left), True, key=falls)


def earned(statement: Statement) -> Mapping[str, Decimal]:
    """Credits of the period whether or not they are claimed, in its best and its worst case."""
    lines = [line for part in statement.parts for unit in part.units for line in unit.credits]
    lines += [line for part in statement.parts for line in part.others]
    return {
        "low": sum((Decimal(line.lowest or 0) for line in lines), Decimal(0)),
        "high": sum((Decimal(line.highest or 0) for line in lines), Decimal(0)),
    }


@dataclass(frozen=True, slots=True)
class Standing:
    """How an objective stands in a statement: what is promised of a unit, and the share of the one that stands worst.

    `units`: how many have each verdict. `seconds`: of all, by state.
    """

    objective: str
    verdict: Verdict
    target: str
    low: str
    high: str
    units: Mapping[Verdict, int]
    seconds: Mapping[str, int]


def standings(statement: Statement) -> Iterator[Standing]:
    """Of each objective that the statement judges, in its order. Of an amended one that of the part that is worst."""
    found: dict[str, list[UnitLine]] = {}
    for part in statement.parts:
        for unit in part.units:
            if unit.verdict != SO_FAR:
                found.setdefault(unit.objective, []).append(unit)
    for objective, units in found.items():
        yield _standing(objective, units)


def _standing(objective: str, units: list[UnitLine]) -> Standing:
    verdicts = Counter(Verdict[unit.verdict] for unit in units)
    target = min(map(_by_target, units))[-1]
    mine = [unit for unit in units if unit.target == target]
    low, high = (min(Fraction(unit.availability_fraction[end]) for unit in mine) for end in (0, 1))
    seconds = Counter[str]()
    for unit in units:
        seconds.update(unit.seconds)
    verdict = worst(verdicts, empty=Verdict.UNKNOWN)
    return Standing(objective, verdict, target, str(low), str(high), verdicts, seconds)


def _by_target(unit: UnitLine) -> tuple[bool, Fraction, str]:
    """Sorts what is missed whatever comes first, then by what is left to the target, which comes last."""
    low, high = map(Fraction, unit.availability_fraction)
    target = Fraction(unit.target)
    return high >= target, low - target, unit.target


@dataclass(frozen=True, slots=True)
class Worth:
    """What a statement is worth. `owed`: its amounts, lowest and highest; `earned`: claimed or not, in the best and the
    worst case. `by_standing`: what was earned, by what became of it; `deadline`: the first instant that is too late for
    some of what is open. `paid`, `outstanding`: as the statement has them."""

    currency: str
    owed: tuple[str | None, str | None]
    earned: tuple[Decimal, Decimal]
    by_standing: Mapping[str, Decimal]
    deadline: str | None
    paid: str | None
    outstanding: tuple[str | None, str | None] | None

    @property
    def at_stake(self) -> Decimal:
        """How much hangs on time that is not known, or is to come."""
        low, high = self.earned
        return high - low


def worth(statement: Statement) -> Worth:
    """From its own lines."""
    claims, bounds = claimable(statement), earned(statement)
    sums: dict[str, Decimal] = {}
    for one in claims:
        sums[one.standing] = sums.get(one.standing, Decimal(0)) + Decimal(one.amount)
    waiting = [one.deadline for one in claims if one.standing == "open" and one.deadline]
    return Worth(
        currency=statement.currency,
        owed=(statement.lowest, statement.highest),
        earned=(bounds["low"], bounds["high"]),
        by_standing=sums,
        deadline=min(waiting, default=None),
        paid=statement.paid,
        outstanding=statement.outstanding,
    )
