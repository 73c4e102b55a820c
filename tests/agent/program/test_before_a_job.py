"""What docs/operations.md shows of `check` before a job: the prolog is run, the job is read."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from agent.__main__ import main
from weighbridge.verdict import EXIT_CODES, Verdict

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"
SECTION = PAGE.read_text(encoding="utf-8").partition("### Before a job starts")[2]
(PROLOG,) = re.findall(r"^```sh\n(#!/bin/sh\n.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
JOB: Any = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)[0])


def ends(directory: Path, code: int) -> tuple[int, str]:
    """The prolog's exit code where the agent ends with `code`, and what was logged."""
    bin_directory = directory / "bin"
    bin_directory.mkdir()
    said = directory / "logged"
    for name, line in (
        ("agent", f'[ "$*" = check ] || exit 99\necho "the verdict"\nexit {code}'),
        ("logger", f'[ "$*" = "-t weighbridge-prolog" ] || exit 98\ncat >{said}'),
    ):
        (bin_directory / name).write_text(f"#!/bin/sh\n{line}\n")
        (bin_directory / name).chmod(0o755)
    script = directory / "prolog"
    script.write_text(PROLOG.replace("PATH=/", f"PATH={bin_directory}:/", 1))
    done = subprocess.run(
        ["/bin/sh", str(script)],
        env={"WEIGHBRIDGE_AGENT": str(bin_directory / "agent")},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.returncode, said.read_text() if said.exists() else ""


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (EXIT_CODES[Verdict.MET], (0, "")),
        (EXIT_CODES[Verdict.BREACHED], (1, "the verdict\n")),
        (EXIT_CODES[Verdict.UNKNOWN], (0, "the verdict\n")),
        (1, (1, "the verdict\n")),
        (2, (1, "the verdict\n")),
    ],
)
def test_the_prolog_refuses_what_is_breached_and_says_why(
    tmp_path: Path, code: int, expected: tuple[int, str]
) -> None:
    assert ends(tmp_path, code) == expected


def test_the_prolog_needs_no_search_path_and_no_other_shell() -> None:
    assert PROLOG.startswith("#!/bin/sh\n")
    assert "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n" in PROLOG
    checked = subprocess.run(["/bin/sh", "-n"], input=PROLOG, text=True, env=os.environ)
    assert checked.returncode == 0
    assert not re.search(r"\b(scontrol|squeue|sinfo|srun)\b", PROLOG)
    assert shutil.which("timeout")


def test_the_job_runs_the_command_that_there_is_and_fails_at_a_breach() -> None:
    pod = JOB["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    program, name, *words = container["command"]
    command = main.commands[name]
    assert program == "weighbridge-agent"
    assert {word for word in words if word.startswith("-")} <= {
        flag
        for option in command.params
        if isinstance(option, click.Option)
        for flag in option.opts
    }
    (rule,) = JOB["spec"]["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"] == {
        "containerName": container["name"],
        "operator": "In",
        "values": [EXIT_CODES[Verdict.BREACHED]],
    }
    assert pod["restartPolicy"] == "Never"
    (mount,) = container["volumeMounts"]
    assert words[-1].startswith(f"{mount['mountPath']}/")
    assert {mount["name"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_table_of_exit_codes_is_the_one_that_judging_commands_end_with() -> None:
    rows = dict(re.findall(r"^\| ([\d, ]+) \| (.+?) \|", SECTION, re.MULTILINE))
    assert rows.keys() == {"0", "3", "4", "1, 2"}
    assert "met" in rows[str(EXIT_CODES[Verdict.MET])]
    assert "breached" in rows[str(EXIT_CODES[Verdict.BREACHED])]
    assert "could not be seen" in rows[str(EXIT_CODES[Verdict.UNKNOWN])]


def test_the_prolog_finds_a_contract_where_the_page_has_it_put() -> None:
    before_the_script = SECTION.partition("```sh")[0]
    assert "`contract.yaml`" in before_the_script
    assert "state directory" in before_the_script


def test_the_job_sees_who_else_holds_memory_of_its_gpus() -> None:
    """In a namespace of its own it could not, and an exclusive lease would be unknown on every node."""
    assert JOB["spec"]["template"]["spec"]["hostPID"] is True
