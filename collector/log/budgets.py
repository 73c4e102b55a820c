"""What one key may cost the collector in an hour, so that no tenant makes another wait.

Each kind of cost has a store that fills steadily and holds one hour's worth. What is asked while it is empty is refused
until it is not; a request that is let in may leave a debt. Nothing is remembered over a restart.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import NamedTuple

from weighbridge.wire.problems import Problem

HOUR_S = 3600


class Costs(NamedTuple):
    """Of a key: bytes of reports, reports, new chains, and rows and findings that judging them brings."""

    bytes: int = 0
    reports: int = 0
    chains: int = 0
    findings: int = 0

    def and_also(self, more: "Costs") -> "Costs":
        return Costs(*(one + other for one, other in zip(self, more, strict=True)))


HOURLY = Costs(bytes=1 << 30, reports=200_000, chains=200, findings=100_000)
"""Ten times what the largest honest node brings that empties a full spool within the hour."""


@dataclass(slots=True)
class _Left:
    at_s: float
    costs: list[float] = field(default_factory=list)


class Budgets:
    """Of every key that has sent a report to this process."""

    def __init__(self, hourly: Costs, monotonic_s: Callable[[], float]) -> None:
        self._hourly = hourly
        self._monotonic_s = monotonic_s
        self._left: dict[str, _Left] = {}

    def charge(self, costs: Mapping[str, Costs]) -> None:
        """Take these costs, by key. Raises Problem: over_budget, where one has nothing left of something; then none."""
        for key in costs:
            self.refuse_if_spent(key)
        for key, cost in costs.items():
            self._take(key, cost)

    def found(self, key: str, changes: int) -> None:
        """Judging what the key sent brought so many rows and findings. What was sent to another process is free."""
        if key in self._left:
            self._take(key, Costs(findings=changes))

    def _take(self, key: str, cost: Costs) -> None:
        left = self._now(key)
        left.costs = [one - taken for one, taken in zip(left.costs, cost, strict=True)]

    def refuse_if_spent(self, key: str) -> None:
        """Raises Problem: over_budget."""
        left = self._now(key).costs
        for what, hourly, one in zip(Costs._fields, self._hourly, left, strict=True):
            if one < 1:
                wait_s = ceil((1 - one) * HOUR_S / hourly)
                detail = f"the key has used up its {what} of this hour"
                raise Problem("over_budget", detail, retry_after_seconds=min(wait_s, HOUR_S))

    def _now(self, key: str) -> _Left:
        now_s = self._monotonic_s()
        left = self._left.setdefault(key, _Left(now_s, [float(one) for one in self._hourly]))
        passed = (now_s - left.at_s) / HOUR_S
        left.costs = [
            min(hourly, one + hourly * passed)
            for hourly, one in zip(self._hourly, left.costs, strict=True)
        ]
        left.at_s = now_s
        return left
