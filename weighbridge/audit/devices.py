"""Flags of what devices are: sold twice, copied, or not what they are called."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain, combinations
from typing import NamedTuple

from weighbridge.audit.flag import Flag, figures, limit
from weighbridge.audit.idle import hours_of
from weighbridge.audit.portfolio import DAY_US, Lease, Portfolio, Sighting, around
from weighbridge.audit.schedule import due_gpus
from weighbridge.judge.ledger import HOUR_US, Finding, Use
from weighbridge.verdict import Verdict

TWICE, CLONED, IMPOSSIBLE = "duplicate_gpu_uuid", "cloned_signature", "impossible_identity"
OF_FINDINGS: Mapping[str, frozenset[str]] = {
    TWICE: frozenset({"duplicate_device", "device_alternates"}),
    CLONED: frozenset(
        {"readings_copied", "readings_copied_elsewhere", "readings_constant", "identity_shared"}
    ),
    IMPOSSIBLE: frozenset(
        {
            "sku_mismatch",
            "memory_short",
            "card_inconsistent",
            "identity_disputed",
            "sources_disagree",
            "readings_beyond_maximum",
            "challenge_failed",
            "challenge_wrong_answer",
            "challenge_above_ceiling",
            "attestation_refused",
        }
    ),
}
"""The findings that raise a flag while they are open."""


class Place(NamedTuple):
    """Where a device was shown, from when to when."""

    lease: Lease
    node: str
    first_us: int
    last_us: int
    entries: tuple[int, ...]


def twice(portfolio: Portfolio) -> Iterator[Flag]:
    """One device in two places: of one contract at one time, or of two that both have a claim to it."""
    pairs: defaultdict[tuple[str, str], list[tuple[str, int, tuple[int, ...]]]] = defaultdict(list)
    for device, places in _shown(portfolio).items():
        for one, other in combinations(places, 2):
            if _conflicts(portfolio, one, other):
                since_us = max(one.first_us, other.first_us)
                names = (one.lease.name, other.lease.name)
                entries = (*one.entries, *other.entries)
                pairs[min(names), max(names)].append((device, since_us, entries))
    for names, found in sorted(pairs.items()):
        entries = around(entry for *_, held in found for entry in held)
        told = figures(gpus=len({device for device, *_ in found}))
        since_us = min(at for _, at, _ in found)
        yield Flag(TWICE, tuple(sorted(set(names))), min(found)[0], since_us, told, entries)
    yield from _found(portfolio, TWICE, {name for names in pairs for name in names})


def _shown(portfolio: Portfolio) -> Mapping[str, Sequence[Place]]:
    """By device where it was shown; what both sides' agents show of one node is one place."""
    found: defaultdict[str, dict[tuple[str, str], Place]] = defaultdict(dict)
    for name, lease in portfolio.leases.items():
        for one in lease.sightings:
            known = found[one.device].get((name, one.node))
            found[one.device][name, one.node] = _joined(lease, one, known)
    return {device: list(places.values()) for device, places in sorted(found.items())}


def _joined(lease: Lease, one: Sighting, known: Place | None) -> Place:
    if known is None:
        return Place(lease, one.node, one.first_us, one.last_us, one.entries)
    edges = (min(one.first_us, known.first_us), max(one.last_us, known.last_us))
    return Place(lease, one.node, *edges, around((*one.entries, *known.entries)))


def _conflicts(portfolio: Portfolio, one: Place, other: Place) -> bool:
    earlier, later = sorted((one, other), key=lambda place: (place.first_us, place.lease.name))
    together_us = min(one.last_us, other.last_us) - later.first_us
    if one.lease is other.lease:
        return together_us > limit(TWICE, "together_hours") * HOUR_US
    claimed_us = max(later.first_us, one.lease.start_us, other.lease.start_us)
    claim = all(_exclusive(place) and place.lease.runs(claimed_us) for place in (one, other))
    if portfolio.linked(one.lease.name, other.lease.name) or not claim:
        return False
    if claimed_us > later.last_us:
        return False
    return together_us > 0 or not _replaced(earlier, claimed_us)


