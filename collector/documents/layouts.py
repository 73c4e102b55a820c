"""The documents that the collector renders, and the layout of each."""

from collector.documents import acceptance, audit, claim_letter, delivery, notice_letter, statement
from collector.documents.claim_letter import ClaimLetter
from collector.documents.document_layout import DocumentLayout
from collector.documents.notice_letter import NoticeLetter
from collector.documents.words import Language
from weighbridge.audit.auditing import Audit
from weighbridge.handover.documents import Certificate, DeliveryNote
from weighbridge.settlement.statement import Statement

Document = Statement | DeliveryNote | Certificate | Audit | ClaimLetter | NoticeLetter


class UnrenderableError(Exception):
    """A format needs something that is not installed; the message names it."""


def layout_of(document: Document, language: Language) -> DocumentLayout:
    """In the language."""
    match document:
        case Statement():
            return statement.lay_out(document, language)
        case DeliveryNote():
            return delivery.lay_out_note(document, language)
        case Certificate():
            return acceptance.lay_out_certificate(document, language)
        case ClaimLetter():
            return claim_letter.lay_out_letter(document, language)
        case NoticeLetter():
            return notice_letter.lay_out_notice(document, language)
        case Audit():
            return audit.lay_out_audit(document, language)
