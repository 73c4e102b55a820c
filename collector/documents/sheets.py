"""The documents that the collector renders, and the sheet of each."""

from collector.documents import acceptance, delivery, layout
from collector.documents.sheet import DocumentLayout
from collector.documents.words import Language
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.settlement.statement import Statement

Document = Statement | DeliveryNote | Certificate


class UnrenderableError(Exception):
    """A format needs something that is not installed; the message names it."""


def sheet_of(document: Document, language: Language) -> DocumentLayout:
    """In the language."""
    match document:
        case Statement():
            return layout.lay_out(document, language)
        case DeliveryNote():
            return delivery.lay_out_note(document, language)
        case Certificate():
            return acceptance.lay_out_certificate(document, language)
