"""Until when a credit can be claimed, and what became of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

from weighbridge.contract import Contract
from weighbridge.contract.money import ClaimTerms
from weighbridge.contract.objectives import MONTHS as CYCLE
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import (
    Period,
    day_start,
    local_date,
    months_later,
    term_of_s,
)
from weighbridge.settlement.record import Claim
from weighbridge.settlement.working_days import working_day_after

Standing = Literal["automatic", "open", "early", "filed", "lapsed"]
MONTHS = 12
"""Of a year."""

NEVER_S = 2**62
"""No day is known on which it is."""


def deadline_s(
    terms: ClaimTerms, period: Period, contract: Contract, incident: Interval | None = None
) -> int | None:
    """The first instant that is too late: the start of a local day, in the zone of the claim. None: no deadline.

    The days are counted from the date on which the period ended in the contract's zone; or, of an incident, from the
    first midnight that is not before its beginning or end.
    """
    after, zone = _first_day(terms, period, contract.time_zone, incident), terms.zone
    last: date | None = None
    if terms.deadline_days is not None:
        last = after + timedelta(days=terms.deadline_days - 1)
    if terms.deadline_working_days is not None:
        before = after - timedelta(days=1)
        last = working_day_after(contract.calendar, before, terms.deadline_working_days)
    if terms.deadline_billing_cycles is not None:
        last = _border(contract, after, terms.deadline_billing_cycles) - timedelta(days=1)
    if last is None:
        return None
    return day_start(last + timedelta(days=1), zone or contract.time_zone)


def opens_s(terms: ClaimTerms, period: Period, contract: Contract) -> int | None:
    """The first instant at which a credit can be claimed. None: at any time; NEVER_S: nobody knows yet."""
    ended = local_date(period.end_s, contract.time_zone)
    day: date | None = None
    if terms.opens_day is not None:
        day = ended + timedelta(days=terms.opens_day - 1)
    elif terms.opens_working_day is not None:
        before = ended - timedelta(days=1)
        day = working_day_after(contract.calendar, before, terms.opens_working_day)
    else:
        return None
    return NEVER_S if day is None else day_start(day, terms.zone or contract.time_zone)


def _first_day(terms: ClaimTerms, period: Period, zone: str, incident: Interval | None) -> date:
    """The first local day that is counted."""
    if incident is None:
        return local_date(period.end_s, zone)
    from_s = incident[terms.counted_from == "incident_end"]
    day = local_date(from_s, zone)
    return day if day_start(day, zone) == from_s else day + timedelta(days=1)


def _border(contract: Contract, ended: date, cycles: int) -> date:
    """Where so many billing cycles end after the local day on which a period ended.

    Months of a contract that begins on the 31st end on the last day of a shorter month, and on the 31st of the next.
    """
    first = local_date(term_of_s(contract)[0], contract.time_zone)
    cycles *= CYCLE[contract.billed_by]
    number = (ended.year - first.year) * MONTHS + ended.month - first.month
    whole = months_later(first, number) == ended
    return months_later(first, number + cycles) if whole else months_later(ended, cycles)


def standing(
    terms: ClaimTerms,
    deadline: int | None,
    claims: Iterable[Claim],
    period: Period,
    unit: str,
    as_of_s: int,
    since_s: int = 0,
) -> Standing:
    """Whether the credit is owed by itself, was claimed in time, can be claimed, not yet, or no more.

    `since_s`: when it can be claimed from on, or the beginning of an incident; a claim that was filed before is none.
    """
    if not terms.required or terms.auto_claim:
        return "automatic"
    filed = [claim.filed_s for claim in claims if concerns(claim, period, unit)]
    if any(at >= since_s and (deadline is None or at < deadline) for at in filed):
        return "filed"
    if as_of_s < since_s:
        return "early"
    return "open" if deadline is None or as_of_s < deadline else "lapsed"


@dataclass(frozen=True, slots=True)
class ClaimState:
    """Of a credit, or of several incidents together: whether it is owed, until when the next claim is in time, whether
    some of it lapsed, and from when on it can be claimed."""

    standing: Standing
    deadline_s: int | None
    lapsed: bool = False
    opens_s: int | None = None


def together(states: Sequence[ClaimState]) -> ClaimState:
    """Open while one of them is, until the first deadline of those; else early, or filed, if one is."""
    lapsed = any(one.lapsed for one in states)
    opens = next((one.opens_s for one in states), None)
    for found in ("open", "early", "filed", "automatic", "lapsed"):
        mine = [one.deadline_s for one in states if one.standing == found]
        if mine:
            return ClaimState(
                found, min((at for at in mine if at is not None), default=None), lapsed, opens
            )
    return ClaimState("open", None)


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
