"""The fleet as scrapes and pages read it: the figures of a period are worked out again only now and then.

Exact settlement takes about 0.1 ms for a GPU. A large fleet that is scraped every few seconds would do little else, and
a month's share does not change in seconds. What is found, counted and shown is always of now.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.judging.current_figures import Figures
from collector.judging.live import Fleet
from weighbridge.contract import Contract
from weighbridge.judge.counts import Counts
from weighbridge.judge.ledger import Finding, Row
from weighbridge.judge.node_state import NodeState

PATIENCE_US_PER_GPU = 1_000
"""A tenth of one core at most, however large the fleet; below 1,000 GPUs every tick is worked out."""


@dataclass(frozen=True, slots=True)
class Worked:
    """Of one version of a contract, as of one tick."""

    version: Contract
    worked_out_us: int
    figures: Figures


class RecentFleet:
    """`collector.judging.live.Fleet` over another one."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._kept: dict[str, Worked] = {}

    @property
    def now_us(self) -> int:
        return self._fleet.now_us

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self._fleet.contracts

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        return self._fleet.nodes

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return self._fleet.assignments(contract)

    def findings(self, contract: str | None = None) -> Sequence[Finding]:
        return self._fleet.findings(contract)

    def unwritten(self, contract: str) -> Sequence[Finding]:
        return self._fleet.unwritten(contract)

    def counts(self, contract: str) -> Counts:
        return self._fleet.counts(contract)

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        return self._fleet.open_rows(contract, node)

    def figures(self, contract: str) -> Figures:
        fleet, known = self._fleet, self._kept.get(contract)
        version, now_us = fleet.contracts[contract], fleet.now_us
        if known is None or known.version is not version or not self._holds(known, now_us):
            known = self._kept[contract] = Worked(version, now_us, fleet.figures(contract))
        return known.figures

    def _holds(self, known: Worked, now_us: int) -> bool:
        age_us = now_us - known.worked_out_us
        return age_us == 0 or age_us < PATIENCE_US_PER_GPU * self._gpus()

    def _gpus(self) -> int:
        return sum(
            resource.nodes * resource.per_node
            for version in self._fleet.contracts.values()
            for resource in version.resources
        )
