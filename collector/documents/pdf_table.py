"""Tables of a PDF: widths from what is in them, and text that wraps only where it must, never inside a number."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, Paragraph

from collector.documents.document_layout import Cell, Table

FONT = "WeighbridgeStatement"
SIZE, LEADING, PAD = 7, 9, 5
HEAD_SIZE, CELL_PAD = 6, 2
HIGHEST = 60
"""Lines of a cell that a page holds beside what else stands on it."""

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


class Line(NamedTuple):
    """A row of a table: the lines of each cell, and its color."""

    cells: Sequence[tuple[Sequence[str], Any]]
    height: float


@dataclass(frozen=True, slots=True)
class Grid:
    """A table that is laid out. `starts`: how far below the first line each begins, and where the last one ends."""

    edges: Sequence[float]
    right: Sequence[bool]
    size: float
    head: Line
    lines: Sequence[Line]
    starts: Sequence[float]


class Rows(Flowable):  # type: ignore[misc]
    """Some lines of a grid under its head. ReportLab's own tables cost a multiple, and of many pages the more."""

    def __init__(self, grid: Grid, first: int = 0, end: int | None = None) -> None:
        super().__init__()
        self._grid, self._first = grid, first
        self._end = len(grid.lines) if end is None else end
        self.hAlign = "LEFT"

    def wrap(self, width: float, height: float) -> tuple[float, float]:  # noqa: ARG002 (ReportLab's)
        """In points."""
        grid = self._grid
        below = grid.starts[self._end] - grid.starts[self._first]
        return grid.edges[-1], grid.head.height + below

    def split(self, width: float, height: float) -> list["Rows"]:  # noqa: ARG002 (ReportLab's)
        """The lines that fit, and the others; nothing where none does."""
        grid = self._grid
        room = grid.starts[self._first] + height - grid.head.height
        end = bisect_right(grid.starts, room + ROUNDING, self._first, self._end + 1) - 1
        if end <= self._first:
            return []
        return [Rows(grid, self._first, end), Rows(grid, end, self._end)]

    def draw(self) -> None:
        grid, canvas = self._grid, self.canv
        top = self.wrap(0, 0)[1]
        written = canvas.beginText()
        _write(written, grid, grid.head, top, HEAD_SIZE)
        top -= grid.head.height
        rules = []
        for line in grid.lines[self._first : self._end]:
            _write(written, grid, line, top, grid.size)
            top -= line.height
            rules.append((0, top, grid.edges[-1], top))
        canvas.drawText(written)
        under = self.wrap(0, 0)[1] - grid.head.height
        _rule(canvas, RULE, 0.25, rules)
        _rule(canvas, SOFT, 0.75, [(0, under, grid.edges[-1], under)])


def _rule(canvas: Any, color: Any, width: float, lines: Sequence[tuple[float, ...]]) -> None:
    canvas.setStrokeColor(color)
    canvas.setLineWidth(width)
    canvas.lines(lines)


def _write(written: Any, grid: Grid, line: Line, top: float, size: float) -> None:
    leading = _leading(size)
    written.setFont(FONT, size, leading)
    shown = None
    for number, (texts, color) in enumerate(line.cells):
        if color is not shown:
            written.setFillColor(color)
            shown = color
        left, right = grid.edges[number] + (PAD if number else 0), grid.edges[number + 1] - PAD
        for down, text in enumerate(texts):
            start = right - width_of(text, size) if grid.right[number] else left
            written.setTextOrigin(start, top - CELL_PAD - down * leading - size)
            written.textOut(text)


def _leading(size: float) -> float:
    return size * LEADING / SIZE


def table(given: Table, width: int) -> Rows:
    """A table that repeats its head on every page."""
    columns = range(len(given.columns))
    least = [_least(given, number) for number in columns]
    rooms = [one - 2 * PAD for one in least]
    smaller = min(1.0, (width - GAP * len(rooms)) / sum(rooms))
    if smaller < 1:
        least = [int(room * smaller) + GAP for room in rooms]
    size = SIZE * smaller
    widths = spread([_natural(given, number) for number in columns], least, width)
    titles = [Cell(column.title) for column in given.columns]
    (head,) = _lines(titles, widths, HEAD_SIZE, SOFT)
    lines = [line for row in given.rows for line in _lines(row, widths, size, INK)]
    return Rows(
        Grid(
            edges=list(accumulate(widths, initial=0)),
            right=[column.kind == "number" for column in given.columns],
            size=size,
            head=head,
            lines=lines,
            starts=list(accumulate((line.height for line in lines), initial=0)),
        )
    )


def _lines(row: Sequence[Cell], widths: Sequence[int], size: float, color: Any) -> Iterator[Line]:
    """A row, or where it is higher than a page the pieces of it."""
    cells = [
        (_cell(cell, room - 2 * PAD, size), TONES.get(cell.tone, color))
        for cell, room in zip(row, widths, strict=True)
    ]
    most = max(len(texts) for texts, _ in cells)
    for first in range(0, most, HIGHEST):
        piece = [(texts[first : first + HIGHEST], shade) for texts, shade in cells]
        yield Line(piece, min(most - first, HIGHEST) * _leading(size) + 2 * CELL_PAD)


def _cell(cell: Cell, room: float, size: float) -> list[str]:
    if width_of(cell.text, size) <= room and "\n" not in cell.text:
        return [cell.text]
    return broken(cell.text, size, room)


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
