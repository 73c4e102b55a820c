import ast
import re
from pathlib import Path
from typing import get_args

import pytest

import collector.documents
import weighbridge.handover
import weighbridge.settlement
from collector.documents import words
from collector.documents.as_csv import COLUMNS
from collector.documents.words import LANGUAGES, WORDS, Language
from weighbridge.contract import money as terms
from weighbridge.contract.parties import Role
from weighbridge.handover import acceptance
from weighbridge.judge.ledger import State
from weighbridge.settlement.claims import Standing
from weighbridge.settlement.flags import OF_RULING
from weighbridge.settlement.maintenance import Ruling
from weighbridge.settlement.results import Verdict
from weighbridge.settlement.service import STARTS

HERE = Path(collector.documents.__file__).parent
SETTLEMENT = Path(next(iter(weighbridge.settlement.__path__)))
CODES = {
    "verdict": get_args(Verdict),
    "state": tuple(State),
    "standing": get_args(Standing),
    "ruling": get_args(Ruling),
    "role": get_args(Role),
    "price": get_args(terms.Price.model_fields["unit"].annotation),
    "form": get_args(terms.CreditTerms.model_fields["form"].annotation),
    "exit": ("met", "not_met", "open"),
    "outcome": get_args(Verdict),
    "rule": tuple(STARTS),
}


def test_every_word_is_there_in_both_languages_and_takes_the_same_values() -> None:
    for key, word in WORDS.items():
        assert "" not in word, key
        assert word.en.count("{}") == word.zh.count("{}"), key
        assert not re.search("[\u4e00-\u9fff]", word.en), key


@pytest.mark.parametrize("kind", CODES)
def test_every_code_of_a_statement_has_a_word(kind: str) -> None:
    assert [code for code in CODES[kind] if f"{kind}.{code}" not in WORDS] == []


def test_every_kind_of_credit_has_a_word() -> None:
    kinds = {
        found.__name__
        for found in vars(terms).values()
        if isinstance(found, type)
        and issubclass(found, terms.CreditTerms)
        and "kind" in found.model_fields
    }
    assert len(kinds) > 8
    assert {kind for kind in kinds | {"LiquidatedDamages"} if f"kind.{kind}" not in WORDS} == set()


def test_every_flag_that_settlement_can_raise_has_a_meaning() -> None:
    named: set[str] = set()
    for path in SETTLEMENT.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        places = [tree] if path.name == "flags.py" else _raising(tree)
        named |= {text for place in places for text in _snakes(place)}
    assert {"tier_gap", "claim_lapsed", "cap_applied", "data_after_cutoff"} <= named
    others = {*OF_RULING, "gpu_replaced"}
    assert {flag for flag in named - others if f"flag.{flag}" not in WORDS} == set()


def test_every_flag_of_a_handover_has_a_meaning_and_its_innocent_explanations() -> None:
    folder = Path(next(iter(weighbridge.handover.__path__)))
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    flags = {flag.removeprefix("innocent.") for flag in WORDS if flag.startswith("innocent.")}
    assert len(flags) == 5
    assert {
        flag for flag in flags if f'"{flag}"' not in text or f"flag.{flag}" not in WORDS
    } == set()
    added = re.findall(r'found\.add\("?([A-Za-z_]+)"?\)', text)
    named = {str(getattr(acceptance, name, name)) for name in added}
    assert named == flags


def _raising(tree: ast.AST) -> list[ast.AST]:
    """Where flags are made: an argument, a variable or a property of that name."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="flags", value=value):
                found.append(value)
            case (
                ast.Assign(targets=[ast.Name(id="flags")])
                | ast.AugAssign(target=ast.Name(id="flags"))
            ):
                found.append(node)
            case ast.FunctionDef(name="flags"):
                found.append(node)
            case _:
                pass
    return found


def _snakes(tree: ast.AST) -> set[str]:
    texts = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {
        text for text in texts if isinstance(text, str) and re.fullmatch("[a-z]+(_[a-z]+)+", text)
    }


def test_every_word_is_used_and_every_word_that_is_used_exists() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (*HERE.glob("*.py"), *HERE.glob("templates/*.html"))
        if not path.name.endswith("words.py")
    )
    for key in WORDS:
        if "." not in key and key not in COLUMNS:
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


def test_notes_of_known_patterns_are_translated_and_others_kept() -> None:
    told = words.note("Other versions since: judge judge/1 -> judge/2.", "zh")
    assert told == "此后版本不同：judge judge/1 → judge/2。"
    said = "claim for 2026-05: said by L, signed, entry 7"
    assert words.note(said, "zh") == "申请抵扣 2026-05：由 L 提出，signed，日志第 7 条"
    for language in LANGUAGES:
        assert words.note("something else", language) == "something else"


@pytest.mark.parametrize(
    ("told", "zh"),
    [
        ("signed with key 0123abcd", "以密钥 0123abcd 签名"),
        ("said by P, attested by the collector for admin", "由 P 提出，由采集端为 admin 证明"),
        (
            "cause fire of everything: said by P, signed with key 01, entry 7",
            "原因 fire（全部）：由 P 提出，以密钥 01 签名，日志第 7 条",
        ),
        (
            "The same evidence now gives ab, 0.00 to 5.00 owed instead of 0.00. What was issued is not restated.",
            "以同样的证据现得出 ab，应付 0.00 至 5.00，原为 0.00。已出具的版本不予更改。",
        ),
    ],
)
def test_who_said_a_thing_and_how_that_is_known_is_translated_too(told: str, zh: str) -> None:
    assert (words.note(told, "zh"), words.note(told, "en")) == (zh, told)
