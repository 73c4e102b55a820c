"""`statement`: what was delivered in a period, exactly, and what it is worth."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from collector.cli.asking import Server, asks, fail, understood
from collector.documents.formats import FORMATS
from collector.documents.layouts import Document, UnrenderableError
from collector.documents.words import LANGUAGES, Language
from weighbridge.process.terminal import progress
from weighbridge.settlement.statement import Statement

period_option = click.option(
    "--period",
    required=True,
    help="A month (2026-10), a quarter (2026-Q4), a year, or the first day of its own month.",
)
as_of_option = click.option(
    "--as-of", help="As known at this instant, such as 2026-11-08T00:00:00Z. Default: now."
)
format_option = click.option(
    "--format",
    "name",
    type=click.Choice(list(FORMATS)),
    default="text",
    show_default=True,
    help="In which form.",
)
language_option = click.option(
    "--lang",
    "language",
    type=click.Choice(LANGUAGES),
    default="en",
    show_default=True,
    help="In which language.",
)
output_option = click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="A file."
)


def fetch_statement(
    server: Server, contract: str, period: str, as_of: str | None, method: str = "GET"
) -> Statement:
    """POST issues it. The statement of the collector that serves the store, or of one that lives for this question."""
    query = {"period": period} | ({} if as_of is None else {"as_of": as_of})
    path = f"/v1/contracts/{quote(contract, safe='')}/statement?{urlencode(query)}"
    with progress(f"settling {contract}, {period}"):
        answer: dict[str, Any] = server.ask(method, path)
    return understood(Statement, answer)


@click.command()
@click.argument("contract_id")
@period_option
@as_of_option
@format_option
@language_option
@click.option("--issue", is_flag=True, help="Hand it out: enters its digest in the log.")
@output_option
@asks
def statement(
    contract_id: str,
    period: str,
    as_of: str | None,
    name: str,
    language: Language,
    issue: bool,
    output: Path | None,
    server: Server,
) -> None:
    """The statement of CONTRACT_ID for a period: provisional, or final once no late data can change it."""
    found = fetch_statement(server, contract_id, period, as_of, "POST" if issue else "GET")
    print_document(found, name, language, output)


def print_document(document: Document, name: str, language: Language, output: Path | None) -> None:
    """In a format, to a file or to standard output."""
    try:
        body = FORMATS[name].render(document, language)
    except UnrenderableError as error:
        fail(error)
    if output is not None:
        output.write_bytes(body)
    elif name == "pdf" and sys.stdout.isatty():
        fail("a PDF is nothing for a terminal: name a file with -o")
    else:
        sys.stdout.buffer.write(body)
