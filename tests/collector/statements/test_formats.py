"""Every format says everything that the statement says, in both languages, and the same bytes each time."""

import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from collector.documents import as_csv, as_html, as_text, fonts
from collector.documents.formats import FORMATS
from collector.documents.statement import lay_out
from collector.documents.words import LANGUAGES, Language, percent, say
from tests.collector.statements import examples
from tests.collector.statements.examples import (
    DAY,
    FORMULA,
    HOUR,
    LONG,
    MARKUP,
    PERIOD,
    START,
    drafted,
    ordinary,
    ugly,
    ups,
)
from weighbridge.codes import note
from weighbridge.judge.ledger import State
from weighbridge.settlement.case import Notices
from weighbridge.settlement.record import ToldEvent, Window
from weighbridge.settlement.statement import Statement, SwapLine, differences, path_text

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ
MAKERS = {"ordinary": ordinary, "ugly": ugly}
STATEMENTS = {name: make() for name, make in MAKERS.items()}
CODED = ("section", "version", "row", "column", "highest")
both_languages = pytest.mark.parametrize("language", LANGUAGES)
every_text = pytest.mark.parametrize(
    "kind", [name for name, one in FORMATS.items() if one.media_type.startswith("text/")]
)
both_statements = pytest.mark.parametrize("name", STATEMENTS)


def leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        for inner in tree.values() if isinstance(tree, dict) else tree:
            yield from leaves(inner)
    else:
        yield tree


def facts(statement: Statement) -> set[str]:
    """Every number, amount, instant, digest and name of the statement's JSON, as text."""
    found = {
        str(leaf)
        for leaf in leaves(json.loads(statement.json()))
        if leaf is not None and not isinstance(leaf, bool)
    }
    return {fact for fact in found if re.search("[0-9]", fact) and "\n" not in fact}


