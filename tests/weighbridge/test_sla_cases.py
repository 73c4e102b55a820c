"""Every worked case of a file in the format `compute-lease-sla-cases/1`, through the contract model and the settlement.

The files are the committed ones, or the one that WEIGHBRIDGE_SLA_CASES names. Terms and timeline are translated by what
they mean: terms become a contract file that is loaded, the timeline a record that is settled. No case is known by
its id, and nothing in a case is passed over: what the translation does not read fails it.
"""

import json
import os
from fractions import Fraction
from pathlib import Path

import pytest

from tests.weighbridge.sla.comparison import MEANINGS, differences, meaning, meanings
from tests.weighbridge.sla.families import FAMILIES
from tests.weighbridge.sla.reading import Given, Json, given, unread
from weighbridge.contract import ContractError

COMMITTED = [
    Path(__file__).parent / "data" / name
    for name in ("sla_cases.json", "sla_cases_more.json", "sla_cases_edges.json")
]
NAMED = os.environ.get("WEIGHBRIDGE_SLA_CASES")
FILES = COMMITTED if NAMED is None else [Path(NAMED)]
UNTOLD = frozenset() if NAMED is None else frozenset({"downtime_uncounted"})
"""Flags that files of others, which are older, do not ask for."""
CASES = [case for file in FILES for case in json.loads(file.read_text("utf-8"))["cases"]]


def complaints(case: Json) -> list[str]:
    """What an answer has otherwise than a case expects, and what of the case it never read."""
    terms, timeline = Given(case["terms"]), given(case.get("timeline", {}))
    expected = case["expected"] | {"flags": meanings(case["expected"].get("flags", []))}
    answer = FAMILIES[terms["family"]](terms, timeline, expected)
    told = answer | {"flags": meanings([one for one in answer["flags"] if one not in UNTOLD])}
    return [
        *differences(expected, told),
        *(f"terms{path}: not read" for path in unread(terms)),
        *(f"timeline{path}: not read" for path in unread(timeline)),
    ]


def words(case: Json) -> str:
    return str(case["id"])


@pytest.mark.parametrize("case", CASES, ids=words)
def test_the_case_settles_as_worked_out_by_hand(case: Json) -> None:
    assert complaints(case) == []


def simple_case() -> Json:
    case: Json = json.loads(COMMITTED[0].read_text("utf-8"))["cases"][0]
    assert complaints(case) == []
    return case


def test_what_nobody_reads_fails_a_case() -> None:
    case = simple_case()
    case["terms"]["loyalty_pct"] = "5"
    case["timeline"]["strikes"] = [{"at": "2026-02-10T03:00:00Z"}]
    case["timeline"]["intervals"][0]["weight"] = "0.5"
    assert complaints(case) == [
        "terms.loyalty_pct: not read",
        "timeline.intervals[0].weight: not read",
        "timeline.strikes: not read",
    ]


@pytest.mark.parametrize("place", ["credit", "counting", "tiers"])
def test_a_term_that_the_contract_does_not_know_is_refused(place: str) -> None:
    case = simple_case()
    terms = case["terms"]
    inner = terms["credit"]["tiers"][0] if place == "tiers" else terms[place]
    inner["generosity"] = "2"
    with pytest.raises(ContractError, match="generosity"):
        complaints(case)


@pytest.mark.parametrize(
    ("name", "value"),
    [("denominator", "week"), ("count_from", "remorse"), ("unknown", "maybe"), ("scope", "any")],
)
def test_a_switch_with_a_value_that_is_not_known_is_refused(name: str, value: str) -> None:
    case = simple_case()
    case["terms"][name] = value
    with pytest.raises((KeyError, ContractError), match=f"{value}|{name}"):
        complaints(case)


def test_a_field_that_no_answer_has_fails_a_case() -> None:
    case = simple_case()
    case["expected"]["results"][0]["goodwill"] = "1.00"
    case["expected"]["verdict_of_the_court"] = "none"
    assert [text.split(":")[0] for text in complaints(case)] == [
        ".results[0].goodwill",
        ".verdict_of_the_court",
    ]


