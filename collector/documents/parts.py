"""The sections of one part of a statement: what one version of the contract rules."""

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from collector.documents import words
from collector.documents.columns import STATES, Row, table
from collector.documents.document_layout import Cell, Section
from collector.documents.speaker import Speaker
from collector.documents.timeline import timeline
from weighbridge.judge.ledger import State
from weighbridge.settlement.money import rounded
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import CreditLine, FeeLine, Outage, Part, UnitLine

CAP = "cap_applied"
SHARE = re.compile(r"[0-9./]+")
ALWAYS = ("outages", "maintenance", "claims")
"""Sections that say `none` when there is nothing: their absence would be read as an oversight."""


def part_sections(part: Part, speak: Speaker, several: bool) -> Iterator[Section]:
    """Every section of a part; `several`: there are other parts, so titles name the version."""
    suffix = ""
    if several:
        ends = f"{speak.local(part.start).text} – {speak.local(part.end).text}"
        suffix = f" · {speak.say('version')} {part.version} · {ends}"
    for key, build in SECTIONS.items():
        rows = tuple(build(part, speak))
        if rows or key in ALWAYS:
            yield table(speak, key, rows, suffix=suffix, version=part.version)
        if key == "states":
            yield timeline(part, speak, suffix)


def _delivery(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.delivery:
        yield (
            Cell(line.resource),
            _hours(line.contracted_gpu_seconds, speak),
            _hours(line.reporting_gpu_seconds, speak),
            _hours(line.healthy_gpu_seconds, speak),
            _hours(line.in_use_gpu_seconds, speak),
            speak.maybe(line.contracted_p_hours),
            speak.maybe(line.healthy_p_hours),
            speak.percent(line.utilization),
            speak.maybe(line.energy_joules),
        )


def _hours(seconds: int | None, speak: Speaker) -> Cell:
    if seconds is None:
        return Cell("")
    return speak.number(f"{rounded(Fraction(seconds, HOUR_S), 2, 'down'):f}", raw=str(seconds))


def _fees(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.fees:
        yield (
            speak.coded("price", line.resource),
            priced(line, speak),
            speak.maybe(line.quantity),
            speak.number(line.gross),
            speak.number(line.unbilled),
            speak.number(line.net),
            speak.number(line.tax),
            speak.yes(line.prepaid),
        )


def priced(line: FeeLine, speak: Speaker) -> Cell:
    """What it is a price of; of P, with their precision."""
    name = speak.name("price", line.unit)
    return Cell(name if line.precision is None else f"{name} ({line.precision})", line.unit)


def _units(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        yield unit_row(unit, speak)


def unit_row(unit: UnitLine, speak: Speaker) -> Row:
    """What was promised of a unit, and what came."""
    return (
        Cell(unit.objective),
        Cell(unit.unit),
        speak.verdict(unit.verdict),
        speak.percents(*unit.availability),
        speak.numbers(*unit.availability_fraction),
        speak.percent(unit.target),
    )


def _time(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        yield (
            Cell(unit.objective),
            Cell(unit.unit),
            speak.number(unit.service_seconds),
            speak.number(unit.denominator_seconds),
            speak.numbers(*unit.counted_seconds),
            speak.number(unit.raw_down_seconds),
            speak.number(unit.uncounted_seconds),
            speak.number(unit.excluded_seconds),
            speak.number(unit.unknown_seconds),
            speak.number(unit.contested_seconds),
        )


def _states(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        if unit.seconds:
            values: dict[str, int] = {**dict.fromkeys(State, 0), **unit.seconds}
            told = [
                speak.number(values[state]) if state in values else Cell("") for state in STATES
            ]
            yield Cell(unit.objective), Cell(unit.unit), *told


def _evidence(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.evidence:
        words = (
            speak.say("colon").join((speak.name("against", code), speak.number(seconds).text))
            for code, seconds in line.contradicted.items()
        )
        yield (
            Cell(line.unit),
            speak.number(line.agreed_seconds),
            speak.number(line.provider_seconds),
            speak.number(line.lessee_seconds),
            speak.number(sum(line.contradicted.values())),
            Cell(speak.listed(words), " ".join(line.contradicted)),
            speak.number(line.contested_seconds),
            speak.number(line.unknown_seconds),
            speak.maybe(line.late_seconds or None),
        )


def _cadence(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.cadence:
        yield (
            Cell(line.node),
            speak.number(line.interval),
            _hours(line.contracted_gpu_seconds, speak),
            _hours(line.heard_gpu_seconds, speak),
            _hours(line.sampled_gpu_seconds, speak),
            speak.percent(line.kept),
            speak.percent(line.coverage),
        )


def _reach(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.reach:
        said = (
            speak.say("colon").join((name, " / ".join(speak.number(one).text for one in seconds)))
            for name, seconds in line.witnesses.items()
        )
        yield (
            Cell(line.node),
            speak.number(line.reached_seconds),
            speak.number(line.unreached_seconds),
            speak.number(line.unknown_seconds),
            Cell(speak.listed(said)),
            speak.maybe(line.late_gpu_seconds or None),
        )


def _outages(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        yield from outage_rows(unit, speak)


def outage_rows(unit: UnitLine, speak: Speaker) -> Iterator[Row]:
    """When a unit was out, whether that counts, and why."""
    for outage in unit.outages:
        yield (
            Cell(unit.objective),
            Cell(unit.unit),
            speak.short(outage.start),
            speak.short(outage.end),
            speak.number(outage.seconds_in_period),
            _counted(outage, speak),
            _held(outage, speak),
            Cell(speak.listed(speak.cause(cause, unit.unit) for cause in outage.causes)),
            _entries(outage),
        )


def _counted(outage: Outage, speak: Speaker) -> Cell:
    if outage.counted and not outage.certain:
        return Cell(speak.say("counted.held"), "held")
    return speak.yes(outage.counted)


def _held(outage: Outage, speak: Speaker) -> Cell:
    told = (" – ".join(speak.short(edge).text for edge in one) for one in outage.held)
    return Cell(speak.listed(told), " ".join("/".join(one) for one in outage.held))


def _entries(outage: Outage) -> Cell:
    """The entries of the log that hold the evidence, first and last."""
    if outage.entries is None:
        return Cell("")
    first, last = outage.entries
    return Cell(str(first) if first == last else f"{first}–{last}", str(first), highest=str(last))


def _windows(part: Part, speak: Speaker) -> Iterator[Row]:
    """Where the window of an objective moves: the worst one, and when such a window held too much."""
    for unit in part.units:
        found = [("worst_window", unit.window)] if unit.window is not None else []
        found += [("breach", breach) for breach in unit.breaches]
        for key, (start, end) in found:
            yield (
                Cell(unit.objective),
                Cell(unit.unit),
                Cell(speak.say(key), key),
                speak.short(start),
                speak.short(end),
            )


def _probes(part: Part, speak: Speaker) -> Iterator[Row]:
    for probe in part.probes:
        yield (
            Cell(probe.objective),
            speak.verdict(probe.verdict),
            speak.percent(probe.share),
            Cell(probe.share_fraction),
            speak.percent(probe.target),
            speak.number(probe.good),
            speak.number(probe.valid),
            speak.number(probe.scheduled),
        )


def _series(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.series:
        yield (
            speak.short(line.at),
            Cell(line.node),
            speak.coded("asked", line.cause),
            speak.coded("proof", line.verdict),
            speak.number(line.gpus),
            speak.maybe(line.least),
            speak.yes(line.counts),
        )


def _credits(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        for line in unit.credits:
            yield Cell(unit.unit), *_credit(line, speak)


def _others(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.others:
        yield _credit(line, speak)


def _by_lessee(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.by_lessee:
        yield _credit(line, speak)


def _floors(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.floors:
        yield (
            speak.number(line.floor),
            Cell(line.unit),
            speak.verdict(line.verdict),
            speak.numbers(*line.least_healthy),
            speak.numbers(*line.short_hours),
        )


def _clocks(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.clocks:
        yield (
            Cell(line.objective),
            Cell(line.unit),
            speak.verdict(line.verdict),
            speak.short(line.start),
            Cell(speak.say("running"), "running") if line.end is None else speak.short(line.end),
            speak.number(line.seconds),
            speak.number(line.objective_seconds),
        )


def _credit(line: CreditLine, speak: Speaker) -> Row:
    return (
        Cell(line.credit),
        Cell(speak.formula(line), line.formula.code),
        speak.number(line.base),
        Cell(_tier(line.tier or "", speak), line.tier or ""),
        speak.amount(line.lowest, line.highest),
        speak.coded("form", line.form),
        Cell("") if line.expires is None else speak.short(line.expires),
        Cell(speak.listed(speak.name("flag", flag) for flag in line.flags), " ".join(line.flags)),
    )


def _tier(tier: str, speak: Speaker) -> str:
    """A row of shares as percentages, as its ends are in it or not."""
    return SHARE.sub(lambda found: words.percent(found[0], speak.language), tier)


def _maintenance(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.maintenance:
        yield (
            Cell(line.id),
            speak.short(line.start),
            speak.short(line.end),
            speak.short(line.notice_received),
            speak.coded("ruling", line.ruling),
            speak.number(line.excluded_seconds),
        )


def _claims(part: Part, speak: Speaker) -> Iterator[Row]:
    for due in part.dues:
        of = f" ({speak.listed(due.credits)})" if due.credits else ""
        yield (
            Cell(f"{due.unit}{of}", due.unit),
            speak.coded("standing", due.standing),
            Cell("") if due.opens is None else speak.short(due.opens),
            Cell("") if due.deadline is None else speak.short(due.deadline),
            speak.amount(due.earned, due.earned),
            speak.amount(due.lowest, due.highest),
        )


SECTIONS: dict[str, Callable[[Part, Speaker], Iterator[Row]]] = {
    "delivery": _delivery,
    "fees": _fees,
    "units": _units,
    "time": _time,
    "states": _states,
    "evidence": _evidence,
    "cadence": _cadence,
    "reach": _reach,
    "outages": _outages,
    "windows": _windows,
    "probes": _probes,
    "series": _series,
    "credits": _credits,
    "floors": _floors,
    "clocks": _clocks,
    "others": _others,
    "by_lessee": _by_lessee,
    "maintenance": _maintenance,
    "claims": _claims,
}
