"""A market of a hundred contracts: each fraud of it once beside its honest twin, and what an audit can know of it.

A deal says what is true of a contract over all time; `portfolio` shows what had come by an instant. Dates and figures
of S1 to S10 are those of public cases of 2023 to 2026; servers are fewer where only the share matters.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

from tests.weighbridge.written import contract_of
from weighbridge.audit.portfolio import (
    AgentKey,
    Arrival,
    Lease,
    Month,
    Portfolio,
    Sighting,
    Stay,
    Told,
    Trial,
)
from weighbridge.contract import Contract
from weighbridge.contract.money import Base
from weighbridge.judge.assignments import Version
from weighbridge.judge.checks import Severity
from weighbridge.judge.ledger import HOUR_US, Finding, Use
from weighbridge.settlement.fees import Fees
from weighbridge.settlement.periods import Period, months_within, served_part_s
from weighbridge.verdict import Verdict

ZONE = "Asia/Shanghai"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 24 * HOUR_US
EVER = 1 << 60
HONEST_WATTS, IDLE_WATTS = 500, 75


def at(text: str, hour: int = 0) -> int:
    """A local hour of a day of the market in microseconds."""
    day = date.fromisoformat(text)
    moment = datetime(day.year, day.month, day.day, hour, tzinfo=ZoneInfo(ZONE))
    return (moment - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Machine:
    """A node that works in [from_us, until_us), and how busy its cards are, by the hour."""

    node: str
    from_us: int
    until_us: int = EVER
    gpus: int = 8
    percent: int = 80
    works: tuple[tuple[int, int], ...] = ((0, EVER),)
    idle_watts: int = IDLE_WATTS
    like: str = ""
    devices: str = ""
    lessee: bool = True

    def busy(self, hour_us: int) -> int:
        return self.percent if any(a <= hour_us < b for a, b in self.works) else 0


@dataclass(frozen=True)
class Deal:
    """A contract, and all that will be true of it. `flags`: by code, from which day on at the latest it is raised."""

    texts: Sequence[tuple[int, Mapping[str, Any]]]
    machines: Sequence[Machine] = ()
    events: Sequence[Told] = ()
    trials: Sequence[Told] = ()
    arrivals: Sequence[Arrival] = ()
    findings: Sequence[Finding] = ()
    windows: Sequence[tuple[int, int]] = ()
    proven_us: Sequence[int] = ()
    stays: Sequence[Stay] = ()
    party_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    service_us: int | None = None
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.texts[0][1]["contract_id"])


def text(name: str, start: str, end: str, nodes: int, **terms: Any) -> dict[str, Any]:
    """The terms of an honest contract, but for what is given; `item` goes into its one line item."""
    item = terms.pop("item", {})
    return {
        "contract_id": name,
        "effective": f"{start}T00:00:00Z",
        "time_zone": ZONE,
        "currency": "CNY",
        "parties": [
            {"id": "P", "role": "provider", "registration": f"{name}-P"},
            {"id": "L", "role": "lessee", "registration": f"{name}-L"},
        ],
        "term": {"from": f"{start}T00:00:00Z", "to": f"{end}T00:00:00Z"},
        "resources": [
            {
                "id": "r",
                "accelerator": {"sku": "H100-SXM-80GB"},
                "nodes": str(nodes),
                "per_node": "8",
            }
            | item
        ],
        "unknown": {"policy": "hold"},
        "pricing": [{"unit": "gpu_hour", "price": "10"}],
    } | terms


def batches(*given: tuple[int, str]) -> dict[str, Any]:
    """The delivery of a line item: nodes and last days in time."""
    return {
        "delivery": [
            {"id": f"b{n}", "nodes": str(nodes), "due": due, "value": "1000000"}
            for n, (nodes, due) in enumerate(given, start=1)
        ]
    }


def machines(name: str, count: int, start: str, **facts: Any) -> tuple[Machine, ...]:
    return tuple(Machine(f"{name}-n{n}", at(start, 9), **facts) for n in range(count))


def deal(
    name: str, start: str, end: str, nodes: int, present: int | None = None, **facts: Any
) -> Deal:
    """A deal of one version; what `facts` do not say of its terms and its machines is honest."""
    terms, flags = facts.pop("terms", {}), facts.pop("flags", {})
    there = facts.pop("machines", None)
    if there is None:
        there = machines(name, nodes if present is None else present, start)
    return Deal([(at(start), text(name, start, end, nodes, **terms))], there, flags=flags, **facts)


def told(event: str, day: str, unit: str = "", received: str | None = None, hour: int = 12) -> Told:
    when = at(day, hour)
    return Told(event, unit, when, at(received or day, 13), 77)


def finding(name: str, code: str, since: str, until: str | None = None) -> Finding:
    return Finding(
        name,
        f"{name}-n0",
        f"GPU-{name}-n0-0",
        code,
        Severity.ERROR,
        Verdict.BREACHED,
        "E1",
        "one",
        "another",
        "open",
        at(since),
        None if until is None else at(until),
    )


def portfolio(deals: Iterable[Deal], as_of_us: int, keys: Sequence[AgentKey] = ()) -> Portfolio:
    """What is known by an instant."""
    known = [one for one in deals if one.texts[0][0] <= as_of_us]
    return Portfolio(as_of_us, {one.name: lease(one, as_of_us) for one in known}, keys)


def lease(one: Deal, as_of_us: int) -> Lease:
    """What is known of one deal by an instant."""
    versions = _versions(one, as_of_us)
    there = [machine for machine in one.machines if machine.from_us < as_of_us]
    contract, recent_us = versions[-1].contract, as_of_us - 14 * DAY_US
    return Lease(
        versions=versions,
        entries=tuple(range(len(versions))),
        stays=one.stays or [Stay(one_.node, None, one_.from_us, entry=9) for one_ in there],
        sightings=[seen for machine in there for seen in _seen(machine, as_of_us)],
        told=[event for event in (*one.events, *one.trials) if event.received_us <= as_of_us],
        trials=[_trial(one, event) for event in one.trials if event.received_us <= as_of_us],
        arrivals=[row for row in one.arrivals if row.recorded_us <= as_of_us],
        months=list(_months(versions, there, as_of_us)),
        recent=list(_uses(contract.contract_id, there, recent_us, as_of_us)),
        findings=[found for found in one.findings if found.since_us <= as_of_us],
        proven_us=[when for when in one.proven_us if when <= as_of_us],
        party_keys=one.party_keys,
        windows=one.windows,
        service_us=one.service_us if one.service_us and one.service_us <= as_of_us else None,
    )


def _versions(one: Deal, as_of_us: int) -> list[Version]:
    known = [(from_us, contract_of(text)) for from_us, text in one.texts if from_us <= as_of_us]
    ends = [from_us for from_us, _ in known[1:]]
    return [
        Version(contract, "", from_us, until_us)
        for (from_us, contract), until_us in zip(
            known, [*ends, known[-1][1].term.end_us], strict=True
        )
    ]


def _seen(machine: Machine, as_of_us: int) -> Iterator[Sighting]:
    last_us = min(machine.until_us, as_of_us)
    name = machine.devices or machine.node
    for slot in range(machine.gpus):
        for lessee in (False, True)[: 1 + machine.lessee]:
            place = (machine.node, slot, f"GPU-{name}-{slot}", lessee)
            yield Sighting(*place, machine.from_us, last_us, (100, 200))


def _uses(name: str, there: Iterable[Machine], since_us: int, until_us: int) -> Iterator[Use]:
    first = -(-since_us // HOUR_US) * HOUR_US
    for one in there:
        salt = crc32((one.like or one.node).encode()) % 100_000
        seen, chain = one.gpus * HOUR_US, f"{one.node}/main"
        for hour_us in range(max(first, one.from_us), min(until_us, one.until_us), HOUR_US):
            busy = one.busy(hour_us)
            jitter = salt + (hour_us // HOUR_US * 7919) % 1000 if busy else 0
            watts = HONEST_WATTS if busy else one.idle_watts
            energy = watts * one.gpus * 3_600_000 + jitter
            use = (seen, seen * (busy > 0), seen, busy * seen, seen, energy, hour_us + HOUR_US)
            yield Use(name, one.node, chain, hour_us, hour_us, hour_us + HOUR_US, seen, *use)


def _trial(one: Deal, event: Told) -> Trial:
    start_us = event.at_us - DAY_US
    uses = list(_uses(one.name, one.machines, start_us, event.at_us))
    return Trial(event, start_us, event.at_us, uses)


def _months(
    versions: Sequence[Version], there: Sequence[Machine], as_of_us: int
) -> Iterator[Month]:
    first = versions[0].contract
    term = (first.term.start_us // 10**6, versions[-1].contract.term.end_us // 10**6)
    for period in months_within(*term, ZONE):
        if period.end_s * 10**6 > as_of_us:
            return
        yield _month(versions[-1].contract, period, there)


def _month(contract: Contract, period: Period, there: Sequence[Machine]) -> Month:
    term = (contract.term.start_us // 10**6, contract.term.end_us // 10**6)
    start_s, end_s = served_part_s(period, term)
    lengths = (
        (one.gpus, min(end_s, one.until_us // 10**6) - max(start_s, one.from_us // 10**6))
        for one in there
    )
    seen = sum(gpus * max(0, length) for gpus, length in lengths)
    gpus = sum(item.nodes * item.per_node for item in contract.resources)
    fees = Fees(contract, period, term, Period(period.label, start_s, end_s))
    net = Decimal(round(fees.base(Base(of="contract"), None))).quantize(Decimal("0.01"))
    edges = (period.start_s * 10**6, period.end_s * 10**6)
    whole = gpus * (end_s - start_s)
    return Month(period.label, *edges, whole, seen, seen, seen // 2, None, net)
