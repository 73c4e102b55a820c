"""Every page as a browser shows it: at two widths, in two languages, light and dark, by keys, and without scripts."""

import re
from pathlib import Path
from typing import Final

import pytest

import collector.web
from tests.browser.browsing import Browser
from tests.browser.conftest import LookedAt
from tests.browser.november import LEASE, LESSEE, NOVEMBER, OUTAGE
from tests.collector.building import Serving

PAGES: Final = {
    "login": "/login",
    "portfolio": "/",
    "contract": LEASE,
    "contract-november": f"{LEASE}?{NOVEMBER}",
    "outage": f"{LEASE}/outage?{NOVEMBER}&{OUTAGE}",
    "statement": f"{LEASE}/statement?{NOVEMBER}",
    "letter": f"{LEASE}/letter?{NOVEMBER}",
    "delivery": f"{LEASE}/delivery",
    "acceptance": f"{LEASE}/acceptance?from=2026-10-02T00:00:00Z&until=2026-10-03T00:00:00Z",
    "acceptance-form": f"{LEASE}/acceptance",
    "acceptance-wrong": f"{LEASE}/acceptance?from=noon&until=",
    "notices": f"{LEASE}/notices",
    "claim": f"{LEASE}/notices/new/claim?{NOVEMBER}",
    "cause": f"{LEASE}/notices/new/cause",
    "node": "/nodes/n1",
    "gpu": "/nodes/n1/gpus/GPU-n1-1",
    "log": "/log",
    "entry": "/log/entries/3",
    "audit": "/audit",
    "missing": "/contracts/none",
}
REFUSED: Final = {"missing", "acceptance-wrong"}
"""Of these the browser says that they failed to load, and so it should."""

ON_THE_WAY: Final = {"openid", "answer"}
"""Addresses that lead a login by OpenID Connect on, and show nothing."""


@pytest.fixture(scope="module")
def reader(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """The lessee, logged in."""
    chrome.anew(tmp_path_factory.mktemp("reader")).log_in(LESSEE)
    return chrome


def test_the_list_names_every_page(lease: Serving) -> None:
    paths = lease.get("/v1/openapi.json").json["paths"]
    pages = {
        path.rpartition("/")[2]
        for path, said in paths.items()
        if "text/html" in str(said.get("get", {}).get("responses"))
    }
    listed = {path.partition("?")[0].rpartition("/")[2] for path in PAGES.values()}
    assert {page for page in pages if "{" not in page} - ON_THE_WAY <= listed


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_used(reader: Browser, page: str, language: str, looked_at: LookedAt) -> None:
    joint = "&" if "?" in PAGES[page] else "?"
    reader.look(1280)
    reader.complaints()
    reader.open(f"{PAGES[page]}{joint}lang={language}")
    looked_at(reader, f"{page}-{language}")
    said = [one["message"] for one in reader.complaints()]
    assert [one for one in said if page not in REFUSED or "Failed to load" not in one] == []
    if language == "en":
        for width in (1280, 390):
            check_the_tab_key(reader, width)


def check_the_tab_key(reader: Browser, width: int) -> None:
    """It reaches everything, in order, and what it reaches is seen."""
    reader.look(width)
    stops, expected = reader.tour()
    assert [one["what"] for one in stops if not (one["outlined"] and one["seen"])] == []
    assert len(stops) >= expected
    assert [one["stop"] for one in stops] == sorted({one["stop"] for one in stops})


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_form_with_something_wrong_can_be_used(
    reader: Browser, language: str, looked_at: LookedAt
) -> None:
    reader.open(f"{PAGES['claim']}&lang={language}")
    reader.type_in("unit", "n7")
    reader.follow("value", "preview")
    assert "n7" in reader.run("return document.querySelector('[role=alert]').innerText")
    looked_at(reader, f"claim-wrong-{language}")
    reader.complaints()


def test_dark_changes_colours_alone() -> None:
    """So there only what colours change is looked at anew."""
    style = (Path(collector.web.__file__).parent / "static" / "style.css").read_text()
    [dark] = re.findall(r"@media [^{]*dark[^{]*\{\s*:root \{([^}]*)\}\s*\}", style)
    assert style.count("prefers-color-scheme") == 1
    assert [
        one for one in dark.split(";") if one.strip() and not one.strip().startswith("--")
    ] == []


MARKED: Final = "document.querySelector('main h1').textContent = 'old'"
SHOWN: Final = "document.querySelector('main h1').textContent"


def test_what_is_overdue_says_so_and_what_is_not_does_not(reader: Browser) -> None:
    reader.open(f"{LEASE}?lang=en")
    reader.wait("document.body.innerText.includes('Pay the fees of 2026-12')")
    assert "overdue: before 2026-11-06 00:00:00 Asia/Shanghai" in reader.text
    assert "\nbefore 2026-12-06 00:00:00 Asia/Shanghai" in reader.text


def test_a_page_renews_itself(reader: Browser) -> None:
    reader.complaints()
    reader.open(LEASE)
    reader.run(MARKED)
    reader.run("renew()")
    reader.wait(f"{SHOWN} !== 'old'")
    assert reader.run(f"return {SHOWN}").startswith("lease")
    assert reader.complaints() == []


def test_a_page_stays_as_it_is_while_somebody_is_at_something_in_it(reader: Browser) -> None:
    reader.open(LEASE)
    reader.run(f"{MARKED}; document.querySelector('main a').focus()")
    reader.run("renew().then(() => { window.renewed = true; })")
    reader.wait("window.renewed")
    assert reader.run(f"return {SHOWN}") == "old"
