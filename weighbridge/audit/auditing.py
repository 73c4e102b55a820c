"""The audit of a portfolio: every family of flags over it, and its accounts, as one document."""

from dataclasses import dataclass

from weighbridge.audit.acceptance import accepted
from weighbridge.audit.accounts import AccountLine, accounts
from weighbridge.audit.allocation import oversold
from weighbridge.audit.chain import circular, not_allowed
from weighbridge.audit.dates import born_late, died_early
from weighbridge.audit.delivery import missing, nothing, overstated, stalled
from weighbridge.audit.devices import copied, impossible, twice
from weighbridge.audit.entities import mismatched, one_sided
from weighbridge.audit.flag import Finder, Flag, flag_rows
from weighbridge.audit.history import edited
from weighbridge.audit.idle import idle
from weighbridge.audit.portfolio import Lease, Portfolio
from weighbridge.audit.terms import dear_or_cheap, lopsided
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.document import Document
from weighbridge.settlement.periods import instant_text

ENGINE = "audit/1"

FINDERS: tuple[Finder, ...] = (
    missing,
    nothing,
    stalled,
    overstated,
    idle,
    twice,
    copied,
    impossible,
    circular,
    not_allowed,
    oversold,
    accepted,
    born_late,
    died_early,
    mismatched,
    edited,
    one_sided,
    dear_or_cheap,
    lopsided,
)
"""All that raise flags. Another family is one more here, and its rows in the table."""


@dataclass(frozen=True, slots=True)
class FlagLine:
    """A flag as it is shown: `since` in UTC; `figures` by name."""

    code: str
    level: str
    contracts: tuple[str, ...]
    subject: str
    since: str
    figures: tuple[tuple[str, str], ...]
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LeaseLine:
    """A contract of the portfolio: who, and the four counts of it, now by what was seen in the last two days."""

    contract: str
    provider: str
    lessee: str
    start: str
    end: str
    contracted_gpus: int
    seen_gpus: int
    reporting_gpus: int
    draws_on: str | None
    flags: int


@dataclass(frozen=True, slots=True)
class Audit(Document):
    """A portfolio as of an instant. Flags are prompts for a person; none of them proves anything."""

    as_of: str
    simulated: bool
    engine: str
    flags: tuple[FlagLine, ...]
    contracts: tuple[LeaseLine, ...]
    accounts: tuple[AccountLine, ...]


def flags(portfolio: Portfolio) -> list[Flag]:
    """All flags, in the order of the table and then of their contracts; of equal ones the first."""
    order = list(flag_rows())
    found = [flag for finder in FINDERS for flag in finder(portfolio)]
    return sorted(found, key=lambda one: (order.index(one.code), one.contracts, one.subject))


def audit(portfolio: Portfolio, simulated: bool) -> Audit:
    """The same portfolio gives the same bytes."""
    found = flags(portfolio)
    return Audit(
        as_of=instant_text(portfolio.as_of_us // MICROSECONDS),
        simulated=simulated,
        engine=ENGINE,
        flags=tuple(_flag(one) for one in found),
        contracts=tuple(
            _lease(portfolio, name, sum(name in one.contracts for one in found))
            for name in sorted(portfolio.leases)
        ),
        accounts=tuple(accounts(portfolio)),
    )


def _flag(one: Flag) -> FlagLine:
    return FlagLine(
        code=one.code,
        level=one.level or flag_rows()[one.code].level,
        contracts=one.contracts,
        subject=one.subject,
        since=instant_text(one.since_us // MICROSECONDS),
        figures=tuple(sorted(one.figures.items())),
        entries=one.entries,
    )


def _lease(portfolio: Portfolio, name: str, count: int) -> LeaseLine:
    lease = portfolio.leases[name]
    return LeaseLine(
        contract=name,
        provider=_named(lease, "provider"),
        lessee=_named(lease, "lessee"),
        start=instant_text(lease.newest.term.start_us // MICROSECONDS),
        end=instant_text(lease.newest.term.end_us // MICROSECONDS),
        contracted_gpus=sum(item.nodes * item.per_node for item in lease.newest.resources),
        seen_gpus=len(lease.places),
        reporting_gpus=lease.reporting(portfolio.as_of_us),
        draws_on=portfolio.parents.get(name),
        flags=count,
    )


def _named(lease: Lease, role: str) -> str:
    return ", ".join(sorted({party.name for party in lease.parties(role)}))
