"""From a statement to the sheet that every rendering shows. Pure; says nothing that the statement does not say."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import yaml

from collector.documents.parts import CAP, part_sections
from collector.documents.sheet import (
    Cell,
    Column,
    Count,
    Counts,
    Fact,
    Section,
    Sheet,
    Signer,
    Table,
)
from collector.documents.speaker import Speaker
from collector.documents.words import WORDS, Language, say
from weighbridge.settlement.money import rounded
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import Delivery, Due, Part, Statement, differences, versions

SIGNING = ("provider", "lessee", "operator")
VERDICTS = ("BREACHED", "UNKNOWN", "MET")
WHOLE = 1000
ISSUED, CHANGED = "Issued before: ", "Changed since: "
OF_ISSUED = (ISSUED, "Other versions since: ", "The same evidence now gives ")
"""How notes begin that tell what a later statement says otherwise."""


@dataclass(frozen=True, slots=True)
class Party:
    """A party as the terms of the contract name it."""

    id: str
    name: str
    registration: str
    role: str


def lay_out(statement: Statement, language: Language, previous: Statement | None = None) -> Sheet:
    """The sheet of a statement. `previous`: the version of the same statement that it is compared with."""
    speaker = Speaker(language, statement.currency, statement.time_zone)
    return _Layout(statement, speaker, previous).sheet()


def parties(statement: Statement) -> tuple[Party, ...]:
    """The parties of the newest version, read from the terms that the statement carries."""
    terms = yaml.load(statement.parts[-1].terms, Loader=yaml.BaseLoader)  # noqa: S506 # text only
    return tuple(
        Party(one["id"], one["name"], one["registration"], one["role"]) for one in terms["parties"]
    )


@dataclass(frozen=True)
class _Layout:
    statement: Statement
    speak: Speaker
    previous: Statement | None

    def sheet(self) -> Sheet:
        statement, say = self.statement, self.speak.say
        return Sheet(
            language=self.speak.language,
            title=say("title"),
            subtitle=f"{statement.contract} · {statement.period}",
            warning=say("simulated_long") if statement.simulated else "",
            watermark=say("simulated") if statement.simulated else "",
            status=say("final" if statement.final else "provisional"),
            final=statement.final,
            digest=self._digest(),
            facts=tuple(self._facts()),
            amount_title=say("credits_due"),
            amount=self.speak.amounts(statement.lowest, statement.highest),
            amount_notes=tuple(self._amount_notes()),
            front=tuple(self._front()),
            sections=tuple(self._sections()),
            appendices=tuple(self._appendices()),
            closing=(say("note.prompts"), say("times_utc")),
            signing=say("sign_text"),
            signers=tuple(
                Signer(say("sign_for", self.speak.name("role", one.role)), one.name)
                for one in parties(statement)
                if one.role in SIGNING
            ),
        )

    def _facts(self) -> Iterator[Fact]:
        statement, say, instant = self.statement, self.speak.say, self.speak.instant
        ruling = self.speak.say("comma").join(str(part.version) for part in statement.parts)
        yield Fact(say("contract"), Cell(statement.contract))
        yield Fact(say("version_of_contract"), Cell(ruling))
        for title, text in (
            (say("from"), statement.local_start),
            (say("until"), statement.local_end),
            (say("from_utc"), statement.start),
            (say("until_utc"), statement.end),
        ):
            yield Fact(title, instant(text), "time")
        yield Fact(say("time_zone"), Cell(statement.time_zone))
        yield Fact(say("as_of"), instant(statement.as_of), "time")
        for name in ("engine", "judge", "tables"):
            yield Fact(say(name), Cell(versions(statement)[name]), "code")
        yield Fact(say("inputs"), Cell(statement.inputs_digest), "code")
        yield Fact(say("json_digest"), Cell(self._digest()), "code")

    def _digest(self) -> str:
        return hashlib.sha256(self.statement.json().encode()).hexdigest()

    def _amount_notes(self) -> Iterator[str]:
        if self.statement.lowest != self.statement.highest:
            yield self.speak.say("held")
        waiting = [
            due
            for part in self.statement.parts
            for due in part.dues
            if due.standing == "open" and due.earned is not None and Decimal(due.earned) > 0
        ]
        if waiting:
            yield self._to_claim(waiting)

    def _to_claim(self, waiting: Sequence[Due]) -> str:
        """What a claim is worth and until when, beside what is owed without one."""
        total = str(sum(Decimal(due.earned or "0") for due in waiting))
        amount = self.speak.amounts(total, total)
        deadlines = [due.deadline for due in waiting if due.deadline is not None]
        if not deadlines:
            return self.speak.say("to_claim_ever", amount)
        return self.speak.say("to_claim", amount, self.speak.local(min(deadlines)).text)

    def _front(self) -> Iterator[Section]:
        say = self.speak.say
        yield Section(
            "counts", say("counts"), note=say("counts_note"), counts=tuple(self._counts())
        )
        yield Section("parties", say("parties"), table=self._parties())
        yield Section("verdicts", say("verdicts"), table=self._verdicts())

    def _parties(self) -> Table:
        say = self.speak.say
        columns = (
            Column(say("role")),
            Column(say("name")),
            Column(say("registration"), "code"),
        )
        rows = [
            (
                Cell(self.speak.name("role", one.role), one.role),
                Cell(one.name if one.name == one.id else f"{one.name} ({one.id})"),
                Cell("" if one.registration == "none" else one.registration),
            )
            for one in parties(self.statement)
        ]
        return Table(columns, rows)

    def _counts(self) -> Iterator[Counts]:
        several = len(self.statement.parts) > 1
        for part in self.statement.parts:
            suffix = f" · {self.speak.say('version')} {part.version}" if several else ""
            for line in part.delivery:
                yield Counts(f"{line.resource}{suffix}", tuple(self._four(line)))

    def _four(self, line: Delivery) -> Iterator[Count]:
        for title, seconds in (
            ("contracted", line.contracted_gpu_seconds),
            ("reporting", line.reporting_gpu_seconds),
            ("healthy", line.healthy_gpu_seconds),
        ):
            yield _count(self.speak, title, seconds, line.contracted_gpu_seconds)
        in_use = line.in_use_gpu_seconds
        if in_use is None:
            yield Count(self.speak.say("in_use"), Cell("—"), self.speak.say("not_counted"), 0)
        else:
            yield _count(self.speak, "in_use", in_use, line.contracted_gpu_seconds)

    def _verdicts(self) -> Table:
        say = self.speak.say
        found = Counter(
            (unit.objective, unit.verdict) for part in self.statement.parts for unit in part.units
        )
        found.update(
            (probe.objective, probe.verdict)
            for part in self.statement.parts
            for probe in part.probes
        )
        columns = (
            Column(say("objective"), "code"),
            *(Column(self.speak.name("verdict", one), "number") for one in VERDICTS),
        )
        rows = [
            (
                Cell(objective),
                *(_tally(found[objective, verdict], verdict) for verdict in VERDICTS),
            )
            for objective in dict.fromkeys(objective for objective, _ in found)
        ]
        return Table(columns, rows)

    def _sections(self) -> Iterator[Section]:
        several = len(self.statement.parts) > 1
        for part in self.statement.parts:
            yield from part_sections(part, self.speak, several)
        if self.statement.exits:
            yield self._exits()
        yield self._caps()
        yield self._lines("swaps", self.statement.swaps)
        yield self._flags()
        yield from self._notes()
        yield self._differences()

    def _appendices(self) -> Iterator[Section]:
        several = len(self.statement.parts) > 1
        for part in self.statement.parts:
            yield self._terms(part, several)

    def _exits(self) -> Section:
        say, name = self.speak.say, self.speak.name
        heads = ("objective", "party", "condition", "standing", "missed", "open_periods", "remedy")
        rows = [
            (
                Cell(one.objective),
                Cell(name("role", one.party), one.party),
                Cell(one.condition),
                Cell(name("exit", one.standing), one.standing),
                Cell(self.speak.listed(one.missed)),
                Cell(self.speak.listed(one.open)),
                Cell(one.remedy),
            )
            for one in self.statement.exits
        ]
        return Section(
            "exits", say("exits"), table=Table([Column(say(one)) for one in heads], rows)
        )

    def _caps(self) -> Section:
        found = [
            " · ".join(text for text in (self._version(part), where, credit.credit) if text != "")
            for part in self.statement.parts
            for where, credit in (
                *((unit.unit, credit) for unit in part.units for credit in unit.credits),
                *(("", credit) for credit in (*part.others, *part.by_lessee)),
            )
            if CAP in credit.flags
        ]
        if not found and CAP in self.statement.flags:
            found = [self.speak.name("flag", CAP)]
        return self._lines("caps", found)

    def _version(self, part: Part) -> str:
        return f"{self.speak.say('version')} {part.version}"

    def _lines(self, key: str, lines: Iterable[str]) -> Section:
        found = tuple(lines)
        return Section(key, self.speak.say(key), lines=found or (self.speak.say("none"),))

    def _flags(self) -> Section:
        say = self.speak.say
        if not self.statement.flags:
            return self._lines("flags", ())
        rows = [
            (Cell(flag), Cell(self.speak.name("flag", flag) if f"flag.{flag}" in WORDS else ""))
            for flag in self.statement.flags
        ]
        columns = (Column(say("flag"), "code"), Column(say("meaning")))
        return Section("flags", say("flags"), table=Table(columns, rows))

    def _differences(self) -> Section:
        changed, title = self._changed(), self.speak.say("differences")
        issued = [note for note in self.statement.notes if note.startswith(OF_ISSUED)]
        if self.previous is not None:
            issued = [f"{self.speak.say('as_of')} {self.speak.instant(self.previous.as_of).text}"]
        note = " ".join(self.speak.note(line) for line in issued)
        if not changed:
            told = self.speak.say("no_difference" if issued else "no_previous")
            return Section("differences", title, note, lines=(told,))
        columns = (
            Column(self.speak.say("path"), "code"),
            Column(self.speak.say("before")),
            Column(self.speak.say("after")),
        )
        rows = [_change(line) for line in changed]
        return Section("differences", title, note, table=Table(columns, rows))

    def _changed(self) -> tuple[str, ...]:
        """Against the version that was given, or else as the statement itself tells it."""
        if self.previous is not None:
            return differences(replace(self.previous, notes=()), replace(self.statement, notes=()))
        return tuple(
            note.removeprefix(CHANGED) for note in self.statement.notes if note.startswith(CHANGED)
        )

    def _notes(self) -> Iterator[Section]:
        told = [
            self.speak.note(note)
            for note in self.statement.notes
            if not note.startswith((*OF_ISSUED, CHANGED)) and note != say("note.prompts", "en")
        ]
        if told:
            yield self._lines("notes", told)

    def _terms(self, part: Part, several: bool) -> Section:
        say = self.speak.say
        suffix = f" · {say('version')} {part.version}" if several else ""
        return Section(
            f"terms-{part.version}",
            f"{say('terms')}{suffix}",
            facts=(Fact(say("text_digest"), Cell(part.text_digest), "code"),),
            listing=part.terms,
        )


def _count(speak: Speaker, title: str, seconds: int, contracted: int) -> Count:
    hours = f"{rounded(Fraction(seconds, HOUR_S), 2, 'down'):f}"
    share = Fraction(seconds, contracted) if contracted else Fraction(0)
    return Count(
        speak.say(title),
        speak.number(hours, raw=str(seconds)),
        f"{speak.say('gpu_hours')} · {rounded(share * 100, 2, 'down'):f} %",
        int(share * WHOLE),
    )


def _tally(count: int, verdict: str) -> Cell:
    return Cell(str(count), tone=verdict.lower() if count else "")


def _change(line: str) -> tuple[Cell, Cell, Cell]:
    path, _, values = line.partition(": ")
    before, _, after = values.partition(" -> ")
    return Cell(path), Cell(before), Cell(after)
