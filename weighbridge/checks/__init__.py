"""The checks: one file per check, and the tuple that lists them. To add a check, add a file and a line.

A check is a pure function of the promise and of what a node last showed. It answers for each subject it can name:
met, breached, or unknown. It runs only when something it watches has changed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from weighbridge.contract import Resource


class Verdict(StrEnum):
    """In a sum BREACHED outranks UNKNOWN outranks MET."""

    MET = "met"
    UNKNOWN = "unknown"
    BREACHED = "breached"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Effect(StrEnum):
    """What a breach does to the availability of its subject."""

    NONE = "none"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Answer:
    """`device` is a UUID, or empty for the node as a whole."""

    device: str
    verdict: Verdict
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class Check:
    """`code` is stable. `watches` names readings, and `inventory`, `xids`, `processes` for the rest of a report."""

    code: str
    severity: Severity
    effect: Effect
    answerable: str
    watches: frozenset[str]
    judge: Callable[["Promise", "View"], Iterable[Answer]]


@dataclass(frozen=True, slots=True)
class Promise:
    """What one contract promises of one node: the resource, and the devices it claims (None: all of them)."""

    contract: str
    resource: Resource
    devices: frozenset[str] | None


class View:
    """What a node last showed, as checks read it."""


CHECKS: tuple[Check, ...] = ()
