"""What the layouts of a delivery note and of an acceptance certificate have in common."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.documents.columns import Row, table
from collector.documents.document_layout import Cell, DocumentLayout, Fact, Section
from collector.documents.speaker import Speaker
from collector.documents.statement import party_table, signature_lines
from collector.documents.words import WORDS
from weighbridge.handover.documents import Certificate, DeliveryNote, NoticeLine, Source, Start

DELIVERING, RECEIVING = frozenset({"provider", "operator", "owner"}), frozenset({"lessee"})


@dataclass(frozen=True)
class Page:
    """What both have."""

    speak: Speaker

    def head(self, source: Source) -> Iterator[Fact]:
        fact = self.speak.fact
        yield fact("contract", Cell(source.contract))
        yield fact("version_of_contract", Cell(str(source.version)))
        yield fact("text_digest", Cell(source.text_digest), "code")
        yield fact("time_zone", Cell(source.time_zone))
        yield fact("as_of", self.speak.both(source.as_of), "time")

    def tail(self, document: DeliveryNote | Certificate) -> Iterator[Fact]:
        source = document.source
        yield self.speak.fact("log_read", self._read(source))
        yield self.speak.fact("reports_read", self.speak.number(source.reports))
        yield self.speak.fact("engine", Cell(source.engine), "code")
        yield self.speak.fact("tables", Cell(source.tables_digest), "code")
        yield self.speak.fact("inputs", Cell(source.inputs_digest), "code")
        yield self.speak.fact("document_digest", Cell(document.digest), "code")

    def _read(self, source: Source) -> Cell:
        if source.entries is None:
            return Cell(self.speak.say("none"))
        first, last = map(str, source.entries)
        return Cell(f"{first}–{last}", first, highest=last)

    def start(self, start: Start) -> Iterator[Fact]:
        say = self.speak.say
        yield self.speak.fact("service_rule", self.speak.coded("rule", start.rule))
        if start.local is None:
            yield self.speak.fact("service_start", Cell(say("not_started", start.event)))
        else:
            yield self.speak.fact("service_start", self.speak.instant(start.local), "time")

    def parties(self, source: Source) -> Section:
        return party_table(
            self.speak, source.parties, lambda role: self.speak.name("part", _part(role))
        )

    def said(self, said: Sequence[NoticeLine]) -> Section:
        rows = [
            (
                self.speak.coded("event", one.event),
                Cell(one.unit),
                self.speak.short(one.at),
                Cell(one.party),
                Cell(self.speak.told(one.authority)),
                self.speak.number(one.entry),
            )
            for one in said
        ]
        return self.section("said", rows)

    def flags(self, flags: Sequence[str]) -> Section:
        rows = [
            (
                Cell(flag),
                Cell(self.speak.name("flag", flag)),
                Cell(self.speak.name("innocent", flag) if f"innocent.{flag}" in WORDS else ""),
            )
            for flag in flags
        ]
        return self.section("flags", rows)

    def section(
        self, key: str, rows: Sequence[Row], empty: str = "none", note: str = ""
    ) -> Section:
        """A table of the handover."""
        return table(self.speak, key, rows, empty=empty, note=note)

    def laid_out(
        self,
        title: str,
        subtitle: str,
        document: DeliveryNote | Certificate,
        status: tuple[str, bool],
        facts: Iterator[Fact],
        amount: Fact,
        amount_notes: Sequence[str],
        front: Iterator[Section],
        sections: Iterator[Section],
        signing: str,
    ) -> DocumentLayout:
        say = self.speak.say
        return DocumentLayout(
            language=self.speak.language,
            title=say(title),
            subtitle=subtitle,
            warning=say("simulated_document") if document.source.simulated else "",
            watermark=say("simulated") if document.source.simulated else "",
            status=status[0],
            final=status[1],
            digest=document.digest,
            facts=tuple(facts),
            amount=amount,
            amount_notes=amount_notes,
            front=tuple(front),
            sections=tuple(sections),
            appendices=(),
            closing=(say("prompts"), say("times_told", self.speak.zone)),
            signing=say(signing),
            signers=signature_lines(self.speak, document.source.parties),
        )


def _part(role: str) -> str:
    if role in DELIVERING:
        return "delivers"
    return "receives" if role in RECEIVING else "neither"
