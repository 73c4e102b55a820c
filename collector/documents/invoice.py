"""The invoice page of a statement: its lines, its tax by rate, and what is to be paid."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from collector.documents.columns import Row, table
from collector.documents.document_layout import Cell, Fact, Section
from collector.documents.parts import priced
from collector.documents.speaker import Speaker
from weighbridge.settlement.invoice import Bounds, Invoice, invoice_of
from weighbridge.settlement.statement import Statement

WHERE_ANY = ("prepaid", "voucher")
"""Sums that are left out while they are nothing."""


def invoice_sections(statement: Statement, speak: Speaker) -> Iterator[Section]:
    """On a page of their own."""
    invoice = invoice_of(statement)
    lines = list(_lines(invoice, speak, several=len(statement.parts) > 1))
    told = table(speak, "invoice_lines", lines, note=speak.say("invoice_note"))
    yield replace(told, page="first")
    yield table(speak, "invoice_taxes", list(_taxes(invoice, speak)))
    facts = tuple(_in_words(invoice, speak))
    yield replace(table(speak, "invoice", list(_sums(invoice, speak))), facts=facts, page="last")


def _in_words(invoice: Invoice, speak: Speaker) -> Iterator[Fact]:
    """What is signed for, without tax and with it; of yuan alone."""
    taxable = sum((line.taxable for line in invoice.taxes), Decimal(0))
    amounts = {
        "words_taxable": Bounds(taxable, taxable),
        "words_tax": invoice.sums["tax"],
        "words_total": invoice.sums["total"],
        "words_payable": invoice.sums["payable"],
    }
    for key, amount in amounts.items():
        if told := speak.in_words(_text(amount.lowest), _text(amount.highest)):
            yield speak.fact(key, Cell(told))


def _lines(invoice: Invoice, speak: Speaker, several: bool) -> Iterator[Row]:
    for line in invoice.lines:
        yield (
            Cell(str(line.version) if several else ""),
            speak.coded("price", line.fee.resource),
            priced(line.fee, speak),
            speak.maybe(line.fee.quantity),
            speak.number(line.fee.gross),
            speak.number(line.fee.unbilled),
            speak.number(line.fee.net),
            speak.number(line.rate),
            speak.yes(line.included),
            speak.number(line.fee.tax),
            speak.number(f"{line.total:f}"),
            speak.yes(line.fee.prepaid),
        )


def _taxes(invoice: Invoice, speak: Speaker) -> Iterator[Row]:
    for line in invoice.taxes:
        yield (
            speak.number(line.rate),
            speak.yes(line.included),
            speak.number(f"{line.taxable:f}"),
            speak.number(f"{line.tax:f}"),
            speak.number(f"{line.total:f}"),
        )


def _sums(invoice: Invoice, speak: Speaker) -> Iterator[Row]:
    for item, amount in invoice.sums.items():
        if item not in WHERE_ANY or amount.lowest != 0 or amount.highest != 0:
            yield (
                speak.coded("sum", item),
                Cell(speak.name("reckoned", item)),
                speak.amount(_text(amount.lowest), _text(amount.highest)),
            )


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
