"""A document as one table of lines (RFC 4180): one fact a line, numbers ungrouped, times as UTC.

Text that a spreadsheet would take for a formula gets an apostrophe in front.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

from collector.documents.sheet import Fact, Sheet, Table
from collector.documents.sheets import Document, sheet_of
from collector.documents.words import Language, name, note, say
from weighbridge.judge.ledger import State
from weighbridge.settlement.statement import (
    CreditLine,
    Outage,
    Part,
    ProbeLine,
    Statement,
    UnitLine,
    differences,
    versions,
)

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Line:
    """A line; its fields are the columns. `lowest` and `highest` are equal where nothing is held."""

    section: str
    item: str
    version: str = ""
    objective: str = ""
    unit: str = ""
    start: str = ""
    end: str = ""
    lowest: str = ""
    highest: str = ""
    measure: str = ""
    verdict: str = ""
    detail: str = ""


COLUMNS = tuple(field.name for field in fields(Line))


def render(document: Document, language: Language, previous: Statement | None = None) -> bytes:
    """UTF-8; in Chinese with the byte order mark without which spreadsheets misread it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([say(column, language) for column in COLUMNS])
    for line in _lines(document, language, previous):
        writer.writerow([_safe(getattr(line, column)) for column in COLUMNS])
    mark = BYTE_ORDER_MARK if language == "zh" else ""
    return f"{mark}{out.getvalue()}".encode()


def _lines(document: Document, language: Language, previous: Statement | None) -> Iterator[Line]:
    if isinstance(document, Statement):
        return _Lines(document, language).every(previous)
    return _of_sheet(sheet_of(document, language), language)


def _of_sheet(sheet: Sheet, language: Language) -> Iterator[Line]:
    """What a sheet shows, a fact or a cell a line; the first cell of a row says which unit it is about."""
    head = say("head", language)
    if sheet.warning:
        yield Line(head, sheet.watermark, detail=sheet.warning)
    yield Line(head, sheet.title, verdict=sheet.status, detail=sheet.subtitle)
    yield Line(head, sheet.amount_title, detail=sheet.amount)
    yield from (_fact(head, fact) for fact in sheet.facts)
    for section in (*sheet.front, *sheet.sections, *sheet.appendices):
        yield from (_fact(section.title, fact) for fact in section.facts)
        yield from (Line(section.title, "", detail=line) for line in section.lines)
        if section.table is not None:
            yield from _of_table(section.title, section.table)


def _fact(section: str, fact: Fact) -> Line:
    return Line(section, fact.name, detail=fact.value.raw or fact.value.text)


def _of_table(section: str, table: Table) -> Iterator[Line]:
    for row in table.rows:
        for column, cell in zip(table.columns[1:], row[1:], strict=True):
            line = Line(section, column.title, unit=row[0].raw or row[0].text)
            told = cell.raw or cell.text
            if told and cell.tone:
                yield replace(line, verdict=cell.text)
            elif told and column.kind == "number" and NUMBER.fullmatch(told):
                yield _same(line, told)
            elif told:
                yield replace(line, detail=told)


def _safe(text: str) -> str:
    if text.startswith(FORMULA) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


