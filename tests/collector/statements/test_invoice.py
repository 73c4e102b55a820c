"""The invoice page adds up, and says what the statement says."""

import csv
import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from collector.documents.formats import FORMATS
from collector.documents.words import LANGUAGES, Language
from tests.collector.statements.examples import PERIOD, drafted, ordinary, ugly, ups
from weighbridge.codes import Note
from weighbridge.settlement.case import Notices
from weighbridge.settlement.invoice import Bounds, invoice_of
from weighbridge.settlement.record import ToldEvent
from weighbridge.settlement.statement import CreditLine, Statement

both_languages = pytest.mark.parametrize("language", LANGUAGES)


def exactly(amount: str) -> Bounds:
    return between(amount, amount)


def between(lowest: str, highest: str) -> Bounds:
    return Bounds(Decimal(lowest), Decimal(highest))


def taxed(**tax: str) -> Statement:
    nodes = ["n1", "n2"]
    made: dict[str, Any] = {"tax": tax} if tax else {}
    return drafted(nodes, ups(nodes), Notices(), PERIOD.end_s, simulated=False, **made)


def owed(lines: dict[str, tuple[str, str]], lowest: str | None, highest: str | None) -> Statement:
    """A month of 57,200.00 with one more line for each form."""
    given = taxed()
    more = [
        CreditLine(form, Note("per_event", {"exact": "1"}), "0", most, least, None, (), form)
        for form, (least, most) in lines.items()
    ]
    part = replace(given.parts[0], others=tuple(more))
    return replace(given, parts=(part,), lowest=lowest, highest=highest)


def sums(statement: Statement) -> dict[str, Bounds]:
    return {str(item): amount for item, amount in invoice_of(statement).sums.items()}


def test_an_ordinary_month_is_what_its_fees_are_less_what_is_set_off() -> None:
    given = ordinary()
    assert sums(given) == {
        "gross": exactly("57200.00"),
        "unbilled": exactly("0.00"),
        "net": exactly("57200.00"),
        "tax": exactly("0.00"),
        "total": exactly("57200.00"),
        "prepaid": exactly("0.00"),
        "set_off": exactly("2860.00"),
        "payable": exactly("54340.00"),
        "cash": exactly("0.00"),
        "voucher": exactly("0.00"),
        "by_lessee": exactly("0.00"),
    }


@pytest.mark.parametrize("given", [ordinary(), ugly(), taxed(rate="0.13", included="true")])
def test_every_sum_is_that_of_the_fee_lines_of_the_statement(given: Statement) -> None:
    invoice, found = invoice_of(given), sums(given)
    fees = [fee for part in given.parts for fee in part.fees]
    assert [line.fee for line in invoice.lines] == fees
    for name in ("gross", "unbilled", "net", "tax"):
        added = sum((Decimal(getattr(fee, name)) for fee in fees), Decimal(0))
        assert found[name] == Bounds(added, added)
    for name in ("tax", "total"):
        assert sum(getattr(line, name) for line in invoice.taxes) == found[name].lowest
    assert all(line.taxable + line.tax == line.total for line in invoice.taxes)


@pytest.mark.parametrize(
    ("tax", "taxable", "amount", "total"),
    [
        ({"rate": "0.06"}, "57200.00", "3432.00", "60632.00"),
        ({"rate": "0.1", "included": "true"}, "52000.00", "5200.00", "57200.00"),
    ],
)
def test_tax_comes_on_top_of_prices_or_lies_inside_them(
    tax: dict[str, str], taxable: str, amount: str, total: str
) -> None:
    given = taxed(**tax)
    (line,) = invoice_of(given).taxes
    assert (str(line.taxable), str(line.tax), str(line.total)) == (taxable, amount, total)
    assert (sums(given)["total"], sums(given)["payable"]) == (exactly(total), exactly(total))


def test_parts_of_other_rates_have_a_line_each_and_one_sum() -> None:
    first, later = taxed(rate="0.13"), taxed(rate="0.06")
    given = replace(first, parts=(*first.parts, replace(later.parts[0], version=2)))
    invoice = invoice_of(given)
    assert [(line.rate, str(line.tax)) for line in invoice.taxes] == [
        ("13", "7436.00"),
        ("6", "3432.00"),
    ]
    assert [line.version for line in invoice.lines] == [1, 1, 2, 2]
    assert sums(given)["total"] == exactly("125268.00")


def test_what_is_prepaid_is_not_to_be_paid_again() -> None:
    given = taxed(rate="0.06")
    fees = [replace(fee, prepaid=fee.unit == "node_month") for fee in given.parts[0].fees]
    given = replace(given, parts=(replace(given.parts[0], fees=tuple(fees)),))
    found = sums(given)
    assert (found["prepaid"], found["payable"]) == (exactly("21200.00"), exactly("39432.00"))


def test_forms_that_add_up_are_parted_as_their_lines_are() -> None:
    given = owed({"set_off": ("10.00", "20.00"), "cash": ("7.00", "7.00")}, "17.00", "27.00")
    found = sums(given)
    assert (found["set_off"], found["cash"]) == (between("10.00", "20.00"), exactly("7.00"))
    assert found["payable"] == between("57180.00", "57190.00")


