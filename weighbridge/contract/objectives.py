"""What is promised over time, and how time is counted."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, ClassVar, Literal

from weighbridge.contract.condition import Condition
from weighbridge.contract.scalars import MICROSECONDS, Count, Maybe, Micros, Name, Target, Whole
from weighbridge.contract.terms import Reader, Terms, clause, key, part

Policy = Literal["down", "up", "excluded", "hold"]
Op = Literal[">", ">="]
DayCount = Literal["calendar_days", "working_days"]
UnitKind = Literal["gpu", "node", "nvlink_domain", "cluster", "feed", "service"]
PeriodKind = Literal[
    "calendar_month",
    "calendar_quarter",
    "calendar_year",
    "contract_month",
    "contract_quarter",
    "contract_year",
    "rolling",
]

MONTHS: Mapping[PeriodKind, int] = {
    "calendar_month": 1,
    "contract_month": 1,
    "calendar_quarter": 3,
    "contract_quarter": 3,
    "calendar_year": 12,
    "contract_year": 12,
}
"""How many months a period has."""

SHORTEST_DAYS = {1: 28, 3: 90, 12: 365}
SHORTEST_S: Mapping[PeriodKind, int] = {
    kind: SHORTEST_DAYS[months] * 86400 - 3600 for kind, months in MONTHS.items()
} | {"rolling": 0}
"""No period of the kind is shorter, a clock change counted."""

DEFAULT_INTERVAL_US = 10_000_000

MINUTE_S = 60


class MinOutage(Terms):
    """An outage counts from this length on."""

    seconds: Count = clause("Length of the whole outage in service, not cut at a period's border.")
    op: Op = clause("`>=`: this length counts; `>`: it does not. No default: contracts differ.")


class CountedIntervals(Terms):
    """Intervals that follow one another from the first instant of the period, each down as a whole or up as a whole.

    One that is cut, by a border of the period or of service or by excluded time, is judged by what is left of it, and
    counts for that. Where units are pooled, the share lost is that of all of them together. Where each interval counts
    by the share of it that was lost, as in a mean of five-minute error rates, that is exact seconds: `second`; of error
    rates of requests it is a performance objective, `mean_error`.
    """

    length_s: Count = clause("Length of one.", default=300)
    down_share: Target = clause("Share of an interval that is lost from which it is down.")
    op: Op = clause("`>=`: at exactly this share it is down; `>`: it is not. No default.")


class Counting(Terms):
    """How bad time becomes counted time."""

    granularity: Literal[
        "second",
        "outage_minutes_ceil",
        "outage_minutes_floor",
        "clock_minutes_touched",
        "clock_minutes_full",
        "intervals",
    ] = clause(
        "Exact seconds; each outage rounded to whole minutes, on each side of a border by what lies there; whole"
        " minutes of the clock; or whole intervals.",
        default="second",
    )
    intervals: Maybe[CountedIntervals] = clause(
        "For intervals: how long they are, and when one is down.", default=None
    )
    min_outage: Maybe[MinOutage] = clause("Shorter outages do not count.", default=None)
    merge_gap_s: Whole = clause(
        "Outages at most so far apart are one, and the gap counts: of what is excluded in it the length alone. Must be"
        " written beside min_outage.",
        default=0,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.min_outage is not None and "merge_gap_s" not in self.model_fields_set:
            yield "", "min_outage without merge_gap_s: repeated short outages would never count"
        if (self.granularity == "intervals") != (self.intervals is not None):
            yield "intervals", "belong to granularity intervals, and only there"

    @property
    def step_s(self) -> int:
        """The smallest difference of counted time."""
        if self.intervals is not None:
            return self.intervals.length_s
        return 1 if self.granularity == "second" else MINUTE_S


class Availability(Terms):
    """An objective: each unit's share of up time over the period is at least `target`."""

    id: Name = clause("Name of the objective.")
    unit: UnitKind = clause("Kind of unit that is judged.", default="node")
    resource: Maybe[Name] = clause("Of which line item; none: of all.", default=None)
    scope: Literal["per_unit", "all_of", "k_of_n", "pooled"] = clause(
        "Each alone; up while all are; up while k are; average over all.", default="per_unit"
    )
    k: Maybe[Count] = clause("For k_of_n: how many must be up.", default=None)
    target: Target = clause("Lowest share; met at exactly this share.")
    period: PeriodKind = clause(
        "Time over which the share is taken. Statements of such periods judge and pay it, and no others; these show it"
        " so far, one of a year from the first day of the year in which they end: `SO_FAR`.",
        default="calendar_month",
    )
    window_s: Maybe[Count] = clause(
        "For rolling: its length. The worst window that ends in the period of a bill is judged.",
        default=None,
    )
    counting: Counting = clause("How bad seconds become counted seconds.", default=Counting())
    clock_start: Literal["first_bad_sample", "notice", "confirmation"] = clause(
        "Event from which an outage counts.", default="first_bad_sample"
    )
    first_n_s: Whole = clause(
        "Bad seconds that do not count, by first_n_per; where units are pooled, so many for each, for all together.",
        default=0,
    )
    first_n_per: Literal["period", "outage"] = clause(
        "Whether free seconds are given for each period, taken from its sum alone, or for each outage, of which they"
        " are the first, on whichever side of a border; one with no others is none.",
        default="period",
    )
    denominator: Literal["period", "period_minus_excluded", "service_time"] = clause(
        "Divided by: the whole period; the time of service in it, less what of that is excluded; or the time of"
        " service in it.",
        default="service_time",
    )
    degraded: Literal["down", "up"] = clause("What degraded time counts as.", default="down")
    up_when: Maybe[Condition] = clause(
        "States that a unit needs to be up; none: all that is watched. Other causes count as without it. `reachable` is"
        " what a quorum of `evidence.witnesses` says, where there are any.",
        default=None,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if (self.scope == "k_of_n") != (self.k is not None):
            yield "k", "belongs to scope k_of_n, and only there"
        if (self.period == "rolling") != (self.window_s is not None):
            yield "window_s", "belongs to period rolling, and only there"
        elif self.window_s is not None and self.counting.granularity != "second":
            yield "counting.granularity", "a window that moves counts exact seconds"
        elif self.window_s is not None and self.denominator == "period_minus_excluded":
            yield "denominator", "a window that moves is always divided by its length"
        elif self.resolution_s() < self.counting.step_s:
            yield "target", "has more digits than the counting can resolve"

    def resolution_s(self) -> Fraction:
        """Seconds that the last digit of the target is worth in the shortest period."""
        shortest = self.window_s if self.window_s is not None else SHORTEST_S[self.period]
        return Fraction(shortest, self.target.denominator)


class Unknown(Terms):
    """Who bears time that nobody saw. `hold` reports a range and leaves it to the burden of proof: the least and the
    most that a credit gives over all readings, in each of which every held stretch, as a whole, was up or down.

    Of a credit by outages that is owed under a missed objective alone, the most of a unit with over 50 stretches is
    that of all readings, met or not: it may be too high, never too low; `highest_of_many_readings` is its flag."""

    policy: Policy = clause("What unknown time counts as. No default.")
    by_cause: Mapping[Name, Policy] = clause("Other policies for named causes.", default={})
    contested: Policy = clause("What time under an identity conflict counts as.", default="hold")


def _three_intervals(data: dict[str, Any]) -> int:
    return 3 * int(data.get("interval_us", DEFAULT_INTERVAL_US))


SHORTEST_HEARD_US = 300_000_000
"""An agent that is restarted, or tries again after a failure, is heard within this."""


def _heard_within(data: dict[str, Any]) -> int:
    return max(SHORTEST_HEARD_US, 4 * int(data.get("max_gap_us", 0)))


class Sampling(Terms):
    """A sample covers the time to the next one if that comes within max_gap."""

    READ_BY: ClassVar[Reader] = part("judge")

    interval_us: Micros = key("interval_s", "Time between samples.", default=DEFAULT_INTERVAL_US)
    max_gap_us: Micros = key(
        "max_gap_s",
        "Longest gap that is bridged; by default 3 intervals.",
        default_factory=_three_intervals,
    )
    first_report_within_us: Micros = key(
        "first_report_within_s",
        "Grace for the first report after the start.",
        default=3_600_000_000,
    )

    heard_within_us: Micros = key(
        "heard_within_s",
        "What is first heard later than this after its time is late; by default 4 max_gap, and 300 at least.",
        default_factory=_heard_within,
    )

    @property
    def cadence_us(self) -> int:
        """How far apart two agents that keep the cadence may see one change: an interval, and a second of jitter."""
        return self.interval_us + MICROSECONDS

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.interval_us == 0:
            yield "interval_s", "must be above 0"
        if self.max_gap_us < self.interval_us:
            yield "max_gap_s", "is shorter than one interval"
        if self.heard_within_us < self.max_gap_us:
            yield "heard_within_s", "is shorter than max_gap_s"
