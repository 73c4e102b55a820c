"""Until when a credit can be claimed, and what is owed of credits that are claimed in different ways."""

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.weighbridge.settlement.test_clocks import REPAIR, ZONE
from tests.weighbridge.written import contract_of
from weighbridge.contract import Contract, ContractError
from weighbridge.contract.money import ClaimTerms
from weighbridge.judge.ledger import State
from weighbridge.settlement.claims import NEVER_S, deadline_s, opens_s
from weighbridge.settlement.periods import calendar_month, contract_months, instant_text, term_of_s
from weighbridge.settlement.record import Claim, Record, Span, ToldEvent
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

HOUR, DAY = 3600, 86400
OCTOBER = calendar_month("2026-10", "UTC")
LATER = OCTOBER.end_s + 70 * DAY
INCREMENT = {
    "id": "c",
    "kind": "increment",
    "objective": "a",
    "base": {"amount": "1000"},
    "increment_s": "3600",
    "partial": "floor",
    "pct": "5",
}
TIERS = {
    "id": "tiers",
    "kind": "tiers",
    "objective": "a",
    "base": {"amount": "10000"},
    "tiers": [{"at_or_above": "0", "below": "0.995", "pct": "10"}],
}
HOURS = {
    "id": "hour",
    "kind": "clock_hour",
    "objective": "a",
    "threshold_s": "360",
    "op": ">",
    "hour_price": "10",
    "cap": {"amount": "1000000"},
}
BY_INCIDENT = {"required": "true", "deadline_days": "30", "counted_from": "incident"}
CLAIMED = {"required": "true", "deadline_days": "30"}


def contract(**parts: Any) -> Contract:
    document = {
        "contract_id": "K",
        "effective": "2026-01-01T00:00:00Z",
        "time_zone": "UTC",
        "currency": "USD",
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": {"from": "2026-01-01T00:00:00Z", "to": "2028-01-01T00:00:00Z"},
        "resources": [{"id": "r", "accelerator": {"sku": "any"}, "nodes": "1", "per_node": "1"}],
        "availability": [{"id": "a", "target": "0.995"}],
        "unknown": {"policy": "hold"},
    }
    return contract_of(document | parts)


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())


def down(start: str, hours: int, unit: str = "n1") -> Span:
    return Span(unit, State.DOWN, at(start), at(start) + hours * HOUR)


def filed(when: str, unit: str | None = None) -> Claim:
    return Claim("2026-10", at(when), unit)


def settled(
    terms: Contract, spans: list[Span], claims: list[Claim], as_of_s: int = LATER
) -> Settlement:
    record = Record(tuple(spans), claims=tuple(claims))
    return settle(terms, record, OCTOBER, {"a": ["n1"]}, as_of_s)


# --- from which day on

SHANGHAI = {"time_zone": "Asia/Shanghai", "credits": [TIERS]}
BY_DAY = {"required": "true", "deadline_days": "60"}


@pytest.mark.parametrize(
    ("opens", "claimed", "standing"),
    [
        ({"opens_day": "1"}, "2026-10-31T15:59:59", "open"),
        ({"opens_day": "1"}, "2026-10-31T16:00:00", "filed"),
        ({"opens_working_day": "5"}, "2026-11-05T15:59:59", "open"),
        ({"opens_working_day": "5"}, "2026-11-05T16:00:00", "filed"),
        ({}, "2026-10-20T00:00:00", "filed"),
    ],
)
def test_a_claim_counts_from_the_day_on_which_it_can_be_made(
    opens: dict[str, str], claimed: str, standing: str
) -> None:
    """1 November 2026 is a Sunday, so that the fifth working day is Friday the sixth, which begins at 16:00 UTC."""
    terms = contract(**SHANGHAI, claim=BY_DAY | opens)
    october = calendar_month("2026-10", terms.time_zone)
    record = Record((down("2026-10-02T00:00:00", 5),), claims=(filed(claimed),))
    soon = settle(terms, record, october, {"a": ["n1"]}, october.end_s - 1)
    later = settle(terms, record, october, {"a": ["n1"]}, october.end_s + 20 * DAY)
    assert later.dues[0].standing == standing
    assert (later.highest == 0) == (standing == "open")
    assert soon.dues[0].standing == ("early" if opens else "filed")
    assert (later.dues[0].opens_s is None) == (not opens)


def test_where_the_calendar_does_not_know_the_day_nothing_can_be_claimed_yet() -> None:
    terms = contract(**SHANGHAI, claim=BY_DAY | {"opens_working_day": "5"})
    assert opens_s(terms.claim, calendar_month("2099-10", "Asia/Shanghai"), terms) == NEVER_S


@pytest.mark.parametrize(
    ("claim", "where"),
    [
        ({"opens_day": "5"}, "claim.opens_day: is of a claim"),
        (BY_DAY | {"opens_day": "61"}, "claim.opens_day: comes after"),
        (BY_DAY | {"opens_day": "5", "opens_working_day": "5"}, "name one of them"),
    ],
)
def test_an_earliest_day_that_cannot_be_meant_is_refused(claim: dict[str, str], where: str) -> None:
    with pytest.raises(ContractError, match=where):
        contract(**SHANGHAI, claim=claim)


