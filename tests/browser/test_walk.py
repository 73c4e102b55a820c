"""Why is November short? The lessee's way from that question to the filed claim, by keys alone."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.browser.browsing import Browser, browsing
from tests.browser.november import LESSEE
from tests.collector.building import Serving

SHORT = "promised 99.000 % of each GPU; came: 93.819 % to 94.791 %"
Picture = Callable[[Browser, str], None]
pytestmark = pytest.mark.slow


def pictured(folder: Path | None, width: int) -> Picture:
    """Takes pictures of what is seen on the way, where they are wanted."""

    def take(browser: Browser, name: str) -> None:
        if folder is not None:
            browser.picture(folder / f"{name}-{width}.png")

    return take


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


def claim(browser: Browser, unit: str, picture: Picture) -> None:
    browser.follow("href", "/notices/new/claim?period=2026-11")
    browser.type_in("unit", unit)
    browser.follow("value", "preview")
    assert unit in browser.text
    picture(browser, "preview")
    browser.follow("value", "attest")
    assert browser.path.startswith("/contracts/lease/notices?")
    assert "Entered in the log as entry" in browser.text
    picture(browser, "filed")


@pytest.mark.parametrize(("width", "unit"), [(1280, "n1.0"), (390, "n1.1")])
def test_from_the_question_to_the_filed_claim(
    lease: Serving, tmp_path: Path, pictures: Path | None, width: int, unit: str
) -> None:
    with browsing(lease.url, tmp_path) as browser:
        browser.look(width)
        look_for_the_reason(browser)
        read_the_statement(browser)
        claim(browser, unit, pictured(pictures, width))
        assert browser.complaints() == []


def test_all_of_it_without_scripts(lease: Serving, tmp_path: Path) -> None:
    with browsing(lease.url, tmp_path, scripts=False) as browser:
        browser.look(1280)
        look_for_the_reason(browser)
        read_the_statement(browser)
        browser.follow("what", 'href="/contracts/lease/notices"')
        assert "What the parties of lease said" in browser.text
