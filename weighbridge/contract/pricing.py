"""What is paid: prices, by quantity and from day to day, and what of them is given back."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from weighbridge.contract.parties import Tax
from weighbridge.contract.scalars import Amount, Count, Day, Maybe, Name, Ratio, Switch
from weighbridge.contract.terms import Terms, clause, key

Proration = Literal["none", "seconds", "days"]

OF_ALL = ("fixed_month", "kW_month")
"""Prices of something else than GPUs, nodes or P: what they pay for is all line items that they name, by their GPUs."""


class PriceFrom(Terms):
    """From a local day on, another price, or another quantity, as in a ramp. What a row leaves out stays as it was."""

    from_: Day = key("from", "First local day of it.")
    price: Maybe[Amount] = clause("Price of one from then on; none: as before.", default=None)
    quantity: Maybe[Ratio] = clause("How many from then on; none: as before.", default=None)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.price is None and self.quantity is None:
            yield "", "gives neither a price nor a quantity"


class PriceStep(Terms):
    """Above a quantity, another price."""

    above: Ratio = clause(
        "Quantity above which it holds; at exactly that, it does not: hours of GPUs, days of P, or months of GPUs,"
        " nodes or P, as they add up in a month over all line items of the price."
    )
    price: Amount = clause("Price of one.")


class Rebate(Terms):
    """Above an amount, a part is given back."""

    above: Amount = clause(
        "Net fees of the price in a bill, its minimum among them, above which it is given."
    )
    pct: Ratio = clause("What is given back, in per cent.")

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.pct > 100:
            yield "pct", "is more than was paid"


class Billing(Terms):
    """Over which periods bills run. A quarter or a year is billed by its months, each by itself."""

    period: Maybe[
        Literal[
            "calendar_month",
            "calendar_quarter",
            "calendar_year",
            "contract_month",
            "contract_quarter",
            "contract_year",
        ]
    ] = clause(
        "Time of a bill; none: a contract month where objectives name these and no calendar months, else a calendar"
        " month. Those of a contract are counted from the first day of the term. Statements over such periods ask for"
        " the fees, pay what has no period of its own, and judge rolling objectives; billing cycles are those.",
        default=None,
    )
    month_minutes: Maybe[Count] = clause(
        "Minutes of a month by which the price of one that is served in part is divided, whatever its length, and no"
        " more than the price is due: 43200 are 30 days; none: the month's own. What is served whole costs its price.",
        default=None,
    )
    odd_part: Literal["own", "joined"] = clause(
        "An incomplete period at the beginning of the term, or at its end: `own`: a period as others are; `joined`:"
        " none, but a part of the next one, or at the end of the one before. Of the periods of bills.",
        default="own",
    )


class Price(Terms):
    """A price and what it is a price of. A price of a month is due for each month of the period: in a year, of twelve.

    A unit's share of what a price gives, its minimum included, is its share of the GPUs, nodes or P that the price is
    for; of `fixed_month` and `kW_month`, of the GPUs. The base of a credit is the fee of what is contracted, before
    rebates. Where an amendment parts a period, steps, minimums of a bill and rebates are reckoned in each part.
    """

    unit: Literal[
        "gpu_hour", "gpu_month", "node_month", "P_month", "P_day", "kW_month", "fixed_month"
    ] = clause("What it is a price of.")
    price: Amount = clause("Price of one, in the currency of the contract.")
    resource: Maybe[Name] = clause("Of which line item; none: of all.", default=None)
    quantity: Maybe[Ratio] = clause(
        "How many, whatever is contracted; none: what is contracted. `kW_month` needs it.",
        default=None,
    )
    schedule: tuple[PriceFrom, ...] = clause(
        "Other prices and quantities from later days on, the earliest first.", default=()
    )
    steps: tuple[PriceStep, ...] = clause(
        "Other prices above quantities, the smallest first.", default=()
    )
    rebates: tuple[Rebate, ...] = clause(
        "What is given back above amounts, the smallest first: a line of its own on the bill.",
        default=(),
    )
    steps_hold_for: Literal["part", "whole"] = clause(
        "Whether a step or a rebate holds for the part that lies above it, or for the whole once it is passed.",
        default="part",
    )
    billed: Literal["contracted", "delivered"] = clause(
        "`delivered`: what was delivered and seen healthy, at no time more than is contracted; what nobody saw is not"
        " billed.",
        default="contracted",
    )
    minimum: Amount = clause(
        "Least that is paid, by minimum_per; a line of its own bills what is missing to it.",
        default=Decimal(0),
    )
    minimum_quantity: Maybe[Ratio] = clause(
        "Least quantity that is paid for each month, taken or not, at the price of so many, as in take or pay.",
        default=None,
    )
    minimum_per: Literal["month", "bill"] = clause(
        "Whether minimum is that of each month, or of a whole bill.", default="month"
    )
    tax: Maybe[Tax] = clause("Its own tax; none: the contract's.", default=None)
    prepaid: Switch = clause("Whether it is paid before the period.", default=False)
    proration: Proration = clause(
        "How a part of a period is priced. A `P_day` is a local day, whatever its hours, of which `seconds` takes the"
        " part served, and `days` the whole: a day that an amendment cuts once, before it.",
        default="seconds",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from _rising("schedule", "from", [row.from_ for row in self.schedule])
        yield from _rising("steps", "above", [row.above for row in self.steps])
        yield from _rising("rebates", "above", [row.above for row in self.rebates])
        for position, row in enumerate(self.schedule):
            if self.steps and row.price is not None:
                yield f"schedule[{position}].price", "there are steps: which price holds is open"
        if self.unit in OF_ALL and self.billed == "delivered":
            yield (
                "billed",
                f"{self.unit} is no price of GPUs: nothing shows what of it was delivered",
            )
        if self.unit == "fixed_month" and self.minimum_quantity is not None:
            yield "minimum_quantity", "fixed_month has no quantity; give minimum"

    def worth(self, quantity: Fraction) -> Fraction:
        """What so many of it cost in a month."""
        rows = [(Fraction(0), Fraction(self.price))]
        rows += [(row.above, Fraction(row.price)) for row in self.steps]
        return _by_steps(rows, quantity, whole=self.steps_hold_for == "whole")

    def rebate(self, net: Fraction) -> Fraction:
        """What of a bill is given back."""
        rows = [(Fraction(row.above), row.pct / 100) for row in self.rebates]
        return _by_steps(rows, net, whole=self.steps_hold_for == "whole")


def _by_steps(
    rows: Iterable[tuple[Fraction, Fraction]], quantity: Fraction, *, whole: bool
) -> Fraction:
    """A quantity by the rate of each step: of its part in it, or all of it by the last that it passes."""
    passed = [row for row in rows if row[0] < quantity]
    if whole:
        return quantity * passed[-1][1] if passed else Fraction(0)
    edges = [*(above for above, _ in passed), quantity]
    return sum(
        ((edges[n + 1] - above) * rate for n, (above, rate) in enumerate(passed)), Fraction(0)
    )


def _rising(name: str, edge: str, values: list[Any]) -> Iterator[tuple[str, str]]:
    for position, (before, after) in enumerate(pairwise(values), start=1):
        if after <= before:
            yield f"{name}[{position}].{edge}", "does not lie after the row before"
