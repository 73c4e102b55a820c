"""`replay`: settles a period again from raw evidence, and compares with the ledger."""

import os
import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from collector.app import load_signer
from collector.commands.operate import collect_seldom, config_option, stated
from collector.commands.statement import as_of_option, fetch_statement, period_option
from collector.config import Config, ConfigError, load_config
from collector.replay import Replay
from collector.settling import SettlingError, instant
from collector.storage.embedded import read_info
from weighbridge.settlement.statement import Statement, differences

DIFFERENT = 1
MOST_WORKERS = 4
"""More would wait: one process judges what they have read."""

LARGE = 50_000
"""Entries from which on other processes save more time than they take to start."""


@click.command()
@click.argument("contract_id")
@period_option
@as_of_option
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that keeps how far it has come: the same command goes on from there.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    help="Processes that read ahead and check signatures: by default, of a large log, as many as there are cores, up to"
    f" {MOST_WORKERS}. 0 or 1: none.",
)
@config_option
@stated
def replay(
    contract_id: str,
    period: str,
    as_of: str | None,
    state: Path | None,
    workers: int | None,
    config_file: Path,
) -> None:
    """Settle a period of CONTRACT_ID again from the log, signature by signature, and compare with the ledger.

    Exit code 0: equal to the byte; 1: not, and the difference is printed.
    """
    config = load_config(config_file, os.environ)
    ledger = fetch_statement(config, contract_id, period, as_of)
    with tempfile.TemporaryDirectory(prefix="weighbridge-replay-") as temporary:
        again = _replayed(config, ledger, state or Path(temporary) / "replay.sqlite", workers)
    if again.json() == ledger.json():
        click.echo(f"equal to the byte: {ledger.contract}, {period}, as of {ledger.as_of}")
        return
    click.echo(f"the log says otherwise than the ledger, as of {ledger.as_of}:", err=True)
    for line in differences(ledger, again) or ("the digest of the inputs",):
        click.echo(line, err=True)
    sys.exit(DIFFERENT)


def _replayed(config: Config, ledger: Statement, state: Path, workers: int | None) -> Statement:
    collect_seldom()
    info, signer = read_info(config.directory), load_signer(config)
    as_of_s = instant(ledger.as_of)
    again = Replay(config.directory, info, signer.public_key, state, as_of_s)
    try:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("entries", total=again.size)
            hands = by_cores(again.left) if workers is None else workers
            again.run(lambda folded: progress.update(task, completed=folded), hands)
        return again.statement(ledger.contract, ledger.period)
    except SettlingError as error:
        raise ConfigError(str(error)) from error
    finally:
        again.close()


def by_cores(entries: int) -> int:
    """Worker processes for so many entries, on this machine."""
    return 0 if entries < LARGE else min(len(os.sched_getaffinity(0)), MOST_WORKERS)
