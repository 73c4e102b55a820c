"""Writes the manual page of a program from its commands: `python deploy/manual.py weighbridge-agent`."""

import sys
from collections.abc import Iterator

import click

from agent.__main__ import main as agent
from collector.__main__ import main as collector
from weighbridge import __version__

PROGRAMS: dict[str, click.Group] = {"weighbridge": collector, "weighbridge-agent": agent}


def page(name: str) -> Iterator[str]:
    """The lines of the page in man's macros."""
    program = PROGRAMS[name]
    yield f'.TH {name.upper()} 1 "" "Weighbridge {__version__}" "User Commands"'
    yield from (".SH NAME", f"{name} \\- {plain((program.help or '').splitlines()[0])}")
    yield from (".SH SYNOPSIS", f".B {name}", "COMMAND [OPTIONS]", ".SH COMMANDS")
    yield from described(program, click.Context(program, info_name=name))
    yield from (".SH SEE ALSO", f"/usr/share/doc/{DOCUMENTS[name]}/operations.md")


DOCUMENTS = {"weighbridge": "weighbridge-collector", "weighbridge-agent": "weighbridge-agent"}


def described(group: click.Group, above: click.Context) -> Iterator[str]:
    """Every command of a group, and those of the groups in it."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        if command is None:
            continue
        context = click.Context(command, parent=above, info_name=name)
        if isinstance(command, click.Group):
            yield from described(command, context)
            continue
        usage = " ".join(command.collect_usage_pieces(context))
        yield from (f".SS {plain(context.command_path)}", plain(usage), ".PP", plain(told(command)))
        for option in command.get_params(context):
            record = option.get_help_record(context)
            if record is not None:
                yield from (".TP", f".B {plain(record[0])}", plain(record[1]))


def told(command: click.Command) -> str:
    return " ".join((command.help or "").split())


def plain(text: str) -> str:
    """Text in which man sees no command of its own, on one line."""
    one = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{one}" if one.startswith((".", "'")) else one


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in page(sys.argv[1]))