class Page(HTMLParser):
    """What a browser would show, what programs would read, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.values: set[str] = set()
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.labelled: list[str] = []
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("value", "datetime"):
                self.values |= set((value or "").split(" ")) | {value or ""}
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.fetched.append(value or "")
            if name == "aria-labelledby":
                self.labelled.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page(name: str, language: Language) -> Page:
    return Page(as_html.render(STATEMENTS[name], language).decode())


@both_statements
@both_languages
def test_every_number_of_the_statement_is_on_the_page(name: str, language: Language) -> None:
    found = page(name, language)
    text = "\n".join(found.text)
    shown = found.values | set(re.split(r"\s+", text))
    missing = {fact for fact in facts(STATEMENTS[name]) if fact not in shown and fact not in text}
    assert missing == set()


@both_languages
def test_each_unit_has_its_own_seconds_in_its_row(language: Language) -> None:
    statement = STATEMENTS["ugly"]
    layout = lay_out(statement, language)
    (table,) = [one.table for one in layout.sections if one.id == "time-1"]
    assert table is not None
    for unit, row in zip(statement.parts[0].units, table.rows, strict=True):
        least, most = unit.counted_seconds
        assert [row[0].text, *(f"{cell.raw} {cell.highest}".rstrip() for cell in row[1:])] == [
            unit.unit,
            str(unit.service_seconds),
            str(unit.denominator_seconds),
            str(least) if least == most else f"{least} {most}",
            str(unit.raw_down_seconds),
            str(unit.uncounted_seconds),
            str(unit.excluded_seconds),
            str(unit.unknown_seconds),
            str(unit.contested_seconds),
        ]


@both_languages
def test_the_page_loads_nothing_runs_nothing_and_escapes_what_it_is_told(
    language: Language,
) -> None:
    found = page("ugly", language)
    assert found.fetched == []
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert found.tags.count("b") < 30
    assert "".join(found.text).count(MARKUP) > 24
    raw = as_html.render(STATEMENTS["ugly"], language).decode()
    assert "<script" not in raw
    assert "url(" not in raw
    assert "@import" not in raw


def test_the_page_can_be_read_by_a_screen_reader() -> None:
    raw = as_html.render(STATEMENTS["ordinary"], "zh").decode()
    found = Page(raw)
    assert '<html lang="zh-Hans">' in raw
    assert raw.startswith("<!doctype html>")
    assert set(found.labelled) <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert raw.count("<th ") == raw.count('<th scope="col"')
    assert raw.count('role="img" aria-label=') == len(STATEMENTS["ordinary"].parts[0].units)


def test_the_page_adapts_to_paper_and_to_the_dark() -> None:
    raw = as_html.render(STATEMENTS["ordinary"], "en").decode()
    for needed in ("@media print", "@page", "prefers-color-scheme: dark", "table-header-group"):
        assert needed in raw


def test_a_timeline_draws_an_outage_where_it_was() -> None:
    """Three hours from the second day of thirty-one on, cut to two by maintenance, in millionths of the period."""
    raw = as_html.render(STATEMENTS["ordinary"], "en").decode()
    left, right = (hours * 10**6 // 744 for hours in (25, 27))
    assert f'<rect class="down" x="{left}" width="{right - left}"' in raw


def test_a_timeline_shows_every_state_and_maintenance_only_where_it_excluded_time() -> None:
    window = Window("m", START, START + DAY, START - DAY, frozenset({"n1"}))
    bad = [
        examples.row("n1", place * DAY, place * DAY + HOUR, state)
        for place, state in enumerate((State.DOWN, State.DEGRADED, State.CONTESTED), start=1)
    ]
    begun = ToldEvent("acceptance_signed", START + HOUR)
    rows = [*ups(["n1"]), *bad]
    made = drafted(["n1", "n2"], rows, Notices((window,), (), (begun,)), PERIOD.end_s, False)
    page = as_html.render(made, "en").decode()
    first, second = re.findall(r'<div class="lane">.*?</div>', page, re.DOTALL)
    drawn = [re.findall(r'<rect class="(\w+)" x="(\d+)"', lane) for lane in (first, second)]
    at = {hours: str(hours * 10**6 // 744) for hours in (1, 24, 48, 72)}
    assert drawn[0] == [
        ("up", at[1]),
        ("excluded", at[1]),
        ("down", at[24]),
        ("degraded", at[48]),
        ("contested", at[72]),
    ]
    assert drawn[1] == [("up", at[1]), ("unknown", at[1])]


@every_text
@both_languages
@both_statements
def test_the_same_statement_gives_the_same_bytes(kind: str, language: Language, name: str) -> None:
    again = MAKERS[name]()
    assert again == STATEMENTS[name]
    assert FORMATS[kind].render(again, language) == FORMATS[kind].render(STATEMENTS[name], language)


@pytest.fixture(scope="session")
def kept() -> Statement:
    """A statement on file: how it is rendered changes here alone, and not with what settlement makes.

    The files are rewritten when WEIGHBRIDGE_WRITE_GOLDEN is set, to be read before they are committed.
    """
    file = GOLDEN / "ordinary.json"
    if REWRITE:
        file.write_text(ordinary().json(), encoding="utf-8")
    return TypeAdapter(Statement).validate_json(file.read_bytes())


@pytest.mark.parametrize("kind", ["text", "csv"])
@both_languages
def test_text_and_csv_are_those_on_file(kind: str, language: Language, kept: Statement) -> None:
    file = GOLDEN / f"ordinary.{language}.{'txt' if kind == 'text' else kind}"
    digest = hashlib.sha256(kept.json().encode()).hexdigest()
    made = FORMATS[kind].render(kept, language).replace(digest.encode(), b"0" * 64)
    if REWRITE:
        file.write_bytes(made)
    assert file.read_bytes() == made


@both_languages
def test_the_csv_is_one_table_and_nothing_in_it_is_a_formula(language: Language) -> None:
    made = as_csv.render(STATEMENTS["ugly"], language).decode("utf-8-sig")
    assert made.endswith("\r\n")
    rows = list(csv.reader(io.StringIO(made, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(as_csv.COLUMNS)}
    cells = [cell for row in rows for cell in row]
    risky = [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert [cell for cell in risky if not re.fullmatch(r"-?[0-9.]+", cell)] == []


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_what_a_spreadsheet_would_run_is_marked_as_text(start: str) -> None:
    swap = SwapLine("gpu_replaced", "2026-05-01T00:00:00Z", f"{start}1+1", {})
    statement = replace(STATEMENTS["ordinary"], swaps=(swap,))
    rows = list(csv.reader(io.StringIO(as_csv.render(statement, "en").decode(), newline="")))
    (found,) = [row for row in rows if row[-1].endswith("1+1")]
    assert (found[4], found[-1]) == (f"'{start}1+1",) * 2


def test_what_a_machine_reads_of_the_csv_is_the_same_in_every_language() -> None:
    for statement in STATEMENTS.values():
        made = [as_csv.render(statement, language).decode("utf-8-sig") for language in LANGUAGES]
        english, chinese = (list(csv.DictReader(io.StringIO(text, newline=""))) for text in made)
        assert len(english) > 100
        for one, other in zip(english, chinese, strict=True):
            assert [one[name] for name in CODED] == [other[name] for name in CODED]
        assert english != chinese


def test_a_line_of_the_csv_says_where_it_stands_what_it_is_and_up_to_what() -> None:
    text = as_csv.render(STATEMENTS["ugly"], "en").decode()
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    mine = [one for one in lines if (one["section"], one["row"]) == ("others", "1")]
    told = {one["column"]: (one["value"], one["highest"]) for one in mine}
    assert (told["formula"], told["amount"]) == (("repair_steps", ""), ("1234.56", "8765.43"))
    fractions = [one["value"] for one in lines if one["column"] == "exactly"]
    assert all(fraction.startswith("'") for fraction in fractions)


def test_a_negative_amount_stays_a_number() -> None:
    statement = replace(STATEMENTS["ordinary"], lowest="-1.50")
    assert ",-1.50,2860.00," in as_csv.render(statement, "en").decode()


@both_languages
@both_statements
def test_the_csv_holds_every_number(name: str, language: Language) -> None:
    text = as_csv.render(STATEMENTS[name], language).decode()
    absent = {fact for fact in facts(STATEMENTS[name]) if '"' not in fact and fact not in text}
    assert absent == set()


@both_languages
@both_statements
def test_the_text_holds_every_digest_and_every_unit(name: str, language: Language) -> None:
    statement = STATEMENTS[name]
    text = as_text.render(statement, language).decode()
    assert statement.inputs_digest in text
    for made in (*statement.judged.judge, *statement.judged.tables):
        assert made.version in text
    for unit in statement.parts[0].units:
        assert unit.unit in text
        assert percent(unit.availability[0], language) in text


@every_text
@both_languages
def test_what_was_simulated_says_so_first(kind: str, language: Language) -> None:
    simulated = FORMATS[kind].render(STATEMENTS["ugly"], language).decode()
    assert say("simulated_long", language) in simulated
    real = FORMATS[kind].render(STATEMENTS["ordinary"], language).decode()
    assert say("simulated", language) not in real


@pytest.mark.parametrize("module", [as_text, as_csv, as_html])
@both_languages
def test_what_the_one_issued_before_said_otherwise_is_listed(
    module: Any, language: Language
) -> None:
    before, after = ordinary(4 * HOUR), STATEMENTS["ordinary"]
    told = (note("issued_before", as_of=before.as_of, digest="abc"), *differences(before, after))
    shown = module.render(replace(after, notes=told), language).decode()
    assert len(told) > 1
    for line in told[1:]:
        path = line.arguments["path"]
        assert isinstance(path, tuple)
        assert path_text(path) in shown
    first = {
        "en": "Issued before: as of 7 Jun 2026 00:00:00 UTC+08:00, abc.",
        "zh": "此前出具的版本：数据截至 2026年6月7日 00:00:00 UTC+08:00，abc。",
    }
    assert module is as_csv or first[language] in shown


def test_a_value_that_was_not_there_before_is_said_to_be_absent() -> None:
    told = (note("changed", path=("parts", 0, "fees"), after="2.00"),)
    shown = as_text.render(replace(STATEMENTS["ordinary"], notes=told), "zh").decode()
    assert re.search(r"parts\[0\]\.fees +无 +2\.00", shown)


def test_a_format_whose_library_is_missing_says_which() -> None:
    code = (
        "import sys; sys.modules['reportlab'] = None\n"
        "from collector.documents.formats import FORMATS\n"
        "from collector.documents.layouts import UnrenderableError\n"
        "from tests.collector.statements.examples import ordinary\n"
        "try:\n    FORMATS['pdf'].render(ordinary())\n"
        "except UnrenderableError as error:\n    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "reportlab" in ran.stdout


def test_text_and_csv_need_no_library_of_the_collector() -> None:
    code = (
        "import sys\n"
        "for name in ('jinja2', 'reportlab', 'aiohttp', 'sqlalchemy'): sys.modules[name] = None\n"
        "from collector.documents.formats import FORMATS\n"
        "from tests.collector.statements.examples import ordinary\n"
        "for kind in ('text', 'json', 'csv'): assert FORMATS[kind].render(ordinary(), 'zh')\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


@pytest.fixture(scope="module")
def font() -> Path:
    try:
        return fonts.find()
    except fonts.NoFontError as error:
        pytest.skip(str(error))


def pdf_text(file: bytes) -> str:
    """The text of all pages, without spaces: lines break where the page needs it."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (package poppler-utils) is not installed")
    ran = subprocess.run(
        ["pdftotext", "-raw", "-", "-"], input=file, capture_output=True, timeout=60, check=True
    )
    return re.sub(r"\s+", "", ran.stdout.decode())


