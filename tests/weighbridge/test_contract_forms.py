import re
from pathlib import Path

import pytest

from weighbridge.contract import explain, load
from weighbridge.contract.forms import Form, FormError, fill, form, forms

VALUES = {
    "contract_id": "K-1",
    "from": "2026-05-05T16:00:00Z",
    "to": "2027-05-05T16:00:00Z",
    "time_zone": "Asia/Shanghai",
    "currency": "CNY",
    "provider": 'Provider "A" Ltd: #1',
    "lessee": "承租方 {b}",
    "sku": "H100-SXM-80GB",
    "nodes": "16",
    "per_node": "8",
    "node_month": "45000.00",
    "unknown": "hold",
    "hour_price": "1.98",
    "charges_of_30_days": "432.00",
    "cap_of_month": "4320.00",
    "amperes": "32",
    "monthly_power_fee": "900.00",
    "recurring_month": "1200.00",
    "tax_rate": "0.06",
    "silence_days": "5",
    "target": "0.999",
    "second_row": "0.99",
    "third_row": "0.95",
    "first_pct": "10",
    "second_pct": "25",
    "third_pct": "100",
    "notice_seconds": "172800",
    "work_seconds": "28800",
    "answer_seconds": "1800",
    "repair_seconds": "14400",
    "missed_months": "2",
    "of_months": "3",
    "invoice_of_month": "7200.00",
}


def values_for(blank: Form) -> dict[str, str]:
    return {name: VALUES[name] for name in blank.blanks}


@pytest.mark.parametrize("blank", forms(), ids=lambda blank: blank.name)
def test_every_form_fills_to_a_contract_that_loads_and_explains(blank: Form) -> None:
    contract = load(fill(blank, values_for(blank)))
    assert load(explain(contract)) == contract
    assert contract.parties[0].name == VALUES["provider"]
    assert contract.parties[1].name == VALUES["lessee"]
    promised = contract.credits, contract.availability, contract.response, contract.performance
    assert any(promised)
    assert re.match(r"https?://\S+$", blank.source)
    assert blank.source in blank.text


def test_the_page_of_forms_has_each_form_with_its_source_and_its_blanks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "forms.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `([a-z0-9-]+)` \|(.*)$", page, re.MULTILINE))
    assert set(told) == {blank.name for blank in forms()}
    shared = set(form("ovh-dedicated").blanks)
    for blank in forms():
        assert f"({blank.source})" in told[blank.name]
        own = set(re.findall(r"`([a-z0-9_]+)`", told[blank.name]))
        assert own == set(blank.blanks) - shared
        assert ("in part" in told[blank.name]) == ("Read in part" in blank.note)
        assert (f"; text of {blank.date}" in told[blank.name]) == bool(blank.date)
    unsaid = dict(re.findall(r"^- `([a-z0-9-]+)`: (.*)$", page, re.MULTILINE))
    assert unsaid == {blank.name: blank.unsaid for blank in forms() if blank.unsaid}


def test_a_form_says_which_blanks_it_has_and_takes_no_others() -> None:
    blank = form("tencent-cvm")
    with pytest.raises(FormError, match="`node_month` has no value"):
        fill(
            blank, {name: text for name, text in values_for(blank).items() if name != "node_month"}
        )
    with pytest.raises(FormError, match="`amperes` is no blank"):
        fill(blank, values_for(blank) | {"amperes": "1"})


def test_an_unknown_form_is_answered_with_the_names_that_there_are() -> None:
    with pytest.raises(FormError, match="gpuyard"):
        form("gpu-yard")


def test_a_value_cannot_add_keys_to_the_contract() -> None:
    blank = form("gpuyard")
    contract = load(fill(blank, values_for(blank) | {"lessee": "x}\nversion: 7\n#"}))
    assert contract.version == 1
