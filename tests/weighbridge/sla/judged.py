"""Families whose credit follows the counted time of units, and other readings of their unknown time."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tests.weighbridge.sla.answers import LONG_AFTER_S, summed, total_of
from tests.weighbridge.sla.comparison import OTHER_NAMES, is_meant
from tests.weighbridge.sla.reading import Given, Json
from tests.weighbridge.sla.terms import (
    instant,
    judged_contract,
    periods_of,
    service_of,
    units_of,
)
from tests.weighbridge.sla.timeline import record_of
from weighbridge.contract import Contract
from weighbridge.settlement.claims import TOGETHER
from weighbridge.settlement.money import fraction_text, rounded, share_text
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.results import Result, Settlement
from weighbridge.settlement.settle import settle

POLICIES = ("down", "up", "excluded")
IF_UNKNOWN = "_if_unknown_"


def judged(terms: Given, timeline: Given, expected: Json) -> Json:
    """The answer, with what a case asks of the same time under another policy for what nobody saw."""
    answer = with_readings(answer_of(terms, timeline), terms, timeline, expected)
    if "provisional" in expected:
        asked = expected["provisional"]
        rows = [provisional(terms, timeline, one) for one in listed(asked)]
        answer["provisional"] = rows if isinstance(asked, list) else rows[0]
    return answer


def listed(value: Any) -> list[Json]:
    return value if isinstance(value, list) else [value]


def provisional(terms: Given, timeline: Given, asked: Json) -> Json:
    """The row of the unit and the period that are asked for, as known at its own instant."""
    at_s = instant(asked["as_of"])
    answer = answer_of(terms, timeline, at_s)
    then = with_readings(answer, terms, timeline, {"results": [asked]}, at_s)
    row: Json = next(row for row in then["results"] if is_meant(asked, row))
    return row


def answer_of(terms: Given, timeline: Given, as_of_s: int | None = None) -> Json:
    record = record_of(terms, timeline)
    units = {"objective": units_of(terms)}
    rows: list[Json] = []
    settlements: list[Settlement] = []
    for period in periods_of(terms):
        contract = judged_contract(terms, period)
        at_s = LONG_AFTER_S if as_of_s is None else as_of_s
        settled = settle(contract, record, period, units, at_s, service_of(terms))
        settlements.append(settled)
        rows += [result_row(settled, result, contract) for result in settled.results]
    return summed(settlements, rows)


def with_readings(
    answer: Json, terms: Given, timeline: Given, expected: Json, as_of_s: int | None = None
) -> Json:
    """Fields named `..._if_unknown_POLICY`, and mappings from each policy to what it gives."""
    mappings, inner = list(by_policy(expected)), names_in_rows(expected)
    if IF_UNKNOWN not in repr(expected) and not mappings and not inner:
        return answer
    for policy in POLICIES:
        other = Given(dict(terms) | {"unknown": policy, "unknown_by_cause": {}})
        reading = answer_of(other, timeline, as_of_s)
        for row, beside in zip(answer["results"], reading["results"], strict=True):
            row |= {f"{name}{IF_UNKNOWN}{policy}": value for name, value in beside.items()}
            for name in inner:
                field = OTHER_NAMES.get(name.partition("_by_")[0], name.partition("_by_")[0])
                row.setdefault(name, {})[policy] = beside.get(field, beside)
        answer[f"total_credit{IF_UNKNOWN}{policy}"] = reading["total_credit"]
        for name in mappings:
            row = reading["results"][0] if len(reading["results"]) == 1 else {}
            answer.setdefault(name, {})[policy] = row | reading
    return answer


def by_policy(expected: Json) -> Iterator[str]:
    """The names under which a case puts the policies beside each other."""
    for name, value in expected.items():
        if isinstance(value, dict) and value and set(value) <= set(POLICIES):
            yield name


def names_in_rows(expected: Json) -> list[str]:
    """The same inside rows: `credit_amount_by_policy` maps to amounts, another name to whole rows."""
    return sorted({name for row in expected.get("results", []) for name in by_policy(row)})


def is_in(part: str, unit: str) -> bool:
    """Whether a unit is the other, or a slot of it."""
    return part == unit or part.startswith(f"{unit}.")


def result_row(settled: Settlement, result: Result, contract: Contract) -> Json:
    """All that a settlement says of a unit, in the words of the format."""
    outcome, measured = result.worst.outcome, result.measure
    part = result.worst.lines[0]
    earned = part.earned
    due = next(due for due in settled.dues if due.unit == measured.unit)
    rule, unit = contract.rounding, measured.unit
    repairs = [one.amount for one in settled.others if unit in TOGETHER or is_in(one.unit, unit)]
    cutoff_s = settled.period.end_s + contract.evidence.correction_window_s
    return {
        "period": settled.period.label,
        "unit": measured.unit,
        "period_seconds": settled.period.seconds,
        "service_seconds": measured.service_s,
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
        "raw_availability": 1 - Fraction(measured.raw_down_s, outcome.denominator_s or 1),
        "up_seconds": outcome.denominator_s - outcome.downtime_s,
        "excluded_seconds": outcome.excluded_s,
        "unknown_seconds": measured.unknown_s,
        "contested_seconds": measured.contested_s,
        "base_amount": rounded(part.base, rule.decimals, rule.mode),
        "payable": None if due.highest is None else rounded(due.highest, rule.decimals, "half_up"),
        "claim_deadline": None if due.deadline_s is None else instant_text(due.deadline_s),
        "as_of": instant_text(min(settled.as_of_s, cutoff_s)),
        "version": "final" if settled.final else "provisional",
        "trigger": None,
        **({"repair_penalty": total_of(repairs)} if contract.repair else {}),
        **earned.facts,
    }
