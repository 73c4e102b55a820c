"""One collector with two months behind it, axe-core, and where pictures go."""

import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.browser.browsing import CHROMIUM, DRIVER
from tests.browser.november import lived
from tests.collector.building import Serving

AXE: Final = "axe-core@4.14.1"


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
        yield server


@pytest.fixture(scope="session")
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where the flag wants screenshots."""
    folder: Path | None = request.config.getoption("--screenshots")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    return folder
