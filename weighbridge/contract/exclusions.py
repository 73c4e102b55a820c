"""Time that does not count against the provider, and who has to show it."""

from collections.abc import Iterator
from typing import Literal

from weighbridge.contract.scalars import Maybe, Name, Switch, Text, Whole, Zone
from weighbridge.contract.terms import Terms, clause, describes, part

MINUTES_OF_DAY = 1440

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class LocalHours(Terms):
    """Hours by the clock of a place: when maintenance is allowed, or when people work."""

    days: tuple[Weekday, ...] = clause("Local weekdays on which it begins; empty: all.", default=())
    from_minute: Whole = clause("First minute of the local day.")
    to_minute: Whole = clause(
        "First minute after the window: of the same local day, or, where it lies before from_minute, of the next."
    )
    zone: Zone = clause("A place, not an offset: an offset is an hour wrong for half of the year.")

    @property
    def ends_next_day(self) -> bool:
        """Whether it goes past midnight."""
        return self.to_minute < self.from_minute

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.from_minute >= MINUTES_OF_DAY:
            yield "from_minute", f"must be a minute of the day, below {MINUTES_OF_DAY}"
        if self.to_minute == self.from_minute or self.to_minute > MINUTES_OF_DAY:
            yield "to_minute", f"must not be from_minute, and at most {MINUTES_OF_DAY}"


class Maintenance(Terms):
    """Planned work. A window counts only if its notice was received in time."""

    min_notice_s: Whole = clause("Least time from receipt of the notice to the start.")
    channel: Maybe[Text] = clause(
        "Channel by which notice is given, in words.",
        reader=describes("notices of work come through the collector"),
        default=None,
    )
    max_s_per_period: Maybe[Whole] = clause(
        "Seconds of service of a period that may be used up for each unit, in order of time.",
        default=None,
    )
    max_count_per_year: Maybe[Whole] = clause(
        "Windows in a calendar year, for each unit; one outside its service is none.", default=None
    )
    windows: tuple[LocalHours, ...] = clause("When it is allowed; empty: always.", default=())
    treat: Literal["excluded", "down"] = clause("What work told of in time is.", default="excluded")
    emergency: Literal["down", "excluded"] = clause(
        "What work not told of in time is.", default="down"
    )


class ExcludedCause(Terms):
    """A cause that excludes time."""

    code: Name = clause("Code of the cause, as intervals and notices name it.")
    proven_by: Literal["provider", "lessee"] = clause(
        "Who must prove it.",
        reader=describes("a cause counts once the lessee has said it too, whoever had to prove it"),
        default="provider",
    )


class Exclusions(Terms):
    """Causes that exclude time, and what wins where a fault and such a cause meet. What is excluded is taken from
    bad time before outages are made of it."""

    causes: tuple[ExcludedCause, ...] = clause("Causes that exclude time.", default=())
    concurrent_cause: Literal["exclusion_wins", "provider_fault_wins"] = clause(
        "Which holds while a fault and an excluded cause last together. Over announced maintenance, and over time"
        " that a policy excludes, no fault wins.",
        default="exclusion_wins",
    )
    downtime_excluded: Switch = clause(
        "Whether the text excludes downtime itself, and so promises nothing.",
        reader=part("loading"),
        default=False,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.downtime_excluded:
            yield (
                "downtime_excluded",
                "downtime excluded from downtime: the objective promises nothing",
            )
