"""Lines of a statement about remedies that go beyond a period, and about money that the parties paid each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitLine:
    """The most of all credits of a year or of the term, and what earlier periods used of it, lowest and highest.

    `open`: periods of which nobody can say what they used.
    """

    per: str
    start: str
    end: str
    most: str
    used: tuple[str, str]
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PaidLine:
    """A payment of fees. `confirmed`: the provider says that it came; `days_late`: after the last day in time."""

    at: str
    amount: str
    confirmed: bool
    days_late: int
    reference: str


@dataclass(frozen=True, slots=True)
class InterestLine:
    """What late payment costs: the damages, their rate in ten-thousandths a day, the days of the sum that was late for
    the longest, and the amount, least and most."""

    damages: str
    ten_thousandths: str
    days: int
    amount: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class PaymentState:
    """The fees of a period as they were paid. `due`: the first instant that is too late; amounts lowest and highest.

    `owed`: all fees with tax, less the credits that are set off; `left`: of it, what is not paid.
    """

    due: str | None
    owed: tuple[str | None, str | None]
    left: tuple[str | None, str | None]
    late: bool
    lines: tuple[PaidLine, ...] = ()
    interest: tuple[InterestLine, ...] = ()


@dataclass(frozen=True, slots=True)
class DepositMove:
    """Paid in, taken from it (for what, in `about`), or returned. `confirmed`: who received it says so."""

    event: str
    at: str
    amount: str
    confirmed: bool
    about: str


@dataclass(frozen=True, slots=True)
class DepositState:
    """The deposit: agreed, held, and missing to it, least and most. `return_by`: the first instant that is too late to
    give back what is held; `overdue`: it has come."""

    agreed: str
    held: tuple[str, str]
    missing: tuple[str, str]
    return_by: str | None
    overdue: bool
    moves: tuple[DepositMove, ...] = ()


@dataclass(frozen=True, slots=True)
class LongerLine:
    """How much longer the term of a unit is, in seconds, least and most: for what the period lost, and with what
    earlier ones did; and `until` when. `open`: earlier periods of which nobody can say."""

    id: str
    unit: str
    lost_seconds: tuple[int, int]
    longer_seconds: tuple[int, int]
    total_seconds: tuple[int, int]
    until: tuple[str, str]
    open: tuple[str, ...] = ()
