"""What a period costs: for the base of a credit, and for metered service."""

from dataclasses import dataclass
from fractions import Fraction

from weighbridge.contract import Contract, Resource
from weighbridge.contract.money import Base, Price, Proration
from weighbridge.contract.objectives import UnitKind
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import HOUR_S, Period, days_within, served_part_s


def part_of_period(rule: Proration, period: Period, service: Interval, zone: str) -> Fraction:
    """The share of a period's fee that is due for the time of service in it.

    `days`: local days touched by the service, of the local days of the period.
    """
    served = served_part_s(period, service)
    if served[0] == served[1]:
        return Fraction(0)
    match rule:
        case "none":
            return Fraction(1)
        case "seconds":
            return Fraction(served[1] - served[0], period.seconds)
        case "days":
            days = [sum(1 for _ in days_within(part, zone)) for part in (served, period.interval_s)]
            return Fraction(days[0], days[1])


@dataclass(frozen=True)
class Fees:
    """The fees of one contract for one period, or for the `part` of it that a version of the contract rules."""

    contract: Contract
    period: Period
    service: Interval
    part: Period

    def base(self, base: Base, unit: UnitKind | None, resource: str | None = None) -> Fraction:
        """The fee that a credit is a part of, cut to the time of service.

        `unit`: whose fee; None, or a base of the contract: all of them. `resource` None: every line item.
        """
        if base.amount is not None:
            return Fraction(base.amount) * self.due(base.proration)
        whose = None if base.of == "contract" else unit
        fees = [self._fee(price, whose, resource) for price in self.contract.pricing]
        return sum(fees, Fraction(0))

    def of_price(self, price: Price, resource: str | None = None) -> Fraction:
        """What one price gives for a line item, or for all of them, its minimum aside."""
        if price.unit in ("fixed_month", "kW_month"):
            quantity = Fraction(1) if price.quantity is None else price.quantity
            return Fraction(price.price) * quantity * self.due(price.proration)
        return self._of_resources(price, None, resource)

    def least(self, price: Price) -> Fraction:
        """The least that a price gives for the part of the period."""
        return Fraction(price.minimum) * self.due("none")

    def due(self, rule: Proration) -> Fraction:
        """The share of the period's fee that is due. Without proration a part still owes no more than its length."""
        share = part_of_period(rule, self.period, self.service, self.contract.time_zone)
        return share if rule != "none" else share * Fraction(self.part.seconds, self.period.seconds)

    def _fee(self, price: Price, unit: UnitKind | None, resource: str | None) -> Fraction:
        if unit is None:
            return max(self.of_price(price, resource), self.least(price))
        if price.unit in ("fixed_month", "kW_month"):
            return Fraction(0)
        return self._of_resources(price, unit, resource)

    def _of_resources(self, price: Price, unit: UnitKind | None, resource: str | None) -> Fraction:
        named = {price.resource, resource}
        chosen = [item for item in self.contract.resources if named <= {None, item.id}]
        return sum((self._of_resource(price, item, unit) for item in chosen), Fraction(0))

    def _of_resource(self, price: Price, resource: Resource, unit: UnitKind | None) -> Fraction:
        gpus = gpus_of_unit(resource, unit)
        served = served_part_s(self.period, self.service)
        part, hours = self.due(price.proration), Fraction(served[1] - served[0], HOUR_S)
        amount = Fraction(price.price)
        match price.unit:
            case "gpu_hour":
                return amount * gpus * hours
            case "gpu_month":
                return amount * gpus * part
            case "node_month":
                return amount * Fraction(gpus, resource.per_node) * part
            case "P_month":
                return amount * capacity_of(resource, gpus) * part
            case _:
                return amount * capacity_of(resource, gpus) * hours / 24


def gpus_of_unit(resource: Resource, unit: UnitKind | None) -> int:
    """GPUs in one unit of this kind; None: all that are contracted."""
    everything = resource.nodes * resource.per_node
    match unit:
        case "gpu":
            return 1
        case "node":
            return resource.per_node
        case "nvlink_domain":
            return resource.interconnect.nvlink_domain or everything
        case _:
            return everything


def capacity_of(resource: Resource, gpus: int) -> Fraction:
    """What so many GPUs are worth in P; 0 where the contract gives no worth."""
    return Fraction(0) if resource.capacity is None else resource.capacity.per_gpu * gpus
