"""A statement as one HTML file: no script, nothing loaded from elsewhere, made for screens and for paper."""

from functools import cache, partial

import jinja2

from collector.statements.layout import lay_out
from collector.statements.words import Language, say
from weighbridge.settlement.statement import Statement

TAGS = {"en": "en", "zh": "zh-Hans"}


def render(statement: Statement, language: Language, previous: Statement | None = None) -> bytes:
    """UTF-8. Everything that comes from the statement is escaped."""
    sheet = lay_out(statement, language, previous)
    page = _template().render(sheet=sheet, tag=TAGS[language], say=partial(say, language=language))
    return page.encode()


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("collector.statements"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("statement.html")
