"""`ca`: a new certificate authority, which agents learn of from the one that they trust."""

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from collector.cli.asking import config_option, stated
from collector.config import load_config
from collector.storage.stores import store_info
from collector.tls import NEXT, create_authority, replace_authority
from weighbridge.process.settings import ConfigError


@click.group()
def ca() -> None:
    """Put another certificate authority in the place of the collector's own, without inviting agents again."""


@ca.command("rotate")
@config_option
@stated
def rotate(config_file: Path) -> None:
    """Make the next CA. Agents fetch it at their start and once an hour, and trust both from then on."""
    config = load_config(config_file, os.environ)
    origin = store_info(config.store).origin
    try:
        create_authority(config.keys, origin, datetime.now(UTC), NEXT)  # noqa: TID251
    except FileExistsError as error:
        raise ConfigError("there is a next CA already: `weighbridge ca finish` first") from error
    click.echo("the next CA is made; `weighbridge ca finish` once every agent has been heard")


@ca.command("finish")
@config_option
@stated
def finish(config_file: Path) -> None:
    """Let the next CA issue the server's certificate, within a minute.

    Agents that did not hear of it are to be invited again.
    """
    config = load_config(config_file, os.environ)
    try:
        replace_authority(config.keys)
    except FileNotFoundError as error:
        raise ConfigError("there is no next CA: `weighbridge ca rotate` makes one") from error
    click.echo("the next CA is the collector's own from now on")
