"""Objectives besides availability: performance, response, repair and capacity; and acceptance before all of them."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal

from weighbridge.contract.exclusions import LocalHours
from weighbridge.contract.objectives import DayCount, Op, UnitKind
from weighbridge.contract.scalars import (
    Count,
    Maybe,
    Name,
    Ratio,
    Share,
    Switch,
    Target,
    Text,
    Whole,
)
from weighbridge.contract.terms import Reader, Terms, clause, describes, part


class Performance(Terms):
    """A share of good probes, a mean of error rates, or a mean or quantile of all answers."""

    id: Name = clause("Name of the objective.")
    probe: Name = clause("Name of the probe.")
    unit: Text = clause(
        "Unit of the measured value.",
        reader=describes("names what is measured; nothing is converted"),
        default="1",
    )
    statistic: Literal["each", "mean_error", "mean", "quantile"] = clause(
        "Share of good probes; one minus the mean error rate of slices; or the mean, or a quantile, of all answers of"
        " the period, which is good or not as a whole.",
        default="each",
    )
    quantile: Maybe[Share] = clause(
        "The least answer that this share of the answers does not exceed.", default=None
    )
    threshold: Maybe[Ratio] = clause("Least good value, or share of the reference.", default=None)
    of_reference: Switch = clause("Whether threshold is a share of the reference.", default=True)
    op: Op = clause("`>=`: the threshold itself is good. No default.")
    slice_s: Count = clause(
        "Length of a slice of the time of service, in which one probe is due.", default=300
    )
    schedule: tuple[LocalHours, ...] = clause("When probes count; empty: always.", default=())
    missing: Literal["excluded", "good", "bad"] = clause(
        "What a probe without an answer, or a slice without requests, is. No default."
    )
    min_samples: Count = clause("Fewer answers give no verdict.", default=1)
    target: Target = clause("Least share of good probes, or mean, over the period.")
    consent: Maybe[Text] = clause(
        "Who may run the probe, and when.",
        reader=describes("who may run a probe the settings of the agents say"),
        default=None,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if (self.statistic == "mean_error") == (self.threshold is not None):
            yield "threshold", "is needed by every statistic but mean_error, and only there"
        if (self.statistic == "quantile") != (self.quantile is not None):
            yield "quantile", "belongs to statistic quantile, and only there"
        if self.statistic in ("mean", "quantile") and self.missing != "excluded":
            yield "missing", "must be excluded: what did not answer has no value to take in"


class Timed(Terms):
    """How soon something is done after a fault."""

    id: Name = clause("Name of the objective.")
    severity: Maybe[Name] = clause("Of which faults; none: of all.", default=None)
    objective_s: Count = clause("Most seconds by the calendar until it is done.")
    calendar: Literal["24x7", "working_hours"] = clause("Which hours count.", default="24x7")


class Response(Timed):
    """How soon somebody answers."""

    clock_from: Literal["detection", "report", "confirmation"] = clause(
        "Event that starts the clock.", default="report"
    )


class Repair(Timed):
    """How soon a fault is mended."""

    unit: UnitKind = clause("Kind of unit that is mended.", default="node")
    clock_from: Literal["detection", "report", "confirmation", "identification"] = clause(
        "Event that starts the clock. No default: the provider controls the last two."
    )
    clock_to: Literal["replaced", "restored"] = clause(
        "Event that stops the clock: the replacement, or the unit is up again.", default="restored"
    )
    spare_swap_allowed: Switch = clause("Whether a spare ends the clock.", default=True)


class CapacityFloor(Terms):
    """Least healthy capacity at any time."""

    gpus: Maybe[Count] = clause("Least number of healthy GPUs.", default=None)
    capacity: Maybe[Ratio] = clause("Least healthy capacity, in P.", default=None)

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.gpus is None and self.capacity is None:
            yield "", "give gpus, capacity or both"


class AcceptanceTest(Terms):
    """A test that the delivery must pass."""

    READ_BY: ClassVar[Reader] = part("handover")

    probe: Name = clause("`challenge`, a reading, or a probe that a `test_result` names.")
    version: Text = clause("Version of the probe, or its hash.")
    parameters: Mapping[Name, Text] = clause("Parameters of the probe, by name.", default={})
    threshold: Ratio = clause("Value to reach.")
    op: Op = clause("`>=`: the threshold itself passes.", default=">=")
    quantile: Maybe[Share] = clause("Quantile that must reach it; none: each value.", default=None)
    min_nodes: Count = clause("Least number of nodes that must pass.", default=1)
    duration_s: Whole = clause("Seconds for which each GPU must run under load.", default=0)


class Acceptance(Terms):
    """When delivery counts as accepted, and when payment starts."""

    READ_BY: ClassVar[Reader] = part("handover")

    tests: tuple[AcceptanceTest, ...] = clause("What must be passed.", default=())
    retest_limit: Whole = clause("Times a failed test may be repeated.", default=2)
    deemed_acceptance_days: Maybe[Count] = clause(
        "Days of silence that accept; none: silence does not.", default=None
    )
    deemed_acceptance_count: DayCount = clause(
        "Which days those are. Where the calendar does not know one of them, silence does not accept.",
        default="calendar_days",
    )
    partial_acceptance: Switch = clause(
        "Whether a part may be accepted: then each batch, or node, is judged and billed from its own acceptance on;"
        " else nothing is before everything was.",
        default=True,
    )
    billing_starts: Literal["acceptance", "next_local_midnight", "delivery", "first_use"] = clause(
        "Event from which service is paid.", default="acceptance"
    )
    certificate_required: Switch = clause(
        "A signed result with raw outputs and a telemetry window that shows the load.",
        reader=describes("a certificate has all of that in any case"),
        default=True,
    )
