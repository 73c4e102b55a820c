"""`bundle`: the evidence of a period as one file, for whoever has no collector."""

import getpass
import hashlib
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from urllib.parse import quote, urlencode

import click
from pydantic import TypeAdapter

from collector.bundling.making import BundleMaker, Extracting
from collector.bundling.survey import Surveyed, survey_log
from collector.cli.asking import StoreServer, config_option, fail, stated
from collector.cli.operate import collect_seldom
from collector.cli.statement import as_of_option, fetch_statement, period_option
from collector.config import load_config
from collector.judging.statements import StatementError, instant
from collector.log.own_keys import own_keys
from collector.storage.stores import read_log, store_info
from weighbridge import __version__
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Row
from weighbridge.process.terminal import progress
from weighbridge.settlement.periods import instant_text

DIFFERENT = 3


@click.command()
@click.argument("contract_id")
@period_option
@as_of_option
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file.",
)
@click.option("--by", help="Who takes it, as the record of it will say. Default: USER.")
@config_option
@stated
def bundle(
    contract_id: str,
    period: str,
    as_of: str | None,
    output: Path,
    by: str | None,
    config_file: Path,
) -> None:
    """Write everything that a statement of CONTRACT_ID rests on into one file, which `weighbridge verify` checks.

    By default the statement that was issued last, else one as known now.
    """
    collect_seldom()
    config = load_config(config_file, os.environ)
    info = store_info(config.store)
    log = read_log(config.store)
    try:
        as_of_s = None if as_of is None else instant(as_of)
        with progress("looking for what it rests on", log.size) as count:
            known = survey_log(log, info, contract_id, period, as_of_s, count)
        shown = fetch_statement(
            StoreServer(config_file), contract_id, period, instant_text(known.as_of_s)
        )
        contested = _contested(StoreServer(config_file), contract_id, known)
        maker = BundleMaker(
            info, own_keys(config.keys, known.survey.announced), known, shown, contested
        )
        taken = _extracting(by)
        begun = output.with_name(f"{output.name}.new")
        with begun.open("wb") as file, progress("writing the bundle", log.size) as count:
            again = maker.make(log, file, taken, count)
        begun.replace(output)
    except StatementError as error:
        fail(error)
    with output.open("rb") as file:
        click.echo(f"SHA-256 {hashlib.file_digest(file, 'sha256').hexdigest()}")
    click.echo(f"{output}: {contract_id}, {period}, as of {shown.as_of}, {known.size} entries")
    if again.digest != shown.digest:
        click.echo("the entries in it give another statement: see `weighbridge verify`", err=True)
        sys.exit(DIFFERENT)


def _contested(server: StoreServer, contract: str, known: Surveyed) -> list[Row]:
    """Contested time, which the other tenant's entries would show."""
    ends = (known.reach.since_us // MICROSECONDS, known.as_of_s)
    query = urlencode(dict(zip(("from", "as_of"), map(instant_text, ends), strict=True)))
    answer = server.ask("GET", f"/v1/contracts/{quote(contract, safe='')}/contested?{query}")
    return TypeAdapter(list[Row]).validate_python(answer["items"])


def _extracting(by: str | None) -> Extracting:
    command = shlex.join(["weighbridge", *sys.argv[1:]])
    return Extracting(
        at_us=time.time_ns() // 1000,
        by=by or getpass.getuser(),
        machine=platform.node(),
        command=command[:512],
        program=f"weighbridge {__version__}",
    )
