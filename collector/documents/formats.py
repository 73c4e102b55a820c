"""The formats of a document, by the name that `--format` takes. Another one is a row here."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from collector.documents.words import Language
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.settlement.statement import Statement

Document = Statement | DeliveryNote | Certificate


class UnrenderableError(Exception):
    """A format needs something that is not installed; the message names it."""


class Renderer(Protocol):
    """Gives the file's bytes, the same for the same document. Raises UnrenderableError."""

    def __call__(self, document: Document, language: Language = "en") -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`render` gives the file's bytes."""

    media_type: str
    render: Renderer


def _json(document: Document, language: Language = "en") -> bytes:  # noqa: ARG001 # one spelling
    return document.json().encode()


def _from(module: str) -> Renderer:
    """The `render` of a module that is loaded when it is used: each needs libraries that the others do not."""

    def render(document: Document, language: Language = "en") -> bytes:
        try:
            made: bytes = import_module(module).render(document, language)
        except ModuleNotFoundError as error:
            raise UnrenderableError(f"this format needs the package {error.name}") from error
        return made

    return render


FORMATS: Mapping[str, Format] = {
    "text": Format("text/plain; charset=utf-8", _from("collector.documents.as_text")),
    "json": Format("application/json", _json),
    "csv": Format("text/csv; charset=utf-8", _from("collector.documents.as_csv")),
    "html": Format("text/html; charset=utf-8", _from("collector.documents.as_html")),
    "pdf": Format("application/pdf", _from("collector.documents.as_pdf")),
}
"""By name."""
