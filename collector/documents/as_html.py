"""A document as one HTML file: no script, nothing loaded from elsewhere, made for screens and for paper."""

from functools import cache, partial

import jinja2

from collector.documents.layouts import Document, layout_of
from collector.documents.words import Language, say

TAGS = {"en": "en", "zh": "zh-Hans"}


def render(document: Document, language: Language) -> bytes:
    """UTF-8. Everything that comes from the document is escaped."""
    layout = layout_of(document, language)
    page = _template().render(
        layout=layout, tag=TAGS[language], say=partial(say, language=language)
    )
    return page.encode()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collector.documents"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("statement.html")
