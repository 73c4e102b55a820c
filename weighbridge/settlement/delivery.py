"""What of a line item was delivered, and what it costs: the lines of a statement that count all slots."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from weighbridge.contract import Contract, Resource
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.pricing import OF_ALL, Price
from weighbridge.judge.ledger import State
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.settlement.fees import Fees, capacity_of
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.money import round_half_up, rounded
from weighbridge.settlement.periods import HOUR_S, served_part_s
from weighbridge.settlement.statement import MINIMUM, REBATE, Delivery, FeeLine, FloorLine
from weighbridge.settlement.units import Timelines, seconds_in, spans_of
from weighbridge.settlement.usage import Totals, usage_of
from weighbridge.verdict import Verdict

SEEN_WELL = frozenset({State.UP})
PERHAPS_WELL = frozenset({State.UP, State.UNKNOWN, State.CONTESTED})
"""States of a GPU that counts as healthy, in the worst and the best case."""

SEEN_ILL = (State.DOWN, State.DEGRADED)
"""States of a GPU that was seen and is not healthy: time that is not billed, where only healthy time is paid."""

WeighedSlot = tuple[Fraction, Sequence[Stretch]]
"""The weight of a slot in the capacity, and its timeline."""


def delivered(resource: Resource, served: Interval, found: Timelines, used: Totals) -> Delivery:
    """GPU-seconds of a line item by what was seen of them; of those contracted, some may be to come."""
    usage = usage_of(used, _nodes_of(resource, found))
    length = served[1] - served[0]
    lines = _lines_of(resource, found)
    by_state = {state: sum(seconds_in(line, state, served) for line in lines) for state in State}
    healthy = by_state[State.UP]
    contracted = resource.nodes * resource.per_node * length
    share = usage.utilization
    return Delivery(
        resource=resource.id,
        contracted_gpu_seconds=contracted,
        reporting_gpu_seconds=sum(by_state.values()) - by_state[State.UNKNOWN],
        healthy_gpu_seconds=healthy,
        contracted_p_hours=_p_hours(resource, contracted),
        healthy_p_hours=_p_hours(resource, healthy),
        in_use_gpu_seconds=usage.in_use_gpu_seconds,
        energy_joules=usage.energy_joules,
        utilization=None if share is None else f"{round_half_up(share, 4):f}",
    )


@dataclass(frozen=True, slots=True)
class Bill:
    """What a price gives for a line item, exact. `unbilled`: of it, the time of GPUs that were not healthy."""

    gross: Fraction = Fraction(0)
    unbilled: Fraction = Fraction(0)
    quantity: Fraction | None = None

    @property
    def net(self) -> Fraction:
        return self.gross - self.unbilled

    def __add__(self, other: "Bill") -> "Bill":
        quantity = None if other.quantity is None else (self.quantity or 0) + other.quantity
        return Bill(self.gross + other.gross, self.unbilled + other.unbilled, quantity)


def fee_lines(contract: Contract, fees: Fees, found: Timelines) -> Iterator[FeeLine]:
    """What each price gives for each line item; time that was seen ill is not billed, where only healthy time is paid.

    A price whose lines stay below its least has one line more, with what is missing; and one with what is given back.
    """
    for price in contract.pricing:
        bills: dict[str, Bill] = {}
        given: list[tuple[Fees, Fraction]] = []
        for month in fees.months():
            billed = dict(_bills(contract, price, month, found))
            bills |= {name: bills.get(name, Bill()) + bill for name, bill in billed.items()}
            given.append((month, sum((bill.net for bill in billed.values()), Fraction(0))))
        short = sum((amount for _, amount in fees.missing(price, given)), Fraction(0))
        bills |= {MINIMUM: Bill(short)} if short else {}
        net = sum((bill.net for bill in bills.values()), Fraction(0))
        back = price.rebate(net) if contract.bills_by(fees.period.kind) else Fraction(0)
        bills |= {REBATE: Bill(unbilled=back)} if back else {}
        for name, bill in bills.items():
            yield _fee_line(contract, price, name, bill)


def _bills(
    contract: Contract, price: Price, month: Fees, found: Timelines
) -> Iterator[tuple[str, Bill]]:
    """By line item; a sum of money has one line."""
    if price.unit in OF_ALL:
        bill = Bill(month.of_price(price), quantity=month.measure(price))
        yield price.resource or price.unit, bill
    elif price.billed == "delivered":
        yield from _delivered_bills(price, month, found)
    else:
        for resource in month.items(price):
            gross = month.of_item(price, resource)
            ill = _ill_share(resource, month, found) if contract.pay_only_healthy else 0
            yield resource.id, Bill(gross, gross * ill, month.measure(price, resource))


def _delivered_bills(price: Price, month: Fees, found: Timelines) -> Iterator[tuple[str, Bill]]:
    """Of what a line item costs, the part that was delivered; with steps, by how much of all items was."""
    shares = {item.id: _delivered_share(item, month, found) for item in month.items(price)}
    taken = {item.id: month.measure(price, item) * shares[item.id] for item in month.items(price)}
    whole = sum(taken.values(), Fraction(0))
    for item in month.items(price):
        amount = month.of_item(price, item) * shares[item.id]
        if price.steps:
            amount = price.worth(whole) * taken[item.id] / whole if whole else Fraction(0)
        yield item.id, Bill(amount, quantity=taken[item.id])


def _delivered_share(resource: Resource, fees: Fees, found: Timelines) -> Fraction:
    """Of the GPU-seconds in service, those seen healthy: more at one time makes up for none at another."""
    contracted = resource.per_node * fees.node_seconds(resource)
    missing, (start_s, end_s) = Fraction(0), served_part_s(fees.period, fees.service)
    steps = fees.steps.get(resource.id, [(resource.nodes, start_s)])
    edges = sorted({start_s, end_s, *(min(max(since, start_s), end_s) for _, since in steps)})
    for since_s, until_s in pairwise(edges):
        nodes = sum(number for number, from_s in steps if from_s <= since_s)
        floor = Fraction(nodes * resource.per_node)
        lines = [(Fraction(1), line) for line in _in_service(resource, fees, found, since_s)]
        missing += _healthy(floor, lines, (since_s, until_s), SEEN_WELL)[1]
    return 1 - missing / contracted if contracted else Fraction(0)


def _in_service(
    resource: Resource, fees: Fees, found: Timelines, at_s: int
) -> Iterator[Sequence[Stretch]]:
    """The lines of those slots whose service has started."""
    for slot, line in found.seen.items():
        started = not fees.steps or found.phases.start_s(slot.node, at_s + 1) <= at_s
        if found.resource_of[slot.node] == resource.id and started:
            yield line


def _ill_share(resource: Resource, fees: Fees, found: Timelines) -> Fraction:
    """Of the GPU-seconds in service, those seen in a state that is not healthy. What nobody saw is none of these."""
    contracted = resource.per_node * fees.node_seconds(resource)
    return Fraction(_ill_s(resource, fees, found), contracted) if contracted else Fraction(0)


def _ill_s(resource: Resource, fees: Fees, found: Timelines) -> int:
    """Of each node in its own service."""
    (start_s, end_s), ill = served_part_s(fees.period, fees.service), 0
    for slot, line in found.seen.items():
        if found.resource_of[slot.node] == resource.id:
            since_s = found.phases.start_s(slot.node, end_s) if fees.steps else start_s
            served = (max(start_s, since_s), end_s)
            ill += sum(seconds_in(line, state, served) for state in SEEN_ILL)
    return ill


def _fee_line(contract: Contract, price: Price, name: str, bill: Bill) -> FeeLine:
    """Gross and what is not billed are rounded; what is left is the net amount, of which the tax is reckoned."""
    rule, own = contract.rounding, price.tax or contract.tax
    rate = own.rate
    gross, unbilled = (
        rounded(amount, rule.decimals, rule.mode) for amount in (bill.gross, bill.unbilled)
    )
    net = gross - unbilled
    share = rate / (1 + rate) if own.included else rate
    tax = rounded(Fraction(net) * share, rule.decimals, rule.mode)
    items = {item.id: item for item in contract.resources}
    return FeeLine(
        resource=name,
        gross=f"{gross:f}",
        unbilled=f"{unbilled:f}",
        net=f"{net:f}",
        unit=price.unit,
        tax=f"{tax:f}",
        prepaid=price.prepaid,
        quantity=None if bill.quantity is None else _quantity(bill.quantity),
        precision=_precision(items.get(name)) if price.unit in ("P_month", "P_day") else None,
        tax_rate=None if price.tax is None else exact_text(own.rate * 100),
        tax_included=None if price.tax is None else own.included,
    )


def _quantity(quantity: Fraction) -> str:
    text = f"{round_half_up(quantity, 6):f}"
    return text.rstrip("0").rstrip(".")


def _precision(item: Resource | None) -> str | None:
    """The arithmetic that its P are counted in."""
    if item is None or item.capacity is None:
        return None
    return f"{item.capacity.precision.upper()} {item.capacity.sparsity}"


def floor_lines(contract: Contract, served: Interval, found: Timelines) -> Iterator[FloorLine]:
    """The least healthy capacity beside the floor; excluded time is no excuse, for the floor holds at any time."""
    floor = contract.capacity_floor
    if floor is None:
        return
    per_gpu = {item.id: capacity_of(item, 1) for item in contract.resources}
    if floor.gpus is not None:
        yield _floor_line(
            "GPU", Fraction(floor.gpus), dict.fromkeys(per_gpu, Fraction(1)), served, found
        )
    if floor.capacity is not None:
        yield _floor_line("P", floor.capacity, per_gpu, served, found)


def _floor_line(
    unit: str, floor: Fraction, worth: Mapping[str, Fraction], served: Interval, found: Timelines
) -> FloorLine:
    """Time to come is as it is now in the worst case, and well in the best."""
    least, most = (
        _healthy(
            floor,
            [(worth[found.resource_of[slot.node]], line) for slot, line in lines.items()],
            served,
            states,
        )
        for lines, states in ((found.slots, SEEN_WELL), (found.hoped, PERHAPS_WELL))
    )
    short = Verdict.BREACHED if most[1] > 0 else Verdict.UNKNOWN
    return FloorLine(
        unit=unit,
        floor=exact_text(floor),
        verdict=(short if least[1] > 0 else Verdict.MET).name,
        least_healthy=(exact_text(least[0]), exact_text(most[0])),
        short_hours=(_hours(most[1]), _hours(least[1])),
    )


def _hours(seconds: Fraction) -> str:
    return f"{round_half_up(seconds / HOUR_S, 4):f}"


def _healthy(
    floor: Fraction, slots: Iterable[WeighedSlot], served: Interval, states: frozenset[State]
) -> tuple[Fraction, Fraction]:
    """The least healthy capacity of the time, and the capacity-seconds missing to the floor."""
    steps: dict[int, Fraction] = {edge: Fraction(0) for edge in served}
    for worth, line in slots:
        for span in spans_of("", line, states):
            start, end = max(span.start_s, served[0]), min(span.end_s, served[1])
            if start < end:
                steps[start] = steps.get(start, Fraction(0)) + worth
                steps[end] = steps.get(end, Fraction(0)) - worth
    level = short = Fraction(0)
    levels: list[Fraction] = []
    edges = sorted(steps)
    for edge, following in pairwise(edges):
        level += steps[edge]
        levels.append(level)
        short += max(Fraction(0), floor - level) * (following - edge)
    return min(levels, default=floor), short


def _lines_of(resource: Resource, found: Timelines) -> list[Sequence[Stretch]]:
    return [
        line for slot, line in found.seen.items() if found.resource_of[slot.node] == resource.id
    ]


def _nodes_of(resource: Resource, found: Timelines) -> set[str]:
    """Every node that held a place of it."""
    return {
        name
        for node, names in found.held_by.items()
        if found.resource_of[node] == resource.id
        for name in names
    }


def _p_hours(resource: Resource, gpu_seconds: int) -> str | None:
    if resource.capacity is None:
        return None
    return f"{round_half_up(capacity_of(resource, gpu_seconds) / HOUR_S, 4):f}"
