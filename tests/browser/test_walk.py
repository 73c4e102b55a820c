"""Why is November short? The lessee's way from that question to the filed claim, by keys alone."""

from pathlib import Path

import pytest

from tests.browser.browsing import Browser
from tests.browser.conftest import LookedAt
from tests.browser.november import LESSEE

SHORT = "promised 99.000 % of each GPU; came: 93.819 % to 94.791 %"
pytestmark = pytest.mark.slow


def look_for_the_reason(browser: Browser) -> None:
    """From the address of the collector to the outage that explains the month."""
    browser.open("/")
    browser.enter("token", LESSEE)
    browser.follow("href", "/contracts/lease")
    browser.follow("href", "/contracts/lease?period=2026-11")
    assert SHORT in browser.text
    browser.follow("href", "/outage?")
    assert "gpu_lost" in browser.text
    browser.back()


def read_the_statement(browser: Browser) -> None:
    browser.follow("href", "/contracts/lease/statement?period=2026-11")
    assert "Statement of service lease · 2026-11" in browser.text
    assert browser.download("href", "format=pdf").read_bytes().startswith(b"%PDF-")
    browser.back()


def ask_for_the_preview(browser: Browser, unit: str) -> None:
    browser.follow("href", "/notices/new/claim?period=2026-11")
    browser.type_in("unit", unit)
    browser.follow("value", "preview")
    assert unit in browser.text


def file_it(browser: Browser, said: str) -> None:
    browser.follow("value", "attest")
    assert browser.path.startswith("/contracts/lease/notices?")
    assert said in browser.text


def test_from_the_question_to_the_filed_claim(
    chrome: Browser, tmp_path: Path, looked_at: LookedAt
) -> None:
    browser = chrome.anew(tmp_path)
    browser.look(1280)
    look_for_the_reason(browser)
    read_the_statement(browser)
    ask_for_the_preview(browser, "n1.0")
    looked_at(browser, "preview-en")
    browser.look(1280)
    file_it(browser, "Entered in the log as entry")
    looked_at(browser, "filed-en")
    assert browser.complaints() == []


def test_the_same_on_a_telephone_and_in_chinese_from_the_preview_on(
    chrome: Browser, tmp_path: Path, looked_at: LookedAt
) -> None:
    browser = chrome.anew(tmp_path)
    browser.look(390)
    look_for_the_reason(browser)
    read_the_statement(browser)
    ask_for_the_preview(browser, "n1.1")
    browser.follow("what", 'lang="zh-Hans"')
    assert "影响预览" in browser.text
    assert "n1.1" in browser.text, "what was entered stays"
    looked_at(browser, "preview-zh")
    browser.look(390)
    file_it(browser, "已写入日志")
    looked_at(browser, "filed-zh")
    assert browser.complaints() == []


def test_all_of_it_without_scripts(chrome: Browser, tmp_path: Path) -> None:
    browser = chrome.anew(tmp_path, scripts=False)
    browser.look(1280)
    look_for_the_reason(browser)
    read_the_statement(browser)
    browser.follow("what", 'href="/contracts/lease/notices"')
    assert "What the parties of lease said" in browser.text