def _exclusive(place: Place) -> bool:
    return place.lease.resource_of(place.node).exclusivity.mode == "exclusive"


def _replaced(left: Place, at_us: int) -> bool:
    """Whether others came in its stead to a contract that a device left, which has all that is due."""
    came = any(one.first_us >= left.last_us - DAY_US for one in left.lease.sightings)
    return came and left.lease.reporting(at_us) >= due_gpus(left.lease, at_us)


Spot = tuple[str, str]
"""A contract and a node."""


def copied(portfolio: Portfolio) -> Iterator[Flag]:
    """Different nodes whose energy and utilization are the same to the last digit, under load, for many hours."""
    since_us = portfolio.as_of_us - int(limit(CLONED, "days") * DAY_US)
    hours: defaultdict[tuple[int, ...], list[Spot]] = defaultdict(list)
    told: Counter[Spot] = Counter()
    for spot, use in _loaded(portfolio, since_us):
        hours[use.hour_us, use.energy_millijoules, use.busy, use.energy_known].append(spot)
        told[spot] += 1
    for (one, other), count in sorted(_equal(hours.values()).items()):
        most = min(told[one], told[other])
        if count >= limit(CLONED, "hours") and Fraction(count, most) >= limit(CLONED, "share"):
            names = tuple(sorted({one[0], other[0]}))
            shown = figures(nodes=f"{one[1]}, {other[1]}", hours_equal=count, hours_told=most)
            entries = [portfolio.leases[name].seen_by for name in names]
            yield Flag(CLONED, names, one[1], since_us, shown, around(chain(*entries)))
    yield from _found(portfolio, CLONED, ())


def _loaded(portfolio: Portfolio, since_us: int) -> Iterator[tuple[Spot, Use]]:
    for name, lease in sorted(portfolio.leases.items()):
        for node, uses in hours_of(lease, since_us).items():
            yield from (((name, node), use) for use in uses if use.busy and use.energy_millijoules)


def _equal(hours: Iterable[Sequence[Spot]]) -> Counter[tuple[Spot, Spot]]:
    """How often each is equal to the first of those that are equal; one node in two contracts is one."""
    found: Counter[tuple[Spot, Spot]] = Counter()
    for places in hours:
        if len(places) > 1:
            first = min(places)
            found.update((first, place) for place in places if place[1] != first[1])
    return found


def impossible(portfolio: Portfolio) -> Iterator[Flag]:
    """What is found of cards that are not what they are called."""
    yield from _found(portfolio, IMPOSSIBLE, ())


def _found(portfolio: Portfolio, code: str, without: Collection[str]) -> Iterator[Flag]:
    """One flag a contract for its open findings of these codes."""
    for name, lease in portfolio.leases.items():
        found = [
            one
            for one in lease.findings
            if one.code in OF_FINDINGS[code]
            and one.verdict is Verdict.BREACHED
            and is_open(one, portfolio.as_of_us)
        ]
        if found and name not in without:
            codes = ", ".join(sorted({one.code for one in found}))
            places = {(one.node, one.device) for one in found}
            since_us, level = min(one.since_us for one in found), max(one.level for one in found)
            first = min(found, key=lambda one: (one.since_us, one.node, one.device))
            told = figures(findings=codes, places=len(places), observed=first.observed)
            entries = entries_of(lease, found)
            yield Flag(code, (name,), first.device or first.node, since_us, told, entries, level)


def is_open(one: Finding, at_us: int) -> bool:
    """Whether it was open at an instant."""
    return one.since_us <= at_us and (one.until_us is None or one.until_us > at_us)


def entries_of(lease: Lease, found: Iterable[Finding]) -> tuple[int, ...]:
    """The entries that tell of the devices and nodes that are found."""
    nodes = {one.node for one in found}
    held = (one.entries for one in lease.sightings if one.node in nodes)
    return around(entry for entries in held for entry in entries)
