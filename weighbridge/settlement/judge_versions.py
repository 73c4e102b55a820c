"""Which judges made the rows of a ledger: the version of the judging and the tables that it read, each since when.

A ledger outlives the program that wrote it. Rows of an older judge stay as they were said, and a statement names every
judge whose rows it may hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pydantic import TypeAdapter

from weighbridge.catalogue import tables
from weighbridge.contract.scalars import MICROSECONDS
from weighbridge.judge.node import JUDGE
from weighbridge.settlement.periods import exact_instant
from weighbridge.settlement.statement import UNNAMED, JudgedBy


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

    def take_over(self, now_us: int, judge: Office) -> None:
        """`judge` judges from now on, if it does not already. `now_us` 0: nothing was judged before."""
        if not self.held and now_us > 0:
            self.held.append(Office(0, UNNAMED, UNNAMED))
        last = self.held[-1] if self.held else None
        if last is None or (last.judge, last.tables) != (judge.judge, judge.tables):
            self.held.append(judge)

    def of(self, since_us: int, as_of_us: int) -> JudgedBy:
        """Those who judged at any time in [since_us, as_of_us], the later ones with the instant of their beginning."""
        begun = [office for office in self.held if office.since_us <= as_of_us]
        ended = sum(1 for office in begun[1:] if office.since_us <= since_us)
        mine = begun[ended:]
        return JudgedBy(
            _listed([(one.since_us, one.judge) for one in mine]),
            _listed([(one.since_us, one.tables) for one in mine]),
        )


def _listed(named: Sequence[tuple[int, str]]) -> str:
    """`a, b since T`: names that go on are not repeated."""
    told: list[str] = []
    last = ""
    for since_us, name in named:
        if name != last:
            told.append(f"{name} since {_instant(since_us)}" if told else name)
        last = name
    return ", ".join(told) or UNNAMED


def _instant(at_us: int) -> str:
    return exact_instant(Fraction(at_us, MICROSECONDS))


_HELD = TypeAdapter(list[Office])


def dump(judges: Judges) -> bytes:
    """As JSON."""
    return _HELD.dump_json(judges.held)


def restore(data: bytes) -> Judges:
    """What `dump` wrote."""
    return Judges(_HELD.validate_json(data))
