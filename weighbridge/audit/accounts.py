"""The four counts side by side, and revenue recognised against delivered, by party and month."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from weighbridge.audit.portfolio import Lease, Month, Portfolio, company
from weighbridge.settlement.money import round_half_up
from weighbridge.settlement.periods import HOUR_S

EVERYBODY = ""
"""The company under which all are summed."""


@dataclass(frozen=True, slots=True)
class AccountLine:
    """What a company gave or took in a month: GPU-hours, and money without tax in one currency.

    `in_use_hours`, `energy_kilowatt_hours`: of what was read; None where nothing was. `delivered`: of what was
    recognised the share of the contracted time that was seen healthy. `unproven`: the rest. `lowest`, `highest`:
    credits; None: open.
    """

    company: str
    role: str
    month: str
    currency: str
    contracts: int
    contracted_hours: str
    reporting_hours: str
    healthy_hours: str
    in_use_hours: str | None
    energy_kilowatt_hours: str | None
    recognised: str
    delivered: str
    unproven: str
    lowest: str | None
    highest: str | None


@dataclass(slots=True)
class Sum:
    """Of the months of several contracts."""

    contracts: int = 0
    seconds: list[int] = field(default_factory=lambda: [0, 0, 0])
    in_use_s: int | None = None
    joules: int | None = None
    recognised: Decimal = Decimal(0)
    delivered: Decimal = Decimal(0)
    lowest: Decimal | None = Decimal(0)
    highest: Decimal | None = Decimal(0)

    def add(self, month: Month) -> None:
        """Adds a month of a contract."""
        self.contracts += 1
        counted = (month.contracted_s, month.reporting_s, month.healthy_s)
        self.seconds = [a + b for a, b in zip(self.seconds, counted, strict=True)]
        self.in_use_s = _more(self.in_use_s, month.in_use_s)
        self.joules = _more(self.joules, month.energy_joules)
        self.recognised += month.recognised
        self.delivered += delivered(month)
        self.lowest = _both(self.lowest, month.lowest)
        self.highest = _both(self.highest, month.highest)


def delivered(month: Month) -> Decimal:
    """Of the fees the share of contracted time that was seen healthy, rounded as the fees are."""
    if not month.contracted_s:
        return Decimal(0)
    share = min(Fraction(1), Fraction(month.healthy_s, month.contracted_s))
    exponent = month.recognised.as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return round_half_up(Fraction(month.recognised) * share, decimals)


def accounts(portfolio: Portfolio) -> Iterator[AccountLine]:
    """By company, role, month and currency; first of all contracts together, where a chain of leases counts once."""
    sums: defaultdict[tuple[str, str, str, str], Sum] = defaultdict(Sum)
    for name, lease in sorted(portfolio.leases.items()):
        for month in lease.months:
            for who in _whose(lease, of_all=name not in portfolio.parents):
                sums[*who, month.label, lease.newest.currency].add(month)
    for named, one in sorted(sums.items()):
        yield _line(named, one)


def _whose(lease: Lease, of_all: bool) -> Iterator[tuple[str, str]]:
    if of_all:
        yield EVERYBODY, ""
    for role in ("provider", "lessee"):
        for name in sorted({company(party) for party in lease.parties(role)}):
            yield name, role


def _line(named: tuple[str, str, str, str], one: Sum) -> AccountLine:
    contracted, reporting, healthy = map(_hours, one.seconds)
    who, role, label, currency = named
    return AccountLine(
        company=who,
        role=role,
        month=label,
        currency=currency,
        contracts=one.contracts,
        contracted_hours=contracted,
        reporting_hours=reporting,
        healthy_hours=healthy,
        in_use_hours=None if one.in_use_s is None else _hours(one.in_use_s),
        energy_kilowatt_hours=None
        if one.joules is None
        else _rounded(Fraction(one.joules, 3_600_000)),
        recognised=f"{one.recognised:f}",
        delivered=f"{one.delivered:f}",
        unproven=f"{one.recognised - one.delivered:f}",
        lowest=None if one.lowest is None else f"{one.lowest:f}",
        highest=None if one.highest is None else f"{one.highest:f}",
    )


def _hours(seconds: int) -> str:
    return _rounded(Fraction(seconds, HOUR_S))


def _rounded(number: Fraction) -> str:
    return f"{round_half_up(number, 4):f}"


def _more(one: int | None, more: int | None) -> int | None:
    return one if more is None else more + (one or 0)


def _both(one: Decimal | None, more: Decimal | None) -> Decimal | None:
    return None if one is None or more is None else one + more