@both_languages
@both_statements
@pytest.mark.usefixtures("font")
def test_the_pdf_holds_the_counts_the_units_and_the_amounts(name: str, language: Language) -> None:
    statement = STATEMENTS[name]
    text = pdf_text(FORMATS["pdf"].render(statement, language))
    wanted = [statement.contract, statement.inputs_digest, LONG if name == "ugly" else "n1"]
    wanted += [percent(unit.availability[0], language) for unit in statement.parts[0].units]
    wanted += [unit.availability_fraction[0] for unit in statement.parts[0].units]
    wanted += [say(key, language) for key in ("contracted", "reporting", "healthy", "in_use")]
    wanted += [say("signatures", language), "上海云衡" if name == "ordinary" else "和林格尔"]
    wanted += [FORMULA, MARKUP] if name == "ugly" else ["2,972.88", "xid79"]
    assert [one for one in wanted if re.sub(r"\s+", "", one) not in text] == []


@both_languages
@pytest.mark.usefixtures("font")
def test_every_page_of_the_pdf_has_its_number_and_the_watermark(language: Language) -> None:
    text = pdf_text(FORMATS["pdf"].render(STATEMENTS["ugly"], language))
    last = re.sub(r"\s+", "", say("page", language, "{0}", "{1}"))
    pages = next(
        count
        for count in range(1, 100)
        if last.format(count, count) in text and last.format(count + 1, count) not in text
    )
    assert pages > 3
    assert all(last.format(number, pages) in text for number in range(1, pages + 1))
    assert text.count(say("simulated", language)) >= pages


