"""Families that measure something beside each unit's time: probes, capacity, moving windows, bills, evidence."""

from fractions import Fraction

from tests.weighbridge.sla.answers import LONG_AFTER_S, in_month, summed
from tests.weighbridge.sla.reading import Given, Json
from tests.weighbridge.sla.terms import (
    NOTHING_PROMISED,
    contract_of,
    inner_credit_of,
    objective_of,
    periods_of,
    service_of,
    units_of,
)
from tests.weighbridge.sla.timeline import record_of, samples_of
from weighbridge.settlement.availability import Measurement
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.intervals import subtraction, union
from weighbridge.settlement.maintenance import admitted
from weighbridge.settlement.money import fraction_text, share_text
from weighbridge.settlement.periods import (
    Period,
    instant_text,
    local_date,
    served_part_s,
    term_of_s,
)
from weighbridge.settlement.record import Record
from weighbridge.settlement.results import Settlement
from weighbridge.settlement.settle import settle

MISSING = {
    "0": "good",
    "1": "bad",
    None: "excluded",
    "good": "good",
    "bad": "bad",
    "excluded": "excluded",
    "dropped": "excluded",
    "up": "good",
    "down": "bad",
}
"""What a slice without requests, or a probe without an answer, is."""

WHOLE = {"denominator": "service_time"}
"""Of a window, or of the time of service, and of nothing less."""


def probed(terms: Given, timeline: Given, _: Json) -> Json:
    """Shares of probes, and means of error rates."""
    means = terms["family"] == "slice_average"
    performance = {
        "id": "objective",
        "probe": "probe",
        "statistic": "mean_error" if means else "each",
        "threshold": None if means else terms["threshold"],
        "op": terms.get("op", ">="),
        "slice_s": terms["slice_s"],
        "missing": MISSING[terms.get("empty_slice_error") if means else terms["missing"]],
        "target": terms["target"],
    }
    contract = contract_of(
        terms, performance=[performance], credits=[inner_credit_of(terms["credit"])]
    )
    samples = tuple(samples_of(one) for one in timeline["slices" if means else "probes"])
    record = Record(probes={"objective": samples})
    settlements = [
        settle(contract, record, period, {}, LONG_AFTER_S) for period in periods_of(terms)
    ]
    [unit] = units_of(terms) if "units" in terms else ["storage_class"]
    return summed(settlements, [probe_row(settled, unit) for settled in settlements])


def probe_row(settled: Settlement, unit: str) -> Json:
    found, part = settled.probed[0], settled.others[0]
    share, seconds = found.tally.share, settled.period.seconds
    return {
        "period": settled.period.label,
        "unit": unit,
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


def short_of_capacity(terms: Given, timeline: Given, _: Json) -> Json:
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


def rolled(terms: Given, timeline: Given, _: Json) -> Json:
    """A window that moves, judged over all the time in which something may be in it."""
    record = record_of(terms, timeline)
    units = units_of(terms) if "units" in terms else sorted({span.unit for span in record.spans})
    moving = {"period": "rolling", "window_s": terms["window_s"]}
    objective = objective_of(terms, terms["target"]) | WHOLE | moving
    contract = contract_of(terms, availability=[objective])
    edges = [edge for span in record.spans for edge in (span.start_s, span.end_s)]
    edges += [period.start_s for period in periods_of(terms)] if "evaluate" in terms else []
    wide = Period("all", min(edges), max(edges) + 2 * terms["window_s"])
    settled = settle(contract, record, wide, {"objective": units}, LONG_AFTER_S)
    outcomes = [result.worst.outcome for result in settled.results]
    moved = [outcome.moving for outcome in outcomes if outcome.moving is not None]
    [unit] = units
    zone, term = contract.time_zone, term_of_s(contract)
    mine = [window for window in record.windows if window.concerns(unit)]
    excluded = admitted(contract.maintenance, mine, wide, zone, term)
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
        "calendar_for_comparison": {
            month: in_month(down, month, contract.time_zone) for month in months
        },
        "total_credit": settled.highest,
        "flags": list(settled.flags),
    }


def billed(terms: Given, timeline: Given, _: Json) -> Json:
    """Metered service from the acceptance on."""
    units, gpus = units_of(terms), terms["gpus_per_unit"]
    pooled = objective_of(terms, terms["target"]) | WHOLE | {"scope": "pooled"}
    contract = contract_of(
        terms,
        resource={"nodes": len(units), "per_node": gpus},
        availability=[pooled],
        pricing=[{"unit": "gpu_hour", "price": terms["price_per_gpu_hour"]}],
        pay_only_healthy=True,
    )
    record, rows = record_of(terms, timeline), []
    for period in periods_of(terms):
        promise, service = contract.availability[0], service_of(terms) or term_of_s(contract)
        measurement = Measurement(contract, promise, record, period, units, service, period)
        [found] = measurement.measures()
        fees = Fees(contract, period, served_part_s(period, service), period)
        gross = fees.of_price(contract.pricing[0])
        down = Fraction(found.low.downtime_s, found.service_s)
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
                "gross_amount": gross,
                "unbilled_amount": gross * down / len(units),
                "net_amount": gross * (1 - down / len(units)),
            }
        )
    return {"results": rows, "total_credit": Fraction(0), "flags": []}


def evidenced(terms: Given, timeline: Given, _: Json) -> Json:
    """How much of the contracted time has any evidence. The engine raises no such flag: worked out here."""
    contract = contract_of(terms)
    units = terms["contracted_units"]
    seconds = [given["units"] * given["covered_seconds_each"] for given in timeline["reporting"]]
    rows, flags = [], set()
    for period in periods_of(terms):
        contracted_s = units * period.seconds
        share = Fraction(sum(seconds), contracted_s)
        invoiced = units * Fraction(terms["price_per_unit_month"])
        if share < contract.evidence.least_coverage:
            flags.add("contracted_not_reporting")
        rows.append(
            {
                "period": period.label,
                "period_seconds": period.seconds,
                "covered_unit_seconds": sum(seconds),
                "contracted_unit_seconds": contracted_s,
                "availability": share,
                "availability_fraction": fraction_text(share),
                "invoiced": invoiced,
                "evidenced": invoiced * share,
                "unevidenced": invoiced - invoiced * share,
            }
        )
    return {"results": rows, "total_credit": Fraction(0), "flags": sorted(flags)}
