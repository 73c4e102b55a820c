"""`audit`: red flags over all contracts, and what was recognised against what was delivered."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
from pydantic import TypeAdapter

from collector.cli.operate import ask, config_option, stated
from collector.cli.statement import (
    as_of_option,
    format_option,
    language_option,
    output_option,
    print_document,
)
from collector.config import load_config
from collector.documents.words import Language
from weighbridge.audit.auditing import Audit

SECONDS = 1800.0
"""The statements of all months take their time."""


@click.command()
@as_of_option
@format_option
@language_option
@output_option
@config_option
@stated
def audit(
    as_of: str | None, name: str, language: Language, output: Path | None, config_file: Path
) -> None:
    """Red flags over all contracts, the four counts, and revenue by company and month. A flag proves nothing."""
    query = "" if as_of is None else f"?{urlencode({'as_of': as_of})}"
    config = load_config(config_file, os.environ)
    answer: dict[str, Any] = ask(config, "GET", f"/v1/audit{query}", seconds=SECONDS)
    print_document(TypeAdapter(Audit).validate_python(answer), name, language, output)
