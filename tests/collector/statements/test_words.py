import re
from pathlib import Path
from typing import get_args

import pytest

import collector.documents
from collector.documents import words
from collector.documents.columns import HEADS, KINDS
from collector.documents.words import LANGUAGES, WORDS, Language
from weighbridge import codes
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason
from weighbridge.codes import Note, note
from weighbridge.contract import money as terms
from weighbridge.contract import remedies
from weighbridge.contract.evidence import Late
from weighbridge.contract.parties import Role
from weighbridge.contract.pricing import Price
from weighbridge.judge.ledger import CONTRADICTIONS, State
from weighbridge.notices.rules import EVENTS
from weighbridge.settlement.claims import Standing
from weighbridge.settlement.draft import SWAPS
from weighbridge.settlement.invoice import InvoiceItem
from weighbridge.settlement.maintenance import Ruling
from weighbridge.settlement.payments import MONEY
from weighbridge.settlement.service import STARTS
from weighbridge.settlement.statement import MINIMUM, REBATE, SO_FAR, TO_COME
from weighbridge.verdict import Verdict

HERE = Path(collector.documents.__file__).parent
CREDITS = [get_args(one)[0] for one in get_args(get_args(terms.Credit)[0])]
CODES: dict[str, tuple[str, ...]] = {
    "verdict": (*(verdict.name for verdict in Verdict), SO_FAR),
    "state": (*State, TO_COME),
    "against": tuple(CONTRADICTIONS),
    "late": get_args(Late),
    "standing": get_args(Standing),
    "ruling": get_args(Ruling),
    "role": get_args(Role),
    "price": (*get_args(Price.model_fields["unit"].annotation), MINIMUM, REBATE),
    "sum": get_args(InvoiceItem),
    "reckoned": get_args(InvoiceItem),
    "form": get_args(terms.CreditTerms.model_fields["form"].annotation),
    "exit": ("met", "not_met", "open"),
    "lasting": get_args(remedies.ExitRight.model_fields["trigger"].annotation)[1:],
    "deposit": MONEY[1:],
    "per": get_args(terms.Limit.model_fields["per"].annotation),
    "swap": (*SWAPS, "telemetry"),
    "trigger": ("duration", "event_count"),
    "outcome": tuple(verdict.name for verdict in Verdict),
    "rule": tuple(STARTS),
    "delivered": ("complete", "incomplete", "nothing"),
    "batch": ("in_time", "late", "open", "overdue"),
    "trial": ("challenge", "notice", "reading"),
    "load": ("duration", "half"),
    "note": get_args(codes.NoteCode),
    "event": tuple(EVENTS),
    "bound": ("at_least", "at_most"),
    "proof": tuple(ChallengeVerdict),
    "because": tuple(VerdictReason),
    "kind": (
        *(one.model_fields["kind"].default for one in CREDITS),
        *get_args(codes.DamageKind),
    ),
    "fact": get_args(codes.FactName),
    "flag": (*get_args(codes.Flag), *get_args(codes.HandoverFlag)),
    "innocent": get_args(codes.HandoverFlag),
}
"""Every code that a document can hold, by the word that stands before it in the table."""


def test_every_word_is_there_in_both_languages_and_takes_the_same_values() -> None:
    for key, word in WORDS.items():
        assert "" not in word, key
        taken = [sorted(re.findall(r"{(\w*)}", text)) for text in word]
        assert [one for one in taken if one != taken[0]] == [] or key == "of_periods", key
        assert not re.search("[\u4e00-\u9fff]", word.en), key


@pytest.mark.parametrize("family", CODES)
def test_every_code_of_a_document_has_words_and_all_such_words_have_a_code(family: str) -> None:
    worded = {key.partition(".")[2] for key in WORDS if key.startswith(f"{family}.")}
    assert worded == set(CODES[family])


def test_there_is_a_kind_for_each_credit_of_the_contract() -> None:
    assert len(CREDITS) == len(set(CODES["kind"])) - 2 > 10


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_that_has_no_words_is_shown_as_itself(language: Language) -> None:
    unknown = Note("of_another_year", {"unit": "n1", "count": 3})
    assert words.told(unknown, language) == "of_another_year count=3 unit=n1"
    assert words.name("kind", "of_another_year", language) == "of_another_year"


