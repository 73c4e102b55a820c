"""From when to when there is service to judge and to pay. Time before it is neither up nor down."""

from collections.abc import Iterable
from datetime import timedelta

from weighbridge.contract import Contract
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import day_start, local_date, term_of
from weighbridge.settlement.record import Event

STARTS = {
    "acceptance": "acceptance_signed",
    "next_local_midnight": "acceptance_signed",
    "delivery": "delivered",
    "first_use": "first_used",
}
"""The event that starts service, for each rule of the contract."""


def service_of(contract: Contract, events: Iterable[Event]) -> Interval:
    """From the event that the contract names, or the start of the term where there was none, to the end of the term."""
    rule = contract.acceptance.billing_starts
    term = term_of(contract)
    starts = [event.at_s for event in events if event.kind == STARTS[rule]]
    if not starts:
        return term
    start = min(starts)
    if rule == "next_local_midnight":
        following = local_date(start, contract.time_zone) + timedelta(days=1)
        start = day_start(following, contract.time_zone)
    return (max(start, term[0]), term[1])
