"""The fields of every notice: what is asked for makes a notice that the contract takes, and errors name their field."""

import pytest

from tests.weighbridge.test_notice_rules import RULES
from weighbridge.log.entries import EventNotice
from weighbridge.notices.fields import (
    SAID,
    FieldErrors,
    fields_of,
    kinds_for,
    local_instant_us,
    notice_of,
)
from weighbridge.notices.rules import EVENTS, NoticeError

ANSWERS = {
    "id": "M1",
    "from": "1970-02-01 00:00",
    "until": "1970-02-02T00:00:00",
    "at": "1970-02-02 08:00:01",
    "since": "1970-02-01 08:00",
    "code": "lessee_fault",
    "period": "1970-02",
    "amount": "12.50",
    "digest": "0" * 64,
    "reason": "why",
    "probe": "gemm",
    "value": "600",
}
SPEAKERS = {"maintenance": "P", "claim": "L"}


def batch(kind: str) -> dict[str, str]:
    return {"unit": "first"} if kind in ("batch_accepted", "not_delivered") else {}


@pytest.mark.parametrize("kind", [*SAID, *EVENTS])
def test_of_every_kind_the_fields_that_are_needed_make_a_notice_that_is_taken(kind: str) -> None:
    party = next(one for one in "PL" if kind in kinds_for(RULES, one))
    needed = {field.name for field in fields_of(kind, RULES.events) if field.needed}
    answers = {name: text for name, text in ANSWERS.items() if name in needed}
    notice = notice_of(kind, RULES, party, answers | batch(kind), "admin")
    RULES.check(notice)
    said = notice.said
    assert kind == (said.event if isinstance(said, EventNotice) else said.kind)


@pytest.mark.parametrize("kind", [*SAID, *EVENTS])
def test_what_is_needed_and_left_empty_is_named(kind: str) -> None:
    needed = {field.name for field in fields_of(kind, RULES.events) if field.needed}
    with pytest.raises(FieldErrors) as caught:
        notice_of(kind, RULES, "P", {})
    assert set(caught.value.errors) == needed
    assert {error.code for error in caught.value.errors.values()} == {"needed"}


def test_what_the_table_names_is_what_somebody_reads() -> None:
    for kind, rule in EVENTS.items():
        names = {field.name for field in fields_of(kind, EVENTS)}
        assert {*rule.may, *rule.needs} - {"party"} <= names


@pytest.mark.parametrize(
    ("kind", "party", "change", "at", "code"),
    [
        ("maintenance", "P", {"until": "1970-02-01 00:00"}, "until", "ends_first"),
        ("maintenance", "P", {"from": "tomorrow"}, "from", "no_instant"),
        ("maintenance", "P", {"from": "1970-02-01 00:00:00.5"}, "from", "no_instant"),
        ("maintenance", "P", {"from": "0001-01-01 00:00"}, "from", "no_instant"),
        ("maintenance", "P", {"until": "2255-06-05 23:47:35"}, "until", "no_instant"),
        ("maintenance", "P", {"until": "9999-12-31 23:59:59-12:00"}, "until", "no_instant"),
        ("maintenance", "a <party>", {}, "party", "no_party"),
        ("maintenance", "P", {"id": "a window"}, "id", "no_name"),
        ("maintenance", "P", {"id": "x" * 129}, "id", "no_name"),
        ("maintenance", "P", {"units": "n1, n3"}, "units", "no_unit"),
        ("maintenance", "L", {}, "party", "not_for_role"),
        ("maintenance", "X", {}, "party", "no_party"),
        ("cause", "L", {"code": "moon"}, "code", "no_cause"),
        ("claim", "L", {"period": "1969-02"}, "period", "outside_term"),
        ("claim", "L", {"unit": "n9"}, "unit", "no_unit"),
        ("restored", "P", {"unit": "n1.7"}, "unit", "no_unit"),
        ("credit_paid", "P", {"amount": "12,50"}, "amount", "no_amount"),
        ("claim_refused", "P", {"reason": "x" * 513}, "reason", "too_long"),
        ("claim_refused", "P", {"reason": "\u202e"}, "reason", "unshowable"),
        ("period_agreed", "L", {"digest": "0"}, "digest", "no_digest"),
        ("maintenance_withdrawn", "P", {"id": "M2"}, "id", "no_unit"),
        ("crash", "L", {"since": "1970-02-03 00:00"}, "at", "ends_first"),
    ],
)
def test_what_is_wrong_is_said_of_its_field(
    kind: str, party: str, change: dict[str, str], at: str, code: str
) -> None:
    names = {field.name for field in fields_of(kind, RULES.events)}
    answers = {name: text for name, text in ANSWERS.items() if name in names}
    with pytest.raises(FieldErrors) as caught:
        notice_of(kind, RULES, party, answers | change)
    assert {name: error.code for name, error in caught.value.errors.items()} == {at: code}


def test_instants_are_on_the_clocks_of_the_zone() -> None:
    berlin = "Europe/Berlin"
    assert local_instant_us("2026-03-29T01:59:59", berlin) == 1_774_745_999_000_000
    assert local_instant_us("2026-03-29 03:00", berlin) == 1_774_746_000_000_000
    assert local_instant_us("2026-10-25T02:30:00+01:00", berlin) == 1_792_891_800_000_000
    assert local_instant_us("2026-10-25T00:30:00Z", berlin) == 1_792_888_200_000_000
    for text, code in (
        ("2026-03-29 02:00", "never_shown"),
        ("2026-03-29 02:59:59", "never_shown"),
        ("2026-10-25 02:00", "shown_twice"),
        ("2026-10-25 02:59:59", "shown_twice"),
    ):
        with pytest.raises(NoticeError) as caught:
            local_instant_us(text, berlin)
        assert caught.value.code == code
    assert local_instant_us("2255-06-05 23:47:34", "UTC") == 2**53 // 1_000_000 * 1_000_000
    assert local_instant_us("2026-10-25 03:00", berlin) == 1_792_893_600_000_000


def test_a_party_is_asked_only_for_what_it_may_say() -> None:
    lessee, provider = kinds_for(RULES, "L"), kinds_for(RULES, "P")
    assert "claim" in lessee
    assert "claim" not in provider
    assert "maintenance" in provider
    assert "maintenance" not in lessee
    assert "crash" in lessee
    assert "period_agreed" not in kinds_for(RULES, "A")
