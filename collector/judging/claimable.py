"""What each contract is worth at the moment, and what can be claimed until when: worked out now and then, apart.

A statement takes a while, so scrapes read what was worked out last.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal

from collector.background import beside
from collector.judging.settler import Settler
from collector.judging.statements import StatementError, Statements, instant
from weighbridge.catalogue import metrics
from weighbridge.catalogue.metrics import Metric
from weighbridge.contract import Contract
from weighbridge.settlement.periods import DAY_S, periods_within, term_of_s
from weighbridge.settlement.statement import Statement
from weighbridge.settlement.worth import Claimable, claimable, earned, to_next_tier_s

logger = logging.getLogger("weighbridge.claimable")

REFRESH_SECONDS = 300.0
LOOK_BACK_S = 100 * DAY_S
"""Periods that ended longer ago are not looked at."""

Sample = tuple[Metric, Sequence[str], int | float]


@dataclass(frozen=True, slots=True)
class Account:
    """One contract as of an instant: its running month and what that has `earned`, and what can be claimed of earlier
    periods."""

    running: Statement | None
    earned: Mapping[str, Decimal]
    claims: Sequence[Claimable]
    to_next_tier_s: int | None
    as_of_s: int

    @property
    def open(self) -> list[Claimable]:
        """What can be claimed still, the one whose time ends first before the others."""
        left = [one for one in self.claims if one.standing == "open"]
        return sorted(left, key=lambda one: (one.deadline is None, one.deadline or ""))


class Accounts:
    """Of all contracts, as they were worked out last."""

    def __init__(
        self,
        statements: Statements,
        settler: Settler,
        contracts: Callable[[], Mapping[str, Contract]],
    ) -> None:
        self._statements = statements
        self._settler = settler
        self._contracts = contracts
        self._known: dict[str, Account] = {}

    async def run(self) -> None:
        """Work out every contract, again and again. No contract's failure ends it."""
        while True:
            contracts = self._contracts()
            self._known = {name: one for name, one in self._known.items() if name in contracts}
            for name in contracts:
                try:
                    self._known[name] = await self._worked_out(name)
                except StatementError as error:
                    logger.info("%s is not settled: %s", name, error)
                except Exception:
                    self._known.pop(name, None)
                    logger.exception("%s cannot be settled", name)
            await asyncio.sleep(REFRESH_SECONDS)

    async def claims(self, name: str) -> list[Claimable]:
        """Credits of the periods that ended lately, worked out now. Raises StatementError."""
        found: list[Claimable] = []
        for label in self._ended(self._contracts()[name]):
            asked = self._statements.ask(name, label)
            found += claimable(await self._settler.made(asked.bare))
        return found

    async def _worked_out(self, name: str) -> Account:
        contract, now_s = self._contracts()[name], self._statements.newest_s
        running, to_next = None, None
        for period in periods_within(contract.billed_by, contract, now_s, now_s + 1):
            asked = self._statements.ask(name, period.label)
            running = await self._settler.made(asked.bare)
            to_next = to_next_tier_s(contract, running)
        sums = {} if running is None else earned(running)
        return Account(running, sums, await self.claims(name), to_next, now_s)

    def known(self, name: str) -> Account | None:
        """Of one contract; None while it was not worked out."""
        return self._known.get(name)

    def _ended(self, contract: Contract) -> list[str]:
        now_s, term = self._statements.newest_s, term_of_s(contract)
        start_s = max(term[0], now_s - LOOK_BACK_S)
        if start_s >= now_s:
            return []
        periods = (
            period
            for kind in contract.statements_over
            for period in periods_within(kind, contract, start_s, min(now_s, term[1]))
        )
        return [period.label for period in periods if period.end_s <= now_s]

    def samples(self) -> Iterator[Sample]:
        """The samples of `/metrics` that concern money: nothing of a contract that was withdrawn."""
        contracts = self._contracts()
        for name, account in list(self._known.items()):
            if name in contracts:
                yield from account_samples(name, account, self._statements.newest_s)


def account_samples(name: str, account: Account, now_s: int) -> Iterator[Sample]:
    """Of one contract. An announced window is told while it runs."""
    statement = account.running
    if statement is not None:
        lines = [line for part in statement.parts for line in part.delivery]
        contracted = sum(line.contracted_gpu_seconds for line in lines)
        yield metrics.CONTRACT_CONTRACTED, (name,), contracted
        delivered = sum(line.healthy_gpu_seconds for line in lines)
        yield metrics.CONTRACT_DELIVERED, (name,), delivered
        for bound, amounts in account.earned.items():
            labels = (name, statement.currency, bound)
            yield metrics.CONTRACT_CREDIT, labels, float(amounts)
        for (objective, unit), used in _clocks(statement).items():
            yield metrics.CONTRACT_REPAIR, (name, objective, unit), used
        for window in sorted(_windows(statement, now_s)):
            yield metrics.CONTRACT_MAINTENANCE, (name, window), 1
    if account.to_next_tier_s is not None:
        yield metrics.CONTRACT_NEXT_TIER, (name,), account.to_next_tier_s
    deadlines = [instant(one.deadline) for one in account.open if one.deadline is not None]
    if deadlines:
        yield metrics.CONTRACT_CLAIM_DEADLINE, (name,), min(deadlines)


def _clocks(statement: Statement) -> Mapping[tuple[str, str], float]:
    """The share of the promised time that each clock which still runs has used."""
    return {
        (clock.objective, clock.unit): clock.seconds / clock.objective_seconds
        for part in statement.parts
        for clock in part.clocks
        if clock.end is None
    }


def _windows(statement: Statement, now_s: int) -> set[str]:
    """The announced windows that run."""
    lines = [line for part in statement.parts for line in part.maintenance]
    return {line.id for line in lines if instant(line.start) <= now_s < instant(line.end)}


def accounting(accounts: Accounts) -> AbstractAsyncContextManager[None]:
    """Works out all accounts in the background, now and then."""
    return beside(accounts.run(), "what can be claimed is not worked out any more")
