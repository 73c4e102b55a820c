"""How contracts stand in their periods under way, kept up from the rows as they are written.

Judges nothing by itself: of what is kept it makes the case that a statement would be made from.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from weighbridge.contract import Contract
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.ledger import Row, State, Use
from weighbridge.judge.track import full_second
from weighbridge.judge.usage import is_thin
from weighbridge.notices.book import ContractRecord, NoticeBook
from weighbridge.settlement.case import parts_of, reach_us
from weighbridge.settlement.figures import Figure, figures, labels_at, promised_in
from weighbridge.settlement.periods import Period

Figures = Mapping[str, Figure]
"""By objective."""

MOST_ROWS = 100_000
"""Of one contract, joined. Beyond that they are not held, and its figures are not worked out while the period lasts."""


@dataclass(slots=True)
class Joined:
    """Rows from `start_us` on. What touches and says the same is one row, so a month of hours that were up is one.

    `thin`: the hours of which less than the `least` share rests on samples.
    """

    start_us: int
    least: Fraction = Fraction(0)
    rows: dict[tuple[str, int, str, str], list[Row]] = field(default_factory=dict)
    thin: dict[tuple[int, str, str], Use] = field(default_factory=dict)
    count: int = 0

    def add(self, row: Row) -> None:
        """It counts as known for ever."""
        if self.count > MOST_ROWS:
            return
        mine = self.rows.setdefault((row.node, row.slot, row.device, row.chain), [])
        last = mine[-1] if mine else None
        if last is None or _says(last) != _says(row) or last.end_us != row.start_us:
            mine.append(replace(row, recorded_us=0))
            self._counted()
        else:
            mine[-1] = replace(last, end_us=row.end_us)

    def _counted(self) -> None:
        self.count += 1
        if self.count > MOST_ROWS:
            self.rows.clear()

    def take_in(self, use: Use) -> None:
        """A later one of an hour replaces it."""
        if is_thin(use, self.least):
            self.thin[use.key] = use
        else:
            self.thin.pop(use.key, None)

    def every(self) -> Iterator[Row]:
        """All of them."""
        return (row for rows in self.rows.values() for row in rows)


def _says(row: Row) -> tuple[State, str, bool]:
    return row.state, row.cause, row.late


class Current:
    """The figures of every contract in a book. `ledger` and `uses`: what there is of a contract over [start_us,
    end_us)."""

    def __init__(
        self,
        book: NoticeBook,
        ledger: Callable[[str, int, int], Iterable[Row]],
        uses: Callable[[str, int, int], Iterable[Use]],
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._uses = uses
        self._kept: dict[str, Joined] = {}

    def write(self, rows: Iterable[Row], uses: Iterable[Use]) -> None:
        """What the folds have just said."""
        for row in rows:
            kept = self._kept.get(row.contract)
            if kept is not None and row.end_us > kept.start_us:
                kept.add(row)
        for use in uses:
            kept = self._kept.get(use.contract)
            if kept is not None:
                kept.take_in(use)

    def weight(self, contract: Contract, now_us: int) -> int:
        """How many rows its figures are made from, as far as they are written."""
        return self._known(contract, now_us)[1].count

    def prepared(
        self, contract: Contract, growing: Sequence[Row], now_us: int
    ) -> Callable[[], Figures]:
        """Works out the objectives that hold in a part of their period, wherever it is called. `contract`: the version
        in force.

        `growing`: rows that are not written yet.
        """
        as_of_us = full_second(now_us)
        known, kept = self._known(contract, now_us)
        rows = [*kept.every(), *growing]
        thin = list(kept.thin.values())

        def work() -> Figures:
            settled = [replace(row, recorded_us=0) for row in rows]
            return {
                objective: figure
                for record, period, wanted in known
                for objective, figure in figures(
                    record.case(settled, period, as_of_us, thin), wanted
                )
            }

        return work

    def figures(self, contract: Contract, growing: Sequence[Row], now_us: int) -> Figures:
        """The same, at once."""
        return self.prepared(contract, growing, now_us)()

    def _known(
        self, contract: Contract, now_us: int
    ) -> tuple[list[tuple[ContractRecord, Period, Sequence[str]]], Joined]:
        known = list(self._periods(contract, now_us))
        starts_us = (reach_us(record.versions, period)[0] for record, period, _ in known)
        leasts = (record.newest.evidence.least_coverage for record, *_ in known)
        start_us, least = min(starts_us, default=0), max(leasts, default=Fraction(0))
        return known, self._joined(contract.contract_id, start_us, least, now_us)

    def _periods(
        self, contract: Contract, now_us: int
    ) -> Iterator[tuple[ContractRecord, Period, Sequence[str]]]:
        """The periods under way in which objectives hold, and which these are."""
        name = contract.contract_id
        versions = self._book.versions(name, now_us)
        labels = labels_at(contract, versions, full_second(now_us) // MICROSECONDS)
        for label, wanted in labels.items():
            found = self._book.of_period(name, label, now_us)
            if found is not None and promised_in(parts_of(found[0].versions, found[1]), wanted):
                yield *found, wanted

    def _joined(self, contract: str, start_us: int, least: Fraction, now_us: int) -> Joined:
        kept = self._kept.get(contract)
        if kept is None or (kept.start_us, kept.least) != (start_us, least):
            kept = self._kept[contract] = Joined(start_us, least)
            for row in self._ledger(contract, start_us, now_us):
                kept.add(row)
            for use in self._uses(contract, start_us, now_us):
                kept.take_in(use)
        return kept
