"""Documents say what is there: every command, flag, file, link and contract in them."""

import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.__main__ import main as agent
from collector.__main__ import main as collector
from weighbridge.contract import load

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += [ROOT / "systemd" / "README.md"]
PACKAGES = (
    "weighbridge",
    "agent",
    "collector",
    "dashboards",
    "benchmarks",
    "scripts",
    "tests",
    "demo",
)
GLOSSARY = ROOT / "docs" / "glossary.md"
PROGRAMS = {"weighbridge": collector, "weighbridge-agent": agent, "wb": collector}
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`((?:weighbridge|weighbridge-agent) [a-z][^`]*[^` ])`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def commands(text: str) -> Iterator[list[str]]:
    """Every use of one of the programs, in blocks of shell and in code spans, as words."""
    blocks = "\n".join(SHELL.findall(text)).replace("\\\n", " ")
    for line in (*blocks.splitlines(), *CODE.findall(text)):
        words = shlex.split(line, comments=True)
        for place, word in enumerate(words[:-1]):
            is_user = place > 0 and words[place - 1] == "-u"
            if Path(word).name in PROGRAMS and not is_user and words[place + 1] != "$@":
                yield [Path(word).name, *words[place + 1 :]]
                break


def wrong(words: list[str]) -> str:
    """What is wrong with a command line: a subcommand or a flag that is not there; empty if nothing."""
    command: click.Command = PROGRAMS[words[0]]
    context = click.Context(command, info_name=words[0])
    for word in words[1:]:
        flag = word.partition("=")[0]
        if word.startswith("--") and flag not in flags(command, context):
            return f"{context.command_path} has no {flag}"
        if word.startswith("-") or not isinstance(command, click.Group):
            continue
        found = [(name, command.get_command(context, name)) for name in word.split("|")]
        for name, subcommand in found:
            if subcommand is None:
                return f"{context.command_path} has no {name}"
            context = click.Context(subcommand, parent=context, info_name=name)
            command = subcommand
    return ""


def flags(command: click.Command, context: click.Context) -> set[str]:
    return {flag for option in command.get_params(context) for flag in option.opts}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_flag_in_a_document_exists(document: Path) -> None:
    found = list(commands(document.read_text(encoding="utf-8")))
    assert [mistake for words in found if (mistake := wrong(words))] == []


def test_the_readme_names_commands_at_all_and_a_wrong_one_is_noticed() -> None:
    assert len(list(commands((ROOT / "README.md").read_text(encoding="utf-8")))) > 8
    assert wrong(["weighbridge", "contract", "burn"]) == "weighbridge contract has no burn"
    assert wrong(["weighbridge", "serve", "--fast"]) == "weighbridge serve has no --fast"


def test_the_readmes_commands_can_be_followed_on_any_day() -> None:
    """Of a window that is not over there is no certificate."""
    words = [word for line in commands((ROOT / "README.md").read_text()) for word in line]
    assert "acceptance" in words
    assert [word for word in words if re.match(r"20\d\d-\d\d-\d\dT", word)] == []


FOLLOWED = """
{init}
{serve}
trap 'kill $!' EXIT
until [ -S store/control.sock ]; do sleep 0.1; done
{add}
until ! {{ {acceptance}; }} 2>&1 | grep "ask as of a later instant"; do :; done
{acceptance}
"""
"""A contract is known from the second on that follows its entry."""


def test_the_readmes_acceptance_works_on_the_day_that_it_is_read(tmp_path: Path) -> None:
    """In the minute after its contract was added."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    wanted = {"init": "init", "serve": "serve", "add": "contract add", "acceptance": "acceptance"}
    steps = {
        name: next(line for line in lines if line.startswith(f"weighbridge {words} "))
        for name, words in wanted.items()
    }
    steps["init"] += " --listen 127.0.0.1:0"
    (tmp_path / "lease.yaml").write_text(readmes_contract(), encoding="utf-8")
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    script = ["sh", "-euc", FOLLOWED.format(**steps)]
    done = subprocess.run(
        script, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "Acceptance certificate · lease-1" in done.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def readmes_contract() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(# lease\.yaml.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_readmes_contract_loads() -> None:
    assert load(readmes_contract()).contract_id == "lease-1"


def test_every_script_that_a_document_names_is_there() -> None:
    for document in DOCUMENTS:
        named = re.findall(r"\bscripts/([a-z-]+)", document.read_text(encoding="utf-8"))
        assert [name for name in named if not (ROOT / "scripts" / name).exists()] == []


def is_there(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_every_word_of_the_glossary_is_in_the_code_once() -> None:
    rows = re.findall(
        r"^\| (.+?) \|.*\| (?:`(weighbridge[\w.]+)`)? ?\|$", GLOSSARY.read_text(), re.MULTILINE
    )
    words = [word for words, _ in rows for word in words.split(", ")]
    assert len(words) > 40
    assert len(words) == len(set(words))
    assert [name for _, name in rows if name and not is_there(name)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_a_document_names_exists(document: Path) -> None:
    there = {str(path.relative_to(ROOT)) for top in PACKAGES for path in (ROOT / top).rglob("*.py")}
    named = set(re.findall(r"`([\w/]+\.py)`", document.read_text()))
    assert [
        name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)
    ] == []
