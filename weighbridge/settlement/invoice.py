"""What is to be paid for a period, from its statement: a pure function of what the statement says, in exact decimals.

Fees have no range: time that nobody saw is billed. Where credits have one, or the contract gives no answer, so has what
is left to pay.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from weighbridge.contract import Contract, loaded
from weighbridge.contract.numerals import exact_text
from weighbridge.settlement.money import ordered
from weighbridge.settlement.periods import kind_of
from weighbridge.settlement.statement import CreditLine, FeeLine, Part, Statement

Form = Literal["set_off", "cash", "voucher"]
InvoiceItem = Literal[
    "gross",
    "unbilled",
    "net",
    "tax",
    "total",
    "prepaid",
    "set_off",
    "payable",
    "cash",
    "voucher",
    "by_lessee",
]
"""What an invoice adds up, in the order in which it is read: up to `payable` one follows from another."""

FORMS: tuple[Form, ...] = get_args(Form)
ZERO, HALF = Decimal(0), Decimal("0.5")


@dataclass(frozen=True, slots=True)
class Bounds:
    """An amount, or a range of it. None: the contract gives no answer."""

    lowest: Decimal | None
    highest: Decimal | None


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """A fee, with what comes on top of it. `version`: of the contract that asks for it.

    `rate`: of the tax, in per cent. `included`: it is inside the net amount, which then is the total.
    """

    version: int
    fee: FeeLine
    rate: str
    included: bool
    total: Decimal


@dataclass(frozen=True, slots=True)
class TaxLine:
    """All fees of one rate: without the tax, the tax, and with it."""

    rate: str
    included: bool
    taxable: Decimal
    tax: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True)
class Invoice:
    """A period's fees and what is set off against them. `sums`: each item with its amount."""

    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxLine, ...]
    sums: dict[InvoiceItem, Bounds]


def invoice_of(statement: Statement) -> Invoice:
    """The invoice of a statement: of fees, those alone that it bills. Where it is no statement over the period of the
    bills, as of a year whose months are billed, other statements ask for them.

    Net is gross less what is not billed; the total is that with the tax that is not inside it. What is prepaid by
    contract and what is set off are taken from the total: a negative rest is owed by the provider. The credits that are
    due are parted by their form; where the statement does not tell them apart, each form is a range. What is paid in
    cash or by voucher, and what the lessee owes, is set off against nothing.
    """
    terms = [loaded(part.terms) for part in statement.parts]
    zero = Decimal(0).scaleb(-terms[-1].rounding.decimals)
    lines = tuple(
        _line(part, one, fee)
        for part, one in zip(statement.parts, terms, strict=True)
        if kind_of(statement.period) in (None, one.billed_by)
        for fee in part.fees
    )
    fees = _fees(lines, zero)
    forms = _by_form(statement, zero)
    lessee = _sum((one for part in statement.parts for one in part.by_lessee), zero)
    rest = fees["total"] - fees["prepaid"]
    sums: dict[InvoiceItem, Bounds] = {item: Bounds(one, one) for item, one in fees.items()}
    sums["set_off"] = forms["set_off"]
    sums["payable"] = Bounds(
        _less(rest, forms["set_off"].highest), _less(rest, forms["set_off"].lowest)
    )
    sums |= {"cash": forms["cash"], "voucher": forms["voucher"], "by_lessee": lessee}
    return Invoice(lines, tuple(_taxes(lines)), sums)


def _line(part: Part, terms: Contract, fee: FeeLine) -> InvoiceLine:
    included = terms.tax.included if fee.tax_included is None else fee.tax_included
    rate = exact_text(terms.tax.rate * 100) if fee.tax_rate is None else fee.tax_rate
    net = Decimal(fee.net)
    total = net if included else net + Decimal(fee.tax)
    return InvoiceLine(part.version, fee, rate, included, total)


def _fees(lines: Sequence[InvoiceLine], zero: Decimal) -> dict[InvoiceItem, Decimal]:
    return {
        "gross": sum((Decimal(one.fee.gross) for one in lines), zero),
        "unbilled": sum((Decimal(one.fee.unbilled) for one in lines), zero),
        "net": sum((Decimal(one.fee.net) for one in lines), zero),
        "tax": sum((Decimal(one.fee.tax) for one in lines), zero),
        "total": sum((one.total for one in lines), zero),
        "prepaid": sum((one.total for one in lines if one.fee.prepaid), zero),
    }


def _taxes(lines: Sequence[InvoiceLine]) -> Iterator[TaxLine]:
    for rate, included in dict.fromkeys((one.rate, one.included) for one in lines):
        held = [one for one in lines if (one.rate, one.included) == (rate, included)]
        tax = sum((Decimal(one.fee.tax) for one in held), Decimal(0))
        total = sum((one.total for one in held), Decimal(0))
        yield TaxLine(rate, included, total - tax, tax, total)


def _less(amount: Decimal, other: Decimal | None) -> Decimal | None:
    return None if other is None else amount - other


def _by_form(statement: Statement, zero: Decimal) -> dict[Form, Bounds]:
    """What is due, parted by the forms of the lines that earn something."""
    due = Bounds(_decimal(statement.lowest), _decimal(statement.highest))
    lines = [one for one in _earned(statement.parts) if _decimal(one.highest) != 0]
    used = {one.form for one in lines} or {FORMS[0]}
    found = {form: _sum((one for one in lines if one.form == form), zero) for form in FORMS}
    parted = _parted(due, {form: found[form] for form in FORMS if form in used}, len(lines))
    return {form: Bounds(zero, zero) for form in FORMS} | parted


def _parted(due: Bounds, found: dict[Form, Bounds], lines: int) -> dict[Form, Bounds]:
    """As the lines say, where they add up to what is due at both ends; else as far as they bound it."""
    if due.lowest is None or due.highest is None or len(found) == 1:
        return dict.fromkeys(found, due)
    lowest = _shares(due.lowest, {form: one.lowest or ZERO for form, one in found.items()}, lines)
    highest = _shares(
        due.highest, {form: one.highest or ZERO for form, one in found.items()}, lines
    )
    if lowest is not None and highest is not None:
        return {form: Bounds(*ordered(lowest[form], highest[form])) for form in found}
    most = {form: min(one.highest or ZERO, due.highest) for form, one in found.items()}
    least = {form: max(ZERO, due.lowest - sum(most.values()) + most[form]) for form in found}
    return {form: Bounds(least[form], max(least[form], most[form])) for form in found}


def _shares(due: Decimal, held: dict[Form, Decimal], lines: int) -> dict[Form, Decimal] | None:
    """The amounts of all forms, with what rounding line by line made of the sum in the largest of them."""
    rest = due - sum(held.values())
    if abs(rest) > HALF * lines * Decimal(1).scaleb(int(due.as_tuple().exponent)):
        return None
    largest = max(held, key=lambda form: held[form])
    return held | {largest: held[largest] + rest}


def _earned(parts: Iterable[Part]) -> Iterator[CreditLine]:
    for part in parts:
        yield from (line for unit in part.units for line in unit.credits)
        yield from part.others


def _sum(lines: Iterable[CreditLine], zero: Decimal) -> Bounds:
    """Of what lines give; no answer where one of them has none."""
    lowest, highest = [], []
    for line in lines:
        lowest.append(_decimal(line.lowest))
        highest.append(_decimal(line.highest))
    return Bounds(_added(lowest, zero), _added(highest, zero))


def _added(amounts: Sequence[Decimal | None], zero: Decimal) -> Decimal | None:
    known = [one for one in amounts if one is not None]
    return sum(known, zero) if len(known) == len(amounts) else None


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
