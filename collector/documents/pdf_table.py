"""Tables of a PDF: widths from what is in them, and text that wraps only where it must, never inside a number."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, LongTable, Paragraph, TableStyle

from collector.documents.document_layout import Cell, Column, Table

FONT = "WeighbridgeStatement"
SIZE, LEADING, PAD = 7, 9, 5
GAP = 2 * PAD + 1
"""Of the width of a column, what its text cannot have."""
WIDEST_GAP = 45
NARROW = 30
ROUNDING = 1e-6
"""Of a sum of widths, which is no reason to begin a line."""
INK, SOFT, RULE = HexColor("#1f2328"), HexColor("#59636e"), HexColor("#c4ccd4")
TONES = {
    "met": HexColor("#1a7f37"),
    "breached": HexColor("#b00d1a"),
    "unknown": HexColor("#8a5a00"),
}


_WORDS = re.compile(
    r"\n"
    r"|[0-9]{4,}年[0-9]{1,2}月[0-9]{1,2}日"
    r"|[-+−~≈≤≥<>]*[0-9](?:[0-9]|[.,:/'’](?=[0-9])|[-–](?=[0-9]))*%?"
    r"|[!-/:-@\[-`{-~A-Za-z]+"
    r"|[ \t]+"
    r"|."
)
"""A date in Chinese, a number with its signs and separators, a word of ASCII, white space, or one character: Chinese
breaks at each."""
_NUMBER = re.compile(r"[0-9]")


def style(size: float, color: Any = INK, right: bool = False) -> Any:
    """Text of a size."""
    return ParagraphStyle(
        f"{size}-{color}-{right}",
        fontName=FONT,
        fontSize=size,
        leading=size * 9 // 7 + (1 if size > SIZE else 0),
        textColor=color,
        alignment=TA_RIGHT if right else TA_LEFT,
    )


class Text(Flowable):  # type: ignore[misc]
    """Text of the statement, which is never markup, in lines that fit the width that there is.

    Identifiers break where they must. ReportLab's own wrapping of Chinese breaks numbers too.
    """

    def __init__(self, text: str, look: Any) -> None:
        super().__init__()
        self._text, self._look = text, look
        self._lines: Any = None
        self._width = -1.0

    def wrap(self, width: float, height: float) -> tuple[float, float]:
        """In points."""
        if width != self._width:
            lines = broken(self._text, self._look.fontSize, width)
            self._lines, self._width = (
                Paragraph("<br/>".join(map(escape, lines)), self._look),
                width,
            )
        taken: tuple[float, float] = self._lines.wrap(width, height)
        return taken

    def split(self, width: float, height: float) -> Any:
        """The part that fits, and the rest."""
        self.wrap(width, height)
        return self._lines.split(width, height)

    def draw(self) -> None:
        self._lines.drawOn(self.canv, 0, 0)


@lru_cache(maxsize=1 << 16)
def _unit_width(text: str) -> float:
    return float(stringWidth(text, FONT, 1))


def width_of(text: str, size: float) -> float:
    """In points. Words and whole cells recur in a statement, and nothing is kerned: a line is as wide as its words."""
    return _unit_width(text) * size


def paragraph(text: str, look: Any) -> Any:
    """Text as wide as its place."""
    return Text(text, look)


def broken(text: str, size: float, width: float) -> list[str]:
    """The lines of a text. A word breaks where a line cannot hold it, a number never."""
    lines, taken = [""], 0.0
    for word in _WORDS.findall(text):
        if word == "\n":
            lines.append("")
            continue
        for piece in _fitting(word, size, width):
            if lines[-1] and taken + width_of(piece.rstrip(), size) > width + ROUNDING:
                lines.append("")
            added = piece if lines[-1] else piece.lstrip()
            taken = width_of(added, size) + (taken if lines[-1] else 0)
            lines[-1] += added
    return [line.rstrip() for line in lines]


def _fitting(word: str, size: float, width: float) -> Iterator[str]:
    """The word, or the pieces of one that is wider than a line."""
    if width_of(word, size) <= width or _NUMBER.match(word.lstrip("-+−~≈≤≥<>")):
        yield word
        return
    piece, taken = "", 0.0
    for character in word:
        wide = width_of(character, size)
        if piece and taken + wide > width + ROUNDING:
            yield piece
            piece, taken = "", 0.0
        piece, taken = piece + character, taken + wide
    yield piece


def table(given: Table, width: int) -> Any:
    """A table that repeats its head on every page."""
    columns = range(len(given.columns))
    least = [_least(given, number) for number in columns]
    rooms = [one - 2 * PAD for one in least]
    smaller = min(1.0, (width - GAP * len(rooms)) / sum(rooms))
    if smaller < 1:
        least = [int(room * smaller) + GAP for room in rooms]
    size = SIZE * smaller
    widths = spread([_natural(given, number) for number in columns], least, width)
    head = [
        paragraph(column.title, style(6, SOFT, column.kind == "number")) for column in given.columns
    ]
    body = [
        [_cell(*found, size) for found in zip(row, given.columns, widths, strict=True)]
        for row in given.rows
    ]
    made = LongTable([head, *body], colWidths=widths, repeatRows=1, hAlign="LEFT")
    made.setStyle(TableStyle(_look(given, size)))
    return made


def _least(given: Table, number: int) -> int:
    """The width below which a number of the column would break, and room for some letters."""
    texts = {row[number].text for row in given.rows}
    words = {word for text in texts for word in _WORDS.findall(text)}
    numbers = (width_of(word, SIZE) for word in words if _NUMBER.search(word))
    letters = max((width_of(word, SIZE) for word in words), default=0)
    return int(max([min(letters, NARROW), *numbers])) + GAP


def _natural(given: Table, number: int) -> int:
    """The width of a column in which nothing wraps, but for its head."""
    title = given.columns[number].title
    words = (
        title.split() if title.isascii() else [title[at : at + 4] for at in range(0, len(title), 4)]
    )
    texts = {row[number].text for row in given.rows}
    widest = max((width_of(text, SIZE) for text in texts), default=0)
    longest = max((width_of(word, 6) for word in words), default=0)
    return int(max(widest, longest)) + GAP


def fair(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """Columns as wide as they ask for; where that is too much, the widest give way first, to no less than they need."""
    given: dict[int, int] = {}
    left, owed = width, sum(least)
    for place in sorted(range(len(natural)), key=natural.__getitem__):
        owed -= least[place]
        share = left // (len(natural) - len(given))
        given[place] = max(least[place], min(natural[place], share, left - owed))
        left -= given[place]
    return [given[place] for place in range(len(natural))]


def spread(natural: Sequence[int], least: Sequence[int], width: int) -> list[int]:
    """The same, with what is left over shared evenly, up to a limit that keeps a row together."""
    widths = fair(natural, least, width)
    spare = min((width - sum(widths)) // len(widths), WIDEST_GAP)
    return [one + spare for one in widths]


def _cell(cell: Cell, column: Column, width: int, size: float) -> Any:
    if width_of(cell.text, size) <= width - 2 * PAD and "\n" not in cell.text:
        return cell.text
    look = style(size, TONES.get(cell.tone, INK), column.kind == "number")
    return paragraph(cell.text, look)


def _look(given: Table, size: float) -> list[Any]:
    commands: list[Any] = [
        ("FONT", (0, 0), (-1, -1), FONT, size, LEADING),
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
