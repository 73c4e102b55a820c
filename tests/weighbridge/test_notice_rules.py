"""What a party may say of which unit, and what of it binds the other side."""

from collections.abc import Mapping
from typing import Any

import pytest

from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.log.entries import Notice
from weighbridge.notices.rules import LESSEES, NoticeError, NoticeRules, events_of, sides
from weighbridge.settlement.record import BOTH

CONTRACT = """\
contract_id: K
effective: 1970-01-01T00:00:00Z
time_zone: UTC
currency: EUR
parties: [{id: P, role: provider}, {id: O, role: operator}, {id: L, role: lessee}, {id: A, role: auditor}]
term: {from: 1970-01-01T00:00:00Z, to: 1971-01-01T00:00:00Z}
resources:
  - id: r
    accelerator: {sku: H100-SXM-80GB}
    per_node: 2
    nodes: 2
    delivery: [{id: first, nodes: 2, due: 1970-03-31, value: "100.00"}]
availability: [{id: gpus, unit: gpu, target: "0.99"}]
exclusions: {causes: [{code: lessee_fault}]}
unknown: {policy: hold}
credits: [{id: c, kind: lost_work, event: crash, cap_s: 86400, hour_price: "1.98"}]
"""
RULES = NoticeRules((Version(load(CONTRACT), CONTRACT, 0, 2**60),), frozenset({"n1", "n2"}), {"M1"})


def notice(party: str, **said: Any) -> Notice:
    content = {"contract": "K", "party": party, "said": said, "attested_for": "admin"}
    return Notice.model_validate(content)


def event(party: str, name: str, unit: str = "", /, **details: str) -> Notice:
    told: Mapping[str, Any] = {"kind": "event", "at_us": 2, "since_us": None, "details": details}
    return notice(party, event=name, unit=unit, **told)


def maintenance(party: str, *units: str, until_us: int = 2) -> Notice:
    window = {"kind": "maintenance", "id": "M", "from_us": 1}
    return notice(party, **window, until_us=until_us, units=list(units))


def cause(party: str, code: str, unit: str) -> Notice:
    return notice(party, kind="cause", code=code, from_us=1, until_us=2, unit=unit)


def claim(party: str, unit: str | None, /, period: str = "1970-02", **more: Any) -> Notice:
    return notice(party, kind="claim", period=period, unit=unit, **{"objective": None, **more})


