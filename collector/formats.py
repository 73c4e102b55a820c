"""The formats of a statement, by the name that `--format` takes. Another one is a row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from weighbridge.settlement.statement import Statement
from weighbridge.settlement.text import text


@dataclass(frozen=True, slots=True)
class Format:
    """`render` gives the file's bytes."""

    media_type: str
    render: Callable[[Statement], bytes]


FORMATS: Mapping[str, Format] = {
    "text": Format("text/plain", lambda statement: text(statement).encode()),
    "json": Format("application/json", lambda statement: statement.json().encode()),
}
"""By name."""
