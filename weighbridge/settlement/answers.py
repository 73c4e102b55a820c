"""What became of claims: answered, paid, set off; and a period that both sides agreed on, which closes it.

None of it changes an amount. What the contract says is owed stands, and beside it what was said and paid of it.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from weighbridge.codes import Flag
from weighbridge.settlement.statement import AnswerLine, Statement

ACCEPTED, REFUSED = "claim_accepted", "claim_refused"
PAYMENTS = ("credit_paid", "credit_set_off")
ANSWERS = (ACCEPTED, REFUSED, *PAYMENTS)
AGREED = "period_agreed"
CLOSED: Flag = "period_agreed"
"""The flag of a period that both sides agreed on."""

OBJECTED = "statement_objected"
CONFIRMED: Flag = "confirmed_by_silence"
"""The flag of a period whose statement nobody objected to in time."""


def answered(
    statement: Statement, answers: Sequence[AnswerLine], closed_by: Flag | None
) -> Statement:
    """`answers`: all that were heard. `closed_by`: why nothing that comes later changes it; None: it may."""
    paid = sum((Decimal(one.amount) for one in answers if one.event in PAYMENTS), Decimal(0))
    flags: set[str] = {*statement.flags}
    flags |= {REFUSED} if any(one.event == REFUSED for one in answers) else set()
    flags |= set() if closed_by is None else {closed_by}
    if statement.highest is not None and paid > Decimal(statement.highest):
        flags.add("paid_too_much")
    closed = replace(
        statement,
        final=statement.final or closed_by is not None,
        flags=tuple(sorted(flags)),
        answers=(*answers,),
    )
    if not answers:
        return closed
    left = (_left(statement.lowest, paid), _left(statement.highest, paid))
    return replace(closed, paid=f"{paid:f}", outstanding=left)


def _left(owed: str | None, paid: Decimal) -> str | None:
    return None if owed is None else f"{max(Decimal(0), Decimal(owed) - paid):f}"
