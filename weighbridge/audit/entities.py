"""Flags of who stands behind a contract: sides that are one, a lessor that is no lessee, and evidence of one side."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from weighbridge.audit.chain import groups
from weighbridge.audit.flag import Flag, figures, limit
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio, company

MISMATCH, ONE_SIDED = "entity_mismatch", "one_sided_evidence"
LESSORS = ("provider", "operator", "owner")


def mismatched(portfolio: Portfolio) -> Iterator[Flag]:
    """Companies or keys that stand on both sides, and sub-leases of what another company leases."""
    for lease in portfolio.leases.values():
        for reason, who in _both_sides(lease):
            told = figures(reason=reason, who=who)
            yield Flag(MISMATCH, (lease.name,), who, lease.start_us, told, lease.entries)
    yield from _agents(portfolio)
    yield from _not_lessees(portfolio)


def _both_sides(lease: Lease) -> Iterator[tuple[str, str]]:
    """A company in roles of both sides, unless it is declared that they are related; a key of both."""
    lessors, lessees = (
        {company(one): one.id for one in lease.parties(*roles)} for roles in (LESSORS, ("lessee",))
    )
    if lease.newest.links.related_party is None:
        yield from (("company", name) for name in sorted(lessors.keys() & lessees.keys()))
    roles = {one.id: one.role for one in lease.newest.parties}
    for key, parties in sorted(lease.party_keys.items()):
        spoken = {roles.get(party, "") for party in parties}
        if "lessee" in spoken and not spoken.isdisjoint(LESSORS):
            yield "party_key", key[:16]


def _agents(portfolio: Portfolio) -> Iterator[Flag]:
    """One key of agents of both sides."""
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for key in portfolio.keys:
        sides[key.public_key].add(key.side)
    holders = _holders(portfolio)
    for key in portfolio.keys:
        if {"provider", "lessee"} <= sides.pop(key.public_key, set()):
            told = figures(reason="agent_key", who=key.public_key[:16])
            names = holders.get(key.node, ())
            yield Flag(MISMATCH, tuple(names), key.node, key.since_us, told, (key.entry,))


def _holders(portfolio: Portfolio) -> Mapping[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for name, lease in sorted(portfolio.leases.items()):
        for node in {stay.node for stay in lease.stays}:
            found[node].append(name)
    return found


def _not_lessees(portfolio: Portfolio) -> Iterator[Flag]:
    """Who leases on must be who leases, or its group."""
    group = groups(portfolio)
    for child, parent in sorted(portfolio.parents.items()):
        lease, above = portfolio.leases[child], portfolio.leases[parent]
        lessors = {group[company(one)] for one in lease.parties("provider")}
        lessees = {group[company(one)] for one in above.parties("lessee")}
        if lessors.isdisjoint(lessees):
            told = figures(reason="sub_lessor", who=", ".join(sorted(lessors)))
            entries = (*above.entries[-1:], *lease.entries[-1:])
            yield Flag(MISMATCH, (parent, child), "", lease.start_us, told, entries)


def one_sided(portfolio: Portfolio) -> Iterator[Flag]:
    """For long only the lessor's agents told of a contract that wants both sides', and no challenge was met."""
    since_us = portfolio.as_of_us - int(limit(ONE_SIDED, "days") * DAY_US)
    for lease in portfolio.running():
        first_us = min((one.first_us for one in lease.sightings), default=portfolio.as_of_us)
        heard = any(one.lessee for one in lease.sightings)
        proven = any(at_us >= since_us for at_us in lease.proven_us)
        agreed = lease.newest.evidence.agents != "both"
        if first_us <= since_us and not heard and not proven and not agreed:
            told = figures(days=(portfolio.as_of_us - first_us) // DAY_US, gpus=len(lease.places))
            yield Flag(ONE_SIDED, (lease.name,), "", first_us, told, lease.seen_by)
