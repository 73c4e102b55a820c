"""A claim letter names its amount, its deadline and its evidence, in both languages and every format of a letter."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from collector.cli.claims import SUFFIXES
from collector.documents import fonts
from collector.documents.claim_letter import ClaimLetter, is_past
from collector.documents.formats import FORMATS
from collector.documents.words import LANGUAGES, Language, say
from tests.collector.statements.examples import MARKUP, ordinary, ugly
from tests.collector.statements.test_formats import Page, pdf_text
from weighbridge.settlement.statement import Statement

HEAD = "log of lease-7\n42\nqqqq=\n\n— log sssss=\n"
both_languages = pytest.mark.parametrize("language", LANGUAGES)


def letter(statement: Statement) -> ClaimLetter:
    return ClaimLetter(statement, HEAD, "ab" * 32)


def text(statement: Statement, language: Language = "en") -> str:
    return FORMATS["text"].render(letter(statement), language).decode()


def with_dues(statement: Statement, **changes: Any) -> Statement:
    (part,) = statement.parts
    return replace(
        statement,
        parts=(replace(part, dues=tuple(replace(due, **changes) for due in part.dues)),),
    )


def html(made: ClaimLetter, language: Language) -> str:
    page = Page(FORMATS["html"].render(made, language).decode())
    assert page.fetched == []
    return re.sub(r"\s+", "", "".join(page.text))


def pdf(made: ClaimLetter, language: Language) -> str:
    try:
        fonts.find()
    except fonts.NoFontError as error:
        pytest.skip(str(error))
    return pdf_text(FORMATS["pdf"].render(made, language))


def plain(made: ClaimLetter, language: Language) -> str:
    return re.sub(r"\s+", "", FORMATS["text"].render(made, language).decode())


FORMS = {"text": plain, "html": html, "pdf": pdf}


@both_languages
@pytest.mark.parametrize("shown", FORMS.values(), ids=list(FORMS))
def test_every_format_says_who_claims_what_of_whom_and_on_what_evidence(
    shown: Callable[[ClaimLetter, Language], str], language: Language
) -> None:
    assert FORMS.keys() == SUFFIXES.keys()
    statement = ordinary()
    told = shown(letter(statement), language)
    wanted = ["Borealis Compute GmbH", "HRB 1", "上海云衡科技有限公司", "2,860.00", "371/372"]
    wanted += [statement.digest, statement.inputs_digest, "qqqq=", "xid 79"]
    wanted += ["人民币贰仟捌佰陆拾元整", say("letter_title", language)]
    assert [one for one in wanted if re.sub(r"\s+", "", one) not in told] == []


@both_languages
def test_a_letter_of_a_simulation_says_so_and_escapes_what_it_is_told(language: Language) -> None:
    raw = FORMATS["html"].render(letter(ugly()), language).decode()
    assert say("simulated_document", language) in raw
    assert "<script" not in raw
    assert MARKUP in "".join(Page(raw).text)


@pytest.mark.parametrize(
    ("as_of", "past"),
    [
        ("2026-06-07T15:59:59Z", False),
        ("2026-06-07T16:00:00Z", True),
        ("2026-06-07T16:00:01Z", True),
    ],
)
def test_a_deadline_is_the_first_instant_that_is_too_late(as_of: str, past: bool) -> None:
    assert is_past("2026-06-07T16:00:00Z", as_of) == past
    told = " ".join(text(replace(ordinary(claimed=False), as_of=as_of)).split())
    until = "before 8 Jun 2026 00:00:00 UTC+08:00 (7 Jun 2026 16:00:00 UTC): as of"
    assert until in told
    assert ("that is past" in told, "0 d 0 h left" in told) == (past, not past)


def test_the_nearest_deadline_of_what_is_open_is_the_one_that_is_named() -> None:
    waiting = ordinary(claimed=False)
    (part,) = waiting.parts
    due = replace(part.dues[0], unit="n9", deadline="2026-06-07T00:00:00Z")
    dues = (
        *part.dues,
        due,
        replace(due, unit="n8", standing="lapsed", deadline="2026-06-01T00:00:00Z"),
    )
    told = text(replace(waiting, parts=(replace(part, dues=dues),)))
    assert "To be claimed before 7 Jun 2026 08:00:00 UTC+08:00 (7 Jun 2026 00:00:00 UTC)" in told


def test_what_lapsed_is_not_part_of_the_amount_and_is_told() -> None:
    told = text(with_dues(ordinary(), standing="lapsed"))
    assert "Amount claimed: CNY 0.00\n" in told
    assert "Lapsed, and not part of the amount: CNY 2,860.00." in told


def test_without_a_deadline_none_is_named_and_without_a_credit_nothing_is_claimed() -> None:
    assert (
        "before" not in text(with_dues(ordinary(), deadline=None)).partition("Credits claimed")[0]
    )
    nothing = text(with_dues(ordinary(), earned="0.00"))
    assert "In this period no credit was earned." in nothing


@both_languages
def test_held_time_is_a_range_and_the_amounts_are_the_most_that_can_be_owed(
    language: Language,
) -> None:
    statement = ordinary()
    (part,) = statement.parts
    unit = part.units[0]
    credit = replace(unit.credits[0], lowest="0.00", highest="5.00")
    held = replace(unit, verdict="UNKNOWN", availability=("0.5", "1"), credits=(credit,))
    shown = [
        text(replace(statement, parts=(replace(part, units=(one,)),)), language)
        for one in (unit, held)
    ]
    most = say("letter_most", language)
    assert [most in one for one in shown] == [False, True]
    share = {"en": "50 % to 100 %", "zh": "50% 至 100%"}[language]
    assert share in shown[1]


def test_the_evidence_for_programs_names_statement_log_and_outages() -> None:
    made = letter(ordinary())
    found = json.loads(json.dumps(made.evidence()))
    assert found["statement"]["sha256"] == made.statement.digest
    assert found["log"] == {"head": HEAD, "log_key": "ab" * 32}
    assert [(one["unit"], one["seconds"]) for one in found["outages"]] == [("n1", 7200)]
