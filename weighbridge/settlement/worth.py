"""What a statement is worth to the lessee: what can be claimed, what was earned, how far it is to the next tier."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from weighbridge.contract import Contract
from weighbridge.contract.money import RoundShare, Tiers
from weighbridge.settlement.credits import compared, rounding_of
from weighbridge.settlement.statement import SO_FAR, Statement, UnitLine


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


def earned(statement: Statement) -> Mapping[str, Fraction]:
    """Credits of the period whether or not they are claimed, in its best and its worst case."""
    lines = [line for part in statement.parts for unit in part.units for line in unit.credits]
    lines += [line for part in statement.parts for line in part.others]
    return {
        "low": sum((Fraction(line.lowest or 0) for line in lines), Fraction(0)),
        "high": sum((Fraction(line.highest or 0) for line in lines), Fraction(0)),
    }
