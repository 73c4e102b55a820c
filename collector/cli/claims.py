"""`claims` and `claim`: what can be claimed until when, and the letter that claims it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import click
from rich.console import Console
from rich.table import Table

from collector.cli.asking import Server, asks, fail, understood
from collector.cli.statement import (
    as_of_option,
    fetch_statement,
    language_option,
    period_option,
)
from collector.cli.status import contract_of
from collector.documents.claim_letter import LAPSED, ClaimLetter
from collector.documents.formats import FORMATS
from collector.documents.layouts import UnrenderableError
from collector.documents.speaker import Speaker
from collector.documents.words import Language, number
from weighbridge.contract import loaded
from weighbridge.process.terminal import progress
from weighbridge.settlement.worth import Claimable, totals

SUFFIXES = {"text": "txt", "html": "html", "pdf": "pdf"}
"""The formats of a letter, and how its file ends."""

COLUMNS = ("contract", "period", "unit", "standing", "amount", "currency", "deadline")


@click.command()
@click.argument("contract_id", required=False)
@asks
def claims(contract_id: str | None, server: Server) -> None:
    """Credits of the periods that ended lately, of CONTRACT_ID or of all contracts.

    Where unknown time is held, the amount is as if all of it had been down.
    """
    names = [contract_id]
    if contract_id is None:
        listed = server.ask("GET", "/v1/contracts?limit=1000")["items"]
        names = [row["contract"] for row in listed]
    found: list[Claimable] = []
    heads = ("at most" if column == "amount" else column for column in COLUMNS)
    table = Table(*heads, box=None, pad_edge=False)
    with progress("settling the periods that ended lately", len(names)) as count:
        for done, name in enumerate(names, 1):
            path = f"/v1/contracts/{quote(str(name), safe='')}/claims"
            found += understood(list[Claimable], server.ask("GET", path)["items"])
            count(done)
    if not found:
        click.echo("nothing can be claimed: no credit was earned in the periods that ended lately")
        return
    for one in (*_dated(found, server), *_totals(found)):
        table.add_row(*(getattr(one, column) or "" for column in COLUMNS))
    Console().print(table)


def _dated(found: Sequence[Claimable], server: Server) -> Iterator[Claimable]:
    """With deadlines on the clocks of each contract, and amounts as people write them."""
    zones: dict[str, str] = {}
    for one in found:
        if one.deadline is not None and one.contract not in zones:
            zones[one.contract] = loaded(contract_of(server, one.contract)["text"]).time_zone
        speak = Speaker("en", one.currency, zones.get(one.contract, "UTC"))
        day = None if one.deadline is None else speak.local(one.deadline).text
        yield replace(one, deadline=day, amount=number(one.amount))


def _totals(found: Sequence[Claimable]) -> Iterator[Claimable]:
    """By currency, of what has not lapsed; and of what has."""
    lapsed = [one for one in found if one.standing == LAPSED]
    for standing, claims in (("", [one for one in found if one not in lapsed]), (LAPSED, lapsed)):
        for currency, amount in totals(claims).items():
            yield Claimable("total", "", "", standing, None, number(str(amount)), currency)


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
@click.option(
    "--format",
    "name",
    type=click.Choice(list(SUFFIXES)),
    default="text",
    show_default=True,
    help="In which form the letter is written.",
)
@language_option
@asks
def claim(
    contract_id: str,
    period: str,
    as_of: str | None,
    output: Path,
    name: str,
    language: Language,
    server: Server,
) -> None:
    """Write the claim for a period of CONTRACT_ID: the letter, its evidence, and the statement.

    `weighbridge notice claim` files it.
    """
    statement = fetch_statement(server, contract_id, period, as_of)
    head = server.ask("GET", "/v1/log/head")
    letter = ClaimLetter(statement, head["head"], head["log_key"])
    try:
        body = FORMATS[name].render(letter, language)
    except UnrenderableError as error:
        fail(error)
    output.mkdir(parents=True, exist_ok=True)
    stem = f"claim-{contract_id.replace('/', '-')}-{period}"
    written = {
        f"{stem}.{SUFFIXES[name]}": body,
        f"{stem}-evidence.json": f"{json.dumps(letter.evidence(), indent=1)}\n".encode(),
        f"{stem}-statement.json": statement.json().encode(),
    }
    for file, content in written.items():
        (output / file).write_bytes(content)
        click.echo(output / file)
