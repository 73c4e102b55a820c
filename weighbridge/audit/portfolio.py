"""What an audit reads: contracts, what was said, who held what, what the ledger has of it, as known at an instant."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property

from weighbridge.audit.worth import worth_of
from weighbridge.contract import Contract, Party, Resource
from weighbridge.judge.assignments import Version, in_force
from weighbridge.judge.ledger import HOUR_US, Finding, Row, State, Use
from weighbridge.judge.two_sides import side_of

DAY_US = 24 * HOUR_US
EVER_US = 1 << 62
AT_WORK = (State.UP, State.DEGRADED)
"""States in which a device is seen at work."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device at work in a slot of a contract, as the agents of one side told of it: when first, when last.

    `slot` is the node's, from 0. `lessee`: a lessee's agent told of it. `entries`: the first and the last that do.
    """

    node: str
    slot: int
    device: str
    lessee: bool
    first_us: int
    last_us: int
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Stay:
    """A contract holds a node, or devices of it (None: all), over [since_us, until_us), by an entry."""

    node: str
    devices: frozenset[str] | None
    since_us: int
    until_us: int = EVER_US
    resource: str | None = None
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An event that a party told of. `since_us`: where it lasted, from when."""

    event: str
    unit: str
    at_us: int
    received_us: int
    entry: int
    since_us: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """An acceptance that was told of, and the hours of use in the window of its tests."""

    told: Told
    start_us: int
    end_us: int
    uses: Sequence[Use]


