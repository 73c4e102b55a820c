"""`contract`: what was promised."""

import sys
from pathlib import Path
from urllib.parse import quote

import click
from rich.console import Console
from rich.text import Text

from collector.cli.asking import EXISTING, USAGE, Server, asks, stated
from collector.cli.status import contract_of, contracts_of, table
from collector.documents.spelling import utc
from weighbridge.contract import Contract, ContractError, loaded
from weighbridge.contract.chain import mismatches
from weighbridge.contract.forms import FormError, fill, form, forms
from weighbridge.contract.loading import Examined, examined
from weighbridge.process.settings import ConfigError

contract_file = click.argument("file", type=EXISTING)


@click.group()
def contract() -> None:
    """Check, add, list and show contracts."""


@contract.command("check", short_help="Name everything that is wrong with a file.")
@contract_file
@click.option(
    "--against", type=EXISTING, help="The lease that FILE draws on: name where FILE promises more."
)
@stated
def contract_check(file: Path, against: Path | None) -> None:
    """Name everything that is wrong with FILE, by line; exit code 2 if there is anything."""
    checked = _load(file)
    stricter = [] if against is None else list(mismatches(_load(against), checked))
    for mismatch in stricter:
        click.echo(f"{file}: stricter than {against}: {mismatch}", err=True)
    if stricter:
        sys.exit(USAGE)
    click.echo(f"{file}: contract {checked.contract_id}, version {checked.version}, is sound")


@contract.command("new")
@click.option("--form", "name", help="A published form. Without it: their names.")
@click.option("--set", "values", multiple=True, help="NAME=TEXT for a blank of the form; repeat.")
@stated
def contract_new(name: str | None, values: tuple[str, ...]) -> None:
    """Print a contract: a published form with its blanks filled in."""
    if name is None:
        for one in forms():
            click.echo(f"{one.name:24} {one.title}\n{'':24} {', '.join(one.blanks)}")
        return
    pairs = [value.partition("=") for value in values]
    try:
        text = fill(form(name), {blank: filled for blank, _, filled in pairs})
    except FormError as error:
        raise ConfigError(str(error)) from error
    click.echo(text, nl=False)


@contract.command("add", short_help="Enter a contract, or its next version.")
@contract_file
@asks
def contract_add(file: Path, server: Server) -> None:
    """Enter FILE in the log: a new contract, or the next version of one."""
    checked = _load(file)
    answer = server.ask("POST", "/v1/contracts", file.read_bytes())
    click.echo(
        f"contract {checked.contract_id}, version {checked.version}, is entry {answer['index']}; "
        f"judged from {utc(answer['from_us'])} UTC"
    )


@contract.command("withdraw", short_help="Take out a contract that was added by mistake.")
@click.argument("contract_id")
@click.option("--reason", required=True, help="Goes into the log.")
@asks
def contract_withdraw(contract_id: str, reason: str, server: Server) -> None:
    """Take out CONTRACT_ID, which served nobody, within a day of when it is judged from. Its name is free again."""
    path = f"/v1/contracts/{quote(contract_id, safe='')}/withdraw"
    answer = server.ask("POST", path, {"reason": reason})
    click.echo(f"contract {contract_id} is withdrawn by entry {answer['index']}")


@contract.command("list")
@asks
def contract_list(server: Server) -> None:
    """Every contract: who, what, and until when."""
    made = table("contract", "version", "provider", "lessee", "cards", "until")
    for row in contracts_of(server):
        cards = "\n".join(row["cards"])
        until = utc(row["end_us"])
        who = (row["provider"], row["lessee"])
        made.add_row(*map(Text, (row["contract"], str(row["version"]), *who, cards, until)))
    Console().print(made)


@contract.command("show")
@click.argument("contract_id")
@asks
def contract_show(contract_id: str, server: Server) -> None:
    """The version in force of CONTRACT_ID as YAML, with every default."""
    click.echo(contract_of(server, contract_id)["text"], nl=False)


@contract.command("openslo", short_help="Its objectives as OpenSLO documents.")
@click.argument("contract_id")
@asks
def contract_openslo(contract_id: str, server: Server) -> None:
    """The availability objectives of CONTRACT_ID as OpenSLO v1 documents."""
    from collector.documents.openslo import openslo

    text = contract_of(server, contract_id)["text"]
    click.echo(openslo(loaded(text)), nl=False)


def _load(file: Path) -> Contract:
    """The contract, and what to beware of on standard error; or all its problems there too, and the end."""
    try:
        found = examined(file.read_text(encoding="utf-8"))
    except ContractError as error:
        found = Examined(None, error.problems, ())
    except UnicodeDecodeError as error:
        click.echo(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}", err=True)
        sys.exit(USAGE)
    for problem in sorted(set(found.problems)):
        click.echo(f"{file}: {problem}", err=True)
    for warning in found.warnings:
        click.echo(f"{file}: warning: {warning}", err=True)
    if found.contract is None or found.problems:
        sys.exit(USAGE)
    return found.contract
