"""The sections of one part of a statement: what one version of the contract rules."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from collector.statements import words
from collector.statements.sheet import (
    Bar,
    Cell,
    Column,
    Fact,
    Kind,
    Lane,
    Section,
    Table,
    Timeline,
)
from collector.statements.words import Language
from weighbridge.ledger import State
from weighbridge.settlement.money import rounded
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import CreditLine, Outage, Part, UnitLine

CAP = "cap_applied"
MILLION = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STATES = tuple(str(state) for state in State)


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things in one language, one currency and one zone."""

    language: Language
    currency: str
    time_zone: str

    def say(self, key: str, *values: str) -> str:
        """A word of the table."""
        return words.say(key, self.language, *values)

    def name(self, kind: str, code: str) -> str:
        """The word for a code, or the code."""
        return words.name(kind, code, self.language)

    def number(self, digits: str | int, raw: str = "") -> Cell:
        """A number, grouped."""
        return Cell(words.number(digits), raw or str(digits))

    def maybe(self, digits: str | int | None) -> Cell:
        """A number, or nothing where it was not read."""
        return Cell("") if digits is None else self.number(digits)

    def numbers(self, lowest: str | int, highest: str | int) -> Cell:
        """One number where both readings agree, else both."""
        low, high = words.number(lowest), words.number(highest)
        if lowest == highest:
            return Cell(low, str(lowest))
        return Cell(f"{low} {self.say('to')} {high}", f"{lowest} {highest}")

    def instant(self, text: str) -> Cell:
        """An instant with its offset."""
        return Cell(words.instant(text, self.language), text)

    def short(self, text: str) -> Cell:
        """An instant in a table of UTC times."""
        return Cell(words.short_instant(text, self.language), text)

    def local(self, text: str) -> Cell:
        """An instant on the clocks of the contract, with their offset."""
        there = datetime.fromisoformat(text).astimezone(ZoneInfo(self.time_zone))
        return Cell(words.instant(there.isoformat(), self.language), text)

    def amounts(self, lowest: str | None, highest: str | None) -> str:
        """An amount of money, or a range of it."""
        if lowest is None or highest is None:
            return self.say("open")
        low, high = (
            words.money(amount, self.currency, self.language) for amount in (lowest, highest)
        )
        return low if lowest == highest else f"{low} {self.say('to')} {high}"

    def amount(self, lowest: str | None, highest: str | None) -> Cell:
        """The same for a column whose head names the currency."""
        if lowest is None or highest is None:
            return Cell(self.say("open"))
        return self.numbers(lowest, highest)

    def note(self, text: str) -> str:
        """A note of the statement, as far as its pattern is known."""
        return words.note(text, self.language)

    def listed(self, items: Iterable[str]) -> str:
        """Several things in a row."""
        return self.say("comma").join(items)


Row = tuple[Cell, ...]
Head = tuple[str, Kind, int]


def part_sections(part: Part, speak: Speaker, several: bool) -> Iterator[Section]:
    """Every section of a part; `several`: there are other parts, so titles name the version."""
    suffix = ""
    if several:
        ends = f"{speak.instant(part.start).text} – {speak.instant(part.end).text}"
        suffix = f" · {speak.say('version')} {part.version} · {ends}"
    for key, build in SECTIONS.items():
        heads, rows = HEADS[key], tuple(build(part, speak))
        if rows or key in ALWAYS:
            yield _section(f"{key}-{part.version}", key, suffix, heads, rows, speak)
        if key == "states":
            yield _timeline(part, speak, suffix)


def _section(
    ident: str, key: str, suffix: str, heads: Sequence[Head], rows: Sequence[Row], speak: Speaker
) -> Section:
    title = speak.say(key) + suffix
    if not rows:
        return Section(ident, title, lines=(speak.say("none"),))
    facts: tuple[Fact, ...] = ()
    if heads[0] == OBJECTIVE and len({row[0].text for row in rows}) == 1:
        facts = (Fact(_head("objective", speak), rows[0][0], "code"),)
        heads, rows = heads[1:], [row[1:] for row in rows]
    columns = [
        Column(_head(head, speak), kind, weight)
        for number, (head, kind, weight) in enumerate(heads)
        if _used(rows, number)
    ]
    kept = [tuple(cell for number, cell in enumerate(row) if _used(rows, number)) for row in rows]
    return Section(ident, title, facts=facts, table=Table(columns, kept))


