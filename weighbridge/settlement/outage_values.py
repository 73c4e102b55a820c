"""What an outage is worth: the part of its beginning and that of its end.

So the best of many outages is found without a look at every pair of a beginning and an end. How an outage is paid has
stages: too short, long enough, at its cap. A later beginning is at the same stage or an earlier one, a later end at the
same or a later one. Within a stage the worth is the sum of both parts.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import Protocol

from weighbridge.contract.objectives import MINUTE_S
from weighbridge.settlement.intervals import Interval, Intervals

Worth = Fraction | int


class OutageValue(Protocol):
    """What outages are worth. At stage 0 one is worth nothing."""

    def stage(self, begun_s: int, end_s: int) -> int: ...

    def opened(self, stage: int, begun_s: int) -> tuple[int, Worth]:
        """The part of the beginning, and a kind: beginnings of one kind differ by their part alone."""
        ...

    def closed(self, stage: int, kind: int, end_s: int) -> Worth:
        """The part of the end."""
        ...


def worth_of(value: OutageValue, outage: Interval) -> Worth:
    """Of one outage."""
    stage = value.stage(*outage)
    if not stage:
        return 0
    kind, opened = value.opened(stage, outage[0])
    return opened + value.closed(stage, kind, outage[1])


class JudgedTime:
    """The judged time before an instant, and the first of it from an instant on."""

    def __init__(self, judged: Intervals) -> None:
        self._judged = judged
        self._starts = [start for start, _ in judged]
        self._before = [0, *accumulate(end - start for start, end in judged)]

    def until_s(self, instant: int) -> int:
        place = bisect_right(self._starts, instant)
        if not place:
            return 0
        start, end = self._judged[place - 1]
        return self._before[place - 1] + min(end, instant) - start

    def first_s(self, instant: int) -> int | None:
        place = bisect_right(self._starts, instant)
        if place and instant < self._judged[place - 1][1]:
            return instant
        return self._starts[place] if place < len(self._starts) else None


@dataclass(frozen=True, slots=True)
class OutageRules:
    """How an objective judges any outage. `judged`: of the service up to the end of the period, what is not excluded.

    `reach_s`: where outages begin to matter. `free_s`: of each outage, its first seconds.
    """

    judged: JudgedTime
    reach_s: int
    free_s: int
    long_enough: Callable[[int], bool]

    def until_s(self, instant: int) -> int:
        return self.judged.until_s(instant)

    def since_s(self, begun_s: int) -> int:
        """The judged time before what counts of an outage, in the period or before it."""
        return self.judged.until_s(begun_s + self.free_s)

    def inside_s(self, begun_s: int) -> int:
        """The judged time before what counts of an outage in the period."""
        return self.judged.until_s(max(self.reach_s, begun_s + self.free_s))

    def counts(self, begun_s: int, end_s: int) -> bool:
        long = self.long_enough(end_s - begun_s)
        return long and self.until_s(end_s) > self.inside_s(begun_s)


@dataclass(frozen=True, slots=True)
class StartedMinutes:
    """Seconds of the minutes of each outage, a started one as a whole. A kind: the second of the minute."""

    rules: OutageRules

    def stage(self, begun_s: int, end_s: int) -> int:
        return int(self.rules.counts(begun_s, end_s))

    def opened(self, _stage: int, begun_s: int) -> tuple[int, Worth]:
        minutes, second = divmod(self.rules.inside_s(begun_s), MINUTE_S)
        return second, -minutes * MINUTE_S

    def closed(self, _stage: int, kind: int, end_s: int) -> Worth:
        minutes, second = divmod(self.rules.until_s(end_s), MINUTE_S)
        return (minutes + (second > kind)) * MINUTE_S


@dataclass(frozen=True, slots=True)
class PaidBySecond:
    """A price for each second, up to a cap: by all seconds of an outage, less what those before the period gave."""

    rules: OutageRules
    second_price: Fraction
    cap: Fraction | None

    def paid(self, seconds: int) -> Fraction:
        amount = self.second_price * seconds
        return amount if self.cap is None else min(amount, self.cap)

    def stage(self, begun_s: int, end_s: int) -> int:
        if not self.rules.counts(begun_s, end_s):
            return 0
        seconds = self.rules.until_s(end_s) - self.rules.since_s(begun_s)
        return 2 if self.cap is not None and self.second_price * seconds >= self.cap else 1

    def opened(self, stage: int, begun_s: int) -> tuple[int, Worth]:
        since = self.rules.since_s(begun_s)
        before = self.paid(max(0, self.rules.until_s(self.rules.reach_s) - since))
        most = self.cap if stage == 2 and self.cap is not None else -self.second_price * since
        return 0, most - before

    def closed(self, stage: int, _kind: int, end_s: int) -> Worth:
        return self.second_price * self.rules.until_s(end_s) if stage == 1 else 0


MANY = 10**9
"""More outages than a period has seconds for."""


@dataclass(frozen=True, slots=True)
class PaidByEvent:
    """One that is long enough is worth more than any number of others, which only count."""

    rules: OutageRules
    period_start_s: int
    longer_than_s: int | None

    def stage(self, begun_s: int, end_s: int) -> int:
        if not self.rules.counts(begun_s, end_s):
            return 0
        longer = self.longer_than_s
        return 2 if longer is not None and end_s - begun_s > longer else 1

    def opened(self, stage: int, begun_s: int) -> tuple[int, Worth]:
        """One that begins before the period, and counts from its first instant on, belongs to the period before."""
        first = self.rules.judged.first_s(max(self.rules.reach_s, begun_s + self.rules.free_s))
        mine = begun_s >= self.period_start_s or (first is not None and first > self.period_start_s)
        return 0, (1 + MANY * (stage == 2)) * mine

    def closed(self, _stage: int, _kind: int, _end_s: int) -> Worth:
        return 0
