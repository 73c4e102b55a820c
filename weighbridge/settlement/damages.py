"""Liquidated damages: what late delivery and the like cost, day by day, up to the cap."""

from datetime import date, timedelta
from fractions import Fraction

from weighbridge.contract.money import LiquidatedDamages
from weighbridge.settlement.credits import Earned

SATURDAY = 5


def days_late(terms: LiquidatedDamages, due: date, done: date) -> int:
    """Days after the due date up to the day on which it was done, which counts."""
    if done <= due:
        return 0
    days = (done - due).days
    if terms.day_count == "calendar_days":
        return days
    return sum((due + timedelta(days=step)).weekday() < SATURDAY for step in range(1, days + 1))


def earn_damages(terms: LiquidatedDamages, value: Fraction, late: int) -> Earned:
    """A share of the value for each day, and the flat part where it is due."""
    full = value * (terms.flat_pct / 100 + terms.daily_rate * late) if late else Fraction(0)
    limit = full if terms.cap_pct is None else min(full, value * terms.cap_pct / 100)
    return Earned(
        breach=late > 0,
        exact=limit,
        facts={"days_late": late},
        flags=("cap_applied",) if limit < full else (),
    )
