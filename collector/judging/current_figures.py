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


AT_ONCE_ROWS = 1_000
"""So many are read, and worked out, at once: some 20 ms. More are read in a thread."""


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a contract has, being read in a thread; `rows` and `uses` came meanwhile."""

    joined: Joined
    rows: list[Row] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)


def nothing(_contract: str, _start_us: int, _end_us: int) -> int:
    """There is no ledger that takes long."""
    return 0


class Current:
    """The figures of every contract in a book. `ledger` and `uses`: what there is of a contract over [start_us,
    end_us) when they are called, for any thread to go through; `ledger_weight`: how many of both.
    """

    def __init__(
        self,
        book: NoticeBook,
        ledger: Callable[[str, int, int], Iterable[Row]],
        uses: Callable[[str, int, int], Iterable[Use]],
        ledger_weight: Callable[[str, int, int], int] = nothing,
    ) -> None:
        self._book = book
        self._ledger = ledger
        self._uses = uses
        self._ledger_weight = ledger_weight
        self._kept: dict[str, Joined] = {}
        self._coming: dict[str, Reading] = {}

    def write(self, rows: Sequence[Row], uses: Iterable[Use]) -> None:
        """What the folds have just said. Of many rows at a time none are taken in: they are read again, apart."""
        if len(rows) > AT_ONCE_ROWS:
            for name in {row.contract for row in rows}:
                self._kept.pop(name, None)
                self._coming.pop(name, None)
        for row in rows:
            kept = self._kept.get(row.contract)
            if kept is not None and row.end_us > kept.start_us:
                kept.add(row)
            if row.contract in self._coming:
                self._coming[row.contract].rows.append(row)
        for use in uses:
            kept = self._kept.get(use.contract)
            if kept is not None:
                kept.take_in(use)
            if use.contract in self._coming:
                self._coming[use.contract].uses.append(use)

    def reading(self, contract: Contract, now_us: int) -> Callable[[], None] | None:
        """What reads the contract's rows, in any thread; None where they are at hand, or few. Then `take_over`."""
        name, (start_us, least) = contract.contract_id, self._reach(self._periods(contract, now_us))
        if self._is_kept(name, start_us, least):
            return None
        if self._ledger_weight(name, start_us, now_us) <= AT_ONCE_ROWS:
            return None
        joined = Joined(start_us, least)
        self._coming[name] = Reading(joined)
        rows, uses = self._ledger(name, start_us, now_us), self._uses(name, start_us, now_us)
        return lambda: _read(joined, rows, uses)

    def take_over(self, contract: str) -> None:
        """What was read is whole now: with what came meanwhile. Where that was much it is to be read again."""
        read = self._coming.pop(contract, None)
        if read is None:
            return
        for row in read.rows:
            if row.end_us > read.joined.start_us:
                read.joined.add(row)
        for use in read.uses:
            read.joined.take_in(use)
        self._kept[contract] = read.joined

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
        start_us, least = self._reach(known)
        return known, self._joined(contract.contract_id, start_us, least, now_us)

    def _reach(
        self, periods: Iterable[tuple[ContractRecord, Period, Sequence[str]]]
    ) -> tuple[int, Fraction]:
        """From when on rows are wanted, and below which share of samples an hour is thin."""
        known = list(periods)
        starts_us = (reach_us(record.versions, period)[0] for record, period, _ in known)
        leasts = (record.newest.evidence.least_coverage for record, *_ in known)
        return min(starts_us, default=0), max(leasts, default=Fraction(0))

    def _is_kept(self, contract: str, start_us: int, least: Fraction) -> bool:
        kept = self._kept.get(contract)
        return kept is not None and (kept.start_us, kept.least) == (start_us, least)

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
        if not self._is_kept(contract, start_us, least):
            joined = self._kept[contract] = Joined(start_us, least)
            rows = self._ledger(contract, start_us, now_us)
            _read(joined, rows, self._uses(contract, start_us, now_us))
        return self._kept[contract]


def _read(joined: Joined, rows: Iterable[Row], uses: Iterable[Use]) -> None:
    for row in rows:
        joined.add(row)
    for use in uses:
        joined.take_in(use)
