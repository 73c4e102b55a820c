"""Every worked case of a file in the format `compute-lease-sla-cases/1`, through the contract model and the settlement.

The files are the committed ones, or the one that WEIGHBRIDGE_SLA_CASES names. Terms and timeline are translated by what
they mean: terms become a contract file that is loaded, the timeline a record that is settled. No case is known by
its id.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from weighbridge.contract import Contract, load
from weighbridge.contract.chain import mismatches
from weighbridge.ledger import State
from weighbridge.settlement.availability import measure
from weighbridge.settlement.capacity import coverage, metered
from weighbridge.settlement.credits import Line
from weighbridge.settlement.intervals import Intervals, subtraction, union
from weighbridge.settlement.maintenance import admitted
from weighbridge.settlement.money import fraction_text, rounded, share_text
from weighbridge.settlement.periods import (
    Period,
    calendar_month,
    calendar_year,
    contract_month,
    day_start,
    instant_text,
    local_date,
)
from weighbridge.settlement.probes import Samples
from weighbridge.settlement.record import Claim, Event, Record, Span, Window
from weighbridge.settlement.repair import ENDS, STARTS
from weighbridge.settlement.results import Result, Settlement
from weighbridge.settlement.settle import settle
from weighbridge.settlement.stacking import Remedy, stack

COMMITTED = [
    Path(__file__).parent / "data" / name for name in ("sla_cases.json", "sla_cases_more.json")
]
NAMED = os.environ.get("WEIGHBRIDGE_SLA_CASES")
FILES = COMMITTED if NAMED is None else [Path(NAMED)]
CASES = [case for file in FILES for case in json.loads(file.read_text("utf-8"))["cases"]]

Json = dict[str, Any]
TERM = {"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
LONG_AFTER_S = 4_000_000_000
DENOMINATORS = {
    "period": "period",
    "period_minus_excluded": "period_minus_excluded",
    "service": "service_time",
}
EVENT_KINDS = {
    "detected": "fault_detected",
    "confirmed": "fault_confirmed",
    "reported": "fault_reported",
}
NOTHING_PROMISED = "0.000001"
UNCAPPED = "1000000000000"


# --- time and units


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def units_of(terms: Json) -> list[str]:
    units = terms.get("units", ["unit"])
    if isinstance(units, list):
        return units
    numbers = range(units["first"], units["first"] + units["count"])
    return [f"{units['prefix']}{number:0{units.get('width', 1)}}" for number in numbers]


def service_of(terms: Json) -> tuple[int, int] | None:
    service = terms.get("service") or {}
    start = service.get("from") or terms.get("service_from")
    end = service.get("to") or terms.get("service_to")
    if start is None and end is None:
        return None
    return (instant(start or TERM["from"]), instant(end or TERM["to"]))


def periods_of(terms: Json) -> list[Period]:
    zone, kind = terms["time_zone"], terms.get("period", {}).get("kind", "calendar_month")
    term = service_of(terms) or (instant(TERM["from"]), instant(TERM["to"]))
    make: dict[str, Callable[[str], Period]] = {
        "calendar_month": lambda label: calendar_month(label, zone),
        "calendar_year": lambda label: calendar_year(label, zone),
        "contract_month": lambda label: contract_month(label, zone, term),
    }
    return [make[kind](label) for label in terms["evaluate"]]


# --- the contract file


def text_of(value: Any) -> Any:
    """The same tree with every scalar as text, as a contract file has it."""
    if isinstance(value, dict):
        return {name: text_of(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [text_of(inner) for inner in value]
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def contract_of(terms: Json, **parts: Any) -> Contract:
    money = terms.get("money", {"currency": "USD"})
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
        "rounding": {
            "decimals": money.get("decimals", 2),
            "mode": money.get("rounding", "half_up"),
            "place": terms.get("round_at", "line").replace("total", "invoice"),
        },
        "stacking": {"rule": stacking if isinstance(stacking, str) else "max_of"},
        "evidence": evidence_of(terms),
        "sampling": {"interval_s": "0.001"},
    }
    return load(yaml.safe_dump(text_of(document | parts)))


def maintenance_of(terms: Json) -> Json | None:
    given = terms.get("maintenance")
    if given is None:
        return None
    return {
        "min_notice_s": given.get("min_notice_s") or 0,
        "max_s_per_period": given.get("cap_s_per_period"),
        "max_count_per_year": given.get("max_count_per_year"),
        "treat": given.get("treat", "excluded"),
    }


def evidence_of(terms: Json) -> Json:
    evidence: Json = {"clock": {"max_abs_skew_s": terms.get("clock", {}).get("max_abs_skew_s", 2)}}
    if "late_data" in terms:
        window = instant(terms["late_data"]["cutoff"]) - periods_of(terms)[-1].end_s
        evidence["correction_window_s"] = window
    return evidence


def objective_of(terms: Json, target: str) -> Json:
    counting = dict(terms.get("counting") or {"granularity": "second"})
    counting["min_outage"] = counting.get("min_outage") or terms.get("min_outage")
    counting.setdefault("merge_gap_s", 0)
    return {
        "id": "objective",
        "scope": terms.get("scope", "per_unit"),
        "k": terms.get("k"),
        "target": target,
        "counting": counting,
        "clock_start": "notice" if terms.get("count_from") == "report" else "first_bad_sample",
        "denominator": DENOMINATORS[terms.get("denominator", "period")],
        "degraded": terms.get("degraded", "down"),
    }


def base_of(given: Json) -> Json:
    proration = given.get("proration") or "none"
    rule = next((rule for rule in ("days", "seconds") if rule in proration), "none")
    return {"amount": given["base_amount"], "of": given.get("per", "unit"), "proration": rule}


def common_of(given: Json) -> Json:
    credit: Json = {"id": "credit", "objective": "objective"}
    if "base_amount" in given:
        credit["base"] = base_of(given)
    if "cap_pct" in given or "cap_amount" in given:
        credit["cap"] = {"pct": given.get("cap_pct"), "amount": given.get("cap_amount")}
    if given.get("min_amount") is not None:
        credit |= {"min_amount": given["min_amount"], "min_op": given.get("min_op", ">=")}
    claim = given.get("claim")
    if claim is not None:
        days = claim.get("deadline_days_after_period")
        credit["claim"] = {
            "required": claim["required"],
            "deadline_days": days,
            "zone": claim.get("time_zone") or claim.get("zone"),
        }
    return credit


def tiers_of(given: Json) -> Json:
    return {"kind": "tiers", "tiers": given["tiers"], "on_gap": given.get("on_gap", "flag")}


def linear_of(given: Json) -> Json:
    return {"kind": "linear_shortfall", "threshold": given.get("threshold")}


def increment_of(given: Json) -> Json:
    return {
        "kind": "increment",
        "free_s": given.get("free_s", 0),
        "increment_s": given["increment_s"],
        "partial": given["partial_increment"],
        "pct": given["pct_per_increment"],
    }


def power_of(given: Json) -> Json:
    return {
        "kind": "per_event",
        "longer_than_s": given.get("longer_than_s"),
        "more_than_events": given.get("more_than_events"),
        "amount": given["amount_per_amp"],
        "quantity": given["amps"],
        "cap": {"amount": given.get("cap_amount", UNCAPPED)},
    }


def clock_hour_of(given: Json) -> Json:
    credit = {name: given[name] for name in ("threshold_s", "op", "hour_price")}
    return {"kind": "clock_hour", "cap": {"amount": given.get("cap_amount", UNCAPPED)}, **credit}


def multiple_of(given: Json) -> Json:
    return {
        "kind": "outage_multiple",
        "multiple": given["multiple"],
        "hour_price": given["hour_price"],
        "incident_cap": given.get("incident_cap"),
        "cap": {"amount": given.get("cap_amount", UNCAPPED)},
    }


def beyond_of(given: Json) -> Json:
    return {"kind": "beyond_allowance", "multiple": given["multiple"]}


CREDITS: dict[str, Callable[[Json], Json]] = {
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


def judged_contract(terms: Json) -> Contract:
    family = terms["family"]
    given = terms["credit"] if family == "availability" else terms
    credit = common_of(given) | CREDITS[given["kind"] if family == "availability" else family](
        given
    )
    parts: Json = {
        "availability": [objective_of(terms, terms.get("target", DEFAULT_TARGET.get(family, "1")))],
        "credits": [credit],
    }
    repair = terms.get("repair")
    if repair is not None:
        parts["repair"] = [repair_of(repair)]
        parts["credits"] = [credit, penalty_of(repair, credit["base"])]
    return contract_of(terms, **parts)


def repair_of(given: Json, clock_from: str = "detection", clock_to: str = "restored") -> Json:
    return {
        "id": "repair",
        "objective_s": given["objective_s"],
        "clock_from": given.get("clock_from", clock_from),
        "clock_to": given.get("clock_to", clock_to),
    }


def penalty_of(given: Json, base: Json) -> Json:
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


# --- the record


def spans_of(intervals: list[Json], recorded_s: int = 0, ahead_s: int = 0) -> Iterator[Span]:
    for given in intervals:
        state = State(given["state"])
        reported = given.get("reported_at")
        yield Span(
            unit=given.get("unit", "unit"),
            state=state,
            start_s=instant(given["from"]),
            end_s=instant(given["to"]),
            cause=given.get("cause") or ("unattributed" if state == State.UNKNOWN else ""),
            reported_s=None if reported is None else instant(reported),
            recorded_s=recorded_s,
            ahead_s=ahead_s if given.get("time_base") == "agent" else 0,
        )


def patterns_of(timeline: Json) -> Iterator[Span]:
    for given in timeline.get("patterns", []):
        for number in range(given["count"]):
            start = instant(given["first_from"]) + number * given["every_s"]
            yield Span(given["unit"], State(given["state"]), start, start + given["length_s"])


def windows_of(timeline: Json) -> tuple[Window, ...]:
    return tuple(
        Window(
            id=given["id"],
            start_s=instant(given["from"]),
            end_s=instant(given["to"]),
            received_s=instant(given.get("notified_at") or given["from"]),
            units=None if given.get("units", "all") == "all" else frozenset(given["units"]),
        )
        for given in timeline.get("maintenance", [])
    )


def record_of(terms: Json, timeline: Json) -> Record:
    clock = terms.get("clock", {})
    ahead = clock.get("agent_minus_reference_s", 0) if clock.get("apply", True) else 0
    spans = [*spans_of(timeline.get("intervals", []), ahead_s=ahead), *patterns_of(timeline)]
    for batch in timeline.get("late_batches", []):
        spans += spans_of(batch["intervals"], instant(batch["received_at"]), ahead)
    claims = tuple(
        Claim(given["period"], instant(given["filed_at"]), given.get("unit"))
        for given in timeline.get("claims", [])
    )
    events = tuple(
        Event(given["kind"], instant(given["at"]), given.get("unit", ""))
        for given in timeline.get("events", [])
    )
    return Record(tuple(spans), windows_of(timeline), claims, events)


# --- results


def result_row(settled: Settlement, result: Result, contract: Contract) -> Json:
    """All that a settlement says of a unit, in the words of the format."""
    outcome, measured = result.worst.outcome, result.measure
    part = result.worst.lines[0]
    earned = part.earned
    due = next(due for due in settled.dues if due.unit == measured.unit)
    row: Json = {
        "period": settled.period.label,
        "unit": measured.unit,
        "period_seconds": settled.period.seconds,
        "denominator_seconds": outcome.denominator_s,
        "downtime_seconds": outcome.downtime_s,
        "availability": share_text(outcome.availability),
        "availability_fraction": fraction_text(outcome.availability),
        "breach": earned.breach,
        "tier": earned.tier,
        "credit_pct": earned.pct,
        "credit_amount": part.amount,
        "credit_before_minimum": part.before_minimum,
        "raw_down_seconds": measured.raw_down_s,
        "excluded_seconds": outcome.excluded_s,
        "unknown_seconds": measured.unknown_s,
        "contested_seconds": measured.contested_s,
        "base_amount": rounded(part.base, contract.rounding.decimals, contract.rounding.mode),
        "payable": None
        if due.highest is None
        else rounded(due.highest, contract.rounding.decimals, "half_up"),
        "claim_deadline": None if due.deadline_s is None else instant_text(due.deadline_s),
        "as_of": instant_text(settled.as_of_s),
        "version": "final" if settled.final else "provisional",
    }
    repairs = [repair.amount for repair in settled.others]
    row["trigger"] = None
    return row | dict(earned.facts) | ({"repair_penalty": repairs[0]} if repairs else {})


def judged(terms: Json, timeline: Json, expected: Json) -> Json:
    """Families whose credit follows the counted time of units."""
    contract, record = judged_contract(terms), record_of(terms, timeline)
    units = {"objective": units_of(terms)}
    rows: list[Json] = []
    totals: list[Any] = []
    flags: set[str] = set()
    for period in periods_of(terms):
        as_of = (
            period.end_s + contract.evidence.correction_window_s
            if "late_data" in terms
            else LONG_AFTER_S
        )
        settled = settle(contract, record, period, units, as_of, service_of(terms))
        rows += [result_row(settled, result, contract) for result in settled.results]
        totals.append(settled.highest)
        flags |= set(settled.flags)
    answer: Json = {"results": rows, "total_credit": total_of(totals), "flags": sorted(flags)}
    if "provisional" in expected:
        answer["provisional"] = provisional(
            terms, contract, record, instant(expected["provisional"]["as_of"])
        )
    return answer


def provisional(terms: Json, contract: Contract, record: Record, as_of_s: int) -> Json:
    period, units = periods_of(terms)[0], units_of(terms)
    settled = settle(contract, record, period, {"objective": units}, as_of_s, service_of(terms))
    unknown = contract.unknown.model_copy(update={"policy": "up", "by_cause": {}})
    kinder = settle(
        contract.model_copy(update={"unknown": unknown}),
        record,
        period,
        {"objective": units},
        as_of_s,
        service_of(terms),
    )
    row = result_row(settled, settled.results[0], contract)
    return row | {"availability_if_unknown_up": kinder.results[0].worst.outcome.availability}


def total_of(amounts: list[Any]) -> Any:
    return None if any(amount is None for amount in amounts) else sum(map(Fraction, amounts))


def probed(terms: Json, timeline: Json, _: Json) -> Json:
    """Shares of probes, and means of error rates."""
    given = terms["credit"]
    means = terms["family"] == "slice_average"
    empty = {"0": "good", "1": "bad", None: "excluded"}[terms.get("empty_slice_error")]
    performance = {
        "id": "objective",
        "probe": "probe",
        "statistic": "mean_error" if means else "each",
        "threshold": None if means else terms["threshold"],
        "op": terms.get("op", ">="),
        "slice_s": terms["slice_s"],
        "missing": empty if means else terms["missing"],
        "target": terms["target"],
    }
    credit = common_of(given) | CREDITS[given["kind"]](given)
    contract = contract_of(terms, performance=[performance], credits=[credit])
    samples = tuple(samples_of(given) for given in timeline["slices" if means else "probes"])
    record = Record(probes={"objective": samples})
    settlements = [
        settle(contract, record, period, {}, LONG_AFTER_S) for period in periods_of(terms)
    ]
    return summed(settlements, [probe_row(settled) for settled in settlements])


def probe_row(settled: Settlement) -> Json:
    found, part = settled.probed[0], settled.others[0]
    share, seconds = found.tally.share, settled.period.seconds
    return {
        "period": settled.period.label,
        "unit": "storage_class",
        "period_seconds": seconds,
        "denominator_seconds": seconds,
        "downtime_seconds": (1 - share) * seconds,
        "probes_scheduled": found.tally.scheduled,
        "probes_valid": found.tally.valid,
        "probes_good": found.tally.good,
        "availability": share_text(share),
        "availability_fraction": fraction_text(share),
        "breach": part.earned.breach,
        "tier": part.earned.tier,
        "credit_pct": part.earned.pct,
        "credit_amount": part.amount,
    }


def summed(settlements: list[Settlement], rows: list[Json]) -> Json:
    """Results with the total and the flags of the settlements that they come from."""
    total = total_of([settled.highest for settled in settlements])
    flags = {flag for settled in settlements for flag in settled.flags}
    return {"results": rows, "total_credit": total, "flags": sorted(flags)}


def samples_of(given: Json) -> Samples:
    value = given.get("error_rate", given.get("ratio"))
    return Samples(given["count"], None if value is None else Fraction(value))


def repaired(terms: Json, timeline: Json, _: Json) -> Json:
    """Repair clocks with steps."""
    kinds = {given["kind"] for given in timeline["events"]}
    clock_from = next(name for name, kind in STARTS.items() if kind in kinds)
    clock_to = next(name for name, ends in ENDS.items() if kinds & set(ends))
    contract = contract_of(
        terms,
        repair=[repair_of(terms, clock_from, clock_to)],
        credits=[penalty_of(terms, base_of(terms))],
    )
    record = record_of(terms, timeline)
    settlements = [
        settle(contract, record, period, {}, LONG_AFTER_S) for period in periods_of(terms)
    ]
    return summed(
        settlements, [repair_row(one, part) for one in settlements for part in one.others]
    )


def repair_row(settled: Settlement, part: Line) -> Json:
    seconds = part.earned.facts["repair_seconds"]
    assert isinstance(seconds, int)
    return {
        "period": settled.period.label,
        "unit": part.unit,
        "credit_pct": part.earned.pct,
        "credit_amount": part.amount,
        "availability_if_down_throughout": 1 - Fraction(seconds, settled.period.seconds),
        **part.earned.facts,
    }


def maintained(terms: Json, timeline: Json, _: Json) -> Json:
    """Too many maintenance windows in a year. Those before are windows too, earlier in the year."""
    credit = {
        "id": "credit",
        "kind": "maintenance_count",
        "allowed_per_year": terms["allowed_per_year"],
        "base_amount": terms["base_amount"],
        "fraction_per_hour": terms["fraction_per_hour"],
        "partial": terms["partial_hour"],
        "cap": {"pct": terms.get("cap_pct", 100)},
    }
    contract = contract_of(terms, credits=[credit])
    windows = windows_of(timeline)
    rows: list[Json] = []
    settlements: list[Settlement] = []
    for year in periods_of(terms):
        earlier = [
            Window(f"-{n}", year.start_s, year.start_s, 0)
            for n in range(terms.get("events_before", 0))
        ]
        settled = settle(contract, Record(windows=(*earlier, *windows)), year, {}, LONG_AFTER_S)
        settlements.append(settled)
        rows += [window_row(contract, settled, part, windows) for part in settled.others]
    return summed(settlements, rows)


def window_row(
    contract: Contract, settled: Settlement, part: Line, windows: tuple[Window, ...]
) -> Json:
    [window] = [window for window in windows if window.id == part.unit]
    down = ((window.start_s, window.end_s),)
    month = f"{local_date(window.start_s, contract.time_zone):%Y-%m}"
    return {
        "period": settled.period.label,
        "event": window.id,
        "credit_amount": part.amount,
        "availability_in_month_if_counted_as_down": in_month(down, month, contract),
        **part.earned.facts,
    }


def compensated(terms: Json, timeline: Json, _: Json) -> Json:
    """Vouchers for events, each in the month in which it ends."""
    price = {"hour_price": terms["hour_price"]}
    network = (
        {"id": "network", "kind": "anomaly_hours", "event": "network_anomaly"}
        | price
        | terms.get("network", {})
    )
    crash = {
        "id": "crash",
        "kind": "lost_work",
        "event": "crash",
        "cap_s": terms["crash"]["cap_s"],
    } | price
    contract = contract_of(terms, credits=[network, crash])
    rows: list[Json] = []
    settlements: list[Settlement] = []
    answer: Json = {}
    for given in timeline["events"]:
        event = lasting_event(given)
        month = f"{local_date(event.at_s, contract.time_zone):%Y-%m}"
        period = calendar_month(month, contract.time_zone)
        settled = settle(contract, Record(events=(event,)), period, {}, LONG_AFTER_S)
        settlements.append(settled)
        [part] = settled.others
        rows.append({"event": event.kind, "credit_amount": part.amount, **part.earned.facts})
        if "from" in given and event.since_s is not None:
            down = ((event.since_s, event.at_s),)
            answer["availability_for_information"] = in_month(down, month, contract)
    return answer | summed(settlements, rows)


def lasting_event(given: Json) -> Event:
    start, end = given.get("from") or given["last_startup"], given.get("to") or given["at"]
    return Event(given["kind"], instant(end), since_s=instant(start))


def short_of_capacity(terms: Json, timeline: Json, _: Json) -> Json:
    """Capacity promised, of units that each have some."""
    units = units_of(terms)
    contracted = Fraction(terms["contracted"])
    credit = {
        "id": "credit",
        "kind": "capacity_deduction",
        "resource": "r",
        "price": terms["price_per_capacity_month"],
        "multiple": terms["deduction_multiple"],
        "cap": {"pct": terms.get("cap_pct", 100)},
    }
    capacity = {"precision": "fp16", "per_gpu": terms["unit_capacity"], "contracted": contracted}
    contract = contract_of(
        terms,
        resource={"nodes": len(units), "capacity": capacity},
        availability=[objective_of(terms, NOTHING_PROMISED)],
        credits=[credit],
    )
    record = record_of(terms, timeline)
    rows: list[Json] = []
    settlements: list[Settlement] = []
    for period in periods_of(terms):
        settled = settle(contract, record, period, {"objective": units}, LONG_AFTER_S)
        settlements.append(settled)
        [part] = settled.others
        missing = Fraction(str(part.earned.facts["shortfall_seconds"]))
        rows.append(
            {
                "period": period.label,
                "period_seconds": period.seconds,
                "shortfall_capacity_hours": missing / 3600,
                "availability": 1 - missing / (contracted * period.seconds),
                "fee": part.base,
                "credit_amount": part.amount,
                "net_fee": part.base - Fraction(part.amount or 0),
            }
        )
    return summed(settlements, rows)


def delivered_late(terms: Json, timeline: Json, _: Json) -> Json:
    """Liquidated damages by the day, each batch in the month of its acceptance."""
    damages = {
        "id": "late",
        "trigger": "late_delivery",
        "side": "provider",
        "daily_rate": terms["daily_rate"],
        "day_count": "working_days" if "working" in terms["day_count"] else "calendar_days",
        "cap_pct": terms.get("cap_pct"),
    }
    batches = timeline["batches"]
    delivery = [
        {"id": given["id"], "nodes": 1, "due": given["due"], "value": given["value"]}
        for given in batches
    ]
    resource = {"nodes": len(batches), "delivery": delivery}
    contract = contract_of(terms, resource=resource, liquidated_damages=[damages])
    rows: list[Json] = []
    settlements: list[Settlement] = []
    for given in batches:
        period = calendar_month(given["accepted"][:7], contract.time_zone)
        accepted = Event(
            "batch_accepted",
            day_start(date.fromisoformat(given["accepted"]), contract.time_zone),
            given["id"],
        )
        settled = settle(contract, Record(events=(accepted,)), period, {}, LONG_AFTER_S)
        settlements.append(settled)
        [part] = settled.others
        rows.append({"id": given["id"], "credit_amount": part.amount, **part.earned.facts})
    return {"availability_note": "not an availability case"} | summed(settlements, rows)


def chained(terms: Json, timeline: Json, expected: Json) -> Json:
    """Leases that draw on one another, first to last."""
    links = {link["id"]: judged(link["terms"], timeline, expected) for link in terms["links"]}
    contracts = [judged_contract(link["terms"]) for link in terms["links"]]
    pairs = pairwise(contracts)
    flags = {flag for link in links.values() for flag in link["flags"]}
    if any(any(mismatches(parent, child)) for parent, child in pairs):
        flags.add("back_to_back_mismatch")
    total = total_of([link["total_credit"] for link in links.values()])
    return {"links": links, "total_credit": total, "flags": sorted(flags)}


def rolled(terms: Json, timeline: Json, _: Json) -> Json:
    """A window that moves, judged over all the time in which something may be in it."""
    units = sorted({given["unit"] for given in timeline["intervals"]}) or units_of(terms)
    moving = {"period": "rolling", "window_s": terms["window_s"]}
    objective = objective_of(terms | {"denominator": "service"}, terms["target"]) | moving
    contract, record = contract_of(terms, availability=[objective]), record_of(terms, timeline)
    edges = [edge for span in record.spans for edge in (span.start_s, span.end_s)]
    edges += [period.start_s for period in periods_of(terms)] if "evaluate" in terms else []
    wide = Period("all", min(edges), max(edges) + 2 * terms["window_s"])
    settled = settle(contract, record, wide, {"objective": units}, LONG_AFTER_S)
    outcomes = [result.worst.outcome for result in settled.results]
    moved = [outcome.moving for outcome in outcomes if outcome.moving is not None]
    [unit] = units
    excluded = admitted(contract.maintenance, record.windows, unit, wide, contract.time_zone)
    down = subtraction(union((span.start_s, span.end_s) for span in record.spans), excluded)
    months = sorted(
        {f"{local_date(edge, contract.time_zone):%Y-%m}" for pair in down for edge in pair}
    )
    [breaches] = [one.breaches for one in moved]
    return {
        "results": [
            {
                "unit": unit,
                "evaluated_at": instant_text(one.window[1]),
                "window_from": instant_text(one.window[0]),
                "downtime_seconds": outcome.downtime_s,
                "availability": outcome.availability,
                "availability_fraction": fraction_text(outcome.availability),
                "breach": result.worst.breach,
            }
            for result, outcome, one in zip(settled.results, outcomes, moved, strict=True)
        ],
        "breach_from": breaches[0][0] if breaches else None,
        "breach_to": breaches[-1][1] if breaches else None,
        "calendar_for_comparison": {month: in_month(down, month, contract) for month in months},
        "total_credit": settled.highest,
        "flags": list(settled.flags),
    }


def in_month(down: Intervals, label: str, contract: Contract) -> Fraction:
    month = calendar_month(label, contract.time_zone)
    bad = sum(max(0, min(end, month.end_s) - max(start, month.start_s)) for start, end in down)
    return 1 - Fraction(bad, month.seconds)


def billed(terms: Json, timeline: Json, _: Json) -> Json:
    """Metered service from the acceptance on."""
    units, gpus = units_of(terms), terms["gpus_per_unit"]
    pooled = objective_of(terms | {"scope": "pooled", "denominator": "service"}, terms["target"])
    contract = contract_of(
        terms,
        resource={"nodes": len(units), "per_node": gpus},
        availability=[pooled],
        pricing=[{"unit": "gpu_hour", "price": terms["price_per_gpu_hour"]}],
        pay_only_healthy=True,
    )
    record, rows = record_of(terms, timeline), []
    for period in periods_of(terms):
        [found] = measure(
            contract, contract.availability[0], record, period, units, service_of(terms)
        )
        bill = metered(
            len(units),
            gpus,
            Fraction(terms["price_per_gpu_hour"]),
            found.service_s,
            found.low.downtime_s * gpus,
        )
        rows.append(
            {
                "period": period.label,
                "period_seconds": period.seconds,
                "service_seconds": found.service_s,
                "denominator_seconds": found.low.denominator_s,
                "downtime_seconds": found.low.downtime_s,
                "availability": found.low.availability,
                "availability_fraction": fraction_text(found.low.availability),
                "breach": found.low.availability < contract.availability[0].target,
                "gross_amount": bill.gross,
                "unbilled_amount": bill.unbilled,
                "net_amount": bill.net,
            }
        )
    return {"results": rows, "total_credit": Fraction(0), "flags": []}


def evidenced(terms: Json, timeline: Json, _: Json) -> Json:
    """How much of the contracted time has any evidence."""
    contract = contract_of(terms)
    units = terms["contracted_units"]
    seconds = [given["units"] * given["covered_seconds_each"] for given in timeline["reporting"]]
    rows, flags = [], set()
    for period in periods_of(terms):
        found = coverage(period, units, seconds, contract.evidence.least_coverage)
        invoiced = units * Fraction(terms["price_per_unit_month"])
        flags |= set(found.flags)
        rows.append(
            {
                "period": period.label,
                "period_seconds": period.seconds,
                "covered_unit_seconds": found.covered_unit_s,
                "contracted_unit_seconds": found.contracted_unit_s,
                "availability": found.share,
                "availability_fraction": fraction_text(found.share),
                "invoiced": invoiced,
                "evidenced": found.evidenced(invoiced),
                "unevidenced": invoiced - found.evidenced(invoiced),
            }
        )
    return {"results": rows, "total_credit": Fraction(0), "flags": sorted(flags)}


def stacked(terms: Json, timeline: Json, _: Json) -> Json:
    """Several remedies of the same events."""
    rule = "one_per_event" if terms["one_credit_per_event"] else "sum"
    base = Fraction(terms["base_amount"])
    stacking = {"rule": rule, "base_amount": base, "cap": {"pct": terms.get("cap_pct", "100")}}
    contract = contract_of(terms, stacking=stacking)
    remedies = [
        Remedy(given["event"], given["objective"], base * Fraction(given["pct"]) / 100)
        for given in timeline["remedies"]
    ]
    found = stack(contract.stacking, remedies)
    return {
        "results": [
            {"event": kept.event, "objective": kept.objective, "pct": kept.amount / base * 100}
            for kept in found.kept
        ],
        "availability_note": "not an availability case",
        "sum_pct": found.total / base * 100,
        "applied_pct": found.paid / base * 100,
        "total_credit": rounded(found.paid, contract.rounding.decimals, contract.rounding.mode),
        "flags": sorted(found.flags),
    }


def rounded_lines(terms: Json, _: Json, __: Json) -> Json:
    """Lines of money, and where they are rounded."""
    lines = terms.get("lines") or terms["money"]["lines"]
    place = terms.get("round_at") or terms["money"].get("round_at", "line")
    rule = contract_of(terms | {"round_at": place}).rounding
    exact = [Fraction(given["base"]) * Fraction(given["pct"]) / 100 for given in lines]
    amounts = [rounded(amount, rule.decimals, rule.mode) for amount in exact]
    total = (
        total_of(amounts)
        if rule.place == "line"
        else rounded(sum(exact, Fraction(0)), rule.decimals, rule.mode)
    )
    return {
        "results": [
            {"line": number, "exact": amount, "credit_amount": shown}
            for number, (amount, shown) in enumerate(zip(exact, amounts, strict=True), start=1)
        ],
        "availability_note": "not an availability case",
        "total_credit": total,
        "flags": [],
    }


FAMILIES: dict[str, Callable[[Json, Json, Json], Json]] = {
    "availability": judged,
    "increment": judged,
    "colo_power": judged,
    "clock_hour": judged,
    "hourly_multiple": judged,
    "beyond_allowance_multiple": judged,
    "slice_average": probed,
    "probe_share": probed,
    "repair_steps": repaired,
    "maintenance_count": maintained,
    "voucher": compensated,
    "capacity": short_of_capacity,
    "late_delivery": delivered_late,
    "chain": chained,
    "rolling": rolled,
    "metered_service": billed,
    "evidence_ratio": evidenced,
    "stacking": stacked,
    "rounding": rounded_lines,
}


# --- comparison

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")
NUMBER = re.compile(r"-?\d+(\.\d+)?")
TIER = re.compile(r"\[([\d.]+),([\d.]+)([)\]])")


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """Each field of `expected` that `actual` lacks or has otherwise."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for name, value in expected.items():
            if name in actual:
                yield from differences(value, actual[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: missing, expected {value!r}"
    elif isinstance(expected, list) and isinstance(actual, list | tuple):
        yield from list_differences(expected, rows_asked_for(expected, list(actual)), path)
    elif not same(expected, actual):
        yield f"{path}: expected {expected!r}, got {actual!r}"


def list_differences(expected: list[Any], actual: list[Any], path: str) -> Iterator[str]:
    if len(actual) != len(expected):
        yield f"{path}: expected {expected!r}, got {actual!r}"
    for position, (left, right) in enumerate(zip(expected, actual, strict=False)):
        yield from differences(left, right, f"{path}[{position}]")


def rows_asked_for(expected: list[Any], actual: list[Any]) -> list[Any]:
    """A case may leave out units that nothing happened to; no row with money may be left out."""
    if not all(isinstance(row, dict) for row in (*expected, *actual)):
        return actual
    asked = [(row.get("period"), row.get("unit")) for row in expected]
    return [
        row
        for row in actual
        if (row.get("period"), row.get("unit")) in asked or row.get("credit_amount", 1) != 0
    ]


LATE = "late|short|insufficient|untimely"
MEANINGS = {
    "tier_gap": ["tier|tiers|table|row|schedule", "gap|hole|undefined|missing|uncovered"],
    "late_maintenance_notice": [LATE, "notice", "?maintenance|window"],
    "maintenance_cap_exceeded": ["maintenance", "cap|budget|hours|allowance|limit"],
    "maintenance_count_exceeded": ["maintenance", "count|number|many"],
    "maintenance_outside_window": ["maintenance", "outside", "?window|windows"],
    "gpu_identity_changed": ["?gpu|device", "identity|uuid|gpu", "changed|change|replaced|swapped"],
    "data_after_cutoff": ["after|past|late", "cutoff|data|cut"],
    "clock_skew_corrected": ["skew|clock|offset", "corrected|correction|applied"],
    "clock_skew_beyond_bound": ["skew|clock|offset", "beyond|bound|exceeded|excessive|refused"],
    "cap_applied": ["cap|capped", "?applied|hit|reached|amount|credit|pct"],
    "below_minimum_credit": ["below|under", "min|minimum"],
    "claim_lapsed": ["claim", f"lapsed|expired|missed|forfeited|waived|{LATE}"],
    "never_reported": ["never|not", "reported", "?outage|lessee|customer"],
    "late_report": [f"delayed|{LATE}", "report|reported|reporting"],
    "back_to_back_mismatch": ["mismatch|stricter", "?back|sublease|chain|child"],
    "duplicate_gpu_uuid": ["duplicate|duplicated|double", "uuid|identity|gpu"],
    "contracted_not_reporting": ["contracted|capacity|units", "not|never", "reporting|reported"],
}
"""What the name of each flag of the engine must say to mean it: one word of each group, of those with `?` if it can."""


def meaning(flag: str) -> str:
    """The engine's flag that a name means: the one of which it says most. A name that means none stays as it is."""
    words = set(flag.lower().replace("-", "_").split("_"))
    best = max(MEANINGS, key=lambda known: said(words, MEANINGS[known]))
    return best if said(words, MEANINGS[best]) > 0 else flag


def said(words: set[str], groups: list[str]) -> int:
    """How many groups the words touch; 0 where one that is needed is missing."""
    touched = [bool(words & set(group.removeprefix("?").split("|"))) for group in groups]
    needed = [hit for hit, group in zip(touched, groups, strict=True) if not group.startswith("?")]
    return sum(touched) if all(needed) else 0


def meanings(flags: list[str]) -> list[str]:
    """The names of flags are suggestions: what counts is what they mean, and that there is none more and none less."""
    return sorted({meaning(flag) for flag in flags})


def same(expected: Any, actual: Any) -> bool:
    """Equal in meaning: numbers to the digits that are given, instants as instants, tiers as intervals."""
    if expected is None or actual is None or isinstance(expected, bool):
        return bool(expected is actual)
    text = str(expected)
    if NUMBER.fullmatch(text):
        places = len(text.partition(".")[2]) or 9
        return bool(NUMBER.fullmatch(str(actual)) or isinstance(actual, Fraction)) and (
            rounded(Fraction(str(actual)), places, "half_up") == Fraction(text)
        )
    if INSTANT.fullmatch(text) and isinstance(actual, Fraction):
        exact = Fraction(instant(text[:19] + "Z")) + Fraction("0" + (text[19:-1] or ".0"))
        return exact == actual
    tiers = [TIER.fullmatch(str(side)) for side in (text, actual)]
    if tiers[0] and tiers[1]:
        left, right = ((Fraction(tier[1]), Fraction(tier[2]), tier[3]) for tier in tiers if tier)
        return left == right
    return text == str(actual)


def words(case: Json) -> str:
    return str(case["id"])


@pytest.mark.parametrize("case", CASES, ids=words)
def test_the_case_settles_as_worked_out_by_hand(case: Json) -> None:
    expected = case["expected"] | {"flags": meanings(case["expected"].get("flags", []))}
    answer = FAMILIES[case["terms"]["family"]](case["terms"], case.get("timeline", {}), expected)
    assert list(differences(expected, answer | {"flags": meanings(answer["flags"])})) == []


@pytest.mark.parametrize("flag", MEANINGS)
def test_each_flag_of_the_engine_means_itself(flag: str) -> None:
    assert meaning(flag) == flag


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("hole_in_tiers", "tier_gap"),
        ("tier_hole", "tier_gap"),
        ("late_notice", "late_maintenance_notice"),
        ("maintenance_budget_used_up", "maintenance_cap_exceeded"),
        ("too_many_maintenance_windows", "maintenance_count_exceeded"),
        ("gpu_replaced", "gpu_identity_changed"),
        ("late_data", "data_after_cutoff"),
        ("cap_hit", "cap_applied"),
        ("capped", "cap_applied"),
        ("claim_late", "claim_lapsed"),
        ("duplicate_identity", "duplicate_gpu_uuid"),
        ("something_else", "something_else"),
    ],
)
def test_other_names_are_taken_by_what_they_say_and_no_further(name: str, flag: str) -> None:
    assert meaning(name) == flag


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
