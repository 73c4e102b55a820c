"""Tables of a PDF: widths from what is in them, and text that wraps only where it must."""

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import LongTable, Paragraph, TableStyle

from collector.documents.document_layout import Cell, Column, Table

FONT = "WeighbridgeStatement"
SIZE, LEADING, PAD = 7, 9, 5
WIDEST_GAP = 45
INK, SOFT, RULE = HexColor("#1f2328"), HexColor("#59636e"), HexColor("#c4ccd4")
TONES = {
    "met": HexColor("#1a7f37"),
    "breached": HexColor("#b00d1a"),
    "unknown": HexColor("#8a5a00"),
}


def style(size: int, color: Any = INK, right: bool = False, anywhere: bool = False) -> Any:
    """Text of a size. `anywhere`: lines may break between any two characters, as Chinese and identifiers need."""
    return ParagraphStyle(
        f"{size}-{color}-{right}-{anywhere}",
        fontName=FONT,
        fontSize=size,
        leading=size * 9 // 7 + (1 if size > SIZE else 0),
        textColor=color,
        alignment=TA_RIGHT if right else TA_LEFT,
        wordWrap="CJK" if anywhere else None,
    )


def paragraph(text: str, look: Any) -> Any:
    """Text of the statement is never markup."""
    return Paragraph(escape(text), look)


def table(given: Table, width: int) -> Any:
    """A table that repeats its head on every page."""
    widths = spread([_natural(given, number) for number in range(len(given.columns))], width)
    head = [
        paragraph(column.title, style(6, SOFT, column.kind == "number")) for column in given.columns
    ]
    body = [
        [_cell(*found) for found in zip(row, given.columns, widths, strict=True)]
        for row in given.rows
    ]
    made = LongTable([head, *body], colWidths=widths, repeatRows=1, hAlign="LEFT")
    made.setStyle(TableStyle(_look(given)))
    return made


def _natural(given: Table, number: int) -> int:
    """The width of a column in which nothing wraps, but for its head."""
    title = given.columns[number].title
    words = (
        title.split() if title.isascii() else [title[at : at + 4] for at in range(0, len(title), 4)]
    )
    texts = [row[number].text for row in given.rows]
    widest = max((stringWidth(text, FONT, SIZE) for text in texts), default=0)
    longest = max((stringWidth(word, FONT, 6) for word in words), default=0)
    return int(max(widest, longest)) + 1 + 2 * PAD


def fair(natural: Sequence[int], width: int) -> list[int]:
    """Columns as wide as they ask for; where that is too much, the widest give way first."""
    given: dict[int, int] = {}
    left = width
    for place in sorted(range(len(natural)), key=natural.__getitem__):
        given[place] = min(natural[place], left // (len(natural) - len(given)))
        left -= given[place]
    return [given[place] for place in range(len(natural))]


def spread(natural: Sequence[int], width: int) -> list[int]:
    """The same, with what is left over shared evenly, up to a limit that keeps a row together."""
    widths = fair(natural, width)
    spare = min((width - sum(widths)) // len(widths), WIDEST_GAP)
    return [one + spare for one in widths]


def _cell(cell: Cell, column: Column, width: int) -> Any:
    if stringWidth(cell.text, FONT, SIZE) <= width - 2 * PAD and "\n" not in cell.text:
        return cell.text
    look = style(SIZE, TONES.get(cell.tone, INK), column.kind == "number", anywhere=True)
    return paragraph(cell.text, look)


def _look(given: Table) -> list[Any]:
    commands: list[Any] = [
        ("FONT", (0, 0), (-1, -1), FONT, SIZE, LEADING),
        ("TEXTCOLOR", (0, 0), (-1, -1), INK),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
        ("LEFTPADDING", (0, 0), (-1, -1), PAD),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), PAD),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LINEBELOW", (0, 0), (-1, 0), 0.75, SOFT),
        ("LINEBELOW", (0, 1), (-1, -1), 0.25, RULE),
    ]
    commands += [
        ("ALIGN", (number, 0), (number, -1), "RIGHT")
        for number, column in enumerate(given.columns)
        if column.kind == "number"
    ]
    commands += [
        ("TEXTCOLOR", (across, down), (across, down), TONES[cell.tone])
        for down, row in enumerate(given.rows, start=1)
        for across, cell in enumerate(row)
        if cell.tone in TONES
    ]
    return commands
