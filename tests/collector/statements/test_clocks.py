"""Documents tell time on the contract's clocks, and name them; machines read UTC."""

from dataclasses import replace

import pytest
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

from collector.documents import fonts
from collector.documents.formats import FORMATS
from collector.documents.layouts import Document, layout_of
from collector.documents.pdf_table import FONT, broken
from collector.documents.speaker import Speaker
from collector.documents.words import LANGUAGES, Language, percent
from tests.collector.statements.examples import ordinary, ugly
from tests.collector.statements.handovers import certificate, note
from weighbridge.codes import note as noted

both_languages = pytest.mark.parametrize("language", LANGUAGES)
CLOCKS = {"en": "Beijing time", "zh": "北京时间"}


def in_beijing(document: Document) -> Document:
    source = getattr(document, "source", None)
    if source is None:
        return document
    moved = replace(source, time_zone="Asia/Shanghai")
    return replace(document, source=moved)


DOCUMENTS = [in_beijing(made) for made in (ordinary(), ugly(), note(), certificate())]


@both_languages
@pytest.mark.parametrize("document", DOCUMENTS, ids=["ordinary", "ugly", "delivery", "acceptance"])
def test_the_head_of_every_column_of_times_names_the_clocks(
    document: Document, language: Language
) -> None:
    layout = layout_of(document, language)
    tables = [one.table for one in (*layout.front, *layout.sections) if one.table is not None]
    heads = [column.title for table in tables for column in table.columns if column.kind == "time"]
    assert heads
    assert [head for head in heads if CLOCKS[language] not in head] == []
    assert CLOCKS[language] in layout.closing[-1]


@pytest.mark.parametrize(
    ("zone", "instant", "shown"),
    [
        ("Asia/Shanghai", "2026-05-01T17:00:00Z", "2 May 2026 01:00:00"),
        ("Asia/Shanghai", "2026-05-01T16:00:00.000000001Z", "2 May 2026 00:00:00.000000001"),
        ("UTC", "2026-05-01T17:00:00Z", "1 May 2026 17:00:00"),
        ("Europe/Berlin", "2026-10-25T00:30:00Z", "25 Oct 2026 02:30:00 UTC+02:00"),
        ("Europe/Berlin", "2026-10-25T01:30:00Z", "25 Oct 2026 02:30:00 UTC+01:00"),
        ("Australia/Sydney", "2026-04-04T16:30:00Z", "5 Apr 2026 02:30:00 UTC+10:00"),
    ],
)
def test_a_year_with_two_offsets_shows_which_so_that_no_hour_is_told_twice(
    zone: str, instant: str, shown: str
) -> None:
    assert Speaker("en", "EUR", zone).short(instant).text == shown
    assert Speaker("en", "EUR", zone).short(instant).raw == instant


def test_an_instant_in_a_note_is_on_the_same_clocks_and_a_date_is_left_alone() -> None:
    told = noted("issued_before", as_of="2026-06-06T16:00:00Z", digest="2026-05-01")
    assert Speaker("zh", "CNY", "Asia/Shanghai").told(told) == (
        "此前出具的版本：数据截至 2026年6月7日 00:00:00 UTC+08:00，2026-05-01。"
    )


@both_languages
def test_every_instant_of_a_csv_is_in_utc_beside_its_words(language: Language) -> None:
    made = FORMATS["csv"].render(ordinary(), language).decode("utf-8-sig")
    (line,) = [one for one in made.splitlines() if one.startswith("outages,1,1,start")]
    assert ",2026-05-01T17:00:00Z," in line
    assert CLOCKS[language] in line


@pytest.mark.parametrize(
    ("share", "en", "zh"),
    [
        ("0.999850657", "99.9850657 %", "99.9850657%"),
        ("0.9995", "99.95 %", "99.95%"),
        ("1.000000000", "100.0000000 %", "100.0000000%"),
        ("1", "100 %", "100%"),
        ("0", "0 %", "0%"),
        ("0.0005", "0.05 %", "0.05%"),
        ("1/3", "1/3", "1/3"),
    ],
)
def test_a_share_is_a_percentage_with_every_digit(share: str, en: str, zh: str) -> None:
    assert (percent(share, "en"), percent(share, "zh")) == (en, zh)


def test_a_date_in_chinese_is_not_broken_over_two_lines_of_a_pdf() -> None:
    try:
        pdfmetrics.registerFont(TTFont(FONT, str(fonts.find()), subfontIndex=0))
    except fonts.NoFontError as error:
        pytest.skip(str(error))
    told = "2026年5月4日 06:00:00 – 2026年12月14日 07:40:00"
    for width in range(20, 200, 7):
        lines = broken(told, 7, width)
        assert sum("年" in line and "日" in line for line in lines) >= 1
        assert all(line.count("年") == line.count("日") for line in lines)
