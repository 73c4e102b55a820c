"""What a command refuses, it refuses in one line that names what mends it, and destroys nothing."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agent.__main__ import main as agent
from collector.__main__ import main
from tests.collector.building import COMMAND, serving, wait_for, weighbridge

NOW = datetime.now(UTC)
BEGUN, ENDED = NOW - timedelta(days=90), NOW + timedelta(days=90)
TERMS = f"""\
contract_id: alpha
effective: {BEGUN:%Y-%m-%d}T00:00:00Z
time_zone: UTC
currency: USD
parties: [{{id: P, role: provider}}, {{id: L, role: lessee}}]
term: {{from: {BEGUN:%Y-%m-%d}T00:00:00Z, to: {ENDED:%Y-%m-%d}T00:00:00Z}}
resources: [{{id: cards, accelerator: {{sku: H100-SXM-80GB}}, per_node: 8, nodes: 2}}]
availability: [{{id: nodes-up, unit: node, target: "0.995"}}]
unknown: {{policy: hold}}
"""
MONTH = f"{NOW - timedelta(days=1):%Y-%m}"
LONG_AGO, LATER = "2001-01", f"{ENDED:%Y-%m}"
DAY = ("--from", "2026-10-01T00:00:00Z", "--until", "2026-10-02T00:00:00Z")
INSTANT = "2020-01-01T00:00:00Z"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WEIGHBRIDGE_")]:
        monkeypatch.delenv(name)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The configuration of a store with one contract, which was entered just now, and is served."""
    directory = tmp_path_factory.mktemp("refusals")
    (directory / "alpha.yaml").write_text(TERMS)
    config = directory / "store" / "config.toml"
    for words in (
        ("init", directory / "store", "--listen", "127.0.0.1:0"),
        ("contract", "add", directory / "alpha.yaml", "--config", config),
    ):
        done = run(*words)
        assert done.exit_code == 0, done.output
    with serving(directory / "store"):
        asked = ("delivery", "alpha", "--config", config)
        wait_for(lambda: run(*asked).exit_code == 0, "a second after the contract")
        yield config


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("statement", "beta", "--period", MONTH), "beta: no such contract"),
        (("delivery", "beta"), "beta: no such contract"),
        (("claims", "beta"), "beta: no such contract"),
        (("statement", "alpha", "--period", "2026-13"), "'2026-13' is no period such as 2026-10"),
        (("statement", "alpha", "--period", LONG_AGO), "2001-01 lies outside the term of alpha, "),
        (("statement", "alpha", "--period", LATER), f"{LATER} had not begun yet"),
        (
            ("statement", "alpha", "--period", MONTH, "--as-of", INSTANT),
            f"as of {INSTANT} there was no contract alpha yet: ask as of a later instant",
        ),
        (
            ("delivery", "alpha", "--as-of", INSTANT),
            f"as of {INSTANT} there was no contract alpha yet: ask as of a later instant",
        ),
        (
            ("notice", "claim", "alpha", "--period", "2026-44", "--party", "L"),
            "'2026-44' is no period such as 2026-10",
        ),
        (
            ("notice", "claim", "alpha", "--period", LONG_AGO, "--party", "L"),
            "2001-01 lies outside the term of alpha",
        ),
        (
            ("notice", "cause", "alpha", "--code", "rain", "--party", "P", *DAY),
            "'rain' is no cause of the contract; there are: none",
        ),
    ],
    ids=range(11),
)
def test_a_command_that_is_refused_says_what_was_wrong_in_one_line(
    store: Path, words: tuple[str, ...], told: str
) -> None:
    done = run(*words, "--config", store)
    assert (done.exit_code, told in done.output) == (2, True), done.output
    assert done.output.count("\n") == 1


def text(path: Path) -> None:
    path.write_text("not a database")


def foreign(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (id INTEGER)")
    database.close()


@pytest.mark.parametrize("make", [text, foreign])
def test_replay_leaves_a_file_alone_that_it_did_not_write(
    store: Path, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    file = tmp_path / "precious"
    make(file)
    before = file.read_bytes()
    done = run("replay", "alpha", "--period", MONTH, "--state", file, "--config", store)
    assert (done.exit_code, file.read_bytes()) == (2, before)
    assert "was not written by a replay: name a new file with --state" in done.output


def test_replay_does_not_take_the_collectors_own_index_for_its_state(store: Path) -> None:
    own = store.parent / "index.sqlite"
    done = run("replay", "alpha", "--period", MONTH, "--state", own, "--config", store)
    assert (done.exit_code, "was not written by a replay" in done.output) == (2, True)


def test_replay_writes_no_bar_where_standard_error_is_no_terminal(store: Path) -> None:
    done = weighbridge("replay", "alpha", "--period", MONTH, "--config", store)
    assert (done.stderr, done.stdout.startswith("equal to the byte: alpha")) == ("", True)


KEY = "ab" * 32


@pytest.mark.parametrize(
    ("content", "key", "told"),
    [
        ("not json", KEY, "no entries as /v1/log/entries answers"),
        (json.dumps({"items": []}), KEY, "no entries as /v1/log/entries answers"),
        (json.dumps([{"index": 0, "envelope": "{}"}]), KEY, "no entries as /v1/log/entries"),
        ("[]", KEY, "holds no challenge from its beginning to its end"),
        ("[]", "zz", "--log-key: 64 hexadecimal digits"),
        ("[]", "00", "--log-key: 64 hexadecimal digits"),
    ],
)
def test_recheck_says_what_is_wrong_with_what_it_was_given(
    tmp_path: Path, content: str, key: str, told: str
) -> None:
    file = tmp_path / "entries.json"
    file.write_text(content)
    done = run("recheck", file, "--log-key", key)
    assert (done.exit_code, told in done.output) == (2, True), done.output


@pytest.mark.parametrize(
    ("content", "told"), [("no: json", "not JSON"), ("[]", "a policy is a JSON object")]
)
def test_a_policy_that_cannot_be_read_is_named(
    store: Path, tmp_path: Path, content: str, told: str
) -> None:
    file = tmp_path / "policy.json"
    file.write_text(content)
    done = run("challenge", "n1", "--policy", file, "--config", store)
    assert (done.exit_code, f"{file}: {told}" in done.output) == (2, True), done.output


def test_a_command_whose_output_nobody_reads_to_its_end_says_nothing_of_it(store: Path) -> None:
    command = [*COMMAND, "statement", "alpha", "--period", MONTH, "--config", str(store)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Broken pipe" not in process.stderr.read()


def groups(command: click.Command) -> Iterator[click.Group]:
    if isinstance(command, click.Group):
        yield command
        for one in command.commands.values():
            yield from groups(one)


@pytest.mark.parametrize("program", [main, agent], ids=["weighbridge", "weighbridge-agent"])
def test_no_list_of_commands_cuts_a_sentence_short(program: click.Group) -> None:
    for group in groups(program):
        shown = group.get_help(click.Context(group, info_name="x", terminal_width=80))
        assert "..." not in shown.partition("Commands:")[2], shown
