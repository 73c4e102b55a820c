"""One language, one currency and one zone, to lay out a statement in."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from collector.documents import words
from collector.documents.amount_in_words import CURRENCY, in_words
from collector.documents.document_layout import Cell, Fact, Kind
from collector.documents.words import Language
from weighbridge.catalogue.findings import Said, meaning
from weighbridge.codes import Note, Value
from weighbridge.contract.zone_data import time_zone
from weighbridge.settlement.statement import Cause, CreditLine
from weighbridge.verdict import Verdict

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
"""As documents hold one."""

CLOCK = len("2026-05-01T00:00:00")


@dataclass(frozen=True, slots=True)
class Speaker:
    """Says things in one language, one currency and one zone."""

    language: Language
    currency: str
    time_zone: str

    def say(self, key: str, *values: str) -> str:
        """The text of a key in this language, its arguments filled in."""
        return words.say(key, self.language, *values)

    def said(self, said: Said) -> str:
        """What the table of findings says, in this language."""
        return said.en if self.language == "en" else said.zh

    def name(self, kind: str, code: str) -> str:
        """The word for a code, or the code."""
        return words.name(kind, code, self.language)

    def fact(self, key: str, value: Cell, kind: Kind = "text") -> Fact:
        """A value under the word for its key."""
        return Fact(key, self.say(key), value, kind)

    def coded(self, kind: str, code: str) -> Cell:
        """A code in words."""
        return Cell(self.name(kind, code), code)

    def verdict(self, verdict: str) -> Cell:
        """With its tone."""
        return Cell(
            self.name("verdict", verdict),
            verdict,
            Verdict.__members__.get(verdict, Verdict.UNKNOWN).value,
        )

    def yes(self, value: bool) -> Cell:
        """Yes or no."""
        return Cell(self.say("yes" if value else "no"), "true" if value else "false")

    def number(self, digits: str | int, raw: str = "") -> Cell:
        """A number, grouped."""
        return Cell(words.number(digits), raw or str(digits))

    def maybe(self, digits: str | int | None) -> Cell:
        """A number, or nothing where it was not read."""
        return Cell("") if digits is None else self.number(digits)

    def numbers(self, lowest: str | int, highest: str | int) -> Cell:
        """One number where both bounds agree, else both."""
        low, high = words.number(lowest), words.number(highest)
        if lowest == highest:
            return Cell(low, str(lowest))
        return Cell(f"{low} {self.say('to')} {high}", str(lowest), highest=str(highest))

    def instant(self, text: str) -> Cell:
        """An instant with its offset."""
        return Cell(words.instant(text, self.language), text)

    def short(self, text: str) -> Cell:
        """An instant on the contract's clocks, for tables whose heads name them; with its offset in a year that has
        several."""
        there = self._there(text)
        year = [there.replace(month=month, day=1).utcoffset() for month in (1, 7)]
        if {there.utcoffset(), *year} != {there.utcoffset()}:
            return self.local(text)
        return Cell(words.short_instant(_clock(text, there), self.language), text)

    def local(self, text: str) -> Cell:
        """An instant on the contract's clocks, with their offset."""
        return Cell(words.instant(_clock(text, self._there(text)), self.language), text)

    def both(self, text: str) -> Cell:
        """The same, with UTC beside it."""
        here, utc = self.local(text).text, words.instant(text, self.language)
        return Cell(here if here == utc else self.say("beside", here, utc), text)

    @property
    def zone(self) -> str:
        """Whose clocks tables are in, in words."""
        return self.name("zone", self.time_zone)

    def _there(self, text: str) -> datetime:
        return datetime.fromisoformat(text).astimezone(time_zone(self.time_zone))

    def percents(self, lowest: str, highest: str) -> Cell:
        """One share where both bounds agree, else both; raw as they are."""
        low, high = (words.percent(share, self.language) for share in (lowest, highest))
        if lowest == highest:
            return Cell(low, lowest)
        return Cell(f"{low} {self.say('to')} {high}", lowest, highest=highest)

    def percent(self, share: str | None) -> Cell:
        """A share, or nothing where it was not read."""
        return Cell("") if share is None else self.percents(share, share)

    def locals(self, first: str, last: str) -> Cell:
        """One instant on the clocks of the contract where both are the same, else both."""
        low, high = self.local(first), self.local(last)
        if first == last:
            return low
        return Cell(f"{low.text} {self.say('to')} {high.text}", first, highest=last)

    def amounts(self, lowest: str | None, highest: str | None) -> Cell:
        """An amount of money, or a range of it."""
        if lowest is None or highest is None:
            return Cell(self.say("open"), "open")
        low, high = (
            words.money(amount, self.currency, self.language) for amount in (lowest, highest)
        )
        if lowest == highest:
            return Cell(low, lowest)
        return Cell(f"{low} {self.say('to')} {high}", lowest, highest=highest)

    def in_words(self, lowest: str | None, highest: str | None) -> str:
        """An amount of yuan, or both ends of a range, in Chinese words, as it is signed in China; else nothing."""
        if self.currency != CURRENCY or lowest is None or highest is None:
            return ""
        told = [in_words(one) for one in dict.fromkeys((lowest, highest))]
        return f" {self.say('to')} ".join(told) if all(told) else ""

    def amount(self, lowest: str | None, highest: str | None) -> Cell:
        """The number of an amount, for a column whose head names the currency."""
        if lowest is None or highest is None:
            return Cell(self.say("open"), "open")
        return self.numbers(lowest, highest)

    def told(self, note: Note) -> str:
        """A note in words."""
        return self.clocked(words.told(note, self.language))

    def value(self, note: Note, name: str) -> str:
        """One value of a note, or that it is absent."""
        return words.values_of(note, self.language)[name]

    def made_by(self, version: Value) -> Cell:
        """Who made a document: a version, or those that judged, each with its instant."""
        told = self.clocked(words.value_of(version, self.language))
        if not isinstance(version, tuple):
            return Cell(told)
        notes = [one for one in version if isinstance(one, Note)]
        return Cell(told, " ".join(str(raw) for one in notes for raw in one.arguments.values()))

    def listed(self, items: Iterable[str]) -> str:
        """Several texts joined as the language lists them."""
        return self.say("comma").join(items)

    def cause(self, cause: Cause, unit: str) -> str:
        """The state in words; the cause itself is the ledger's, in Chinese with what it means.

        Its unit is named where it is not that of the line.
        """
        row = meaning(cause.cause) if self.language == "zh" else None
        told = (
            cause.unit if cause.unit != unit else "",
            self.name("state", cause.state),
            cause.cause if row is None else self.say("beside", cause.cause, row.means.zh),
        )
        return self.say("colon").join(part for part in told if part)

    def formula(self, line: CreditLine) -> str:
        """The kind of credit, a percentage of its base or an amount, and what it is reckoned from."""
        facts = dict(line.formula.arguments)
        pct, exact = facts.pop("pct", None), facts.pop("exact", None)
        amount = str(exact) if pct is None else self._share_of(pct, line.base)
        if pct is None and exact is None:
            amount = self.say("no_row")
        known = self.listed(self._fact(name, facts[name]) for name in sorted(facts))
        kind = self.name("kind", line.formula.code)
        return f"{kind}{self.say('colon')}{amount}" + (f" ({known})" if known else "")

    def clocked(self, text: str) -> str:
        """A text with its instants on the contract's clocks."""
        return INSTANT.sub(lambda found: self.local(found[0]).text, text)

    def _fact(self, name: str, value: object) -> str:
        told = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return f"{self.name('fact', name)} {self.name(name, told)}"

    def _share_of(self, pct: object, base: str) -> str:
        return f"{self.say('per_cent', str(pct))} × {words.number(base)}"


def _clock(text: str, there: datetime) -> str:
    """The instant there, with every digit of its second."""
    found = INSTANT.fullmatch(text)
    digits = found[1] if found is not None and found[1] is not None else ""
    shown = there.replace(microsecond=0).isoformat()
    return f"{shown[:CLOCK]}{digits}{shown[CLOCK:]}"
