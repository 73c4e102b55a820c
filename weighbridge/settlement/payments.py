"""What the parties paid each other, beside what a statement says is owed: the lessee's fees, and the deposit.

None of it changes an amount of the statement. Each payment is told by a notice; that of one side alone is open until
the side that received it says so too, and makes what is left a range.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from weighbridge.codes import Flag
from weighbridge.contract import Contract, loaded
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.remedies import LiquidatedDamages
from weighbridge.contract.scalars import MICROSECONDS, read_instant_us
from weighbridge.settlement.credits import money
from weighbridge.settlement.damages import KINDS, days_late
from weighbridge.settlement.invoice import Bounds, invoice_of
from weighbridge.settlement.periods import day_start, instant_text, local_date
from weighbridge.settlement.record import Side, ToldEvent
from weighbridge.settlement.remedy_lines import (
    DepositMove,
    DepositState,
    InterestLine,
    PaidLine,
    PaymentState,
)
from weighbridge.settlement.service import service_of_s
from weighbridge.settlement.statement import Statement
from weighbridge.settlement.working_days import days_later

FEE_PAID = "fee_paid"
DEPOSIT_PAID, DEPOSIT_TAKEN, DEPOSIT_RETURNED = (
    "deposit_paid",
    "deposit_taken",
    "deposit_returned",
)
MONEY = (FEE_PAID, DEPOSIT_PAID, DEPOSIT_TAKEN, DEPOSIT_RETURNED)
"""Events that tell of money that was paid."""

LATE: Flag = "payment_late"
RECEIVER: dict[str, Side] = {
    FEE_PAID: "provider",
    DEPOSIT_PAID: "provider",
    DEPOSIT_TAKEN: "provider",
    DEPOSIT_RETURNED: "lessee",
}
"""Whose word makes it sure."""

ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment, told by one side or by both. `sure`: who received it says so."""

    kind: str
    at_s: int
    amount: Fraction
    sure: bool
    about: str


def with_payments(statement: Statement, told: Iterable[ToldEvent], as_of_s: int) -> Statement:
    """With what was paid by an instant, as was told of by then."""
    contract = loaded(statement.parts[-1].terms)
    events = list(told)
    mine = [
        one for one in events if one.details.get("period", statement.period) == statement.period
    ]
    paid = payments(contract, mine)
    fees = _of_fees(contract, statement, paid, as_of_s)
    deposit = _of_deposit(contract, paid, events, as_of_s)
    flags = {*statement.flags}
    flags |= {LATE} if fees is not None and fees.late else set()
    flags |= {"deposit_overdue"} if deposit is not None and deposit.overdue else set()
    return replace(statement, payments=fees, deposit=deposit, flags=tuple(sorted(flags)))


def payments(contract: Contract, told: Iterable[ToldEvent]) -> list[Paid]:
    """In order of time. What both sides tell of is one: by its `reference`, or by its day and amount. What one side
    tells of another day, or of another amount, is another payment: of one reference, the first that a side tells of is
    the first of the other."""
    found: dict[tuple[str, str, int], list[ToldEvent]] = {}
    said: dict[tuple[str, str, bool], list[str]] = {}
    for one in sorted((one for one in told if one.kind in MONEY), key=lambda one: one.at_s):
        words = _day_and_amount(contract, one)
        same = one.details.get("reference") or words
        mine = said.setdefault((one.kind, same, RECEIVER[one.kind] in one.sides), [])
        mine += [] if words in mine else [words]
        found.setdefault((one.kind, same, mine.index(words)), []).append(one)
    return sorted((_paid(group) for group in found.values()), key=lambda one: (one.at_s, one.about))


def _day_and_amount(contract: Contract, one: ToldEvent) -> str:
    day = local_date(one.at_s, contract.time_zone).isoformat()
    return f"{day} {exact_text(Fraction(Decimal(one.details['amount'])))}"


