"""From when to when there is service to judge and to pay. Time before it is neither up nor down."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from weighbridge.contract import Contract
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import DAY_S, day_start, local_date, months_later, term_of_s
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.working_days import days_later

STARTS = {
    "acceptance": "acceptance_signed",
    "next_local_midnight": "acceptance_signed",
    "delivery": "delivered",
    "first_use": "first_used",
}
"""The event that starts service, for each rule of the contract."""

BATCH_ACCEPTED = "batch_accepted"
ACCEPTED, DELIVERED, REFUSED = "acceptance_signed", "delivered", "acceptance_refused"


def service_of_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> Interval:
    """From the event that the contract names, or the start of the term where there was none, to the end of the term.

    Where the term runs from that event, to so many months after it; and nothing before.
    """
    (begins, ends), started = term_of_s(contract), start_of_s(contract, events, as_of_s)
    if started is None:
        return (begins if contract.term.months is None else ends), ends
    since = max(started, begins)
    return since, end_from_s(contract, since)


def end_from_s(contract: Contract, since_s: int) -> int:
    """The end of service that starts then."""
    (_, ends), months, zone = term_of_s(contract), contract.term.months, contract.time_zone
    if months is None:
        return ends
    return min(ends, day_start(months_later(local_date(since_s, zone), months), zone))


def start_of_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int | None:
    """When service of anything starts by what was told of; None: by nothing yet."""
    told = starts_s(contract, events, as_of_s)
    whole = [at_s for part, at_s in told if not part]
    if contract.acceptance.partial_acceptance:
        return min((at_s for _, at_s in told), default=None)
    return min([*whole, *_all_parts_s(contract, told)], default=None)


def starts_s(
    contract: Contract, events: Sequence[ToldEvent], as_of_s: int
) -> list[tuple[str, int]]:
    """What starts, a batch or a node (empty: everything), and when, by each thing that was told."""
    rule = contract.acceptance.billing_starts
    told = _told_s(contract, events)
    if STARTS[rule] == ACCEPTED:
        told += _by_silence_s(contract, events, as_of_s)
    if rule == "next_local_midnight":
        return [(part, _next_midnight_s(at_s, contract.time_zone)) for part, at_s in told]
    return told


def _told_s(contract: Contract, events: Sequence[ToldEvent]) -> list[tuple[str, int]]:
    starts = STARTS[contract.acceptance.billing_starts]
    kinds = {starts} | ({BATCH_ACCEPTED} if starts == ACCEPTED else set())
    return [(event.unit, event.at_s) for event in events if event.kind in kinds]


def came_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> list[tuple[str, int]]:
    """What came, a batch or a node (empty: everything), and an instant of the day on which it did: of what silence
    accepted, the last one of its days. Service may start at the midnight after."""
    told = _told_s(contract, events)
    if STARTS[contract.acceptance.billing_starts] == ACCEPTED:
        silent = _by_silence_s(contract, events, as_of_s)
        told += [(part, end_s - 1) for part, end_s in silent]
    return told


def _next_midnight_s(at_s: int, zone: str) -> int:
    return day_start(local_date(at_s, zone) + timedelta(days=1), zone)


def _all_parts_s(contract: Contract, told: Iterable[tuple[str, int]]) -> list[int]:
    """Where no part is accepted alone: when the last batch was, if they hold every node and all of them were."""
    first: dict[str, int] = {}
    for part, at_s in told:
        first[part] = min(at_s, first.get(part, at_s))
    batches = [batch.id for item in contract.resources for batch in item.delivery]
    whole = all(
        sum(batch.nodes for batch in item.delivery) >= item.nodes for item in contract.resources
    )
    return [max(first[one] for one in batches)] if whole and set(batches) <= set(first) else []


def silence_accepted_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int | None:
    """When silence accepted, before anybody signed; None: it did not."""
    if STARTS[contract.acceptance.billing_starts] != ACCEPTED:
        return None
    silent = min((at_s for _, at_s in _by_silence_s(contract, events, as_of_s)), default=None)
    signed = [event.at_s for event in events if event.kind == ACCEPTED]
    return None if silent is None or min(signed, default=silent) < silent else silent


def _by_silence_s(
    contract: Contract, events: Sequence[ToldEvent], as_of_s: int
) -> Iterator[tuple[str, int]]:
    """What was delivered, and the end of the last local day on which it could be refused, that of the delivery not
    counted."""
    days, (begins, ends) = contract.acceptance.deemed_acceptance_days, term_of_s(contract)
    worked = contract.acceptance.deemed_acceptance_count == "working_days"
    calendar = contract.calendar if worked else None
    refused = [(event.unit, _heard_s(event)) for event in events if event.kind == REFUSED]
    for event in events:
        if days is None or days * DAY_S > ends - begins or event.kind != DELIVERED:
            continue
        heard = max(event.at_s, _heard_s(event))
        last = days_later(calendar, local_date(heard, contract.time_zone), days)
        if last is None:
            continue
        end_s = day_start(last + timedelta(days=1), contract.time_zone)
        no = any(heard <= at < end_s for unit, at in refused if unit in ("", event.unit))
        if end_s <= as_of_s and not no:
            yield event.unit, end_s


def _heard_s(event: ToldEvent) -> int:
    """Silence is counted from when the other side could hear of it, and ended by what it had said until then."""
    return event.at_s if event.received_s is None else event.received_s