@both_languages
@pytest.mark.usefixtures("font")
def test_the_pdf_is_the_same_in_every_process(language: Language) -> None:
    code = (
        "import hashlib\n"
        "from collector.documents.formats import FORMATS\n"
        "from tests.collector.statements.examples import ugly\n"
        f"print(hashlib.sha256(FORMATS['pdf'].render(ugly(), '{language}')).hexdigest())\n"
    )
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
            env={"PYTHONHASHSEED": seed, "TZ": zone, "PATH": "/usr/bin:/bin"},
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }
    assert len(made) == 1


def test_a_missing_font_names_the_package_to_install(tmp_path: Path) -> None:
    with pytest.raises(fonts.NoFontError, match=fonts.PACKAGE):
        fonts.find([tmp_path])
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / fonts.FILE).touch()
    assert fonts.find([tmp_path]) == tmp_path / "deep" / fonts.FILE


def test_what_can_still_be_claimed_stands_beside_the_amount_that_is_due() -> None:
    """The ordinary month before its claim: nothing is due, 2,860.00 could be, for seven days."""
    claimed, waiting = STATEMENTS["ordinary"], ordinary(claimed=False)
    assert (waiting.highest, claimed.highest) == ("0.00", "2860.00")
    told = " ".join(as_text.render(waiting, "en").decode().split())
    assert "Still to be claimed: at most CNY 2,860.00." in told
    assert "must be made before 8 Jun 2026 00:00:00 UTC+08:00." in told
    assert "尚可申请：至多" in as_text.render(waiting, "zh").decode()
    assert "Still to be claimed" not in as_text.render(claimed, "en").decode()


@both_languages
@pytest.mark.usefixtures("font")
def test_no_number_of_a_pdf_is_broken_over_two_lines(language: Language) -> None:
    given = STATEMENTS["ordinary"]
    amounts: dict[str, Any] = {
        name: f"{digit}234567890123456789012.5{digit}"
        for digit, name in enumerate(("gross", "unbilled", "net", "tax"), start=1)
    }
    fees = [replace(fee, **amounts) for fee in given.parts[0].fees]
    parts = (replace(given.parts[0], fees=tuple(fees)),)
    shown = pdf_lines(FORMATS["pdf"].render(replace(given, parts=parts), language))
    wanted = [f"{digit},234,567,890,123,456,789,012.5{digit}" for digit in (1, 2, 3, 4)]
    assert [one for one in wanted if one not in shown] == []


def pdf_lines(file: bytes) -> str:
    """The text of all pages, in the lines of the page."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext (package poppler-utils) is not installed")
    told = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=file, capture_output=True, timeout=60, check=True
    )
    return told.stdout.decode()
