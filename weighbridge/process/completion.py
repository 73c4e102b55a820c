"""`completion`, which every program has: the script by which a shell completes the program's words."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")
MENDED = {
    "zsh": (
        (
            "    response=(",
            '    [[ $words[CURRENT] == --*=* ]] && compset -P 1 "*="\n    response=(',
        ),
        ("compadd -U", 'compadd -U -i "$IPREFIX"'),
        ("== loadautofunc", "== (loadautofunc|shfunc)"),
    ),
    "fish": (
        ('split "," ', 'split --max 1 "," '),
        (
            "    end;\nend;",
            '    end | string replace --regex -- "^" '
            '(string match --regex -- "^--[^=]+=|^" (commandline -t));\nend;',
        ),
    ),
}
"""Of click's scripts. Both: a value behind `--option=` keeps the option before it. zsh: a function that was loaded once
completes the second time, too. fish: a word's help does not end at its first comma."""


@click.command(short_help="The script by which a shell completes all this.")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script by which SHELL completes commands, options, and what they may be."""
    root = context.find_root()
    program = root.info_name or ""
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"this installation of click knows no {shell}")
    variable = f"_{program.replace('-', '_')}_COMPLETE".upper()
    script = made(root.command, {}, program, variable).source()
    for clicks, ours in MENDED.get(shell, ()):
        script = script.replace(clicks, ours)
    click.echo(script, nl=False)
