"""Which judges made the rows of a ledger: the version of the judging and the tables that it read, each since when.

A ledger outlives the program that wrote it. Rows of an older judge stay as they were said, and a statement names every
judge whose rows it may hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby
from operator import itemgetter

from weighbridge.catalogue import tables
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.node import JUDGE
from weighbridge.log.entries import JudgedBy, VersionSince
from weighbridge.settlement.periods import exact_instant


@dataclass(frozen=True, slots=True)
class Office:
    """A judge, and from which tick on it judged."""

    since_us: int
    judge: str
    tables: str


def current(since_us: int) -> Office:
    """This program's."""
    return Office(since_us, JUDGE, tables.digest())


@dataclass(slots=True)
class Judges:
    """In the order in which they judged. The last one judges now."""

    held: list[Office] = field(default_factory=list)

    def take_over(self, judge: Office) -> None:
        """`judge` judges from its tick on, if it does not already."""
        last = self.held[-1] if self.held else None
        if last is None or (last.judge, last.tables) != (judge.judge, judge.tables):
            self.held.append(judge)

    def of(self, since_us: int, as_of_us: int) -> JudgedBy:
        """Those who judged at any time in [since_us, as_of_us]."""
        begun = [office for office in self.held if office.since_us <= as_of_us]
        ended = sum(1 for office in begun[1:] if office.since_us <= since_us)
        mine = begun[ended:]
        return JudgedBy(
            _listed([(one.since_us, one.judge) for one in mine]),
            _listed([(one.since_us, one.tables) for one in mine]),
        )


def _listed(named: Sequence[tuple[int, str]]) -> tuple[VersionSince, ...]:
    begun = [next(same) for _, same in groupby(named, key=itemgetter(1))]
    return tuple(
        VersionSince(name, _instant(since_us) if number else None)
        for number, (since_us, name) in enumerate(begun)
    )


def _instant(at_us: int) -> str:
    return exact_instant(Fraction(at_us, MICROSECONDS))
