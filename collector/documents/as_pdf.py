"""A document as a PDF that people sign. Needs the extra `pdf` and the font that `fonts` finds.

The same document gives the same bytes: no clock, no random identifiers.
"""

import io
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from reportlab.graphics.shapes import Drawing, Rect
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    CondPageBreak,
    Flowable,
    HRFlowable,
    KeepTogether,
    PageBreak,
    Preformatted,
    SimpleDocTemplate,
    Spacer,
    TableStyle,
)
from reportlab.platypus import Table as Grid

from collector.documents import fonts
from collector.documents.document_layout import (
    DocumentLayout,
    Fact,
    Lane,
    ResourceCounts,
    Section,
    SignatureLine,
    Timeline,
)
from collector.documents.layouts import Document, layout_of
from collector.documents.pdf_table import (
    FONT,
    INK,
    LEADING,
    ROUNDING,
    SIZE,
    SOFT,
    TONES,
    broken,
    paragraph,
    style,
    table,
    width_of,
)
from collector.documents.words import Language, say

MARGIN = 16 * mm
INSET = 6
"""What a frame keeps free on each side by itself."""

WIDTH = int(A4[0] - 2 * MARGIN) - 2 * INSET
PALE, WASH = HexColor("#eef1f4"), HexColor("#ececec")
NAMES = 120
BARS = WIDTH - NAMES
THINNEST = 500
"""Millionths of a timeline that a bar takes at least, to be seen on paper."""

COLORS = {
    "up": HexColor("#cdeed6"),
    "outside": PALE,
    "down": TONES["breached"],
    "degraded": HexColor("#b35900"),
    "excluded": HexColor("#8c959f"),
    "contested": HexColor("#8250df"),
    "unknown": HexColor("#d4a72c"),
}
BAR, PAD_BELOW = 8, 2
LISTING_COLUMNS, LISTING_LINES = 3, 90


def render(document: Document, language: Language) -> bytes:
    """Raises fonts.NoFontError."""
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(TTFont(FONT, str(fonts.find()), subfontIndex=0))
    layout = layout_of(document, language)
    out = io.BytesIO()
    made = SimpleDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=18 * mm,
        bottomMargin=18 * mm,
        title=f"{layout.title} {layout.subtitle}",
        author="Weighbridge",
        subject=layout.digest,
        lang=layout.language,
        invariant=1,
    )

    def decorate(canvas: Any, page: Any) -> None:
        _decorate(canvas, layout, page.page)

    made.build(
        list(_story(layout)),
        onFirstPage=decorate,
        onLaterPages=decorate,
        canvasmaker=partial(_Numbered, language=language),
    )
    return out.getvalue()


