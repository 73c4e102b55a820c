"""The fold that judges one node: (state, log entry) -> what changed.

The interval ledger is a function of the set of entries: each chain's samples are judged in the chain's own order, and
each becomes a half-open interval that belongs to that chain alone. Intervals of several chains are combined, and what no
interval covers is unknown, only when the ledger is read. Findings are a function of the order of the log.

A sample covers the time up to the next sample of its chain if that comes within the contract's `max_gap`; the rest is
unknown. A node's time is placed by CLOCK_BOOTTIME against the wall clock of the first report of a boot whose clock was
synchronized best, so a stepped clock moves nothing. Time enters only as a tick.
"""

from dataclasses import dataclass
from enum import StrEnum

from weighbridge.checks import Severity, Verdict
from weighbridge.evidence import Entry


class State(StrEnum):
    """Of a unit over an interval. What no row covers is UNKNOWN."""

    UP = "up"
    DEGRADED = "degraded"
    DOWN = "down"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"
    CONTESTED = "contested"


@dataclass(frozen=True, slots=True)
class Row:
    """A unit was in a state over [start_us, end_us), as known from the tick `recorded_us` on. Never crosses a UTC hour."""

    contract: str
    node: str
    device: str
    chain: str
    start_us: int
    end_us: int
    state: State
    cause: str
    recorded_us: int


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check, a tick or the registry found. `since_us` is the event's time; open until `until_us` is set."""

    contract: str
    node: str
    device: str
    code: str
    severity: Severity
    verdict: Verdict
    level: str
    expected: str
    observed: str
    answerable: str
    since_us: int
    until_us: int | None


class NodeState:
    """Everything the fold remembers of one node. Serialises to JSON and back without loss."""


def fold(state: NodeState, entry: Entry) -> list[Row | Finding]:
    """Judge one entry. Changes `state` in place; raises nothing for an entry that ingest accepted."""
    ...