@dataclass(frozen=True, slots=True)
class Arrival:
    """Rows of a node that were written down in one UTC day, more than a day after their time: how much slot-time."""

    node: str
    start_us: int
    end_us: int
    recorded_us: int
    slot_us: int
    entries: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month of the contract that is over, by its statement as of the audit: GPU-seconds and money.

    `in_use_s`, `energy_joules`: None where they were not read. `recognised`: the fees, net of unbilled time and without
    tax; `lowest` and `highest`: what is owed back for it, None where that is open.
    """

    label: str
    start_us: int
    end_us: int
    contracted_s: int
    reporting_s: int
    healthy_s: int
    in_use_s: int | None
    energy_joules: int | None
    recognised: Decimal
    lowest: Decimal | None = None
    highest: Decimal | None = None


@dataclass(frozen=True, slots=True)
class AgentKey:
    """A key that speaks, or spoke, for a node on one side, since when, by the entry that enrolled it."""

    public_key: str
    node: str
    side: str
    since_us: int
    entry: int


@dataclass(frozen=True)
class Lease:
    """One contract. `entries`: of its versions; `party_keys`: by key, the parties that it speaks for; `windows`: of
    maintenance that was announced before, of all units; `service_us`: when service started by what was told, None: by
    nothing yet."""

    versions: Sequence[Version]
    entries: tuple[int, ...] = ()
    stays: Sequence[Stay] = ()
    sightings: Sequence[Sighting] = ()
    told: Sequence[Told] = ()
    trials: Sequence[Trial] = ()
    arrivals: Sequence[Arrival] = ()
    months: Sequence[Month] = ()
    recent: Sequence[Use] = ()
    findings: Sequence[Finding] = ()
    proven_us: Sequence[int] = ()
    party_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    windows: Sequence[tuple[int, int]] = ()
    service_us: int | None = None

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    @property
    def name(self) -> str:
        return self.newest.contract_id

    @property
    def start_us(self) -> int:
        """From when it was judged: the start of its term, or when it came into the log."""
        return max(self.versions[0].contract.term.start_us, self.versions[0].from_us)

    @property
    def end_us(self) -> int:
        """The end of the term, or when a party said that it is cancelled as a whole."""
        ended = [one.at_us for one in self.told if one.event == "cancelled" and not one.unit]
        return min([self.newest.term.end_us, *ended])

    @cached_property
    def worth(self) -> Fraction:
        """What its whole term comes to."""
        return worth_of(self.newest)

    def runs(self, at_us: int) -> bool:
        return self.start_us <= at_us < self.end_us

    def at(self, instant_us: int) -> Contract:
        """The version in force."""
        return in_force(self.versions, instant_us).contract

    def parties(self, *roles: str) -> Iterator[Party]:
        yield from (one for one in self.newest.parties if one.role in roles)

    @cached_property
    def places(self) -> Mapping[tuple[str, int], tuple[int, int]]:
        """By slot, when a device was first and last seen at work in it."""
        found: dict[tuple[str, int], tuple[int, int]] = {}
        for one in self.sightings:
            first, last = found.get((one.node, one.slot), (one.first_us, one.last_us))
            found[one.node, one.slot] = (min(first, one.first_us), max(last, one.last_us))
        return found

    @property
    def seen_by(self) -> tuple[int, ...]:
        """The first and last entry that tell of its devices."""
        return around(entry for one in self.sightings for entry in one.entries)

    def resource_of(self, node: str) -> Resource:
        """The line item that a node was assigned to last; the first, where nobody said."""
        named = [one.resource for one in self.stays if one.node == node]
        items = self.newest.resources
        return next((one for one in items if named and one.id == named[-1]), items[0])

    def reporting(self, at_us: int) -> int:
        """Slots that were seen at work in the two days before an instant."""
        recent = at_us - 2 * DAY_US
        return sum(first <= at_us and last > recent for first, last in self.places.values())


@dataclass(frozen=True)
class Portfolio:
    """All contracts that are looked at, by name, and the keys of agents."""

    as_of_us: int
    leases: Mapping[str, Lease]
    keys: Sequence[AgentKey] = ()

    def running(self) -> Iterator[Lease]:
        """Those whose term has begun and not ended."""
        yield from (one for one in self.leases.values() if one.runs(self.as_of_us))

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """By sub-lease the contract that it draws on, as either of the two says, where both are here."""
        found: dict[str, str] = {}
        for name, lease in self.leases.items():
            links = lease.newest.links
            found |= {child: name for child in links.children if child in self.leases}
            if links.parent in self.leases and links.parent is not None:
                found[name] = links.parent
        return found

    def linked(self, one: str, other: str) -> bool:
        """Whether one draws on the other, over however many steps."""
        return other in self.above(one) or one in self.above(other)

    def above(self, name: str) -> Sequence[str]:
        """The contracts that one draws on, the nearest first; a circle is gone through once."""
        found: list[str] = []
        while (parent := self.parents.get(name)) is not None and parent not in found:
            found.append(parent)
            name = parent
        return found


def with_rows(known: Iterable[Sighting], rows: Iterable[Row], as_of_us: int) -> list[Sighting]:
    """Sightings, and what rows tell that the ledger did not have yet."""
    found = {(one.node, one.slot, one.device, one.lessee): one for one in known}
    for row in rows:
        if row.slot < 0 or not row.device or row.state not in AT_WORK or row.recorded_us > as_of_us:
            continue
        place = (row.node, row.slot, row.device, side_of(row.chain) == "lessee")
        told = [one for one in (row.first_entry, row.last_entry) if one is not None]
        one = found.get(place, Sighting(*place, row.start_us, row.end_us))
        first_us, last_us = min(one.first_us, row.start_us), max(one.last_us, row.end_us)
        found[place] = Sighting(*place, first_us, last_us, around((*one.entries, *told)))
    return [found[place] for place in sorted(found)]


def company(party: Party) -> str:
    """One name of a company in every contract: its number in a register, or else its legal name."""
    return party.registration or party.name.casefold()


def around(entries: Iterable[int]) -> tuple[int, ...]:
    """The first and the last; one where they are the same; none where there is none."""
    found = sorted(set(entries))
    return tuple(found) if len(found) < 2 else (found[0], found[-1])
