"""What is owed when a promise is broken. Percentages are exact: `pct: 12.5` is an eighth."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Tag, model_validator

from weighbridge.catalogue.currencies import DECIMALS, currencies
from weighbridge.contract.objectives import DayCount, Op
from weighbridge.contract.pricing import Proration
from weighbridge.contract.scalars import (
    Amount,
    Count,
    Maybe,
    Name,
    Ratio,
    Share,
    Switch,
    Text,
    Whole,
    Zone,
)
from weighbridge.contract.terms import Terms, clause, describes, part

Steps = Literal["floor", "ceil"]
Mode = Literal["half_up", "half_even", "down"]

KIND = "kind="
"""Starts the tag of each kind of credit, which tells it from a key of the file."""


class Base(Terms):
    """The fee that a credit is a part of: of the period over which the objective is judged."""

    of: Literal["unit", "contract"] = clause(
        "`unit`: fee of one unit where each is judged alone, else of the line item that the objective names, or of all;"
        " `contract`: all that the contract pays.",
        default="unit",
    )
    amount: Maybe[Amount] = clause(
        "The fee of a whole period; none: from the prices.", default=None
    )
    proration: Proration = clause("How it is cut to the time of service.", default="seconds")


class Cap(Terms):
    """The most that is credited. `none`, and a cap that gives neither, limit nothing."""

    pct: Maybe[Ratio] = clause("Most in per cent of the base.", default=None)
    amount: Maybe[Amount] = clause("Most in money.", default=None)


NO_CAP = Cap()
CapOrNone = Annotated[Cap, BeforeValidator(lambda given: {} if given == "none" else given)]
"""A cap, or the word for that there is none."""


class ClaimTerms(Terms):
    """How a credit is asked for."""

    required: Switch = clause("Whether it lapses unless it is claimed.", default=False)
    counted_from: Literal["period", "incident", "incident_end"] = clause(
        "From when the days run: the end of the period; or, each by itself, the beginning or the end of an outage, a"
        " repair or an event, for which no claim is that was filed before it began. What is reckoned from outages that"
        " nobody claimed in time is not owed; a credit that follows none of these runs from the period's end.",
        default="period",
    )
    deadline_days: Maybe[Count] = clause(
        "Whole local days after that, the day of an incident not counted.", default=None
    )
    deadline_working_days: Maybe[Count] = clause(
        "The same in working days. Where the calendar does not know one of them, there is no deadline yet.",
        default=None,
    )
    deadline_billing_cycles: Maybe[Count] = clause(
        "Billing cycles, each as many months as a bill has, after the end of the period: to the border at which they"
        " end.",
        default=None,
    )
    opens_day: Maybe[Count] = clause(
        "Local day after the end of the period from whose beginning on it can be claimed: 1 is the day on which the"
        " period has ended; none: at any time. A claim that came before is none.",
        default=None,
    )
    opens_working_day: Maybe[Count] = clause(
        "The same in working days. Where the calendar does not know one of them, it cannot be claimed yet.",
        default=None,
    )
    zone: Maybe[Zone] = clause("Time zone of these days; none: the contract's.", default=None)
    form: Maybe[Text] = clause(
        "Address and form of the claim.",
        reader=describes("how a claim is sent is between the parties"),
        default=None,
    )
    auto_claim: Switch = clause(
        "Whether the statement is the claim, so that none has to be filed.", default=False
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        days = [self.deadline_days, self.deadline_working_days]
        if self.required and [*days, self.deadline_billing_cycles].count(None) != 2:
            yield "", "a claim that is required needs one deadline"
        if self.counted_from != "period" and self.deadline_billing_cycles is not None:
            yield (
                "deadline_billing_cycles",
                "run from the end of the period, and counted_from does not",
            )
        yield from self._of_opening()

    def _of_opening(self) -> Iterator[tuple[str, str]]:
        pairs = (
            ("opens_day", self.opens_day, self.deadline_days),
            ("opens_working_day", self.opens_working_day, self.deadline_working_days),
        )
        for name, opens, last in pairs:
            if opens is not None and not self.required:
                yield name, "is of a claim, and none is required"
            if opens is None or last is None or self.counted_from != "period":
                continue
            if opens > last:
                yield name, "comes after the last day of the deadline"
        if self.opens_day is not None and self.opens_working_day is not None:
            yield "opens_day", "beside opens_working_day: name one of them"

    @property
    def by_incident(self) -> bool:
        """Whether each incident has a deadline of its own."""
        return self.required and not self.auto_claim and self.counted_from != "period"


class Confirmation(Terms):
    """When a statement that was handed out counts as confirmed though nobody said so."""

    silence_days: Maybe[Count] = clause(
        "Whole local days of silence after the day on which it was issued in the log, and the period was over; none:"
        " silence confirms nothing. A word of either side against it by their end holds it, and so does an issued"
        " statement that owes another amount. The first that was not held closes the period.",
        default=None,
    )
    day_count: DayCount = clause(
        "Which days those are. Where the calendar does not know one of them, silence confirms nothing.",
        default="calendar_days",
    )


class CreditTerms(Terms):
    """What all kinds of credit have."""

    id: Name = clause("Name of the credit.")
    cap: CapOrNone = clause(
        "The most that is credited for a period; none: no most.", default=NO_CAP
    )
    min_amount: Maybe[Amount] = clause(
        "Smaller ones are not issued: tested on what the credits of an objective give a unit together, as they"
        " stack; of repairs on all of a unit, of what follows events or maintenance on all of a period.",
        default=None,
    )
    min_op: Op = clause("`>`: only a larger one is; `>=`: an equal one too.", default=">=")
    form: Literal["cash", "set_off", "voucher"] = clause("How it is paid out.", default="set_off")
    expiry_days: Maybe[Count] = clause(
        "Local days after the end of the period after which it lapses.", default=None
    )
    expiry_months: Maybe[Count] = clause("The same in months.", default=None)
    claim: Maybe[ClaimTerms] = clause("Its own terms; none: the contract's.", default=None)

    needs_base: ClassVar[bool] = True
    """Whether the credit is a part of a fee; else it has prices of its own, and a fee matters to its cap at most."""


OwedWhen = Literal["missed", "below_threshold"]
OWED_WHEN = (
    "`missed`: only where the objective is missed; `below_threshold`: wherever the credit's own terms are fulfilled, as"
    " by a shortfall from its threshold, a free hour or an outage, though the objective be met."
)


class Judged(CreditTerms):
    """A credit for an objective."""

    objective: Name = clause("The objective that was missed.")
    base: Base = clause("Fee that the credit is a share of.", default=Base())
    owed_when: OwedWhen = clause(OWED_WHEN, default="missed")


class TierRow(Terms):
    """`at_or_above <= availability < below`, or `<= at_or_below`."""

    at_or_above: Share = clause("Lower edge of availability; the edge itself is inside.")
    below: Maybe[Share] = clause("Upper edge; the edge itself is outside.", default=None)
    at_or_below: Maybe[Share] = clause("Upper edge; the edge itself is inside.", default=None)
    pct: Ratio = clause("Credit in per cent of the base.")

    def problems(self) -> Iterator[tuple[str, str]]:
        if (self.below is None) == (self.at_or_below is None):
            yield "", "give either below or at_or_below"
        elif self.upper < self.at_or_above or (self.below == self.at_or_above):
            yield "", "is empty: the upper edge lies below the lower"

    @property
    def upper(self) -> Fraction:
        """The upper edge."""
        edge = self.below if self.below is not None else self.at_or_below
        return edge if edge is not None else Fraction(1)

    def leaves(self, above: Fraction, step: Fraction | None) -> bool:
        """Whether a share lies between this row and an edge above: of `step` by `step`, where shares are rounded."""
        if step is None:
            return self.upper < above
        steps = ceil(self.upper / step) if self.below is not None else self.upper // step + 1
        return steps * step < above

    def holds(self, availability: Fraction) -> bool:
        """Whether the share lies in this row."""
        if availability < self.at_or_above:
            return False
        return availability <= self.upper if self.below is None else availability < self.upper


class RoundShare(Terms):
    """Availability is rounded before it is compared, with the target too. Only where the text says so."""

    decimals: Whole = clause("Decimal places of the percentage.")
    mode: Mode = clause("Rounding mode.", default="half_up")


class Tiers(Judged):
    """A percentage by the row that the availability lies in."""

    kind: Literal["tiers"] = clause("Kind of credit.", default="tiers")
    tiers: tuple[TierRow, ...] = clause("The rows, from the target down.")
    on_gap: Literal["refuse", "flag"] = clause(
        "A hole between the rows, or below the target, is refused; or gives a flag without an amount.",
        reader=part("loading"),
        default="refuse",
    )
    round_share: Maybe[RoundShare] = clause("Rounding before comparison.", default=None)

    @property
    def step(self) -> Fraction | None:
        """Between two shares that are compared; None: they are exact."""
        return (
            None if self.round_share is None else Fraction(1, 10 ** (self.round_share.decimals + 2))
        )

    def problems(self) -> Iterator[tuple[str, str]]:
        if not self.tiers:
            yield "tiers", "has no rows"
        rows = sorted(range(len(self.tiers)), key=lambda i: -self.tiers[i].at_or_above)
        for above, below in pairwise(rows):
            yield from self._seam(above, below)
        if rows and self.tiers[rows[-1]].at_or_above != 0 and self.on_gap == "refuse":
            yield f"tiers[{rows[-1]}].at_or_above", "nothing is said about what lies below"

    def _seam(self, above: int, below: int) -> Iterator[tuple[str, str]]:
        upper, lower = self.tiers[above], self.tiers[below]
        if lower.pct < upper.pct:
            yield f"tiers[{below}].pct", "a lower availability earns less"
        if lower.holds(upper.at_or_above):
            yield f"tiers[{below}]", f"overlaps tiers[{above}]"
        elif lower.leaves(upper.at_or_above, self.step) and self.on_gap == "refuse":
            yield f"tiers[{below}]", f"leaves a gap below tiers[{above}]"


class LinearShortfall(Judged):
    """The base times what is missing to the threshold."""

    kind: Literal["linear_shortfall"] = clause("Kind of credit.", default="linear_shortfall")
    threshold: Maybe[Share] = clause("Reckoned from here; none: the target.", default=None)


class Increment(Judged):
    """A percentage for each step of downtime beyond the free seconds."""

    kind: Literal["increment"] = clause("Kind of credit.", default="increment")
    free_s: Whole = clause("Seconds of the period that are free.", default=0)
    beyond_target: Switch = clause(
        "Whether what the target allows is free too: steps count from there on.", default=False
    )
    increment_s: Count = clause("Length of a step.")
    partial: Steps = clause("`ceil`: a started step counts. No default.")
    pct: Ratio = clause("Credit of each step, in per cent of the base.")


class BeyondAllowance(Judged):
    """A multiple of the pro-rata fee for the downtime beyond what the target allows: for a second, the fee of the whole
    period over its seconds, and over its units where they are pooled."""

    kind: Literal["beyond_allowance"] = clause("Kind of credit.", default="beyond_allowance")
    multiple: Ratio = clause("Multiple of the fee of that downtime.")


class OutageMultiple(Judged):
    """A multiple of the hourly price for each outage, capped for each: once, also where it crosses a border."""

    needs_base: ClassVar[bool] = False

    kind: Literal["outage_multiple"] = clause("Kind of credit.", default="outage_multiple")
    multiple: Ratio = clause("Multiple of the price of the lost hours.")
    hour_price: Amount = clause("Price of an hour of the unit.")
    incident_cap: Maybe[Amount] = clause("Most for one outage.", default=None)
    owed_when: OwedWhen = clause(
        f"{OWED_WHEN} By default that, where each outage has its cap: it is paid for by itself.",
        default="missed",
    )

    @model_validator(mode="before")
    @classmethod
    def _by_itself(cls, given: Any) -> Any:
        """An outage that has a cap of its own is paid for whatever the others are."""
        if not isinstance(given, dict) or given.get("incident_cap") in (None, "none"):
            return given
        return {"owed_when": "below_threshold"} | given


class ClockHour(Judged):
    """A clock hour with too much downtime, and some at least, is not charged. Hours of the contract's zone; one that an
    amendment cuts is judged on each side by what lies there, and is not charged once."""

    needs_base: ClassVar[bool] = False

    kind: Literal["clock_hour"] = clause("Kind of credit.", default="clock_hour")
    threshold_s: Whole = clause("Bad seconds of the hour from which it is free.")
    op: Op = clause("`>`: more than these; `>=`: these too.", default=">")
    hour_price: Amount = clause("Price of an hour of the unit.")


class PerEvent(Judged):
    """An amount once an outage is long enough, or once there are enough of them. An outage that crosses a border is
    of the period in which it begins, or in which service does."""

    needs_base: ClassVar[bool] = False

    kind: Literal["per_event"] = clause("Kind of credit.", default="per_event")
    longer_than_s: Maybe[Whole] = clause("An outage longer than this pays.", default=None)
    more_than_events: Maybe[Whole] = clause("More outages than this in a period pay.", default=None)
    amount: Amount = clause("Amount for one of the quantity.")
    quantity: Ratio = clause("How many, such as amperes.", default=Fraction(1))
    each: Switch = clause("Whether every outage that is long enough pays.", default=False)
    owed_when: OwedWhen = clause(
        f"{OWED_WHEN} What it pays for is a miss by itself.", default="below_threshold"
    )


class DailyRate(Judged):
    """Days of service for steps of downtime beyond what the target allows. The fee of a day is that of the period over
    its local days, of which one may be an hour shorter or longer.
    """

    kind: Literal["daily_rate"] = clause("Kind of credit.", default="daily_rate")
    step_s: Count = clause("Length of a step.")
    partial: Steps = clause("`ceil`: a started step counts. No default.")
    days: Ratio = clause("Days of the fee for each step.", default=Fraction(1))


class CapacityDeduction(CreditTerms):
    """A multiple of the pro-rata fee for missing capacity."""

    kind: Literal["capacity_deduction"] = clause("Kind of credit.", default="capacity_deduction")
    resource: Name = clause("The line item whose capacity is promised.")
    price: Amount = clause("Price of one unit of capacity for a period.")
    multiple: Ratio = clause("Multiple of the fee of what is missing.", default=Fraction(1))


class MaintenanceCount(CreditTerms):
    """Maintenance beyond the allowed number in a calendar year is paid for, as far as it lies in service. The cap is
    one for all of a period."""

    kind: Literal["maintenance_count"] = clause("Kind of credit.", default="maintenance_count")
    allowed_per_year: Whole = clause("Windows of a year that cost nothing.")
    base_amount: Amount = clause("The fee of a month.")
    fraction_per_hour: Ratio = clause("Share of that fee for an hour of maintenance.")
    partial: Steps = clause("`ceil`: a started hour counts. No default.")


class RepairSteps(CreditTerms):
    """A percentage once a repair or an answer is late, and more for each step. Each period pays for the lateness
    that came in it, as told by its cut-off, also while the clock runs. The cap is one for all clocks of a unit;
    where the base is the fee of all, it is one for everybody. Steps of 86400 s are days of late restoration: 5
    ten-thousandths of the fee a day are a `step_pct` of 0.05."""

    kind: Literal["repair_steps"] = clause("Kind of credit.", default="repair_steps")
    repair: Name = clause("The repair or response objective.")
    base: Base = clause("Fee that the credit is a share of.", default=Base())
    first_pct: Ratio = clause("Per cent of the base once it is late.", default=Fraction(0))
    step_s: Count = clause("Length of a step.")
    step_pct: Ratio = clause("Credit of each step, in per cent of the base.")
    partial: Steps = clause("`ceil`: a started step counts. No default.")
    longest_s: Maybe[Count] = clause(
        "Lateness of one clock that is paid for at most; none: all of it.", default=None
    )


class AnomalyHours(CreditTerms):
    """A multiple of the time of an anomaly, rounded up, at the hourly price: of its time in service, in the period
    in which that ends. The cap is one for all of a period."""

    needs_base: ClassVar[bool] = False

    kind: Literal["anomaly_hours"] = clause("Kind of credit.", default="anomaly_hours")
    event: Name = clause("Name of the events that earn it.")
    factor: Ratio = clause("Factor by which their length is multiplied.")
    round_up_to_s: Count = clause("Step to which the product is rounded up.")
    hour_price: Amount = clause("Price of an hour of that time.")


class LostWork(CreditTerms):
    """The work lost since the last start, at the hourly price: of its time in service, in the period in which that
    ends. The cap is one for all of a period."""

    needs_base: ClassVar[bool] = False

    kind: Literal["lost_work"] = clause("Kind of credit.", default="lost_work")
    event: Name = clause("Name of the events that earn it.")
    cap_s: Count = clause("Longest work that is paid.")
    hour_price: Amount = clause("Price of an hour of that time.")


def _kind(value: Any) -> str:
    kind = value.get("kind", "") if isinstance(value, dict) else getattr(value, "kind", "")
    return f"{KIND}{kind}"


Credit = Annotated[
    Annotated[Tiers, Tag(KIND + "tiers")]
    | Annotated[LinearShortfall, Tag(KIND + "linear_shortfall")]
    | Annotated[Increment, Tag(KIND + "increment")]
    | Annotated[BeyondAllowance, Tag(KIND + "beyond_allowance")]
    | Annotated[OutageMultiple, Tag(KIND + "outage_multiple")]
    | Annotated[ClockHour, Tag(KIND + "clock_hour")]
    | Annotated[PerEvent, Tag(KIND + "per_event")]
    | Annotated[DailyRate, Tag(KIND + "daily_rate")]
    | Annotated[CapacityDeduction, Tag(KIND + "capacity_deduction")]
    | Annotated[MaintenanceCount, Tag(KIND + "maintenance_count")]
    | Annotated[RepairSteps, Tag(KIND + "repair_steps")]
    | Annotated[AnomalyHours, Tag(KIND + "anomaly_hours")]
    | Annotated[LostWork, Tag(KIND + "lost_work")],
    Discriminator(_kind),
]


class Limit(Cap):
    """The most of all credits of a year, or of the term, together, beside the cap of a period: used up in order of time
    by what the statements of the periods give, as they are known at the same instant. A period belongs to the year in
    which it begins, and that of a year comes after its last month. Where a statement of an earlier period is missing or
    gives no answer, what is left lies between nothing and all, and a flag says so."""

    per: Literal["calendar_year", "contract_year", "term"] = clause(
        "Of what time: a contract year begins on the day of the year on which the term does."
    )
    base_amount: Maybe[Amount] = clause("Amount that pct is a share of.", default=None)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.pct is None and self.amount is None:
            yield "", "limits nothing: give amount or pct"
        if self.pct is not None and self.base_amount is None:
            yield "base_amount", "is required where the limit is a percentage"


class Stacking(Terms):
    """What is paid where several remedies meet, and the most of all together."""

    rule: Literal["sum", "max_of", "one_per_event"] = clause(
        "All; the largest for each unit, of the sums that its credits give; the largest for each set of events.",
        default="max_of",
    )
    cap: Maybe[Cap] = clause("Most of all credits of a period together.", default=None)
    base_amount: Maybe[Amount] = clause("Amount that pct of the cap is a share of.", default=None)
    limits: tuple[Limit, ...] = clause(
        "Most of all credits of a year or of the term together.", default=()
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.cap is not None and self.cap.pct is not None and self.base_amount is None:
            yield "base_amount", "is required where the cap is a percentage"


class Rounding(Terms):
    """Where exact fractions become money."""

    decimals: Whole = clause(
        f"Decimal places of an amount; by default those of the currency, by ISO 4217 as of {currencies().published}.",
        default_factory=lambda: DECIMALS,
    )
    mode: Mode = clause("Rounding mode.", default="half_up")
    place: Literal["line", "invoice"] = clause("What is rounded: line or sum.", default="line")
