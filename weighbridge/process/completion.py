"""`completion`, which every program has: the script by which a shell completes the program's words."""

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


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
    click.echo(made(root.command, {}, program, variable).source(), nl=False)
