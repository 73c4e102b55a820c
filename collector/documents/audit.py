"""The layout of an audit. Pure; says nothing that the audit does not say, and of a flag what the table says of it."""

from collections.abc import Iterator
from dataclasses import dataclass

from collector.documents import words
from collector.documents.columns import table
from collector.documents.document_layout import (
    Cell,
    DocumentLayout,
    Fact,
    Section,
    SignatureLine,
)
from collector.documents.speaker import Speaker
from collector.documents.words import Language
from weighbridge.audit.accounts import AccountLine
from weighbridge.audit.auditing import Audit, FlagLine
from weighbridge.audit.flag import FlagRow, flag_rows

ZONE = "UTC"
NO_CURRENCY = ""
"""Each line of the accounts names its own."""


def lay_out_audit(made: Audit, language: Language) -> DocumentLayout:
    """The layout of an audit."""
    return _AuditLayout(Speaker(language, NO_CURRENCY, ZONE), made).layout()


@dataclass(frozen=True)
class _AuditLayout:
    speak: Speaker
    made: Audit

    def layout(self) -> DocumentLayout:
        made, say = self.made, self.speak.say
        return DocumentLayout(
            language=self.speak.language,
            title=say("audit_title"),
            subtitle=words.short_instant(made.as_of, self.speak.language),
            warning=say("simulated_document") if made.simulated else "",
            watermark=say("simulated") if made.simulated else "",
            status=say("to_look_at" if made.flags else "nothing_to_look_at"),
            final=not made.flags,
            digest=made.digest,
            facts=tuple(self._facts()),
            amount=self.speak.fact("flags_raised", self.speak.number(len(made.flags)), "number"),
            amount_notes=(),
            front=tuple(self._front()),
            sections=(self._contracts(), self._accounts()),
            appendices=(),
            closing=(say("prompts"), say("times_told", self.speak.zone)),
            signing=say("audit_signing"),
            signers=(SignatureLine(say("sign_for", self.speak.name("role", "auditor")), ""),),
        )

    def _facts(self) -> Iterator[Fact]:
        fact = self.speak.fact
        yield fact("as_of", self.speak.instant(self.made.as_of), "time")
        yield fact("contracts_read", self.speak.number(len(self.made.contracts)), "number")
        yield fact("engine", Cell(self.made.engine), "code")
        yield fact("document_digest", Cell(self.made.digest), "code")

    def _front(self) -> Iterator[Section]:
        yield self._flags()
        if self.made.flags:
            yield self._meanings()

    def _flags(self) -> Section:
        rows = [
            (
                Cell(one.code),
                Cell(self.speak.listed(one.contracts)),
                Cell(one.subject),
                self.speak.short(one.since),
                Cell(one.level),
                Cell(self._figures(one)),
                Cell(", ".join(map(str, one.entries))),
            )
            for one in self.made.flags
        ]
        return table(self.speak, "red_flags", rows, empty="nothing_to_look_at")

    def _figures(self, one: FlagLine) -> str:
        colon = self.speak.say("colon")
        return self.speak.listed(
            f"{self.speak.name('figure', name)}{colon}{value}" for name, value in one.figures
        )

    def _meanings(self) -> Section:
        raised = {one.code for one in self.made.flags}
        rows = [self._meaning(row) for code, row in flag_rows().items() if code in raised]
        return table(self.speak, "flags", rows)

    def _meaning(self, row: FlagRow) -> tuple[Cell, ...]:
        innocent = "；" if self.speak.language == "zh" else "; "
        reasons = innocent.join(self.speak.said(one) for one in row.innocent)
        return Cell(row.code), Cell(self.speak.said(row.means)), Cell(reasons)

    def _contracts(self) -> Section:
        number = self.speak.number
        rows = [
            (
                Cell(one.contract),
                Cell(one.provider),
                Cell(one.lessee),
                self.speak.short(one.start),
                self.speak.short(one.end),
                number(one.contracted_gpus),
                number(one.seen_gpus),
                number(one.reporting_gpus),
                Cell(one.draws_on or ""),
                number(one.flags),
            )
            for one in self.made.contracts
        ]
        return table(self.speak, "portfolio", rows)

    def _accounts(self) -> Section:
        return table(self.speak, "accounts", [self._account(one) for one in self.made.accounts])

    def _account(self, one: AccountLine) -> tuple[Cell, ...]:
        speak = self.speak
        return (
            Cell(one.company or speak.say("everybody")),
            speak.coded("role", one.role) if one.role else Cell(""),
            Cell(one.month),
            speak.number(one.contracts),
            speak.number(one.contracted_hours),
            speak.number(one.reporting_hours),
            speak.number(one.healthy_hours),
            speak.maybe(one.in_use_hours),
            speak.maybe(one.energy_kilowatt_hours),
            Cell(one.currency),
            speak.number(one.recognised),
            speak.number(one.delivered),
            speak.number(one.unproven),
            speak.amount(one.lowest, one.highest),
        )
