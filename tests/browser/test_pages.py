"""Every page as a browser shows it: at two widths, in two languages, light and dark, by keys, and without scripts."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from tests.browser.browsing import Browser, browsing
from tests.browser.november import LESSEE
from tests.collector.building import Serving

LEASE: Final = "/contracts/lease"
NOVEMBER: Final = "period=2026-11"
OUTAGE: Final = "objective=gpus&unit=n1.1&start=2026-11-18T02:00:00Z"
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
REFUSED: Final = "missing"
"""Of it the browser says that it failed to load, and so it should."""

ON_THE_WAY: Final = {"openid", "answer"}
"""Addresses that lead a login by OpenID Connect on, and show nothing."""

SHAPES: Final = [(1280, "light"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def reader(lease: Serving, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The lessee, logged in."""
    with browsing(lease.url, tmp_path_factory.mktemp("reader")) as made:
        made.log_in(LESSEE)
        yield made


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
def test_a_page_can_be_used(
    reader: Browser, page: str, language: str, axe: str, pictures: Path | None
) -> None:
    joint = "&" if "?" in PAGES[page] else "?"
    reader.look(1280)
    reader.complaints()
    reader.open(f"{PAGES[page]}{joint}lang={language}")
    for width, scheme in SHAPES:
        reader.look(width, scheme)
        if pictures is not None:
            reader.picture(pictures / f"{page}-{language}-{width}-{scheme}.png")
        assert reader.findings(axe) == []
        assert reader.overflow() == 0
    complaints = reader.complaints()
    assert complaints == [] or (page == REFUSED and "Failed to load" in complaints[0]["message"])


@pytest.mark.slow
@pytest.mark.parametrize(("page", "width"), list(product(PAGES, (1280, 390))))
def test_the_tab_key_reaches_everything_and_is_seen(reader: Browser, page: str, width: int) -> None:
    reader.look(width)
    reader.open(PAGES[page])
    stops, expected = reader.tour()
    assert [one["what"] for one in stops if not (one["outlined"] and one["seen"])] == []
    assert len(stops) >= expected
    assert [one["stop"] for one in stops] == sorted({one["stop"] for one in stops})


MARKED: Final = "document.querySelector('main h1').textContent = 'old'"
SHOWN: Final = "document.querySelector('main h1').textContent"


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
