"""Remedies that follow an event and not an objective: anomalies, lost work, too much maintenance."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

from weighbridge.contract.money import AnomalyHours, LostWork, MaintenanceCount
from weighbridge.contract.numerals import exact_text
from weighbridge.settlement.credits import Earned, Fact, steps_in
from weighbridge.settlement.periods import HOUR_S, Period
from weighbridge.settlement.record import Window


def anomaly(credit: AnomalyHours, seconds: int) -> Earned:
    """The factor applies first, and the result is rounded up."""
    steps = steps_in(seconds * credit.factor, credit.round_up_to_s, "ceil")
    hours = Fraction(steps * credit.round_up_to_s, HOUR_S)
    facts: dict[str, Fact] = {
        "anomaly_seconds": seconds,
        "compensated_hours": exact_text(hours),
    }
    return Earned(seconds > 0, hours * Fraction(credit.hour_price), facts=facts)


def lost_work(credit: LostWork, seconds: int) -> Earned:
    """From the last start to the crash, up to the cap."""
    hours = Fraction(min(seconds, credit.cap_s), HOUR_S)
    facts: dict[str, Fact] = {"work_seconds": seconds, "compensated_hours": exact_text(hours)}
    return Earned(seconds > 0, hours * Fraction(credit.hour_price), facts=facts)


def excess_maintenance(
    credit: MaintenanceCount, windows: Iterable[Window], year: Period, before: int = 0
) -> Iterator[tuple[Window, Earned]]:
    """Each window of the year past the allowed number. `before`: windows earlier in the year than those given."""
    inside = sorted(
        (window for window in windows if year.start_s <= window.start_s < year.end_s),
        key=lambda window: (window.start_s, window.id),
    )
    for number, window in enumerate(inside, start=before + 1):
        if number > credit.allowed_per_year:
            yield window, _excess(credit, window.end_s - window.start_s)


def _excess(credit: MaintenanceCount, seconds: int) -> Earned:
    hours = steps_in(seconds, HOUR_S, credit.partial)
    return Earned(
        breach=True,
        exact=Fraction(credit.base_amount) * credit.fraction_per_hour * hours,
        facts={"maintenance_seconds": seconds, "hours_counted": hours},
        flags=("maintenance_count_exceeded",),
    )
