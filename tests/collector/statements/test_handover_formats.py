"""Delivery notes and certificates in every format say what the document says, in both languages."""

import csv
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from collector.documents import as_csv, fonts
from collector.documents.formats import FORMATS
from collector.documents.layouts import layout_of
from collector.documents.words import LANGUAGES, Language, say
from tests.collector.statements.examples import FORMULA, MARKUP
from tests.collector.statements.handovers import certificate, note
from tests.collector.statements.test_formats import Page, pdf_text
from weighbridge.catalogue.findings import meanings
from weighbridge.handover.documents import Certificate, DeliveryNote

GOLDEN = Path(__file__).parent / "golden"
REWRITE = "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ
MAKERS: dict[str, Callable[[], DeliveryNote | Certificate]] = {
    "delivery": note,
    "acceptance": certificate,
    "ugly_delivery": lambda: note(ugly=True),
    "ugly_acceptance": lambda: certificate(ugly=True),
}
DOCUMENTS = {name: make() for name, make in MAKERS.items()}
both_languages = pytest.mark.parametrize("language", LANGUAGES)
every_document = pytest.mark.parametrize("name", DOCUMENTS)


def numbers(name: str) -> set[str]:
    """What people look for in it: units, devices, digests, instants, results, lengths and readings."""
    document = DOCUMENTS[name]
    source = document.source
    found = {source.contract, source.inputs_digest, source.text_digest, source.as_of}
    if isinstance(document, DeliveryNote):
        found |= {one.unit for one in document.slots} | {one.uuid for one in document.slots}
        found |= {one.first_seen for one in document.slots}
        found |= {one.code for one in document.differences}
        found |= {slot for one in document.missing for slot in one.slots}
        found |= {one.due for one in document.batches} | set(document.flags)
        return found
    found |= set(document.window) | set(document.flags)
    for line in document.gpus:
        found |= {
            line.unit,
            line.uuid,
            str(line.loaded_us),
            str(line.idle_us),
            str(line.unknown_us),
        }
        found |= {f"{one.least} {one.mean} {one.most}" for one in line.readings}
    found |= {trial.probe for trial in document.trials}
    return found | {line.value for trial in document.trials for line in trial.lines if line.value}


@every_document
@both_languages
def test_the_page_holds_everything_and_neither_runs_nor_loads_anything(
    name: str, language: Language
) -> None:
    raw = FORMATS["html"].render(DOCUMENTS[name], language).decode()
    page = Page(raw)
    text = "\n".join(page.text)
    assert {one for one in numbers(name) if one not in text and one not in page.values} == set()
    assert page.fetched == []
    assert not {"script", "img", "iframe"} & set(page.tags)
    assert set(page.labelled) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    if name.startswith("ugly"):
        assert "<script" not in raw
        assert MARKUP in text
        assert say("simulated", language) in text


@every_document
@both_languages
def test_the_csv_holds_everything_and_nothing_in_it_is_a_formula(
    name: str, language: Language
) -> None:
    text = FORMATS["csv"].render(DOCUMENTS[name], language).decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(as_csv.COLUMNS)}
    cells = {cell for row in rows for cell in row}
    told = "\n".join(cells)
    assert {one for one in numbers(name) if one not in told} == set()
    risky = [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    assert [cell for cell in risky if not re.fullmatch(r"-?[0-9.]+", cell)] == []
    assert not name.startswith("ugly") or f"'{FORMULA}" in cells


@every_document
@both_languages
def test_the_text_names_all_that_sign_and_says_what_flags_are_for(
    name: str, language: Language
) -> None:
    document = DOCUMENTS[name]
    text = FORMATS["text"].render(document, language).decode()
    signing = [
        one for one in document.source.parties if one.role in ("provider", "lessee", "operator")
    ]
    assert all(one.name in text for one in signing)
    assert text.count(say("sign_name", language)) == len(signing)
    assert say("prompts", language) in text
    for flag in document.flags:
        assert say(f"innocent.{flag}", language) in text


@every_document
@both_languages
def test_a_column_that_is_empty_is_left_out_and_an_empty_table_says_so(
    name: str, language: Language
) -> None:
    layout = layout_of(DOCUMENTS[name], language)
    for section in (*layout.front, *layout.sections):
        assert (section.table is None) == bool(section.lines), section.id
        if section.table is not None:
            for column in zip(*section.table.rows, strict=True):
                assert any(cell.text for cell in column)


@both_languages
def test_a_note_says_of_each_difference_what_it_means_and_what_to_do(language: Language) -> None:
    document = DOCUMENTS["delivery"]
    assert isinstance(document, DeliveryNote)
    (section,) = (one for one in layout_of(document, language).sections if one.key == "to_do")
    (code,) = {one.code for one in document.differences}
    row = meanings()[code]
    place = LANGUAGES.index(language)
    assert row.means[place] in section.lines[0]
    assert list(section.lines[1:]) == [
        f"{number}. {step.says[place]}" for number, step in enumerate(row.steps, start=1)
    ]


@pytest.mark.parametrize("kind", ["delivery", "acceptance"])
@both_languages
def test_the_text_is_that_on_file(kind: str, language: Language) -> None:
    """Rewritten when WEIGHBRIDGE_WRITE_GOLDEN is set, to be read before it is committed."""
    file, kept = GOLDEN / f"{kind}.{language}.txt", GOLDEN / f"{kind}.json"
    if REWRITE:
        kept.write_text(DOCUMENTS[kind].json(), encoding="utf-8")
    document = TypeAdapter(DeliveryNote | Certificate).validate_json(kept.read_bytes())
    made = FORMATS["text"].render(document, language)
    if REWRITE:
        file.write_bytes(made)
    assert file.read_bytes() == made


@every_document
def test_the_json_reads_back_as_the_same_document(name: str) -> None:
    document = DOCUMENTS[name]
    made = FORMATS["json"].render(document)
    assert TypeAdapter(type(document)).validate_json(made) == document
    assert made == document.json().encode() == MAKERS[name]().json().encode()


@every_document
@both_languages
def test_the_pdf_holds_what_is_signed(name: str, language: Language) -> None:
    try:
        fonts.find()
    except fonts.NoFontError as error:
        pytest.skip(str(error))
    document = DOCUMENTS[name]
    made = FORMATS["pdf"].render(document, language)
    assert made == FORMATS["pdf"].render(document, language)
    text = pdf_text(made)
    wanted = [document.source.inputs_digest, say("signatures", language), *document.flags]
    wanted += [say("simulated", language)] if name.startswith("ugly") else ["GPU-n1-0", "n2.1"]
    assert [one for one in wanted if re.sub(r"\s+", "", one) not in text] == []


def test_a_chinese_note_tells_differences_bounds_and_events_in_chinese_and_machines_read_codes() -> (
    None
):
    document = DOCUMENTS["delivery"]
    text = FORMATS["text"].render(document, "zh").decode()
    assert "当前生效的功率上限低于约定值" in text
    assert "power_limit_enforced_milliwatts 不低于 700000" in text
    assert "签署验收" in text
    rows = list(
        csv.DictReader(io.StringIO(FORMATS["csv"].render(document, "zh").decode("utf-8-sig")))
    )
    told = {(one["section"], one["column"]): one["value"] for one in rows}
    assert told["different", "code"] == "power_capped"
    assert told["different", "expected"] == "power_limit_enforced_milliwatts at least 700000"
    assert told["said", "event"] == "acceptance_signed"