def test_every_word_is_used_and_every_word_that_is_used_exists() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (*HERE.glob("*.py"), *HERE.glob("templates/*.html"))
        if not path.name.endswith("words.py")
    )
    source += " ".join(f'"{key}"' for heads in HEADS.values() for key in heads)
    for key in WORDS:
        if "." not in key:
            assert re.search(rf"[\"']{key}[\"']", source), key
    used = set(re.findall(r"\bsay\([\"']([a-z_.]+)[\"']", source))
    assert len(used) > 30
    assert used - WORDS.keys() == set()


@pytest.mark.parametrize(
    ("digits", "shown"),
    [
        ("0", "0"),
        ("999", "999"),
        ("1000", "1,000"),
        ("-1234567.50", "-1,234,567.50"),
        ("12345678901234567890.123456789", "12,345,678,901,234,567,890.123456789"),
        ("371/372", "371/372"),
        ("", ""),
    ],
)
def test_numbers_keep_every_digit(digits: str, shown: str) -> None:
    assert words.number(digits) == shown


@pytest.mark.parametrize(
    ("language", "currency", "shown"),
    [
        ("en", "CNY", "CNY 2,860.00"),
        ("zh", "CNY", "人民币 2,860.00 元"),
        ("en", "EUR", "EUR 2,860.00"),
        ("zh", "EUR", "2,860.00 EUR"),
    ],
)
def test_money_is_written_as_the_language_writes_it(
    language: Language, currency: str, shown: str
) -> None:
    assert words.money("2860.00", currency, language) == shown


@pytest.mark.parametrize(
    ("text", "en", "zh"),
    [
        (
            "2026-05-01T00:00:00+08:00",
            "1 May 2026 00:00:00 UTC+08:00",
            "2026年5月1日 00:00:00 UTC+08:00",
        ),
        ("2026-12-31T23:59:59Z", "31 Dec 2026 23:59:59 UTC", "2026年12月31日 23:59:59 UTC"),
        (
            "2026-12-31T23:59:59.000000001Z",
            "31 Dec 2026 23:59:59.000000001 UTC",
            "2026年12月31日 23:59:59.000000001 UTC",
        ),
    ],
)
def test_instants_are_written_as_the_language_writes_them(text: str, en: str, zh: str) -> None:
    assert (words.instant(text, "en"), words.instant(text, "zh")) == (en, zh)


def test_a_column_whose_kind_is_told_is_in_a_table() -> None:
    assert KINDS.keys() - {key for heads in HEADS.values() for key in heads} == set()


SIGNED = note("signed", key="0123abcd")


@pytest.mark.parametrize(
    ("told", "en", "zh"),
    [
        (
            note(
                "made_by_other",
                name="judge",
                before=(
                    note("version", version="judge/1"),
                    note("version_since", version="judge/2", since="T"),
                ),
                after=(),
            ),
            "Other versions since: judge judge/1, judge/2 since T -> absent.",
            "此后版本不同：judge judge/1、judge/2（自 T 起） → 无。",
        ),
        (
            note("said_by", party="P", authority=note("attested", by="admin")),
            "said by P, attested by the collector for admin",
            "由 P 提出，由采集端为管理员证明",
        ),
        (
            note(
                "notice",
                said=note("cause_of_all", cause="fire"),
                party="P",
                authority=SIGNED,
                entry=7,
            ),
            "cause fire of everything: said by P, signed with key 0123abcd, entry 7",
            "原因 fire（全部）：由 P 提出，以密钥 0123abcd 签名，日志第 7 条",
        ),
        (
            note(
                "given_again",
                digest="ab",
                owed=note("amounts", lowest="0.00", highest="5.00"),
                before=note("amount_open"),
            ),
            "The same evidence now gives ab, 0.00 to 5.00 owed instead of open."
            " What was issued is not restated.",
            "以同样的证据现得出 ab，应付 0.00 至 5.00，原为 未决。已出具的版本不予更改。",
        ),
        (
            note("weighed_because", verdict="not assessed", reason="no consent"),
            "not assessed (no consent)",
            "未评估（未获同意）",
        ),
        (note("weighed", verdict="met"), "met", "达标"),
    ],
)
def test_notes_are_told_in_each_language(told: Note, en: str, zh: str) -> None:
    assert (words.told(told, "en"), words.told(told, "zh")) == (en, zh)
