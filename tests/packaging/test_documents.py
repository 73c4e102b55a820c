"""What the documents tell an operator to do is there to be done."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["CONTRIBUTING.md", "docs/operations.md", "systemd/README.md", "requirements/README.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_to_a_file_leads_to_one(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_script_that_is_named_can_be_run(document: str) -> None:
    for name in re.findall(r"\b(?:scripts|\.ci)/[a-z-]+", (ROOT / document).read_text()):
        assert (ROOT / name).stat().st_mode & 0o111, name


def test_operations_name_the_directories_of_the_units() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    for unit in sorted((ROOT / "systemd").glob("*.service")):
        for kind, value in re.findall(r"^(State|Runtime)Directory=(\S+)", unit.read_text(), re.M):
            prefix = {"State": "/var/lib", "Runtime": "/run"}[kind]
            assert f"`{prefix}/{value}" in text or f"{prefix}/{value}/" in text