def test_rounding_line_by_line_is_with_the_largest_form_to_half_a_unit_for_each_line() -> None:
    lines = {"set_off": ("8.33", "8.33"), "cash": ("3.33", "3.33")}
    assert sums(owed(lines, "11.67", "11.67"))["set_off"] == exactly("8.34")
    assert sums(owed(lines, "11.65", "11.65"))["set_off"] == exactly("8.32")
    assert sums(owed(lines, "11.64", "11.64"))["set_off"] == between("8.31", "8.33")


@pytest.mark.parametrize(
    ("due", "set_off", "cash"),
    [("20.00", ("13.00", "20.00"), ("0.00", "7.00")), ("0.00", ("0.00", "0.00"), ("0.00", "0.00"))],
)
def test_forms_that_the_statement_does_not_tell_apart_are_ranges(
    due: str, set_off: tuple[str, str], cash: tuple[str, str]
) -> None:
    lines = {"set_off": ("20.00", "20.00"), "cash": ("7.00", "7.00")}
    found = sums(owed(lines, due, due))
    assert (found["set_off"], found["cash"]) == (between(*set_off), between(*cash))


def test_what_the_contract_gives_no_answer_to_leaves_what_is_to_be_paid_open() -> None:
    given = replace(ordinary(), lowest=None, highest=None)
    found = sums(given)
    assert (found["set_off"], found["payable"]) == (Bounds(None, None), Bounds(None, None))
    assert found["total"] == exactly("57200.00")


def test_a_credit_above_the_fees_leaves_what_the_provider_owes() -> None:
    given = owed({"set_off": ("60000.00", "60000.00")}, "60000.00", "60000.00")
    assert sums(given)["payable"] == exactly("-2800.00")
    assert "-2,800.00" in FORMATS["text"].render(given, "en").decode()


def test_damages_of_each_side_stand_apart_and_are_set_off_against_nothing() -> None:
    resource = {
        "id": "r",
        "accelerator": {"sku": "any"},
        "nodes": "1",
        "per_node": "2",
        "delivery": [{"id": "b", "nodes": "1", "due": "2026-05-01", "value": "1000"}],
    }
    damages = [
        {"id": "late", "trigger": "late_delivery", "side": "provider", "daily_rate": "0.001"},
        {"id": "gone", "trigger": "cancellation", "side": "lessee", "flat_pct": "5"},
    ]
    events = (
        ToldEvent("batch_accepted", PERIOD.start_s + 9 * 86400, "b"),
        ToldEvent("cancelled", PERIOD.start_s + 20 * 86400, "b", {"party": "L"}),
    )
    given = drafted(
        ["n1"],
        ups(["n1"]),
        Notices((), (), events),
        PERIOD.end_s,
        simulated=False,
        resources=[resource],
        liquidated_damages=damages,
        claim={"required": "false"},
    )
    found = sums(given)
    assert found["by_lessee"] == exactly("50.00")
    assert found["cash"] == Bounds(Decimal(str(given.lowest)), Decimal(str(given.highest)))
    assert found["cash"] == exactly("9.00")
    assert found["payable"] == found["total"]


@both_languages
def test_what_is_signed_for_stands_in_chinese_words_without_tax_and_with_it(
    language: Language,
) -> None:
    text = FORMATS["csv"].render(taxed(rate="0.1", included="true"), language).decode("utf-8-sig")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["section"] == "invoice"]
    told = {row["column"]: row["value"] for row in rows if row["column"].startswith("words_")}
    assert told == {
        "words_taxable": "人民币伍万贰仟元整",
        "words_tax": "人民币伍仟贰佰元整",
        "words_total": "人民币伍万柒仟贰佰元整",
        "words_payable": "人民币伍万柒仟贰佰元整",
    }


def test_a_range_is_in_words_at_both_ends_and_another_currency_or_an_open_amount_has_none() -> None:
    given = owed({"set_off": ("10.00", "20.00")}, "10.00", "20.00")
    shown = FORMATS["text"].render(given, "zh").decode()
    assert "大写：人民币壹拾元整 至 人民币贰拾元整" in shown
    assert "人民币伍万柒仟壹佰捌拾元整 至 人民币伍万柒仟壹佰玖拾元整" in shown
    euros = FORMATS["text"].render(replace(given, currency="EUR"), "zh").decode()
    assert "大写" not in euros
    left_open = FORMATS["text"].render(replace(given, lowest=None, highest=None), "zh").decode()
    assert "应付净额（大写）" not in left_open
    assert "价税合计（大写）" in left_open


@both_languages
def test_the_csv_says_the_same_in_every_language(language: Language) -> None:
    given = owed({"set_off": ("10.00", "20.00")}, "10.00", "20.00")
    text = FORMATS["csv"].render(given, language).decode("utf-8-sig")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["section"] == "invoice"]
    items = {row["row"]: row["value"] for row in rows if row["column"] == "item"}
    amounts = {
        items[row["row"]]: (row["value"], row["highest"])
        for row in rows
        if row["column"] == "amount"
    }
    assert amounts["total"] == ("57200.00", "")
    assert amounts["payable"] == ("57180.00", "57190.00")
    assert "voucher" not in amounts
