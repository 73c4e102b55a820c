"""How every unit of a period went, and its outages, as the statement has them: a part of them at a time. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby
from operator import itemgetter

from collector.documents.document_layout import Bar, Cell, Lane, Section
from collector.documents.parts import outage_rows
from collector.documents.speaker import Speaker
from collector.documents.timeline import MAINTENANCE, UNDER_WAY, announced, hour_under_way, timeline
from collector.web.contract_summary import contract_path
from weighbridge.settlement.statement import Outage, Part, Statement, UnitLine, UnitTime

LANES_SHOWN = 40
OUTAGES_SHOWN = 25


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a long list. `before`, `after`: where those begin that come before and after it; None: there are none."""

    first: int
    last: int
    total: int
    before: int | None
    after: int | None


def piece(first: int, total: int, most: int) -> Piece:
    """So many from a place on; beyond the end the last ones."""
    start = min(first, max(total - 1, 0)) // most * most
    end = min(start + most, total)
    before = start - most if start else None
    return Piece(min(start + 1, total), end, total, before, end if end < total else None)


def lanes(
    statement: Statement, speak: Speaker, first: int, under_way: str
) -> tuple[list[Section], Piece]:
    """A picture for each part of the period, of the units that stand worst first. `under_way`: what the hour is called
    in which the statement was made."""
    ranked = _worst_first(statement)
    shown = piece(first, len(ranked), LANES_SHOWN)
    mine = sorted(ranked[shown.first - 1 if shown.total else 0 : shown.last], key=itemgetter(0))
    several = len(statement.parts) > 1
    found = []
    for number, chosen in groupby(mine, key=itemgetter(0)):
        part = statement.parts[number]
        times = tuple(time for _, time in chosen)
        suffix = f" · {speak.say('version')} {part.version}" if several else ""
        section = timeline(replace(part, times=times), speak, suffix)
        found.append(_marked(section, part, statement.as_of, speak, under_way))
    return found, shown


def _worst_first(statement: Statement) -> list[tuple[int, UnitTime]]:
    """With the number of the part. Units that are alike keep their order."""
    ranked = []
    for number, part in enumerate(statement.parts):
        shares = {(one.objective, one.unit): _share(one) for one in part.units}
        ranked += [(shares.get((one.objective, one.unit), 1), number, one) for one in part.times]
    ranked.sort(key=itemgetter(0))
    return [(number, time) for _, number, time in ranked]


def _share(unit: UnitLine) -> Fraction:
    return Fraction(unit.availability_fraction[0])


def _marked(section: Section, part: Part, as_of: str, speak: Speaker, under_way: str) -> Section:
    """With the maintenance above, and the hour under way in each lane."""
    drawn = section.timeline
    if drawn is None:
        return section
    hour, windows = hour_under_way(part, as_of, under_way, speak), announced(part, speak)
    above = [] if windows is None else [windows]
    legend = list(drawn.legend)
    if windows is not None:
        legend.append((MAINTENANCE, windows.name))
    if hour is not None:
        legend.append((UNDER_WAY, under_way))
    every = [*above, *drawn.lanes]
    marked = every if hour is None else [_with(lane, hour) for lane in every]
    return replace(section, timeline=replace(drawn, lanes=marked, legend=legend))


def _with(lane: Lane, bar: Bar) -> Lane:
    return replace(lane, bars=(*lane.bars, bar))


@dataclass(frozen=True, slots=True)
class OutageRow:
    """An outage in a list, its cells as in the statement. `state`: of the first of its causes; `entries`: of the log,
    first and last; `path`: its page."""

    objective: str
    unit: str
    start: str
    end: str
    seconds: int
    counted: str
    causes: str
    state: str
    entries: Sequence[int]
    path: str


def outages(statement: Statement, speak: Speaker, first: int) -> tuple[list[OutageRow], Piece]:
    """The longest first."""
    every = [(outage, unit) for unit, outage in every_outage(statement)]
    every.sort(key=lambda one: (-one[0].seconds_in_period, one[0].start))
    shown = piece(first, len(every), OUTAGES_SHOWN)
    mine = every[max(shown.first - 1, 0) : shown.last]
    return [outage_row(statement, unit, outage, speak) for outage, unit in mine], shown


def every_outage(statement: Statement) -> Iterator[tuple[UnitLine, Outage]]:
    """Of every unit of every part."""
    for part in statement.parts:
        for unit in part.units:
            for outage in unit.outages:
                yield unit, outage


def found_outage(statement: Statement, named: Mapping[str, str]) -> tuple[UnitLine, Outage] | None:
    """The one of this objective and unit that starts at this instant."""
    key = tuple(named.get(name) for name in ("objective", "unit", "start"))
    every = every_outage(statement)
    return next(
        (one for one in every if (one[0].objective, one[0].unit, one[1].start) == key), None
    )


def outage_row(statement: Statement, unit: UnitLine, outage: Outage, speak: Speaker) -> OutageRow:
    """One of a unit."""
    cells: Sequence[Cell] = next(iter(outage_rows(replace(unit, outages=(outage,)), speak)))
    named = {"objective": unit.objective, "unit": unit.unit, "start": outage.start}
    return OutageRow(
        objective=unit.objective,
        unit=unit.unit,
        start=outage.start,
        end=outage.end,
        seconds=outage.seconds_in_period,
        counted=cells[5].text,
        causes=cells[7].text,
        state=next((one.state for one in outage.causes), "unknown"),
        entries=tuple(dict.fromkeys(outage.entries or ())),
        path=contract_path(statement.contract, "outage", period=statement.period, **named),
    )
