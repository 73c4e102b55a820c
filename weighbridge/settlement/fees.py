"""What a period costs: for the base of a credit, and for metered service."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from functools import cache, cached_property

from weighbridge.contract import Contract, Resource
from weighbridge.contract.exclusions import MINUTES_OF_DAY
from weighbridge.contract.money import Base
from weighbridge.contract.objectives import UnitKind
from weighbridge.contract.pricing import OF_ALL, Price, Proration
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.periods import (
    HOUR_S,
    OF_CONTRACT,
    Period,
    contract_periods,
    day_start,
    days_within,
    local_date,
    months_within,
    served_part_s,
    term_of_s,
)


@dataclass(frozen=True)
class Fees:
    """The fees of one contract for one period, or for the `part` of it that a version of the contract rules.

    `whole_service`: of the period, beyond the part too, where the part is not all of it.
    `steps`: of each line item whose nodes were accepted part by part, how many nodes are in service since when.
    """

    contract: Contract
    period: Period
    service: Interval
    part: Period
    steps: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    whole_service: Interval | None = None

    def base(self, base: Base, unit: UnitKind | None, resource: str | None = None) -> Fraction:
        """The fee that a credit is a part of, cut to the time of service.

        `unit`: whose fee, of the line item `resource`; None: of all of it. A base of the contract is all that it pays.
        """
        return self._base(base, unit, resource)

    @cached_property
    def _base(self) -> Callable[[Base, UnitKind | None, str | None], Fraction]:
        """Reckoned once for all units that are alike."""
        return cache(self._reckoned)

    def _reckoned(self, base: Base, unit: UnitKind | None, resource: str | None) -> Fraction:
        if base.amount is not None:
            return Fraction(base.amount) * self.due(base.proration)
        whose = (None, None) if base.of == "contract" else (unit, resource)
        found = self._of_units(whose[0])
        fees = (
            amount * fees.share(price, *whose)
            for price in self.contract.pricing
            for fees, amount in found._charges(price)
        )
        return sum(fees, Fraction(0))

    def _charges(self, price: Price) -> Iterator[tuple["Fees", Fraction]]:
        """What a price gives in each month, and what is missing to its least."""
        given = [(month, month.of_price(price)) for month in self.months()]
        yield from given
        yield from self.missing(price, given)

    def missing(
        self, price: Price, given: Sequence[tuple["Fees", Fraction]]
    ) -> Iterator[tuple["Fees", Fraction]]:
        """To the least of a price, by what it gives in each month: for each of them, and for the bill."""
        for month, amount in given:
            yield month, max(Fraction(0), month.least(price) - amount)
        if price.minimum_per == "bill" and self.contract.bills_by(self.period.kind):
            whole = sum((max(month.least(price), amount) for month, amount in given), Fraction(0))
            yield self, max(Fraction(0), Fraction(price.minimum) * self.due("none") - whole)

    def _of_units(self, unit: UnitKind | None) -> "Fees":
        """A single unit's fee is that of a unit in service for all of the time."""
        every = [
            gpus_of_unit(item, unit) == gpus_of_unit(item, None) for item in self.contract.resources
        ]
        return self if all(every) else replace(self, steps={})

    def months(self) -> Iterator["Fees"]:
        """What prices are reckoned in: of a period of several months, or with a part of another, each by itself."""
        kind = self.period.kind
        if kind is None or (kind == "calendar_month" and not self.contract.joins(kind)):
            yield self
            return
        months: Iterable[Period]
        if kind in OF_CONTRACT:
            term = term_of_s(self.contract)
            months = contract_periods("contract_month", self.contract.time_zone, term)
        else:
            months = months_within(*self.part.interval_s, self.contract.time_zone)
        for month in months:
            if month.end_s <= self.part.start_s or self.part.end_s <= month.start_s:
                continue
            part = Period(month.label, *served_part_s(month, self.part.interval_s))
            served = served_part_s(part, self.service)
            yield replace(self, period=month, service=served, part=part)

    def of_price(self, price: Price) -> Fraction:
        """What one price gives for the period, or for a month of a year, its minimum aside."""
        if price.steps:
            return price.worth(self.measure(price))
        return self._at_prices(price, None)

    def of_item(self, price: Price, item: Resource) -> Fraction:
        """What a price of GPUs, nodes or P gives for a line item."""
        if price.steps:
            whole = self.measure(price)
            return price.worth(whole) * self.measure(price, item) / whole if whole else Fraction(0)
        return self._at_prices(price, item)

    def _at_prices(self, price: Price, item: Resource | None) -> Fraction:
        parts = (Fraction(one.price) * fees._measure(one, item) for one, fees in self._days(price))
        return sum(parts, Fraction(0))

    def measure(self, price: Price, item: Resource | None = None) -> Fraction:
        """Of what a price is a price of, how much: months, hours or days of GPUs, nodes or P. None: of all items."""
        return sum((fees._measure(one, item) for one, fees in self._days(price)), Fraction(0))

    def _days(self, price: Price) -> Iterator[tuple[Price, "Fees"]]:
        """A price as it is from day to day, each with the time for which it is."""
        starts = [day_start(row.from_, self.contract.time_zone) for row in price.schedule]
        ends, since_s = [*starts, self.part.end_s], self.part.start_s
        for end_s, row in zip(ends, (*price.schedule, None), strict=True):
            part = Period(self.part.label, *served_part_s(self.part, (since_s, end_s)))
            if part.seconds:
                served = served_part_s(part, self.service)
                yield price, replace(self, part=part, service=served, whole_service=self._whole)
            since_s = max(since_s, end_s)
            if row is not None:
                changed = {"price": row.price, "quantity": row.quantity}
                known = {name: value for name, value in changed.items() if value is not None}
                price = price.model_copy(update=known)

    def _measure(self, price: Price, item: Resource | None) -> Fraction:
        if price.unit in OF_ALL:
            quantity = Fraction(1) if price.quantity is None else price.quantity
            return quantity * self._time(price)
        items = self.items(price) if item is None else [item]
        return sum((self._of_one(price, one) for one in items), Fraction(0))

    def _of_one(self, price: Price, item: Resource) -> Fraction:
        """Of a line item: of nodes accepted part by part, from then on.

        A quantity that the price names is shared by what the line items have of what it is a price of.
        """
        [part] = parts_of_price(price, [item])
        contracted = sum(parts_of_price(price, self.items(price)), Fraction(0))
        if price.quantity is not None:
            part = price.quantity * part / contracted if contracted else Fraction(0)
        time = Fraction(0)
        for nodes, since_s in self.steps.get(item.id, [(item.nodes, self._whole[0])]):
            time += Fraction(nodes, item.nodes) * self.since(since_s)._time(price)
        return part * time

    def since(self, start_s: int) -> "Fees":
        """Of what is in service from then on."""
        own, whole = (
            (max(start_s, one[0]), max(start_s, one[1])) for one in (self.service, self._whole)
        )
        return replace(self, service=own, whole_service=whole)

    def _time(self, price: Price) -> Fraction:
        """Of the service, as the price counts it."""
        match price.unit:
            case "gpu_hour":
                start_s, end_s = served_part_s(self.period, self.service)
                return Fraction(end_s - start_s, HOUR_S)
            case "P_day":
                return self.days_of_service(price.proration)
            case _:
                return self.due(price.proration)

    def node_seconds(self, resource: Resource) -> int:
        """Of the nodes in service."""
        start_s, end_s = served_part_s(self.period, self.service)
        steps = self.steps.get(resource.id, [(resource.nodes, start_s)])
        return sum(nodes * max(0, end_s - max(start_s, since_s)) for nodes, since_s in steps)

    def share(
        self, price: Price, unit: UnitKind | None = None, resource: str | None = None
    ) -> Fraction:
        """Of what a price gives, the part of one unit, or of all of a line item: by what the price is a price of."""
        items = self.items(price)
        given = self.of_price(price) if self.steps and price.unit not in OF_ALL else 0
        if given:
            mine = (self.of_item(price, item) for item in items if resource in (None, item.id))
            return sum(mine, Fraction(0)) / given
        whole = sum(parts_of_price(price, items), Fraction(0))
        chosen = [item for item in items if resource in (None, item.id)]
        part = sum(parts_of_price(price, chosen, unit), Fraction(0))
        return part / whole if whole else Fraction(0)

    def items(self, price: Price) -> list[Resource]:
        """The line items that a price is for."""
        return [item for item in self.contract.resources if price.resource in (None, item.id)]

    def least(self, price: Price) -> Fraction:
        """The least that a price gives for the part of a month."""
        amount = Fraction(price.minimum) if price.minimum_per == "month" else Fraction(0)
        taken = Fraction(0)
        if price.minimum_quantity is not None:
            parts = ((one.worth(price.minimum_quantity), fees) for one, fees in self._days(price))
            taken = sum((worth * fees.due("none") for worth, fees in parts), Fraction(0))
        return max(amount * self.due("none"), taken)

    def due(self, rule: Proration) -> Fraction:
        """The share of the period's fee that is due. Without proration a part still owes no more than its length."""
        served = served_part_s(self.period, self.service)
        if served[0] == served[1]:
            return Fraction(0)
        if rule == "none":
            return Fraction(self.part.seconds, self.period.seconds)
        whole, minutes = self._whole, self.contract.billing.month_minutes
        length = self._minutes(rule, served)
        if minutes is None or whole == self.period.interval_s:
            return length / self._minutes(rule, self.period.interval_s)
        return length / max(Fraction(minutes), self._minutes(rule, whole))

    @property
    def _whole(self) -> Interval:
        """When the whole period is served, whichever parts it has."""
        return served_part_s(self.period, self.whole_service or self.service)

    def _minutes(self, rule: Proration, time: Interval) -> Fraction:
        if rule == "days":
            return Fraction(self._days_touched(time) * MINUTES_OF_DAY)
        return Fraction(time[1] - time[0], 60)

    def _days_touched(self, time: Interval) -> int:
        """Local days of a part of the service; one that an earlier part touched is that one's."""
        zone = self.contract.time_zone
        first_s = max(day_start(local_date(time[0], zone), zone), self._whole[0])
        return sum(1 for _ in days_within(time, zone)) - (first_s < time[0])

    def days_of_service(self, rule: Proration) -> Fraction:
        """Local days of the service, each that it touches; or, unless the rule is `days`, of each the part served."""
        served, zone = served_part_s(self.period, self.service), self.contract.time_zone
        if served[0] == served[1]:
            return Fraction(0)
        if rule == "days":
            return Fraction(self._days_touched(served))
        days = Fraction(0)
        for day in days_within(served, zone):
            whole = (day_start(day, zone), day_start(day + timedelta(days=1), zone))
            held = min(served[1], whole[1]) - max(served[0], whole[0])
            days += Fraction(held, whole[1] - whole[0])
        return days


def parts_of_price(
    price: Price, items: Iterable[Resource], unit: UnitKind | None = None
) -> Iterator[Fraction]:
    """By what a price is shared: P or nodes where it is a price of these, else GPUs; of each item, or a unit of it."""
    for item in items:
        gpus = gpus_of_unit(item, unit)
        if price.unit in ("P_month", "P_day"):
            yield capacity_of(item, gpus)
        else:
            yield Fraction(gpus, item.per_node if price.unit == "node_month" else 1)


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
