"""What the documents tell an operator to do is there to be done."""

import re
from pathlib import Path

import click
import pytest

from agent.__main__ import main as agent
from agent.config import AgentConfig
from collector.__main__ import main as collector
from collector.config import LimitSettings, Settings, TokenSettings

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


def _documented(table: str) -> dict[str, str]:
    """Key -> the cell with its default, of the table whose first column has that heading."""
    text = (ROOT / "docs/operations.md").read_text()
    rows = text.partition(f"| key of `{table}` |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [row.split(" | ") for row in rows]
    return {key: default for keys, default, *_ in cells for key in re.findall("`(.+?)`", keys)}


def test_every_key_of_the_agents_configuration_is_documented_with_its_default() -> None:
    documented = _documented("agent.toml")
    assert documented.keys() == AgentConfig.model_fields.keys()
    for name, field in AgentConfig.model_fields.items():
        assert documented[name] == (f"`{field.default}`" if field.default != "" else "none")


def test_every_key_of_the_collectors_configuration_is_documented() -> None:
    limits = {f"limits.{name}" for name in LimitSettings.model_fields}
    documented = _documented("config.toml").keys()
    assert documented == (Settings.model_fields.keys() - {"limits"}) | limits


def test_the_collectors_limits_are_documented_as_they_are() -> None:
    documented = _documented("config.toml")
    for name, field in LimitSettings.model_fields.items():
        assert documented[f"limits.{name}"] == f"`{field.default}`"


@pytest.mark.parametrize("document", [*DOCUMENTS, "CHANGELOG.md"])
def test_every_command_that_is_named_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    context = click.Context(collector)
    for name in re.findall(r"(?:\bweighbridge|^wb) ([a-z]+)", text, re.M):
        assert collector.get_command(context, name) is not None, name
    for name in re.findall(r"(?<!-u )\bweighbridge-agent ([a-z]+)", text):
        assert agent.get_command(context, name) is not None, name


def test_both_halves_of_a_token_are_documented() -> None:
    (row,) = re.findall(r"^\| `tokens` .*", (ROOT / "docs/operations.md").read_text(), re.M)
    assert all(f"`{name}`" in row for name in TokenSettings.model_fields)
