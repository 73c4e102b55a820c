"""Flags of the terms themselves: prices far from the others', and risks that one side alone bears."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio
from weighbridge.audit.worth import price_of_hour
from weighbridge.contract import Contract
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.parties import EarlyExit

PRICE, ASYMMETRY = "price_outlier", "prepay_asymmetry"
HUNDRED = 100


def dear_or_cheap(portfolio: Portfolio) -> Iterator[Flag]:
    """A price of a card's hour far from the middle one of all contracts of that card and currency."""
    prices: defaultdict[tuple[str, str], list[tuple[Fraction, Lease]]] = defaultdict(list)
    for lease in portfolio.leases.values():
        for item in lease.newest.resources:
            price = price_of_hour(lease.newest, item)
            if price is not None and price > 0 and lease.versions[0].from_us <= portfolio.as_of_us:
                prices[item.accelerator.sku, lease.newest.currency].append((price, lease))
    for (card, currency), found in sorted(prices.items()):
        if len(found) >= limit(PRICE, "contracts"):
            yield from _outliers(card, currency, found)


def _outliers(card: str, currency: str, found: Sequence[tuple[Fraction, Lease]]) -> Iterator[Flag]:
    middle = sorted(price for price, _ in found)[len(found) // 2]
    times = limit(PRICE, "times")
    for price, lease in found:
        if price > middle * times or price * times < middle:
            told = figures(
                card=card,
                price_of_hour=f"{float(price):.4f} {currency}",
                middle=f"{float(middle):.4f} {currency}",
                contracts=len(found),
            )
            yield Flag(PRICE, (lease.name,), card, lease.versions[0].from_us, told, lease.entries)


def lopsided(portfolio: Portfolio) -> Iterator[Flag]:
    """Terms under which one side risks much and the other little, or may leave at no cost."""
    for lease in portfolio.leases.values():
        reasons = list(_reasons(lease))
        if reasons:
            lessee, provider = (damages_pct(lease.newest, side) for side in ("lessee", "provider"))
            told = figures(
                reason=", ".join(reasons),
                lessee_pays_pct=exact_text(lessee),
                provider_pays_pct=exact_text(provider),
                total=round(lease.worth),
            )
            since_us = lease.versions[-1].from_us
            yield Flag(ASYMMETRY, (lease.name,), "", since_us, told, lease.entries[-1:])


def _reasons(lease: Lease) -> Iterator[str]:
    contract = lease.newest
    lessee, provider = (damages_pct(contract, side) for side in ("lessee", "provider"))
    least, times = limit(ASYMMETRY, "damages_pct"), limit(ASYMMETRY, "times")
    if lessee >= least and lessee > provider * times:
        yield "damages"
    scheduled = any(item.delivery for item in contract.resources)
    if any(price.prepaid for price in contract.pricing) and not scheduled and provider == 0:
        yield "prepaid"
    if not scheduled and any(_is_free(lease, one) for one in contract.term.early_exit):
        yield "free_exit"


def damages_pct(contract: Contract, side: str) -> Fraction:
    """The most that a side pays for breaking off or being late, in per cent of the value."""
    mine = (one for one in contract.liquidated_damages if one.side == side)
    return max(
        (one.flat_pct if one.cap_pct is None else one.cap_pct for one in mine), default=Fraction(0)
    )


def _is_free(lease: Lease, exit_: EarlyExit) -> bool:
    """The lessee may leave a long term soon and for next to nothing."""
    term, roles = lease.newest.term, {one.id: one.role for one in lease.newest.parties}
    cheap = lease.worth > 0 and Fraction(exit_.fee) * HUNDRED < lease.worth
    soon = exit_.notice_days <= limit(ASYMMETRY, "notice_days")
    long = term.end_us - term.start_us >= limit(ASYMMETRY, "term_days") * DAY_US
    return roles.get(exit_.party) == "lessee" and cheap and soon and long
