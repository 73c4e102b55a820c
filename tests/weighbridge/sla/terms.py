"""The terms of a case as a contract file, which is loaded.

What has no name here keeps its own, and the loader refuses what it does not know. A case is what a log may hold: some
contracts that were once agreed on would be refused today, and are settled still.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.weighbridge.sla.reading import Given, Json
from tests.weighbridge.written import written
from weighbridge.contract import Contract, loaded
from weighbridge.settlement.periods import Period, calendar_month, calendar_year, contract_month

TERM = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
DENOMINATORS = {
    "period": "period",
    "period_minus_excluded": "period_minus_excluded",
    "service": "service_time",
    "service_time": "service_time",
}
CLOCK_STARTS = {
    "start": "first_bad_sample",
    "first_bad_sample": "first_bad_sample",
    "report": "notice",
    "notice": "notice",
    "confirmation": "confirmation",
}
PRORATIONS = {
    "days": ("day",),
    "seconds": ("second", "exact", "service/period", "pro_rata"),
    "none": ("none", "whole", "full"),
}
"""How a part of a period is priced, by a word that its name has."""

NOTHING_PROMISED = "0.000001"
UNCAPPED = "1000000000000"


def instant(text: str) -> int:
    """Whole seconds: a part of one would be lost, and is refused."""
    moment = datetime.fromisoformat(text).astimezone(UTC)
    assert moment.microsecond == 0, text
    return int(moment.timestamp())


def units_of(terms: Given) -> list[str]:
    units = terms.get("units", ["unit"])
    if isinstance(units, list):
        return units
    numbers = range(units["first"], units["first"] + units["count"])
    return [f"{units['prefix']}{number:0{units.get('width', 1)}}" for number in numbers]


def service_of(terms: Given) -> tuple[int, int] | None:
    service = terms.first("service", "term") or Given({})
    start = service.get("from") or terms.get("service_from")
    end = service.get("to") or terms.get("service_to")
    if start is None and end is None:
        return None
    return (instant(start or TERM["from"]), instant(end or TERM["to"]))


def periods_of(terms: Given) -> list[Period]:
    zone, kind = terms["time_zone"], terms.get("period", Given({})).get("kind", "calendar_month")
    term = service_of(terms) or (instant(TERM["from"]), instant(TERM["to"]))
    make: dict[str, Callable[[str], Period]] = {
        "calendar_month": lambda label: calendar_month(label, zone),
        "calendar_year": lambda label: calendar_year(label, zone),
        "contract_month": lambda label: contract_month(label, zone, term),
    }
    return [make[kind](label) for label in terms["evaluate"]]


def text_of(value: Any) -> Any:
    """The same tree with every scalar as text, as a contract file has it."""
    if isinstance(value, dict):
        return {name: text_of(value[name]) for name in value}
    if isinstance(value, list):
        return [text_of(inner) for inner in value]
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def contract_of(terms: Given, **parts: Any) -> Contract:
    money = terms.get("money", Given({"currency": "USD"}))
    stacking = terms.get("stacking", "max_of")
    document = {
        "contract_id": "case",
        "effective": TERM["from"],
        "time_zone": terms.get("time_zone", "UTC"),
        "currency": money["currency"],
        "parties": [{"id": "P", "role": "provider"}, {"id": "L", "role": "lessee"}],
        "term": TERM,
        "resources": [
            {"id": "r", "accelerator": {"sku": "any"}, "nodes": len(units_of(terms)), "per_node": 1}
            | parts.pop("resource", {})
        ],
        "unknown": {
            "policy": terms.get("unknown", "hold"),
            "by_cause": terms.get("unknown_by_cause", {}),
            "contested": terms.get("contested", "hold"),
        },
        "exclusions": {
            "causes": [{"code": code} for code in terms.get("excluded_causes", [])],
            "concurrent_cause": terms.get("concurrent_cause", "exclusion_wins"),
        },
        "maintenance": maintenance_of(terms),
        "rounding": rounding_of(terms, money),
        "stacking": {"rule": stacking},
        "evidence": evidence_of(terms),
        "sampling": {"interval_s": "0.001"},
    }
    return loaded(written(text_of(document | parts)))


def rounding_of(terms: Given, money: Given) -> Json:
    place = terms.first("round_at") or money.first("round_at", "place") or "line"
    return {
        "decimals": money.get("decimals", 2),
        "mode": money.get("rounding", "half_up"),
        "place": "invoice" if place == "total" else place,
    }


def maintenance_of(terms: Given) -> Json | None:
    given = terms.get("maintenance")
    if given is None:
        return None
    order = given.first("order", "order_of_use", "cap_order") or "time"
    assert any(word in order for word in ("time", "chronological", "start")), order
    return {
        "min_notice_s": given.get("min_notice_s") or 0,
        "max_s_per_period": given.first("cap_s_per_period", "max_s_per_period"),
        **given.rest(),
    }


def evidence_of(terms: Given, period: Period | None = None) -> Json:
    """With the time until the cut-off, where it is a period that is judged."""
    clock = terms.get("clock", Given({}))
    evidence: Json = {"clock": {"max_abs_skew_s": clock.get("max_abs_skew_s", 2)}}
    if "late_data" in terms and period is not None:
        evidence["correction_window_s"] = instant(terms["late_data"]["cutoff"]) - period.end_s
    return evidence


NO_MINIMUM = ((0, ">"), (0, ">="))
"""No outage is too short; a contract says so by naming no minimum."""


def objective_of(terms: Given, target: str) -> Json:
    counting = terms.get("counting") or Given({"granularity": "second"})
    minimum = counting.get("min_outage") or terms.get("min_outage")
    if minimum is not None and (minimum["seconds"], minimum.get("op", ">=")) in NO_MINIMUM:
        minimum = None
    return {
        "id": "objective",
        "scope": terms.get("scope", "per_unit"),
        "k": terms.get("k"),
        "target": target,
        "counting": {
            "min_outage": minimum,
            "merge_gap_s": counting.get("merge_gap_s", 0),
            **counting.rest(),
        },
        "clock_start": CLOCK_STARTS[terms.first("count_from", "clock_start") or "start"],
        "denominator": DENOMINATORS[terms.get("denominator", "period")],
        "degraded": terms.get("degraded", "down"),
        "period": terms.get("period", Given({})).get("kind", "calendar_month"),
        "first_n_s": terms.get("first_n_s", 0),
        "first_n_per": terms.get("first_n_per", "period"),
    }


def base_of(given: Given) -> Json:
    return {
        "amount": given["base_amount"],
        "of": given.get("per", "unit"),
        "proration": proration_of(given.get("proration") or "none"),
    }


def proration_of(said: str) -> str:
    [rule] = [rule for rule, words in PRORATIONS.items() if any(word in said for word in words)]
    return rule


def common_of(given: Given) -> Json:
    credit: Json = {"id": "credit", "objective": "objective"}
    if "base_amount" in given:
        credit["base"] = base_of(given)
    if "cap_pct" in given or "cap_amount" in given:
        credit["cap"] = {"pct": given.get("cap_pct"), "amount": given.get("cap_amount")}
    if given.get("min_amount") is not None:
        credit |= {"min_amount": given["min_amount"], "min_op": given.get("min_op", ">=")}
    claim = given.get("claim")
    if claim is not None:
        credit["claim"] = {
            "required": claim["required"],
            "deadline_days": claim.first("deadline_days_after_period", "deadline_days"),
            "zone": claim.first("time_zone", "zone"),
            **claim.rest(),
        }
    return credit


def tiers_of(given: Given) -> Json:
    return {"kind": "tiers", "tiers": given["tiers"], "on_gap": given.get("on_gap", "flag")}


def linear_of(given: Given) -> Json:
    return {"kind": "linear_shortfall", "threshold": given.get("threshold")}


def increment_of(given: Given) -> Json:
    return {
        "kind": "increment",
        "free_s": given.get("free_s", 0),
        "increment_s": given["increment_s"],
        "partial": given["partial_increment"],
        "pct": given["pct_per_increment"],
    }


def power_of(given: Given) -> Json:
    return {
        "kind": "per_event",
        "longer_than_s": given.get("longer_than_s"),
        "more_than_events": given.get("more_than_events"),
        "amount": given["amount_per_amp"],
        "quantity": given["amps"],
        "cap": {"amount": given.get("cap_amount", UNCAPPED)},
    }


def clock_hour_of(given: Given) -> Json:
    credit = {name: given[name] for name in ("threshold_s", "op", "hour_price")}
    own = {"kind": "clock_hour", "owed_when": "below_threshold"}
    return own | {"cap": {"amount": given.get("cap_amount", UNCAPPED)}, **credit}


def multiple_of(given: Given) -> Json:
    return {
        "kind": "outage_multiple",
        "multiple": given["multiple"],
        "hour_price": given["hour_price"],
        "incident_cap": given.get("incident_cap"),
        "cap": {"amount": given.get("cap_amount", UNCAPPED)},
    }


def beyond_of(given: Given) -> Json:
    return {"kind": "beyond_allowance", "multiple": given["multiple"]}


CREDITS: dict[str, Callable[[Given], Json]] = {
    "tiers": tiers_of,
    "linear_shortfall": linear_of,
    "increment": increment_of,
    "colo_power": power_of,
    "clock_hour": clock_hour_of,
    "hourly_multiple": multiple_of,
    "beyond_allowance_multiple": beyond_of,
}
"""Kinds of credit, by the name of the kind or of the family that has only that kind."""

DEFAULT_TARGET = {"clock_hour": NOTHING_PROMISED}


def credit_of(given: Given, kind: str) -> Json:
    return common_of(given) | CREDITS[kind](given)


def judged_contract(terms: Given, period: Period | None = None) -> Contract:
    family = terms["family"]
    own = terms.get("credit")
    credit = credit_of(terms, family) if own is None else inner_credit_of(own)
    parts: Json = {
        "availability": [objective_of(terms, terms.get("target", DEFAULT_TARGET.get(family, "1")))],
        "credits": [credit],
        "evidence": evidence_of(terms, period),
    }
    repair = terms.get("repair")
    if repair is not None:
        parts["repair"] = [repair_of(repair)]
        parts["credits"] = [credit, penalty_of(repair, credit["base"])]
    return contract_of(terms, **parts)


def inner_credit_of(given: Given) -> Json:
    return credit_of(given, given["kind"]) | given.rest()


def repair_of(given: Given, clock_from: str = "detection", clock_to: str = "restored") -> Json:
    return {
        "id": "repair",
        "objective_s": given["objective_s"],
        "clock_from": given.get("clock_from", clock_from),
        "clock_to": given.get("clock_to", clock_to),
    }


def penalty_of(given: Given, base: Json) -> Json:
    """Hours or steps; a first percentage or none."""
    started = "pct_per_started_hour" in given
    return {
        "id": "penalty",
        "kind": "repair_steps",
        "repair": "repair",
        "base": base,
        "first_pct": given.get("first_pct", 0),
        "step_s": given.get("step_s", 3600),
        "step_pct": given["pct_per_started_hour"] if started else given["step_pct"],
        "partial": "ceil" if started else given["step_rounding"],
        "cap": {"pct": given.get("cap_pct", 100)},
    }