@dataclass(frozen=True)
class _Lines:
    statement: Statement
    language: Language

    def say(self, key: str) -> str:
        return say(key, self.language)

    def every(self, previous: Statement | None) -> Iterator[Line]:
        yield from self._head()
        for part in self.statement.parts:
            yield from self._part(part)
        for swap in self.statement.swaps:
            yield Line(self.say("swaps"), "", detail=swap)
        for flag in self.statement.flags:
            yield Line(self.say("flags"), flag, detail=name("flag", flag, self.language))
        for told in self.statement.notes:
            yield Line(self.say("notes"), "", detail=note(told, self.language))
        for one in self.statement.exits:
            standing = name("exit", one.standing, self.language)
            told = "; ".join((one.condition, *one.missed, *one.open, one.remedy))
            yield Line(
                self.say("exits"), one.party, objective=one.objective, verdict=standing, detail=told
            )
        if previous is not None:
            for changed in differences(previous, self.statement):
                yield Line(self.say("differences"), "", detail=changed)

    def _head(self) -> Iterator[Line]:
        one, section = self.statement, self.say("head")
        if one.simulated:
            yield Line(section, self.say("simulated"), detail=self.say("simulated_long"))
        for key, text in (
            ("contract", one.contract),
            ("status", self.say("final" if one.final else "provisional")),
            ("as_of", one.as_of),
            ("time_zone", one.time_zone),
            *versions(one).items(),
            ("inputs", one.inputs_digest),
        ):
            yield Line(section, self.say(key), detail=text)
        local = f"{one.local_start} / {one.local_end}"
        yield Line(section, self.say("period"), start=one.start, end=one.end, detail=local)
        yield self._money(Line(section, self.say("credits_due")), one.lowest, one.highest)

    def _money(self, line: Line, lowest: str | None, highest: str | None) -> Line:
        return replace(
            line,
            lowest=self.say("open") if lowest is None else lowest,
            highest=self.say("open") if highest is None else highest,
            measure=self.statement.currency,
        )

    def _part(self, part: Part) -> Iterator[Line]:
        version = str(part.version)
        ends = {"version": version, "start": part.start, "end": part.end}
        yield Line(self.say("contract"), self.say("text_digest"), **ends, detail=part.text_digest)
        yield from self._delivery(part)
        for fee in part.fees:
            for key, amount in (
                ("gross", fee.gross),
                ("unbilled", fee.unbilled),
                ("net", fee.net),
                ("tax", fee.tax),
            ):
                line = Line(self.say("fees"), self.say(key), version, unit=fee.resource)
                line = replace(line, detail=name("price", fee.unit, self.language))
                yield self._money(line, amount, amount)
        for unit in part.units:
            yield from self._unit(version, unit)
        for probe in part.probes:
            yield from self._probe(version, probe)
        for credit in part.others:
            yield self._credit(Line(self.say("others"), credit.credit, version), credit)
        for credit in part.by_lessee:
            yield self._credit(Line(self.say("by_lessee"), credit.credit, version), credit)
        yield from self._floors_and_clocks(part)
        yield from self._maintenance(part)
        yield from self._claims(part)

    def _delivery(self, part: Part) -> Iterator[Line]:
        for line in part.delivery:
            for key, amount, measure in (
                ("contracted", line.contracted_gpu_seconds, "GPU-s"),
                ("reporting", line.reporting_gpu_seconds, "GPU-s"),
                ("healthy", line.healthy_gpu_seconds, "GPU-s"),
                ("in_use", line.in_use_gpu_seconds, "GPU-s"),
                ("energy", line.energy_joules, "J"),
                ("utilization", line.utilization, ""),
                ("contracted_p", line.contracted_p_hours, "P-h"),
                ("healthy_p", line.healthy_p_hours, "P-h"),
            ):
                if amount is not None:
                    one = Line(
                        self.say("delivery"),
                        self.say(key),
                        str(part.version),
                        unit=line.resource,
                        measure=measure,
                    )
                    yield _same(one, str(amount))

    def _unit(self, version: str, unit: UnitLine) -> Iterator[Line]:
        place = {"version": version, "objective": unit.objective, "unit": unit.unit}
        section = self.say("units")
        verdict = name("verdict", unit.verdict, self.language)
        low, high = unit.availability
        yield Line(
            section,
            self.say("availability"),
            **place,
            lowest=low,
            highest=high,
            verdict=verdict,
            detail=self._against(unit.target, *unit.availability_fraction),
        )
        yield from self._times(place, unit)
        for outage in unit.outages:
            yield Line(
                self.say("outages"),
                self.say("counts_column") if outage.counted else self.say("short_outage"),
                **place,
                start=outage.start,
                end=outage.end,
                lowest=str(outage.seconds_in_period),
                highest=str(outage.seconds_in_period),
                measure="s",
                detail="; ".join((*outage.causes, *self._entries(outage))),
            )
        windows = [("worst_window", unit.window)] if unit.window is not None else []
        windows += [("breach", breach) for breach in unit.breaches]
        for key, (start, end) in windows:
            yield Line(self.say("windows"), self.say(key), **place, start=start, end=end)
        for credit in unit.credits:
            yield self._credit(Line(self.say("credits"), credit.credit, **place), credit)

    def _entries(self, outage: Outage) -> Iterator[str]:
        if outage.entries is not None:
            first, last = outage.entries
            yield f"{self.say('entries')} {first}–{last}"

    def _times(self, place: dict[str, str], unit: UnitLine) -> Iterator[Line]:
        least, most = unit.counted_seconds
        for key, lowest, highest in (
            ("service", unit.service_seconds, unit.service_seconds),
            ("denominator", unit.denominator_seconds, unit.denominator_seconds),
            ("counted", least, most),
            ("raw", unit.raw_down_seconds, unit.raw_down_seconds),
            ("excluded", unit.excluded_seconds, unit.excluded_seconds),
            ("unknown", unit.unknown_seconds, unit.unknown_seconds),
            ("contested", unit.contested_seconds, unit.contested_seconds),
        ):
            yield Line(
                self.say("time"),
                self.say(key),
                **place,
                lowest=str(lowest),
                highest=str(highest),
                measure="s",
            )
        for state in State:
            if state in unit.seconds:
                label = name("state", state, self.language)
                line = Line(self.say("states"), label, **place, measure="s")
                yield _same(line, str(unit.seconds[state]))

    def _against(self, target: str, lowest: str, highest: str) -> str:
        """Fractions stand in a sentence: alone, a spreadsheet would read `1/1` as a date."""
        exact = lowest if lowest == highest else f"{lowest} {self.say('to')} {highest}"
        return f"{self.say('target')} {target}; {self.say('exactly')} {exact}"

    def _credit(self, line: Line, credit: CreditLine) -> Line:
        told = [credit.formula, f"{self.say('base')} {credit.base}"]
        told += [] if credit.tier is None else [credit.tier]
        told += [name("form", credit.form, self.language), *credit.flags]
        told += [] if credit.expires is None else [f"{self.say('expires')} {credit.expires}"]
        return self._money(replace(line, detail="; ".join(told)), credit.lowest, credit.highest)

    def _floors_and_clocks(self, part: Part) -> Iterator[Line]:
        version = str(part.version)
        for floor in part.floors:
            verdict = name("verdict", floor.verdict, self.language)
            told = f"{self.say('floor')} {floor.floor}"
            for key, (low, high), measure in (
                ("least_healthy", floor.least_healthy, floor.unit),
                ("short_hours", floor.short_hours, f"{floor.unit}-h"),
            ):
                line = Line(self.say("floors"), self.say(key), version, detail=told)
                yield replace(line, lowest=low, highest=high, measure=measure, verdict=verdict)
        for clock in part.clocks:
            line = Line(
                self.say("clocks"),
                "",
                version,
                clock.objective,
                clock.unit,
                clock.start,
                clock.end or self.say("running"),
                measure="s",
                verdict=name("verdict", clock.verdict, self.language),
                detail=f"{self.say('allowed')} {clock.objective_seconds}",
            )
            yield _same(line, str(clock.seconds))

    def _probe(self, version: str, probe: ProbeLine) -> Iterator[Line]:
        place = Line(self.say("probes"), "", version, probe.objective)
        verdict = name("verdict", probe.verdict, self.language)
        target = self._against(probe.target, probe.share_fraction, probe.share_fraction)
        share = _same(replace(place, item=self.say("share")), probe.share)
        yield replace(share, verdict=verdict, detail=target)
        for key, text in (
            ("good", probe.good),
            ("valid", str(probe.valid)),
            ("scheduled", str(probe.scheduled)),
        ):
            yield _same(replace(place, item=self.say(key)), text)

    def _maintenance(self, part: Part) -> Iterator[Line]:
        for window in part.maintenance:
            notice = f"{self.say('notice')} {window.notice_received}"
            line = Line(
                self.say("maintenance"),
                window.id,
                str(part.version),
                start=window.start,
                end=window.end,
                measure="s",
                verdict=name("ruling", window.ruling, self.language),
                detail=notice,
            )
            yield _same(line, str(window.excluded_seconds))

    def _claims(self, part: Part) -> Iterator[Line]:
        for due in part.dues:
            standing = name("standing", due.standing, self.language)
            line = Line(
                self.say("claims"),
                standing,
                str(part.version),
                unit=due.unit,
                end=due.deadline or "",
            )
            yield self._money(line, due.lowest, due.highest)
            earned = replace(line, item=self.say("earned"))
            yield self._money(earned, due.earned, due.earned)


def _same(line: Line, amount: str) -> Line:
    return replace(line, lowest=amount, highest=amount)
