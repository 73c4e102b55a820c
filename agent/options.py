"""What the agent's commands share: where things lie, and how they end that were asked for wrongly."""

from pathlib import Path

import click


class UsageFailure(click.ClickException):
    """What was asked for or configured is wrong."""

    exit_code = 2


PATH = click.Path(path_type=Path)
ANY_PATH = click.Path(path_type=Path, readable=False)
"""Of a file about which the command says itself why it cannot be read."""
configuration = click.option("--config", "file", type=PATH, help="TOML file.")
state = click.option("--state-directory", type=PATH, help="Where key, spool and receipts are.")
runtime = click.option("--runtime-directory", type=PATH, help="Where the control socket is.")
