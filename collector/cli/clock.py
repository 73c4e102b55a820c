"""`clock`: whether the collector follows the system's clock, and the word that it may again."""

import sys

import click

from collector.api.clock import PATH
from collector.cli.asking import Server, asks
from weighbridge.verdict import EXIT_CODES, Verdict


@click.command("clock")
@click.option("--confirm", is_flag=True, help="The system's clock is right now: follow it again.")
@asks
def clock(confirm: bool, server: Server) -> None:
    """Whether the collector follows the system's clock, which it does not once that was stepped.

    Exit codes: 0 it does, 3 it does not.
    """
    if confirm:
        ahead_us = server.ask("POST", PATH)["ahead_us"]
        click.echo(f"the system's clock is followed again; it was {_seconds(ahead_us)} off")
        return
    told = server.ask("GET", PATH)
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