# --- from the incident


@pytest.mark.parametrize(
    ("counted_from", "claimed", "owed"),
    [
        ("incident", "2026-11-02T00:00:00", "0.00"),
        ("incident", "2026-11-01T23:59:59", "150.00"),
        ("incident_end", "2026-11-02T23:59:59", "150.00"),
        ("incident_end", "2026-11-03T00:00:00", "0.00"),
        ("period", "2026-11-30T23:59:59", "150.00"),
        ("period", "2026-12-01T00:00:00", "0.00"),
        ("incident", "2026-10-02T21:59:59", "0.00"),
        ("incident", "2026-10-02T22:00:00", "150.00"),
    ],
)
def test_the_days_of_a_claim_run_from_what_the_contract_says(
    counted_from: str, claimed: str, owed: str
) -> None:
    """Down from 22:00 on 2 October to 01:00 on the third; a claim from before it is for something else."""
    terms = contract(
        credits=[INCREMENT | {"owed_when": "below_threshold"}],
        claim=BY_INCIDENT | {"counted_from": counted_from},
    )
    found = settled(terms, [down("2026-10-02T22:00:00", 3)], [filed(claimed)])
    assert found.highest == Decimal(owed)
    assert found.dues[0].earned == 150
    assert ("claim_lapsed" in found.flags) == (owed == "0.00")


def test_days_of_an_incident_at_midnight_are_whole_days() -> None:
    terms = ClaimTerms.model_validate(BY_INCIDENT)
    begun = (at("2026-10-02T00:00:00"), at("2026-10-02T03:00:00"))
    found = deadline_s(terms, OCTOBER, contract(), begun)
    assert found == at("2026-11-01T00:00:00")


def test_what_one_outage_earned_is_owed_though_the_claim_for_another_came_too_late() -> None:
    """Three hours on the second, five on the twentieth, one claim on 15 November."""
    spans = [down("2026-10-02T10:00:00", 3), down("2026-10-20T10:00:00", 5)]
    terms = contract(credits=[INCREMENT], claim=BY_INCIDENT)
    found = settled(terms, spans, [filed("2026-11-15T00:00:00")])
    [due] = found.dues
    assert (due.earned, due.highest) == (Fraction(400), Fraction(250))
    assert due.standing == "filed"
    assert "claim_lapsed" in found.flags
    waiting = settled(terms, spans, [], at("2026-11-15T00:00:00")).dues[0]
    assert waiting.standing == "open"
    assert waiting.highest == 0
    assert waiting.deadline_s == at("2026-11-20T00:00:00")


def test_an_outage_that_lasts_has_no_end_from_which_days_run() -> None:
    terms = contract(credits=[INCREMENT], claim=BY_INCIDENT | {"counted_from": "incident_end"})
    now_s = at("2026-10-20T00:00:00")
    [due] = settled(terms, [down("2026-10-02T10:00:00", 29 * 24)], [], now_s).dues
    assert (due.standing, due.deadline_s) == ("open", None)


def test_units_that_are_judged_together_lose_the_outage_that_was_not_claimed() -> None:
    terms = contract(
        availability=[{"id": "a", "target": "0.995", "scope": "all_of"}],
        credits=[INCREMENT],
        claim=BY_INCIDENT,
    )
    spans = [down("2026-10-02T10:00:00", 3, "n2"), down("2026-10-20T10:00:00", 5)]
    record = Record(tuple(spans), claims=(filed("2026-11-15T00:00:00", "n1"),))
    found = settle(terms, record, OCTOBER, {"a": ["n1", "n2"]}, LATER)
    assert found.highest == Decimal("250.00")
    assert found.dues[0].earned == 400


@pytest.mark.parametrize(("claimed", "owed"), [("2026-11-02", "0.00"), ("2026-11-01", "50.00")])
def test_a_late_repair_has_its_own_days(claimed: str, owed: str) -> None:
    late = {
        "id": "late",
        "kind": "repair_steps",
        "repair": "mend",
        "base": {"amount": "1000"},
        "first_pct": "5",
        "step_s": "3600",
        "step_pct": "0",
        "partial": "ceil",
    }
    terms = contract(repair=[REPAIR], credits=[late], claim=BY_INCIDENT)
    told = [
        ToldEvent("fault_reported", at("2026-10-02T10:00:00"), "n1"),
        ToldEvent("restored", at("2026-10-02T20:00:00"), "n1"),
    ]
    record = Record(events=tuple(told), claims=(filed(f"{claimed}T00:00:00"),))
    assert settle(terms, record, OCTOBER, {"a": ["n1"]}, LATER).highest == Decimal(owed)


OUTAGES = [
    ("2026-10-01T05:00:00", 2),
    ("2026-10-09T20:00:00", 5),
    ("2026-10-17T12:00:00", 1),
    ("2026-10-30T23:00:00", 3),
]