def _used(rows: Sequence[Row], number: int) -> bool:
    """A column that is empty in every row is left out."""
    return any(row[number].text != "" for row in rows)


def _head(head: str, speak: Speaker) -> str:
    if head.startswith("state."):
        return speak.say(head)
    title = speak.say(head)
    return f"{title} {speak.currency}" if head in MONEY else title


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
            speak.maybe(line.utilization),
            speak.maybe(line.energy_joules),
        )


def _hours(seconds: int | None, speak: Speaker) -> Cell:
    if seconds is None:
        return Cell("")
    return speak.number(f"{rounded(Fraction(seconds, HOUR_S), 2, 'down'):f}", raw=str(seconds))


def _fees(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.fees:
        yield (
            Cell(line.resource),
            Cell(speak.name("price", line.unit), line.unit),
            speak.number(line.gross),
            speak.number(line.unbilled),
            speak.number(line.net),
            speak.number(line.tax),
            Cell(speak.say("yes" if line.prepaid else "no")),
        )


def _units(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        yield (
            Cell(unit.objective),
            Cell(unit.unit),
            _verdict(unit.verdict, speak),
            speak.numbers(*unit.availability),
            speak.numbers(*unit.availability_fraction),
            Cell(unit.target),
        )


def _verdict(verdict: str, speak: Speaker) -> Cell:
    return Cell(speak.name("verdict", verdict), verdict, verdict.lower())


def _time(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        yield (
            Cell(unit.objective),
            Cell(unit.unit),
            speak.number(unit.service_seconds),
            speak.number(unit.denominator_seconds),
            speak.numbers(*unit.counted_seconds),
            speak.number(unit.raw_down_seconds),
            speak.number(unit.excluded_seconds),
            speak.number(unit.unknown_seconds),
            speak.number(unit.contested_seconds),
        )


def _states(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        if unit.seconds:
            values = [unit.seconds.get(state, 0) for state in STATES]
            yield Cell(unit.objective), Cell(unit.unit), *map(speak.number, values)


def _outages(part: Part, speak: Speaker) -> Iterator[Row]:
    for unit in part.units:
        for outage in unit.outages:
            yield (
                Cell(unit.objective),
                Cell(unit.unit),
                speak.short(outage.start),
                speak.short(outage.end),
                speak.number(outage.seconds_in_period),
                Cell(speak.say("yes" if outage.counted else "no")),
                Cell(speak.listed(_cause(cause, speak) for cause in outage.causes)),
                _entries(outage),
            )


def _entries(outage: Outage) -> Cell:
    """The entries of the log that hold the evidence, first and last."""
    if outage.entries is None:
        return Cell("")
    first, last = outage.entries
    return Cell(str(first) if first == last else f"{first}–{last}", f"{first} {last}")


def _cause(cause: str, speak: Speaker) -> str:
    """`down:xid` with the state in words; the cause itself is the ledger's."""
    state, colon, rest = cause.partition(":")
    return f"{speak.name('state', state)}{speak.say('colon') if colon else ''}{rest}"


def _windows(part: Part, speak: Speaker) -> Iterator[Row]:
    """Where the window of an objective moves: the worst one, and when such a window held too much."""
    for unit in part.units:
        found = [("worst_window", unit.window)] if unit.window is not None else []
        found += [("breach", breach) for breach in unit.breaches]
        for key, (start, end) in found:
            yield (
                Cell(unit.objective),
                Cell(unit.unit),
                Cell(speak.say(key)),
                speak.short(start),
                speak.short(end),
            )


def _probes(part: Part, speak: Speaker) -> Iterator[Row]:
    for probe in part.probes:
        yield (
            Cell(probe.objective),
            _verdict(probe.verdict, speak),
            Cell(probe.share),
            Cell(probe.share_fraction),
            Cell(probe.target),
            speak.number(probe.good),
            speak.number(probe.valid),
            speak.number(probe.scheduled),
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
            _verdict(line.verdict, speak),
            speak.numbers(*line.least_healthy),
            speak.numbers(*line.short_hours),
        )


def _clocks(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.clocks:
        yield (
            Cell(line.objective),
            Cell(line.unit),
            _verdict(line.verdict, speak),
            speak.short(line.start),
            Cell(speak.say("running")) if line.end is None else speak.short(line.end),
            speak.number(line.seconds),
            speak.number(line.objective_seconds),
        )


def _credit(line: CreditLine, speak: Speaker) -> Row:
    return (
        Cell(line.credit),
        Cell(formula(line.formula, speak)),
        speak.number(line.base),
        Cell(line.tier or ""),
        speak.amount(line.lowest, line.highest),
        Cell(speak.name("form", line.form), line.form),
        Cell("") if line.expires is None else speak.local(line.expires),
        Cell(speak.listed(speak.name("flag", flag) for flag in line.flags)),
    )


def formula(text: str, speak: Speaker) -> str:
    """The kind of credit in words, then its numbers as they are."""
    kind, colon, rest = text.partition(": ")
    gap = words.say("no_row", "en")
    rest = speak.say("no_row") if rest == gap else rest.replace(" x ", " × ")
    return f"{speak.name('kind', kind)}{speak.say('colon') if colon else ''}{rest}"


def _maintenance(part: Part, speak: Speaker) -> Iterator[Row]:
    for line in part.maintenance:
        yield (
            Cell(line.id),
            speak.short(line.start),
            speak.short(line.end),
            speak.short(line.notice_received),
            Cell(speak.name("ruling", line.ruling), line.ruling),
            speak.number(line.excluded_seconds),
        )


def _claims(part: Part, speak: Speaker) -> Iterator[Row]:
    for due in part.dues:
        yield (
            Cell(due.unit),
            Cell(speak.name("standing", due.standing), due.standing),
            Cell("") if due.deadline is None else speak.local(due.deadline),
            speak.amount(due.earned, due.earned),
            speak.amount(due.lowest, due.highest),
        )


SECTIONS: dict[str, Callable[[Part, Speaker], Iterator[Row]]] = {
    "delivery": _delivery,
    "fees": _fees,
    "units": _units,
    "time": _time,
    "states": _states,
    "outages": _outages,
    "windows": _windows,
    "probes": _probes,
    "credits": _credits,
    "floors": _floors,
    "clocks": _clocks,
    "others": _others,
    "by_lessee": _by_lessee,
    "maintenance": _maintenance,
    "claims": _claims,
}
ALWAYS = ("outages", "maintenance", "claims")
"""Sections that say `none` when there is nothing: their absence would be read as an oversight."""

MONEY = ("gross", "unbilled", "net", "tax", "base", "amount", "earned", "owed")
OBJECTIVE: Head = ("objective", "code", 4)
"""Named once above the table where all rows have the same."""

UNIT: tuple[Head, ...] = (OBJECTIVE, ("unit", "code", 6))
HEADS: dict[str, tuple[Head, ...]] = {
    "delivery": (
        ("resource", "code", 4),
        ("contracted_hours", "number", 4),
        ("reporting_hours", "number", 4),
        ("healthy_hours", "number", 4),
        ("in_use_hours", "number", 4),
        ("contracted_p", "number", 4),
        ("healthy_p", "number", 4),
        ("utilization", "number", 3),
        ("energy", "number", 4),
    ),
    "fees": (
        ("resource", "code", 4),
        ("price", "text", 3),
        ("gross", "number", 4),
        ("unbilled", "number", 4),
        ("net", "number", 4),
        ("tax", "number", 3),
        ("prepaid", "text", 2),
    ),
    "units": (
        *UNIT,
        ("verdict", "text", 4),
        ("availability", "number", 5),
        ("exactly", "number", 5),
        ("target", "number", 3),
    ),
    "time": (
        *UNIT,
        ("service", "number", 4),
        ("denominator", "number", 4),
        ("counted", "number", 4),
        ("raw", "number", 4),
        ("excluded", "number", 4),
        ("unknown", "number", 4),
        ("contested", "number", 4),
    ),
    "states": (*UNIT, *((f"state.{state}", "number", 4) for state in STATES)),
    "outages": (
        *UNIT,
        ("start", "time", 5),
        ("end", "time", 5),
        ("seconds", "number", 3),
        ("counts_column", "text", 3),
        ("cause", "text", 6),
        ("entries", "number", 3),
    ),
    "windows": (*UNIT, ("item", "text", 5), ("start", "time", 5), ("end", "time", 5)),
    "probes": (
        ("objective", "code", 4),
        ("verdict", "text", 3),
        ("share", "number", 4),
        ("exactly", "number", 4),
        ("target", "number", 3),
        ("good", "number", 3),
        ("valid", "number", 3),
        ("scheduled", "number", 3),
    ),
    "credits": (
        ("unit", "code", 5),
        ("credit", "code", 4),
        ("formula", "text", 8),
        ("base", "number", 4),
        ("tier", "code", 4),
        ("amount", "number", 4),
        ("form", "text", 3),
        ("expires", "time", 4),
        ("remarks", "text", 4),
    ),
    "others": (
        ("credit", "code", 4),
        ("formula", "text", 8),
        ("base", "number", 4),
        ("tier", "code", 4),
        ("amount", "number", 4),
        ("form", "text", 3),
        ("expires", "time", 4),
        ("remarks", "text", 4),
    ),
    "by_lessee": (
        ("credit", "code", 4),
        ("formula", "text", 8),
        ("base", "number", 4),
        ("tier", "code", 4),
        ("amount", "number", 4),
        ("form", "text", 3),
        ("expires", "time", 4),
        ("remarks", "text", 4),
    ),
    "floors": (
        ("floor", "number", 3),
        ("measure", "code", 2),
        ("verdict", "text", 3),
        ("least_healthy", "number", 4),
        ("short_hours", "number", 4),
    ),
    "clocks": (
        *UNIT,
        ("verdict", "text", 3),
        ("start", "time", 5),
        ("end", "time", 5),
        ("seconds", "number", 3),
        ("allowed", "number", 3),
    ),
    "maintenance": (
        ("item", "code", 4),
        ("start", "time", 5),
        ("end", "time", 5),
        ("notice", "time", 5),
        ("ruling", "text", 4),
        ("excluded", "number", 3),
    ),
    "claims": (
        ("unit", "code", 5),
        ("standing", "text", 5),
        ("deadline", "time", 5),
        ("earned", "number", 4),
        ("owed", "number", 4),
    ),
}


LEGEND = {
    "rest": "rest",
    "down": "state.down",
    "degraded": "state.degraded",
    "contested": "state.contested",
    "unknown": "state.unknown",
    "short": "short_outage",
    "excluded": "maintenance_window",
}
"""Tones of a timeline."""

SEEN = ("down", "degraded", "contested", "unknown")
"""An outage of several causes is drawn as the first of these: what was seen before what nobody saw."""


def _timeline(part: Part, speak: Speaker, suffix: str) -> Section:
    lanes = tuple(_lane(part, unit, speak) for unit in part.units)
    legend = tuple((tone, speak.say(word)) for tone, word in LEGEND.items())
    ends = (speak.instant(part.start).text, speak.instant(part.end).text)
    return Section(
        f"timeline-{part.version}",
        speak.say("timeline") + suffix,
        speak.say("timeline_note"),
        timeline=Timeline(*ends, lanes, legend),
    )


def _lane(part: Part, unit: UnitLine, speak: Speaker) -> Lane:
    bars = [
        _bar(part, "excluded", window.start, window.end, window.id) for window in part.maintenance
    ]
    bars += [_outage_bar(part, outage, speak) for outage in unit.outages]
    label = speak.say("timeline_label", unit.unit)
    return Lane(unit.unit, label, tuple(bar for bar in bars if bar.length > 0))


def _outage_bar(part: Part, outage: Outage, speak: Speaker) -> Bar:
    states = {cause.partition(":")[0] for cause in outage.causes}
    tone = next((state for state in SEEN if state in states), "down")
    if not outage.counted:
        tone = "short"
    causes = speak.listed(_cause(cause, speak) for cause in outage.causes)
    return _bar(part, tone, outage.start, outage.end, causes)


def _bar(part: Part, tone: str, start: str, end: str, title: str) -> Bar:
    """In millionths of the part, cut to it."""
    first, last = _seconds(part.start), _seconds(part.end)
    inside = [min(max(_seconds(text), first), last) for text in (start, end)]
    left, right = ((at - first) * MILLION // max(last - first, 1) for at in inside)
    return Bar(tone, left, right - left, f"{title}: {start} – {end}")


def _seconds(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(seconds=1)
