"""Flags of the graph of contracts: circles of companies, purchases the other way, and sub-leases out of order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import NamedTuple

from weighbridge.audit.flag import Flag, figures, limit, percent
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio, around, company
from weighbridge.contract.parties import CounterPurchase
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.periods import instant_text, seconds_of

CIRCLE, NOT_ALLOWED = "circular_chain", "sublease_not_allowed"


class Edge(NamedTuple):
    """Cards of one kind are leased by one company, or group of them, to another."""

    provider: str
    lessee: str
    card: str
    lease: Lease


def circular(portfolio: Portfolio) -> Iterator[Flag]:
    """Circles of leases of one card at one time, purchases the other way, and sub-leases before their lease."""
    yield from _circles(portfolio)
    yield from _purchases(portfolio)
    yield from _early(portfolio)


def groups(portfolio: Portfolio) -> Mapping[str, str]:
    """By company the name of its group: companies that a contract declares to be related are one."""
    group: dict[str, str] = {}
    for lease in portfolio.leases.values():
        for party in lease.newest.parties:
            group.setdefault(company(party), company(party))
        if lease.newest.links.related_party is not None:
            ends = {group[company(one)] for one in lease.parties("provider", "lessee")}
            group |= {name: min(ends) for name, of in group.items() if of in ends}
    return group


def _edges(portfolio: Portfolio) -> Iterator[Edge]:
    group = groups(portfolio)
    for lease in portfolio.leases.values():
        ends = [[group[company(one)] for one in lease.parties(role)] for role in ENDS]
        for item in lease.newest.resources:
            for provider in ends[0]:
                for lessee in ends[1]:
                    if provider != lessee and lease.start_us <= portfolio.as_of_us:
                        yield Edge(provider, lessee, item.accelerator.sku, lease)


ENDS = ("provider", "lessee")


def _circles(portfolio: Portfolio) -> Iterator[Flag]:
    told: set[tuple[str, ...]] = set()
    edges = list(_edges(portfolio))
    for edge in edges:
        way = _way_back(edge, edges)
        names = tuple(sorted({one.lease.name for one in way}))
        if way and names not in told:
            told.add(names)
            through = ", ".join(sorted({one.provider for one in way}))
            entries = around(entry for one in way for entry in one.lease.entries)
            since_us = max(one.lease.start_us for one in way)
            shown = figures(companies=through, card=edge.card, contracts=len(names))
            yield Flag(CIRCLE, names, edge.card, since_us, shown, entries)


def _way_back(first: Edge, edges: Sequence[Edge]) -> list[Edge]:
    """The shortest way from the lessee back to the provider, by leases of the same card at the same time."""
    ways, seen = [[first]], {first.lessee}
    while ways:
        way = ways.pop(0)
        for edge in edges:
            if edge.provider == way[-1].lessee and edge.card == first.card and _meets(way, edge):
                if edge.lessee == first.provider:
                    return [*way, edge]
                if edge.lessee not in seen:
                    seen.add(edge.lessee)
                    ways.append([*way, edge])
    return []


def _meets(way: Sequence[Edge], edge: Edge) -> bool:
    """Whether one instant lies in all of these leases."""
    leases = [*(one.lease for one in way), edge.lease]
    return max(one.start_us for one in leases) < min(one.end_us for one in leases)


def _purchases(portfolio: Portfolio) -> Iterator[Flag]:
    """Of about the price of the lease, about when it was made."""
    for lease in portfolio.leases.values():
        for bought in lease.newest.links.counter_purchases:
            apart = abs(_on_us(bought) - lease.start_us)
            near = apart <= limit(CIRCLE, "purchase_days") * DAY_US
            if lease.worth == 0 or not near or _on_us(bought) > portfolio.as_of_us:
                continue
            share = Fraction(bought.amount) / lease.worth
            if limit(CIRCLE, "purchase_least") <= share <= limit(CIRCLE, "purchase_most"):
                yield _purchase(lease, bought, share, apart)


def _purchase(lease: Lease, bought: CounterPurchase, share: Fraction, apart: int) -> Flag:
    told = figures(
        purchase=bought.amount,
        lease=round(lease.worth),
        share_pct=percent(share),
        days_apart=apart // DAY_US,
        seller=bought.seller,
        buyer=bought.buyer,
    )
    since_us = max(_on_us(bought), lease.versions[0].from_us)
    return Flag(CIRCLE, (lease.name,), bought.subject, since_us, told, lease.entries)


def _on_us(bought: CounterPurchase) -> int:
    midnight = datetime(bought.on.year, bought.on.month, bought.on.day, tzinfo=UTC)
    return seconds_of(midnight) * MICROSECONDS


def _early(portfolio: Portfolio) -> Iterator[Flag]:
    """A sub-lease that began before there was a lease to draw on."""
    for lease, parent in _links(portfolio):
        child_us, parent_us = (one.newest.term.start_us for one in (lease, parent))
        if child_us < parent_us:
            told = figures(
                sublease_from=instant_text(child_us // MICROSECONDS),
                lease_from=instant_text(parent_us // MICROSECONDS),
            )
            names = (parent.name, lease.name)
            yield Flag(CIRCLE, names, "", lease.start_us, told, _entries(lease, parent))


def not_allowed(portfolio: Portfolio) -> Iterator[Flag]:
    """A contract that draws on a lease whose terms allow no sub-lease."""
    for lease, parent in _links(portfolio):
        if not parent.newest.links.sublease_allowed:
            names = (parent.name, lease.name)
            yield Flag(NOT_ALLOWED, names, "", lease.start_us, figures(), _entries(lease, parent))


def _links(portfolio: Portfolio) -> Iterable[tuple[Lease, Lease]]:
    for child, parent in sorted(portfolio.parents.items()):
        yield portfolio.leases[child], portfolio.leases[parent]


def _entries(*leases: Lease) -> tuple[int, ...]:
    return around(entry for one in leases for entry in one.entries)
