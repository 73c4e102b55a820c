"""What being late and breaking off costs, on either side, and when a party may leave."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

from weighbridge.contract.objectives import DayCount, Op
from weighbridge.contract.scalars import Amount, Count, Day, Maybe, Name, Ratio, Switch, Text
from weighbridge.contract.terms import Terms, clause

DamageBase = Literal["value", "month_fees", "term_fees", "remaining_fees", "amount"]
DAMAGE_BASE = (
    "What the damages are a share of. `value`: that of the batch, or the sum that is paid late; `month_fees`: what the"
    " prices give for the month of the due date, or of the event where nothing was due; `term_fees`: for the term;"
    " `remaining_fees`: from the event to the end of the term; `amount`: `base_amount`. Fees are before tax that is not"
    " in the prices, as if all were in service; of a batch, those of its nodes."
)


class LiquidatedDamages(Terms):
    """Damages fixed beforehand. They need not be equal on both sides, and the statement shows both. Lateness of a
    repair or an answer is paid for by `repair_steps`."""

    id: Name = clause("Name of the damages.")
    trigger: Literal["late_delivery", "non_delivery", "cancellation", "late_payment"] = clause(
        "What earns them. `late_payment`: simple interest of the lessee on each sum for its own days, up to the day of"
        " payment, which counts, or to the instant of the statement; it is told in the statement of the period whose"
        " fees were late, and is in no other sum."
    )
    side: Literal["provider", "lessee"] = clause("Who pays.")
    base: DamageBase = clause(DAMAGE_BASE, default="value")
    base_amount: Maybe[Amount] = clause("The base where it is an amount.", default=None)
    daily_rate: Ratio = clause(
        "Share of the base for each day late: `5/10000` is 5 ten-thousandths.", default=Fraction(0)
    )
    yearly_rate: Ratio = clause(
        "The same for a year, by simple interest; in place of `daily_rate`.", default=Fraction(0)
    )
    year_days: Literal["360", "365"] = clause("Days of that year.", default="365")
    flat_pct: Ratio = clause("Per cent of the base at once.", default=Fraction(0))
    day_count: DayCount = clause("Which days after the due date count.", default="calendar_days")
    most_days: Maybe[Count] = clause(
        "Most days that count; none: as many as there are.", default=None
    )
    cap_pct: Maybe[Ratio] = clause("Most, in per cent of the base.", default=None)
    accrues: Switch = clause(
        "Of a late delivery. `false`: all of it is owed in the period in which the batch is accepted; `true`: in each"
        " period for the days of that period, in the first of the term for those before it too, also while the batch is"
        " still late. It is late as long as its service has not started though something was told to have started"
        " service, and no longer than until `not_delivered` or `cancelled` is said of it.",
        default=False,
    )

    @property
    def rate_of_day(self) -> Fraction:
        """The share of the base for a day."""
        return self.daily_rate + self.yearly_rate / int(self.year_days)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.daily_rate and self.yearly_rate:
            yield "yearly_rate", "is given beside daily_rate: one of them is meant"
        if (self.base == "amount") != (self.base_amount is not None):
            meant = "base_amount is missing" if self.base == "amount" else "did you mean amount?"
            yield "base", f"is {self.base}; {meant}"
        if self.most_days is not None and not self.rate_of_day:
            yield "most_days", "limits nothing: there is no daily_rate and no yearly_rate"
        if self.base == "remaining_fees" and self.trigger != "cancellation":
            yield (
                "base",
                "remaining_fees are those after a cancellation; did you mean term_fees or month_fees?",
            )
        if self.trigger == "late_payment" and self.base != "value":
            yield "base", "of late payment is the sum that is late; did you mean value?"
        if self.trigger == "late_payment" and self.side != "lessee":
            yield "side", "fees are paid by the lessee; did you mean lessee?"
        if self.accrues and self.trigger != "late_delivery":
            yield (
                "accrues",
                "only what is late grows by the day, and the trigger is not late_delivery",
            )


class Payment(Terms):
    """When the lessee is to pay the fees of a period: all of them with tax, prepaid ones too, less the credits that are
    set off. Payments are told by `fee_paid`."""

    counted_from: Literal["period_end", "period_start"] = clause(
        "From when the days run.", default="period_end"
    )
    due_days: Count = clause(
        "Local days to pay in, the first of which begins at that border: 10 from 1 June on end with 10 June."
    )
    due_count: DayCount = clause("Which days count.", default="calendar_days")


class Deposit(Terms):
    """A deposit (押金) of the lessee. What was paid, taken from it and returned is told by events."""

    amount: Amount = clause("The deposit.")
    due: Maybe[Day] = clause("Last day on which to pay it; none: from the start.", default=None)
    return_days: Count = clause(
        "Local days in which it is to be returned, after the last day of the term, or on which all was cancelled."
    )
    return_count: DayCount = clause("Which days count.", default="calendar_days")


class LongerService(Terms):
    """Lost time makes the term longer (服务期顺延), in place of money or beside it: shown as time, with the end of the
    term of each unit. Nothing moves `term.to` but an amendment, which says by `since` what it took into account."""

    id: Name = clause("Name of it.")
    trigger: Literal["downtime", "late_delivery"] = clause(
        "What of: `downtime`, the counted time of each unit of the objective in its period; `late_delivery`, the days"
        " by which a batch came late, from the period in which it came.",
        default="downtime",
    )
    objective: Maybe[Name] = clause(
        "The objective; none for a late delivery.",
        default=None,
    )
    owed_when: Literal["missed", "below_threshold"] = clause(
        "`missed`: the time of periods in which the unit missed its target; `below_threshold`: of all.",
        default="missed",
    )
    multiple: Ratio = clause("How much longer for the time lost.", default=Fraction(1))
    whole_days: Maybe[Literal["floor", "ceil"]] = clause(
        "Whole days of 24 hours for each period, those begun left out or counted; none: to the second.",
        default=None,
    )
    day_count: DayCount = clause("Which days of a late delivery count.", default="calendar_days")
    most_days: Maybe[Count] = clause(
        "Most days together; none: as many as there are.", default=None
    )
    since: Maybe[Day] = clause(
        "The first day that counts, and with it the whole period that it lies in; none: that of the term. A batch"
        " counts by the day on which it came.",
        default=None,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if (self.objective is None) != (self.trigger == "late_delivery"):
            yield "objective", "is of no late delivery" if self.objective else "is required"


class ExitRight(Terms):
    """A right to end the contract. It is shown with the instant at which it arose and what it is worth to the party;
    neither is in the amounts of the statement, for a right need not be used."""

    trigger: Literal["missed_periods", "outage", "late_delivery"] = clause(
        "What gives it. `missed_periods`: `missed` of `of_periods`, at the end of the last that it needs; `outage`: one"
        " that lasts for `days` of 24 hours; `late_delivery`: a batch that is late by `days`. A batch is late until its"
        " service starts or it is cancelled; where nothing was told to have started service, that is open until the"
        " provider says `not_delivered`.",
        default="missed_periods",
    )
    objective: Maybe[Name] = clause(
        "The objective that was missed, or whose outages count; none for a late delivery.",
        default=None,
    )
    missed: Maybe[Count] = clause("Missed periods that give the right.", default=None)
    of_periods: Maybe[Count] = clause(
        "Number of periods in a row that are looked at.", default=None
    )
    days: Maybe[Count] = clause("Days that the outage, or the delay, lasts.", default=None)
    op: Op = clause("`>`: more than these; `>=`: these too.", default=">")
    day_count: DayCount = clause("Which days of a delay count.", default="calendar_days")
    party: Literal["provider", "lessee"] = clause("Who may leave.", default="lessee")
    remedy: Text = clause("What the party may do, in words.", default="termination without fee")
    flat_pct: Ratio = clause(
        "What the party is to be paid if it leaves, in per cent of the base.", default=Fraction(0)
    )
    base: DamageBase = clause(f"{DAMAGE_BASE} The event is that the right arose.", default="value")
    base_amount: Maybe[Amount] = clause("The base where it is an amount.", default=None)

    def problems(self) -> Iterator[tuple[str, str]]:
        periods = (self.missed, self.of_periods)
        if self.trigger == "missed_periods" and None in periods:
            yield "missed", "and of_periods are required where missed periods give the right"
        elif (self.missed or 0) > (self.of_periods or 0):
            yield "missed", "is more than of_periods"
        if self.trigger != "missed_periods" and self.days is None:
            yield "days", f"is required: how long the {self.trigger} lasts"
        if self.trigger == "missed_periods" and self.days is not None:
            yield "days", "is of no missed period; did you mean trigger outage or late_delivery?"
        if (self.objective is None) != (self.trigger == "late_delivery"):
            told = "is of no late delivery" if self.objective else "is required"
            yield "objective", told
        if (self.base == "amount") != (self.base_amount is not None):
            meant = "base_amount is missing" if self.base == "amount" else "did you mean amount?"
            yield "base", f"is {self.base}; {meant}"
        elif self.base == "value" and self.flat_pct and self.trigger != "late_delivery":
            yield "base", "value is that of a batch; did you mean month_fees or remaining_fees?"
