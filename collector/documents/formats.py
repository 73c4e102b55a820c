"""The formats of a document, by the name that `--format` takes. Another one is a row here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from collector.documents import as_csv, as_text
from collector.documents.layouts import Document, UnrenderableError
from collector.documents.words import Language
from collector.judging.settler import Job
from collector.storage.store import JudgedStore


class Renderer(Protocol):
    """Gives the file's bytes, the same for the same document. Raises UnrenderableError."""

    def __call__(self, document: Document, language: Language) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """`loaded` imports the renderer where it is used: some need libraries that the others do not."""

    media_type: str
    loaded: Callable[[], Renderer]

    def render(self, document: Document, language: Language = "en") -> bytes:
        """The file's bytes. Raises UnrenderableError, also where a library is not installed."""
        try:
            renderer = self.loaded()
        except ModuleNotFoundError as error:
            raise UnrenderableError(f"this format needs the package {error.name}") from error
        return renderer(document, language)


def _json(document: Document, language: Language) -> bytes:  # noqa: ARG001 # one spelling
    return document.json().encode()


def made_and_rendered(
    make: Job[Document], name: str, language: Language, store: JudgedStore
) -> bytes:
    """The file of a document that is made now: for a settler. Raises UnrenderableError."""
    return FORMATS[name].render(make(store), language)


def _html() -> Renderer:
    from collector.documents import as_html

    return as_html.render


def _pdf() -> Renderer:
    from collector.documents import as_pdf

    return as_pdf.render


FORMATS: Mapping[str, Format] = {
    "text": Format("text/plain; charset=utf-8", lambda: as_text.render),
    "json": Format("application/json", lambda: _json),
    "csv": Format("text/csv; charset=utf-8", lambda: as_csv.render),
    "html": Format("text/html; charset=utf-8", _html),
    "pdf": Format("application/pdf", _pdf),
}
