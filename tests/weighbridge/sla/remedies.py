"""Families of remedies that follow an event or one another, and not the counted time of units."""

from collections.abc import Iterator
from datetime import date
from fractions import Fraction
from itertools import pairwise

from tests.weighbridge.sla.answers import LONG_AFTER_S, in_month, summed, total_of
from tests.weighbridge.sla.judged import judged
from tests.weighbridge.sla.reading import Given, Json
from tests.weighbridge.sla.terms import (
    base_of,
    contract_of,
    judged_contract,
    penalty_of,
    periods_of,
    repair_of,
)
from tests.weighbridge.sla.timeline import lasting_event, record_of, windows_of
from weighbridge.contract import Contract
from weighbridge.contract.chain import mismatches
from weighbridge.settlement.credits import Line
from weighbridge.settlement.intervals import Interval, union
from weighbridge.settlement.money import rounded
from weighbridge.settlement.periods import calendar_month, day_start, local_date
from weighbridge.settlement.record import Record, ToldEvent, Window
from weighbridge.settlement.repair import ENDS, STARTS
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle
from weighbridge.settlement.stacking import Remedy, Stack, stack

DAY_COUNTS = {
    "calendar_days_after_due_date": "calendar_days",
    "calendar_days": "calendar_days",
    "working_days_after_due_date": "working_days",
    "working_days": "working_days",
}


LATEST_START_FIRST = ("confirmation", "identification", "report", "detection")
"""What starts a clock of which the terms do not say what starts it: the provider's word, else the earlier moments."""


def repaired(terms: Given, timeline: Given, _: Json) -> Json:
    """Repair clocks with steps."""
    kinds = {given["kind"] for given in timeline["events"]}
    clock_from = next(name for name in LATEST_START_FIRST if STARTS[name] in kinds)
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


def maintained(terms: Given, timeline: Given, _: Json) -> Json:
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
        rows += [window_row(contract, settled, window) for window in windows]
    return summed(settlements, rows)


def window_row(contract: Contract, settled: Settlement, window: Window) -> Json:
    """Of every window that the case tells of: those that are free are paid with nothing."""
    paid = next((part for part in settled.others if part.unit == window.id), None)
    facts = (
        {"maintenance_seconds": window.end_s - window.start_s, "hours_counted": 0}
        if paid is None
        else paid.earned.facts
    )
    down = ((window.start_s, window.end_s),)
    month = f"{local_date(window.start_s, contract.time_zone):%Y-%m}"
    return {
        "period": settled.period.label,
        "event": window.id,
        "credit_amount": Fraction(0) if paid is None else paid.amount,
        "availability_in_month_if_counted_as_down": in_month(down, month, contract.time_zone),
        **facts,
    }


def compensated(terms: Given, timeline: Given, _: Json) -> Json:
    """Vouchers for events, each in the month in which it ends."""
    assert terms["period"]["kind"] == "event"
    contract = contract_of(terms, credits=list(vouchers_of(terms)))
    rows: list[Json] = []
    settlements: list[Settlement] = []
    anomalies: dict[str, list[Interval]] = {}
    for given in timeline["events"]:
        event = lasting_event(given)
        month = f"{local_date(event.at_s, contract.time_zone):%Y-%m}"
        period = calendar_month(month, contract.time_zone)
        settled = settle(contract, Record(events=(event,)), period, {}, LONG_AFTER_S)
        settlements.append(settled)
        [part] = settled.others
        rows.append({"event": event.kind, "credit_amount": part.amount, **part.earned.facts})
        if "from" in given and event.since_s is not None:
            anomalies.setdefault(month, []).append((event.since_s, event.at_s))
    shares = [in_month(union(down), month, contract.time_zone) for month, down in anomalies.items()]
    alone = {"availability_for_information": shares[0]} if len(shares) == 1 else {}
    return alone | summed(settlements, rows)


def vouchers_of(terms: Given) -> Iterator[Json]:
    price = terms["hour_price"]
    network, crash = terms.get("network"), terms.get("crash")
    if network is not None:
        shared = {"id": "network", "kind": "anomaly_hours", "event": "network_anomaly"}
        yield shared | {"hour_price": price} | network.rest()
    if crash is not None:
        assert crash["from"] == "last_startup"
        shared = {"id": "crash", "kind": "lost_work", "event": "crash"}
        yield shared | {"hour_price": price} | crash.rest()


