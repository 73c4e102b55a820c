"""`clock`: whether the collector follows the system's clock, and the word that it may again."""

import os
import sys
from pathlib import Path

import click

from collector.api.clock import PATH
from collector.cli.operate import ask, config_option, stated
from collector.config import load_config
from weighbridge.verdict import EXIT_CODES, Verdict


@click.command("clock")
@click.option("--confirm", is_flag=True, help="The system's clock is right now: follow it again.")
@config_option
@stated
def clock(confirm: bool, config_file: Path) -> None:
    """Whether the collector follows the system's clock, which it does not once that was stepped.

    Exit codes: 0 it does, 3 it does not.
    """
    config = load_config(config_file, os.environ)
    if confirm:
        ahead_us = ask(config, "POST", PATH)["ahead_us"]
        click.echo(f"the system's clock is followed again; it was {_seconds(ahead_us)} off")
        return
    told = ask(config, "GET", PATH)
    click.echo(f"the system's clock is {_seconds(told['ahead_us'])} off what it must be")
    if told["stepped"]:
        click.echo(
            "it was stepped and is not followed: weighbridge clock --confirm, once it is right"
        )
        sys.exit(EXIT_CODES[Verdict.BREACHED])


def _seconds(microseconds: int) -> str:
    """To the millisecond; what is less than half of one has no sign."""
    milliseconds = round(microseconds / 1000)
    return f"{milliseconds / 1000:{'+' if milliseconds else ''}.3f} s"
