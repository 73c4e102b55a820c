"""What parties said of why something was not up, laid over the rows that it concerns."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from operator import itemgetter

from weighbridge.judge.ledger import Row, State
from weighbridge.log.entries import CauseNotice

EXPLAINED = frozenset({State.DOWN, State.DEGRADED, State.UNKNOWN})


class Causes:
    """Causes by their unit and time: a party may have said thousands, and most concern few rows."""

    def __init__(self, causes: Iterable[CauseNotice]) -> None:
        by_unit: dict[str, list[tuple[int, int, CauseNotice]]] = {}
        for number, cause in enumerate(causes):
            by_unit.setdefault(cause.unit, []).append((cause.from_us, number, cause))
        self._by_unit = {unit: sorted(told) for unit, told in by_unit.items()}
        self._until_us = {
            unit: list(accumulate((cause.until_us for *_, cause in told), max))
            for unit, told in self._by_unit.items()
        }

    def explained(self, row: Row) -> list[Row]:
        """The row, or what it falls into, with the causes that were said of it."""
        parts = [row]
        for cause in self._over(row):
            parts = [piece for part in parts for piece in _explained(part, cause)]
        return parts

    def _over(self, row: Row) -> list[CauseNotice]:
        """Those that may concern a row, in the order in which they were said."""
        found = []
        for unit in ("", row.node, f"{row.node}.{row.slot}"):
            told, until_us = self._by_unit.get(unit, ()), self._until_us.get(unit, ())
            place = bisect_left(told, (row.end_us,))
            while place > 0 and until_us[place - 1] > row.start_us:
                place -= 1
                found.append(told[place][1:])
        return [cause for _, cause in sorted(found, key=itemgetter(0))]


def _explained(row: Row, cause: CauseNotice) -> Iterator[Row]:
    """The row, cut where the cause begins and ends."""
    start_us, end_us = max(row.start_us, cause.from_us), min(row.end_us, cause.until_us)
    place = f"{row.node}.{row.slot}"
    if row.state not in EXPLAINED or cause.unit not in ("", row.node, place) or start_us >= end_us:
        yield row
        return
    if row.start_us < start_us:
        yield replace(row, end_us=start_us)
    yield replace(row, start_us=start_us, end_us=end_us, cause=cause.code)
    if end_us < row.end_us:
        yield replace(row, start_us=end_us)
