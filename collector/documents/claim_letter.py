"""The letter that claims a period's credits, and the list of evidence that goes with it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from collector.documents.columns import Row, table
from collector.documents.document_layout import Cell, DocumentLayout, Fact, Section
from collector.documents.parts import outage_rows, unit_row
from collector.documents.speaker import Speaker
from collector.documents.statement import named, parties, signature_lines
from collector.documents.words import Language
from collector.judging.statements import Judged, StatementRequest
from weighbridge.contract import Party
from weighbridge.contract.scalars import MICROSECONDS, read_instant_us
from weighbridge.document import Document
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import SO_FAR, Statement, UnitLine, versions
from weighbridge.settlement.worth import Claimable, claimable, totals
from weighbridge.verdict import Verdict

LAPSED = "lapsed"
DAY_HOURS = 24
HOUR_US = HOUR_S * MICROSECONDS


@dataclass(frozen=True, slots=True)
class ClaimLetter(Document):
    """A claim as of its statement. `head`: the log's, as a checkpoint; `log_key`: who signs it, in hex."""

    statement: Statement
    head: str
    log_key: str

    def evidence(self) -> dict[str, Any]:
        """What the claim rests on, for programs."""
        statement = self.statement
        return {
            "statement": {"sha256": statement.digest, "as_of": statement.as_of},
            "made_by": {"engine": statement.engine} | asdict(statement.judged),
            "inputs_digest": statement.inputs_digest,
            "log": {"head": self.head, "log_key": self.log_key},
            "notices": [asdict(note) for note in statement.notes if note.code == "notice"],
            "outages": [
                {
                    "objective": unit.objective,
                    "unit": unit.unit,
                    "from": outage.start,
                    "until": outage.end,
                }
                | {"seconds": outage.seconds_in_period, "causes": list(map(asdict, outage.causes))}
                for unit in _breached(statement)
                for outage in unit.outages
            ],
        }


def letter_of(asked: StatementRequest, head: str, log_key: str, store: Judged) -> ClaimLetter:
    """The letter over a statement that is settled now: for a settler."""
    return ClaimLetter(asked.statement(store), head, log_key)


def is_past(deadline: str, as_of: str) -> bool:
    """Whether a claim that is made at an instant comes too late: a deadline is the first such instant."""
    return read_instant_us(as_of) >= read_instant_us(deadline)


def lay_out_letter(letter: ClaimLetter, language: Language) -> DocumentLayout:
    """A letter to be signed and sent."""
    statement = letter.statement
    speaker = Speaker(language, statement.currency, statement.time_zone)
    return _LetterLayout(letter, speaker, claimable(statement)).layout()


