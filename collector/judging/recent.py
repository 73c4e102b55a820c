"""The fleet as scrapes and pages read it: the figures of a period are worked out again only now and then.

Exact settlement takes about 0.1 ms for a GPU. A large fleet that is scraped every few seconds would do little else, and
a month's share does not change in seconds. What is found, counted and shown is always of now.

A contract of many outages is worked out in a thread of its own, and nobody waits for it: the figures that are known are
shown meanwhile, with when they were made.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction

from collector.judging.current_figures import AT_ONCE_ROWS, MOST_ROWS, Figures
from collector.judging.live import WorkedFleet
from weighbridge.contract import Contract
from weighbridge.judge.counts import Counts
from weighbridge.judge.ledger import Finding, Row
from weighbridge.judge.node_state import NodeState
from weighbridge.settlement.figures import Figure
from weighbridge.verdict import Verdict

logger = logging.getLogger("weighbridge.figures")

PATIENCE_US_PER_GPU = 1_000
"""A tenth of one core at most, however large the fleet; below 1,000 GPUs every tick is worked out."""

REST = 9
"""So many times as long as a contract's figures took in the thread they stay as they are: a tenth of a core each."""


@dataclass(frozen=True, slots=True)
class Worked:
    """Of one version of a contract, as of one tick; 0: they were not worked out. They stay until `rests_until_s`."""

    version: Contract
    worked_out_us: int
    figures: Figures
    rests_until_s: float = 0


class RecentFleet:
    """`collector.judging.live.Fleet` over another one."""

    def __init__(
        self, fleet: WorkedFleet, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._fleet = fleet
        self._monotonic_s = monotonic_s
        self._kept: dict[str, Worked] = {}
        self._coming: dict[str, Future[Worked]] = {}
        self._reading: dict[str, Future[None]] = {}
        self._apart = ThreadPoolExecutor(1, thread_name_prefix="figures")
        self._spent, self._spent_us, self._gpus = 0, -1, 0

    @property
    def now_us(self) -> int:
        return self._fleet.now_us

    @property
    def contracts(self) -> Mapping[str, Contract]:
        return self._fleet.contracts

    @property
    def nodes(self) -> Mapping[str, NodeState]:
        return self._fleet.nodes

    def observers(self, node: str) -> Sequence[NodeState]:
        return self._fleet.observers(node)

    def assignments(self, contract: str) -> Mapping[str, frozenset[str] | None]:
        return self._fleet.assignments(contract)

    def findings(self, contract: str | None = None, node: str | None = None) -> Sequence[Finding]:
        return self._fleet.findings(contract, node)

    def noted(self) -> Mapping[tuple[str, str, str], int]:
        return self._fleet.noted()

    def unwritten(self, contract: str) -> Sequence[Finding]:
        return self._fleet.unwritten(contract)

    def counts(self, contract: str) -> Counts:
        return self._fleet.counts(contract)

    def counting(self, contract: str) -> Generator[None, None, Counts]:
        return self._fleet.counting(contract)

    def open_rows(self, contract: str, node: str | None = None) -> Sequence[Row]:
        return self._fleet.open_rows(contract, node)

    def figures(self, contract: str) -> Figures:
        return self._worked(contract).figures

    def figured_us(self, contract: str) -> int:
        return self._worked(contract).worked_out_us

    def _worked(self, contract: str) -> Worked:
        fleet = self._fleet
        self._take_in(contract)
        known, now_us = self._kept.get(contract), fleet.now_us
        spent = self._spent_at(now_us)
        version = fleet.contracts[contract]
        if known is None or known.version is not version:
            known = self._kept[contract] = Worked(version, 0, _unknown(version))
        elif self._holds(known, now_us):
            return known
        if spent >= AT_ONCE_ROWS or not self._at_hand(contract):
            return known
        weight = self._weight(contract)
        self._spent += _gpus(version) + (weight if weight <= AT_ONCE_ROWS else 0)
        if weight <= AT_ONCE_ROWS:
            found = self._attempted(contract, version, lambda: fleet.figures(contract))
            known = self._kept[contract] = Worked(version, now_us, found)
        elif weight <= MOST_ROWS and contract not in self._coming:
            work = fleet.prepared(contract)
            job = self._apart.submit(self._timed, contract, version, now_us, work)
            self._coming[contract] = job
        return known

    def _at_hand(self, contract: str) -> bool:
        """Whether the contract's rows were read; where they are many, that is begun here and not waited for."""
        job = self._reading.get(contract)
        if job is None:
            return self._read(contract)
        if not job.done():
            return False
        del self._reading[contract]
        error = job.exception()
        if error is not None:
            logger.error("the rows of %s cannot be read", contract, exc_info=error)
            return False
        self._fleet.take_over(contract)
        return self._read(contract)

    def _read(self, contract: str) -> bool:
        try:
            work = self._fleet.reading(contract)
        except Exception:
            logger.exception("the rows of %s cannot be read", contract)
            return False
        if work is not None:
            self._reading[contract] = self._apart.submit(work)
        return work is None

    def _weight(self, contract: str) -> int:
        try:
            return self._fleet.weight(contract)
        except Exception:
            logger.exception("the rows of %s cannot be counted", contract)
            return MOST_ROWS + 1

    def _take_in(self, contract: str) -> None:
        coming = self._coming.get(contract)
        if coming is not None and coming.done():
            del self._coming[contract]
            if coming.result().version is self._fleet.contracts[contract]:
                self._kept[contract] = coming.result()

    def _timed(
        self, contract: str, version: Contract, now_us: int, work: Callable[[], Figures]
    ) -> Worked:
        begun_s = self._monotonic_s()
        found = self._attempted(contract, version, work)
        ended_s = self._monotonic_s()
        return Worked(version, now_us, found, ended_s + REST * (ended_s - begun_s))

    def _attempted(self, contract: str, version: Contract, work: Callable[[], Figures]) -> Figures:
        """Where they cannot be worked out, nothing is known of this contract, and all others are shown."""
        try:
            return work()
        except Exception:
            logger.exception("the figures of %s cannot be worked out", contract)
            return _unknown(version)

    def _holds(self, known: Worked, now_us: int) -> bool:
        if known.worked_out_us == 0:
            return False
        if self._monotonic_s() < known.rests_until_s:
            return True
        age_us = now_us - known.worked_out_us
        return age_us == 0 or age_us < PATIENCE_US_PER_GPU * self._gpus

    def _spent_at(self, now_us: int) -> int:
        """How many rows and GPUs were gone through for figures at this tick. What is due beyond AT_ONCE_ROWS waits for
        another: nobody who asks for all contracts waits for the figures of all."""
        if self._spent_us != now_us:
            self._spent, self._spent_us = 0, now_us
            self._gpus = sum(map(_gpus, self._fleet.contracts.values()))
        return self._spent


def _gpus(version: Contract) -> int:
    return sum(resource.nodes * resource.per_node for resource in version.resources)


def _unknown(version: Contract) -> Figures:
    return {
        one.id: Figure(one.unit, Verdict.UNKNOWN, one.target, Fraction(0), Fraction(1), {})
        for one in version.availability
    }
