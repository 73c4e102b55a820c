"""What a party said, as a letter: to whom, about what, when, received when, and how it is known who said it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from collector.documents.columns import table
from collector.documents.document_layout import (
    Cell,
    DocumentLayout,
    Fact,
    Section,
    SignatureLine,
)
from collector.documents.speaker import Speaker
from collector.documents.statement import named
from collector.documents.words import WORDS, Language
from weighbridge.codes import Note
from weighbridge.contract import loaded
from weighbridge.contract.scalars import instant_text
from weighbridge.document import Document
from weighbridge.handover.documents import PartyLine
from weighbridge.notices.rules import LESSEES, PROVIDERS

_NOTE = TypeAdapter(Note)


@dataclass(frozen=True, slots=True)
class NoticeLetter(Document):
    """One notice. `subject`: its event, cause, window or period; `unit` empty: of all. `start`, `end`: of what it
    tells, alike where that is an instant; None: it tells of none."""

    contract: str
    currency: str
    time_zone: str
    simulated: bool
    parties: tuple[PartyLine, ...]
    party: str
    kind: str
    subject: str
    unit: str
    start: str | None
    end: str | None
    details: Mapping[str, str]
    authority: Note
    received: str
    entry: int


def notice_letter(item: Mapping[str, Any], contract_text: str, simulated: bool) -> NoticeLetter:
    """`item`: a notice as `/v1/contracts/CONTRACT/notices` lists it."""
    terms, said = loaded(contract_text), item["said"]
    end_us = said.get("until_us", said.get("at_us"))
    start_us = said.get("from_us", said.get("since_us"))
    start_us = end_us if start_us is None else start_us
    return NoticeLetter(
        contract=item["contract"],
        currency=terms.currency,
        time_zone=terms.time_zone,
        simulated=simulated,
        parties=tuple(
            PartyLine(one.id, one.name, one.registration, one.role) for one in terms.parties
        ),
        party=item["party"],
        kind=said["kind"],
        subject=next(said[key] for key in ("event", "code", "id", "period") if key in said),
        unit=" ".join(said["units"]) if "units" in said else said["unit"] or "",
        start=None if start_us is None else instant_text(start_us),
        end=None if end_us is None else instant_text(end_us),
        details=said.get("details", {}),
        authority=_NOTE.validate_python(item["authority"]),
        received=instant_text(item["received_us"]),
        entry=item["index"],
    )


def lay_out_notice(letter: NoticeLetter, language: Language) -> DocumentLayout:
    """A notice to be signed and sent, or kept with its receipt."""
    return _NoticeLayout(Speaker(language, letter.currency, letter.time_zone), letter).layout()


@dataclass(frozen=True)
class _NoticeLayout:
    speak: Speaker
    letter: NoticeLetter

    def layout(self) -> DocumentLayout:
        letter, say = self.letter, self.speak.say
        return DocumentLayout(
            language=self.speak.language,
            title=self._title(),
            subtitle=letter.contract,
            warning=say("simulated_document") if letter.simulated else "",
            watermark=say("simulated") if letter.simulated else "",
            status=say("notice_entry", str(letter.entry)),
            final=True,
            digest=letter.digest,
            facts=tuple(self._facts()),
            amount=self.speak.fact("notice_about", Cell(self._subject(), letter.subject)),
            amount_notes=(),
            front=tuple(self._details()),
            sections=(),
            appendices=(),
            closing=(say("notice_counts"),),
            signing=say("notice_sign"),
            signers=(self._signer(),),
        )

    def _title(self) -> str:
        for key in (f"notice_title.{self.letter.subject}", f"notice_title.{self.letter.kind}"):
            if key in WORDS:
                return self.speak.say(key)
        return self.speak.say("notice_title.event")

    def _subject(self) -> str:
        told = self.speak.name("event", self.letter.subject)
        return f"{told} · {self.letter.unit}" if self.letter.unit else told

    def _speakers(self) -> list[PartyLine]:
        return [one for one in self.letter.parties if one.id == self.letter.party]

    def _signer(self) -> SignatureLine:
        """Whoever speaks, in every role that the contract gives them; by the id alone where it names them no more."""
        found = self._speakers()
        roles = self.speak.listed(self.speak.name("role", one.role) for one in found)
        return SignatureLine(self.speak.say("sign_for", roles), (*found, self._nobody)[0].name)

    @property
    def _nobody(self) -> PartyLine:
        return PartyLine(self.letter.party, self.letter.party, None, "")

    def _hearers(self) -> list[PartyLine]:
        """The other side of whoever speaks; of one that is on neither side, both."""
        roles = {one.role for one in self._speakers()}
        sides = [side for side in (PROVIDERS, LESSEES) if not roles & side]
        return [one for one in self.letter.parties if any(one.role in side for side in sides)]

    def _facts(self) -> Iterator[Fact]:
        letter, fact, speak = self.letter, self.speak.fact, self.speak
        for key, found in (
            ("letter_to", self._hearers()),
            ("notice_from", self._speakers()[:1] or [self._nobody]),
        ):
            yield fact(key, Cell(speak.listed(named(one, speak) for one in found)))
        times = [letter.start] if letter.start == letter.end else [letter.start, letter.end]
        keys = ["notice_at"] if len(times) == 1 else ["from", "until"]
        for key, text in zip(keys, times, strict=True):
            if text is not None:
                yield fact(key, speak.both(text), "time")
        yield fact("notice_received", speak.both(letter.received), "time")
        yield fact("authority", Cell(speak.told(letter.authority)))
        yield fact("entry", speak.number(letter.entry), "number")
        yield fact("document_digest", Cell(letter.digest), "code")

    def _details(self) -> Iterator[Section]:
        if self.letter.details:
            rows = [
                (self.speak.coded("detail", name), Cell(value))
                for name, value in self.letter.details.items()
            ]
            yield table(self.speak, "notice_details", rows)
