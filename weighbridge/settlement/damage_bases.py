"""What damages are a share of: a value, an amount, or what the prices give for a time."""

from fractions import Fraction

from weighbridge.contract import Contract
from weighbridge.contract.money import Base
from weighbridge.contract.remedies import ExitRight, LiquidatedDamages
from weighbridge.contract.resources import Batch
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import day_start, periods_within, term_of_s
from weighbridge.settlement.service import end_from_s

OF_UNIT, OF_ALL = Base(of="unit"), Base(of="contract")


def base_of(
    contract: Contract,
    terms: LiquidatedDamages | ExitRight,
    batch: Batch | None,
    at_s: int,
    service: Interval,
) -> Fraction:
    """Of a batch, or of everything. `at_s`: the event, after which come the remaining fees."""
    starts_s, ends_s = _term(contract, service, at_s)
    match terms.base:
        case "amount":
            return Fraction(terms.base_amount or 0)
        case "value":
            return Fraction(0) if batch is None else Fraction(batch.value)
        case "month_fees":
            due_s = at_s if batch is None else day_start(batch.due, contract.time_zone)
            within_s = min(max(due_s, starts_s), ends_s - 1)
            [month] = periods_within(contract.billed_by, contract, within_s, within_s + 1)
            return fees_over(contract, month.interval_s, batch)
        case "term_fees":
            return fees_over(contract, (starts_s, ends_s), batch)
        case "remaining_fees":
            return fees_over(contract, (min(max(at_s, starts_s), ends_s), ends_s), batch)


def _term(contract: Contract, service: Interval, at_s: int) -> Interval:
    """Where the term is so many months of service: these; before it starts, as if it did at the event."""
    begins_s, ends_s = term_of_s(contract)
    if contract.term.months is None:
        return begins_s, ends_s
    since_s = service[0] if service[0] < ends_s else max(begins_s, min(at_s, ends_s - 1))
    return since_s, end_from_s(contract, since_s)


def fees_over(contract: Contract, time: Interval, batch: Batch | None) -> Fraction:
    """What the prices give for this time, all in service; of a batch, for its nodes."""
    item = next((one for one in contract.resources if batch in one.delivery), None)
    fees = Fraction(0)
    for month in periods_within(contract.billed_by, contract, *time):
        of_month = Fees(contract, month, time, month)
        if batch is None or item is None:
            fees += of_month.base(OF_ALL, None)
        else:
            fees += of_month.base(OF_UNIT, "node", item.id) * batch.nodes
    return fees
