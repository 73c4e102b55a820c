"""The wheel holds all it needs, and its programs start wherever they are started."""

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["weighbridge", "agent", "collector", "dashboards"]
DECOY = "raise SystemExit('the decoy was imported')\n"
IMPORT_ALL = """
import importlib, pkgutil, sys, weighbridge
for module in pkgutil.walk_packages(weighbridge.__path__, "weighbridge."):
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def everything(make_environment: Make) -> Path:
    return make_environment("agent", "collector", "challenge", "dashboards")


@pytest.fixture(scope="session")
def base(make_environment: Make) -> Path:
    return make_environment()


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A directory with a module of the name of each package, none of which may be imported."""
    for package in PACKAGES:
        (tmp_path / f"{package}.py").write_text(DECOY)
    return tmp_path


def _run(
    *command: str | Path, cwd: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"]} | ({"PYTHONPATH": str(path)} if path else {})
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def test_every_committed_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True
    )
    committed = {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}
    assert committed - set(zipfile.ZipFile(wheel).namelist()) == set()


def test_nothing_but_the_packages_is_in_the_wheel(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("program", ["weighbridge", "weighbridge-agent"])
def test_a_program_starts_beside_modules_of_the_same_name(
    everything: Path, decoys: Path, program: str
) -> None:
    done = _run(everything / program, "--help", cwd=decoys)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout


@pytest.mark.parametrize("package", ["agent", "collector"])
def test_as_the_units_start_it_a_program_takes_nothing_from_its_surroundings(
    everything: Path, decoys: Path, package: str
) -> None:
    done = _run(everything / "python", "-I", "-m", package, "--help", cwd=decoys, path=decoys)
    assert done.returncode == 0, done.stderr
    assert "Usage: " in done.stdout


def test_the_decoys_would_be_imported_otherwise(everything: Path, decoys: Path) -> None:
    done = _run(everything / "python", "-m", "agent", "--help", cwd=decoys, path=decoys)
    assert "the decoy was imported" in done.stderr


def test_the_base_install_imports_all_that_judges_but_the_challenges_arithmetic(
    base: Path, tmp_path: Path
) -> None:
    done = _run(base / "python", "-I", "-c", IMPORT_ALL, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    missing = [line.split() for line in done.stdout.splitlines()]
    assert {name for _, name in missing} <= {"numpy"}
    assert all(module.startswith("weighbridge.challenge.") for module, _ in missing)


@pytest.mark.parametrize("program", ["weighbridge", "weighbridge-agent"])
def test_the_help_of_a_program_needs_no_extra(base: Path, tmp_path: Path, program: str) -> None:
    done = _run(base / program, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
