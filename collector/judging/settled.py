"""Statements that pages show: settled apart, one at a time, and kept for a while: looking again settles nothing again.

What is shown may be a little old, and says as of when it is. It is never older than a notice, an amendment or an
assignment that it would rest on, nor than a deadline that it names.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from collector.judging.settler import Settler
from collector.judging.statements import (
    Judged,
    StatementError,
    StatementRequest,
    Statements,
    instant,
    refuse_nothing,
)
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.notices.confirming import Confirmed
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.remedy_lines import PaymentState
from weighbridge.settlement.statement import AnswerLine, Statement
from weighbridge.settlement.worth import Standing, Worth, standings, worth

logger = logging.getLogger("weighbridge.settled")

PATIENCE_S = 1.5
"""How long a page waits for a statement; what takes longer is there when it is looked at again."""

UNDER_WAY_S, FINAL_S = 60.0, float(HOUR_S)
"""How long a statement is shown before it is made anew."""

REST = 9
"""And at least so many times as long as it took to make: a tenth of a core."""

MOST_LINES, MOST_BRIEF = 20_000, 4096
"""What is kept: whole statements of so many units and outages together, the newest whatever its size; and briefs."""

Kept = TypeVar("Kept")

Key = tuple[str, str]
"""A contract and the label of a period."""


@dataclass(frozen=True, slots=True)
class Brief:
    """What a list of periods says of one. `issued`: the digest of its statement that was handed out last; `rests_on`:
    how much had been said by then."""

    label: str
    start: str
    end: str
    as_of: str
    final: bool
    flags: tuple[str, ...]
    standings: tuple[Standing, ...]
    worth: Worth
    issued: str | None
    confirmed: Confirmed | None
    answers: tuple[AnswerLine, ...]
    payments: PaymentState | None
    rests_on: tuple[int, ...]
    rests_until_s: float


@dataclass(frozen=True, slots=True)
class Told:
    """A statement, and what is said of its period in a list."""

    statement: Statement
    brief: Brief


class Settled:
    """Over one store's statements."""

    def __init__(
        self,
        statements: Statements,
        settler: Settler,
        monotonic_s: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._statements = statements
        self._settler = settler
        self._monotonic_s = monotonic_s
        self._patience_s = patience_s
        self._whole: OrderedDict[Key, Told] = OrderedDict()
        self._brief: OrderedDict[Key, Brief] = OrderedDict()
        self._coming: dict[Key, asyncio.Task[Told | None]] = {}
        self._filling: dict[str, asyncio.Task[None]] = {}

    def close(self) -> None:
        """Nothing more is settled."""
        for task in (*self._filling.values(), *self._coming.values()):
            task.cancel()

    async def told(self, contract: str, label: str) -> Told | None:
        """The statement of a period, as a reader gets it; None where it is not ready yet. Raises StatementError."""
        key = contract, label
        known = self._whole.get(key)
        if known is not None:
            self._whole.move_to_end(key)
            if self._holds(contract, known.brief):
                return known
        job = self._job(key)
        if known is not None and self._is_true(contract, known.brief):
            return known
        await asyncio.wait({job}, timeout=self._patience_s)
        return job.result() if job.done() else None

    async def briefs(self, contract: str, labels: Iterable[str]) -> Mapping[str, Brief]:
        """What is known of these periods. The others are settled one after the other, and waited for a little."""
        wanted = list(labels)
        missing = [one for one in wanted if not self._is_known(contract, one)]
        if missing:
            await asyncio.wait({self._fill(contract, missing)}, timeout=self._patience_s)
        found = {one: self._brief.get((contract, one)) for one in wanted}
        return {label: brief for label, brief in found.items() if brief is not None}

    def _is_known(self, contract: str, label: str) -> bool:
        brief = self._brief.get((contract, label))
        return brief is not None and self._holds(contract, brief)

    def _fill(self, contract: str, labels: Iterable[str]) -> asyncio.Task[None]:
        task = self._filling.get(contract)
        if task is None or task.done():
            task = self._filling[contract] = asyncio.create_task(self._filled(contract, labels))
        return task

    async def _filled(self, contract: str, labels: Iterable[str]) -> None:
        for label in labels:
            try:
                await self._job((contract, label))
            except StatementError as error:
                logger.info("%s of %s is not settled: %s", label, contract, error)

    def _job(self, key: Key) -> asyncio.Task[Told | None]:
        job = self._coming.get(key)
        if job is None:
            job = self._coming[key] = asyncio.create_task(self._made(key, self._asked(key)))
        return job

    async def _made(self, key: Key, asked: StatementRequest) -> Told | None:
        """None where it cannot be settled, which the log of the process says."""
        rests_on = self._statements.book.said(key[0], asked.as_of_us)
        try:
            found, took_s = await self._settler.made(partial(_told, asked, rests_on))
        except Exception:
            logger.exception("%s of %s cannot be settled", key[1], key[0])
            return None
        finally:
            del self._coming[key]
        rest_s = max(REST * took_s, FINAL_S if found.statement.final else UNDER_WAY_S)
        brief = replace(found.brief, rests_until_s=self._monotonic_s() + rest_s)
        found = Told(found.statement, brief)
        _keep(self._whole, key, found)
        _keep(self._brief, key, found.brief)
        while len(self._whole) > 1 and sum(map(_lines, self._whole.values())) > MOST_LINES:
            self._whole.popitem(last=False)
        if len(self._brief) > MOST_BRIEF:
            self._brief.popitem(last=False)
        return found

    def _asked(self, key: Key) -> StatementRequest:
        asked = self._statements.ask(*key)
        refuse_nothing(asked)
        return asked

    def _holds(self, contract: str, brief: Brief) -> bool:
        return self._monotonic_s() < brief.rests_until_s and self._is_true(contract, brief)

    def _is_true(self, contract: str, brief: Brief) -> bool:
        """As of its instant, and now but for the time that has gone by: nothing was said, and nothing lapsed."""
        now_s, deadline = self._statements.newest_s, brief.worth.deadline
        lapsed = deadline is not None and instant(deadline) <= now_s
        return not lapsed and brief.rests_on == self._statements.book.said(
            contract, now_s * MICROSECONDS
        )


def _told(asked: StatementRequest, rests_on: tuple[int, ...], store: Judged) -> tuple[Told, float]:
    """For a settler: what is told, which rests nowhere yet, and how many seconds it took."""
    begun_s = time.monotonic()
    statement = asked.statement(store)
    brief = Brief(
        label=statement.period,
        start=statement.start,
        end=statement.end,
        as_of=statement.as_of,
        final=statement.final,
        flags=statement.flags,
        standings=tuple(standings(statement)),
        worth=worth(statement),
        issued=None if asked.before is None else asked.before[0].digest,
        confirmed=asked.confirmed,
        answers=statement.answers,
        payments=statement.payments,
        rests_on=rests_on,
        rests_until_s=0,
    )
    return Told(statement, brief), time.monotonic() - begun_s


def _keep(kept: OrderedDict[Key, Kept], key: Key, value: Kept) -> None:
    kept[key] = value
    kept.move_to_end(key)


def _lines(told: Told) -> int:
    units = [unit for part in told.statement.parts for unit in part.units]
    return len(units) + sum(len(unit.outages) for unit in units)
