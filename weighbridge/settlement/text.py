"""A statement as plain text, for a terminal and for a file that people sign."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from weighbridge.settlement.money import round_half_up
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import CreditLine, Delivery, Part, Statement, UnitLine

LONGEST_LIST = 50
"""Outages of one unit that are listed; the JSON has all of them."""


def text(statement: Statement) -> str:
    """The whole statement; the expanded terms of each version come last."""
    lines = [
        *_head(statement),
        *(line for part in statement.parts for line in _part(part, statement.currency)),
        *_section("Replaced GPUs", statement.swaps),
        *_section("To look at", statement.flags),
        *(f"\n{note}" for note in statement.notes),
        *(line for part in statement.parts for line in _terms(part)),
    ]
    return "\n".join(lines) + "\n"


def _head(statement: Statement) -> Iterator[str]:
    if statement.simulated:
        yield "SIMULATED: nothing below was measured on real hardware.\n"
    yield f"Statement of contract {statement.contract}, period {statement.period}"
    yield f"{'final' if statement.final else 'provisional'}, as of {statement.as_of}"
    yield f"from {statement.local_start} ({statement.start})"
    yield f"to   {statement.local_end} ({statement.end}), {statement.time_zone}"
    yield f"engine {statement.engine}, inputs {statement.inputs_digest}"
    yield f"\nCredits due: {_range(statement.lowest, statement.highest)} {statement.currency}"


def _part(part: Part, currency: str) -> Iterator[str]:
    yield f"\nVersion {part.version} of the contract, {part.start} to {part.end}"
    yield f"text {part.text_digest}"
    yield from _section("Delivered", map(_delivery, part.delivery))
    yield from _section(
        "Fees",
        (
            f"{fee.resource}: gross {fee.gross}, not billed {fee.unbilled}, net {fee.net} {currency}"
            for fee in part.fees
        ),
    )
    for unit in part.units:
        yield from _unit(unit, currency)
    yield from _section(
        "Probes",
        (
            f"{one.objective}: {one.verdict}, {one.share} against {one.target}; "
            f"good {one.good} of {one.valid} answered, {one.scheduled} due"
            for one in part.probes
        ),
    )
    yield from _section("Other credits", (_credit(line, currency) for line in part.others))
    yield from _section(
        "Maintenance",
        (
            f"{window.id}: {window.start} to {window.end}, notice {window.notice_received}, "
            f"{window.ruling}, {window.excluded_seconds} s excluded"
            for window in part.maintenance
        ),
    )
    yield from _section(
        "Claims",
        (
            f"{due.unit}: earned {due.earned or 'an amount that is open'}, {due.standing}, "
            f"due {_range(due.lowest, due.highest)} {currency}"
            + (f", claim before {due.deadline}" if due.deadline else "")
            for due in part.dues
        ),
    )


def _delivery(line: Delivery) -> str:
    hours = [
        f"{name} {round_half_up(Fraction(seconds, HOUR_S), 2):f} GPU-h"
        for name, seconds in (
            ("contracted", line.contracted_gpu_seconds),
            ("reporting", line.reporting_gpu_seconds),
            ("healthy", line.healthy_gpu_seconds),
        )
    ]
    if line.contracted_p_hours is not None:
        hours.append(f"{line.healthy_p_hours} of {line.contracted_p_hours} P-h")
    return f"{line.resource}: {', '.join(hours)}"


def _unit(unit: UnitLine, currency: str) -> Iterator[str]:
    low, high = unit.availability
    yield f"\n  {unit.objective} / {unit.unit}: {unit.verdict}"
    yield f"    availability {_range(low, high)} against {unit.target}"
    yield f"    exactly {_range(*unit.availability_fraction)}"
    least, most = unit.counted_seconds
    yield (
        f"    counted {_range(str(least), str(most))} of {unit.denominator_seconds} s; raw {unit.raw_down_seconds}, "
        f"excluded {unit.excluded_seconds}, unknown {unit.unknown_seconds}, contested {unit.contested_seconds}"
    )
    if unit.window is not None:
        yield f"    worst window {unit.window[0]} to {unit.window[1]}"
    for start, end in unit.breaches:
        yield f"    the window held too much downtime from {start} to {end}"
    for outage in unit.outages[:LONGEST_LIST]:
        counted = "" if outage.counted else ", too short to count"
        causes = ", ".join(outage.causes)
        yield f"    {outage.start} to {outage.end}: {outage.seconds_in_period} s, {causes}{counted}"
    if len(unit.outages) > LONGEST_LIST:
        yield f"    and {len(unit.outages) - LONGEST_LIST} more"
    for line in unit.credits:
        yield f"    {_credit(line, currency)}"


def _credit(line: CreditLine, currency: str) -> str:
    tier = f", tier {line.tier}" if line.tier else ""
    flags = f" ({', '.join(line.flags)})" if line.flags else ""
    return f"{line.credit}: {line.formula}{tier} = {_range(line.lowest, line.highest)} {currency}{flags}"


def _terms(part: Part) -> Iterator[str]:
    yield f"\nTerms of version {part.version}, every default written out"
    yield from (f"  {line}" for line in part.terms.splitlines())


def _section(title: str, lines: Iterable[str]) -> Sequence[str]:
    found = [f"  {line}" for line in lines]
    return [f"\n{title}", *found] if found else []


def _range(lowest: str | None, highest: str | None) -> str:
    """One number where both readings agree."""
    if lowest is None or highest is None:
        return "open: the contract gives no answer"
    return lowest if lowest == highest else f"{lowest} to {highest}"
