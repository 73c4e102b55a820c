"""Until when a credit can be claimed, and what became of it."""

from collections.abc import Iterable
from datetime import timedelta
from fractions import Fraction
from typing import Literal

from weighbridge.contract.money import ClaimTerms
from weighbridge.settlement.periods import Period, day_start, local_date, months_later
from weighbridge.settlement.record import Claim

Standing = Literal["automatic", "open", "filed", "lapsed"]


def deadline_s(terms: ClaimTerms, period: Period, zone: str) -> int | None:
    """The first instant that is too late: the start of a local day, in the zone of the claim. None: no deadline.

    The days are counted from the date on which the period ended in the contract's zone.
    """
    zone_named = terms.zone or zone
    after = local_date(period.end_s, zone)
    if terms.deadline_days is not None:
        return day_start(after + timedelta(days=terms.deadline_days), zone_named)
    if terms.deadline_billing_cycles is not None:
        return day_start(months_later(after, terms.deadline_billing_cycles), zone_named)
    return None


def standing(
    terms: ClaimTerms,
    deadline: int | None,
    claims: Iterable[Claim],
    period: Period,
    unit: str,
    as_of_s: int,
) -> Standing:
    """Whether the credit is owed by itself, was claimed in time, can still be claimed, or has lapsed."""
    if not terms.required or terms.auto_claim:
        return "automatic"
    filed = [claim.filed_s for claim in claims if concerns(claim, period, unit)]
    if any(deadline is None or at < deadline for at in filed):
        return "filed"
    return "open" if deadline is None or as_of_s < deadline else "lapsed"


TOGETHER = ("all_of", "k_of_n", "pooled")
"""What a statement names the unit where several are judged together."""


def concerns(claim: Claim, period: Period, unit: str) -> bool:
    """Whether a claim asks for the credits of this unit in this period.

    A node named in it stands for its GPUs, and a GPU for the node, or for all together, where those are what is judged.
    """
    if claim.period != period.label:
        return False
    named = claim.unit
    return named is None or unit in TOGETHER or holds(named, unit) or holds(unit, named)


def holds(unit: str, part: str) -> bool:
    """Whether a unit is the other one, or the node that holds it."""
    return part == unit or part.startswith(f"{unit}.")


def payable(exact: Fraction | None, found: Standing) -> Fraction | None:
    """What is owed now: nothing for a credit that was not claimed."""
    return exact if found in ("automatic", "filed") or exact is None else Fraction(0)