class _Numbered(Canvas):  # type: ignore[misc]
    """Each page says `n of pages`, which is known when the last one is drawn: until then pages are kept."""

    def __init__(self, *given: Any, language: Language, **named: Any) -> None:
        super().__init__(*given, **named)
        self._language: Language = language
        self._kept: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 - a name of ReportLab's
        """Ends a page."""
        self._kept.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Ends the file."""
        for page, state in enumerate(self._kept, start=1):
            self.__dict__.update(state)
            self.setFillColor(SOFT)
            self.setFont(FONT, 7)
            number = say("page", self._language, str(page), str(len(self._kept)))
            self.drawRightString(A4[0] - MARGIN - INSET, 10 * mm, number)
            super().showPage()
        super().save()


def _decorate(canvas: Any, layout: DocumentLayout, page: int) -> None:
    canvas.saveState()
    if layout.watermark:
        _watermark(canvas, layout.watermark)
    canvas.setFillColor(SOFT)
    canvas.setFont(FONT, 7)
    if page > 1:
        canvas.drawString(MARGIN + INSET, A4[1] - 11 * mm, f"{layout.title} · {layout.subtitle}")
        canvas.drawRightString(A4[0] - MARGIN - INSET, A4[1] - 11 * mm, layout.status)
    canvas.drawString(MARGIN + INSET, 10 * mm, f"SHA-256 {layout.digest}")
    canvas.restoreState()


def _watermark(canvas: Any, text: str) -> None:
    canvas.saveState()
    canvas.setFillColor(WASH)
    canvas.setFont(FONT, 84)
    canvas.translate(A4[0] / 2, A4[1] / 2)
    canvas.rotate(52)
    canvas.drawCentredString(0, -28, text)
    canvas.restoreState()


def _story(layout: DocumentLayout) -> Iterator[Any]:
    if layout.warning:
        yield _box([[paragraph(layout.warning, style(9, TONES["unknown"]))]], TONES["unknown"])
        yield Spacer(0, 8)
    yield paragraph(f"{layout.title} · {layout.status}", style(19))
    yield Spacer(0, 4)
    yield paragraph(layout.subtitle, style(11, SOFT))
    yield Spacer(0, 8)
    yield _facts(layout.facts)
    yield Spacer(0, 8)
    yield _amount(layout)
    for section in (*layout.front, *layout.sections):
        yield from _section(section)
    yield from _closing(layout)
    if layout.appendices:
        yield PageBreak()
    for section in layout.appendices:
        yield from _section(section)


def _box(rows: list[list[Any]], color: Any) -> Any:
    grid = Grid(rows, colWidths=[WIDTH])
    grid.setStyle(
        TableStyle(
            [
                ("BOX", (0, 0), (-1, -1), 0.75, color),
                ("LEFTPADDING", (0, 0), (-1, -1), 8),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 6),
                ("TOPPADDING", (0, 0), (-1, -1), 4),
            ]
        )
    )
    return grid


def _amount(layout: DocumentLayout) -> Any:
    told = [
        paragraph(layout.amount.name, style(8, SOFT)),
        paragraph(layout.amount.value.text, style(16)),
    ]
    told += [paragraph(note, style(8, SOFT)) for note in layout.amount_notes]
    return _box([[told]], INK)


def _facts(facts: Sequence[Fact]) -> Any:
    rows = [
        [paragraph(fact.name, style(8, SOFT)), paragraph(fact.value.text, style(8))]
        for fact in facts
    ]
    grid = Grid(rows, colWidths=[140, WIDTH - 140], hAlign="LEFT")
    grid.setStyle(_tight())
    return grid


def _tight() -> Any:
    return TableStyle(
        [
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), 6),
            ("TOPPADDING", (0, 0), (-1, -1), 0),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ]
    )


def _section(section: Section) -> Iterator[Any]:
    yield PageBreak() if section.page == "first" else CondPageBreak(30 * mm)
    yield Spacer(0, 12)
    yield paragraph(section.title, style(11))
    yield HRFlowable(width="100%", thickness=0.75, color=INK, spaceBefore=2, spaceAfter=3)
    if section.note:
        yield paragraph(section.note, style(7, SOFT))
        yield Spacer(0, 3)
    if section.facts:
        yield _facts(section.facts)
    for one in section.counts:
        yield _counts(one)
    if section.table is not None:
        yield table(section.table, WIDTH)
    if section.timeline is not None:
        yield from _timeline(section.timeline)
    for line in section.lines:
        yield paragraph(line, style(8))
    yield from _listing(section.listing)
    if section.page == "last":
        yield PageBreak()


def _counts(one: ResourceCounts) -> Any:
    cells = [
        [
            paragraph(count.name, style(7, SOFT)),
            paragraph(count.hours.text, style(13)),
            paragraph(count.remark, style(7, SOFT)),
        ]
        for count in one.counts
    ]
    name = paragraph(one.resource, style(8))
    share = (WIDTH - 70) // len(cells)
    grid = Grid([[name, *cells]], colWidths=[70, *[share] * len(cells)], hAlign="LEFT")
    grid.setStyle(
        TableStyle(
            [
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("LEFTPADDING", (0, 0), (0, -1), 0),
                ("BACKGROUND", (1, 0), (-1, -1), PALE),
                ("INNERGRID", (1, 0), (-1, -1), 2, HexColor("#ffffff")),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 5),
            ]
        )
    )
    return grid


def _timeline(shown: Timeline) -> Iterator[Any]:
    legend: list[Any] = []
    for tone, title in shown.legend:
        legend += [_swatch(tone), paragraph(title, style(7, SOFT))]
    share = WIDTH // len(shown.legend)
    grid = Grid([legend], colWidths=[14, share - 14] * len(shown.legend), hAlign="LEFT")
    grid.setStyle(_tight())
    yield grid
    yield from map(_LaneLine, shown.lanes)
    ends = Grid(
        [
            [
                paragraph(shown.start, style(7, SOFT)),
                paragraph(shown.end, style(7, SOFT, right=True)),
            ]
        ],
        colWidths=[BARS // 2, BARS // 2],
    )
    ends.setStyle(_tight())
    under = Grid([["", ends]], colWidths=[NAMES, BARS], hAlign="LEFT")
    under.setStyle(_tight())
    yield under


def _swatch(tone: str) -> Any:
    drawing = Drawing(9, BAR)
    drawing.add(Rect(0, 0, 9, BAR, fillColor=COLORS[tone], strokeColor=None))
    return drawing


class _LaneLine(Flowable):  # type: ignore[misc]
    """A lane beside its name."""

    def __init__(self, lane: Lane) -> None:
        super().__init__()
        self._lane = lane
        self._name = broken(lane.name, SIZE, NAMES - INSET)

    def wrap(self, width: float, height: float) -> tuple[float, float]:  # noqa: ARG002 (ReportLab's)
        """In points."""
        return NAMES + BARS, len(self._name) * LEADING + PAD_BELOW

    def draw(self) -> None:
        canvas, top = self.canv, self.wrap(0, 0)[1]
        canvas.setFont(FONT, SIZE)
        canvas.setFillColor(INK)
        for down, line in enumerate(self._name):
            canvas.drawString(0, top - down * LEADING - SIZE, line)
        self._bar("outside", 0, 1_000_000, top)
        for bar in self._lane.bars:
            self._bar(bar.tone, bar.start, max(bar.length, THINNEST), top)

    def _bar(self, tone: str, start: int, length: int, top: float) -> None:
        left, width = (NAMES + start * BARS / 1_000_000, length * BARS / 1_000_000)
        self.canv.setFillColor(COLORS[tone])
        self.canv.rect(left, top - BAR, width, BAR, stroke=0, fill=1)


def _listing(text: str) -> Iterator[Any]:
    """Text that keeps its lines, in columns where it is long; a line that is too long goes on below."""
    across = LISTING_COLUMNS if text.count("\n") > LISTING_LINES else 1
    lines = [piece for line in text.splitlines() for piece in _pieces(line, WIDTH // across)]
    chunk = across * LISTING_LINES
    for first in range(0, len(lines), chunk):
        page = lines[first : first + chunk]
        height = -(-len(page) // across)
        columns = [page[at : at + height] for at in range(0, len(page), height)]
        cells = [Preformatted("\n".join(column), style(6)) for column in columns]
        grid = Grid([cells], colWidths=[WIDTH // across] * len(cells), hAlign="LEFT")
        grid.setStyle(_tight())
        yield grid


def _pieces(line: str, width: int) -> Iterator[str]:
    room = width - 2 * INSET + ROUNDING
    piece, taken = "", 0.0
    for character in line:
        wide = width_of(character, 6)
        if taken + wide > room:
            yield piece
            piece, taken = "", 0.0
        piece, taken = piece + character, taken + wide
    yield piece


def _closing(layout: DocumentLayout) -> Iterator[Any]:
    told: list[Any] = [Spacer(0, 12), paragraph(say("signatures", layout.language), style(11))]
    told += [HRFlowable(width="100%", thickness=0.75, color=INK, spaceBefore=2, spaceAfter=3)]
    told += [paragraph(layout.signing, style(8)), Spacer(0, 8)]
    told += [_signers(layout.signers, layout.language), Spacer(0, 10)]
    told += [paragraph(note, style(7, SOFT)) for note in layout.closing]
    yield KeepTogether(told)


def _signers(signers: Sequence[SignatureLine], language: Language) -> Any:
    """A column for each; a name that wraps moves the lines of all of them down."""
    rows = [
        [paragraph(signer.role, style(8, SOFT)) for signer in signers],
        [paragraph(signer.name, style(9)) for signer in signers],
        [_place(say("sign_name", language)) for _ in signers],
        [_place(say("sign_date", language)) for _ in signers],
    ]
    grid = Grid(rows, colWidths=[WIDTH // len(signers)] * len(signers), hAlign="LEFT")
    grid.setStyle(_tight())
    return grid


def _place(title: str) -> list[Any]:
    line = HRFlowable(width="92%", thickness=0.5, color=INK, hAlign="LEFT", spaceAfter=1)
    return [Spacer(0, 28), line, paragraph(title, style(7, SOFT))]
