"""What of a line item was delivered, and what it costs: the lines of a statement that count all slots."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

from weighbridge.contract import Contract, Resource
from weighbridge.contract.money import Price
from weighbridge.contract.numerals import exact_text
from weighbridge.judge.ledger import State
from weighbridge.judge.ledger import StateSpan as Stretch
from weighbridge.settlement.capacity import Metered, metered
from weighbridge.settlement.credits import money
from weighbridge.settlement.fees import Fees, capacity_of
from weighbridge.settlement.intervals import Interval
from weighbridge.settlement.money import round_half_up
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import Delivery, FeeLine, FloorLine
from weighbridge.settlement.units import Timelines, seconds_in, spans_of
from weighbridge.settlement.usage import Totals, usage_of
from weighbridge.verdict import Verdict

SEEN_WELL = frozenset({State.UP})
PERHAPS_WELL = frozenset({State.UP, State.UNKNOWN, State.CONTESTED})
"""States of a GPU that counts as healthy, in the worst and the best case."""

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


def fee_lines(
    contract: Contract, fees: Fees, served: Interval, found: Timelines
) -> Iterator[FeeLine]:
    """What each price gives for each line item; time that was seen down is not billed, where only healthy time is paid.

    A price whose lines stay below its minimum has one line more, with what is missing.
    """
    for price in contract.pricing:
        bills = dict(_bills(contract, price, fees, served, found))
        for name, bill in bills.items():
            yield _fee_line(contract, price, name, bill)
        short = fees.least(price) - sum((bill.net for bill in bills.values()), Fraction(0))
        if short > 0:
            yield _fee_line(contract, price, "minimum", Metered(0, short, Fraction(0)))


def _bills(
    contract: Contract, price: Price, fees: Fees, served: Interval, found: Timelines
) -> Iterator[tuple[str, Metered]]:
    length = served[1] - served[0]
    if price.unit in ("fixed_month", "kW_month"):
        yield price.resource or price.unit, Metered(length, fees.of_price(price), Fraction(0))
        return
    for resource in contract.resources:
        if price.resource not in (None, resource.id):
            continue
        lines = _lines_of(resource, found) if contract.pay_only_healthy else []
        down = sum(seconds_in(line, State.DOWN, served) for line in lines)
        nodes, per_node = resource.nodes, resource.per_node
        if price.unit == "gpu_hour":
            yield resource.id, metered(nodes, per_node, Fraction(price.price), length, down)
        else:
            gross = fees.of_price(price, resource.id)
            share = Fraction(down, nodes * per_node * length) if length else Fraction(0)
            yield resource.id, Metered(length, gross, gross * share)


def _fee_line(contract: Contract, price: Price, name: str, bill: Metered) -> FeeLine:
    rate = contract.tax.rate
    tax = bill.net * (rate / (1 + rate) if contract.tax.included else rate)
    amounts = [
        money(amount, contract.rounding) for amount in (bill.gross, bill.unbilled, bill.net, tax)
    ]
    gross, unbilled, net, taxed = (f"{amount:f}" for amount in amounts)
    return FeeLine(name, gross, unbilled, net, price.unit, taxed, price.prepaid)


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
