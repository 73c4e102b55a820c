"""What the parties paid: fees in time and late, simple interest by the day, and the deposit; worked by hand."""

from typing import Any

import pytest

from tests.weighbridge.settlement.test_obligations import (
    CREDIT,
    DAY,
    HOUR,
    MAY,
    drafted,
    month,
    row,
    version,
)
from weighbridge.contract import ContractError
from weighbridge.judge.ledger import State
from weighbridge.settlement.payments import with_payments
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.record import BOTH, Side, ToldEvent
from weighbridge.settlement.remedy_lines import DepositState, PaymentState
from weighbridge.settlement.statement import Statement

JUNE_S = MAY.end_s
LATE = {"id": "late", "trigger": "late_payment", "side": "lessee", "daily_rate": "5/10000"}
TERMS: dict[str, Any] = {
    "term": {"from": "2025-12-31T16:00:00Z", "to": "2026-12-31T16:00:00Z"},
    "effective": "2025-12-31T16:00:00Z",
    "pricing": [{"unit": "fixed_month", "price": "100000"}],
    "payment": {"due_days": "10"},
    "liquidated_damages": [LATE],
    "deposit": {"amount": "34500", "return_days": "30"},
}
PROVIDER: frozenset[Side] = frozenset({"provider"})
LESSEE: frozenset[Side] = frozenset({"lessee"})


def paid(
    at_s: int, amount: str, sides: frozenset[Side] = PROVIDER, kind: str = "fee_paid", **more: str
) -> ToldEvent:
    period = {"period": "2026-05"} if kind == "fee_paid" else {}
    return ToldEvent(kind, at_s, details={"amount": amount} | period | more, sides=sides)


