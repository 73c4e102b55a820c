"""The sheet of any document that the collector renders."""

from collector.documents import acceptance, delivery, layout
from collector.documents.formats import Document
from collector.documents.sheet import Sheet
from collector.documents.words import Language
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.settlement.statement import Statement


def sheet_of(document: Document, language: Language, previous: Statement | None = None) -> Sheet:
    """`previous`: the version of a statement that it is compared with."""
    match document:
        case Statement():
            return layout.lay_out(document, language, previous)
        case DeliveryNote():
            return delivery.lay_out_note(document, language)
        case Certificate():
            return acceptance.lay_out_certificate(document, language)