@settings(max_examples=60)
@given(
    st.sets(st.sampled_from(OUTAGES)),
    st.lists(st.integers(-31, 40), max_size=3),
    st.sampled_from([1, 7, 30]),
)
def test_an_amount_is_that_of_the_outages_for_which_somebody_claimed_in_time(
    outages: set[tuple[str, int]], claimed: list[int], days: int
) -> None:
    """Worked out outage by outage: claimed between its beginning and so many midnights after it."""
    terms = contract(
        availability=[{"id": "a", "target": "1"}],
        credits=[INCREMENT | {"cap": {"pct": "1000"}}],
        claim=BY_INCIDENT | {"deadline_days": str(days)},
    )
    instants = [OCTOBER.end_s + number * DAY + HOUR for number in claimed]
    found = settled(
        terms,
        [down(start, hours) for start, hours in outages],
        [Claim("2026-10", instant) for instant in instants],
    )
    lost = 0
    for start, hours in outages:
        until_s = (at(start) // DAY + 1 + days) * DAY
        inside = min(at(start) + hours * HOUR, OCTOBER.end_s) - at(start)
        lost += inside if any(at(start) <= one < until_s for one in instants) else 0
    assert found.highest == Decimal(50 * (lost // HOUR))


# --- credits of one unit with claims of their own


@pytest.mark.parametrize(
    ("rule", "claimed", "owed", "standings"),
    [
        ("sum", None, "60.00", ["automatic", "lapsed"]),
        ("sum", "2026-11-30T23:59:59", "1060.00", ["automatic", "filed"]),
        ("max_of", None, "60.00", ["automatic", "lapsed"]),
        ("max_of", "2026-11-30T23:59:59", "1000.00", ["automatic", "filed"]),
    ],
)
def test_a_free_hour_needs_no_claim_where_the_tiers_need_one(
    rule: str, claimed: str | None, owed: str, standings: list[str]
) -> None:
    """AWS EC2, https://aws.amazon.com/compute/sla/: six hours are not charged; ten per cent must be asked for."""
    terms = contract(credits=[HOURS, TIERS | {"claim": CLAIMED}], stacking={"rule": rule})
    claims = [] if claimed is None else [filed(claimed)]
    found = settled(terms, [down("2026-10-05T01:00:00", 6)], claims)
    assert found.highest == Decimal(owed)
    assert [due.standing for due in found.dues] == standings
    assert [due.credits for due in found.dues] == [("hour",), ("tiers",)]
    assert sum(due.highest or 0 for due in found.dues) == Decimal(owed)


def test_credits_that_are_claimed_in_one_way_stand_in_one_line() -> None:
    terms = contract(credits=[HOURS, TIERS], claim=CLAIMED)
    [due] = settled(terms, [down("2026-10-05T01:00:00", 6)], []).dues
    assert (due.credits, due.earned) == ((), Fraction(1000))
    assert due.standing == "lapsed"


# --- deadlines


def test_a_billing_cycle_ends_at_the_next_border() -> None:
    """Months from the 31st: the one after that which ends on 28 February ends on 31 March."""
    term = {"from": "2026-01-31T00:00:00Z", "to": "2027-01-31T00:00:00Z"}
    terms = contract(effective=term["from"], term=term)
    claim = ClaimTerms.model_validate({"required": "true", "deadline_billing_cycles": "1"})
    months = list(contract_months("UTC", term_of_s(terms)))
    for month, following in pairwise(months):
        assert deadline_s(claim, month, terms) == following.end_s
    assert instant_text(months[0].end_s) == "2026-02-28T00:00:00Z"
    assert instant_text(deadline_s(claim, OCTOBER, terms) or 0) == "2026-12-01T00:00:00Z"


@pytest.mark.parametrize(
    ("days", "deadline"),
    [("1", "2026-10-08T16:00:00Z"), ("3", "2026-10-10T16:00:00Z"), ("4", "2026-10-12T16:00:00Z")],
)
def test_a_claim_within_working_days_goes_by_the_calendar(days: str, deadline: str) -> None:
    """September ends on the eve of National Day: the first working day is the eighth, and the third a Saturday."""
    claim = {"required": "true", "deadline_working_days": days}
    terms = contract(time_zone=ZONE, claim=claim)
    found = deadline_s(terms.claim, calendar_month("2026-09", ZONE), terms)
    assert instant_text(found or 0) == deadline
    unknown = calendar_month("2198-12", ZONE)
    assert deadline_s(terms.claim, unknown, terms) is None


def test_a_claim_has_one_deadline_and_an_incident_no_billing_cycle() -> None:
    deadlines = {"deadline_days", "deadline_working_days", "deadline_billing_cycles"}
    for pair in combinations(sorted(deadlines), 2):
        with pytest.raises(ContractError, match="needs one deadline"):
            contract(claim={"required": "true"} | dict.fromkeys(pair, "3"))
    with pytest.raises(ContractError, match="needs one deadline"):
        contract(claim={"required": "true"})
    with pytest.raises(ContractError, match="counted_from does not"):
        contract(
            claim={
                "required": "true",
                "deadline_billing_cycles": "1",
                "counted_from": "incident",
            }
        )
