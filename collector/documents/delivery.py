"""The layout of a delivery note. Pure; says nothing that the note does not say, and of a code what it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from collector.documents.document_layout import Cell, DocumentLayout, Fact, Section
from collector.documents.handover_page import Page
from collector.documents.speaker import Speaker
from collector.documents.words import Language
from weighbridge.catalogue.findings import meaning
from weighbridge.handover.documents import DeliveryNote, Difference
from weighbridge.judge.checks.check import NOT_REPORTED
from weighbridge.verdict import Verdict

BOUND = re.compile(r"(?P<what>\S+) at (?P<way>least|most) (?P<edge>\S+)")
"""What a check says that it expects of a number."""

TONES = {
    "in_time": Verdict.MET,
    "open": Verdict.UNKNOWN,
    "late": Verdict.BREACHED,
    "overdue": Verdict.BREACHED,
}
"""Of what became of a batch."""


def lay_out_note(note: DeliveryNote, language: Language) -> DocumentLayout:
    """The layout of a delivery note."""
    speak = Speaker(language, note.source.currency, note.source.time_zone)
    return _NoteLayout(speak, note).layout()


@dataclass(frozen=True)
class _NoteLayout(Page):
    note: DeliveryNote

    def layout(self) -> DocumentLayout:
        note, say = self.note, self.speak.say
        seen, all_ = (
            sum(getattr(item, name) for item in note.items) for name in ("gpus_seen", "gpus")
        )
        wrong = {one.unit for one in note.differences if one.verdict == Verdict.BREACHED.name}
        notes = (say("differ", str(len(wrong))),) if wrong else ()
        return self.laid_out(
            "delivery_title",
            f"{note.source.contract} · {self.speak.local(note.source.as_of).text}",
            note,
            (self.speak.name("delivered", note.standing), note.standing == "complete"),
            self._facts(),
            self.speak.fact(
                "gpus_seen", Cell(say("of_contracted", str(seen), str(all_)), str(seen))
            ),
            notes,
            self._front(),
            self._sections(),
            "sign_delivery",
        )

    def _facts(self) -> Iterator[Fact]:
        yield from self.head(self.note.source)
        yield from self.start(self.note.start)
        yield from self.tail(self.note)

    def _front(self) -> Iterator[Section]:
        yield self.parties(self.note.source)
        number = self.speak.number
        rows = [
            (
                Cell(item.resource),
                Cell(item.sku),
                number(item.nodes),
                number(item.nodes_seen_whole),
                number(item.gpus),
                number(item.gpus_seen),
            )
            for item in self.note.items
        ]
        yield self.section("items", rows)

    def _sections(self) -> Iterator[Section]:
        if self.note.batches:
            yield self._batches()
        yield self._differences()
        yield from self._to_do()
        yield self._missing()
        yield self._slots()
        yield self._identities()
        yield self.said(self.note.said)
        yield self.flags(self.note.flags)

    def _batches(self) -> Section:
        rows = [
            (
                Cell(one.batch),
                Cell(one.resource),
                self.speak.number(one.nodes),
                self.speak.number(one.nodes_seen),
                self.speak.short(one.due),
                Cell("") if one.complete is None else self.speak.short(one.complete),
                Cell(self.speak.name("batch", one.standing), one.standing, TONES[one.standing]),
            )
            for one in self.note.batches
        ]
        return self.section("batches", rows)

    def _differences(self) -> Section:
        rows = [
            (
                Cell(one.unit),
                self._what(one),
                self.speak.verdict(one.verdict),
                Cell(self._expected(one.expected), one.expected),
                self._observed(one),
                Cell(one.uuid),
            )
            for one in self.note.differences
        ]
        return self.section("different", rows)

    def _what(self, one: Difference) -> Cell:
        """What differs, in words."""
        row = meaning(one.code)
        told = one.code if row is None else self.speak.said(row.says(Verdict[one.verdict]))
        return Cell(told, one.code)

    def _expected(self, text: str) -> str:
        """A bound in words of the language; anything else as the contract has it."""
        found = BOUND.fullmatch(text)
        if found is None:
            return text
        return self.speak.say(f"bound.at_{found['way']}", found["what"], found["edge"])

    def _to_do(self) -> Iterator[Section]:
        """What the codes of the differences mean, and what to do about each, in order; empty where none has a row."""
        told = dict.fromkeys((one.code, one.verdict) for one in self.note.differences)
        lines = [line for code, verdict in told for line in self._next(code, Verdict[verdict])]
        if lines:
            yield Section("to_do", self.speak.say("to_do"), lines=lines)

    def _next(self, code: str, verdict: Verdict) -> Iterator[str]:
        row = meaning(code)
        if row is not None:
            said = self.speak.said(row.says(verdict))
            yield f"{code}{self.speak.say('colon')}{said}"
            for number, step in enumerate(row.next_steps(verdict), start=1):
                yield f"{number}. {self.speak.said(step.says)}"

    def _observed(self, one: Difference) -> Cell:
        """Where nothing was, why."""
        if one.observed not in ("", NOT_REPORTED):
            return Cell(one.observed)
        return Cell(self.speak.say("not_judged" if one.code == "not_judged" else "not_reported"))

    def _missing(self) -> Section:
        rows = [
            (
                Cell(one.resource),
                Cell(one.node or self.speak.say("never_assigned", str(one.nodes))),
                self.speak.number(one.gpus),
                Cell(self.speak.listed(one.slots)),
            )
            for one in self.note.missing
        ]
        return self.section("never_seen", rows)

    def _slots(self) -> Section:
        rows = [
            (
                Cell(one.unit),
                Cell(one.batch or ""),
                Cell(one.model or ""),
                Cell(one.uuid),
                self.speak.short(one.first_seen),
                self.speak.coded("role", one.side),
                self.speak.number(one.entry),
            )
            for one in self.note.slots
        ]
        return self.section("slots", rows)

    def _identities(self) -> Section:
        rows = [
            (
                Cell(one.unit),
                Cell(one.serial or ""),
                Cell(one.host_serial or ""),
                Cell(one.board_part or ""),
                Cell(one.pci_bus_id or ""),
                Cell(one.driver or ""),
                Cell(one.vbios or ""),
                self.speak.maybe(one.memory_bytes),
            )
            for one in self.note.slots
        ]
        return self.section("identities", rows)
