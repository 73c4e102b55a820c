"""The first reading of a log for a bundle: which statement it is to hold, and what that rests on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from collector.bundling.selection import Survey
from collector.judging.held_rows import HeldRows
from collector.judging.resettling import Reach, Resettling, reach_of
from collector.storage.store import EvidenceLog, StoreInfo
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.entries import Issued, entry

READ_ENTRIES = 512
Progress = Callable[[int], None]
"""Told how many entries were read."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`issued`: the newest statement that was handed out as of the instant, and where the log has its digest."""

    survey: Survey
    size: int
    issued: tuple[int, Issued] | None
    as_of_s: int
    reach: Reach


def survey_log(
    log: EvidenceLog,
    info: StoreInfo,
    contract: str,
    period: str,
    as_of_s: int | None,
    progress: Progress,
) -> Surveyed:
    """Without `as_of_s`: as of the newest statement of the period that was issued, else of the newest second.

    Raises StatementError, CorruptStore.
    """
    size = log.size
    survey = Survey(contract, Resettling(info, HeldRows(contract, 0, ())))
    for index, leaf in leaves(log, size, progress):
        survey.take(entry(index, leaf))
    issued = _newest(survey, period, as_of_s)
    if as_of_s is None:
        newest_s = survey.settling.newest_s
        as_of_s = newest_s if issued is None else issued[1].as_of_us // MICROSECONDS
    reach = reach_of(survey.settling.ask(period, as_of_s))
    return Surveyed(survey, size, issued, as_of_s, reach)


def leaves(log: EvidenceLog, size: int, progress: Progress) -> Iterator[tuple[int, bytes]]:
    """The first entries of a log, each with its index."""
    for first in range(0, size, READ_ENTRIES):
        yield from enumerate(log.leaves(first, min(READ_ENTRIES, size - first)), first)
        progress(min(first + READ_ENTRIES, size))


def _newest(survey: Survey, period: str, as_of_s: int | None) -> tuple[int, Issued] | None:
    found = [
        (index, one)
        for index, one in survey.issued.items()
        if (one.contract, one.period) == (survey.contract, period)
        and (as_of_s is None or one.as_of_us == as_of_s * MICROSECONDS)
    ]
    return found[-1] if found else None
