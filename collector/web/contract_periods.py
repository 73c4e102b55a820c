"""The periods of a contract as its pages list them, and which of them is looked at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from collector.documents.speaker import Speaker
from collector.judging.settled import Brief, Told
from collector.judging.statements import StatementError
from weighbridge.contract import Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.settlement.periods import Period, periods_begun
from weighbridge.settlement.statement import AnswerLine
from weighbridge.verdict import Verdict, worst
from weighbridge.wire.problems import Problem

LISTED = 36
"""Periods that are settled for a list; older ones have their pages and statements alike."""


class Settling(Protocol):
    """Statements that are kept for a while: `collector.judging.settled.Settled`."""

    async def told(self, contract: str, label: str) -> Told | None: ...

    async def briefs(self, contract: str, labels: Iterable[str]) -> Mapping[str, Brief]: ...


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A period in a list; `brief` None: it is being settled, or too old to be settled for a list."""

    label: str
    start_us: int
    end_us: int
    under_way: bool
    brief: Brief | None
    verdict: str
    earned: str
    owed: str


def begun(contract: Contract, now_us: int) -> list[Period]:
    """The latest first."""
    return periods_begun(contract, now_us // MICROSECONDS)


def chosen(request: web.Request, periods: Sequence[Period]) -> Period | None:
    """The one that `period` names, or the newest; None: none has begun. Raises Problem for a name of none."""
    label = request.query.get("period")
    if label is None:
        return periods[0] if periods else None
    found = next((one for one in periods if one.label == label), None)
    if found is None:
        raise Problem("not_found", f"{label}: no period of this contract that has begun")
    return found


async def told(settled: Settling, contract: str, period: Period | None) -> Told | None:
    """Its statement; None where there is none yet."""
    if period is None:
        return None
    try:
        return await settled.told(contract, period.label)
    except StatementError:
        return None


def rows(
    periods: Sequence[Period], briefs: Mapping[str, Brief], now_us: int, speak: Speaker
) -> list[PeriodRow]:
    """One for each."""
    return [_row(period, briefs.get(period.label), now_us, speak) for period in periods]


def _row(period: Period, brief: Brief | None, now_us: int, speak: Speaker) -> PeriodRow:
    verdicts = () if brief is None else (one.verdict for one in brief.standings)
    earned = None if brief is None else (f"{amount:f}" for amount in brief.worth.earned)
    return PeriodRow(
        label=period.label,
        start_us=period.start_s * MICROSECONDS,
        end_us=period.end_s * MICROSECONDS,
        under_way=now_us < period.end_s * MICROSECONDS,
        brief=brief,
        verdict=worst(verdicts, empty=Verdict.UNKNOWN).value,
        earned="" if earned is None else speak.amounts(*earned).text,
        owed="" if brief is None else speak.amounts(*brief.worth.owed).text,
    )


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """What became of what a period earned: amounts by standing, and what was said and paid of it."""

    label: str
    amounts: Mapping[str, str]
    deadline: str | None
    answers: Sequence[AnswerLine]
    left: str


def claims(briefs: Iterable[Brief], speak: Speaker) -> list[ClaimRow]:
    """Of the periods that earned something, or of which something was said."""
    return [_claim(one, speak) for one in briefs if one.worth.by_standing or one.answers]


def _claim(brief: Brief, speak: Speaker) -> ClaimRow:
    worth = brief.worth
    texts = {key: f"{amount:f}" for key, amount in worth.by_standing.items()}
    return ClaimRow(
        label=brief.label,
        amounts={key: speak.amounts(text, text).text for key, text in texts.items()},
        deadline=worth.deadline,
        answers=brief.answers,
        left="" if worth.outstanding is None else speak.amounts(*worth.outstanding).text,
    )
