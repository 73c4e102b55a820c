"""A document as plain text: for a terminal, for a message, for a file that people sign."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from collector.documents.document_layout import (
    Column,
    DocumentLayout,
    Fact,
    ResourceCounts,
    Section,
    Table,
)
from collector.documents.layouts import Document, layout_of
from collector.documents.words import Language, say

GAP = "  "
LINE = "_" * 28


def render(document: Document, language: Language) -> bytes:
    """UTF-8; columns are aligned where Chinese characters are two cells wide, as in a terminal."""
    layout = layout_of(document, language)
    return "".join(f"{line.rstrip()}\n" for line in _lines(layout)).encode()


def _lines(layout: DocumentLayout) -> Iterator[str]:
    if layout.warning:
        yield layout.warning
        yield ""
    yield f"{layout.title} · {layout.subtitle} · {layout.status}"
    yield "=" * _cells(f"{layout.title} · {layout.subtitle} · {layout.status}")
    yield ""
    yield from _facts(layout.facts)
    yield ""
    yield f"{layout.amount.name}{say('colon', layout.language)}{layout.amount.value.text}"
    yield from layout.amount_notes
    for section in (*layout.front, *layout.sections):
        yield from _section(section, layout.language)
    yield from _signing(layout)
    yield ""
    yield from layout.closing
    for section in layout.appendices:
        yield from _section(section, layout.language)


def _section(section: Section, language: Language) -> Iterator[str]:
    if section.timeline is not None:
        return
    yield ""
    yield section.title
    yield "-" * _cells(section.title)
    if section.note:
        yield section.note
    yield from _facts(section.facts)
    yield from (f"{GAP}{line}" for line in _counts(section.counts, language))
    if section.table is not None:
        yield from _table(section.table)
    yield from (f"{GAP}{line}" for line in section.lines)
    yield from (f"{GAP}{line}" for line in section.listing.splitlines())


def _facts(facts: Sequence[Fact]) -> Iterator[str]:
    width = max((_cells(fact.name) for fact in facts), default=0)
    for fact in facts:
        yield f"{_padded(fact.name, width)}{GAP}{fact.value.text}"


def _counts(counts: Iterable[ResourceCounts], language: Language) -> Iterator[str]:
    for one in counts:
        shown = [f"{count.name} {count.hours.text} ({count.remark})" for count in one.counts]
        yield f"{one.resource}{say('colon', language)}{say('comma', language).join(shown)}"


def _table(table: Table) -> Iterator[str]:
    rows = [[column.title for column in table.columns]]
    rows += [[cell.text for cell in row] for row in table.rows]
    widths = [max(map(_cells, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = zip(row, widths, table.columns, strict=True)
        yield GAP + GAP.join(_aligned(text, width, column) for text, width, column in cells)


def _aligned(text: str, width: int, column: Column) -> str:
    return _padded(text, width, right=column.kind == "number")


def _padded(text: str, width: int, right: bool = False) -> str:
    space = " " * (width - _cells(text))
    return f"{space}{text}" if right else f"{text}{space}"


def _cells(text: str) -> int:
    """How many cells of a terminal the text fills."""
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _signing(layout: DocumentLayout) -> Iterator[str]:
    yield ""
    yield say("signatures", layout.language)
    yield "-" * _cells(say("signatures", layout.language))
    yield layout.signing
    for signer in layout.signers:
        yield ""
        yield f"{signer.role}{say('colon', layout.language)}{signer.name}"
        yield f"{say('sign_name', layout.language)} {LINE}  {say('sign_date', layout.language)} {LINE}"
