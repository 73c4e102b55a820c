"""`contract check|add|list|show` and `status`: what was promised, and what is delivered."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector.cli.asking import EXISTING, USAGE, Server, asks, stated
from collector.documents.spelling import percent, utc
from weighbridge.contract import Contract, ContractError, loaded
from weighbridge.contract.chain import mismatches
from weighbridge.contract.forms import FormError, fill, form, forms
from weighbridge.contract.loading import Examined, examined
from weighbridge.process.settings import ConfigError
from weighbridge.verdict import EXIT_CODES, Verdict, worst

Json = dict[str, Any]
STYLES = {
    "met": "bold green",
    "breached": "bold red",
    "unknown": "bold yellow",
    "error": "red",
    "warning": "yellow",
    "info": "dim",
}
PAGE = 1000
WHOLE = frozenset({"", "severity", "finding"})
"""Columns that are not broken over lines."""

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
    table = _table("contract", "version", "provider", "lessee", "cards", "until")
    for row in _contracts(server):
        cards = "\n".join(row["cards"])
        until = utc(row["end_us"])
        who = (row["provider"], row["lessee"])
        table.add_row(*map(Text, (row["contract"], str(row["version"]), *who, cards, until)))
    Console().print(table)


@contract.command("show")
@click.argument("contract_id")
@asks
def contract_show(contract_id: str, server: Server) -> None:
    """The version in force of CONTRACT_ID as YAML, with every default."""
    click.echo(_of(server, contract_id)["text"], nl=False)


@contract.command("openslo", short_help="Its objectives as OpenSLO documents.")
@click.argument("contract_id")
@asks
def contract_openslo(contract_id: str, server: Server) -> None:
    """The availability objectives of CONTRACT_ID as OpenSLO v1 documents."""
    from collector.documents.openslo import openslo

    text = _of(server, contract_id)["text"]
    click.echo(openslo(loaded(text)), nl=False)


@click.command()
@click.argument("contract_id", required=False)
@asks
def status(contract_id: str | None, server: Server) -> None:
    """Delivered against contracted, of CONTRACT_ID or of all, with what is found.

    Exit codes: 0 all met, 3 something breached, 4 nothing breached but something unknown.
    """
    one = contract_id
    rows = list(_contracts(server)) if one is None else [_of(server, one, "/status?limit=1")]
    console = Console()
    console.print(_summary(rows))
    if any(row["objectives"] for row in rows):
        console.print(_availability(rows))
    for row in rows:
        found = list(_findings(server, row["contract"]))
        if found:
            console.print(_found(row["contract"], found))
            console.print(_next(found))
    sys.exit(EXIT_CODES[worst((Verdict(row["verdict"]) for row in rows), empty=Verdict.MET)])


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


def _of(server: Server, contract_id: str, below: str = "") -> Json:
    """What the collector says of one contract."""
    answer: Json = server.ask("GET", f"/v1/contracts/{quote(contract_id, safe='')}{below}")
    return answer


def _contracts(server: Server) -> Iterator[Json]:
    return _every(server, "/v1/contracts")


def _findings(server: Server, name: str) -> Iterator[Json]:
    return _every(server, f"/v1/contracts/{quote(name, safe='')}/findings")


def _every(server: Server, path: str) -> Iterator[Json]:
    """The items of all pages of a list."""
    query: Json = {"limit": PAGE}
    while True:
        answer = server.ask("GET", f"{path}?{urlencode(query)}")
        yield from answer["items"]
        if answer["after"] is None:
            return
        query["after"] = answer["after"]


def _table(*columns: str, title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column in WHOLE)
    return table


def _summary(rows: list[Json]) -> Table:
    counts = ("contracted", "reporting", "healthy", "in use")
    table = _table("", "contract", *counts, "findings")
    for row in rows:
        gpus = row["gpus"]
        whole = gpus["contracted"]
        cells = [_count(gpus[state], whole) for state in ("reporting", "healthy")]
        table.add_row(
            Text(row["verdict"].upper(), STYLES[row["verdict"]]),
            Text(row["contract"]),
            Text(str(whole)),
            *cells,
            Text(str(gpus["in_use"])),
            _severities(row["findings"]),
        )
    return table


def _count(number: int, whole: int) -> Text:
    return Text(str(number), "green" if number >= whole else "bold red")


def _severities(counted: Json) -> Text:
    parts = [Text(f"{count} {word}", STYLES[word]) for word, count in counted.items() if count]
    return Text(", ").join(parts) if parts else Text("none", "green")


def _availability(rows: list[Json]) -> Table:
    table = _table("", "contract", "objective", "promised", "at least", "at most")
    for row in rows:
        for goal in row["objectives"]:
            shares = (percent(goal[name]) for name in ("target", "low", "high"))
            verdict = Text(goal["verdict"].upper(), STYLES[goal["verdict"]])
            table.add_row(verdict, *map(Text, (row["contract"], goal["objective"], *shares)))
    return table


def _worst_first(found: list[Json]) -> list[Json]:
    order = list(STYLES)
    return sorted(found, key=lambda row: (order.index(row["severity"]), row["since_us"]))


def _next(found: list[Json]) -> Table:
    """What to do, once for each code: a collector of another version may not say it."""
    table = _table("finding", "means", "what to do, in order")
    told = {(row["code"], row["verdict"]): row for row in _worst_first(found) if row.get("steps")}
    for row in told.values():
        steps = (f"{number}. {step['en']}" for number, step in enumerate(row["steps"], start=1))
        table.add_row(*map(Text, (row["code"], row["means"]["en"], "\n".join(steps))))
    return table


def _found(name: str, found: list[Json]) -> Table:
    """Each finding in lines of its own: a UUID and what was observed want the width."""
    table = _table("severity", "what is found", title=name)
    for row in _worst_first(found):
        table.add_row(Text(row["severity"], STYLES[row["severity"]]), Text("\n".join(_told(row))))
    return table


def _told(row: Json) -> Iterator[str]:
    """What is found, where and since when, what was promised and what is seen."""
    where = " ".join(part for part in (row["node"], row["gpu"]) if part) or "the contract"
    reason = row.get("reason")
    yield f"{row['code']}, since {utc(row['since_us'])}"
    yield f"  at {where}"
    yield f"  expected {row['expected']}"
    yield f"  observed {row['observed']}" + ("" if reason is None else f": {reason['en']}")
