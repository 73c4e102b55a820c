"""`replay`: settles a period again from raw evidence, and compares with the ledger."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from collector.cli.asking import StoreServer, config_option, stated
from collector.cli.operate import collect_seldom
from collector.cli.statement import as_of_option, fetch_statement, period_option
from collector.config import CollectorConfig, load_config
from collector.documents.words import told, values_of
from collector.judging.replay import Replay
from collector.judging.statements import StatementError, instant
from collector.judging.unlike import unlike
from collector.log.own_keys import public_keys
from collector.storage.derived import holds_other
from collector.storage.stores import judged_store, store_info
from weighbridge.judge.ledger import Finding
from weighbridge.process.settings import ConfigError
from weighbridge.process.terminal import progress
from weighbridge.settlement.invariants import BrokenInvariantError
from weighbridge.settlement.statement import (
    Statement,
    Tree,
    changes,
    otherwise,
    versions,
    versions_of,
)
from weighbridge.verdict import EXIT_CODES, Verdict

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
@click.option(
    "--issued",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A statement as JSON, as somebody holds it: it is compared in place of the ledger's, as of its own instant.",
)
@config_option
@stated
def replay(
    contract_id: str,
    period: str,
    as_of: str | None,
    state: Path | None,
    workers: int | None,
    issued: Path | None,
    config_file: Path,
) -> None:
    """Settle a period of CONTRACT_ID again from the log, signature by signature, and compare with the ledger, or with a
    statement that was handed out.

    Exit code 0: equal to the byte, the ledger found what the log gives, and every chain of reports is whole; 1: not,
    and the difference is printed; 4: reports of the contract's nodes have left the store, so that it cannot be known.
    """
    config = load_config(config_file, os.environ)
    ledger = None if issued is not None else config.store
    if state is not None:
        _check_state(config, state)
    if issued is None:
        shown = fetch_statement(StoreServer(config_file), contract_id, period, as_of).json()
    else:
        shown = _held(issued, contract_id, period)
    known = json.loads(shown)
    with tempfile.TemporaryDirectory(prefix="weighbridge-replay-") as temporary:
        again, holes, removed, unfound = _replayed(
            config, known, state or Path(temporary) / "replay.sqlite", workers, ledger
        )
    gone = EXIT_CODES[Verdict.UNKNOWN] if removed else 0
    for node in removed:
        click.echo(
            f"reports of {node} have left the store (weighbridge retain): what they showed cannot be settled again",
            err=True,
        )
    for hole in holes:
        place = f"{hole.node}, {hole.contract}" if hole.contract else hole.node
        click.echo(f"the log has a hole: {place}: {hole.observed}", err=True)
    for missing in unfound:
        click.echo(missing, err=True)
    if again.json() == shown:
        click.echo(f"equal to the byte: {contract_id}, {period}, as of {again.as_of}")
        sys.exit(gone or (DIFFERENT if holes or unfound else 0))
    other = "the ledger" if issued is None else str(issued)
    for line in otherwise(versions_of(known), versions(again)):
        said = "{name} {before} -> {after}".format_map(values_of(line, "en"))
        click.echo(f"made by another version, from that of {other} to this: {said}", err=True)
    click.echo(f"the log says otherwise than {other}, as of {again.as_of}:", err=True)
    changed = [told(line, "en") for line in changes(known, asdict(again))]
    for text in changed or ("the digest of the inputs, or the spelling",):
        click.echo(text, err=True)
    sys.exit(gone or DIFFERENT)


def _check_state(config: CollectorConfig, state: Path) -> None:
    """A file of another kind would be lost, and the collector's own index holds what is to be checked."""
    own = (config.directory / "index.sqlite").resolve()
    if state.resolve() == own or holds_other(state):
        raise ConfigError(f"{state} was not written by a replay: name a new file with --state")


def _held(file: Path, contract: str, period: str) -> str:
    """The text of a statement in a file."""
    text = file.read_text("utf-8")
    try:
        tree = json.loads(text)
        found = (tree["contract"], tree["period"], tree["engine"], instant(tree["as_of"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{file} is no statement as JSON: {error}") from error
    if found[:2] != (contract, period):
        raise ConfigError(f"{file} is the statement of {found[0]} for {found[1]}")
    return text


def _replayed(
    config: CollectorConfig, known: Tree, state: Path, workers: int | None, ledger: str | None
) -> tuple[Statement, list[Finding], list[str], list[str]]:
    """The statement of the log, the holes in it, of every contract, the contract's nodes of which reports left, and how
    the contract's findings in a ledger differ."""
    collect_seldom()
    info, (first, *later) = store_info(config.store), public_keys(config.keys)
    contract, as_of_s = known["contract"], instant(known["as_of"])
    again = Replay(config.store, info, first, state, as_of_s, later)
    try:
        with progress("settling again", again.size) as count:
            hands = by_cores(again.left) if workers is None else workers
            unfound = [] if ledger is None else _unfound(again, ledger, contract, count, hands)
            again.run(count, hands)
        made = again.statement(contract, known["period"])
        return made, list(again.holes()), again.removed(contract), unfound
    except (StatementError, BrokenInvariantError) as error:
        raise ConfigError(str(error)) from error
    finally:
        again.close()


def _unfound(
    again: Replay, ledger: str, contract: str, count: Callable[[int], None], workers: int
) -> list[str]:
    """How the findings of a ledger differ from those of the log up to the entry that the ledger has come to."""
    with judged_store(ledger) as store:
        held_upto, held = store.ledger.found(contract)
    again.run(count, workers, upto=held_upto)
    given = again.findings(contract)
    return list(unlike(held, given, held_upto=held_upto, given_upto=again.folded))


def by_cores(entries: int) -> int:
    """Worker processes for so many entries, on this machine."""
    return 0 if entries < LARGE else min(len(os.sched_getaffinity(0)), MOST_WORKERS)