def delivered_late(terms: Given, timeline: Given, _: Json) -> Json:
    """Liquidated damages by the day, each batch in the month of its acceptance. Working days are Monday to Friday."""
    damages = {
        "id": "late",
        "trigger": "late_delivery",
        "side": "provider",
        "daily_rate": terms["daily_rate"],
        "day_count": DAY_COUNTS[terms["day_count"]],
        "cap_pct": terms.get("cap_pct"),
    }
    batches = timeline["batches"]
    delivery = [
        {"id": given["id"], "nodes": 1, "due": given["due"], "value": given["value"]}
        for given in batches
    ]
    resource = {"nodes": len(batches), "delivery": delivery}
    contract = contract_of(
        terms,
        resource=resource,
        liquidated_damages=[damages],
        working_calendar="weekdays",
    )
    rows: list[Json] = []
    settlements: list[Settlement] = []
    for given in batches:
        period = calendar_month(given["accepted"][:7], contract.time_zone)
        accepted = ToldEvent(
            "batch_accepted",
            day_start(date.fromisoformat(given["accepted"]), contract.time_zone),
            given["id"],
        )
        settled = settle(contract, Record(events=(accepted,)), period, {}, LONG_AFTER_S)
        settlements.append(settled)
        [part] = settled.others
        rows.append({"id": given["id"], "credit_amount": part.amount, **part.earned.facts})
    return {"availability_note": "not an availability case"} | summed(settlements, rows)


def chained(terms: Given, timeline: Given, expected: Json) -> Json:
    """Leases that draw on one another, first to last."""
    asked = expected.get("links", {})
    links = {
        link["id"]: judged(link["terms"], timeline, asked.get(link["id"], {}))
        for link in terms["links"]
    }
    contracts = [judged_contract(link["terms"]) for link in terms["links"]]
    pairs = pairwise(contracts)
    flags = {flag for link in links.values() for flag in link["flags"]}
    if any(any(mismatches(parent, child)) for parent, child in pairs):
        flags.add("back_to_back_mismatch")
    total = total_of([link["total_credit"] for link in links.values()])
    return {"links": links, "total_credit": total, "flags": sorted(flags)}


def stacked(terms: Given, timeline: Given, expected: Json) -> Json:
    """Several remedies of the same events."""
    one = terms["one_credit_per_event"]
    assert terms.get("choose", "max") == "max" or not one
    base = Fraction(terms["base_amount"])
    stacking = {
        "rule": "one_per_event" if one else "sum",
        "base_amount": terms["base_amount"],
        "cap": {"pct": terms.get("cap_pct", "100"), "amount": terms.get("cap_amount")},
    }
    contract = contract_of(terms, stacking=stacking)
    remedies = [
        Remedy(given["event"], given["objective"], base * Fraction(given["pct"]) / 100)
        for given in timeline["remedies"]
    ]
    found = stack(contract.stacking, remedies)
    events = [row["event"] for row in expected["results"]]
    by_remedy = len(set(events)) < len(events) or "objective" in expected["results"][0]
    return {
        "results": list(remedy_rows(found, base) if by_remedy else event_rows(found, base)),
        "availability_note": "not an availability case",
        "sum_pct": found.total / base * 100,
        "applied_pct": found.paid / base * 100,
        "total_credit": rounded(found.paid, contract.rounding.decimals, contract.rounding.mode),
        "flags": sorted(found.flags),
    }


def remedy_rows(found: Stack, base: Fraction) -> Iterator[Json]:
    for kept in found.kept:
        yield {"event": kept.event, "objective": kept.objective, "pct": kept.amount / base * 100}


def event_rows(found: Stack, base: Fraction) -> Iterator[Json]:
    for event in dict.fromkeys(kept.event for kept in found.kept):
        amount = sum((kept.amount for kept in found.kept if kept.event == event), Fraction(0))
        yield {"event": event, "pct": amount / base * 100}


def rounded_lines(terms: Given, _: Given, __: Json) -> Json:
    """Lines of money, and where they are rounded."""
    lines = terms.get("lines") or terms["money"]["lines"]
    rule = contract_of(terms).rounding
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