@pytest.mark.parametrize(
    "said",
    [
        maintenance("P", "n1", "n2.1"),
        maintenance("O"),
        cause("L", "lessee_fault", "n1.0"),
        cause("P", "lessee_fault", ""),
        event("L", "acceptance_signed"),
        event("L", "batch_accepted", "first"),
        event("P", "delivered", "first"),
        event("P", "delivered"),
        event("P", "test_result", "n1", probe="gemm", value="600"),
        event("L", "crash", "n2.0"),
        event("O", "maintenance_withdrawn", id="M1"),
        event("P", "claim_accepted", "n1", period="1970-02", amount="12.50"),
        event("O", "claim_refused", "r:absent-2", period="1970-02", reason="customer's fault"),
        event("P", "credit_set_off", period="1970-02", amount="3"),
        event("L", "period_agreed", period="1970-02", digest="0" * 64),
        event("P", "statement_objected", period="1970-02", reason="n1 was up"),
        event("L", "fee_paid", period="1970-02", amount="12.50", reference="7"),
        event("P", "deposit_taken", amount="12.50", reason="a broken riser"),
        event("L", "deposit_returned", amount="3"),
        event("L", "cancelled", "first", party="L"),
        event("A", "fault_detected", "n1.1"),
        *(claim("L", unit) for unit in (None, "n1", "n1.1", "all_of", "r:absent-2", "M1")),
    ],
    ids=str,
)
def test_what_fits_the_contract_is_taken(said: Notice) -> None:
    RULES.check(said)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (event("L", "fee_paid", amount="3"), "fee_paid needs the detail period"),
        (event("L", "fee_paid", period="1970-02", amount="3,5"), "'3,5' is no amount such as"),
        (event("L", "fee_paid", period="1975-02", amount="3"), "lies outside the term"),
        (event("P", "deposit_taken", amount="3"), "deposit_taken needs the detail reason"),
        (event("L", "deposit_taken", amount="3", reason="x"), "not for the lessee to say"),
        (event("P", "deposit_returned", "n1", amount="3"), "deposit_returned is of no unit"),
        (event("X", "delivered"), "'X' is no party of K; there are: P, O, L, A"),
        (maintenance("L"), "not for the lessee to say, but for operator or owner or provider"),
        (maintenance("P", "n3"), "'n3' is no unit"),
        (maintenance("P", "n1.2"), "'n1.2' is no unit"),
        (maintenance("P", until_us=1), "ends before"),
        (cause("P", "rain", ""), "'rain' is no cause of the contract; there are: lessee_fault"),
        (cause("L", "lessee_fault", "nl"), "'nl' is no unit"),
        (event("L", "resotred", "n1"), "'resotred' is no event of the contract; there are: "),
        (event("P", "acceptance_signed"), "not for the provider to say, but for lessee"),
        (event("P", "acceptance_refused"), "but for lessee"),
        (event("P", "fault_reported", "n1"), "but for lessee"),
        (event("L", "fault_confirmed", "n1"), "but for operator or owner or provider"),
        (event("L", "batch_accepted", "second"), "'second' is no unit.*there are: first"),
        (event("L", "not_delivered"), "'' is no unit"),
        (event("L", "cancelled", "n1", party="L"), "'n1' is no unit"),
        (event("A", "cancelled", party="A"), "but for lessee or operator"),
        (event("L", "restored", "n1"), "but for operator or owner or provider"),
        (event("L", "cancelled"), "needs the detail party"),
        (event("L", "cancelled", party="P"), "cancels for itself alone"),
        (event("P", "test_result", "n1", probe="gemm"), "needs the detail value"),
        (event("P", "restored", "n1.7"), "'n1.7' is no unit"),
        (claim("P", None), "but for lessee"),
        (claim("L", "n9"), "'n9' is no unit"),
        (claim("L", None, period="1970-44"), "1970-44"),
        (claim("L", None, period="1999-01"), "outside the term"),
        (claim("L", None, objective="gpus"), "leave the objective null"),
        (event("L", "claim_accepted", period="1970-02"), "not for the lessee"),
        (event("P", "claim_refused", period="1970-02"), "needs the detail reason"),
        (event("P", "credit_paid", period="1970-02"), "needs the detail amount"),
        (event("P", "credit_paid", period="1970-02", amount="-1"), "no amount"),
        (event("P", "credit_paid", period="1971-02", amount="1"), "outside the term"),
        (event("P", "credit_paid", period="soon", amount="1"), "is no period"),
        (event("P", "claim_accepted", "n9", period="1970-02"), "'n9' is no unit"),
        (event("A", "period_agreed", period="1970-02", digest="0" * 64), "not for the auditor"),
        (event("P", "period_agreed", period="1970-02", digest="abc"), "64 hex digits"),
        (event("L", "statement_objected", period="1970-02"), "needs the detail reason"),
        (event("A", "statement_objected", period="1970-02", reason="x"), "not for the auditor"),
        (event("L", "maintenance_withdrawn", id="M1"), "not for the lessee"),
        (event("P", "maintenance_withdrawn", id="M2"), "'M2' is no unit"),
        (event("P", "maintenance_withdrawn"), "needs the detail id"),
    ],
    ids=str,
)
def test_what_does_not_is_refused_with_the_reason(said: Notice, why: str) -> None:
    with pytest.raises(NoticeError, match=why):
        RULES.check(said)


def test_a_node_that_is_yet_to_come_may_have_any_name() -> None:
    early = NoticeRules(RULES.versions, frozenset({"n1"}))
    early.check(maintenance("P", "n7"))
    early.check(event("P", "delivered", "n7.1"))
    with pytest.raises(NoticeError, match="'n7' is no unit"):
        early.check(claim("L", "n7"))


def test_an_event_that_lasted_ends_after_it_began() -> None:
    told: Mapping[str, Any] = {"kind": "event", "event": "crash", "unit": "n1", "details": {}}
    RULES.check(notice("L", **told, at_us=2, since_us=1))
    with pytest.raises(NoticeError, match="ends before"):
        RULES.check(notice("L", **told, at_us=1, since_us=2))


def test_what_one_side_gains_by_binds_the_side_that_says_it_and_the_rest_binds_both() -> None:
    words = events_of(RULES.versions)
    for name in ("crash", "not_delivered"):
        assert sides(words[name], "lessee") == {"lessee"}
        assert sides(words[name], "operator") == sides(words[name], "owner") == {"provider"}
        assert sides(words[name], "auditor") == frozenset()
    assert {sides(word, "lessee") for word in words.values() if not word.open} == {BOTH}
    assert sides(None, "lessee") == {"lessee"}


def test_what_some_version_pays_for_stays_open_under_all() -> None:
    changed = CONTRACT.replace("event: crash", "event: other")
    versions = (*RULES.versions, Version(load(changed), changed, 2**50, 2**60))
    assert [sides(events_of(versions)[name], "lessee") for name in ("crash", "other")] == [
        {"lessee"},
        {"lessee"},
    ]


def test_an_event_that_a_credit_is_paid_for_stays_open_and_its_speakers_though_all_know_its_name() -> (
    None
):
    text = CONTRACT.replace("event: crash", "event: fault_reported")
    versions = (Version(load(text), text, 0, 2**60),)
    word = events_of(versions)["fault_reported"]
    assert (word.open, word.speakers) == (True, LESSEES)
    rules = NoticeRules(versions, RULES.nodes)
    with pytest.raises(NoticeError, match="but for lessee"):
        rules.check(event("P", "fault_reported", "n1"))