@dataclass(frozen=True)
class _LetterLayout:
    letter: ClaimLetter
    speak: Speaker
    due: list[Claimable]

    def layout(self) -> DocumentLayout:
        statement, say = self.letter.statement, self.speak.say
        return DocumentLayout(
            language=self.speak.language,
            title=say("letter_title"),
            subtitle=f"{statement.contract} · {statement.period}",
            warning=say("simulated_document") if statement.simulated else "",
            watermark=say("simulated") if statement.simulated else "",
            status=say("letter_final" if statement.final else "letter_provisional"),
            final=statement.final,
            digest=self.letter.digest,
            facts=tuple(self._facts()),
            amount=self.speak.fact("letter_total", self._total(), "number"),
            amount_notes=tuple(self._notes()),
            front=(self._body(),),
            sections=tuple(self._sections()),
            appendices=tuple(self._appendices()),
            closing=(say("times_told", self.speak.zone),),
            signing=say("letter_sign"),
            signers=signature_lines(self.speak, [self._party("lessee")]),
        )

    def _party(self, role: str) -> Party:
        return next(one for one in parties(self.letter.statement) if one.role == role)

    def _facts(self) -> Iterator[Fact]:
        statement, fact, speak = self.letter.statement, self.speak.fact, self.speak
        for key, role in (("letter_to", "provider"), ("letter_from", "lessee")):
            yield fact(key, Cell(named(self._party(role), speak)))
        about = speak.say("letter_about", statement.contract, statement.period)
        yield fact("letter_subject", Cell(about))
        yield fact("from", speak.both(statement.start), "time")
        yield fact("until", speak.both(statement.end), "time")
        yield fact("as_of", speak.both(statement.as_of), "time")

    def _alive(self) -> list[Claimable]:
        return [one for one in self.due if one.standing != LAPSED]

    def _total(self) -> Cell:
        return self._sum(self._alive())

    def _sum(self, claims: Sequence[Claimable]) -> Cell:
        currency = self.letter.statement.currency
        amount = str(totals(claims).get(currency, 0))
        return self.speak.amounts(amount, amount)

    def _notes(self) -> Iterator[str]:
        """The amount in words, the nearest deadline of what is open or was, and what lapsed."""
        total = self._total().raw
        if in_words := self.speak.in_words(total, total):
            yield self.speak.say("in_words", in_words)
        found = [one.deadline for one in self.due if one.deadline is not None]
        waiting = [
            one.deadline for one in self.due if one.deadline is not None and one.standing == "open"
        ]
        if found:
            yield self._until(min(waiting or found))
        lapsed = [one for one in self.due if one.standing == LAPSED]
        if lapsed:
            yield self.speak.say("letter_lapsed", self._sum(lapsed).text)

    def _until(self, deadline: str) -> str:
        as_of = self.letter.statement.as_of
        times = self.speak.both(deadline).text, self.speak.local(as_of).text
        if is_past(deadline, as_of):
            return self.speak.say("letter_past", *times)
        hours = (read_instant_us(deadline) - read_instant_us(as_of)) // HOUR_US
        days, rest = divmod(hours, DAY_HOURS)
        return self.speak.say(
            "letter_until", *times, self.speak.say("days_hours", str(days), str(rest))
        )

    def _body(self) -> Section:
        say = self.speak.say
        lines = [say("letter_claimed" if self.due else "letter_nothing")]
        if self.due and _held(self.letter.statement):
            lines.append(say("letter_most"))
        return Section("letter_body", say("letter_body"), lines=lines)

    def _sections(self) -> Iterator[Section]:
        if self.due:
            yield table(self.speak, "letter_claims", list(map(self._claim, self.due)))
        breached = _breached(self.letter.statement)
        if breached:
            yield table(self.speak, "letter_units", [unit_row(one, self.speak) for one in breached])
        yield self._attached()

    def _appendices(self) -> Iterator[Section]:
        breached = _breached(self.letter.statement)
        outages = [row for one in breached for row in outage_rows(one, self.speak)]
        if outages:
            yield table(self.speak, "outages", outages)
        yield from self._evidence()

    def _claim(self, one: Claimable) -> Row:
        past = one.deadline is not None and is_past(one.deadline, self.letter.statement.as_of)
        return (
            Cell(one.unit),
            self.speak.coded("standing", one.standing),
            Cell("") if one.deadline is None else self.speak.short(one.deadline),
            Cell("") if one.deadline is None else self.speak.yes(past),
            self.speak.amount(one.amount, one.amount),
        )

    def _evidence(self) -> Iterator[Section]:
        statement, say, fact = self.letter.statement, self.speak.say, self.speak.fact
        facts = (
            fact("engine", Cell(statement.engine), "code"),
            fact("judge", self.speak.made_by(versions(statement)["judge"]), "code"),
            fact("inputs", Cell(statement.inputs_digest), "code"),
        )
        yield Section("letter_evidence", say("letter_evidence"), facts=facts)
        yield Section("letter_log", say("letter_log"), listing=self.letter.head)

    def _attached(self) -> Section:
        statement, say = self.letter.statement, self.speak.say
        kind = say("final" if statement.final else "provisional")
        lines = (say("attached_statement", kind, statement.digest), say("attached_evidence"))
        return Section("letter_attached", say("letter_attached"), lines=lines)


def _held(statement: Statement) -> bool:
    """Whether some credit hangs on time that nobody knows of, or that is to come."""
    lines = [line for part in statement.parts for unit in part.units for line in unit.credits]
    lines += [line for part in statement.parts for line in part.others]
    return any(line.lowest != line.highest for line in lines)


def _breached(statement: Statement) -> list[UnitLine]:
    return [
        unit
        for part in statement.parts
        for unit in part.units
        if unit.verdict not in (Verdict.MET.name, SO_FAR)
    ]
