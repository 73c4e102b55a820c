"""The first reading of a log for a bundle: which statement it is to hold, and what that rests on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from collector.bundling.selection import Survey
from collector.judging.held_rows import HeldRows
from collector.judging.resettling import Reach, Resettling, reach_of
from collector.judging.statements import StatementError
from collector.storage.received import first_tick_after
from collector.storage.store import EvidenceLog, StoreInfo
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.log.checkpoint import Head, read_head
from weighbridge.log.entries import Issued, StampedHead, entry
from weighbridge.log.succession import open_succession

READ_ENTRIES = 512
DAY_US = 86_400 * MICROSECONDS
Progress = Callable[[int], None]
"""Told how many entries were read."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """`issued`: the newest statement that was handed out as of the instant, and where the log has its digest.

    `size`: of the head under which the bundle is proven; `heads`: those that were cosigned or have a timestamp, up to
    that, by size; `stamps`: the timestamps, by size.
    """

    survey: Survey
    size: int
    heads: Mapping[int, Head]
    stamps: Mapping[int, StampedHead]
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
    _require_whole(survey, as_of_s * MICROSECONDS)
    reach = reach_of(survey.settling.ask(period, as_of_s))
    end = first_tick_after(log, as_of_s * MICROSECONDS) + 1
    end = end if issued is None else max(end, issued[0] + 1)
    end = max(end, *(open_succession(leaf).index + 1 for leaf in survey.announced), 0)
    newest = survey.cosigned[-1][1].size if survey.cosigned else 0
    size = newest if newest >= end else size
    stamps = _stamps(survey.stamped, size)
    heads = {of: read_head(stamp.note) for of, stamp in stamps.items()}
    heads |= _heads(survey.cosigned, size)
    return Surveyed(survey, size, heads, stamps, issued, as_of_s, reach)


def _heads(cosigned: Sequence[tuple[int, Head]], size: int) -> Mapping[int, Head]:
    """The last cosigned head of each UTC day, and the newest."""
    last = {received_us // DAY_US: head for received_us, head in cosigned if head.size <= size}
    return {head.size: head for head in last.values()}


def _require_whole(survey: Survey, as_of_us: int) -> None:
    gone = sorted(survey.gone & survey.sight(as_of_us).seen().keys())
    if gone:
        left = f"reports of {', '.join(gone)} have left the store (weighbridge retain)"
        raise StatementError(f"{left}: a bundle would lack what its statement rests on")


def _stamps(stamped: Sequence[tuple[int, StampedHead]], size: int) -> Mapping[int, StampedHead]:
    """The last of each UTC day, and the newest."""
    sized = [(at_us, read_head(one.note).size, one) for at_us, one in stamped]
    last = {at_us // DAY_US: (of, one) for at_us, of, one in sized if of <= size}
    return dict(last.values())


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
