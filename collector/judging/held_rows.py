"""Rows and sums of use held in memory, for settling once: what is up for hours is one row.

They are told as known at a few instants, which must be named before: between two of these it does not matter when a row
became known.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from weighbridge.judge.ledger import HOUR_US, OVERLAY, Row, State, Use


class UnnamedInstantError(ValueError):
    """It was asked for another contract, or for an instant that was not named."""


@dataclass(slots=True)
class _Chain:
    """Rows of one slot, device and chain, in the order in which they became known. `tail_us`: where the last began."""

    rows: list[Row] = field(default_factory=list)
    tail_us: int = 0


@dataclass(slots=True)
class HeldRows:
    """Of one contract, from `since_us` on; what ended before is not held.

    `instants` (rising): those as of which it will be asked, and cut-offs.
    """

    contract: str
    since_us: int
    instants: Sequence[int]
    _chains: dict[tuple[str, int, str, str], _Chain] = field(default_factory=dict)
    _uses: dict[tuple[int, str, str], list[Use]] = field(default_factory=dict)

    def take(self, rows: Iterable[Row], uses: Iterable[Use]) -> None:
        """What a fold has just said."""
        for row in rows:
            if row.contract == self.contract and row.end_us > self.since_us:
                place = (row.node, row.slot, row.device, row.chain)
                self._add(self._chains.setdefault(place, _Chain()), row)
        for use in uses:
            if use.contract == self.contract and use.hour_us + HOUR_US > self.since_us:
                told = self._uses.setdefault(use.key, [])
                if told and self._known(told[-1].recorded_us) == self._known(use.recorded_us):
                    told.pop()
                told.append(use)

    def _known(self, recorded_us: int) -> int:
        """Since which of the instants something is known."""
        return bisect_left(self.instants, recorded_us)

    def _add(self, chain: _Chain, row: Row) -> None:
        last = chain.rows[-1] if chain.rows else None
        if last is None or not self._goes_on(chain, last, row):
            chain.rows.append(row)
        else:
            chain.rows[-1] = replace(
                row,
                start_us=last.start_us,
                end_us=max(last.end_us, row.end_us),
                first_entry=last.first_entry,
            )
        chain.tail_us = row.start_us

    def _goes_on(self, chain: _Chain, last: Row, row: Row) -> bool:
        """Whether the row grows, or goes on where it is up; of what was late each row is told with its entries."""
        if (last.state, last.cause, last.late) != (row.state, row.cause, row.late):
            return False
        if self._known(last.recorded_us) != self._known(row.recorded_us):
            return False
        up = row.state is State.UP and row.chain != OVERLAY and not row.late
        return row.start_us == chain.tail_us or (up and row.start_us == last.end_us)

    def rows(
        self, contract: str, start_us: int, end_us: int, as_of_us: int | None = None
    ) -> Sequence[Row]:
        """Rows that touch [start_us, end_us), by node, slot, device, chain, start. Raises UnnamedInstantError."""
        self._require(contract, as_of_us)
        return [
            row
            for place in sorted(self._chains)
            for row in sorted(self._chains[place].rows, key=lambda row: row.start_us)
            if row.start_us < end_us and row.end_us > start_us
            if as_of_us is None or row.recorded_us <= as_of_us
        ]

    def uses(self, contract: str, start_us: int, end_us: int, as_of_us: int) -> Iterator[Use]:
        """As `Ledger.uses`. Raises UnnamedInstantError."""
        self._require(contract, as_of_us)
        for key in sorted(self._uses):
            known = [use for use in self._uses[key] if use.recorded_us <= as_of_us]
            if known and start_us <= key[0] < end_us:
                yield known[-1]

    def _require(self, contract: str, as_of_us: int | None) -> None:
        named = as_of_us is None or as_of_us in self.instants
        if contract != self.contract or not named:
            raise UnnamedInstantError(f"{contract} as of {as_of_us} microseconds")
