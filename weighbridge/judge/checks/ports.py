"""The network between nodes: ports of the promised kind and rate that are up, and how often they went down."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from weighbridge.contract import Interconnect
from weighbridge.judge.checks.check import (
    HOUR,
    Answer,
    Check,
    CheckContext,
    Effect,
    Promise,
    Severity,
    breached,
    decide,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import HOST, fact
from weighbridge.wire.report import Facts, Reason

RDMA, ETHERNET = "infiniband", "ethernet"
LAYERS: Mapping[str, str] = {"infiniband": "InfiniBand", "roce": "Ethernet"}
"""How `link_layer` calls what a contract calls so."""
ACTIVE, LINK_UP = 4, 5
"""IB_PORT_ACTIVE, and the physical state of a port that is up (IBA, PortInfo)."""
UNSAID, UP = 0, 6
"""IF_OPER_UNKNOWN and IF_OPER_UP: of an Ethernet port."""
COUNTED: Mapping[str, str] = {
    RDMA: "rdma_ports_count",
    ETHERNET: "ethernet_ports_count",
}
UNNAMED_SPEED = "SDR"
"""A kernel shows a speed that it has no name for as this one, which no port of a GPU's node has."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port as the node shows it. `fits` is None where that cannot be told; `observed` says why it does not."""

    name: str
    fits: bool | None
    observed: str


def connected(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole: so many ports are up, of that kind, at that rate or a higher one."""
    terms = context.promise.resource.interconnect
    if not asks_for_ports(context.promise):
        return
    ports, wanted = list(_ports(context.view.host_now, terms)), terms.ports or 1
    fit, open_ = (sum(one.fits is said for one in ports) for said in (True, None))
    counted, expected = _count(context.view.host_now, terms), _described(terms, wanted)
    observed = "; ".join([f"{fit} ports", *(one.observed for one in ports if not one.fits)])
    if fit >= wanted or (fit + open_ < wanted and isinstance(counted, int)):
        yield decide("", expected, observed, holds=fit >= wanted)
    else:
        yield unseen("", expected, counted)


def asks_for_ports(promise: Promise) -> bool:
    """Whether a contract promises anything of the network between nodes."""
    terms = promise.resource.interconnect
    return any((terms.fabric, terms.ports, terms.port_gigabits))


def _described(terms: Interconnect, wanted: int) -> str:
    rate = "" if terms.port_gigabits is None else f" of {terms.port_gigabits} Gbit/s"
    return f"{wanted} {terms.fabric or 'fabric'} ports{rate}"


def _family(facts: Facts, terms: Interconnect) -> str:
    """What a contract that names no network means: RDMA, where the node has any."""
    if terms.fabric is None:
        rdma = any(name.startswith(f"{RDMA}.") for name in facts.readings)
        return RDMA if rdma else ETHERNET
    return ETHERNET if terms.fabric == "ethernet" else RDMA


def _count(facts: Facts, terms: Interconnect) -> object:
    """How many ports the node says it has, where it does: what it does not show is then not there."""
    return fact(facts, COUNTED[_family(facts, terms)])


def _ports(facts: Facts, terms: Interconnect) -> Iterator[Port]:
    family = _family(facts, terms)
    for name in _names(facts, family):
        told = {
            reading.rpartition(".")[2]: fact(facts, reading)
            for reading in (*facts.readings, *facts.unavailable)
            if reading.startswith(f"{name}.")
        }
        layer, wanted = told.get("link_layer"), LAYERS.get(terms.fabric or "")
        if isinstance(layer, str) and not isinstance(layer, Reason) and wanted not in (None, layer):
            continue
        known = family == ETHERNET or wanted is None or layer == wanted
        yield _port(name.partition(".")[2], told, terms.port_gigabits, known=known)


def _names(facts: Facts, family: str) -> list[str]:
    told = (*facts.readings, *facts.unavailable)
    return sorted({name.rpartition(".")[0] for name in told if name.startswith(f"{family}.")})


def _port(name: str, told: Mapping[str, object], gigabits: int | None, *, known: bool) -> Port:
    up, rate = _is_up(told), told.get("rate_gigabits")
    if up is False:
        return Port(name, False, f"{name} down")
    if up is None or not known:
        return Port(name, None, f"{name} not told of")
    if gigabits is None:
        return Port(name, True, "")
    if not isinstance(rate, int) or str(told.get("generation", "")).endswith(UNNAMED_SPEED):
        return Port(name, None, f"{name} of unknown rate")
    return Port(name, rate >= gigabits, f"{name} at {rate} Gbit/s")


def _is_up(told: Mapping[str, object]) -> bool | None:
    """Of an RDMA port by both of its states, of an Ethernet port by its one; None: nobody can tell."""
    state = told.get("operational_state_code")
    if isinstance(state, int):
        return None if state == UNSAID else state == UP
    logical, physical = told.get("state_code"), told.get("physical_state_code", LINK_UP)
    if isinstance(physical, int) and physical != LINK_UP:
        return False
    return logical == ACTIVE if isinstance(logical, int) else None


def steady(context: CheckContext) -> Iterator[Answer]:
    """The node as a whole over the last whole hour, of the promised kind of network."""
    terms = context.promise.resource.interconnect
    counted = _count(context.view.host_now, terms)
    if not asks_for_ports(context.promise) or not isinstance(counted, int):
        return
    names = {one.name for one in _ports(context.view.host_now, terms)}
    fell = [(name, times) for name, times in sorted(context.flaps.items()) if name in names]
    expected = "no port that went down in the hour"
    if fell:
        observed = "; ".join(f"{name} {times} times" for name, times in fell)
        yield breached("", expected, observed)
    else:
        yield met("", expected, "none")


FABRIC_PORTS_DOWN = Check(
    code="fabric_ports_down",
    at_delivery=False,
    watches=frozenset({HOST}),
    judge=connected,
)
"""Open: whoever has root on the node can shut a port too."""
FABRIC_PORT_FLAPPED = Check(
    code="fabric_port_flapped",
    severity=Severity.WARNING,
    effect=Effect.NONE,
    at_delivery=False,
    watches=frozenset({HOUR}),
    judge=steady,
    each=True,
)
"""No effect: an hour is judged when it is over. A port that is down is judged while it is."""
