"""What a party said can be printed as a letter, with its receipt, in both languages."""

import re
from typing import Any

import pytest
import yaml

from collector.documents import fonts
from collector.documents.formats import FORMATS
from collector.documents.notice_letter import NoticeLetter, notice_letter
from collector.documents.words import LANGUAGES, Language
from tests.collector.statements.examples import FORMULA, MARKUP, START, TERMS
from tests.collector.statements.test_formats import Page, pdf_text

HOUR_US = 3_600_000_000
AT_US = START * 1_000_000
SIGNED = {"code": "signed", "arguments": {"key": "0123abcd"}}
CANCELLED = {
    "kind": "event",
    "event": "cancelled",
    "at_us": AT_US,
    "since_us": None,
    "unit": "",
    "details": {"party": "L", "reason": MARKUP},
}
MAINTENANCE = {
    "kind": "maintenance",
    "id": "M1",
    "from_us": AT_US,
    "until_us": AT_US + HOUR_US,
    "units": ["n1", "n2.0"],
}
CLAIM = {"kind": "claim", "period": "2026-05", "unit": None, "objective": None}


def letter(said: dict[str, Any], party: str = "L", *, simulated: bool = False) -> NoticeLetter:
    item = {"contract": "lease-7", "party": party, "said": said, "authority": SIGNED}
    text = yaml.safe_dump(TERMS, allow_unicode=True)
    return notice_letter(item | {"index": 1042, "received_us": AT_US + HOUR_US}, text, simulated)


def text(made: NoticeLetter, language: Language = "zh") -> str:
    return FORMATS["text"].render(made, language).decode()


def facts(shown: str) -> dict[str, str]:
    lines = (re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in shown.splitlines())
    return {line[0]: line[1] for line in lines if len(line) == 2}


def test_a_termination_is_written_as_one_with_both_clocks_its_receipt_and_who_signed() -> None:
    shown = text(letter(CANCELLED))
    assert shown.startswith("解除合同通知书 · lease-7 · 日志第 1042 条\n")
    told = facts(shown)
    assert told["致"] == "Borealis Compute GmbH（统一社会信用代码／登记号：HRB 1）"
    assert told["发函方"] == "上海云衡科技有限公司"
    assert told["发生时间"] == "2026年5月1日 00:00:00 UTC+08:00（2026年4月30日 16:00:00 UTC）"
    assert told["采集端收到时间"].startswith("2026年5月1日 01:00:00 UTC+08:00")
    assert told["理由"] == MARKUP
    assert told["确认方式"] == "以密钥 0123abcd 签名"
    assert "特此通知。" in shown
    assert "承租方（签章）：上海云衡科技有限公司" in shown


def test_what_lasts_names_both_its_ends_and_its_units_and_is_for_the_other_side() -> None:
    shown = text(letter(MAINTENANCE, "P"), "en")
    told = facts(shown)
    assert shown.startswith("Notice of maintenance · lease-7 · entry 1042 of the log\n")
    assert "What is said: M1 · n1 n2.0" in shown
    assert told["To"].startswith("上海云衡科技有限公司")
    assert told["To (not included)"].startswith("1 May 2026 01:00:00 UTC+08:00")


def test_a_claim_has_no_time_of_its_own_and_an_event_that_nobody_named_a_plain_title() -> None:
    claimed = text(letter(CLAIM))
    assert claimed.startswith("索赔通知书 · ")
    assert "发生时间" not in claimed
    other = text(letter(CANCELLED | {"event": "flood", "since_us": AT_US - HOUR_US}))
    assert other.startswith("工作联系函 · ")
    assert facts(other)["起"].startswith("2026年4月30日 23:00:00")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_party_writes_is_text_and_a_simulation_says_so(language: Language) -> None:
    made = letter(CANCELLED | {"unit": FORMULA}, simulated=True)
    raw = FORMATS["html"].render(made, language).decode()
    assert "<script" not in raw
    assert MARKUP in "".join(Page(raw).text)
    assert {"en": "SIMULATED", "zh": "模拟数据"}[language] in raw
    assert f"'{FORMULA}" in FORMATS["csv"].render(
        letter(CANCELLED | {"details": {"a": FORMULA}}), language
    ).decode("utf-8-sig")


OWNED: dict[str, Any] = {
    "parties": [*TERMS["parties"], {"id": "O", "role": "owner", "name": "Owner AG"}]
}


@pytest.mark.parametrize(("party", "name"), [("O", "Owner AG"), ("GONE", "GONE")])
def test_whoever_spoke_signs_also_who_signs_no_statement_or_is_named_no_more(
    party: str, name: str
) -> None:
    item = {"contract": "lease-7", "party": party, "said": MAINTENANCE, "authority": SIGNED}
    text = yaml.safe_dump(TERMS | OWNED, allow_unicode=True)
    made = notice_letter(item | {"index": 1, "received_us": AT_US}, text, simulated=False)
    assert f"（签章）：{name}" in FORMATS["text"].render(made, "zh").decode()
    assert pdf(made).count(name) == 2


def pdf(made: NoticeLetter) -> str:
    try:
        fonts.find()
    except fonts.NoFontError as error:
        pytest.skip(str(error))
    return pdf_text(FORMATS["pdf"].render(made, "zh")).replace("OwnerAG", "Owner AG")
