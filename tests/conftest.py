"""For all tests: hypothesis without a wall clock, products on one core each, and the wheel, built once, with
environments to install it in.

No program that a test starts trusts a certificate but those that tests make: reading this machine's whole list of them
would take each a tenth of a second.

An environment gets the wheel by pip, and of everything else exactly the distributions that the wheel's own metadata
asks for, linked from where the tests run: no network, and nothing that the metadata forgets.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[1]
PIP: Final = [sys.executable, "-m", "pip", "--disable-pip-version-check"]

Make = Callable[..., Path]

settings.register_profile("steady", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
os.environ["SSL_CERT_FILE"] = os.devnull

# Tests run side by side: the threads of several numpys would wait for each other, busily.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER`: pictures of every page, as a browser shows it."""
    parser.addoption("--screenshots", type=Path, help="folder for screenshots of every page")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of the wheel, built from this tree."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run([*command, "--directory", directory], cwd=ROOT, check=True, capture_output=True)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def make_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`make_environment("agent", …)`: an environment with the wheel and those extras; its `bin` directory. Who asks for
    the same gets the same, and changes nothing in it."""

    @cache
    def make(*extras: str) -> Path:
        directory = tmp_path_factory.mktemp("environment")
        venv.create(directory, with_pip=False, symlinks=True)
        python = directory / "bin" / "python"
        install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
        subprocess.run([*PIP, "--python", python, *install], check=True)
        (site,) = (directory / "lib").glob("python3*/site-packages")
        (metadata,) = site.glob("weighbridge-*.dist-info")
        for wanted in _closure(Distribution.at(metadata), set(extras)):
            _link(wanted, site)
        return python.parent

    return make


def _closure(root: Distribution, extras: set[str]) -> Iterator[Distribution]:
    """Every distribution that `root` with its extras asks for, directly or not."""
    waiting, seen = [(root, extras)], set[str]()
    while waiting:
        asking, wanted_extras = waiting.pop()
        for requirement in map(Requirement, asking.requires or ()):
            name = canonicalize_name(requirement.name)
            if name in seen or not _applies(requirement, wanted_extras):
                continue
            seen.add(name)
            found = distribution(requirement.name)
            yield found
            waiting.append((found, requirement.extras))


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras | {""})


def _link(wanted: Distribution, site: Path) -> None:
    for top in {file.parts[0] for file in wanted.files or () if ".." not in file.parts}:
        link = site / top
        if top != "__pycache__" and not link.exists():
            link.symlink_to(str(wanted.locate_file(top)))
