"""One collector with two months behind it, axe-core, and where pictures go."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.browser.browsing import CHROMIUM, DRIVER, Browser, browsing
from tests.browser.november import LEASE, LESSEE, NOVEMBER, OUTAGE, lived
from tests.collector.building import Serving, wait_for

AXE: Final = "axe-core@4.14.1"
SHAPES: Final = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]
LookedAt = Callable[[Browser, str], None]


@pytest.fixture(scope="session", autouse=True)
def chromium() -> None:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("Debian's chromium and chromium-driver are not installed")


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core."""
    if shutil.which("npm") is None:
        pytest.skip("npm (Debian: npm) is not installed")
    directory = tmp_path_factory.mktemp("axe")
    command = ("npm", "pack", "--silent", "--prefer-offline", AXE)
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot get {AXE}: {done.stderr[-200:]}")
    with tarfile.open(next(directory.glob("*.tgz"))) as packed:
        source = packed.extractfile("package/axe.min.js")
        assert source is not None
        return source.read().decode()


@pytest.fixture(scope="session")
def lease(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with lived(tmp_path_factory.mktemp("november") / "store") as server:
        # Until its month was settled once, the page of an outage asks to be loaded again.
        outage = f"{LEASE}/outage?{NOVEMBER}&{OUTAGE}"
        token = f"Bearer {LESSEE}"
        wait_for(lambda: server.get(outage, Authorization=token).status == 200, "the month")
        yield server


@pytest.fixture(scope="session")
def chrome(lease: Serving) -> Iterator[Browser]:
    """One browser for all; whoever uses it takes it `anew`."""
    with browsing(lease.url) as made:
        yield made


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where the flag wants screenshots."""
    folder: Path | None = request.config.getoption("--screenshots")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def looked_at(axe: str, pictures: Path | None) -> LookedAt:
    """Looks at a page in every shape: a picture, where they are wanted; nothing grave, nothing beyond an edge."""

    def look(browser: Browser, name: str) -> None:
        for width, scheme in SHAPES:
            browser.look(width, scheme)
            if pictures is not None:
                browser.picture(pictures / f"{name}-{width}-{scheme}.png")
            assert browser.findings(axe, scheme) == [], (name, width, scheme)
            assert (browser.overflow(), browser.spills()) == (0, []), (name, width)

    return look
