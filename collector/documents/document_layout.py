"""What every rendering shows, laid out once: sections of facts, tables and lines, in one language."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from collector.documents.words import Language

Kind = Literal["text", "number", "time", "code"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as people read it; `raw`: as the statement holds it, where that is spelled otherwise.

    `tone`: met, breached or unknown, where the value is a verdict. `highest`: of a range, whose lowest end is `raw`.
    """

    text: str
    raw: str = ""
    tone: str = ""
    highest: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """The head of a column, and what it holds. `key` is the same in every language."""

    key: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """A table: columns and rows."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value. `key` is the same in every language."""

    key: str
    name: str
    value: Cell
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Count:
    """One of the four counts: GPU-hours of a resource, and a remark such as their share of what was contracted."""

    key: str
    name: str
    hours: Cell
    remark: str
    per_mille: int


@dataclass(frozen=True, slots=True)
class ResourceCounts:
    """The four counts of a resource."""

    resource: str
    counts: Sequence[Count]


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of a timeline: in millionths of the whole, so that it stays an integer."""

    tone: str
    start: int
    length: int
    title: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One unit's timeline."""

    name: str
    label: str
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The lanes of one part of the period, and its ends."""

    start: str
    end: str
    lanes: Sequence[Lane]
    legend: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the statement. Empty sections say so in `lines`. `listing`: text that keeps its lines.

    `key` is the same in every language; `version`: of the contract, where the section is about the part that it rules.
    `page`: on paper, the first or the last section of a page of its own.
    """

    key: str
    title: str
    note: str = ""
    facts: Sequence[Fact] = ()
    counts: Sequence[ResourceCounts] = ()
    table: Table | None = None
    timeline: Timeline | None = None
    lines: Sequence[str] = ()
    listing: str = ""
    version: int | None = None
    page: Literal["", "first", "last"] = ""

    @property
    def id(self) -> str:
        """One of its own on the page."""
        return self.key if self.version is None else f"{self.key}-{self.version}"


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """A signature line of a party."""

    role: str
    name: str


@dataclass(frozen=True, slots=True)
class DocumentLayout:
    """The whole statement in one language. `front`: what the first page shows; `sections`: the rest, in order; then
    the signatures, then `appendices`.

    `digest`: SHA-256 of the statement as canonical JSON.
    """

    language: Language
    title: str
    subtitle: str
    warning: str
    watermark: str
    status: str
    final: bool
    digest: str
    facts: Sequence[Fact]
    amount: Fact
    amount_notes: Sequence[str]
    front: Sequence[Section]
    sections: Sequence[Section]
    appendices: Sequence[Section]
    closing: Sequence[str]
    signing: str
    signers: Sequence[SignatureLine]
