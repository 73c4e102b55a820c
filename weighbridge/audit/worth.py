"""What a contract comes to by its prices, and what a GPU costs an hour."""

from collections.abc import Iterator
from fractions import Fraction

from weighbridge.contract import Contract, Resource
from weighbridge.contract.money import Base
from weighbridge.contract.pricing import Price
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.periods import Period, months_within, served_part_s, term_of_s
from weighbridge.settlement.service import end_from_s

MONTH_HOURS = 730
"""Of a twelfth of a year of 365 days."""


def worth_of(contract: Contract) -> Fraction:
    """The fees of the whole term, if all of it is served; without tax terms."""
    return sum(_months(contract), Fraction(0))


def _months(contract: Contract) -> Iterator[Fraction]:
    begins_s, _ = term_of_s(contract)
    term = (begins_s, end_from_s(contract, begins_s))
    for month in months_within(*term, contract.time_zone):
        part = Period(month.label, *served_part_s(month, term))
        yield Fees(contract, month, term, part).base(Base(of="contract"), None)


def price_of_hour(contract: Contract, item: Resource) -> Fraction | None:
    """What one GPU of a line item costs an hour, by all prices that name it; None where no price is of GPUs."""
    prices = [
        _by_hour(price, item) for price in contract.pricing if price.resource in (None, item.id)
    ]
    known = [price for price in prices if price is not None]
    return sum(known, Fraction(0)) if known else None


def _by_hour(price: Price, item: Resource) -> Fraction | None:
    amount = Fraction(price.price)
    worth = Fraction(0) if item.capacity is None else item.capacity.per_gpu
    match price.unit:
        case "gpu_hour":
            return amount
        case "gpu_month":
            return amount / MONTH_HOURS
        case "node_month":
            return amount / MONTH_HOURS / item.per_node
        case "P_month":
            return amount * worth / MONTH_HOURS
        case "P_day":
            return amount * worth / 24
        case _:
            return None
