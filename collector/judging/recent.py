"""The fleet as scrapes and pages read it: the figures of a period are worked out again only now and then.

Exact settlement takes about 0.1 ms for a GPU. A large fleet that is scraped every few seconds would do little else, and
a month's share does not change in seconds. What is found, counted and shown is always of now.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from collector.judging.current_figures import Figures
from collector.judging.live import Fleet
from weighbridge.contract import Contract
from weighbridge.judge.counts import Counts
from weighbridge.judge.ledger import Finding, Row
from weighbridge.judge.node_state import NodeState
from weighbridge.settlement.figures import Figure
from weighbridge.verdict import Verdict

logger = logging.getLogger("weighbridge.figures")

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
            found = self._worked_out(contract, version)
            known = self._kept[contract] = Worked(version, now_us, found)
        return known.figures

    def _worked_out(self, contract: str, version: Contract) -> Figures:
        """Where they cannot be, nothing is known of this contract, and all others are shown."""
        try:
            return self._fleet.figures(contract)
        except Exception:
            logger.exception("the figures of %s cannot be worked out", contract)
            return {
                one.id: Figure(one.unit, Verdict.UNKNOWN, one.target, Fraction(0), Fraction(1), {})
                for one in version.availability
            }

    def _holds(self, known: Worked, now_us: int) -> bool:
        age_us = now_us - known.worked_out_us
        return age_us == 0 or age_us < PATIENCE_US_PER_GPU * self._gpus()

    def _gpus(self) -> int:
        return sum(
            resource.nodes * resource.per_node
            for version in self._fleet.contracts.values()
            for resource in version.resources
        )