def june(day: int, seconds: int = DAY // 2) -> int:
    """On a day of June, counted from 1: at noon."""
    return JUNE_S + (day - 1) * DAY + seconds


def told(*events: ToldEvent, as_of_s: int = june(21, 0), **more: Any) -> Statement:
    return with_payments(drafted(**TERMS | more), events, as_of_s)


def fees(*events: ToldEvent, **more: Any) -> PaymentState:
    found = told(*events, **more).payments
    assert found is not None
    return found


def interest(*events: ToldEvent, **more: Any) -> tuple[str | None, str | None]:
    return fees(*events, **more).interest[0].amount


def sure(amount: str) -> tuple[str, str]:
    return amount, amount


@pytest.mark.parametrize(
    ("at_s", "days", "amount"),
    [(june(11, 0) - 1, 0, "0.00"), (june(11, 0), 1, "50.00"), (june(12, 0) - 1, 1, "50.00")],
)
def test_what_is_paid_on_the_last_day_is_in_time_and_a_second_later_a_day_late(
    at_s: int, days: int, amount: str
) -> None:
    """May is to be paid by 10 June; 100000 x 5/10000 a day."""
    found = told(paid(at_s, "100000"))
    assert found.payments is not None
    assert found.payments.due == instant_text(june(11, 0))
    assert [one.days_late for one in found.payments.lines] == [days]
    assert found.payments.interest[0].amount == sure(amount)
    assert found.payments.left == sure("0.00")
    assert ("payment_late" in found.flags) == (days > 0)
    assert (found.lowest, found.highest) == ("0.00", "0.00")


def test_each_sum_bears_interest_for_its_own_days() -> None:
    """60000 five days late are 150, and 40000 ten days late 200."""
    parts = paid(june(15), "60000"), paid(june(20), "40000")
    assert interest(*parts) == sure("350.00")
    assert interest(parts[0]) == sure("350.00")  # what is left is late up to 20 June as well
    assert fees(parts[0]).left == sure("40000.00")


def test_the_days_are_those_of_the_sum_that_was_late_for_the_longest() -> None:
    assert fees(paid(june(12), "100000")).interest[0].days == 2
    assert fees(paid(june(10), "100000")).interest[0].days == 0
    assert fees(paid(june(12), "60000")).interest[0].days == 10


@pytest.mark.parametrize(("as_of_s", "amount"), [(june(21, 0), "500.00"), (june(21, 1), "550.00")])
def test_what_is_not_paid_is_late_up_to_the_instant(as_of_s: int, amount: str) -> None:
    assert interest(as_of_s=as_of_s) == sure(amount)


@pytest.mark.parametrize(("as_of_s", "late"), [(june(11, 0) - 1, False), (june(11, 0), True)])
def test_nothing_is_late_before_the_last_day_is_over(as_of_s: int, late: bool) -> None:
    assert ("payment_late" in told(as_of_s=as_of_s).flags) == late


def test_the_word_of_the_lessee_alone_leaves_it_open() -> None:
    """Paid one day late, or not at all for ten."""
    found = fees(paid(june(11), "100000", LESSEE))
    assert (found.left, found.interest[0].amount) == (("0.00", "100000.00"), ("50.00", "500.00"))
    assert [one.confirmed for one in found.lines] == [False]


def test_what_both_tell_of_is_one_payment_as_the_receiver_has_it() -> None:
    same_day = paid(june(12), "100000", LESSEE), paid(june(12, 0), "100000.00")
    assert interest(*same_day) == sure("100.00")
    named = (
        paid(june(11), "100000", LESSEE, reference="7"),
        paid(june(13), "100000", reference="7"),
    )
    assert interest(*named) == sure("150.00")
    parts = paid(june(5), "40000", reference="9"), paid(june(9), "60000", reference="9")
    assert fees(*parts).left == sure("0.00")
    hers = (
        paid(june(4), "40000", LESSEE, reference="9"),
        paid(june(8), "60000", LESSEE, reference="9"),
    )
    assert fees(*parts, *hers, *parts).left == sure("0.00")
    assert [one.amount for one in fees(*hers, *parts).lines] == ["40000.00", "60000.00"]
    twice = paid(june(12), "50000"), paid(june(12), "50000", reference="8")
    assert fees(*twice).left == sure("0.00")


@pytest.mark.parametrize(
    ("terms", "amount"),
    [
        ({"daily_rate": "0", "yearly_rate": "0.036", "year_days": "360"}, "100.00"),
        ({"daily_rate": "0", "yearly_rate": "0.0365"}, "100.00"),
        ({"most_days": "10"}, "500.00"),
        ({"most_days": "9"}, "450.00"),
        ({"cap_pct": "0.4"}, "400.00"),
        ({"flat_pct": "1"}, "1500.00"),
        ({"day_count": "working_days"}, "300.00"),  # 11, 12, 15 to 18 June; the 19th is off
    ],
)
def test_interest_is_simple_and_within_its_bounds(terms: dict[str, str], amount: str) -> None:
    assert interest(liquidated_damages=[LATE | terms]) == sure(amount)


@pytest.mark.parametrize(
    ("payment", "due"),
    [
        ({"due_days": "5", "due_count": "working_days"}, june(6, 0)),
        ({"due_days": "15", "due_count": "working_days"}, june(23, 0)),
        ({"due_days": "5", "counted_from": "period_start"}, MAY.start_s + 5 * DAY),
    ],
)
def test_days_to_pay_in_are_counted_as_the_contract_says(payment: dict[str, str], due: int) -> None:
    """In June 2026 the 19th is a day off: the fifteenth working day is the 22nd."""
    assert fees(payment=payment).due == instant_text(due)


def test_credits_that_are_set_off_are_not_to_be_paid() -> None:
    rows = month(row("n1", 0, 0, 10 * HOUR, State.DOWN))
    found = fees(rows=rows, credits=[CREDIT], tax={"rate": "0.06"})
    assert found.owed == sure("105900.00")


def test_payments_of_another_period_are_not_of_this_one() -> None:
    other = ToldEvent("fee_paid", june(5), details={"amount": "100000", "period": "2026-04"})
    assert fees(other).left == sure("100000.00")


# --- the deposit


def deposit(*events: ToldEvent, **more: Any) -> DepositState:
    found = told(*events, **more).deposit
    assert found is not None
    return found


IN = paid(june(1), "34500", kind="deposit_paid")
TAKEN = paid(june(2), "4500", kind="deposit_taken", reason="broken riser")
BACK = paid(june(3), "30000", LESSEE, kind="deposit_returned")


def test_what_is_taken_from_a_deposit_is_missing() -> None:
    assert (deposit().held, deposit().missing) == (sure("0.00"), sure("34500.00"))
    found = deposit(IN, TAKEN)
    assert (found.held, found.missing) == (sure("30000.00"), sure("4500.00"))
    assert [(one.event, one.about) for one in found.moves] == [
        ("deposit_paid", ""),
        ("deposit_taken", "broken riser"),
    ]


def test_the_word_of_who_did_not_receive_it_is_open() -> None:
    said_in = paid(june(1), "34500", LESSEE, kind="deposit_paid")
    found = deposit(said_in)
    assert (found.held, found.missing) == (("0.00", "34500.00"), ("0.00", "34500.00"))
    said_back = paid(june(3), "30000", PROVIDER, kind="deposit_returned")
    assert deposit(IN, TAKEN, said_back).held == ("0.00", "30000.00")
    assert deposit(IN, TAKEN, BACK).held == sure("0.00")


def test_a_deposit_is_due_on_its_day() -> None:
    terms = {"amount": "34500", "return_days": "30", "due": "2026-06-20"}
    assert deposit(deposit=terms, as_of_s=june(21, 0) - 1).missing == sure("0.00")
    assert deposit(deposit=terms, as_of_s=june(21, 0)).missing == sure("34500.00")


def test_it_is_to_be_returned_in_its_days_after_the_term() -> None:
    """The term ends with 31 December, and thirty days later with 30 January."""
    back_s = MAY.start_s + 275 * DAY
    found = told(IN, as_of_s=back_s - 1)
    assert found.deposit is not None
    assert found.deposit.return_by == "2027-01-30T16:00:00Z" == instant_text(back_s)
    assert "deposit_overdue" not in found.flags
    assert found.deposit.missing == sure("0.00")
    assert "deposit_overdue" in told(IN, as_of_s=back_s).flags
    assert "deposit_overdue" not in told(IN, TAKEN, BACK, as_of_s=back_s).flags


def test_after_a_term_of_months_it_is_to_be_returned_after_their_end() -> None:
    """Six months from 1 January end with June, whatever the latest end is: thirty days later is 30 July."""
    months = {"term": TERMS["term"] | {"months": "6"}}
    accepted = ToldEvent("acceptance_signed", MAY.start_s - 120 * DAY)
    found = with_payments(drafted(accepted, **TERMS | months), [IN, accepted], june(21)).deposit
    assert found is not None
    assert found.return_by == "2026-07-30T16:00:00Z"


def test_who_leaves_early_gets_it_back_early() -> None:
    """All is cancelled on 15 June at noon: thirty days later is 15 July."""
    left = ToldEvent("cancelled", june(15), "", {"party": "L"}, sides=BOTH)
    found = deposit(IN, left)
    assert found.return_by == "2026-07-15T16:00:00Z"
    assert found.missing == sure("0.00")


# --- what is refused, and where


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"payment": "none"}, "liquidated_damages[0].trigger: payment does not say when fees"),
        ({"liquidated_damages": [LATE | {"side": "provider"}]}, "did you mean lessee?"),
        ({"liquidated_damages": [LATE | {"base": "month_fees"}]}, "did you mean value?"),
        ({"payment": {"due_days": "0"}}, "payment.due_days: must be at least 1"),
        ({"deposit": {"amount": "5"}}, "deposit.return_days: is required"),
    ],
)
def test_what_payments_cannot_mean_is_refused_by_its_place(
    more: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ContractError) as refused:
        version(**TERMS | more)
    assert reason in str(refused.value)
