"""`claims` and `claim`: what can be claimed until when, and the letter that claims it."""

import json
import os
from pathlib import Path
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from collector.cli.operate import ask, config_option, stated
from collector.cli.statement import as_of_option, fetch_statement, period_option
from collector.config import load_config
from collector.documents.claim_letter import evidence, letter

COLUMNS = ("contract", "period", "unit", "standing", "amount", "currency", "deadline")


@click.command()
@click.argument("contract_id", required=False)
@config_option
@stated
def claims(contract_id: str | None, config_file: Path) -> None:
    """Credits of the periods that ended lately, of CONTRACT_ID or of all contracts.

    Where unknown time is held, the amount is as if all of it had been down.
    """
    config = load_config(config_file, os.environ)
    names = [contract_id]
    if contract_id is None:
        listed = ask(config, "GET", "/v1/contracts?limit=1000")["items"]
        names = [row["contract"] for row in listed]
    heads = ("at most" if column == "amount" else column for column in COLUMNS)
    table = Table(*heads, box=None, pad_edge=False)
    for name in names:
        for row in ask(config, "GET", f"/v1/contracts/{quote(str(name), safe='')}/claims")["items"]:
            table.add_row(*(str(row[column] or "") for column in COLUMNS))
    Console().print(table)


@click.command()
@click.argument("contract_id")
@period_option
@as_of_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="The directory for the letter and its evidence.",
)
@config_option
@stated
def claim(
    contract_id: str, period: str, as_of: str | None, output: Path, config_file: Path
) -> None:
    """Write the claim for a period of CONTRACT_ID: the letter, its evidence, and the statement.

    `weighbridge notice claim` files it.
    """
    config = load_config(config_file, os.environ)
    statement = fetch_statement(config, contract_id, period, as_of)
    head = ask(config, "GET", "/v1/log/head")
    shown = ask(config, "GET", f"/v1/contracts/{quote(contract_id, safe='')}")
    output.mkdir(parents=True, exist_ok=True)
    stem = f"claim-{contract_id.replace('/', '-')}-{period}"
    written = {
        f"{stem}.txt": letter(statement, shown["text"], head),
        f"{stem}-evidence.json": json.dumps(evidence(statement, head), indent=1) + "\n",
        f"{stem}-statement.json": statement.json(),
    }
    for name, text in written.items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(output / name)
