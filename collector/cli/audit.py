"""`audit`: red flags over all contracts, and what was recognised against what was delivered."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from collector.cli.asking import Server, asks, understood
from collector.cli.statement import (
    as_of_option,
    format_option,
    language_option,
    output_option,
    print_document,
)
from collector.documents.words import Language
from weighbridge.audit.auditing import Audit
from weighbridge.process.terminal import progress

SECONDS = 1800.0
"""The statements of all months take their time."""


@click.command()
@as_of_option
@format_option
@language_option
@output_option
@asks
def audit(
    as_of: str | None, name: str, language: Language, output: Path | None, server: Server
) -> None:
    """Red flags over all contracts, the four counts, and revenue by company and month. A flag proves nothing."""
    query = "" if as_of is None else f"?{urlencode({'as_of': as_of})}"
    with progress("auditing all contracts"):
        answer: dict[str, Any] = server.ask("GET", f"/v1/audit{query}", seconds=SECONDS)
    print_document(understood(Audit, answer), name, language, output)
