"""The layout as one table (RFC 4180): a fact or a cell a line, numbers ungrouped, times as the document holds them.

Text that a spreadsheet would take for a formula, and a fraction, which it would take for a date, get an apostrophe in
front.
"""

import csv
import io
import re
from collections.abc import Iterator

from collector.documents.document_layout import Cell, DocumentLayout, Fact, Section
from collector.documents.layouts import Document, layout_of
from collector.documents.words import Language

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
FRACTION = re.compile(r"-?[0-9]+/[0-9]+")
BYTE_ORDER_MARK = "\ufeff"
COLUMNS = ("section", "version", "row", "column", "value", "highest", "title", "text")
"""The same in every language, as are section and column within: `title` and `text` are for people."""

Line = tuple[str, ...]
HEAD = ("head", "")
"""Section and version of what stands above the sections."""


def render(document: Document, language: Language) -> bytes:
    """UTF-8; in Chinese with the byte order mark without which spreadsheets misread it."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for line in _lines(layout_of(document, language)):
        writer.writerow(map(_safe, line))
    mark = BYTE_ORDER_MARK if language == "zh" else ""
    return f"{mark}{out.getvalue()}".encode()


def _lines(layout: DocumentLayout) -> Iterator[Line]:
    if layout.warning:
        yield *HEAD, "", "simulated", "", "", layout.watermark, layout.warning
    yield (
        *HEAD,
        "",
        "status",
        "final" if layout.final else "provisional",
        "",
        layout.title,
        layout.status,
    )
    for fact in (*layout.facts, layout.amount):
        yield _fact(HEAD, fact)
    for section in (*layout.front, *layout.sections, *layout.appendices):
        yield from _section(section)


def _section(section: Section) -> Iterator[Line]:
    place = (section.key, "" if section.version is None else str(section.version))
    yield from (_fact(place, fact) for fact in section.facts)
    for one in section.counts:
        for count in one.counts:
            yield *place, one.resource, *_cell(count.key, count.name, count.hours)
    for number, line in enumerate(section.lines, start=1):
        yield *place, str(number), "", "", "", "", line
    if section.table is not None:
        for number, row in enumerate(section.table.rows, start=1):
            for column, cell in zip(section.table.columns, row, strict=True):
                if cell.text:
                    yield *place, str(number), *_cell(column.key, column.title, cell)


def _fact(place: Line, fact: Fact) -> Line:
    return *place, "", *_cell(fact.key, fact.name, fact.value)


def _cell(key: str, title: str, cell: Cell) -> Line:
    return key, cell.raw or cell.text, cell.highest, title, cell.text


def _safe(text: str) -> str:
    if (text.startswith(FORMULA) and not NUMBER.fullmatch(text)) or FRACTION.fullmatch(text):
        return f"'{text}"
    return text
