"""docs/cli.md is made of the commands: WEIGHBRIDGE_WRITE_GOLDEN=1 makes it anew."""

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path

import click

from agent.__main__ import main as agent
from collector.__main__ import main as collector
from demo.__main__ import demo

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
PROGRAMS = {"weighbridge": collector, "weighbridge-agent": agent, "python -m demo": demo}
HEAD = """\
# Commands

Made of the programs themselves, which say the same with `--help`. Exit codes, where nothing else
is said: 0 done, 1 an internal error, 2 usage or configuration. What is behind the commands is in
[operations](operations.md): a collector elsewhere, the environment, completion in a shell.
"""


def page() -> str:
    parts = [HEAD]
    for name, program in PROGRAMS.items():
        parts += [f"## {name}", *described(program, click.Context(program, info_name=name))]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def described(command: click.Command, context: click.Context) -> Iterator[str]:
    """What a command is for, its options as `--help` has them, and its subcommands."""
    yield inspect.cleandoc(command.help or "")
    if not isinstance(command, click.Group):
        yield "\n".join(options(command, context))
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        within = click.Context(found, parent=context, info_name=name)
        yield f"### {within.command_path}"
        if not isinstance(found, click.Group):
            usage = " ".join(found.collect_usage_pieces(within))
            yield f"`{within.command_path} {usage}`"
        yield from described(found, within)


def options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.params:
        record = option.get_help_record(context) if isinstance(option, click.Option) else None
        if record is not None:
            yield f"- `{record[0]}`: {record[1]}"


def test_the_page_of_commands_says_what_the_programs_say() -> None:
    made = page()
    if "WEIGHBRIDGE_WRITE_GOLDEN" in os.environ:
        PAGE.write_text(made, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == made


def test_every_command_and_every_option_says_what_it_is_for() -> None:
    assert re.findall(r"^- `[^`]+`: (?:\[.*)?$", page(), re.MULTILINE) == []
