"""`store`: where the log and what is derived from it rest."""

import os
from pathlib import Path

import click

from collector.cli.asking import config_option, stated
from collector.config import load_config
from collector.storage.stores import move
from weighbridge.process.terminal import progress


@click.group()
def store() -> None:
    """Where the log rests, and what is derived from it."""


@store.command("migrate")
@click.argument("url")
@config_option
@stated
def migrate(url: str, config_file: Path) -> None:
    """Move the embedded store into PostgreSQL, at URL: postgresql://USER@HOST/DATABASE?shard=NAME.

    The collector is stopped. The log keeps its name, keys, head and entries, and the ledger what it knew and when. The
    directory holds no store from then on, so that nobody goes on with the same log in two places.
    """
    config = load_config(config_file, os.environ)
    with progress("copying entries") as count:
        size = move(config.embedded, url, count)
    click.echo(f"{size} entries, and what is derived from them, are in PostgreSQL")
    click.echo(
        f"set in {config_file}: store = (the address), directory = {str(config.directory)!r}"
    )