def test_the_readings_of_unseen_time_stand_beside_each_other() -> None:
    case = simple_case()
    case["timeline"]["intervals"][0]["state"] = "unknown"
    row = case["expected"]["results"][0] | {
        "availability_if_unknown_up": "1.000000000",
        "credit_if_unknown_up": "0.00",
        "breach_if_unknown_excluded": False,
        "tier_if_unknown_down": "[0.99,0.995)",
        "credit_by_policy": {"down": "3000.00", "up": "0.00"},
        "readings": {"excluded": {"breach": False, "raw_availability": "0.994791667"}},
    }
    case["expected"]["results"] = [row]
    case["expected"]["by_policy"] = {
        "down": {"credit_amount": "3000.00", "total_credit": "3000.00"},
        "up": {"downtime_seconds": 0, "breach": False},
    }
    assert complaints(case) == []
    row["credit_if_unknown_up"] = "0.01"
    assert len(complaints(case)) == 1


@pytest.mark.parametrize("flag", MEANINGS)
def test_each_flag_of_the_engine_means_itself(flag: str) -> None:
    assert meaning(flag) == flag


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("hole_in_tiers", "tier_gap"),
        ("tier_hole", "tier_gap"),
        ("late_notice", "late_maintenance_notice"),
        ("maintenance_exceeded", "maintenance_cap_exceeded"),
        ("maintenance_count_exceeded", "maintenance_count_exceeded"),
        ("claim_not_filed", "claim_lapsed"),
        ("maintenance_budget_used_up", "maintenance_cap_exceeded"),
        ("too_many_maintenance_windows", "maintenance_count_exceeded"),
        ("gpu_replaced", "gpu_identity_changed"),
        ("late_data", "data_after_cutoff"),
        ("cap_hit", "cap_applied"),
        ("capped", "cap_applied"),
        ("claim_late", "claim_lapsed"),
        ("duplicate_identity", "duplicate_gpu_uuid"),
        ("clock_skew_out_of_bounds", "clock_skew_beyond_bound"),
        ("clock_skew_correction", "clock_skew_corrected"),
        ("something_else", "something_else"),
    ],
)
def test_other_names_are_taken_by_what_they_say_and_no_further(name: str, flag: str) -> None:
    assert meaning(name) == flag


def test_a_trigger_is_taken_by_what_it_says() -> None:
    for told, known in (("longer_than_s", "duration"), ("more_than_events", "event_count")):
        assert list(differences({"trigger": told}, {"trigger": known})) == []
    for other in ("event_count", "whim", None):
        assert list(differences({"trigger": other}, {"trigger": "duration"}))
        assert list(differences({"trigger": "duration"}, {"trigger": None}))


def test_rows_say_whom_they_are_of_and_may_come_in_any_order() -> None:
    rows = [{"unit": unit, "credit_amount": Fraction(n)} for n, unit in enumerate("abc")]
    asked = [{"unit": unit, "credit_amount": f"{n}.00"} for n, unit in ((2, "c"), (1, "b"))]
    assert list(differences(asked, rows)) == []
    assert list(differences([asked[0], asked[0]], rows))
    assert list(differences([asked[0]], rows))
    assert list(differences([asked[0], asked[1] | {"credit_amount": "2.00"}], rows))


def test_a_part_of_a_second_is_refused() -> None:
    case = simple_case()
    case["timeline"]["intervals"][0]["from"] = "2026-02-10T03:00:00.500Z"
    with pytest.raises(AssertionError, match=r"03:00:00\.500Z"):
        complaints(case)


def test_a_flag_too_many_and_one_too_few_are_told() -> None:
    for raised in ([], ["cap_applied", "tier_gap"], ["tier_gap"]):
        assert list(differences(meanings(["cap_applied"]), meanings(raised)))


def test_a_row_that_differs_in_any_field_is_told() -> None:
    row = {
        "period": "2026-04",
        "unit": "a",
        "credit_amount": Fraction(1),
        "tier": "[0.99,0.999)",
        "breach": True,
    }
    changes: list[Json] = [
        {"credit_amount": "1.01"},
        {"tier": "[0.990,0.9990]"},
        {"breach": False},
        {"unit": "b"},
        {"payable": "1.00"},
    ]
    for change in changes:
        assert list(differences([row | {"credit_amount": "1.00"} | change], [row]))
    assert (
        list(differences([row | {"credit_amount": "1.00", "tier": "[0.990,0.9990)"}], [row])) == []
    )
