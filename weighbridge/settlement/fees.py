"""What a period costs: for the base of a credit, and for metered service."""

from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract import Availability, Contract, Resource
from weighbridge.contract.money import Base, Price, Proration
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import DAY_S, HOUR_S, Period, days_within


def served_part(period: Period, service: Interval) -> Interval:
    """The part of a period inside the time of service."""
    start = max(period.start_s, service[0])
    return (start, max(start, min(period.end_s, service[1])))


def term_of(contract: Contract) -> Interval:
    """The term in seconds."""
    return (contract.term.start_us // 1_000_000, contract.term.end_us // 1_000_000)


def part_of_period(rule: Proration, period: Period, service: Interval, zone: str) -> Fraction:
    """The share of a period's fee that is due for the time of service in it.

    `days`: local days touched by the service, of the local days of the period.
    """
    served = served_part(period, service)
    if served[0] == served[1]:
        return Fraction(0)
    match rule:
        case "none":
            return Fraction(1)
        case "seconds":
            return Fraction(served[1] - served[0], period.seconds)
        case "days":
            days = [sum(1 for _ in days_within(part, zone)) for part in (served, period.interval)]
            return Fraction(days[0], days[1])


@dataclass(frozen=True)
class Fees:
    """The fees of one contract for one period."""

    contract: Contract
    period: Period
    service: Interval

    def base(self, base: Base, objective: Availability | None) -> Fraction:
        """The fee that a credit is a part of, cut to the time of service."""
        if base.amount is not None:
            return Fraction(base.amount) * self._part(base.proration)
        prices = self.contract.pricing
        return sum((self._fee(price, base, objective) for price in prices), Fraction(0))

    def _part(self, rule: Proration) -> Fraction:
        return part_of_period(rule, self.period, self.service, self.contract.time_zone)

    def _fee(self, price: Price, base: Base, objective: Availability | None) -> Fraction:
        whole = base.of == "contract" or objective is None
        resources = [item for item in self._priced(price) if whole or _concerns(objective, item)]
        fees = (self._of_resource(price, item, None if whole else objective) for item in resources)
        amount = sum(fees, Fraction(0))
        if price.unit in ("fixed_month", "kW_month") and whole:
            amount = Fraction(price.price) * (price.quantity or 1) * self._part(price.proration)
        return max(amount, Fraction(price.minimum)) if whole else amount

    def _priced(self, price: Price) -> list[Resource]:
        named = price.resource
        return [item for item in self.contract.resources if named is None or item.id == named]

    def _of_resource(
        self, price: Price, resource: Resource, objective: Availability | None
    ) -> Fraction:
        gpus = gpus_of_unit(resource, objective)
        served = served_part(self.period, self.service)
        amount = Fraction(price.price)
        match price.unit:
            case "gpu_hour":
                return amount * gpus * Fraction(served[1] - served[0], HOUR_S)
            case "gpu_month":
                return amount * gpus * self._part(price.proration)
            case "node_month":
                return amount * Fraction(gpus, resource.per_node) * self._part(price.proration)
            case "P_month":
                return amount * _capacity(resource, gpus) * self._part(price.proration)
            case "P_day":
                days = Fraction(served[1] - served[0], DAY_S)
                return amount * _capacity(resource, gpus) * days
            case "kW_month" | "fixed_month":
                return Fraction(0)


def _concerns(objective: Availability | None, resource: Resource) -> bool:
    return objective is None or objective.resource in (None, resource.id)


def gpus_of_unit(resource: Resource, objective: Availability | None) -> int:
    """GPUs in one unit of the objective; without one, all that are contracted."""
    everything = resource.nodes * resource.per_node
    if objective is None or objective.scope != "per_unit":
        return everything
    match objective.unit:
        case "gpu":
            return 1
        case "node":
            return resource.per_node
        case "nvlink_domain":
            return resource.interconnect.nvlink_domain or everything
        case "cluster" | "feed" | "service":
            return everything


def _capacity(resource: Resource, gpus: int) -> Fraction:
    return Fraction(0) if resource.capacity is None else resource.capacity.per_gpu * gpus
