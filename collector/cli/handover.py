"""`delivery` and `acceptance`: what was handed over, and whether it ran."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click

from collector.cli.asking import Server, asks, understood
from collector.cli.statement import (
    as_of_option,
    format_option,
    language_option,
    output_option,
    print_document,
)
from collector.documents.handover_process import LONGEST_SECONDS
from collector.documents.words import Language
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.process.terminal import progress

Made = TypeVar("Made", DeliveryNote, Certificate)
Command = Callable[..., None]


def document_options(command: Command) -> Command:
    """In which form, and where to."""
    for option in (output_option, language_option, format_option):
        command = option(command)
    return command


@click.command()
@click.argument("contract_id")
@as_of_option
@document_options
@asks
def delivery(contract_id: str, **form: Any) -> None:
    """The delivery note of CONTRACT_ID: per slot what was first seen in it, and what never came."""
    _show(DeliveryNote, contract_id, "delivery", {}, **form)


@click.command()
@click.argument("contract_id")
@click.option("--from", "start", required=True, help="First instant of the tests.")
@click.option("--until", "end", required=True, help="First instant after them.")
@click.option(
    "--as-of",
    help="As known at this instant. Default: a day after the window, or now if that is sooner.",
)
@document_options
@asks
def acceptance(contract_id: str, start: str, end: str, **form: Any) -> None:
    """The acceptance certificate of CONTRACT_ID: its tests, and whether load ran on its GPUs in a window.

    Instants are written 2026-10-05T08:00:00Z.
    """
    _show(Certificate, contract_id, "acceptance", {"from": start, "until": end}, **form)


def _show(
    kind: type[Made],
    contract_id: str,
    path: str,
    query: dict[str, str],
    as_of: str | None,
    name: str,
    language: Language,
    output: Path | None,
    server: Server,
) -> None:
    asked = query | ({} if as_of is None else {"as_of": as_of})
    where = f"/v1/contracts/{quote(contract_id, safe='')}/{path}?{urlencode(asked)}"
    with progress(f"reading the log for the {path} of {contract_id}"):
        answer = server.ask("GET", where, seconds=LONGEST_SECONDS)
    made = understood(kind, answer)
    print_document(made, name, language, output)
