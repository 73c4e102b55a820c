"""One language, one currency and one zone, to lay out a statement in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from collector.documents import words
from collector.documents.sheet import Cell
from collector.documents.words import Language


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

    def cause(self, cause: str) -> str:
        """`down:xid` with the state in words; the cause itself is the ledger's."""
        state, colon, rest = cause.partition(":")
        return f"{self.name('state', state)}{self.say('colon') if colon else ''}{rest}"
