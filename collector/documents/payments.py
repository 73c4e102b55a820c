"""What the parties paid each other: the fees of the period, what being late costs, and the deposit."""

from collections.abc import Iterator

from collector.documents.columns import table
from collector.documents.document_layout import Cell, Section
from collector.documents.speaker import Speaker
from weighbridge.settlement.remedy_lines import DepositState, PaymentState
from weighbridge.settlement.statement import Statement


def payment_sections(statement: Statement, speak: Speaker) -> Iterator[Section]:
    """None where the contract says nothing of either."""
    if statement.payments is not None:
        yield from _payments(statement.payments, speak)
    if statement.deposit is not None:
        yield _deposit(statement.deposit, speak)


def _payments(state: PaymentState, speak: Speaker) -> Iterator[Section]:
    rows = [
        (
            speak.short(one.at),
            speak.number(one.amount),
            speak.yes(one.confirmed),
            speak.number(one.days_late),
            Cell(one.reference),
        )
        for one in state.lines
    ]
    due = speak.say("open") if state.due is None else speak.local(state.due).text
    amounts = (speak.amounts(*one).text for one in (state.owed, state.left))
    yield table(speak, "payments", rows, note=speak.say("payments_note", due, *amounts))
    late = [
        (
            Cell(one.damages),
            speak.number(one.ten_thousandths),
            speak.number(one.days),
            speak.amount(*one.amount),
        )
        for one in state.interest
    ]
    if late:
        yield table(speak, "interest", late)


def _deposit(state: DepositState, speak: Speaker) -> Section:
    rows = [
        (
            speak.short(one.at),
            speak.coded("deposit", one.event),
            speak.number(one.amount),
            speak.yes(one.confirmed),
            Cell(one.about),
        )
        for one in state.moves
    ]
    agreed = speak.amounts(state.agreed, state.agreed).text
    held, missing = (speak.amounts(*one).text for one in (state.held, state.missing))
    back = speak.say("open") if state.return_by is None else speak.local(state.return_by).text
    note = speak.say("deposit_note", agreed, held, missing, back)
    return table(speak, "deposit", rows, note=note)
