"""`retain`: reports that no contract keeps any longer leave the store; their hashes stay."""

import os
from collections.abc import Collection
from pathlib import Path

import click

from collector import control
from collector.cli.asking import config_option, stated
from collector.config import CollectorConfig, load_config
from collector.log.own_keys import require_own_log
from collector.log.retaining import RETENTION_PATH, kept_by_nobody, let_reports_go
from collector.storage.stores import open_store

SECONDS = 86_400
"""A collector that serves goes through years of segments beside its work."""


@click.command("retain", short_help="Let reports leave that no contract keeps any longer.")
@click.option("--dry-run", is_flag=True, help="Only say of which nodes.")
@config_option
@stated
def retain(dry_run: bool, config_file: Path) -> None:
    """Let the reports leave of each node of which every contract that ever held it ended `evidence.retention_days` ago.

    A collector that runs goes on serving. Leaf hashes, tree and heads stay, and so do the newest report of each chain
    and everything that is no report. What left cannot be settled again: `weighbridge bundle` first.
    """
    config = load_config(config_file, os.environ)
    served = control.answers(config.directory)
    nodes, count = _asked(config, dry_run) if served else _own(config, dry_run)
    click.echo(f"kept by no contract any longer: {', '.join(sorted(nodes)) or 'no node'}")
    if nodes and not dry_run:
        click.echo(f"{count} reports have left; the segment that grows is left alone")


def _asked(config: CollectorConfig, dry_run: bool) -> tuple[Collection[str], int]:
    """The nodes, and how many reports left, of the collector that serves the store."""
    asked = {"dry_run": dry_run}
    answer = control.request(config.directory, "POST", RETENTION_PATH, asked, SECONDS)
    return answer["nodes"], answer["left"]


def _own(config: CollectorConfig, dry_run: bool) -> tuple[Collection[str], int]:
    """The same where none serves it."""
    store = open_store(config.store)
    try:
        signer = require_own_log(config.keys, store).signer
        nodes = kept_by_nobody(store)
        return nodes, 0 if dry_run else let_reports_go(store, signer, nodes)
    finally:
        store.close()