def _paid(group: Sequence[ToldEvent]) -> Paid:
    """As the side has it that received it."""
    kind = group[0].kind
    sure = [one for one in group if RECEIVER[kind] in one.sides]
    first = min(sure or group, key=lambda one: (one.at_s, one.details["amount"]))
    about = first.details.get("reason") or first.details.get("reference", "")
    amount = Fraction(Decimal(first.details["amount"]))
    return Paid(kind, first.at_s, amount, bool(sure), about)


def _of_fees(
    contract: Contract, statement: Statement, paid: Sequence[Paid], as_of_s: int
) -> PaymentState | None:
    terms = contract.payment
    if terms is None:
        return None
    edge = statement.end if terms.counted_from == "period_end" else statement.start
    first = local_date(read_instant_us(edge) // MICROSECONDS, contract.time_zone)
    calendar = contract.calendar if terms.due_count == "working_days" else None
    due = days_later(calendar, first - timedelta(days=1), terms.due_days)
    owed = _owed(statement)
    fees = [one for one in paid if one.kind == FEE_PAID and one.at_s <= as_of_s]
    cases = (
        (owed.lowest, fees),
        (owed.highest, [one for one in fees if one.sure]),
    )
    left = [None if sum_ is None else _left(sum_, mine) for sum_, mine in cases]
    due_s = None if due is None else day_start(due + timedelta(days=1), contract.time_zone)
    lines = tuple(
        PaidLine(
            at=instant_text(one.at_s),
            amount=_money(contract, one.amount),
            confirmed=one.sure,
            days_late=0 if due is None else _after(due, local_date(one.at_s, contract.time_zone)),
            reference=one.about,
        )
        for one in fees
    )
    interest: tuple[InterestLine, ...] = ()
    if due is not None:
        last = local_date(as_of_s - 1, contract.time_zone)
        interest = tuple(
            _interest(contract, one, due, last, cases)
            for one in contract.liquidated_damages
            if one.trigger == "late_payment"
        )
    over = due_s is not None and as_of_s >= due_s and (left[1] or 0) > 0
    return PaymentState(
        due=None if due_s is None else instant_text(due_s),
        owed=(_maybe(contract, owed.lowest), _maybe(contract, owed.highest)),
        left=(_maybe(contract, left[0]), _maybe(contract, left[1])),
        late=over or any(one.days_late for one in lines),
        lines=lines,
        interest=interest,
    )


def _owed(statement: Statement) -> Bounds:
    """All fees of the period, prepaid or not, less the credits that are set off; nothing where these are more."""
    sums = invoice_of(statement).sums
    total, credits = sums["total"].highest or Decimal(0), sums["set_off"]
    low, high = (
        None if one is None else max(Decimal(0), total - one)
        for one in (credits.highest, credits.lowest)
    )
    return Bounds(low, high)


def _left(owed: Decimal, paid: Iterable[Paid]) -> Fraction:
    return max(ZERO, Fraction(owed) - sum((one.amount for one in paid), ZERO))


def _interest(
    contract: Contract,
    terms: LiquidatedDamages,
    due: date,
    last: date,
    cases: Sequence[tuple[Decimal | None, Sequence[Paid]]],
) -> InterestLine:
    """Simple: each sum for its own days, that which is left up to now. The least and the most; the days of the sum that
    was late for the longest, at most."""
    late = [
        [] if owed is None else list(_late(contract, terms, due, last, Fraction(owed), paid, most))
        for most, (owed, paid) in enumerate(cases)
    ]
    found = [
        None if owed is None else _of_late(terms, Fraction(owed), sums)
        for (owed, _), sums in zip(cases, late, strict=True)
    ]
    return InterestLine(
        terms.id,
        exact_text(terms.rate_of_day * 10_000),
        max((days for _, days in late[1]), default=0),
        (_maybe(contract, found[0]), _maybe(contract, found[1])),
    )


def _late(
    contract: Contract,
    terms: LiquidatedDamages,
    due: date,
    last: date,
    owed: Fraction,
    paid: Sequence[Paid],
    most: int,
) -> Iterator[tuple[Fraction, int]]:
    """Each sum that was late, and its days that count."""
    zone, left = contract.time_zone, owed
    sums = [(one.amount, local_date(one.at_s, zone)) for one in paid]
    for amount, day in (*sums, (owed, last)):
        part = min(left, amount)
        left -= part
        days = days_late(terms, due, day, contract.calendar)[most]
        if part and days:
            yield part, min(days, terms.most_days or days)


def _of_late(
    terms: LiquidatedDamages, owed: Fraction, late: Iterable[tuple[Fraction, int]]
) -> Fraction:
    shares = (part * (terms.flat_pct / 100 + terms.rate_of_day * days) for part, days in late)
    whole = sum(shares, ZERO)
    return whole if terms.cap_pct is None else min(whole, owed * terms.cap_pct / 100)


def _after(due: date, day: date) -> int:
    return max(0, (day - due).days)


def _of_deposit(
    contract: Contract, paid: Sequence[Paid], events: Sequence[ToldEvent], as_of_s: int
) -> DepositState | None:
    terms = contract.deposit
    if terms is None:
        return None
    moved = [one for one in paid if one.kind != FEE_PAID and one.at_s <= as_of_s]
    signs = {DEPOSIT_PAID: 1, DEPOSIT_TAKEN: -1, DEPOSIT_RETURNED: -1}
    held = [
        sum((signs[one.kind] * one.amount for one in moved if _counts(one, least)), ZERO)
        for least in (True, False)
    ]
    agreed = Fraction(terms.amount)
    back_s = _back_by_s(contract, events, as_of_s)
    ended = back_s is not None and as_of_s >= back_s
    asked = ZERO if back_s is not None and as_of_s >= _ends_s(contract, events, as_of_s) else agreed
    if terms.due is not None and as_of_s < day_start(
        terms.due + timedelta(days=1), contract.time_zone
    ):
        asked = ZERO
    return DepositState(
        agreed=_money(contract, agreed),
        held=(_money(contract, max(ZERO, held[0])), _money(contract, max(ZERO, held[1]))),
        missing=(
            _money(contract, max(ZERO, asked - held[1])),
            _money(contract, max(ZERO, asked - held[0])),
        ),
        return_by=None if back_s is None else instant_text(back_s),
        overdue=ended and held[1] > 0,
        moves=tuple(
            DepositMove(
                one.kind, instant_text(one.at_s), _money(contract, one.amount), one.sure, one.about
            )
            for one in moved
        ),
    )


def _counts(one: Paid, least: bool) -> bool:
    """What is not sure is not held at least, if it was paid, and still is at most, if it was returned."""
    return one.sure or (least == (one.kind == DEPOSIT_RETURNED))


def _ends_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int:
    """The end of the term, or that everything was cancelled before."""
    ended = [one.at_s for one in events if one.kind == KINDS["cancellation"] and not one.unit]
    return min([*ended, service_of_s(contract, events, as_of_s)[1]])


def _back_by_s(contract: Contract, events: Sequence[ToldEvent], as_of_s: int) -> int | None:
    """The first instant that is too late to give the deposit back; None: the calendar does not know it."""
    terms = contract.deposit
    if terms is None:
        return None
    calendar = contract.calendar if terms.return_count == "working_days" else None
    last = local_date(_ends_s(contract, events, as_of_s) - 1, contract.time_zone)
    day = days_later(calendar, last, terms.return_days)
    return None if day is None else day_start(day + timedelta(days=1), contract.time_zone)


def _money(contract: Contract, amount: Fraction) -> str:
    return f"{money(amount, contract.rounding):f}"


def _maybe(contract: Contract, amount: Fraction | Decimal | None) -> str | None:
    return None if amount is None else _money(contract, Fraction(amount))
