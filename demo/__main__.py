"""`python -m demo`: the whole thing at work on this machine."""

import asyncio
import signal
import tempfile
from pathlib import Path

import click
from rich.console import Console

from collector.cli.asking import fail
from demo.plan import FAULTS, LEAST_SECONDS
from demo.programs import DemoError
from demo.run import Wanted, demonstrate
from demo.show import Screen

MISSED = 1


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(LEAST_SECONDS),
    default=40.0,
    show_default=True,
    help="How long to watch the fleet.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8470,
    show_default=True,
    help="Where the collector listens on loopback; 0: anywhere.",
)
@click.option(
    "--without",
    type=click.Choice([fault.name for fault in FAULTS]),
    multiple=True,
    help="Do not plant this fault. May be given again.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    help="A new directory for evidence and logs, kept afterwards; else they are temporary.",
)
@click.pass_context
def demo(
    context: click.Context, seconds: float, port: int, without: tuple[str, ...], keep: Path | None
) -> None:
    """Start a collector and a simulated fleet with planted faults, and show what is found.

    Exit codes: 0 every planted fault was found and nothing against the honest contract, 1 otherwise, 2 it cannot run.
    """
    for ending in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: processes and directory go with it
        signal.signal(ending, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="weighbridge-demo-") as temporary:
        directory = Path(temporary) if keep is None else keep
        try:
            directory.mkdir(parents=True, exist_ok=keep is None)
            wanted = Wanted(seconds, port, directory, frozenset(without))
            found = asyncio.run(demonstrate(wanted, Screen(Console(highlight=False))))
        except (DemoError, OSError) as error:
            fail(error)
    context.exit(0 if found else MISSED)


if __name__ == "__main__":
    demo()
