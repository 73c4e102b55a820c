"""From when to when there is service to judge and to pay. Time before it is neither up nor down."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from weighbridge.contract import Contract
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import DAY_S, day_start, local_date, term_of_s
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.working_days import days_later

STARTS = {
    "acceptance": "acceptance_signed",
    "next_local_midnight": "acceptance_signed",
    "delivery": "delivered",
    "first_use": "first_used",
}
"""The event that starts service, for each rule of the contract."""

ACCEPTED, DELIVERED, REFUSED = "acceptance_signed", "delivered", "acceptance_refused"


def service_of_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> Interval:
    """From the event that the contract names, or the start of the term where there was none, to the end of the term."""
    begins, ends = term_of_s(contract)
    started = start_of_s(contract, events, as_of_s)
    return (begins if started is None else max(started, begins), ends)


def start_of_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int | None:
    """When service starts by what was told of; None: by nothing yet."""
    rule = contract.acceptance.billing_starts
    starts = [event.at_s for event in events if event.kind == STARTS[rule]]
    if STARTS[rule] == ACCEPTED:
        starts += _by_silence_s(contract, events, as_of_s)
    if not starts:
        return None
    start = min(starts)
    if rule == "next_local_midnight":
        following = local_date(start, contract.time_zone) + timedelta(days=1)
        start = day_start(following, contract.time_zone)
    return start


def silence_accepted_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int | None:
    """When silence accepted, before anybody signed; None: it did not."""
    if STARTS[contract.acceptance.billing_starts] != ACCEPTED:
        return None
    silent = min(_by_silence_s(contract, events, as_of_s), default=None)
    signed = [event.at_s for event in events if event.kind == ACCEPTED]
    return None if silent is None or min(signed, default=silent) < silent else silent


def _by_silence_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> Iterator[int]:
    """The end of the last local day on which a delivery could be refused, the day of the delivery not counted."""
    days, (begins, ends) = contract.acceptance.deemed_acceptance_days, term_of_s(contract)
    worked = contract.acceptance.deemed_acceptance_count == "working_days"
    calendar = contract.calendar if worked else None
    refused = [_heard_s(event) for event in events if event.kind == REFUSED]
    for event in events:
        if days is None or days * DAY_S > ends - begins or event.kind != DELIVERED:
            continue
        heard = max(event.at_s, _heard_s(event))
        last = days_later(calendar, local_date(heard, contract.time_zone), days)
        if last is None:
            continue
        end_s = day_start(last + timedelta(days=1), contract.time_zone)
        if end_s <= as_of_s and not any(heard <= at < end_s for at in refused):
            yield end_s


def _heard_s(event: ToldEvent) -> int:
    """Silence is counted from when the other side could hear of it, and ended by what it had said until then."""
    return event.at_s if event.received_s is None else event.received_s
