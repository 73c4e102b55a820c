"""From a statement to the layout that every rendering shows. Pure; says nothing that the statement does not say."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from collector.documents.columns import Row, table
from collector.documents.document_layout import (
    Cell,
    Column,
    Count,
    DocumentLayout,
    Fact,
    ResourceCounts,
    Section,
    SignatureLine,
    Table,
)
from collector.documents.invoice import invoice_sections
from collector.documents.parts import CAP, part_sections
from collector.documents.payments import payment_sections
from collector.documents.speaker import Speaker
from collector.documents.words import Language
from weighbridge.codes import Note, NoteCode
from weighbridge.contract import Party, loaded
from weighbridge.handover.documents import PartyLine
from weighbridge.settlement.draft import UNDER_WAY
from weighbridge.settlement.money import rounded
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import (
    SO_FAR,
    Delivery,
    Due,
    ExitLine,
    LateEvidence,
    Part,
    Statement,
    versions,
)
from weighbridge.verdict import WORST_FIRST, Verdict

SIGNING = ("provider", "lessee", "operator")
VERDICTS = tuple(one.name for one in WORST_FIRST)
WHOLE = 1000
CHANGED: NoteCode = "changed"
OF_ISSUED: tuple[NoteCode, ...] = (
    "issued_before",
    "made_by_other",
    "given_again",
    "changed_more",
)
"""Notes that tell what a later statement says otherwise, beside the values that changed."""


def lay_out(statement: Statement, language: Language) -> DocumentLayout:
    """A statement, laid out."""
    speaker = Speaker(language, statement.currency, statement.time_zone)
    return _Layout(statement, speaker).layout()


def parties(statement: Statement) -> tuple[Party, ...]:
    """The parties of the newest version, of the terms that the statement carries."""
    return loaded(statement.parts[-1].terms).parties


def party_table(
    speak: Speaker, involved: Iterable[Party | PartyLine], part: Callable[[str], str] = lambda _: ""
) -> Section:
    """Who is who. `part`: what a role does here, in words."""
    rows = [
        (
            speak.coded("role", one.role),
            Cell(one.name if one.name == one.id else f"{one.name} ({one.id})"),
            Cell(one.registration or ""),
            Cell(part(one.role)),
        )
        for one in involved
    ]
    return table(speak, "parties", rows)


def named(party: Party | PartyLine, speak: Speaker) -> str:
    """The name of a party, with its registration where that is told, as a letter has it."""
    if party.registration is None:
        return party.name
    return speak.say("registered", party.name, party.registration)


def signature_lines(
    speak: Speaker, involved: Iterable[Party | PartyLine]
) -> tuple[SignatureLine, ...]:
    """Of those who sign."""
    return tuple(
        SignatureLine(speak.say("sign_for", speak.name("role", one.role)), one.name)
        for one in involved
        if one.role in SIGNING
    )


@dataclass(frozen=True)
class _Layout:
    statement: Statement
    speak: Speaker

    @cached_property
    def digest(self) -> str:
        """That of all of its text, which is made for it."""
        return self.statement.digest

    def layout(self) -> DocumentLayout:
        statement, say = self.statement, self.speak.say
        return DocumentLayout(
            language=self.speak.language,
            title=say("title"),
            subtitle=f"{statement.contract} · {statement.period}",
            warning=say("simulated_long") if statement.simulated else "",
            watermark=say("simulated") if statement.simulated else "",
            status=say("final" if statement.final else "provisional"),
            final=statement.final,
            digest=self.digest,
            facts=tuple(self._facts()),
            amount=self.speak.fact(
                "credits_due", self.speak.amounts(statement.lowest, statement.highest), "number"
            ),
            amount_notes=tuple(self._amount_notes()),
            front=tuple(self._front()),
            sections=tuple(self._sections()),
            appendices=tuple(self._appendices()),
            closing=(say("prompts"), say("times_told", self.speak.zone)),
            signing=say("sign_text"),
            signers=signature_lines(self.speak, parties(statement)),
        )

    def _facts(self) -> Iterator[Fact]:
        statement, fact, instant = self.statement, self.speak.fact, self.speak.instant
        yield fact("contract", Cell(statement.contract))
        ruling = self.speak.listed(str(part.version) for part in statement.parts)
        yield fact("version_of_contract", Cell(ruling))
        for key, text in (
            ("from", statement.local_start),
            ("until", statement.local_end),
            ("from_utc", statement.start),
            ("until_utc", statement.end),
        ):
            yield fact(key, instant(text), "time")
        yield fact("time_zone", Cell(statement.time_zone))
        yield fact("as_of", self.speak.both(statement.as_of), "time")
        made_by = versions(statement)
        for name in ("engine", "judge", "tables", "zone_data", "calendars"):
            if made_by[name] != "":
                yield fact(name, self.speak.made_by(made_by[name]), "code")
        if statement.currencies:
            yield fact("currencies", Cell(f"ISO 4217, {statement.currencies}"), "code")
        yield fact("inputs", Cell(statement.inputs_digest), "code")
        yield fact("json_digest", Cell(self.digest), "code")

    def _amount_notes(self) -> Iterator[str]:
        if in_words := self.speak.in_words(self.statement.lowest, self.statement.highest):
            yield self.speak.say("in_words", in_words)
        under_way = UNDER_WAY in self.statement.flags
        if under_way:
            yield self.speak.name("flag", UNDER_WAY)
        elif self.statement.lowest != self.statement.highest:
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
        amount = self.speak.amounts(total, total).text
        deadlines = [due.deadline for due in waiting if due.deadline is not None]
        if not deadlines:
            return self.speak.say("to_claim_ever", amount)
        return self.speak.say("to_claim", amount, self.speak.local(min(deadlines)).text)

    def _front(self) -> Iterator[Section]:
        say = self.speak.say
        yield Section(
            "counts", say("counts"), note=say("counts_note"), counts=tuple(self._counts())
        )
        yield party_table(self.speak, parties(self.statement))
        yield Section("verdicts", say("verdicts"), table=self._verdicts())

    def _counts(self) -> Iterator[ResourceCounts]:
        several = len(self.statement.parts) > 1
        for part in self.statement.parts:
            suffix = f" · {self.speak.say('version')} {part.version}" if several else ""
            for line in part.delivery:
                yield ResourceCounts(f"{line.resource}{suffix}", tuple(self._four(line)))

    def _four(self, line: Delivery) -> Iterator[Count]:
        for title, seconds in (
            ("contracted", line.contracted_gpu_seconds),
            ("reporting", line.reporting_gpu_seconds),
            ("healthy", line.healthy_gpu_seconds),
        ):
            yield _count(self.speak, title, seconds, line.contracted_gpu_seconds)
        in_use = line.in_use_gpu_seconds
        if in_use is None:
            named = ("in_use_gpu_seconds", self.speak.say("in_use"))
            yield Count(*named, Cell("—"), self.speak.say("not_counted"), 0)
        else:
            yield _count(self.speak, "in_use", in_use, line.contracted_gpu_seconds)

    def _verdicts(self) -> Table:
        found = Counter(
            (unit.objective, unit.verdict) for part in self.statement.parts for unit in part.units
        )
        found.update(
            (probe.objective, probe.verdict)
            for part in self.statement.parts
            for probe in part.probes
        )
        columns = (
            Column("objective", self.speak.say("objective"), "code"),
            *(Column(one, self.speak.name("verdict", one), "number") for one in VERDICTS),
        )
        rows = [
            (
                Cell(objective),
                *(_tally(found[objective, verdict], verdict) for verdict in VERDICTS),
            )
            for objective in dict.fromkeys(name for name, verdict in found if verdict != SO_FAR)
        ]
        return Table(columns, rows)

    def _sections(self) -> Iterator[Section]:
        several = len(self.statement.parts) > 1
        yield from invoice_sections(self.statement, self.speak)
        for part in self.statement.parts:
            yield from part_sections(part, self.speak, several)
        if self.statement.exits:
            yield self._exits()
        if self.statement.longer:
            yield self._longer()
        if self.statement.limits:
            yield self._limits()
        yield from payment_sections(self.statement, self.speak)
        if self.statement.late is not None:
            yield self._late(self.statement.late)
        if self.statement.answers:
            yield self._answers()
        yield self._caps()
        yield self._swaps()
        yield self._flags()
        yield from self._notes()
        yield self._differences()

    def _appendices(self) -> Iterator[Section]:
        several = len(self.statement.parts) > 1
        for part in self.statement.parts:
            yield self._terms(part, several)

    def _late(self, late: LateEvidence) -> Section:
        """What rests on what nobody heard in time: the amount as it is, and what it would be."""
        row = (
            self.speak.coded("late", late.term),
            self.speak.number(late.gpu_seconds),
            self.speak.amount(self.statement.lowest, self.statement.highest),
            self.speak.amount(*late.counted),
            self.speak.amount(*late.refused),
        )
        return table(self.speak, "late", [row])

    def _exits(self) -> Section:
        rows = [
            (
                Cell(one.objective or ""),
                Cell(one.unit),
                self.speak.coded("role", one.party),
                Cell(self._condition(one)),
                self.speak.coded("exit", one.standing),
                Cell("") if one.since is None else self.speak.local(one.since),
                Cell("") if one.arose is None else self.speak.local(one.arose),
                Cell(self.speak.listed(one.missed)),
                Cell(self.speak.listed(self._open(one))),
                Cell("") if one.amount is None else self.speak.number(one.amount),
                Cell(one.remedy),
            )
            for one in self.statement.exits
        ]
        return table(self.speak, "exits", rows)

    def _condition(self, one: ExitLine) -> str:
        if one.days is None:
            return self.speak.say("of_periods", str(one.needed), str(one.of_periods))
        how_long = self.speak.say("more_than" if one.op == ">" else "at_least", str(one.days))
        return self.speak.say("colon").join((self.speak.name("lasting", one.trigger), how_long))

    def _longer(self) -> Section:
        """What lost time adds to the term, and until when that lasts."""
        rows = [
            (
                Cell(one.id),
                Cell(one.unit),
                self.speak.numbers(*one.lost_seconds),
                self.speak.numbers(*one.longer_seconds),
                self.speak.numbers(*one.total_seconds),
                self.speak.locals(*one.until),
                Cell(self.speak.listed(one.open)),
            )
            for one in self.statement.longer
        ]
        return table(self.speak, "longer", rows)

    def _limits(self) -> Section:
        """The most of a year or of the term, and what earlier periods used of it."""
        rows = [
            (
                self.speak.coded("per", one.per),
                self.speak.short(one.start),
                self.speak.short(one.end),
                self.speak.number(one.most),
                self.speak.amount(*one.used),
                Cell(self.speak.listed(one.open)),
            )
            for one in self.statement.limits
        ]
        return table(self.speak, "limits", rows)

    def _answers(self) -> Section:
        """What became of claims, and what is left of the amount."""
        rows = [
            (
                self.speak.short(one.at),
                self.speak.coded("answer", one.event),
                Cell(one.party),
                Cell(one.unit),
                self.speak.amount(one.amount, one.amount) if one.amount else Cell(""),
                Cell(one.reason),
                Cell(str(one.entry)),
            )
            for one in self.statement.answers
        ]
        paid = self.speak.amounts(self.statement.paid, self.statement.paid).text
        left = self.speak.amounts(*(self.statement.outstanding or (None, None))).text
        return table(self.speak, "answers", rows, note=self.speak.say("paid_and_left", paid, left))

    def _open(self, one: ExitLine) -> Iterator[str]:
        yield from one.open
        if one.not_settled:
            yield self.speak.say("not_settled", str(one.not_settled))

    def _swaps(self) -> Section:
        rows = [
            (
                self.speak.short(one.at),
                self.speak.coded("swap", one.event),
                Cell(one.unit),
                Cell(one.details.get("old", "")),
                Cell(one.details.get("new", "")),
                Cell(self.speak.listed(self._told(one.details))),
            )
            for one in self.statement.swaps
        ]
        return table(self.speak, "swaps", rows)

    def _told(self, details: Mapping[str, str]) -> Iterator[str]:
        for name, value in details.items():
            if name == "seen_by":
                yield self.speak.name("swap", value)
            elif name not in ("old", "new"):
                yield f"{name}={value}"

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
        rows = [
            (Cell(flag), Cell(self.speak.name("flag", flag)), Cell(""))
            for flag in self.statement.flags
        ]
        return table(self.speak, "flags", rows)

    def _differences(self) -> Section:
        issued = [self.speak.told(note) for note in self.statement.notes if note.code in OF_ISSUED]
        note = " ".join(issued)
        rows = [self._change(note) for note in self.statement.notes if note.code == CHANGED]
        empty = "no_difference" if issued else "no_previous"
        return table(self.speak, "differences", rows, note=note, empty=empty)

    def _change(self, note: Note) -> Row:
        path, *ends = (self.speak.value(note, name) for name in ("path", "before", "after"))
        return Cell(path), *(Cell(self.speak.clocked(end), end) for end in ends)

    def _notes(self) -> Iterator[Section]:
        others = [note for note in self.statement.notes if note.code not in (*OF_ISSUED, CHANGED)]
        if others:
            yield self._lines("notes", map(self.speak.told, others))

    def _terms(self, part: Part, several: bool) -> Section:
        say = self.speak.say
        suffix = f" · {say('version')} {part.version}" if several else ""
        return Section(
            "terms",
            f"{say('terms')}{suffix}",
            facts=(self.speak.fact("text_digest", Cell(part.text_digest), "code"),),
            listing=part.terms,
            version=part.version,
        )


def _count(speak: Speaker, title: str, seconds: int, contracted: int) -> Count:
    hours = f"{rounded(Fraction(seconds, HOUR_S), 2, 'down'):f}"
    share = Fraction(seconds, contracted) if contracted else Fraction(0)
    pct = rounded(share * 100, 2, "down")
    return Count(
        f"{title}_gpu_seconds",
        speak.say(title),
        speak.number(hours, raw=str(seconds)),
        f"{speak.say('gpu_hours')} · {speak.say('per_cent', f'{pct:f}')}",
        int(share * WHOLE),
    )


def _tally(count: int, verdict: str) -> Cell:
    return Cell(str(count), tone=Verdict[verdict].value if count else "")
