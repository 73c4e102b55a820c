"""What contracts are worth as they were worked out last, as text: amounts by currency, and their instant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from collector.documents.words import Language, money
from collector.judging.claimable import Account
from collector.judging.statements import instant
from weighbridge.catalogue.currencies import currencies
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.worth import totals


@dataclass(frozen=True, slots=True)
class CreditSums:
    """Of one contract, in one currency, as of an instant: credits that the period under way has earned, `lowest` to
    `highest`, and what can be claimed of earlier periods (`open`), the first of it until `deadline_us`."""

    period: str
    currency: str
    lowest: Decimal
    highest: Decimal
    open: Decimal
    deadline_us: int | None
    as_of_us: int


def worth_of(account: Account | None) -> CreditSums | None:
    """None where nothing was worked out yet, or no period is under way."""
    if account is None or account.running is None:
        return None
    statement, left, bounds = account.running, account.open, account.earned
    deadline = left[0].deadline if left else None
    return CreditSums(
        statement.period,
        statement.currency,
        bounds["low"],
        bounds["high"],
        totals(left).get(statement.currency, Decimal(0)),
        None if deadline is None else instant(deadline) * MICROSECONDS,
        account.as_of_s * MICROSECONDS,
    )


def told(worth: CreditSums, language: Language) -> Mapping[str, str]:
    """`earned`, `at_stake` and `open` as people write them."""
    low, high = (amount(bound, worth.currency, language) for bound in (worth.lowest, worth.highest))
    return {
        "earned": low if worth.lowest == worth.highest else f"{low} – {high}",
        "at_stake": amount(worth.highest - worth.lowest, worth.currency, language),
        "open": amount(worth.open, worth.currency, language),
    }


def together(worths: Iterable[CreditSums]) -> list[CreditSums]:
    """Of many contracts, by currency: as old as the oldest, and to be claimed by the first deadline."""
    found: dict[str, list[CreditSums]] = {}
    for one in worths:
        found.setdefault(one.currency, []).append(one)
    return [_sum(code, found[code]) for code in sorted(found)]


def _sum(currency: str, worths: list[CreditSums]) -> CreditSums:
    deadlines = [one.deadline_us for one in worths if one.deadline_us is not None]
    return CreditSums(
        "",
        currency,
        sum((one.lowest for one in worths), Decimal(0)),
        sum((one.highest for one in worths), Decimal(0)),
        sum((one.open for one in worths), Decimal(0)),
        min(deadlines, default=None),
        min(one.as_of_us for one in worths),
    )


def amount(value: Decimal, currency: str, language: Language) -> str:
    """With the decimals of its currency; amounts of statements have no more."""
    unit = Decimal(1).scaleb(-currencies().decimals_of(currency))
    with localcontext() as context:
        context.prec = 60
        written = value.quantize(unit)
    return money(f"{written:f}", currency, language)
