"""What parties said of why something was not up, laid over the rows that it concerns."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from heapq import heappop, heappush
from itertools import accumulate, pairwise

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
        """The row, or what it falls into where causes begin and end: of several the one that was said last."""
        told = self._over(row) if row.state in EXPLAINED else []
        if not told:
            return [row]
        waiting = deque(sorted(told, key=lambda one: one[1].from_us))
        edges = {row.start_us, row.end_us}
        for _, cause in told:
            edges |= {max(row.start_us, cause.from_us), min(row.end_us, cause.until_us)}
        pieces, heap = [], list[tuple[int, int, str]]()
        for start_us, end_us in pairwise(sorted(edges)):
            while waiting and waiting[0][1].from_us <= start_us:
                number, cause = waiting.popleft()
                heappush(heap, (-number, cause.until_us, cause.code))
            while heap and heap[0][1] <= start_us:
                heappop(heap)
            code = heap[0][2] if heap else row.cause
            pieces.append(replace(row, start_us=start_us, end_us=end_us, cause=code))
        return pieces

    def _over(self, row: Row) -> list[tuple[int, CauseNotice]]:
        """Those that concern a row, each with its place in the order in which they were said."""
        found = []
        for unit in ("", row.node, f"{row.node}.{row.slot}"):
            told, until_us = self._by_unit.get(unit, ()), self._until_us.get(unit, ())
            place = bisect_left(told, (row.end_us,))
            while place > 0 and until_us[place - 1] > row.start_us:
                place -= 1
                if told[place][2].until_us > row.start_us:
                    found.append(told[place][1:])
        return found
